//! Writing a packet.

use super::WriteError;
use super::header::{HEADER_LEN, PacketType, header};

/// A packet that can be written.
pub trait Encode {
    /// How many bytes the packet takes, its header included.
    fn encoded_len(&self) -> usize;

    /// Writes the packet to the beginning of `out` and tells its length.
    ///
    /// # Errors
    /// When `out` is too small, or the packet holds more than its fields can say. `out` may then hold a part
    /// of it.
    fn encode(&self, out: &mut [u8]) -> Result<usize, WriteError>;
}

/// Fills a packet from front to back. The length was checked when it was made.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    /// Writes the header of a packet of `len` bytes and makes the writer of its body.
    pub(super) fn new(
        out: &'a mut [u8],
        packet_type: PacketType,
        count: u8,
        len: usize,
    ) -> Result<Self, WriteError> {
        if len > 4 * 0x1_0000 {
            return Err(WriteError::TooLong(len));
        }
        let have = out.len();
        let out = out.get_mut(..len).ok_or(WriteError::BufferTooSmall { need: len, have })?;
        out[..HEADER_LEN].copy_from_slice(&header(packet_type, count, len));
        Ok(Writer { rest: &mut out[HEADER_LEN..] })
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        let (slot, rest) = std::mem::take(&mut self.rest).split_at_mut(bytes.len());
        slot.copy_from_slice(bytes);
        self.rest = rest;
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    /// The next `len` bytes, to be filled by the caller.
    pub(super) fn slot(&mut self, len: usize) -> &mut [u8] {
        let (slot, rest) = std::mem::take(&mut self.rest).split_at_mut(len);
        self.rest = rest;
        slot
    }

    /// Fills what is left with zeros.
    pub(super) fn pad(self) {
        self.rest.fill(0);
    }
}

/// A count that must fit its field.
pub(super) fn count(what: &'static str, have: usize, max: u8) -> Result<u8, WriteError> {
    match u8::try_from(have) {
        Ok(count) if count <= max => Ok(count),
        _ => Err(WriteError::TooMany { what, max: usize::from(max), have }),
    }
}
