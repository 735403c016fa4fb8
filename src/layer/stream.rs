//! Streams that carry datagrams, and that a layer asks for.

use std::net::SocketAddr;

use super::FiveTuple;

/// Names a stream from when it is asked for until it has a path. Unique within the layer that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamToken(pub u64);

/// How datagrams are told apart in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// Each behind its length in two bytes, RFC 4571 §2: the streams of ICE candidates (RFC 6544 §3). Who carries the
    /// datagrams writes and takes the length.
    Length,
    /// Each is a STUN message or ChannelData padded to four bytes, which tell their length themselves: streams to STUN and
    /// TURN servers (RFC 8489 §6.2.2, RFC 8656 §12.5).
    Stun,
    /// They are not: the bytes of the stream are handed over as they come, in pieces of any length, and what is sent leaves as
    /// it is. Nothing of it is ever dropped: a stream breaks by which more is sent than the other side takes. It ends when
    /// either side has ended what it sends.
    Bytes,
    /// Each is in a record of DTLS over UDP (RFC 7350): no stream, but opened, verified and closed as one. The path is of
    /// [`Protocol::Dtls`](super::Protocol::Dtls).
    Records,
    /// None: no stream, but a UDP socket of its own, with a port that no other has, for who needs another five-tuple than
    /// that of the socket which all share. It is opened and closed as a stream; its path is of
    /// [`Protocol::Udp`](super::Protocol::Udp), and is told by its local address alone: others than the remote one may be
    /// sent to by it, too.
    Datagrams,
}

/// What a layer asks of those who carry its datagrams; see [`Layer::poll_stream`](super::Layer::poll_stream).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamRequest {
    /// Open a stream. [`StreamReport::Opened`] or [`StreamReport::Failed`] follows.
    Open(StreamOpening),
    /// A stream that is not open yet is not wanted any more. Nothing follows.
    Abandon(StreamToken),
    /// Close a stream, once what was sent before has left. Nothing follows.
    Close(FiveTuple),
    /// A stream that the other side has opened is to stay: its first messages were authentic. One of which nobody says so
    /// is closed soon.
    Keep(FiveTuple),
}

/// A stream to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamOpening {
    /// What reports name it by until it has a path.
    pub token: StreamToken,
    /// The address of this machine to connect from. The port is chosen by the system where this one is 0. From another one
    /// streams may be taken, too. With [`Framing::Length`] the other side opens the same one then (simultaneous open, RFC
    /// 6544): a refusal is no answer before its time is up, and a stream that the other side has opened will do.
    pub local: SocketAddr,
    /// Where to connect to.
    pub remote: SocketAddr,
    /// How datagrams are told apart in it.
    pub framing: Framing,
    /// With TLS, and with DTLS: the name or the IP address that the certificate of the other side must be for.
    pub tls: Option<String>,
}

impl StreamOpening {
    /// One over TCP alone.
    pub fn new(token: StreamToken, local: SocketAddr, remote: SocketAddr, framing: Framing) -> Self {
        Self { token, local, remote, framing, tls: None }
    }
}

/// What a layer is told of streams.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamReport {
    /// A stream is open, and datagrams go by this path.
    Opened {
        /// What it was asked for by.
        token: StreamToken,
        /// The path of its datagrams, which no other stream has while it is open.
        path: FiveTuple,
    },
    /// A stream cannot be opened.
    Failed {
        /// What it was asked for by.
        token: StreamToken,
        /// Why, and what to do.
        reason: String,
    },
    /// The other side has closed a stream, or it broke.
    Closed {
        /// The path that it was.
        path: FiveTuple,
        /// Why.
        reason: String,
    },
}

/// What is spoken to a TURN server (W3C `RTCIceServerTransportProtocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum RelayProtocol {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl RelayProtocol {
    /// The name in statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}
