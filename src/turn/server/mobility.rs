//! Allocations that move with their clients, RFC 8016.

use std::time::{Duration, Instant};

use super::agent::Server;
use super::authenticate::Caller;
use super::held::Held;
use super::ticket::{Mobility, Ticket};
use super::timer::Timer;
use crate::layer::FiveTuple;
use crate::stun::{AttributeType, ErrorCode, Message, Method};

/// How long an allocation stands between two places.
const MOVE: Duration = Duration::from_secs(30);

/// How long an allocation whose connection ended waits for its client.
const LOST: Duration = Duration::from_secs(60);

impl Held {
    /// Whether nothing can be sent to its client.
    pub(super) fn is_lost(&self) -> bool {
        self.mobility.as_ref().is_some_and(|mobility| mobility.is_lost)
    }
}

impl Server {
    /// A ticket for an allocation, if it asks for one.
    pub(super) fn ticket_for(&self, request: &Message<'_>) -> Result<Option<Box<Mobility>>, ErrorCode> {
        self.check_mobility(request)?;
        let is_asked = request.attribute(AttributeType::MOBILITY_TICKET).is_some();
        let mobility = || Mobility { ticket: self.new_ticket(), next: None, moved_by: None, is_lost: false };
        Ok(is_asked.then(|| Box::new(mobility())))
    }

    /// RFC 8016 §3.1.2: an Allocate shows an empty ticket.
    pub(super) fn check_mobility(&self, request: &Message<'_>) -> Result<(), ErrorCode> {
        match request.attribute(AttributeType::MOBILITY_TICKET) {
            None => Ok(()),
            Some(_) if !self.config.mobility => Err(ErrorCode::MOBILITY_FORBIDDEN),
            Some([]) => Ok(()),
            Some(_) => Err(ErrorCode::BAD_REQUEST),
        }
    }

    fn new_ticket(&self) -> Ticket {
        let mut ticket = [0; 16];
        self.provider.random.fill(&mut ticket);
        Ticket(ticket)
    }

    /// The allocation that a Refresh shows the ticket of.
    pub(super) fn named_by_ticket(&self, request: &Message<'_>) -> Option<usize> {
        let is_refresh = request.method() == Method::REFRESH;
        let ticket = request.attribute(AttributeType::MOBILITY_TICKET).filter(|_| is_refresh)?;
        self.by_ticket.get(&Ticket(ticket.try_into().ok()?)).copied()
    }

    /// RFC 8016 §3.2.2: has an allocation answer at the path that its ticket came by, and gives it another ticket; `None`
    /// of a Refresh that shows none.
    pub(super) fn resume(
        &mut self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
        caller: &Caller,
    ) -> Result<Option<Ticket>, ErrorCode> {
        let Some(shown) = request.attribute(AttributeType::MOBILITY_TICKET) else { return Ok(None) };
        if !self.config.mobility {
            return Err(ErrorCode::MOBILITY_FORBIDDEN);
        }
        if let Some(ticket) = self.resumed(path, request, caller) {
            return Ok(Some(ticket));
        }
        let shown = Ticket(shown.try_into().map_err(|_| ErrorCode::BAD_REQUEST)?);
        let index = *self.by_ticket.get(&shown).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        let fresh = self.new_ticket();
        let held = self.held.get_mut(index).filter(|held| held.is_granted());
        let held = held.ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if *held.username != *caller.username {
            return Err(ErrorCode::WRONG_CREDENTIALS);
        }
        let is_other = self.by_path.get(&path).is_some_and(|other| *other != index);
        let Some(mobility) = held.mobility.as_mut().filter(|_| !is_other) else {
            return Err(ErrorCode::ALLOCATION_MISMATCH);
        };
        // Nothing is left of an earlier move that did not come to its end.
        if let Some((before, until)) = mobility.next.take() {
            self.by_path.remove(&before);
            self.timers.cancel(until, Timer::Move(shown));
        }
        mobility.ticket = fresh;
        mobility.moved_by = Some((request.transaction_id(), path));
        if mobility.is_lost {
            (held.path, mobility.is_lost) = (path, false);
        } else if held.path != path {
            mobility.next = Some((path, now + MOVE));
            self.timers.set(now + MOVE, Timer::Move(fresh));
        }
        self.by_path.insert(path, index);
        self.by_ticket.remove(&shown);
        self.by_ticket.insert(fresh, index);
        Ok(Some(fresh))
    }

    /// The answer to a request that comes again is that of before.
    fn resumed(&self, path: FiveTuple, request: &Message<'_>, caller: &Caller) -> Option<Ticket> {
        let held = self.by_path.get(&path).and_then(|index| self.held.get(*index))?;
        let mobility = held.mobility.as_ref().filter(|_| *held.username == *caller.username)?;
        (mobility.moved_by == Some((request.transaction_id(), path))).then_some(mobility.ticket)
    }

    /// Data of a client came by a path.
    #[inline]
    pub(super) fn arrived_by(&mut self, index: Option<usize>, path: FiveTuple) {
        let held = index.and_then(|index| self.held.get_mut(index));
        if let Some(held) = held.filter(|held| held.path != path) {
            let before = std::mem::replace(&mut held.path, path);
            self.by_path.remove(&before);
            if let Some(mobility) = &mut held.mobility
                && let Some((_, until)) = mobility.next.take()
            {
                self.timers.cancel(until, Timer::Move(mobility.ticket));
            }
        }
    }

    /// A request of a user came by a path: one that shows a ticket only says that it may be the last one to come.
    pub(super) fn moves_with(&mut self, path: FiveTuple, request: &Message<'_>, caller: &Caller) {
        if request.attribute(AttributeType::MOBILITY_TICKET).is_none()
            && let Ok((index, _)) = self.own(path, caller)
        {
            self.arrived_by(Some(index), path);
        }
    }

    /// Nothing came from the place that an allocation was to move to.
    pub(super) fn give_up_move(&mut self, ticket: Ticket) {
        let held = self.by_ticket.get(&ticket).and_then(|index| self.held.get_mut(*index));
        if let Some((next, _)) = held.and_then(|held| held.mobility.as_mut()?.next.take()) {
            self.by_path.remove(&next);
        }
    }

    /// Whether an allocation goes on though a connection ended: at its other place, or until its client shows its ticket.
    pub(super) fn outlives(&mut self, now: Instant, index: usize, path: FiveTuple) -> bool {
        let Some(held) = self.held.get_mut(index).filter(|held| held.is_granted() && !held.is_tcp) else {
            return false;
        };
        let Some(mobility) = &mut held.mobility else { return false };
        self.by_path.remove(&path);
        match mobility.next.take() {
            // One of two places is gone, the other one is left.
            Some((next, until)) => {
                self.timers.cancel(until, Timer::Move(mobility.ticket));
                if next != path {
                    held.path = next;
                }
            }
            None => {
                mobility.is_lost = true;
                let relays: Vec<_> = held.relays.iter().map(|relay| (relay.local, relay.until)).collect();
                for (local, until) in relays {
                    self.set_end(local, until.min(now + LOST));
                }
            }
        }
        true
    }

    /// An allocation has ended, wherever it was.
    pub(super) fn forget_paths(&mut self, held: &Held) {
        let mobility = held.mobility.as_ref();
        if let Some(mobility) = mobility {
            self.by_ticket.remove(&mobility.ticket);
            if let Some((next, until)) = mobility.next {
                self.by_path.remove(&next);
                self.timers.cancel(until, Timer::Move(mobility.ticket));
            }
        }
        // Another's connection may have the same path meanwhile.
        if !held.is_lost() {
            self.by_path.remove(&held.path);
        }
    }
}
