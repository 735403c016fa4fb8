//! What can be wrong with a packet.

/// Why bytes are not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The packet ends inside the part named.
    #[error("the packet has {have} bytes; its {part} needs {need}")]
    Truncated {
        /// Which part of the header is cut off.
        part: &'static str,
        /// Bytes that the packet would need to have at least.
        need: usize,
        /// Bytes that it has.
        have: usize,
    },
    /// The version field is not 2.
    #[error("version {0} is not RTP version 2")]
    Version(u8),
    /// The padding bit is set, and the count in the last byte is zero or more than there is.
    #[error("a padding of {padding} bytes does not fit the {available} bytes after the header")]
    Padding {
        /// The count in the last byte.
        padding: u8,
        /// Bytes after the header.
        available: usize,
    },
}

/// Why a packet cannot be written or rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The caller's buffer is too small.
    #[error("the buffer has {have} bytes; {need} are needed")]
    BufferTooSmall {
        /// Bytes needed.
        need: usize,
        /// Bytes that the buffer has.
        have: usize,
    },
    /// More contributing sources than the four-bit count can say.
    #[error("{0} contributing sources; at most 15 fit")]
    TooManyCsrcs(usize),
    /// An extension element longer than 255 bytes.
    #[error("an extension element of {0} bytes; at most 255 fit")]
    ExtensionTooLong(usize),
    /// The element needs the two-byte form, and the packet is bound to the one-byte form.
    #[error("extension id {id} with {len} bytes needs the two-byte form; negotiate extmap-allow-mixed")]
    NeedsTwoByteForm {
        /// The id of the element.
        id: u8,
        /// Its length in bytes.
        len: usize,
    },
    /// All extension elements together exceed what the length field can say.
    #[error("the header extension exceeds 262140 bytes")]
    ExtensionsTooLong,
    /// Padding of zero bytes was asked for; the last padding byte is its own count.
    #[error("a padding has 1 to 255 bytes, not 0")]
    EmptyPadding,
}
