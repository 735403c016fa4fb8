//! Why ICE has failed.

use std::fmt;
use std::net::SocketAddr;

use thiserror::Error;

use super::candidate_pair::{CandidatePairState, CandidatePairStatus};

/// Why ICE has failed: what was tried, and what went wrong.
///
/// Its text names addresses, as a user needs them to find out what is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IceFailure {
    /// What it comes down to.
    pub cause: IceFailureCause,
    /// How many candidates this side had.
    pub local_candidates: usize,
    /// How many candidates of the peer were known.
    pub remote_candidates: usize,
    /// How many pairs there were.
    pub pair_count: usize,
    /// The pairs and what their checks have shown, by falling priority: the first 32.
    pub pairs: Vec<CandidatePairStatus>,
    /// What went wrong with single candidates (W3C `icecandidateerror`).
    pub candidate_errors: Vec<CandidateError>,
}

/// What a failure of ICE comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IceFailureCause {
    /// This side has no address, and no further one was to come.
    NoLocalCandidates,
    /// The peer has told no candidate in time that can be used, and none of its checks has come.
    NoRemoteCandidates,
    /// No address of this side can reach one of the peer, such as IPv4 on one side and IPv6 on the other.
    NoPairs,
    /// No pair works.
    NoAnswer,
    /// What worked does not answer any more (RFC 7675).
    ConsentExpired,
    /// The agent does not tell.
    Unknown,
}

/// What went wrong with a candidate.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CandidateError {
    /// A STUN server did not answer: there is no server-reflexive candidate of this address.
    #[error("the STUN server {server} does not answer {base}")]
    ServerSilent {
        /// The server.
        server: SocketAddr,
        /// The address of this side that asked.
        base: SocketAddr,
    },
    /// A STUN server refused to tell.
    #[error("the STUN server {server} refuses {base} with the error {code}")]
    ServerRefused {
        /// The server.
        server: SocketAddr,
        /// The address of this side that asked.
        base: SocketAddr,
        /// The error code (RFC 8489 §14.8); 0 if it told none.
        code: u16,
    },
    /// There is no stream to a STUN server that is asked over TCP or TLS.
    #[error("the STUN server {server} is not reached from {base}: {reason}")]
    ServerUnreachable {
        /// The server.
        server: SocketAddr,
        /// The address of this side that asked.
        base: SocketAddr,
        /// Why, and what to do.
        reason: String,
    },
    /// A TURN server gave no relayed candidate.
    #[error("the TURN server {server} gives {base} no relayed address: {reason}")]
    Relay {
        /// The server.
        server: SocketAddr,
        /// The address of this side that asked.
        base: SocketAddr,
        /// The error code (RFC 8656 §18.6), or [`UNREACHABLE`](Self::UNREACHABLE).
        code: u16,
        /// Why, and what to do.
        reason: String,
    },
    /// The name of a candidate of the peer was not resolved (RFC 8828).
    #[error("the name {0} of a candidate of the peer is not known")]
    UnknownName(String),
    /// Candidates of the peer of kinds that this side does not use, such as TCP.
    #[error("{0} candidates of the peer are of a kind that is not used")]
    Unusable(usize),
    /// Addresses of this side that there was no room for.
    #[error("{0} addresses of this side are beyond the limit")]
    NoRoom(usize),
}

impl CandidateError {
    /// The code of what no STUN error code says: the server cannot be reached, or what it says is of no use (W3C WebRTC
    /// §4.8.3).
    pub const UNREACHABLE: u16 = 701;

    /// The error code that a server told, or [`UNREACHABLE`](Self::UNREACHABLE).
    pub fn code(&self) -> u16 {
        match self {
            Self::ServerRefused { code, .. } if *code != 0 => *code,
            Self::Relay { code, .. } => *code,
            _ => Self::UNREACHABLE,
        }
    }
}

impl IceFailure {
    /// Pairs that are kept at most.
    const MAX_PAIRS: usize = 32;
    /// Pairs and errors that its text names at most.
    const MAX_NAMED: usize = 8;

    /// A failure of which nothing else is known.
    pub fn new(cause: IceFailureCause) -> Self {
        Self {
            cause,
            local_candidates: 0,
            remote_candidates: 0,
            pair_count: 0,
            pairs: Vec::new(),
            candidate_errors: Vec::new(),
        }
    }

    /// The same with the pairs that were tried.
    #[must_use]
    pub fn with_pairs(mut self, mut pairs: Vec<CandidatePairStatus>) -> Self {
        self.pair_count = pairs.len();
        pairs.truncate(Self::MAX_PAIRS);
        pairs.shrink_to_fit();
        self.pairs = pairs;
        self
    }

