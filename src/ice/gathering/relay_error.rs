//! Why a TURN server gives no candidate.

use crate::layer::{CandidateError, FiveTuple};
use crate::turn::{ConfigError, FailureCause};

/// What a server that holds the five-tuple for another allocation refuses with (RFC 8656 §5).
pub(super) const FIVE_TUPLE_TAKEN: &str = "it has an allocation for this address and port already; give each connection that wants a relay a socket of its own, or have those opened that are asked for";

/// Why there is no allocation at a server.
#[derive(Clone, Debug)]
pub(super) struct RelayError {
    path: FiveTuple,
    pub(super) code: u16,
    pub(super) reason: String,
}

impl RelayError {
    pub(super) fn of(path: FiveTuple, cause: &FailureCause) -> Self {
        let code = match cause {
            FailureCause::TimedOut { unproven: Some(code) } | FailureCause::Refused { code, .. } => {
                code.number()
            }
            FailureCause::Credentials(_) => 401,
            FailureCause::Redirection(_) => 300,
            // W3C WebRTC §4.8.3: no STUN error code says so.
            _ => CandidateError::UNREACHABLE,
        };
        Self { path, code, reason: cause.to_string() }
    }

    pub(super) fn silent(path: FiveTuple) -> Self {
        Self::of(path, &FailureCause::TimedOut { unproven: None })
    }

    pub(super) fn config(path: FiveTuple, error: &ConfigError) -> Self {
        Self { path, code: CandidateError::UNREACHABLE, reason: error.to_string() }
    }

    /// There is no stream to it.
    pub(super) fn stream(path: FiveTuple, reason: &str) -> Self {
        Self { path, code: CandidateError::UNREACHABLE, reason: reason.to_owned() }
    }

    pub(super) fn taken(path: FiveTuple, reason: &str) -> Self {
        Self { path, code: 437, reason: reason.to_owned() }
    }

    /// The same for whom the application tells it to.
    pub(super) fn candidate_error(&self) -> CandidateError {
        CandidateError::Relay {
            server: self.path.remote,
            base: self.path.local,
            code: self.code,
            reason: self.reason.clone(),
        }
    }
}
