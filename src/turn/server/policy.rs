//! Which peers a relay reaches, RFC 8656, "Security Considerations".

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use smallvec::SmallVec;

use super::cidr::Cidr;
use super::special_purpose;

/// Which peers clients may reach, and which may reach them. The one answer for permissions, channels, indications and
/// what arrives.
///
/// By default only what is public: neither this host nor its networks, no range with a special purpose, and no IPv6 form
/// that has an IPv4 address in it, such as IPv4-mapped ones, 6to4, Teredo or NAT64.
///
/// ```
/// use kaon_rtc::turn::server::PeerPolicy;
///
/// let policy = PeerPolicy::default();
/// assert!(policy.permits("8.8.4.4:5000".parse()?));
/// for denied in ["127.0.0.1:80", "10.0.0.1:80", "[::ffff:10.0.0.1]:80", "[2002:a00:1::]:80", "8.8.4.4:0"] {
///     assert!(!policy.permits(denied.parse()?), "{denied}");
/// }
/// let office = policy.allow("10.0.0.0/8".parse()?);
/// assert!(office.permits("10.0.0.1:80".parse()?) && !office.permits("[::ffff:10.0.0.1]:80".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PeerPolicy {
    allowed: Vec<Cidr>,
    denied: Vec<Cidr>,
    own: Vec<IpAddr>,
    denied_addresses: Vec<SocketAddr>,
    denied_ports: Vec<u16>,
    nat64_prefixes: Vec<Cidr>,
}

impl PeerPolicy {
    /// The same with a range that is allowed although it is special, in this form alone: that of IPv4 addresses allows
    /// none of their IPv6 forms.
    #[must_use]
    pub fn allow(mut self, range: Cidr) -> Self {
        self.allowed.push(range);
        self
    }

    /// The same with a range that is denied, in every form, whatever is allowed.
    #[must_use]
    pub fn deny(mut self, range: Cidr) -> Self {
        self.denied.push(range);
        self
    }

    /// The same with an address of the machine that relays, which is denied in every form unless a range that is
    /// [allowed](Self::allow) has it: what else is served there trusts that machine. Other relayed addresses of the same
    /// server may be peers nevertheless.
    #[must_use]
    pub fn deny_own(mut self, address: IpAddr) -> Self {
        if !self.own.contains(&address) {
            self.own.push(address);
        }
        self
    }

    /// The same with one address and port that is denied, such as one that the server itself listens on.
    #[must_use]
    pub fn deny_address(mut self, address: SocketAddr) -> Self {
        self.denied_addresses.push(address);
        self
    }

    /// The same with a port that is denied at every address.
    #[must_use]
    pub fn deny_port(mut self, port: u16) -> Self {
        self.denied_ports.push(port);
        self
    }

    /// The same with a prefix of 32, 40, 48, 56, 64 or 96 bits under which the network translates to IPv4
    /// (RFC 6052): addresses within are judged by the IPv4 address in them as well.
    #[must_use]
    pub fn with_nat64_prefix(mut self, prefix: Cidr) -> Self {
        self.nat64_prefixes.push(prefix);
        self
    }

    /// Whether data may go to a peer and come from it.
    pub fn permits(&self, peer: SocketAddr) -> bool {
        let has_scope = matches!(peer, SocketAddr::V6(peer) if peer.scope_id() != 0);
        !has_scope && self.permits_port(peer) && self.permits_address(peer.ip())
    }

    /// What [`permits`](Self::permits) asks beyond the address.
    pub(super) fn permits_port(&self, peer: SocketAddr) -> bool {
        peer.port() != 0 && !self.denied_ports.contains(&peer.port()) && !self.is_denied_address(peer)
    }

    fn is_denied_address(&self, peer: SocketAddr) -> bool {
        self.denied_addresses.iter().any(|denied| (denied.ip(), denied.port()) == (peer.ip(), peer.port()))
    }

    /// Whether some port of an address may be a peer's.
    pub fn permits_address(&self, address: IpAddr) -> bool {
        // Neither the address nor any that is in it may be denied, each in its own form.
        let is_permitted = |form: &IpAddr| {
            let is_allowed = self.allowed.iter().any(|range| range.contains(*form));
            (is_allowed || !special_purpose::contains(*form) && !self.own.contains(form))
                && !self.denied.iter().any(|range| range.contains(*form))
        };
        is_permitted(&address)
            && match address {
                IpAddr::V4(_) => true,
                IpAddr::V6(v6) => self.embedded(v6).iter().all(is_permitted),
            }
    }

    /// The IPv4 addresses that an IPv6 address has in it.
    fn embedded(&self, address: Ipv6Addr) -> SmallVec<[IpAddr; 4]> {
        let octets = address.octets();
        let v4 = |at: [usize; 4]| IpAddr::V4(Ipv4Addr::from(at.map(|at| octets[at])));
        let mut found = SmallVec::new();
        match octets {
            // Unspecified and loopback are no IPv4-compatible addresses.
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 | 1] => {}
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ..]
            | [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..]
            | [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, ..]
            | [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, ..] => found.push(v4([12, 13, 14, 15])),
            // RFC 8215: under this one a network chooses the length of its prefixes.
            [0, 0x64, 0xff, 0x9b, 0, 1, ..] => {
                found.extend([48, 56, 64, 96].into_iter().filter_map(nat64_octets).map(v4));
            }
            [0x20, 2, ..] => found.push(v4([2, 3, 4, 5])),
            [0x20, 1, 0, 0, ..] => {
                found.push(v4([4, 5, 6, 7]));
                // RFC 4380: the client's address is there with all bits inverted.
                let client = [12, 13, 14, 15].map(|at: usize| !octets[at]);
                found.push(IpAddr::V4(Ipv4Addr::from(client)));
            }
            _ => {}
        }
        // RFC 5214: ISATAP, under any prefix.
        if matches!(octets[8..12], [0 | 2, 0, 0x5e, 0xfe]) {
            found.push(v4([12, 13, 14, 15]));
        }
        let prefixes = self.nat64_prefixes.iter().filter(|prefix| prefix.contains(IpAddr::V6(address)));
        found.extend(prefixes.filter_map(|prefix| nat64_octets(prefix.prefix())).map(v4));
        found
    }
}

/// Where an IPv4 address stands behind a NAT64 prefix of so many bits (RFC 6052).
fn nat64_octets(prefix: u8) -> Option<[usize; 4]> {
    match prefix {
        32 => Some([4, 5, 6, 7]),
        40 => Some([5, 6, 7, 9]),
        48 => Some([6, 7, 9, 10]),
        56 => Some([7, 9, 10, 11]),
        64 => Some([9, 10, 11, 12]),
        96 => Some([12, 13, 14, 15]),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests;
