//! Candidate pairs.

use std::fmt;
use std::time::Duration;

use super::{Candidate, FiveTuple};

/// A pair of candidates that data can be sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CandidatePair {
    /// The local candidate.
    pub local: Candidate,
    /// The remote candidate.
    pub remote: Candidate,
    /// The path that datagrams take; its local address is the base of the local candidate.
    pub path: FiveTuple,
}

impl CandidatePair {
    /// A pair of these candidates, for which datagrams take `path`.
    pub fn new(local: Candidate, remote: Candidate, path: FiveTuple) -> Self {
        Self { local, remote, path }
    }
}

/// How far the check of a pair has come (RFC 8445 §6.1.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum CandidatePairState {
    /// It waits for a pair with the same foundation.
    Frozen,
    /// It is to be checked.
    Waiting,
    /// A check is under way.
    InProgress,
    /// A check had an answer.
    Succeeded,
    /// A check had none.
    Failed,
}

/// A pair and what its checks have shown (W3C `RTCIceCandidatePairStats`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CandidatePairStatus {
    /// The pair.
    pub pair: CandidatePair,
    /// How far its check has come.
    pub state: CandidatePairState,
    /// It was nominated.
    pub nominated: bool,
    /// Its priority (RFC 8445 §6.1.2.3); 0 if not known.
    pub priority: u64,
    /// Checks that were sent, with those repeated and those for consent.
    pub requests_sent: u64,
    /// Authentic checks of the peer.
    pub requests_received: u64,
    /// Authentic answers to checks.
    pub responses_received: u64,
    /// Answers to the peer's checks.
    pub responses_sent: u64,
    /// The last round-trip time that a check measured.
    pub current_round_trip_time: Option<Duration>,
    /// The sum of all that checks measured.
    pub total_round_trip_time: Duration,
}

impl CandidatePairStatus {
    /// A pair of which nothing was counted.
    pub fn new(pair: CandidatePair, state: CandidatePairState) -> Self {
        Self {
            pair,
            state,
            nominated: false,
            priority: 0,
            requests_sent: 0,
            requests_received: 0,
            responses_received: 0,
            responses_sent: 0,
            current_round_trip_time: None,
            total_round_trip_time: Duration::ZERO,
        }
    }
}

impl fmt::Display for CandidatePairState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frozen => "frozen",
            Self::Waiting => "waiting",
            Self::InProgress => "in progress",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        })
    }
}
