//! The addresses of this machine.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;

use crate::layer::{Cidr, HostAddress, NetworkKind};

/// Lists the addresses of this machine that `filter` lets through, of interfaces that are up, in the order of
/// the system.
///
/// ```
/// use kaon_rtc::net::{InterfaceFilter, interfaces};
///
/// let mut filter = InterfaceFilter::default();
/// filter.loopback = true;
/// for address in interfaces(&filter)? {
///     println!("{} on {}", address.ip, address.interface);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What the system says when asked for its interfaces.
pub fn interfaces(filter: &InterfaceFilter) -> io::Result<Vec<InterfaceAddress>> {
    let traits = Ipv6Traits::of_this_machine();
    let addresses = if_addrs::get_if_addrs()?.into_iter().filter(if_addrs::Interface::is_oper_up);
    Ok(addresses
        .map(|address| {
            let ip = address.ip();
            InterfaceAddress {
                kind: AddressKind::of(ip),
                deprecated: traits.are_deprecated(ip),
                temporary: traits.are_temporary(ip),
                ip,
                index: address.index.unwrap_or(0),
                network: network_of(ip, &address.name),
                prefix: match &address.addr {
                    if_addrs::IfAddr::V4(address) => address.prefixlen,
                    if_addrs::IfAddr::V6(address) => address.prefixlen,
                },
                point_to_point: address.is_p2p,
                interface: address.name,
            }
        })
        .filter(|address| filter.passes(address))
        .collect())
}

/// An address of an interface of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct InterfaceAddress {
    /// The name of the interface, such as `eth0`.
    pub interface: String,
    /// The system's number for the interface; 0 where it has none.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// What kind of address it is.
    pub kind: AddressKind,
    /// How many bits of the address all those on its link share.
    pub prefix: u8,
    /// What kind of network the interface is of, as far as Linux or its name tells.
    pub network: NetworkKind,
    /// Whether the interface leads to one other host only, as tunnels do.
    pub point_to_point: bool,
    /// Whether the IPv6 address is not to be used for anything new (RFC 4862 §5.5.4). Known on Linux; Windows
    /// does not list such addresses at all.
    pub deprecated: bool,
    /// Whether the IPv6 address is a temporary one (RFC 8981). Known on Linux.
    pub temporary: bool,
}

impl InterfaceAddress {
    /// The address with a port, and with the interface where a link-local IPv6 address needs it: what a socket
    /// is bound to.
    pub fn with_port(&self, port: u16) -> SocketAddr {
        match self.ip {
            IpAddr::V6(ip) if self.kind == AddressKind::LinkLocal => {
                SocketAddrV6::new(ip, port, 0, self.index).into()
            }
            ip => SocketAddr::new(ip, port),
        }
    }

    /// Whether another address is on the link, as the prefix tells, or as link-local IPv6 addresses always are.
    pub fn is_on_link(&self, other: IpAddr) -> bool {
        let is_link_local = matches!(other, IpAddr::V6(other) if other.is_unicast_link_local());
        is_link_local && self.ip.is_ipv6()
            || Cidr::new(self.ip, self.prefix).is_some_and(|link| link.contains(other))
    }

    /// The same with what is known of its network: what a candidate is gathered from.
    pub fn to_host_address(&self, port: u16) -> HostAddress {
        HostAddress::new(self.with_port(port)).of(self.interface.clone(), self.network)
    }
}

/// What kind of network an interface is of: as Linux says, or by the names that systems give.
fn network_of(ip: IpAddr, interface: &str) -> NetworkKind {
    if ip.is_loopback() {
        return NetworkKind::Loopback;
    }
    let uevent = std::fs::read_to_string(format!("/sys/class/net/{interface}/uevent")).unwrap_or_default();
    let kind = uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE="));
    let begins = |names: &[&str]| names.iter().any(|name| interface.starts_with(name));
    match kind {
        Some("wlan") => NetworkKind::Wifi,
        Some("wwan") => NetworkKind::Cellular,
        Some("wireguard") => NetworkKind::Vpn,
        _ if begins(&["wlan", "wlp", "wlx", "wifi", "Wi-Fi"]) => NetworkKind::Wifi,
        _ if begins(&["wwan", "rmnet", "ccmni", "v4-rmnet", "pdp_ip", "clat"]) => NetworkKind::Cellular,
        _ if begins(&["tun", "tap", "utun", "wg", "ipsec", "ppp", "tailscale"]) => NetworkKind::Vpn,
        // Those of macOS that are named so may be of either kind.
        _ if begins(&["eth", "enp", "eno", "ens", "enx", "Ethernet"]) => NetworkKind::Ethernet,
        _ => NetworkKind::Unknown,
    }
}

/// From where an address can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressKind {
    /// This machine only: 127.0.0.0/8 and ::1.
    Loopback,
    /// The link only: 169.254.0.0/16 and fe80::/10.
    LinkLocal,
    /// A private network: RFC 1918 and fc00::/7.
    Private,
    /// Elsewhere, as far as the address tells.
    Global,
    /// Nowhere, or only by old rules: unspecified, multicast, site-local (fec0::/10), IPv4-mapped and
    /// IPv4-compatible addresses, none of which may be a host candidate (RFC 8445 §5.1.1.1).
    Unusable,
}

