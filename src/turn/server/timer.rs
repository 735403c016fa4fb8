//! What is due when.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use super::ticket::Ticket;
use crate::turn::attribute::ReservationToken;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A relayed address ends.
    Relay(SocketAddr),
    /// A reserved port is free again.
    Reservation([u8; 8]),
    /// A user without allocations is forgotten.
    Account(usize),
    /// A question was not answered.
    Question(u64),
    /// A peer's connection was not made, or not bound.
    Peer(u32),
    /// An allocation that moved was not used at its new place.
    Move(Ticket),
}

impl From<ReservationToken> for Timer {
    fn from(token: ReservationToken) -> Self {
        Self::Reservation(token.0)
    }
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Instant, Timer)>,
}

impl Timers {
    pub(super) fn set(&mut self, at: Instant, timer: Timer) {
        self.due.insert((at, timer));
    }

    pub(super) fn cancel(&mut self, at: Instant, timer: Timer) {
        self.due.remove(&(at, timer));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        self.due.first().filter(|(at, _)| *at <= now)?;
        self.due.pop_first().map(|(_, timer)| timer)
    }
}
