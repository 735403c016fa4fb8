//! Flights (RFC 6347 §4.2.4): the messages that are sent together, and together again until the peer
//! answers.

mod outgoing;
mod timer;

pub(crate) use outgoing::Flight;
pub(crate) use timer::{Expiry, RetransmissionTimer};
