//! How much of what a stream sends may be sent again.

/// A share of the bytes of a stream, which retransmissions take from: a peer that asks all the time, or asks for what
/// it has, gets no more than that on top of the stream itself.
///
/// ```
/// use kaon_rtc::media::RepairBudget;
///
/// let mut budget = RepairBudget::default();
/// budget.sent(1000);
/// assert!(budget.take(1000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepairBudget {
    available: usize,
}

impl RepairBudget {
    /// Bytes that may be sent again before anything more is sent: a key frame of a large picture.
    pub const BURST: usize = 256 << 10;

    /// For each byte that is sent, one may be sent again: a path that loses half of all packets can be repaired, and
    /// one that is worse carries no media.
    pub const SHARE_PERCENT: usize = 100;

    /// Takes notice of `bytes` that were sent for the first time.
    pub fn sent(&mut self, bytes: usize) {
        self.available = (self.available + bytes * Self::SHARE_PERCENT / 100).min(Self::BURST);
    }

    /// Whether `bytes` may be sent again, which counts them as sent.
    pub fn take(&mut self, bytes: usize) -> bool {
        match self.available.checked_sub(bytes) {
            Some(rest) => {
                self.available = rest;
                true
            }
            None => false,
        }
    }
}

/// A budget with its burst.
impl Default for RepairBudget {
    fn default() -> Self {
        Self { available: Self::BURST }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repair_is_a_share_of_the_stream() {
        let mut budget = RepairBudget::default();
        let (mut first, mut again) = (0, 0);
        for _ in 0..10_000 {
            budget.sent(1000);
            first += 1000;
            while budget.take(1000) {
                again += 1000;
            }
        }
        assert!(again <= first + RepairBudget::BURST, "{again} of {first}");
        assert!(again >= first, "{again} of {first}");
    }
}
