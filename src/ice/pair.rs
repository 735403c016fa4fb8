//! Candidate pairs, RFC 8445 §6.1.2.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::layer::{FiveTuple, IceRole, StreamToken};
use crate::stun::{Retransmission, TransactionId};

/// Names a pair as long as it is in the check list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PairId(pub(super) u64);

/// RFC 8445 §6.1.2.6
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PairState {
    Frozen,
    Waiting,
    InProgress,
    Succeeded,
    Failed,
}

/// Why a pair deserves a place, the weakest reason first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    /// The peer said that it can be reached there.
    Said,
    /// So it did, and the address is on a link of this side: no router is needed.
    OnLink,
    /// An authentic check of the peer came that way.
    Proven,
}

/// A base on this side and a remote candidate.
///
/// A reflexive local candidate has no pairs of its own: they would be the same as those of its base, and RFC
/// 8445 §6.1.2.4 prunes them.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) id: PairId,
    pub(super) base: usize,
    pub(super) remote: usize,
    pub(super) path: FiveTuple,
    pub(super) foundation: PairFoundation,
    pub(super) claim: Claim,
    pub(super) local_priority: u32,
    pub(super) remote_priority: u32,
    pub(super) priority: u64,
    pub(super) state: PairState,
    /// The check under way.
    pub(super) check: Option<Check>,
    /// Checks that are no longer repeated but whose responses still count (RFC 8445 §7.3.1.4), and the role
    /// they were sent in.
    pub(super) cancelled: SmallVec<[(TransactionId, IceRole); 1]>,
    /// The local candidate that the peer saw, once a check has succeeded and until one fails.
    pub(super) local: Option<usize>,
    /// When a check of it succeeded last.
    pub(super) answered: Option<Instant>,
    /// The peer sent an authentic check on this path.
    pub(super) checked_by_peer: bool,
    /// When an authentic check or answer of the peer came by it last.
    pub(super) heard: Option<Instant>,
    /// It has worked, and is not to be selected before it answers again. The one that is selected serves on until
    /// another can, or its consent expires.
    pub(super) has_lapsed: bool,
    /// Another is nominated, and this one is to stand by: nothing waits for its check.
    pub(super) is_in_reserve: bool,
    pub(super) nomination: Nomination,
    /// The stream that its path is, of a pair that needs one.
    pub(super) stream: PairStream,
    /// Which nomination of the controlling side it was, where that counts them: of several the last decides.
    pub(super) nomination_value: u32,
    /// What the networks of both sides cost, as far as it is known: less goes before a higher priority.
    pub(super) cost: u32,
    pub(super) counters: PairCounters,
}

/// The stream that the path of a pair is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PairStream {
    /// It takes datagrams, or the peer has opened the stream.
    There,
    /// It is to be opened before the first check (RFC 6544 §7.1), after it broke so often.
    Wanted { broken: u8 },
    /// It was asked for.
    Opening { token: StreamToken, broken: u8 },
    /// This side has opened it.
    Open { broken: u8 },
}

/// What is counted of a pair, for statistics.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PairCounters {
    pub(super) requests_sent: u64,
    pub(super) requests_received: u64,
    pub(super) responses_received: u64,
    pub(super) responses_sent: u64,
    pub(super) round_trip_time: Option<Duration>,
    pub(super) total_round_trip_time: Duration,
}

impl PairCounters {
    /// Whether a quarter of many questions went unanswered.
    pub(super) fn loses_much(&self) -> bool {
        const MANY: u64 = 8;
        self.requests_sent >= MANY && self.responses_received * 4 < self.requests_sent * 3
    }

    /// An answer came; `round_trip_time` after its question, where it is known which one that was.
    pub(super) fn answered(&mut self, round_trip_time: Option<Duration>) {
        self.responses_received += 1;
        if let Some(round_trip_time) = round_trip_time {
            self.round_trip_time = Some(round_trip_time);
            self.total_round_trip_time += round_trip_time;
        }
    }
}

/// The foundations of both candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PairFoundation {
    pub(super) local: Box<str>,
    pub(super) remote: Box<str>,
}

/// How far the nomination of a pair has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nomination {
    /// Nobody wants it.
    None,
    /// The controlling side has asked: with its check still to succeed here, or with its own under way.
    Requested,
    /// It is nominated.
    Done,
    /// It was, or may be as the peer sees it, and this side has left it because it did not answer: the peer may go on
    /// to use it.
    Withdrawn,
}

/// One connectivity check.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) id: TransactionId,
    pub(super) started: Instant,
    pub(super) retransmission: Retransmission,
    pub(super) role: IceRole,
    /// As it was sent first: a repetition says the same.
    pub(super) tie_breaker: u64,
    pub(super) use_candidate: bool,
    pub(super) nomination: Option<u32>,
}

impl Pair {
    /// Less often than a peer checks what it chooses from, and more often than one that stands by.
    const QUIET: Duration = Duration::from_secs(1);

    /// How many cancelled checks are remembered.
    const MAX_CANCELLED: usize = 4;

    /// Whether the peer has said nothing by it for a while.
    pub(super) fn is_quiet(&self, now: Instant) -> bool {
        self.heard.is_none_or(|heard| now >= heard + Self::QUIET)
    }

    /// Whether data had better be sent on it than on another.
    pub(super) fn is_better_than(&self, other: &Self) -> bool {
        (self.cost, std::cmp::Reverse(self.priority)) < (other.cost, std::cmp::Reverse(other.priority))
    }

    /// Whether data can be sent on it.
    pub(super) fn is_valid(&self) -> bool {
        self.local.is_some()
    }

    /// Whether a check with this identifier was sent and its response is still to come.
    pub(super) fn awaits(&self, id: TransactionId) -> bool {
        self.check.as_ref().is_some_and(|check| check.id == id)
            || self.cancelled.iter().any(|(cancelled, _)| *cancelled == id)
    }

    /// How long the answer to a check took. One that was repeated does not tell which sending was answered.
    pub(super) fn round_trip_time(&self, now: Instant, id: TransactionId) -> Option<Duration> {
        let check = self.check.as_ref().filter(|check| check.id == id && check.retransmission.sent() == 1)?;
        Some(now.saturating_duration_since(check.started))
    }

    /// The response to a check has come: the role that it was sent in, and whether it was to nominate.
    pub(super) fn take_check(&mut self, id: TransactionId) -> Option<(IceRole, bool)> {
        if let Some(check) = self.check.take_if(|check| check.id == id) {
            return Some((check.role, check.use_candidate));
        }
        let position = self.cancelled.iter().position(|(cancelled, _)| *cancelled == id)?;
        // A cancelled check was followed by one that nominates, if any is to.
        Some((self.cancelled.remove(position).1, false))
    }

    /// It does not answer, or not the check that was to nominate it.
    pub(super) fn withdraw(&mut self) {
        if self.nomination != Nomination::None {
            self.nomination = Nomination::Withdrawn;
        }
    }

    /// Stops repeating the check under way, and still takes its response.
    pub(super) fn cancel_check(&mut self) {
        if let Some(check) = self.check.take() {
            if self.cancelled.len() == Self::MAX_CANCELLED {
                self.cancelled.remove(0);
            }
            self.cancelled.push((check.id, check.role));
        }
    }
}
