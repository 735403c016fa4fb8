//! Which addresses make a client or a server of discovery.

use std::net::SocketAddr;

use thiserror::Error;

/// Why addresses are of no use to discovery.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidAddresses {
    /// One of them is that of all interfaces, of a group, or has no port.
    #[error("{0} is no address of one host with a port")]
    NoHost(SocketAddr),
    /// They are of different families.
    #[error("{0} and {1} are of different families; IPv4 and IPv6 are examined apart")]
    Families(SocketAddr, SocketAddr),
    /// They have to differ, and do not.
    #[error(
        "{0} and {1} do not differ enough: a client needs two sockets, a server two IP addresses and two ports"
    )]
    Same(SocketAddr, SocketAddr),
}

pub(super) fn check_hosts(addresses: &[SocketAddr]) -> Result<(), InvalidAddresses> {
    let Some(first) = addresses.first() else { return Ok(()) };
    for address in addresses {
        if address.ip().is_unspecified() || address.ip().is_multicast() || address.port() == 0 {
            return Err(InvalidAddresses::NoHost(*address));
        }
        if address.is_ipv4() != first.is_ipv4() {
            return Err(InvalidAddresses::Families(*first, *address));
        }
    }
    Ok(())
}

/// Whether two addresses of a server differ as RFC 5780 §3 wants it.
pub(super) fn differ_in_both(a: SocketAddr, b: SocketAddr) -> bool {
    a.ip() != b.ip() && a.port() != b.port()
}
