//! Packet indices, RFC 3711 §3.3.1.

/// The index of an SRTP packet: 32 bits of rollover counter and 16 of sequence number (RFC 3711 §3.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PacketIndex(u64);

impl PacketIndex {
    /// The last index of a key.
    const MAX: u64 = (1 << 48) - 1;

    pub(super) const fn new(rollover_counter: u32, sequence_number: u16) -> Self {
        Self((rollover_counter as u64) << 16 | sequence_number as u64)
    }

    /// An index that [`value`](Self::value) gave.
    pub(super) const fn from_value(value: u64) -> Self {
        Self(value)
    }

    pub(super) const fn value(self) -> u64 {
        self.0
    }

    pub(super) const fn rollover_counter(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// The index nearest to `self` that ends in `sequence_number` (RFC 3711 §3.3.1, appendix A). `None` when
    /// it lies beyond the last one.
    #[inline]
    pub(super) fn nearest(self, sequence_number: u16) -> Option<Self> {
        let ahead = sequence_number.wrapping_sub(self.0 as u16);
        // Of two that are equally near, the one with the same rollover counter, as appendix A has it.
        let index = if ahead < 0x8000 || ahead == 0x8000 && sequence_number >= 0x8000 {
            self.0 + u64::from(ahead)
        } else {
            // Behind by 0x10000 - ahead; before the first index of all it can only be ahead.
            let behind = 0x1_0000 - u64::from(ahead);
            self.0.checked_sub(behind).unwrap_or(self.0 + u64::from(ahead))
        };
        (index <= Self::MAX).then_some(Self(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_index_is_found_across_rollovers() {
        let at = |roc, seq| PacketIndex::new(roc, seq);
        assert_eq!(at(0, 10).nearest(11), Some(at(0, 11)));
        assert_eq!(at(0, 10).nearest(9), Some(at(0, 9)));
        assert_eq!(at(0, 0xffff).nearest(0), Some(at(1, 0)));
        assert_eq!(at(1, 0).nearest(0xffff), Some(at(0, 0xffff)));
        assert_eq!(at(5, 0x8000).nearest(0), Some(at(5, 0)));
        assert_eq!(at(5, 0x8001).nearest(0), Some(at(6, 0)));
        assert_eq!(at(0, 10).nearest(0xfff0), Some(at(0, 0xfff0)), "nothing lies before the first index");
        assert_eq!(at(u32::MAX, 0xffff).nearest(0), None);
    }

    /// RFC 3711 appendix A, word for word.
    #[test]
    fn the_estimate_is_that_of_appendix_a() {
        let roc = 5;
        for s_l in [0i32, 1, 10, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff] {
            for seq in
                (0..=0xffff).step_by(0x1000).flat_map(|seq| [seq - 1, seq, seq + 1]).map(|seq| seq & 0xffff)
            {
                let v = if s_l < 32_768 {
                    if seq - s_l > 32_768 { roc - 1 } else { roc }
                } else if s_l - 32_768 > seq {
                    roc + 1
                } else {
                    roc
                };
                let estimated = PacketIndex::new(roc, s_l as u16).nearest(seq as u16);
                assert_eq!(estimated, Some(PacketIndex::new(v, seq as u16)), "{s_l:#x} {seq:#x}");
            }
        }
    }
}
