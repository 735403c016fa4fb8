//! Ranges that no peer of a relay on the Internet has: the special-purpose registries of IANA (RFC 6890), what is not
//! assigned as global unicast, and the addresses of cloud services.

use std::net::IpAddr;

use super::cidr::Cidr;

pub(super) const IPV4: [Cidr; 20] = [
    Cidr::v4(0, 0, 0, 8),        // this network, RFC 791
    Cidr::v4(10, 0, 0, 8),       // private use, RFC 1918
    Cidr::v4(100, 64, 0, 10),    // shared by carriers, RFC 6598
    Cidr::v4(127, 0, 0, 8),      // loopback, RFC 1122
    Cidr::v4(169, 254, 0, 16),   // link local, RFC 3927
    Cidr::v4(172, 16, 0, 12),    // private use, RFC 1918
    Cidr::v4(192, 0, 0, 24),     // protocol assignments, RFC 6890
    Cidr::v4(192, 0, 2, 24),     // documentation, RFC 5737
    Cidr::v4(192, 31, 196, 24),  // AS112, RFC 7535
    Cidr::v4(192, 52, 193, 24),  // AMT, RFC 7450
    Cidr::v4(192, 88, 99, 24),   // relays of 6to4, RFC 7526
    Cidr::v4(192, 168, 0, 16),   // private use, RFC 1918
    Cidr::v4(192, 175, 48, 24),  // AS112, RFC 7534
    Cidr::v4(198, 18, 0, 15),    // benchmarking, RFC 2544
    Cidr::v4(198, 51, 100, 24),  // documentation, RFC 5737
    Cidr::v4(203, 0, 113, 24),   // documentation, RFC 5737
    Cidr::v4(224, 0, 0, 4),      // multicast, RFC 5771
    Cidr::v4(240, 0, 0, 4),      // reserved, and the limited broadcast, RFC 1112
    Cidr::v4(168, 63, 129, 24),  // around 168.63.129.16, the platform of a cloud, which looks public
    Cidr::v4(255, 255, 255, 24), // the limited broadcast, RFC 919
];

pub(super) const IPV6: [Cidr; 24] = [
    // Unspecified, loopback, IPv4-compatible, IPv4-mapped and IPv4-translated, RFC 4291 §2.5.
    Cidr::v6([0, 0, 0, 0, 0, 0, 0, 0], 96),
    Cidr::v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
    Cidr::v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
    Cidr::v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), // NAT64, RFC 6052
    Cidr::v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), // NAT64 of local use, RFC 8215
    Cidr::v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64),     // discard, RFC 6666
    Cidr::v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64),     // dummy, RFC 9780
    // Protocol assignments: Teredo, benchmarking, ORCHID, anycast of PCP and TURN, and others, RFC 2928
    Cidr::v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    Cidr::v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation, RFC 3849
    Cidr::v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),     // 6to4, RFC 3056
    Cidr::v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), // AS112, RFC 7534
    Cidr::v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),     // documentation, RFC 9637
    Cidr::v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16),     // segment routing, RFC 9602
    Cidr::v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),      // unique local, RFC 4193
    Cidr::v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),     // link local, RFC 4291 §2.5.6
    Cidr::v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),     // site local, RFC 3879
    Cidr::v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),      // multicast, RFC 4291 §2.7
    // All but 2000::/3 is not assigned as global unicast, RFC 4291 §4.
    Cidr::v6([0, 0, 0, 0, 0, 0, 0, 0], 3),
    Cidr::v6([0x4000, 0, 0, 0, 0, 0, 0, 0], 3),
    Cidr::v6([0x6000, 0, 0, 0, 0, 0, 0, 0], 3),
    Cidr::v6([0x8000, 0, 0, 0, 0, 0, 0, 0], 3),
    Cidr::v6([0xa000, 0, 0, 0, 0, 0, 0, 0], 3),
    Cidr::v6([0xc000, 0, 0, 0, 0, 0, 0, 0], 3),
    Cidr::v6([0xe000, 0, 0, 0, 0, 0, 0, 0], 3),
];

pub(super) fn contains(address: IpAddr) -> bool {
    let ranges: &[Cidr] = if address.is_ipv4() { &IPV4 } else { &IPV6 };
    ranges.iter().any(|range| range.contains(address))
}
