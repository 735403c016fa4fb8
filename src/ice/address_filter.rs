//! Which addresses are used at all.

use std::net::IpAddr;

use crate::layer::Cidr;

/// Which addresses an agent has to do with: those in a range that is allowed, or all if none is, without those in a range
/// that is denied. An IPv4 address in the form of IPv6 is taken for the IPv4 address that it is.
///
/// ```
/// use kaon_rtc::ice::{AddressFilter, Config};
///
/// let mut config = Config::default();
/// // Nothing of the management network is told or asked from.
/// config.local_addresses = AddressFilter::default().deny("10.99.0.0/16".parse()?);
/// // Peers are of this network alone.
/// config.remote_addresses = AddressFilter::default().allow("10.0.0.0/8".parse()?);
/// # Ok::<(), kaon_rtc::layer::CidrError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressFilter {
    /// What is allowed; everything if it is empty.
    pub allow: Vec<Cidr>,
    /// What is denied, also if it is allowed.
    pub deny: Vec<Cidr>,
}

impl AddressFilter {
    /// The same that allows one more range, and nothing beside those that it allows.
    #[must_use]
    pub fn allow(mut self, range: Cidr) -> Self {
        self.allow.push(range);
        self
    }

    /// The same that denies one more range.
    #[must_use]
    pub fn deny(mut self, range: Cidr) -> Self {
        self.deny.push(range);
        self
    }

    /// Whether an address passes.
    pub fn passes(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_in = |ranges: &[Cidr]| ranges.iter().any(|range| range.contains(address));
        (self.allow.is_empty() || is_in(&self.allow)) && !is_in(&self.deny)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_is_not_allowed_in_any_form() {
        let filter = AddressFilter::default()
            .allow("10.0.0.0/8".parse().unwrap())
            .allow("2001:db8::/32".parse().unwrap())
            .deny("10.9.0.0/16".parse().unwrap());
        for (address, passes) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.9.2.3", false),
            ("::ffff:10.9.2.3", false),
            ("192.0.2.1", false),
            ("2001:db8::1", true),
            ("fe80::1", false),
        ] {
            assert_eq!(filter.passes(address.parse().unwrap()), passes, "{address}");
        }
        assert!(AddressFilter::default().passes("192.0.2.1".parse().unwrap()));
    }
}
