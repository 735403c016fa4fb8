//! Which TSNs have arrived.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::sctp::sequence::Tsn;

/// Which TSNs were received.
///
/// Beside its number each TSN has a position, which never wraps: what is kept of TSNs is in order of it.
#[derive(Debug)]
pub(super) struct TsnTracker {
    cumulative: Tsn,
    /// The position of the cumulative TSN.
    position: u64,
    /// What was received beyond: disjoint ranges of positions that do not touch, from the first to the last, both
    /// included. In a tree, since a fragment may come anywhere among thousands.
    ranges: BTreeMap<u64, u64>,
    max_ranges: usize,
    duplicates: SmallVec<[Tsn; 8]>,
}

/// What a TSN is to the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is new, and the next in sequence.
    InSequence,
    /// It is new and the first that is missing, before others that came.
    FirstHole,
    /// It is new and leaves or fills another hole.
    OutOfSequence,
    /// It was received before.
    Duplicate,
    /// It is farther ahead than a SACK can tell, or would make one hole too many.
    Unacceptable,
}

impl TsnTracker {
    /// A SACK counts 16 bits from the cumulative TSN.
    const REACH: u32 = 65_535;
    /// The most duplicates that are reported in one SACK.
    const MAX_DUPLICATES: usize = 32;

    /// What a range takes in the tree, at the worst.
    const RANGE_OVERHEAD: usize = 48;

    pub(super) fn new(initial: Tsn, max_ranges: usize) -> Self {
        Self {
            cumulative: initial.previous(),
            position: u64::from(u32::MAX),
            ranges: BTreeMap::new(),
            max_ranges,
            duplicates: SmallVec::new(),
        }
    }

    pub(super) fn cumulative(&self) -> Tsn {
        self.cumulative
    }

    pub(super) fn has_gaps(&self) -> bool {
        !self.ranges.is_empty()
    }

    /// The memory that holes take.
    pub(super) fn charge(&self) -> usize {
        self.ranges.len() * Self::RANGE_OVERHEAD
    }

    /// The position of a TSN within reach of the cumulative one.
    pub(super) fn position(&self, tsn: Tsn) -> u64 {
        self.position.wrapping_add_signed(i64::from(tsn.since(self.cumulative) as i32))
    }

    /// Says what the TSN is, without taking it.
    #[inline]
    pub(super) fn classify(&self, tsn: Tsn) -> Arrival {
        let is_next = tsn == self.cumulative.next();
        if is_next && self.ranges.is_empty() {
            return Arrival::InSequence;
        }
        if self.cumulative.is_at_or_after(tsn) {
            return Arrival::Duplicate;
        }
        let distance = tsn.since(self.cumulative);
        if distance > Self::REACH {
            return Arrival::Unacceptable;
        }
        let at = self.position(tsn);
        let before = self.ranges.range(..=at).next_back().map(|(_, end)| *end);
        if before.is_some_and(|end| at <= end) {
            return Arrival::Duplicate;
        }
        if is_next {
            return Arrival::FirstHole;
        }
        let joins = before.is_some_and(|end| end + 1 == at) || self.ranges.contains_key(&(at + 1));
        if !joins && self.ranges.len() >= self.max_ranges {
            return Arrival::Unacceptable;
        }
        Arrival::OutOfSequence
    }

    /// Takes a TSN that is new.
    pub(super) fn insert(&mut self, tsn: Tsn) {
        if tsn == self.cumulative.next() {
            self.move_to(tsn);
            self.absorb();
            return;
        }
        let at = self.position(tsn);
        let end = self.ranges.remove(&(at + 1)).unwrap_or(at);
        match self.ranges.range_mut(..at).next_back() {
            Some((_, before)) if *before + 1 == at => *before = end,
            _ => drop(self.ranges.insert(at, end)),
        }
    }

    /// Acts as if everything up to `tsn` had been received.
    pub(super) fn advance(&mut self, tsn: Tsn) {
        if !tsn.is_after(self.cumulative) {
            return;
        }
        self.move_to(tsn);
        while let Some(first) = self.ranges.first_entry()
            && *first.key() <= self.position
        {
            let end = first.remove();
            if end > self.position {
                self.ranges.insert(self.position + 1, end);
            }
        }
        self.absorb();
    }

    fn move_to(&mut self, tsn: Tsn) {
        self.position += u64::from(tsn.since(self.cumulative));
        self.cumulative = tsn;
    }

    fn absorb(&mut self) {
        if self.ranges.is_empty() {
            return;
        }
        if let Some(end) = self.ranges.remove(&(self.position + 1)) {
            self.cumulative = self.cumulative.plus((end - self.position) as u32);
            self.position = end;
        }
    }

    pub(super) fn note_duplicate(&mut self, tsn: Tsn) {
        if self.duplicates.len() < Self::MAX_DUPLICATES {
            self.duplicates.push(tsn);
        }
    }

    pub(super) fn duplicates(&self) -> &[Tsn] {
        &self.duplicates
    }

    pub(super) fn forget_duplicates(&mut self) {
        self.duplicates.clear();
    }

    /// The ranges as distances from the cumulative TSN.
    pub(super) fn gaps(&self) -> impl ExactSizeIterator<Item = (u16, u16)> {
        let position = self.position;
        self.ranges.iter().map(move |(start, end)| ((start - position) as u16, (end - position) as u16))
    }

    pub(super) fn shrink(&mut self) {
        if self.ranges.is_empty() {
            self.ranges = BTreeMap::new();
        }
    }
}
