//! What can be wrong with a file.

use std::io;

use crate::rtp::payload::{DepacketizeError, PacketizeError};

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The source failed.
    #[error("cannot read at offset {offset}")]
    Io {
        /// Where in the file.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The file ends inside the part named.
    #[error("the file ends at offset {offset}, inside its {part}")]
    Truncated {
        /// Where the file ends.
        offset: u64,
        /// What is cut off.
        part: &'static str,
    },
    /// The file breaks a rule of its format.
    #[error("malformed at offset {offset}: {reason}")]
    Malformed {
        /// Where in the file.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A part of the file exceeds the reader's limit.
    #[error("a {part} at offset {offset} exceeds the limit of {max} bytes; raise the limit of the reader")]
    TooLong {
        /// Where in the file it begins.
        offset: u64,
        /// What it is.
        part: &'static str,
        /// The limit.
        max: usize,
    },
}

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The sink failed.
    #[error("cannot write")]
    Io(#[from] io::Error),
    /// The format cannot hold something of this length.
    #[error("a {part} of {len} bytes; the format holds at most {max}")]
    TooLong {
        /// What it is.
        part: &'static str,
        /// Its length.
        len: usize,
        /// The most that the format holds.
        max: usize,
    },
    /// What is to be written is not H.264.
    #[error(transparent)]
    Frame(#[from] PacketizeError),
    /// What is to be written is not an Opus packet.
    #[error(transparent)]
    Opus(#[from] DepacketizeError),
    /// The header says something that the format forbids.
    #[error("the header is not valid: {0}")]
    Header(&'static str),
}