impl AddressKind {
    /// The kind of `ip`.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            _ if ip.is_unspecified() || ip.is_multicast() => Self::Unusable,
            _ if ip.is_loopback() => Self::Loopback,
            IpAddr::V4(ip) if ip.is_broadcast() => Self::Unusable,
            IpAddr::V4(ip) if ip.is_link_local() => Self::LinkLocal,
            IpAddr::V4(ip) if ip.is_private() => Self::Private,
            IpAddr::V6(ip) if ip.is_unicast_link_local() => Self::LinkLocal,
            IpAddr::V6(ip) if ip.is_unique_local() => Self::Private,
            // fec0::/10, ::ffff:0:0/96 and ::/96.
            IpAddr::V6(ip) if ip.segments()[0] & 0xffc0 == 0xfec0 || ip.to_ipv4().is_some() => Self::Unusable,
            _ => Self::Global,
        }
    }
}

/// Which addresses to use. By default those that RFC 8445 §5.1.1.1 lets ICE gather: no loopback, no link-local,
/// no deprecated ones.
#[derive(Clone)]
#[non_exhaustive]
pub struct InterfaceFilter {
    /// Whether to use IPv4 addresses.
    pub ipv4: bool,
    /// Whether to use IPv6 addresses.
    pub ipv6: bool,
    /// Whether to use addresses that only this machine reaches.
    pub loopback: bool,
    /// Whether to use link-local addresses.
    pub link_local: bool,
    /// Whether to use deprecated IPv6 addresses.
    pub deprecated: bool,
    accept: Option<Arc<AcceptAddress>>,
}

type AcceptAddress = dyn Fn(&InterfaceAddress) -> bool + Send + Sync;

impl InterfaceFilter {
    /// The same filter that also asks `accept`, which may look at the name and the address. The last one set
    /// counts.
    pub fn with_accept(mut self, accept: impl Fn(&InterfaceAddress) -> bool + Send + Sync + 'static) -> Self {
        self.accept = Some(Arc::new(accept));
        self
    }

    /// Whether `address` is one to use.
    pub fn passes(&self, address: &InterfaceAddress) -> bool {
        let family = if address.ip.is_ipv4() { self.ipv4 } else { self.ipv6 };
        let kind = match address.kind {
            AddressKind::Loopback => self.loopback,
            AddressKind::LinkLocal => self.link_local,
            AddressKind::Private | AddressKind::Global => true,
            AddressKind::Unusable => false,
        };
        family
            && kind
            && (self.deprecated || !address.deprecated)
            && self.accept.as_ref().is_none_or(|accept| accept(address))
    }
}

impl Default for InterfaceFilter {
    fn default() -> Self {
        Self { ipv4: true, ipv6: true, loopback: false, link_local: false, deprecated: false, accept: None }
    }
}

impl fmt::Debug for InterfaceFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterfaceFilter")
            .field("ipv4", &self.ipv4)
            .field("ipv6", &self.ipv6)
            .field("loopback", &self.loopback)
            .field("link_local", &self.link_local)
            .field("deprecated", &self.deprecated)
            .field("accept", &self.accept.is_some())
            .finish()
    }
}

/// What Linux says of each IPv6 address beyond the list of interfaces.
#[derive(Default)]
struct Ipv6Traits(Vec<(Ipv6Addr, u8)>);

impl Ipv6Traits {
    const TEMPORARY: u8 = 0x01;
    const DEPRECATED: u8 = 0x20;

    fn of_this_machine() -> Self {
        // Other systems have no such file.
        std::fs::read_to_string("/proc/net/if_inet6")
            .map_or_else(|_| Self::default(), |text| Self::parse(&text))
    }

