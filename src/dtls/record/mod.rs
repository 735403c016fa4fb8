//! The record layer (RFC 6347 §4.1): headers, epochs, protection, replay.

mod epochs;
mod header;
mod protection;
mod replay;

pub(crate) use epochs::WriteEpochs;
pub(crate) use header::{ContentType, Epoch, ProtocolVersion, RECORD_HEADER_LEN, Record, SequenceNumber};
pub(crate) use protection::{
    EXPLICIT_NONCE_LEN, MAX_PLAINTEXT, RecordKey, RecordOpener, RecordSealer, Refusal, SequenceExhausted,
};
