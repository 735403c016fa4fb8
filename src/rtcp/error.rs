//! What can be wrong with a packet.

/// Why bytes are not an RTCP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The packet ends inside the part named.
    #[error("the {packet} ends inside its {part}")]
    Truncated {
        /// Which kind of packet.
        packet: &'static str,
        /// Which part is cut off.
        part: &'static str,
    },
    /// The length field claims more than there is.
    #[error("the packet claims {claimed} bytes; {have} are left")]
    Length {
        /// Bytes that the length field claims.
        claimed: usize,
        /// Bytes that there are.
        have: usize,
    },
    /// The version field is not 2.
    #[error("version {0} is not RTCP version 2")]
    Version(u8),
    /// The padding bit is set, and the count in the last byte cannot be.
    #[error("a padding of {padding} bytes does not fit a packet with a body of {available}")]
    Padding {
        /// The count in the last byte.
        padding: u8,
        /// Bytes behind the packet's header.
        available: usize,
    },
    /// The packet breaks a rule of its kind.
    #[error("the {packet} is malformed: {reason}")]
    Malformed {
        /// Which kind of packet.
        packet: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
}

impl ParseError {
    pub(super) const fn truncated(packet: &'static str, part: &'static str) -> Self {
        ParseError::Truncated { packet, part }
    }
}

/// Why a packet cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The caller's buffer is too small.
    #[error("the buffer has {have} bytes left; {need} are needed")]
    BufferTooSmall {
        /// Bytes needed.
        need: usize,
        /// Bytes left.
        have: usize,
    },
    /// More of something than its count can say; send several packets.
    #[error("{have} {what}; at most {max} fit a packet")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many fit.
        max: usize,
        /// How many there are.
        have: usize,
    },
    /// Data whose length is not a multiple of four bytes.
    #[error("the {what} has {len} bytes; a multiple of 4 is required")]
    Unaligned {
        /// Which data.
        what: &'static str,
        /// Their length.
        len: usize,
    },
    /// The packet is longer than its length field can say.
    #[error("a packet of {0} bytes; at most 262144 fit the length field")]
    TooLong(usize),
}
