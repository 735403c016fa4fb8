//! Errors of data channels.

use thiserror::Error;

use super::channel_id::ChannelId;
use crate::layer::{SctpError, StreamId};

/// Why a data channel refused something.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataChannelError {
    /// There is no such channel, or not any more.
    #[error("{0} does not exist or is closed")]
    NoChannel(ChannelId),
    /// The channel is not open.
    #[error("{0} is not open; wait for ChannelEvent::Open")]
    NotOpen(ChannelId),
    /// The stream belongs to another channel.
    #[error("stream {0} belongs to another channel")]
    StreamInUse(StreamId),
    /// 65535 is no stream of a data channel.
    #[error("stream {0} is none of 0 to 65534")]
    InvalidStream(StreamId),
    /// The limit of channels is reached, or no stream is left.
    #[error("no more than {limit} channels")]
    TooManyChannels {
        /// The limit.
        limit: usize,
    },
    /// The label or protocol does not fit its field.
    #[error("a {what} of {length} bytes is longer than 65535")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// Its length.
        length: usize,
    },
    /// The association refused.
    #[error(transparent)]
    Sctp(#[from] SctpError),
}

/// Why a message of the data channel establishment protocol was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DcepError {
    /// The message is shorter than its fields.
    #[error("a message of {length} bytes where {needed} are needed")]
    TooShort {
        /// Its length.
        length: usize,
        /// The length that its fields say.
        needed: usize,
    },
    /// The message is longer than its fields.
    #[error("{excess} bytes after the end")]
    TrailingBytes {
        /// How many.
        excess: usize,
    },
    /// The message type is not known.
    #[error("message type {0:#04x} is not known")]
    UnknownType(u8),
    /// The channel type is not known.
    #[error("channel type {0:#04x} is not known")]
    UnknownChannelType(u8),
    /// The label or protocol is not UTF-8.
    #[error("the {0} is not UTF-8")]
    NotUtf8(&'static str),
    /// The stream of an OPEN is one that only this side may use for new channels (RFC 8832 §6).
    #[error("the stream has the parity of this side's channels")]
    WrongParity,
    /// The stream of an OPEN is in use.
    #[error("the stream is in use")]
    StreamInUse,
    /// The peer opened more channels, or longer names, than the limits allow.
    #[error("beyond the limit of {0}")]
    Limit(&'static str),
    /// There is no channel for the message, or it awaits no such message.
    #[error("out of place")]
    OutOfPlace,
}
