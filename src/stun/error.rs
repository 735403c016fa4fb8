//! Errors of the wire format and of credentials.

use thiserror::Error;

/// Why bytes are no STUN message.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fewer bytes than a header has.
    #[error("{0} bytes are shorter than a STUN header of 20 bytes")]
    TooShort(usize),
    /// The first bits or the magic cookie are not those of STUN.
    #[error("not a STUN message: the first bits or the magic cookie differ")]
    NotStun,
    /// The length in the header is not that of the message.
    #[error("the header says {claimed} bytes follow it, there are {actual}")]
    Length {
        /// What the header says.
        claimed: usize,
        /// What there is.
        actual: usize,
    },
    /// An attribute reaches beyond the end of the message.
    #[error("the attribute at byte {offset} reaches beyond the end of the message")]
    Attribute {
        /// Where the attribute begins.
        offset: usize,
    },
    /// The fingerprint is wrong or not the last attribute.
    #[error("the FINGERPRINT attribute is wrong or not the last")]
    Fingerprint,
}

/// Why a message could not be built.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The attributes are longer than a STUN message can be.
    #[error("the attributes are longer than the 65535 bytes that a STUN message can hold")]
    TooLong,
}

/// Why a datagram was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StunError {
    /// It is no STUN message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It is a STUN message that was not expected here and changed nothing.
    #[error("STUN message ignored: {0}")]
    Ignored(&'static str),
}
