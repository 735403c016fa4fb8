use smallvec::SmallVec;

use crate::sctp::sequence::Tsn;

/// Which TSNs were received.
#[derive(Debug)]
pub(super) struct TsnTracker {
    cumulative: Tsn,
    /// What was received beyond: disjoint ranges in order that do not touch, both ends included.
    ranges: Vec<(Tsn, Tsn)>,
    max_ranges: usize,
    duplicates: SmallVec<[Tsn; 8]>,
}

/// What a TSN is to the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is new, and the next in sequence.
    InSequence,
    /// It is new and leaves or fills a hole.
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

    pub(super) fn new(initial: Tsn, max_ranges: usize) -> Self {
        Self { cumulative: initial.previous(), ranges: Vec::new(), max_ranges, duplicates: SmallVec::new() }
    }

    pub(super) fn cumulative(&self) -> Tsn {
        self.cumulative
    }

    pub(super) fn highest(&self) -> Tsn {
        self.ranges.last().map_or(self.cumulative, |(_, end)| *end)
    }

    pub(super) fn has_gaps(&self) -> bool {
        !self.ranges.is_empty()
    }

    /// Says what the TSN is, without taking it.
    pub(super) fn classify(&self, tsn: Tsn) -> Arrival {
        if tsn == self.cumulative.next() && self.ranges.is_empty() {
            return Arrival::InSequence;
        }
        if self.cumulative.is_at_or_after(tsn) {
            return Arrival::Duplicate;
        }
        let distance = tsn.since(self.cumulative);
        if distance > Self::REACH {
            return Arrival::Unacceptable;
        }
        let index = self.ranges.partition_point(|(_, end)| !end.is_at_or_after(tsn));
        let follows = index > 0 && self.ranges.get(index - 1).is_some_and(|(_, end)| end.next() == tsn);
        match self.ranges.get(index) {
            Some((start, _)) if tsn.is_at_or_after(*start) => return Arrival::Duplicate,
            Some((start, _)) if tsn.next() == *start => return Arrival::OutOfSequence,
            _ => {}
        }
        if distance > 1 && !follows && self.ranges.len() >= self.max_ranges {
            return Arrival::Unacceptable;
        }
        Arrival::OutOfSequence
    }

    /// Takes a TSN that is new.
    pub(super) fn insert(&mut self, tsn: Tsn) {
        if tsn == self.cumulative.next() {
            self.cumulative = tsn;
            self.absorb();
            return;
        }
        let index = self.ranges.partition_point(|(_, end)| !end.is_at_or_after(tsn));
        let joins_next = self.ranges.get(index).is_some_and(|(start, _)| tsn.next() == *start);
        let before = index.checked_sub(1);
        let joins_previous =
            before.and_then(|before| self.ranges.get(before)).is_some_and(|(_, end)| end.next() == tsn);
        match (joins_previous, joins_next) {
            (true, true) => {
                let (_, end) = self.ranges.remove(index);
                self.ranges[index - 1].1 = end;
            }
            (true, false) => self.ranges[index - 1].1 = tsn,
            (false, true) => self.ranges[index].0 = tsn,
            (false, false) => self.ranges.insert(index, (tsn, tsn)),
        }
    }

    /// Acts as if everything up to `tsn` had been received.
    pub(super) fn advance(&mut self, tsn: Tsn) {
        if !tsn.is_after(self.cumulative) {
            return;
        }
        self.cumulative = tsn;
        let passed = self.ranges.partition_point(|(_, end)| tsn.is_at_or_after(*end));
        self.ranges.drain(..passed);
        if let Some((start, _)) = self.ranges.first_mut()
            && tsn.is_at_or_after(*start)
        {
            *start = tsn.next();
        }
        self.absorb();
    }

    fn absorb(&mut self) {
        if let Some(&(start, end)) = self.ranges.first()
            && start == self.cumulative.next()
        {
            self.cumulative = end;
            self.ranges.remove(0);
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
        let cumulative = self.cumulative;
        self.ranges
            .iter()
            .map(move |(start, end)| (start.since(cumulative) as u16, end.since(cumulative) as u16))
    }

    pub(super) fn shrink(&mut self) {
        self.ranges.shrink_to_fit();
    }
}
