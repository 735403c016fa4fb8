//! What waits to be sent.

use bytes::Bytes;

use super::packet::{MAX_HEADER, OutgoingRtp};
use crate::layer::SequenceNumber;
use crate::session::transceiver::TransceiverId;

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) stream: TransceiverId,
    pub(super) number: SequenceNumber,
    pub(super) what: QueuedPacket,
}

#[derive(Debug)]
pub(super) enum QueuedPacket {
    First(OutgoingRtp),
    Again(Kept),
}

/// What is kept to answer a NACK.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    /// To be sent again in a stream of its own.
    Packet(OutgoingRtp),
    /// Without such a stream, to be sent again as it was: SRTP must not protect two packets with one index.
    Protected(Bytes),
}

impl Kept {
    /// The bytes that sending it again takes, or nearly.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Packet(packet) => packet.payload.len() + MAX_HEADER / 4,
            Self::Protected(bytes) => bytes.len(),
        }
    }
}
