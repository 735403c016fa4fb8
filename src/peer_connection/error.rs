use std::io;
use std::net::SocketAddr;

use super::end::{ConnectionEnd, EndpointEnded};
use crate::datachannel::DataChannelError;
use crate::dtls::DtlsError;
use crate::net::BindError;
use crate::rtp::payload::PacketizeError;
use crate::sdp;
use crate::session::SessionError;

/// Why a connection refused something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerConnectionError {
    /// The connection was closed, by this side or by the peer.
    #[error("the connection is closed")]
    Closed,
    /// The session refused.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A description is malformed.
    #[error(transparent)]
    Sdp(#[from] sdp::ParseError),
    /// A data channel refused.
    #[error(transparent)]
    DataChannel(#[from] DataChannelError),
    /// The socket could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] DtlsError),
    /// The interfaces of this machine could not be listed.
    #[error("the interfaces of this machine cannot be listed: {0}")]
    Interfaces(#[source] io::Error),
    /// A server's URL is malformed.
    #[error("\"{0}\" is not the URL of a STUN server; expected stun:HOST or stun:HOST:PORT")]
    ServerUrl(String),
    /// A frame cannot be split into packets.
    #[error(transparent)]
    Frame(#[from] PacketizeError),
    /// Frames of this codec cannot be split into packets here; send packets instead.
    #[error("frames of {0} cannot be split into packets; send RTP packets instead")]
    UnsupportedCodec(String),
    /// The endpoint of the connection has ended, and the connection with it.
    #[error(transparent)]
    EndpointEnded(#[from] EndpointEnded),
    /// Another connection between the same two sockets is there already, and datagrams cannot be told apart.
    #[error(
        "another connection has the path from {local} to {remote}; give one of the two an endpoint of its own"
    )]
    PathInUse {
        /// The address of this side.
        local: SocketAddr,
        /// The address of the peer.
        remote: SocketAddr,
    },
    /// Nothing can be sent now.
    #[error("the send buffer is full")]
    WouldBlock,
}

impl From<&ConnectionEnd> for PeerConnectionError {
    fn from(end: &ConnectionEnd) -> Self {
        match end {
            ConnectionEnd::Endpoint(end) => Self::EndpointEnded(end.clone()),
            ConnectionEnd::PathInUse(path) => Self::PathInUse { local: path.local, remote: path.remote },
        }
    }
}
