//! Sequence numbers that do not wrap.

use crate::layer::SequenceNumber;

/// Extends 16-bit sequence numbers to 64 bits, following the stream as it wraps.
///
/// ```
/// use kaon_rtc::{layer::SequenceNumber, rtp::SequenceUnwrapper};
///
/// let mut unwrapper = SequenceUnwrapper::new();
/// let last = unwrapper.unwrap(SequenceNumber(65535));
/// assert_eq!(unwrapper.unwrap(SequenceNumber(0)), last + 1);
/// assert_eq!(unwrapper.unwrap(SequenceNumber(65534)), last - 1);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SequenceUnwrapper {
    newest: Option<u64>,
}

impl SequenceUnwrapper {
    /// One that has seen nothing yet.
    pub const fn new() -> Self {
        SequenceUnwrapper { newest: None }
    }

    /// The extended number nearest to the newest one seen; the first is placed one cycle above zero, so that
    /// an earlier packet that comes late has a number too.
    pub fn unwrap(&mut self, number: SequenceNumber) -> u64 {
        let extended = self.peek(number);
        self.newest = Some(self.newest.map_or(extended, |newest| newest.max(extended)));
        extended
    }

    /// What [`unwrap`](Self::unwrap) would say, without taking notice of the number.
    pub fn peek(&self, number: SequenceNumber) -> u64 {
        match self.newest {
            None => 0x1_0000 + u64::from(number.0),
            Some(newest) => {
                let distance = number.distance_from(SequenceNumber(newest as u16));
                newest.saturating_add_signed(i64::from(distance))
            }
        }
    }

    /// The newest extended number seen.
    pub const fn newest(&self) -> Option<u64> {
        self.newest
    }
}
