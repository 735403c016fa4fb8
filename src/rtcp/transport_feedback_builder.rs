//! Transport-wide congestion control feedback: building it from arrivals.

use std::time::Duration;

use smallvec::SmallVec;

use super::TransportFeedback;
use super::transport_feedback::{FIXED_LEN, LARGE_DELTA, NOT_RECEIVED, SMALL_DELTA, TICKS_PER_REFERENCE};
use crate::layer::{SequenceNumber, Ssrc};

/// The longest run that a status chunk can tell.
const MAX_RUN: u16 = 0x1fff;

/// Builds a [`TransportFeedback`] from arrivals in the order of their sequence numbers.
///
/// ```
/// use std::time::Duration;
/// use kaon_rtc::layer::{SequenceNumber, Ssrc};
/// use kaon_rtc::rtcp::{Encode, TransportFeedbackBuilder};
///
/// let mut builder = TransportFeedbackBuilder::new(Ssrc(1), Ssrc(2), 0, 1200);
/// builder.push(SequenceNumber(10), Duration::from_millis(640))?;
/// builder.push(SequenceNumber(12), Duration::from_millis(645))?;
/// let mut buffer = [0; 1200];
/// let len = builder.finish().ok_or("nothing arrived")?.encode(&mut buffer)?;
/// assert_eq!(len, 24);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct TransportFeedbackBuilder {
    sources: (Ssrc, Ssrc),
    feedback_count: u8,
    max_len: usize,
    // What is to be reported on first, if not the first arrival.
    base: Option<SequenceNumber>,
    arrivals: Option<Arrivals>,
    pending: PendingChunk,
    chunks: SmallVec<[u8; 64]>,
    deltas: SmallVec<[u8; 192]>,
}

#[derive(Debug, Clone, Copy)]
struct Arrivals {
    base: SequenceNumber,
    // How many packets are reported on, from `base` on.
    count: u16,
    // In units of 64 ms, before it is cut to 24 bits.
    reference: i64,
    last_ticks: i64,
}

/// Why an arrival does not fit the feedback packet under construction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The packet has reached its limit; finish it and push the arrival to a new one.
    #[error("the feedback packet is full; finish it and begin another")]
    Full,
    /// The arrival before it is more than 8.19 s away; finish the packet and push the arrival to a new one.
    #[error("the arrival is too far from the one before for this packet; finish it and begin another")]
    DeltaTooLarge,
    /// The sequence number is not newer than the one pushed before.
    #[error("sequence number {number} is not newer than {last}, which was pushed before")]
    NotNewer {
        /// The number.
        number: SequenceNumber,
        /// The number pushed before.
        last: SequenceNumber,
    },
}

impl TransportFeedbackBuilder {
    /// An empty packet of at most `max_len` bytes when it is written. With less than 44, an arrival may find no
    /// room even in an empty packet.
    pub fn new(sender: Ssrc, media: Ssrc, feedback_count: u8, max_len: usize) -> Self {
        TransportFeedbackBuilder {
            sources: (sender, media),
            feedback_count,
            max_len,
            base: None,
            arrivals: None,
            pending: PendingChunk::default(),
            chunks: SmallVec::new(),
            deltas: SmallVec::new(),
        }
    }

    /// Begins another packet, numbered `feedback_count`, and keeps the memory of this one.
    ///
    /// It reports on packets from `base` on, if that is given: those from there to the first arrival are
    /// missing.
    pub fn begin(&mut self, base: Option<SequenceNumber>, feedback_count: u8) {
        self.base = base;
        self.feedback_count = feedback_count;
        self.arrivals = None;
        self.pending = PendingChunk::default();
        self.chunks.clear();
        self.deltas.clear();
    }

    /// Whether no arrival was pushed.
    pub fn is_empty(&self) -> bool {
        self.arrivals.is_none()
    }

