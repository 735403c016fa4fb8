//! How many connections each source has.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// Counts connections by their source: an IPv4 address, or a /64 of IPv6, of which one host has all addresses.
#[derive(Debug, Default)]
pub(super) struct Sources {
    // In a tree, because a stranger chooses what the keys are.
    counts: BTreeMap<IpAddr, usize>,
}

impl Sources {
    /// How many the source of an address has.
    pub(super) fn count(&self, address: IpAddr) -> usize {
        self.counts.get(&source_of(address)).copied().unwrap_or(0)
    }

    /// It has one more.
    pub(super) fn enter(&mut self, address: IpAddr) {
        *self.counts.entry(source_of(address)).or_default() += 1;
    }

    /// It has one less.
    pub(super) fn leave(&mut self, address: IpAddr) {
        let source = source_of(address);
        let Some(count) = self.counts.get_mut(&source) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.counts.remove(&source);
        }
    }
}

fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let mut sources = Sources::default();
        let at = |text: &str| text.parse().unwrap();
        for address in ["2001:db8:7::1", "2001:db8:7::2:0:0:1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"]
        {
            sources.enter(at(address));
        }
        let expected = [
            ("2001:db8:7::9", 2),
            ("2001:db8:7:1::1", 0),
            ("192.0.2.1", 2),
            ("192.0.2.2", 1),
            ("192.0.2.3", 0),
        ];
        for (address, count) in expected {
            assert_eq!(sources.count(at(address)), count, "{address}");
        }
        for address in
            ["2001:db8:7::5", "2001:db8:7::6", "2001:db8:7::7", "192.0.2.1", "192.0.2.1", "192.0.2.2"]
        {
            sources.leave(at(address));
        }
        assert!(sources.counts.is_empty());
    }
}
