//! Addresses of this machine, and what is known of their networks.

use std::fmt;
use std::net::SocketAddr;

/// An address of this machine with what is known of its network: what a candidate is gathered from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct HostAddress {
    /// The address and the port of the socket.
    pub address: SocketAddr,
    /// What kind of network it is of.
    pub network: NetworkKind,
    /// The name of the interface, if it is known.
    pub interface: Option<String>,
    /// The name that is told in its place, such as one of mDNS (RFC 8828 §5.2): who resolves it is on the link.
    pub name: Option<String>,
}

impl HostAddress {
    /// An address of a network of which nothing is known.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, network: NetworkKind::Unknown, interface: None, name: None }
    }

    /// The same of an interface with a name and a network of a kind.
    #[must_use]
    pub fn of(self, interface: impl Into<String>, network: NetworkKind) -> Self {
        Self { interface: Some(interface.into()), network, ..self }
    }

    /// The same that is told by a name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }
}

impl From<SocketAddr> for HostAddress {
    fn from(address: SocketAddr) -> Self {
        Self::new(address)
    }
}

/// A kind of network (W3C `RTCNetworkType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NetworkKind {
    /// A cable.
    Ethernet,
    /// A wireless local network.
    Wifi,
    /// That of a mobile carrier.
    Cellular,
    /// A tunnel.
    Vpn,
    /// This machine alone.
    Loopback,
    /// Not known.
    #[default]
    Unknown,
}

impl NetworkKind {
    /// What libwebrtc takes the use of such a network to cost, from 0 to 999. `None` where nothing is known, for which it
    /// has 50: it is not told, and counts nothing.
    pub fn cost(self) -> Option<u16> {
        match self {
            Self::Ethernet | Self::Loopback => Some(0),
            Self::Wifi => Some(10),
            Self::Vpn => Some(1),
            Self::Cellular => Some(900),
            Self::Unknown => None,
        }
    }

    /// The name in the W3C's statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ethernet | Self::Loopback => "ethernet",
            Self::Wifi => "wifi",
            Self::Cellular => "cellular",
            Self::Vpn => "vpn",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for NetworkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