    /// Adds the arrival of a packet, at a time `since_epoch` on the caller's clock, whose epoch is fixed for
    /// all feedback of the transport. Packets between the one before and this one are reported as missing.
    ///
    /// # Errors
    /// See [`PushError`]. The arrival is then not part of the packet.
    pub fn push(&mut self, number: SequenceNumber, since_epoch: Duration) -> Result<(), PushError> {
        let ticks = i64::try_from(since_epoch.as_micros() / 250).unwrap_or(i64::MAX);
        let mut arrivals = self.arrivals.unwrap_or(Arrivals {
            base: number,
            count: 0,
            reference: ticks / TICKS_PER_REFERENCE,
            last_ticks: ticks - ticks % TICKS_PER_REFERENCE,
        });
        let mut gap = 0;
        if let (0, Some(base)) = (arrivals.count, self.base) {
            let distance = number.distance_from(base);
            if distance < 0 {
                return Err(PushError::NotNewer { number, last: base });
            }
            gap = distance as u16;
            arrivals.base = base;
        } else if arrivals.count > 0 {
            let last = arrivals.base.wrapping_add(arrivals.count - 1);
            let distance = number.distance_from(last);
            if distance <= 0 {
                return Err(PushError::NotNewer { number, last });
            }
            gap = distance as u16 - 1;
        }
        let delta =
            i16::try_from(ticks.saturating_sub(arrivals.last_ticks)).map_err(|_| PushError::DeltaTooLarge)?;
        arrivals.count =
            arrivals.count.checked_add(gap).and_then(|count| count.checked_add(1)).ok_or(PushError::Full)?;
        // At most: two chunks to end what is pending, the gap's runs, two more for what is left of the last of
        // them, and the chunk that this packet will be in.
        let more_chunks = 6 + usize::from(gap / MAX_RUN);
        let len = FIXED_LEN + self.chunks.len() + 2 * more_chunks + self.deltas.len() + 2;
        if len.next_multiple_of(4) > self.max_len {
            return Err(PushError::Full);
        }
        arrivals.last_ticks = ticks;
        self.arrivals = Some(arrivals);
        self.pending.add_missing(gap, &mut self.chunks);
        match u8::try_from(delta) {
            Ok(delta) => {
                self.pending.add(SMALL_DELTA, &mut self.chunks);
                self.deltas.push(delta);
            }
            Err(_) => {
                self.pending.add(LARGE_DELTA, &mut self.chunks);
                self.deltas.extend_from_slice(&delta.to_be_bytes());
            }
        }
        Ok(())
    }

    /// The packet, ready to be written; `None` when nothing was pushed.
    pub fn finish(&mut self) -> Option<TransportFeedback<'_>> {
        let arrivals = self.arrivals?;
        self.pending.flush(&mut self.chunks);
        Some(TransportFeedback::from_parts(
            self.sources,
            arrivals.base,
            arrivals.count,
            // The shifts extend the sign of what 24 bits hold.
            ((arrivals.reference as i32) << 8) >> 8,
            self.feedback_count,
            &self.chunks,
            &self.deltas,
        ))
    }
}

/// Symbols that are not yet a chunk: they will be a run, one-bit symbols or two-bit symbols, whichever holds
/// most of what comes.
#[derive(Debug, Clone, Default)]
struct PendingChunk {
    // The first fourteen; all further ones are the same.
    symbols: [u8; 14],
    count: u16,
    mixed: bool,
    has_large: bool,
}

impl PendingChunk {
    fn add(&mut self, symbol: u8, out: &mut SmallVec<[u8; 64]>) {
        while !self.has_room_for(symbol) {
            self.emit(false, out);
        }
        if self.count > 0 && symbol != self.symbols[0] {
            self.mixed = true;
        }
        self.has_large |= symbol == LARGE_DELTA;
        if let Some(slot) = self.symbols.get_mut(usize::from(self.count)) {
            *slot = symbol;
        }
        self.count += 1;
    }

    fn add_missing(&mut self, mut count: u16, out: &mut SmallVec<[u8; 64]>) {
        while count > 0 {
            self.add(NOT_RECEIVED, out);
            count -= 1;
            // A run of nothing is lengthened at once: a peer that skips numbers costs no time.
            if self.count >= 14 && !self.mixed && self.symbols[0] == NOT_RECEIVED {
                let more = count.min(MAX_RUN - self.count);
                self.count += more;
                count -= more;
            }
        }
    }

    fn has_room_for(&self, symbol: u8) -> bool {
        self.count < 7
            || (self.count < 14 && !self.has_large && symbol != LARGE_DELTA)
            || (self.count < MAX_RUN && !self.mixed && symbol == self.symbols[0])
    }

    // Makes one chunk of as many symbols as it takes; only the last chunk of all may be short of symbols.
    fn emit(&mut self, last: bool, out: &mut SmallVec<[u8; 64]>) {
        let (word, taken) = if !self.mixed {
            ((u16::from(self.symbols[0]) << 13) | self.count, self.count)
        } else if self.count == 14 || (last && self.count > 7) {
            // Neither holds a large delta: there would have been no room for an eighth symbol.
            let bits = self.symbols.iter().fold(0, |bits, &symbol| (bits << 1) | u16::from(symbol));
            (0x8000 | bits, self.count)
        } else {
            let bits = self.symbols[..7].iter().fold(0, |bits, &symbol| (bits << 2) | u16::from(symbol));
            (0xc000 | bits, self.count.min(7))
        };
        out.extend_from_slice(&word.to_be_bytes());
        let left = self.symbols;
        let left = left.get(usize::from(taken)..usize::from(self.count).min(14)).unwrap_or(&[]);
        *self = PendingChunk::default();
        for &symbol in left {
            self.add(symbol, out);
        }
    }

    fn flush(&mut self, out: &mut SmallVec<[u8; 64]>) {
        while self.count > 0 {
            self.emit(true, out);
        }
    }
}