    fn count_unnamed(f: &mut fmt::Formatter<'_>, count: usize) -> fmt::Result {
        match count {
            0 => Ok(()),
            count => write!(f, "; and {count} more"),
        }
    }

    /// What its checks have shown, in words.
    fn describe_pair(f: &mut fmt::Formatter<'_>, status: &CandidatePairStatus) -> fmt::Result {
        let (local, remote) = (status.pair.local.kind.name(), status.pair.remote.kind.name());
        let path = status.pair.path;
        write!(f, "{} ({local}) to {} ({remote}) ", path.local, path.remote)?;
        match (status.state, status.requests_sent, status.responses_received) {
            (CandidatePairState::Frozen | CandidatePairState::Waiting, 0, _) => {
                f.write_str("was not checked")
            }
            // Nothing is in progress any more.
            (CandidatePairState::InProgress, 1, 0) => f.write_str("given up, no answer to one check"),
            (CandidatePairState::InProgress, sent, 0) => write!(f, "given up, no answer to {sent} checks"),
            (CandidatePairState::InProgress, sent, answered) => {
                write!(f, "given up, {answered} answers to {sent} checks")
            }
            (state, 1, 0) => write!(f, "{state}, no answer to one check"),
            (state, sent, 0) => write!(f, "{state}, no answer to {sent} checks"),
            (state, sent, answered) => write!(f, "{state}, {answered} answers to {sent} checks"),
        }
    }
}

/// What to look at first.
const NO_ANSWER_HINT: &str =
    "is the peer running, and does a firewall let UDP through? Between some NATs only a relay helps";

impl fmt::Display for IceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (local, remote, pairs) = (self.local_candidates, self.remote_candidates, self.pair_count);
        match self.cause {
            IceFailureCause::NoLocalCandidates => {
                f.write_str("this side has no address to be reached at; loopback addresses count only where they are asked for")
            }
            IceFailureCause::NoRemoteCandidates => f.write_str("the peer has told no candidate that can be used"),
            IceFailureCause::NoPairs => write!(
                f,
                "none of the {local} candidates of this side can reach one of the {remote} of the peer"
            ),
            IceFailureCause::NoAnswer => write!(f, "none of {pairs} candidate pairs works ({NO_ANSWER_HINT})"),
            IceFailureCause::ConsentExpired => {
                f.write_str("the peer does not answer any more; it has ended without a word, or its network has")
            }
            IceFailureCause::Unknown => write!(f, "no candidate pair works ({NO_ANSWER_HINT})"),
        }?;
        for status in self.pairs.iter().take(Self::MAX_NAMED) {
            f.write_str("; ")?;
            Self::describe_pair(f, status)?;
        }
        let named = self.pairs.len().min(Self::MAX_NAMED);
        Self::count_unnamed(f, self.pair_count.saturating_sub(named))?;
        for error in self.candidate_errors.iter().take(Self::MAX_NAMED) {
            write!(f, "; {error}")?;
        }
        Self::count_unnamed(f, self.candidate_errors.len().saturating_sub(Self::MAX_NAMED))
    }
}

impl std::error::Error for IceFailure {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Candidate, CandidatePair, FiveTuple};

    fn status(number: u16, state: CandidatePairState) -> CandidatePairStatus {
        let candidate = |address: &str| -> Candidate {
            format!("1 1 udp 2130706431 {address} {} typ host", 1000 + number).parse().unwrap()
        };
        let (local, remote) = (candidate("10.0.0.1"), candidate("10.0.0.2"));
        let at = |host: &str| format!("{host}:{}", 1000 + number).parse().unwrap();
        let path = FiveTuple::udp(at("10.0.0.1"), at("10.0.0.2"));
        let mut status = CandidatePairStatus::new(CandidatePair { local, remote, path }, state);
        status.requests_sent = 7;
        status
    }

    #[test]
    fn its_text_says_what_to_do_and_how_much_it_leaves_out() {
        let pairs = (0..13).map(|number| status(number, CandidatePairState::InProgress)).collect();
        let mut failure = IceFailure::new(IceFailureCause::NoAnswer).with_pairs(pairs);
        failure.candidate_errors = vec![CandidateError::UnknownName("a.local".to_owned()); 9];
        let text = failure.to_string();
        assert!(text.contains("none of 13 candidate pairs works"), "{text}");
        assert!(text.contains("firewall") && text.contains("relay"), "{text}");
        assert!(!text.contains("in progress") && text.contains("given up, no answer to 7 checks"), "{text}");
        assert!(text.contains("; and 5 more") && text.ends_with("; and 1 more"), "{text}");
    }
}
