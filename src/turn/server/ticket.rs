//! What an allocation that may move has, RFC 8016.

use std::time::Instant;

use crate::layer::FiveTuple;
use crate::stun::TransactionId;

/// What names an allocation to whom it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ticket(pub(super) [u8; 16]);

/// Of an allocation that may move.
#[derive(Debug)]
pub(super) struct Mobility {
    pub(super) ticket: Ticket,
    /// Where it moves to: until something comes from there, it is at both places, and data goes to the old one; and
    /// how long that is waited for.
    pub(super) next: Option<(FiveTuple, Instant)>,
    /// The request that moved it last.
    pub(super) moved_by: Option<(TransactionId, FiveTuple)>,
    /// Whether its connection has ended: nothing is sent there.
    pub(super) is_lost: bool,
}
