//! Whether a pair that worked still does, asked faster than consent would tell.

use std::time::{Duration, Instant};

use super::pair::PairId;
use crate::layer::{FiveTuple, IceRole};
use crate::stun::TransactionId;

/// A check of a pair that has worked, repeated at short intervals: some sign tells that the peer may have left it.
#[derive(Debug)]
pub(super) struct Verification {
    pub(super) pair: PairId,
    pub(super) path: FiveTuple,
    pub(super) id: TransactionId,
    /// As it was sent first: a repetition says the same.
    pub(super) role: IceRole,
    pub(super) tie_breaker: u64,
    pub(super) use_candidate: bool,
    pub(super) nomination: Option<u32>,
    started: Instant,
    interval: Duration,
    sent: u32,
    most: u32,
    due: Instant,
}

/// What a verification wants at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VerificationStep {
    Wait,
    Send,
    Unanswered,
}

/// How often a verification is sent: on a path that loses a tenth of the datagrams, one in 700 goes unanswered.
const MAX_SENT: u32 = 4;
/// The same on a path on which a quarter of the checks went unanswered before.
const MAX_SENT_ON_BAD_PATH: u32 = 10;
/// The time between two sendings on a path whose round-trip time is less, or is not known.
const LEAST_INTERVAL: Duration = Duration::from_millis(200);
const MAX_INTERVAL: Duration = Duration::from_secs(2);

impl Verification {
    pub(super) fn new(
        now: Instant,
        (pair, path): (PairId, FiveTuple),
        id: TransactionId,
        (role, tie_breaker): (IceRole, u64),
        round_trip_time: Option<Duration>,
    ) -> Self {
        let wanted = round_trip_time.map_or(LEAST_INTERVAL, |time| time + time / 4);
        Self {
            pair,
            path,
            id,
            role,
            tie_breaker,
            use_candidate: false,
            nomination: None,
            started: now,
            interval: wanted.clamp(LEAST_INTERVAL, MAX_INTERVAL),
            sent: 0,
            most: MAX_SENT,
            due: now,
        }
    }

    /// The same that has more patience, if the path is a bad one.
    pub(super) fn on_bad_path(self, is_bad: bool) -> Self {
        Self { most: if is_bad { MAX_SENT_ON_BAD_PATH } else { MAX_SENT }, ..self }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// What to do at `now`; the caller does it.
    pub(super) fn step(&mut self, now: Instant) -> VerificationStep {
        if now < self.due {
            return VerificationStep::Wait;
        }
        if self.sent >= self.most {
            return VerificationStep::Unanswered;
        }
        self.sent += 1;
        self.due = now + self.interval;
        VerificationStep::Send
    }

    /// Whether it has been wanted more than once.
    pub(super) fn is_repeated(&self) -> bool {
        self.sent > 1
    }

    /// How long the answer took. A request that was repeated does not tell which sending was answered.
    pub(super) fn round_trip_time(&self, now: Instant) -> Option<Duration> {
        (self.sent == 1).then(|| now.saturating_duration_since(self.started))
    }
}
