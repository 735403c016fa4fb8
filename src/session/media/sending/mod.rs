//! Streams that this side sends.

mod departures;
mod encoding;
mod encoding_id;
mod format;
mod header;
mod packet;
mod queue;
mod repair;
mod sender;
mod template;

pub use packet::OutgoingRtp;

pub(in crate::session) use encoding::Encoding;
pub(in crate::session) use encoding_id::EncodingId;
pub(super) use sender::Sender;
#[cfg(test)]
pub(super) use sender::SenderConfig;

#[cfg(test)]
mod tests;
