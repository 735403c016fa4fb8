//! Addresses in attributes, RFC 8489 §14.1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::header::{MAGIC_COOKIE, TransactionId};

const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// The value of an address attribute in its first so many bytes (RFC 8489 §14.1).
pub(super) fn encode(address: SocketAddr) -> ([u8; 20], usize) {
    let mut value = [0; 20];
    value[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => {
            value[1] = IPV4;
            value[4..8].copy_from_slice(&ip.octets());
            (value, 8)
        }
        IpAddr::V6(ip) => {
            value[1] = IPV6;
            value[4..20].copy_from_slice(&ip.octets());
            (value, 20)
        }
    }
}

pub(super) fn decode(value: &[u8]) -> Option<SocketAddr> {
    let (header, ip) = value.split_first_chunk::<4>()?;
    let ip = match (header[1], ip.len()) {
        (IPV4, 4) => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?)),
        (IPV6, 16) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([header[2], header[3]])))
}

/// The address XORed with the magic cookie and the transaction identifier; its own inverse (RFC 8489 §14.2).
pub(super) fn xor(address: SocketAddr, id: TransactionId) -> SocketAddr {
    let port = address.port() ^ (MAGIC_COOKIE >> 16) as u16;
    let ip = match address.ip() {
        IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() ^ MAGIC_COOKIE)),
        IpAddr::V6(ip) => {
            let mut mask = [0; 16];
            mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
            mask[4..].copy_from_slice(&id.0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() ^ u128::from_be_bytes(mask)))
        }
    };
    SocketAddr::new(ip, port)
}

/// Whether `next`, which `server` names, may be sent to: of the same family (RFC 8489 §10), a host, and no loopback
/// address, which would aim this side at its own machine.
pub(super) fn may_be_asked(server: SocketAddr, next: SocketAddr) -> bool {
    let is_there = next.is_ipv4() == server.is_ipv4() && next.port() != 0;
    let is_remote = !next.ip().to_canonical().is_loopback() || server.ip().is_loopback();
    is_there && is_remote && !next.ip().is_unspecified() && !next.ip().is_multicast()
}
