use std::net::SocketAddrV6;

use super::*;

/// An address within each range that is denied, with the first and the last one.
pub(in crate::turn::server) fn special_ipv4() -> Vec<Ipv4Addr> {
    let mut all = Vec::new();
    for range in special_purpose::IPV4 {
        let IpAddr::V4(first) = range.address() else { panic!("{range}") };
        let size = 1u64 << (32 - range.prefix());
        for step in [0, size / 2, size - 1] {
            all.push(Ipv4Addr::from_bits((u64::from(first.to_bits()) + step) as u32));
        }
    }
    let of_clouds = ["169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16"];
    all.extend(of_clouds.map(|address| address.parse::<Ipv4Addr>().unwrap()));
    all
}

/// Every IPv6 address that has an IPv4 one in it.
pub(in crate::turn::server) fn disguises(address: Ipv4Addr) -> Vec<Ipv6Addr> {
    let [a, b, c, d] = address.octets();
    let [w, x, y, z] = address.octets().map(|octet| !octet);
    [
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d],
        [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, a, b, c, d],
        [0x20, 2, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        [0x20, 1, 0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0],
        [0x20, 1, 0, 0, 8, 8, 8, 8, 0, 0, 0, 0, w, x, y, z],
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d],
        [0, 0x64, 0xff, 0x9b, 0, 1, a, b, 0, c, d, 0, 0, 0, 0, 0],
        [0, 0x64, 0xff, 0x9b, 0, 1, 0, a, 0, b, c, d, 0, 0, 0, 0],
        [0, 0x64, 0xff, 0x9b, 0, 1, 0, 0, 0, a, b, c, d, 0, 0, 0],
        [0, 0x64, 0xff, 0x9b, 0, 1, 0, 0, 0, 0, 0, 0, a, b, c, d],
        [0x26, 0, 0, 1, 0, 2, 0, 3, 0, 0, 0x5e, 0xfe, a, b, c, d],
        [0x26, 0, 0, 1, 0, 2, 0, 3, 2, 0, 0x5e, 0xfe, a, b, c, d],
    ]
    .map(Ipv6Addr::from)
    .into()
}

#[test]
fn every_special_range_in_every_disguise_is_denied() {
    let policy = PeerPolicy::default();
    for address in special_ipv4() {
        assert!(!policy.permits_address(address.into()), "{address}");
        for disguise in disguises(address) {
            assert!(!policy.permits(SocketAddr::new(disguise.into(), 4000)), "{address} as {disguise}");
        }
    }
    for range in special_purpose::IPV6 {
        let IpAddr::V6(first) = range.address() else { panic!("{range}") };
        let last = first.to_bits() | u128::MAX.checked_shr(range.prefix().into()).unwrap_or(0);
        for address in [first, Ipv6Addr::from_bits(last), Ipv6Addr::from_bits(first.to_bits() | 1)] {
            assert!(!policy.permits_address(address.into()), "{address} of {range}");
        }
    }
}

#[test]
fn a_disguise_is_denied_though_its_own_form_is_allowed() {
    let forms: [&str; 6] =
        ["::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "2002::/16", "2001::/23", "64:ff9b::/32"];
    let policy = forms.iter().fold(PeerPolicy::default(), |policy, form| policy.allow(form.parse().unwrap()));
    // 64:ff9b:1::/48 has four lengths of prefixes, of which any may be meant.
    for disguise in special_ipv4().into_iter().flat_map(disguises) {
        if disguise.is_unspecified() || disguise.is_loopback() {
            continue;
        }
        assert!(!policy.permits_address(disguise.into()), "{disguise}");
    }
    for disguise in disguises(Ipv4Addr::new(8, 8, 4, 4)) {
        let octets = disguise.octets();
        if octets[..6] != [0, 0x64, 0xff, 0x9b, 0, 1] && octets[..4] != [0x20, 1, 0, 0] {
            assert!(policy.permits_address(disguise.into()), "{disguise}");
        }
    }
}

#[test]
fn what_is_public_is_permitted() {
    let policy = PeerPolicy::default();
    for address in
        ["8.8.4.4", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "223.255.255.254"]
    {
        assert!(policy.permits_address(address.parse().unwrap()), "{address}");
    }
    for address in ["2600::1", "2a00:1450:4001::1", "2001:4860:4860::8888", "2001:200::1"] {
        assert!(policy.permits_address(address.parse().unwrap()), "{address}");
    }
}

#[test]
fn scopes_ports_and_addresses_are_denied() {
    let public: Ipv6Addr = "2600::1".parse().unwrap();
    let policy = PeerPolicy::default().deny_port(25).deny_address("8.8.4.4:3478".parse().unwrap());
    assert!(policy.permits(SocketAddrV6::new(public, 7, 0, 0).into()));
    assert!(!policy.permits(SocketAddrV6::new(public, 7, 0, 3).into()), "a scope");
    for (peer, is_permitted) in
        [("8.8.4.4:3478", false), ("8.8.4.4:3479", true), ("8.8.4.5:25", false), ("8.8.4.5:0", false)]
    {
        assert_eq!(policy.permits(peer.parse().unwrap()), is_permitted, "{peer}");
    }
}

#[test]
fn what_the_operator_denies_stays_denied_in_every_form() {
    let policy = PeerPolicy::default()
        .allow("10.0.0.0/8".parse().unwrap())
        .allow("64:ff9b::/96".parse().unwrap())
        .deny("10.1.0.0/16".parse().unwrap());
    for (address, is_permitted) in [
        ("10.2.0.1", true),
        ("10.1.0.1", false),
        ("64:ff9b::10.2.0.1", true),
        ("64:ff9b::10.1.0.1", false),
        ("::ffff:10.2.0.1", false),
    ] {
        assert_eq!(policy.permits_address(address.parse().unwrap()), is_permitted, "{address}");
    }
}

#[test]
fn prefixes_of_the_network_are_looked_into() {
    for (prefix, address) in [
        ("2a00:1::/32", "2a00:1:a00:1::"),
        ("2a00:1::/40", "2a00:1:a:0:1::"),
        ("2a00:1::/48", "2a00:1:0:a00:0:100::"),
        ("2a00:1::/56", "2a00:1:0:a:0:1::"),
        ("2a00:1::/64", "2a00:1::a:0:100:0"),
        ("2a00:1::/96", "2a00:1::10.0.0.1"),
    ] {
        let policy = PeerPolicy::default();
        assert!(policy.permits_address(address.parse().unwrap()), "{address} tells nothing by itself");
        let policy = policy.with_nat64_prefix(prefix.parse().unwrap());
        assert!(!policy.permits_address(address.parse().unwrap()), "{address} of {prefix}");
    }
}
