//! Chunks, RFC 9260 §3.2.

use super::WireError;
use crate::layer::{PayloadProtocol, StreamId};
use crate::sctp::sequence::{Ssn, Tsn};

/// The type of a chunk (RFC 9260 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkType(pub u8);

#[allow(missing_docs)] // The names are those of the registry.
impl ChunkType {
    pub const DATA: Self = Self(0);
    pub const INIT: Self = Self(1);
    pub const INIT_ACK: Self = Self(2);
    pub const SACK: Self = Self(3);
    pub const HEARTBEAT: Self = Self(4);
    pub const HEARTBEAT_ACK: Self = Self(5);
    pub const ABORT: Self = Self(6);
    pub const SHUTDOWN: Self = Self(7);
    pub const SHUTDOWN_ACK: Self = Self(8);
    pub const ERROR: Self = Self(9);
    pub const COOKIE_ECHO: Self = Self(10);
    pub const COOKIE_ACK: Self = Self(11);
    pub const SHUTDOWN_COMPLETE: Self = Self(14);
    pub const RE_CONFIG: Self = Self(130);
    pub const PAD: Self = Self(132);
    pub const FORWARD_TSN: Self = Self(192);

    /// What the two high bits tell a receiver that does not know the type.
    pub const fn unknown_action(self) -> UnknownAction {
        UnknownAction { skip: self.0 & 0x80 != 0, report: self.0 & 0x40 != 0 }
    }
}

/// What to do with a chunk or parameter of unknown type (RFC 9260 §3.2 and §3.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAction {
    /// Go on with what follows, instead of dropping the rest.
    pub skip: bool,
    /// Report it to the sender.
    pub report: bool,
}

/// One chunk of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Its type.
    pub kind: ChunkType,
    /// Its flags.
    pub flags: u8,
    /// The chunk after its header of four bytes, without padding.
    pub value: &'a [u8],
}

/// The chunks of a packet in order; ends after the first malformed one.
#[derive(Clone, Debug)]
pub struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Result<Chunk<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        let &[kind, flags, high, low, ..] = self.0 else {
            let left = std::mem::take(&mut self.0);
            let error = WireError::ChunkLength { kind: *left.first()?, claimed: 4, available: left.len() };
            return Some(Err(error));
        };
        let claimed = usize::from(u16::from_be_bytes([high, low]));
        let Some(value) = self.0.get(4..claimed) else {
            let available = std::mem::take(&mut self.0).len();
            return Some(Err(WireError::ChunkLength { kind, claimed, available }));
        };
        // The padding of the last chunk may be missing (RFC 9260 §3.2 asks to be lenient).
        self.0 = self.0.get(claimed.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(Chunk { kind: ChunkType(kind), flags, value }))
    }
}

/// A DATA chunk (RFC 9260 §3.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// E, B, U and I bits.
    pub flags: u8,
    /// The transmission sequence number.
    pub tsn: Tsn,
    /// The stream.
    pub stream: StreamId,
    /// The number of the message in its stream; without meaning if unordered.
    pub ssn: Ssn,
    /// What the payload is.
    pub protocol: PayloadProtocol,
    /// The message or a fragment of it; never empty.
    pub payload: &'a [u8],
}

impl<'a> Data<'a> {
    /// The bytes of a DATA chunk before its payload.
    pub const OVERHEAD: usize = 16;
    /// Last fragment.
    pub const END: u8 = 1;
    /// First fragment.
    pub const BEGIN: u8 = 2;
    /// Unordered.
    pub const UNORDERED: u8 = 4;
    /// Acknowledge at once (RFC 7053).
    pub const IMMEDIATE: u8 = 8;

    /// Reads the value of a DATA chunk.
    ///
    /// # Errors
    /// [`WireError::TooShort`] if the fixed fields do not fit. An empty payload is not an error here.
    pub fn parse(flags: u8, value: &'a [u8]) -> Result<Self, WireError> {
        let Some((&[t0, t1, t2, t3, s0, s1, n0, n1, p0, p1, p2, p3], payload)) = value.split_first_chunk()
        else {
            return Err(WireError::TooShort { what: "DATA", needed: 12, length: value.len() });
        };
        Ok(Self {
            flags,
            tsn: Tsn(u32::from_be_bytes([t0, t1, t2, t3])),
            stream: StreamId(u16::from_be_bytes([s0, s1])),
            ssn: Ssn(u16::from_be_bytes([n0, n1])),
            protocol: PayloadProtocol(u32::from_be_bytes([p0, p1, p2, p3])),
            payload,
        })
    }

    /// Whether this is the first fragment of its message.
    pub fn is_begin(&self) -> bool {
        self.flags & Self::BEGIN != 0
    }

    /// Whether this is the last fragment of its message.
    pub fn is_end(&self) -> bool {
        self.flags & Self::END != 0
    }

    /// Whether the message was sent unordered.
    pub fn is_unordered(&self) -> bool {
        self.flags & Self::UNORDERED != 0
    }

    /// The fixed fields in wire form.
    pub(crate) fn fields(tsn: Tsn, stream: StreamId, ssn: Ssn, protocol: PayloadProtocol) -> [u8; 12] {
        let mut fields = [0; 12];
        fields[..4].copy_from_slice(&tsn.0.to_be_bytes());
        fields[4..6].copy_from_slice(&stream.0.to_be_bytes());
        fields[6..8].copy_from_slice(&ssn.0.to_be_bytes());
        fields[8..].copy_from_slice(&protocol.0.to_be_bytes());
        fields
    }
}

/// A FORWARD TSN chunk (RFC 3758 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardTsn<'a> {
    /// The peer shall act as if it had received everything up to this TSN.
    pub new_cumulative_tsn: Tsn,
    skipped: &'a [u8],
}

impl<'a> ForwardTsn<'a> {
    /// Reads the value of a FORWARD TSN chunk.
    ///
    /// # Errors
    /// [`WireError::TooShort`].
    pub fn parse(value: &'a [u8]) -> Result<Self, WireError> {
        let Some((tsn, skipped)) = value.split_first_chunk() else {
            return Err(WireError::TooShort { what: "FORWARD TSN", needed: 4, length: value.len() });
        };
        Ok(Self { new_cumulative_tsn: Tsn(u32::from_be_bytes(*tsn)), skipped })
    }

    /// The streams with the last ordered message that is skipped on each.
    pub fn skipped(&self) -> impl Iterator<Item = (StreamId, Ssn)> + 'a {
        self.skipped.as_chunks().0.iter().map(|&[s0, s1, n0, n1]| {
            (StreamId(u16::from_be_bytes([s0, s1])), Ssn(u16::from_be_bytes([n0, n1])))
        })
    }
}
