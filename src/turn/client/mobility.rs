//! Allocations that move with their client, RFC 8016.

use std::time::Instant;

use super::agent::{Client, State};
use super::event::Event;
use super::ticket::Ticket;
use super::transaction::Purpose;
use crate::layer::FiveTuple;
use crate::stun::{AttributeType, ErrorCode, Message};

impl Client {
    /// Whether the allocation moves along when the client goes on over [another path](Self::set_path) to its server: it has
    /// been [asked](super::Config::mobility) for that, and the server has granted it.
    pub fn is_mobile(&self) -> bool {
        self.allocation.is_some() && self.ticket.is_some()
    }

    /// RFC 8016 §3.1.2: a server that does not know of it says nothing.
    pub(super) fn take_ticket(&mut self, message: &Message<'_>) {
        self.ticket = Ticket::of(message).filter(|_| self.asks_mobility);
    }

    /// Whether the server refuses an Allocate because it was asked for a ticket; it is asked without one then.
    pub(super) fn is_mobility_refused(&self, code: ErrorCode, message: &Message<'_>) -> bool {
        let names_it = || message.unknown_attributes().any(|kind| kind == AttributeType::MOBILITY_TICKET);
        // RFC 8016 §3.1.2 has 405; who does not know the attribute and refuses it says 400 or 420.
        let is_of_it = matches!(code, ErrorCode::MOBILITY_FORBIDDEN | ErrorCode::BAD_REQUEST)
            || code == ErrorCode::UNKNOWN_ATTRIBUTE && names_it();
        self.asks_mobility && is_of_it
    }

    /// RFC 8016 §3.2.1: a Refresh with the ticket, from where the client is now. What was asked for by the path of before
    /// is asked for again.
    pub(super) fn resume(&mut self, now: Instant, path: FiveTuple) {
        self.path = path;
        self.transactions.clear();
        self.peers.ask_again();
        self.refresh_at = None;
        self.keepalive_unsent = false;
        self.state = State::Moving;
        self.start(now, Purpose::Resume, 0);
    }

    /// RFC 8016 §3.2.2: the old ticket is worth nothing any more, and only one that came with the response is good for the
    /// next time.
    pub(super) fn resumed(&mut self, now: Instant, message: &Message<'_>) {
        self.take_ticket(message);
        self.state = State::Allocated;
        self.refreshed(now, message);
        if self.allocation.is_some() {
            self.tell(Event::Moved);
        }
    }

    /// The server does not have it move: another one is made where the client is now.
    pub(super) fn resume_failed(&mut self, now: Instant) {
        self.lose_allocation();
        self.held_before = false;
        self.allocate(now);
    }
}
