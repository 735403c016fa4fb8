//! Transport-wide congestion control feedback: parsing,
//! draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.

use super::encode::Writer;
use super::feedback::sources;
use super::header::{HEADER_LEN, PacketType, Reader};
use super::{Encode, ParseError, WriteError};
use crate::layer::{SequenceNumber, Ssrc};

pub(super) const FORMAT: u8 = 15;
/// Everything before the status chunks, the RTCP header included.
pub(super) const FIXED_LEN: usize = HEADER_LEN + 16;
/// Ticks of 250 µs in one unit of the reference time, 64 ms.
pub(super) const TICKS_PER_REFERENCE: i64 = 256;

pub(super) const NOT_RECEIVED: u8 = 0;
pub(super) const SMALL_DELTA: u8 = 1;
pub(super) const LARGE_DELTA: u8 = 2;

/// When which packets of the transport have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportFeedback<'a> {
    /// Who received them.
    pub sender: Ssrc,
    /// A source that sent some of them; they are numbered across all sources.
    pub media: Ssrc,
    /// The number of the first packet that is reported on.
    pub base: SequenceNumber,
    /// How many packets are reported on.
    pub status_count: u16,
    /// The time that the first arrival is relative to, in multiples of 64 ms: 24 bits, signed.
    pub reference_time: i32,
    /// Counts the feedback packets, wrapping.
    pub feedback_count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> TransportFeedback<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        const PACKET: &str = "transport-wide feedback";
        let (sender, media, rest) = sources(PACKET, body)?;
        let mut reader = Reader::new(PACKET, rest);
        let base = SequenceNumber(reader.u16("base sequence number")?);
        let status_count = reader.u16("packet status count")?;
        let [r0, r1, r2] = reader.array("reference time")?;
        let feedback_count = reader.u8("feedback packet count")?;
        let rest = reader.rest();

        // Walk over the chunks once, without looking at single packets, so that the iterator cannot fail.
        let mut reader = Reader::new(PACKET, rest);
        let mut missing = u32::from(status_count);
        let mut deltas_len = 0;
        while missing > 0 {
            let chunk = Chunk::read(reader.array("packet status chunks")?, missing as u16);
            let (small, large, reserved) = chunk.tally();
            if reserved > 0 {
                return Err(ParseError::Malformed { packet: PACKET, reason: "a packet status is reserved" });
            }
            deltas_len += small as usize + 2 * large as usize;
            missing -= u32::from(chunk.left);
        }
        let behind = reader.rest();
        let chunks = &rest[..rest.len() - behind.len()];
        let deltas = Reader::new(PACKET, behind).bytes(deltas_len, "receive deltas")?;
        Ok(TransportFeedback {
            sender,
            media,
            base,
            status_count,
            // The shifts extend the sign of the 24-bit number.
            reference_time: i32::from_be_bytes([r0, r1, r2, 0]) >> 8,
            feedback_count,
            chunks,
            deltas,
        })
    }

    /// The packets that are reported on, in order: [`status_count`](Self::status_count) of them.
    pub fn iter(&self) -> TransportFeedbackIter<'a> {
        TransportFeedbackIter {
            next: self.base,
            left: self.status_count,
            chunk: Chunk::EMPTY,
            chunks: self.chunks,
            deltas: self.deltas,
            ticks: i64::from(self.reference_time) * TICKS_PER_REFERENCE,
        }
    }

    /// The packets that arrived, in order.
    ///
    /// Runs of packets that did not are passed over at once: the work is bounded by the length of the
    /// feedback packet, whatever number of packets it claims to report on.
    pub fn arrivals(&self) -> impl Iterator<Item = (SequenceNumber, FeedbackTime)> + use<'a> {
        let mut statuses = self.iter();
        std::iter::from_fn(move || statuses.next_arrival())
    }
}

impl Encode for TransportFeedback<'_> {
    fn encoded_len(&self) -> usize {
        (FIXED_LEN + self.chunks.len() + self.deltas.len()).next_multiple_of(4)
    }

    fn encode(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        let len = self.encoded_len();
        let mut writer = Writer::new(out, PacketType::TRANSPORT_FEEDBACK, FORMAT, len)?;
        writer.u32(self.sender.0);
        writer.u32(self.media.0);
        writer.put(&self.base.0.to_be_bytes());
        writer.put(&self.status_count.to_be_bytes());
        writer.u32(((self.reference_time as u32) << 8) | u32::from(self.feedback_count));
        writer.put(self.chunks);
        writer.put(self.deltas);
        writer.pad();
        Ok(len)
    }
}

impl<'a> TransportFeedback<'a> {
    pub(super) fn from_parts(
        (sender, media): (Ssrc, Ssrc),
        base: SequenceNumber,
        status_count: u16,
        reference_time: i32,
        feedback_count: u8,
        chunks: &'a [u8],
        deltas: &'a [u8],
    ) -> Self {
        TransportFeedback {
            sender,
            media,
            base,
            status_count,
            reference_time,
            feedback_count,
            chunks,
            deltas,
        }
    }
}

