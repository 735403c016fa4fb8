//! Why a session has failed or was closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use thiserror::Error;

use crate::layer::{DtlsError, IceFailure, SctpClose};

/// Why a connection has failed or was closed: what its state, its events, its futures and its errors tell alike.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureReason {
    /// ICE has failed: no pair of candidates works. An ICE restart may help.
    #[error("ICE: {0}")]
    Ice(#[source] Arc<IceFailure>),
    /// DTLS has failed, such as for a fingerprint that is not the one announced. The connection is over.
    #[error("DTLS: {0}")]
    Dtls(#[source] DtlsError),
    /// The SCTP association has ended: there are no data channels any more, and media goes on. A peer that closes the
    /// connection may abort the association a moment before it says so; [`ClosedByPeer`](Self::ClosedByPeer) takes its
    /// place then.
    #[error("data channels ended: {0}")]
    Sctp(#[source] SctpClose),
    /// The peer has refused data channels; media is not concerned.
    #[error("the peer has refused data channels")]
    DataRefused,
    /// The peer closed the connection.
    #[error("the peer closed the connection")]
    ClosedByPeer,
    /// The application closed the connection, or dropped its last handle.
    #[error("this side closed the connection")]
    Closed,
    /// The handler that took the connection's events has panicked.
    #[error("the handler of the connection's events has panicked")]
    HandlerPanicked,
    /// The endpoint that carried the connection has ended.
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
}

/// Why an endpoint, which carries the datagrams of connections, has ended. Its connections are closed.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum EndpointEnded {
    /// The socket is of no use any more.
    #[error("the socket of the endpoint is lost: {0}; bind a new endpoint")]
    Socket(#[source] Arc<io::Error>),
    /// The runtime that it was bound in was shut down.
    #[error("the runtime of the endpoint was shut down; bind a new endpoint in one that runs")]
    Runtime,
}

impl PartialEq for EndpointEnded {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Socket(a), Self::Socket(b)) => Arc::ptr_eq(a, b) || a.kind() == b.kind(),
            (Self::Runtime, Self::Runtime) => true,
            (Self::Socket(_), Self::Runtime) | (Self::Runtime, Self::Socket(_)) => false,
        }
    }
}

impl Eq for EndpointEnded {}

impl FailureReason {
    /// Whether the connection is over for good. An ICE restart may still help one that is not; what only data
    /// channels ended for leaves the connection as it is.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Ice(_) | Self::Sctp(_) | Self::DataRefused)
    }
}