    /// Lines of: address, interface index, prefix length, scope, flags, all in hexadecimal, and a name.
    fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut fields = line.split_ascii_whitespace();
            let address = u128::from_str_radix(fields.next()?, 16).ok()?;
            let flags = u8::from_str_radix(fields.nth(3)?, 16).ok()?;
            Some((Ipv6Addr::from(address), flags))
        };
        Self(text.lines().filter_map(line).collect())
    }

    fn are_deprecated(&self, ip: IpAddr) -> bool {
        self.flags(ip) & Self::DEPRECATED != 0
    }

    fn are_temporary(&self, ip: IpAddr) -> bool {
        self.flags(ip) & Self::TEMPORARY != 0
    }

    fn flags(&self, ip: IpAddr) -> u8 {
        self.0.iter().find(|(address, _)| ip == *address).map_or(0, |(_, flags)| *flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(ip: &str) -> InterfaceAddress {
        let ip = ip.parse().unwrap();
        InterfaceAddress {
            interface: "eth0".into(),
            index: 7,
            ip,
            kind: AddressKind::of(ip),
            prefix: 24,
            network: NetworkKind::Unknown,
            point_to_point: false,
            deprecated: false,
            temporary: false,
        }
    }

    #[test]
    fn the_prefix_tells_who_is_on_the_link() {
        let of = |ip: &str, other: &str| address(ip).is_on_link(other.parse().unwrap());
        assert!(of("192.0.2.1", "192.0.2.200") && !of("192.0.2.1", "192.0.3.1"));
        assert!(of("2001:db8::1", "fe80::7") && !of("192.0.2.1", "fe80::7"));
        assert!(!of("192.0.2.1", "2001:db8::1"));
    }

    #[test]
    fn kinds_are_told_apart() {
        for (ip, kind) in [
            ("127.0.0.1", AddressKind::Loopback),
            ("::1", AddressKind::Loopback),
            ("169.254.1.1", AddressKind::LinkLocal),
            ("fe80::1", AddressKind::LinkLocal),
            ("febf::1", AddressKind::LinkLocal),
            ("192.168.1.1", AddressKind::Private),
            ("172.31.0.1", AddressKind::Private),
            ("fd00::2", AddressKind::Private),
            ("203.0.113.9", AddressKind::Global),
            ("2001:db8::1", AddressKind::Global),
            ("0.0.0.0", AddressKind::Unusable),
            ("::", AddressKind::Unusable),
            ("255.255.255.255", AddressKind::Unusable),
            ("224.0.0.251", AddressKind::Unusable),
            ("ff02::fb", AddressKind::Unusable),
            ("fec0::1", AddressKind::Unusable),
            ("::ffff:10.0.0.1", AddressKind::Unusable),
            ("::10.0.0.1", AddressKind::Unusable),
        ] {
            assert_eq!(AddressKind::of(ip.parse().unwrap()), kind, "{ip}");
        }
    }

    #[test]
    fn the_default_is_what_ice_may_gather() {
        let filter = InterfaceFilter::default();
        for (ip, passes) in [
            ("127.0.0.1", false),
            ("::1", false),
            ("169.254.1.1", false),
            ("fe80::1", false),
            ("192.0.2.1", true),
            ("fd00::2", true),
            ("fec0::1", false),
            ("::ffff:10.0.0.1", false),
        ] {
            assert_eq!(filter.passes(&address(ip)), passes, "{ip}");
        }
        let mut old = address("2001:db8::1");
        old.deprecated = true;
        assert!(!filter.passes(&old));
        assert!(InterfaceFilter { deprecated: true, ..filter }.passes(&old));
    }

    #[test]
    fn families_names_and_addresses_can_be_chosen() {
        let only_v6 = InterfaceFilter { ipv4: false, ..InterfaceFilter::default() };
        assert!(!only_v6.passes(&address("192.0.2.1")) && only_v6.passes(&address("fd00::2")));
        let by_name = InterfaceFilter::default().with_accept(|address| address.interface.starts_with("wlan"));
        assert!(!by_name.passes(&address("192.0.2.1")));
        let by_address =
            InterfaceFilter::default().with_accept(|address| address.ip.to_string().ends_with(".9"));
        assert!(by_address.passes(&address("192.0.2.9")) && !by_address.passes(&address("192.0.2.1")));
        // What is accepted must still be usable.
        let all = InterfaceFilter::default().with_accept(|_| true);
        assert!(!all.passes(&address("127.0.0.1")));
    }

    #[test]
    fn a_link_local_address_keeps_its_interface() {
        assert_eq!(address("fe80::1").with_port(9).to_string(), "[fe80::1%7]:9");
        assert_eq!(address("2001:db8::1").with_port(9).to_string(), "[2001:db8::1]:9");
    }

    #[test]
    fn linux_says_which_addresses_are_temporary_or_deprecated() {
        let traits = Ipv6Traits::parse(
            "20010db8000000000000000000000001 02 40 00 20     eth0\n\
             20010db8000000000000000000000002 02 40 00 01     eth0\n\
             malformed line\n\
             fe80000000000000000000fffe000001 02 40 20 80     eth0\n",
        );
        let ip = |text: &str| text.parse().unwrap();
        assert!(traits.are_deprecated(ip("2001:db8::1")) && !traits.are_temporary(ip("2001:db8::1")));
        assert!(!traits.are_deprecated(ip("2001:db8::2")) && traits.are_temporary(ip("2001:db8::2")));
        assert!(!traits.are_deprecated(ip("192.0.2.1")));
    }

    #[test]
    fn this_machine_has_a_loopback_address_that_is_not_used_by_default() {
        let loopback = InterfaceFilter { loopback: true, ..InterfaceFilter::default() };
        let found = interfaces(&loopback).unwrap();
        let lo = found.iter().find(|address| address.ip == IpAddr::from([127, 0, 0, 1])).unwrap();
        assert_eq!(lo.kind, AddressKind::Loopback);
        assert!(!lo.interface.is_empty() && lo.index > 0);
        let usual = interfaces(&InterfaceFilter::default()).unwrap();
        assert!(usual.iter().all(|address| address.kind != AddressKind::Loopback && found.contains(address)));
    }
}
