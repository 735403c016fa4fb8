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

    /// What its checks have shown, in words.
    fn describe_pair(f: &mut fmt::Formatter<'_>, status: &CandidatePairStatus) -> fmt::Result {
        let (local, remote) = (status.pair.local.kind.name(), status.pair.remote.kind.name());
        let path = status.pair.path;
        write!(f, "{} ({local}) to {} ({remote}) ", path.local, path.remote)?;
        match (status.state, status.requests_sent, status.responses_received) {
            (CandidatePairState::Frozen | CandidatePairState::Waiting, 0, _) => {
                f.write_str("was not checked")
            }
            (state, 1, 0) => write!(f, "{state}, no answer to one check"),
            (state, sent, 0) => write!(f, "{state}, no answer to {sent} checks"),
            (state, sent, answered) => write!(f, "{state}, {answered} answers to {sent} checks"),
        }
    }
}

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
            IceFailureCause::NoAnswer => write!(f, "none of {pairs} candidate pairs works"),
            IceFailureCause::ConsentExpired => f.write_str("the peer does not answer any more"),
            IceFailureCause::Unknown => f.write_str("no candidate pair works"),
        }?;
        for status in self.pairs.iter().take(Self::MAX_NAMED) {
            f.write_str("; ")?;
            Self::describe_pair(f, status)?;
        }
        for error in self.candidate_errors.iter().take(Self::MAX_NAMED) {
            write!(f, "; {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for IceFailure {}
