//! Errors of the wire format.

use thiserror::Error;

/// Why bytes are not a packet, chunk or parameter.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// The packet has no room for a common header.
    #[error("a packet of {length} bytes is shorter than the common header of 12")]
    PacketTooShort {
        /// The length of the packet.
        length: usize,
    },
    /// A chunk's length is below its header or beyond the packet.
    #[error("a chunk of type {kind} claims {claimed} bytes where {available} are left")]
    ChunkLength {
        /// The chunk's type.
        kind: u8,
        /// The length it claims.
        claimed: usize,
        /// The bytes that are left in the packet.
        available: usize,
    },
    /// A parameter's length is below its header or beyond its chunk.
    #[error("a parameter of type {kind} claims {claimed} bytes where {available} are left")]
    ParameterLength {
        /// The parameter's type.
        kind: u16,
        /// The length it claims.
        claimed: usize,
        /// The bytes that are left in the chunk.
        available: usize,
    },
    /// The fixed fields do not fit.
    #[error("{what} needs at least {needed} bytes and has {length}")]
    TooShort {
        /// What was read.
        what: &'static str,
        /// The bytes of its fixed fields.
        needed: usize,
        /// The bytes there are.
        length: usize,
    },
    /// A field holds a value that it may not have.
    #[error("{0}")]
    Value(&'static str),
}

impl WireError {
    /// A short text for an error that carries no figures.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::PacketTooShort { .. } => "shorter than the common header",
            Self::ChunkLength { .. } => "wrong chunk length",
            Self::ParameterLength { .. } => "wrong parameter length",
            Self::TooShort { what, .. } => what,
            Self::Value(what) => what,
        }
    }
}
