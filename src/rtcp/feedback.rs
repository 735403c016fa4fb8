//! Feedback on loss: generic NACK and PLI (RFC 4585 §6.2.1, §6.3.1), FIR (RFC 5104 §4.3.1).

use super::encode::Writer;
use super::header::{HEADER_LEN, PacketType, Reader};
use super::{Encode, ParseError, Record, Records, WriteError};
use crate::layer::{SequenceNumber, Ssrc};

pub(super) const NACK_FORMAT: u8 = 1;
pub(super) const PLI_FORMAT: u8 = 1;
pub(super) const FIR_FORMAT: u8 = 4;

/// Packets that are missing and shall be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Nack<'a> {
    /// Who misses them.
    pub sender: Ssrc,
    /// The source that sent them.
    pub media: Ssrc,
    /// Which they are.
    pub entries: Records<'a, NackEntry>,
}

impl<'a> Nack<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let (sender, media, rest) = sources("NACK", body)?;
        Ok(Nack { sender, media, entries: Records::from_wire(rest) })
    }

    /// All the sequence numbers that the entries name.
    pub fn sequence_numbers(&self) -> impl Iterator<Item = SequenceNumber> + use<'a> {
        self.entries.iter().flat_map(NackEntry::sequence_numbers)
    }
}

impl Encode for Nack<'_> {
    fn encoded_len(&self) -> usize {
        HEADER_LEN + 8 + self.entries.encoded_len()
    }

    fn encode(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        let len = self.encoded_len();
        let mut writer = Writer::new(out, PacketType::TRANSPORT_FEEDBACK, NACK_FORMAT, len)?;
        writer.u32(self.sender.0);
        writer.u32(self.media.0);
        self.entries.write(&mut writer);
        Ok(len)
    }
}

/// A missing packet and which of the sixteen behind it are missing too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NackEntry {
    /// The first (PID).
    pub first: SequenceNumber,
    /// Bit `n` stands for the packet `n + 1` behind the first (BLP).
    pub following: u16,
}

impl NackEntry {
    /// The sequence numbers that are missing, in order.
    pub fn sequence_numbers(self) -> NackNumbers {
        NackNumbers { next: self.first, missing: (u32::from(self.following) << 1) | 1 }
    }
}

impl Record for NackEntry {
    const LEN: usize = 4;

    fn read(bytes: &[u8]) -> Self {
        let word = Ssrc::read(bytes).0;
        NackEntry { first: SequenceNumber((word >> 16) as u16), following: word as u16 }
    }

    fn write(&self, out: &mut [u8]) {
        Ssrc((u32::from(self.first.0) << 16) | u32::from(self.following)).write(out);
    }
}

/// The sequence numbers of a [`NackEntry`].
#[derive(Debug, Clone)]
pub struct NackNumbers {
    next: SequenceNumber,
    // Bit 0 stands for `next`.
    missing: u32,
}

impl Iterator for NackNumbers {
    type Item = SequenceNumber;

    fn next(&mut self) -> Option<SequenceNumber> {
        if self.missing == 0 {
            return None;
        }
        let skip = self.missing.trailing_zeros();
        let number = self.next.wrapping_add(skip as u16);
        self.next = number.wrapping_add(1);
        self.missing = self.missing >> skip >> 1;
        Some(number)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.missing.count_ones() as usize;
        (len, Some(len))
    }
}

/// Packs sequence numbers, which are in serial order, into as few entries as they need.
///
/// Numbers that are out of order are named too, and take entries of their own.
pub fn nack_entries(numbers: impl IntoIterator<Item = SequenceNumber>) -> impl Iterator<Item = NackEntry> {
    let mut numbers = numbers.into_iter().peekable();
    std::iter::from_fn(move || {
        let first = numbers.next()?;
        let mut entry = NackEntry { first, following: 0 };
        let distance = |number: SequenceNumber| number.distance_from(first);
        while let Some(number) = numbers.next_if(|&number| (0..=16).contains(&distance(number))) {
            let behind = distance(number);
            if behind > 0 {
                entry.following |= 1 << (behind - 1);
            }
        }
        Some(entry)
    })
}

/// The picture cannot be decoded any more; a key frame would help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pli {
    /// Who asks.
    pub sender: Ssrc,
    /// The source that is asked.
    pub media: Ssrc,
}

impl Pli {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let (sender, media, _) = sources("PLI", body)?;
        Ok(Pli { sender, media })
    }
}

impl Encode for Pli {
    fn encoded_len(&self) -> usize {
        HEADER_LEN + 8
    }

    fn encode(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        let len = self.encoded_len();
        let mut writer = Writer::new(out, PacketType::PAYLOAD_FEEDBACK, PLI_FORMAT, len)?;
        writer.u32(self.sender.0);
        writer.u32(self.media.0);
        Ok(len)
    }
}

/// Sources are asked for a key frame each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fir<'a> {
    /// Who asks.
    pub sender: Ssrc,
    /// Unused, zero: the sources are in the entries. What a peer sends here is kept.
    pub media: Ssrc,
    /// The sources that are asked.
    pub entries: Records<'a, FirEntry>,
}

impl<'a> Fir<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let (sender, media, rest) = sources("FIR", body)?;
        Ok(Fir { sender, media, entries: Records::from_wire(rest) })
    }
}

impl Encode for Fir<'_> {
    fn encoded_len(&self) -> usize {
        HEADER_LEN + 8 + self.entries.encoded_len()
    }

    fn encode(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        let len = self.encoded_len();
        let mut writer = Writer::new(out, PacketType::PAYLOAD_FEEDBACK, FIR_FORMAT, len)?;
        writer.u32(self.sender.0);
        writer.u32(self.media.0);
        self.entries.write(&mut writer);
        Ok(len)
    }
}

/// One source that is asked for a key frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FirEntry {
    /// The source.
    pub ssrc: Ssrc,
    /// Counts the requests; one that repeats a request repeats its number.
    pub sequence_number: u8,
}

impl Record for FirEntry {
    const LEN: usize = 8;

    fn read(bytes: &[u8]) -> Self {
        FirEntry { ssrc: Ssrc::read(&bytes[..4]), sequence_number: bytes[4] }
    }

    fn write(&self, out: &mut [u8]) {
        self.ssrc.write(&mut out[..4]);
        out[4..].copy_from_slice(&[self.sequence_number, 0, 0, 0]);
    }
}

/// The two sources that every feedback packet begins with, RFC 4585 §6.1.
pub(super) fn sources<'a>(
    packet: &'static str,
    body: &'a [u8],
) -> Result<(Ssrc, Ssrc, &'a [u8]), ParseError> {
    let mut reader = Reader::new(packet, body);
    Ok((Ssrc(reader.u32("SSRC of the sender")?), Ssrc(reader.u32("SSRC of the media")?), reader.rest()))
}
