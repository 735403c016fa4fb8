//! What becomes of a record that is not taken.

use super::alert::Alert;
use super::failure::Failure;
use super::record::Refusal;
use super::stats::Ignored;
use super::wire::Malformed;

/// Why a record led to nothing, or to the end.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// It is counted, and changes nothing else.
    Ignored(Ignored),
    /// The handshake cannot go on.
    Failed(Failure),
    /// The peer ended the connection, and it was the peer.
    Ended(Alert),
}

impl From<Ignored> for Rejection {
    fn from(ignored: Ignored) -> Self {
        Self::Ignored(ignored)
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self::Ignored(refusal.into())
    }
}

impl From<Malformed> for Rejection {
    fn from(Malformed(field): Malformed) -> Self {
        Self::Ignored(Ignored::Malformed(field))
    }
}

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
