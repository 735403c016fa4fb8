//! Datagrams that arrive, and paths.

use std::fmt;
use std::net::SocketAddr;

/// A datagram that arrived, in a buffer that the receiver may change.
pub struct Datagram<'a> {
    /// The path it came by.
    pub path: FiveTuple,
    /// The ECN field of its IP header, where the socket told.
    pub ecn: Option<Ecn>,
    /// Its payload.
    pub bytes: &'a mut [u8],
}

impl<'a> Datagram<'a> {
    /// A datagram without an ECN mark.
    pub fn new(path: FiveTuple, bytes: &'a mut [u8]) -> Self {
        Self { path, ecn: None, bytes }
    }

    /// The same datagram, for a shorter time: what one layer refused can be shown to another.
    pub fn reborrow(&mut self) -> Datagram<'_> {
        Datagram { path: self.path, ecn: self.ecn, bytes: &mut *self.bytes }
    }
}

impl fmt::Debug for Datagram<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagram")
            .field("path", &self.path)
            .field("ecn", &self.ecn)
            .field("len", &self.bytes.len())
            .finish()
    }
}

/// A path between two transport addresses, seen from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FiveTuple {
    /// The transport protocol.
    pub protocol: Protocol,
    /// The address on this side.
    pub local: SocketAddr,
    /// The address on the other side.
    pub remote: SocketAddr,
}

impl FiveTuple {
    /// A UDP path.
    pub const fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { protocol: Protocol::Udp, local, remote }
    }

    /// A path that is a stream.
    pub const fn tcp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { protocol: Protocol::Tcp, local, remote }
    }
}

/// A transport protocol that carries datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP, with TLS or without; what tells datagrams apart is agreed on when a stream is opened
    /// ([`Framing`](super::Framing)).
    Tcp,
    /// DTLS over UDP, from a socket of its own.
    Dtls,
}

/// An ECN mark other than Not-ECT, RFC 3168 §5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// ECN-capable transport, codepoint 0b10.
    Ect0,
    /// ECN-capable transport, codepoint 0b01; the low-latency service of RFC 9331.
    Ect1,
    /// Congestion experienced, codepoint 0b11.
    Ce,
}

impl Ecn {
    /// The mark in the two low bits of a traffic-class byte; `None` for Not-ECT.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits & 0b11 {
            0b10 => Some(Self::Ect0),
            0b01 => Some(Self::Ect1),
            0b11 => Some(Self::Ce),
            _ => None,
        }
    }

    /// The two bits of the traffic-class byte.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Ect0 => 0b10,
            Self::Ect1 => 0b01,
            Self::Ce => 0b11,
        }
    }
}
