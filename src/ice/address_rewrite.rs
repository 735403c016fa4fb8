//! Which addresses a host address is told to the peer as.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Tells the peer another address than that of the interface, or one more: the public address of a machine that a
/// static NAT stands in front of, as it does in most clouds and containers.
///
/// A rule is for the host addresses of the family of its external addresses, all of them or [one](Self::local). The
/// port stays as it is, so the NAT has to leave it as it is. What is told is a host candidate whose base is the socket
/// as before: checks and data go out of it and come to it. The peer does not see whether an address was rewritten.
///
/// A rewritten address is told as it stands, never behind a name of mDNS: names hide addresses of the local network, and
/// this is none.
///
/// ```
/// use std::net::Ipv4Addr;
///
/// use kaon_rtc::ice::{AddressRewriteRule, Config};
///
/// let mut config = Config::default();
/// let public = Ipv4Addr::new(203, 0, 113, 7);
/// // Whatever address the machine has, 203.0.113.7 is told.
/// config.address_rewrite_rules.push(AddressRewriteRule::replace(public));
///
/// // Peers of the same network reach 10.0.0.5, all others 203.0.113.7.
/// let both = AddressRewriteRule::append(public).for_local(Ipv4Addr::new(10, 0, 0, 5));
/// config.address_rewrite_rules = vec![both];
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressRewriteRule {
    /// The addresses that are told. Those of another family than the host address are not used for it, nor are
    /// unspecified, multicast and broadcast ones.
    pub external: Vec<IpAddr>,
    /// The host address that is rewritten; all of the family by default.
    pub local: Option<IpAddr>,
    /// Whether the host address is told, too.
    pub mode: AddressRewriteMode,
}

/// Whether a rewritten address is still told as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressRewriteMode {
    /// Only the external addresses are told; the host address is not, as what a STUN server sees either.
    Replace,
    /// The host address is told, and the external ones after it, with lower priorities.
    Append,
}

impl AddressRewriteRule {
    /// The peer is told `external` instead of host addresses.
    pub fn replace(external: impl Into<IpAddr>) -> Self {
        Self { external: vec![external.into()], local: None, mode: AddressRewriteMode::Replace }
    }

    /// The peer is told `external` beside host addresses.
    pub fn append(external: impl Into<IpAddr>) -> Self {
        Self { mode: AddressRewriteMode::Append, ..Self::replace(external) }
    }

    /// Only the host address `local` is rewritten.
    #[must_use]
    pub fn for_local(mut self, local: impl Into<IpAddr>) -> Self {
        self.local = Some(local.into());
        self
    }

    /// The external addresses for a host address; none if the rule is not for it.
    fn external_for(&self, host: IpAddr) -> impl Iterator<Item = IpAddr> {
        let is_for = self.local.is_none_or(|local| local.to_canonical() == host.to_canonical());
        let external = self.external.iter().filter(move |_| is_for).map(IpAddr::to_canonical);
        external.filter(move |external| {
            let is_broadcast = *external == IpAddr::V4(Ipv4Addr::BROADCAST);
            let is_address = !external.is_unspecified() && !external.is_multicast() && !is_broadcast;
            is_address && external.is_ipv4() == host.to_canonical().is_ipv4()
        })
    }
}

/// The addresses that a host address is told as, the best first: by the first rule that is for it.
pub(super) fn told_addresses(rules: &[AddressRewriteRule], host: SocketAddr) -> Vec<SocketAddr> {
    let rule = rules.iter().find(|rule| rule.external_for(host.ip()).next().is_some());
    let is_told = rule.is_none_or(|rule| rule.mode == AddressRewriteMode::Append);
    let external = rule.into_iter().flat_map(|rule| rule.external_for(host.ip()));
    let external = external.map(|external| SocketAddr::new(external, host.port()));
    is_told.then_some(host).into_iter().chain(external).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rules: &[AddressRewriteRule], host: &str) -> Vec<String> {
        let told = told_addresses(rules, host.parse().unwrap());
        told.iter().map(SocketAddr::to_string).collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_rule_for_an_address_decides() {
        let rules = [
            AddressRewriteRule::append(ip("203.0.113.1")).for_local(ip("10.0.0.1")),
            AddressRewriteRule::replace(ip("203.0.113.2")),
            AddressRewriteRule::replace(ip("203.0.113.3")),
        ];
        assert_eq!(told(&rules, "10.0.0.1:5"), ["10.0.0.1:5", "203.0.113.1:5"]);
        assert_eq!(told(&rules, "10.0.0.2:6"), ["203.0.113.2:6"]);
        assert_eq!(told(&[], "10.0.0.2:6"), ["10.0.0.2:6"]);
    }

    #[test]
    fn a_rule_is_for_its_family_alone() {
        let rules =
            [AddressRewriteRule::replace(ip("203.0.113.2")), AddressRewriteRule::append(ip("2001:db8::1"))];
        assert_eq!(told(&rules[..1], "[fd00::1]:5"), ["[fd00::1]:5"]);
        assert_eq!(told(&rules, "[fd00::1]:5"), ["[fd00::1]:5", "[2001:db8::1]:5"]);
        let mut both = AddressRewriteRule::replace(ip("::ffff:203.0.113.2"));
        both.external.push(ip("2001:db8::1"));
        assert_eq!(told(&[both.clone()], "[fd00::1]:5"), ["[2001:db8::1]:5"]);
        assert_eq!(told(&[both], "10.0.0.1:5"), ["203.0.113.2:5"]);
    }

    #[test]
    fn what_is_no_address_of_a_host_is_not_told() {
        for external in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::ffff:255.255.255.255"] {
            let rules =
                [AddressRewriteRule::replace(ip(external)), AddressRewriteRule::replace(ip("203.0.113.2"))];
            assert_eq!(told(&rules, "10.0.0.1:5"), ["203.0.113.2:5"]);
        }
    }
}