/// An instant on the receiver's clock, in ticks of 250 µs since an epoch of its own.
///
/// The clock wraps: its 64 ms units have 24 bits, so that it comes round after twelve days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FeedbackTime(i64);

impl FeedbackTime {
    /// The instant in ticks of 250 µs.
    pub const fn ticks(self) -> i64 {
        self.0
    }

    /// The instant in microseconds.
    pub const fn as_micros(self) -> i64 {
        self.0 * 250
    }
}

/// What became of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PacketStatus {
    /// Its transport-wide sequence number.
    pub sequence_number: SequenceNumber,
    /// When it arrived, if it did.
    pub arrival: Option<FeedbackTime>,
}

/// The packets that a [`TransportFeedback`] reports on.
#[derive(Debug, Clone)]
pub struct TransportFeedbackIter<'a> {
    next: SequenceNumber,
    left: u16,
    chunk: Chunk,
    chunks: &'a [u8],
    deltas: &'a [u8],
    ticks: i64,
}

impl TransportFeedbackIter<'_> {
    fn next_arrival(&mut self) -> Option<(SequenceNumber, FeedbackTime)> {
        loop {
            self.load_chunk()?;
            if let Symbols::Run(NOT_RECEIVED) = self.chunk.symbols {
                self.next = self.next.wrapping_add(self.chunk.left);
                self.left -= self.chunk.left;
                self.chunk = Chunk::EMPTY;
                continue;
            }
            let status = self.next()?;
            if let Some(time) = status.arrival {
                return Some((status.sequence_number, time));
            }
        }
    }

    /// Makes sure that the chunk at hand has a symbol left; `None` at the end.
    fn load_chunk(&mut self) -> Option<()> {
        while self.chunk.left == 0 {
            if self.left == 0 {
                return None;
            }
            let (chunk, rest) = self.chunks.split_first_chunk::<2>()?;
            self.chunk = Chunk::read(*chunk, self.left);
            self.chunks = rest;
        }
        Some(())
    }
}

impl Iterator for TransportFeedbackIter<'_> {
    type Item = PacketStatus;

    fn next(&mut self) -> Option<PacketStatus> {
        self.load_chunk()?;
        let delta = match self.chunk.next_symbol() {
            SMALL_DELTA => {
                let (&delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                Some(i64::from(delta))
            }
            LARGE_DELTA => {
                let (delta, rest) = self.deltas.split_first_chunk::<2>()?;
                self.deltas = rest;
                Some(i64::from(i16::from_be_bytes(*delta)))
            }
            _ => None,
        };
        let sequence_number = self.next;
        self.next = sequence_number.wrapping_add(1);
        self.left -= 1;
        self.ticks += delta.unwrap_or(0);
        Some(PacketStatus { sequence_number, arrival: delta.map(|_| FeedbackTime(self.ticks)) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for TransportFeedbackIter<'_> {}

/// A packet status chunk, of which some symbols may have been taken.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    left: u16,
    symbols: Symbols,
}

#[derive(Debug, Clone, Copy)]
enum Symbols {
    Run(u8),
    // The next symbol is in the highest bits.
    OneBit(u16),
    TwoBits(u16),
}

impl Chunk {
    const EMPTY: Chunk = Chunk { left: 0, symbols: Symbols::Run(0) };

    /// Reads a chunk of which at most `max` symbols mean something.
    fn read(bytes: [u8; 2], max: u16) -> Self {
        let word = u16::from_be_bytes(bytes);
        let (count, symbols) = match word >> 14 {
            0 | 1 => (word & 0x1fff, Symbols::Run((word >> 13) as u8 & 0x03)),
            2 => (14, Symbols::OneBit(word << 2)),
            _ => (7, Symbols::TwoBits(word << 2)),
        };
        Chunk { left: count.min(max), symbols }
    }

    fn next_symbol(&mut self) -> u8 {
        self.left = self.left.saturating_sub(1);
        match &mut self.symbols {
            Symbols::Run(symbol) => *symbol,
            Symbols::OneBit(bits) => {
                let symbol = (*bits >> 15) as u8;
                *bits <<= 1;
                symbol
            }
            Symbols::TwoBits(bits) => {
                let symbol = (*bits >> 14) as u8;
                *bits <<= 2;
                symbol
            }
        }
    }

    /// How many symbols stand for a small delta, for a large one, and for nothing defined.
    fn tally(mut self) -> (u32, u32, u32) {
        if let Symbols::Run(symbol) = self.symbols {
            let count = u32::from(self.left);
            return match symbol {
                NOT_RECEIVED => (0, 0, 0),
                SMALL_DELTA => (count, 0, 0),
                LARGE_DELTA => (0, count, 0),
                _ => (0, 0, count),
            };
        }
        let (mut small, mut large, mut reserved) = (0, 0, 0);
        while self.left > 0 {
            match self.next_symbol() {
                NOT_RECEIVED => {}
                SMALL_DELTA => small += 1,
                LARGE_DELTA => large += 1,
                _ => reserved += 1,
            }
        }
        (small, large, reserved)
    }
}
