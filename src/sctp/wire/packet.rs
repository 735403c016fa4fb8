//! Packets, RFC 9260 §3.

use super::{ChunkType, Chunks, WireError, checksum};

/// The common header of a packet (RFC 9260 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// The tag that the receiver chose for the association.
    pub verification_tag: u32,
    /// CRC32c, or zero (RFC 9653).
    pub checksum: u32,
}

impl Header {
    /// The length of the header in bytes.
    pub const LEN: usize = 12;

    /// Reads the header and gives the chunks after it. Does not verify the checksum.
    ///
    /// # Errors
    /// [`WireError::PacketTooShort`].
    pub fn parse(packet: &[u8]) -> Result<(Self, Chunks<'_>), WireError> {
        let Some((header, chunks)) = packet.split_first_chunk::<{ Self::LEN }>() else {
            return Err(WireError::PacketTooShort { length: packet.len() });
        };
        let &[s0, s1, d0, d1, t0, t1, t2, t3, c0, c1, c2, c3] = header;
        let header = Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            verification_tag: u32::from_be_bytes([t0, t1, t2, t3]),
            checksum: u32::from_le_bytes([c0, c1, c2, c3]),
        };
        Ok((header, Chunks::new(chunks)))
    }
}

/// Appends one packet to a buffer, chunk by chunk, never longer than its limit.
///
/// ```
/// use kaon_rtc::sctp::wire::{ChunkType, Header, PacketWriter};
///
/// let mut buffer = Vec::new();
/// let mut packet = PacketWriter::new(&mut buffer, 1191, 5000, 5000, 0x1234_5678);
/// packet.chunk(ChunkType::COOKIE_ACK, 0, |_| {});
/// assert!(packet.finish(true));
/// let (header, chunks) = Header::parse(&buffer)?;
/// assert_eq!(header.verification_tag, 0x1234_5678);
/// assert_eq!(chunks.count(), 1);
/// # Ok::<(), kaon_rtc::sctp::wire::WireError>(())
/// ```
#[derive(Debug)]
pub struct PacketWriter<'a> {
    buffer: &'a mut Vec<u8>,
    start: usize,
    limit: usize,
}

impl<'a> PacketWriter<'a> {
    /// Begins a packet of at most `limit` bytes at the end of `buffer`.
    pub fn new(buffer: &'a mut Vec<u8>, limit: usize, source: u16, destination: u16, tag: u32) -> Self {
        let start = buffer.len();
        let mut header = [0; Header::LEN];
        header[..2].copy_from_slice(&source.to_be_bytes());
        header[2..4].copy_from_slice(&destination.to_be_bytes());
        header[4..8].copy_from_slice(&tag.to_be_bytes());
        buffer.extend_from_slice(&header);
        // Chunks begin at multiples of four, so the tail of an uneven limit is of no use.
        Self { buffer, start, limit: limit & !3 }
    }

    /// The bytes that are left for chunks with their headers, a multiple of four.
    pub fn room(&self) -> usize {
        (self.start + self.limit).saturating_sub(self.buffer.len())
    }

    /// Whether no chunk was written.
    pub fn is_empty(&self) -> bool {
        self.buffer.len() == self.start + Header::LEN
    }

    /// Writes a chunk whose value `write` appends; what is beyond the packet's limit is the caller's fault
    /// and is taken back. Says whether the chunk is in the packet.
    pub fn chunk(&mut self, kind: ChunkType, flags: u8, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let at = self.buffer.len();
        self.buffer.extend_from_slice(&[kind.0, flags, 0, 0]);
        write(self.buffer);
        let length = self.buffer.len() - at;
        self.end_chunk(at, length)
    }

    /// Writes a DATA chunk (RFC 9260 §3.3.1) with the 12 bytes of fixed fields already in wire form.
    pub(crate) fn data(&mut self, flags: u8, fields: &[u8; 12], payload: &[u8]) -> bool {
        let at = self.buffer.len();
        let length = 16 + payload.len();
        let mut header = [0; 16];
        header[1] = flags;
        header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        header[4..].copy_from_slice(fields);
        self.buffer.extend_from_slice(&header);
        self.buffer.extend_from_slice(payload);
        self.end_chunk(at, length)
    }

    fn end_chunk(&mut self, at: usize, length: usize) -> bool {
        let padded = length.next_multiple_of(4);
        if at + padded > self.start + self.limit || length > usize::from(u16::MAX) {
            self.buffer.truncate(at);
            return false;
        }
        self.buffer[at + 2..at + 4].copy_from_slice(&(length as u16).to_be_bytes());
        self.buffer.resize(at + padded, 0);
        true
    }

    /// Ends the packet, with its checksum if `with_checksum` (RFC 9653 allows zero). A packet without chunks
    /// is taken back, and `false` returned.
    pub fn finish(self, with_checksum: bool) -> bool {
        if self.is_empty() {
            self.buffer.truncate(self.start);
            return false;
        }
        if with_checksum {
            let packet = &mut self.buffer[self.start..];
            let sum = checksum(packet);
            packet[8..12].copy_from_slice(&sum.to_le_bytes());
        }
        true
    }
}
