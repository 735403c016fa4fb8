//! The contract that every layer obeys.

mod media;

pub use media::{
    Bitrate, IDENTIFIER_MAX_LEN, InvalidIdentifier, Mid, NtpTimestamp, PayloadType, Rid, RtpTimestamp,
    SequenceNumber, Ssrc,
};
