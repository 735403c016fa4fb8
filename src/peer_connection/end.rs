//! Why a connection or an endpoint has ended, when neither application nor peer ended it.

use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::layer::FiveTuple;

/// Why an [`Endpoint`](super::Endpoint) has ended. Its connections are closed.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum EndpointEnded {
    /// The socket is of no use any more.
    #[error("the socket of the endpoint is lost: {0}; bind a new endpoint")]
    Socket(#[source] Arc<io::Error>),
    /// The tokio runtime that it was bound in was shut down.
    #[error("the tokio runtime of the endpoint was shut down; bind a new endpoint in one that runs")]
    Runtime,
}

/// Why a connection has ended.
#[derive(Clone, Debug)]
pub(super) enum ConnectionEnd {
    Endpoint(EndpointEnded),
    /// Another connection has the only path.
    PathInUse(FiveTuple),
}
