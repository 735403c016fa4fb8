//! Streams that this side sends.

mod encoding;
mod header;
mod packet;
mod queue;
mod repair;
mod sender;

pub use packet::OutgoingRtp;

pub(in crate::session) use encoding::Encoding;
pub(super) use sender::Sender;
#[cfg(test)]
pub(super) use sender::SenderConfig;

#[cfg(test)]
mod tests;
