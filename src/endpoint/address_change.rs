//! Addresses of this machine that come and go.

use std::net::SocketAddr;

use crate::layer::HostAddress;

/// Addresses of this machine that have come and gone, for
/// [`Endpoint::change_addresses`](super::Endpoint::change_addresses).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressChange {
    /// Where datagrams can be received now.
    pub added: Vec<HostAddress>,
    /// Where streams are taken now (RFC 6544 §4.1).
    pub passive: Vec<HostAddress>,
    /// Where streams are taken now, and opened from (simultaneous open, RFC 6544 §4.1).
    pub simultaneous: Vec<HostAddress>,
    /// Where datagrams were received. What takes streams at the same address goes with it.
    pub removed: Vec<SocketAddr>,
}
