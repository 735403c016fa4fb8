//! What an allocation moves by, RFC 8016.

use std::fmt;

use zeroize::Zeroizing;

use crate::stun::{AttributeType, Message};

/// The longest ticket that is kept. Those of servers have 16 bytes, or some hundred where they are a sealed state.
const MAX_TICKET: usize = 512;

/// Whoever has it, and the password, has the allocation.
pub(super) struct Ticket(Zeroizing<Vec<u8>>);

impl Ticket {
    pub(super) fn of(message: &Message<'_>) -> Option<Self> {
        let ticket = message.attribute(AttributeType::MOBILITY_TICKET)?;
        let is_usable = (1..=MAX_TICKET).contains(&ticket.len());
        is_usable.then(|| Self(Zeroizing::new(ticket.to_vec())))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket")
    }
}
