//! The sending half of an association: queues, what is in flight, and congestion (RFC 9260 §6 and §7).

mod gaps;
mod loss;
mod outstanding;
mod queue;
mod skips;
mod transfer;

pub(crate) use queue::Message;
pub(crate) use transfer::{Sender, TimeoutOutcome};

#[cfg(test)]
mod tests;
