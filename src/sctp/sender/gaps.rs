//! What SACKs acknowledged beyond the cumulative TSN (RFC 9260 §3.3.4, Gap Ack Blocks).

use std::collections::BTreeMap;

/// Disjoint ranges of positions, from the first to the last, both included. A block costs what it covers for the
/// first time, however many ranges there are.
#[derive(Debug, Default)]
pub(super) struct Gaps(BTreeMap<u64, u64>);

impl Gaps {
    /// Adds a block, and hands on the parts of it that were not covered.
    pub(super) fn add(&mut self, start: u64, end: u64, mut uncovered: impl FnMut(u64, u64)) {
        let (mut first, mut last, mut position) = (start, end, start);
        if let Some((&before, &its_end)) = self.0.range(..=start).next_back() {
            if its_end >= end {
                return;
            }
            if its_end + 1 >= start {
                self.0.remove(&before);
                (first, position) = (before, its_end + 1);
            }
        }
        while let Some((&next, &its_end)) = self.0.range(start..=end + 1).next() {
            self.0.remove(&next);
            if next > position {
                uncovered(position, next - 1);
            }
            position = position.max(its_end + 1);
            last = last.max(its_end);
        }
        if position <= end {
            uncovered(position, end);
        }
        self.0.insert(first, last);
    }

    /// The last position of the last range.
    pub(super) fn highest(&self) -> Option<u64> {
        self.0.last_key_value().map(|(_, end)| *end)
    }

    /// Forgets what is before `position`.
    pub(super) fn forget_before(&mut self, position: u64) {
        while let Some(first) = self.0.first_entry()
            && *first.key() < position
        {
            let end = first.remove();
            if end >= position {
                self.0.insert(position, end);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.0 = BTreeMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_handed_on() {
        let mut gaps = Gaps::default();
        let mut add = |start, end| {
            let mut new = Vec::new();
            gaps.add(start, end, |from, to| new.push((from, to)));
            new
        };
        assert_eq!(add(5, 6), [(5, 6)]);
        assert_eq!(add(9, 9), [(9, 9)]);
        assert_eq!(add(5, 6), []);
        assert_eq!(add(4, 10), [(4, 4), (7, 8), (10, 10)]);
        assert_eq!(add(11, 12), [(11, 12)]);
        assert_eq!(add(2, 20), [(2, 3), (13, 20)]);
        assert_eq!(add(4, 19), []);
        gaps.forget_before(19);
        assert_eq!((gaps.highest(), gaps.0.len()), (Some(20), 1));
    }
}
