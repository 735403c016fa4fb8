//! The replay list, RFC 3711 §3.3.2.

/// Which of the last indices were received (RFC 3711 §3.3.2).
#[derive(Clone, Debug)]
pub(super) struct ReplayWindow {
    /// One more than the highest index received; 0 for none.
    end: u64,
    /// Bit `index % size` is set if `index` was received and lies within the window.
    bits: Box<[u64]>,
}

impl ReplayWindow {
    pub(super) const MAX_SIZE: usize = 32_768;

    /// A window of at least `size` indices: a power of two, which spares each packet some divisions.
    pub(super) fn new(size: usize) -> Self {
        let words = size.clamp(1, Self::MAX_SIZE).div_ceil(64).next_power_of_two();
        Self { end: 0, bits: vec![0; words].into() }
    }

    /// A window that accepts only what comes after `last`, if there was a last one.
    pub(super) fn going_on(size: usize, last: Option<u64>) -> Self {
        let mut window = Self::new(size);
        if let Some(last) = last {
            window.end = last + 1;
            window.bits.fill(u64::MAX);
        }
        window
    }

    /// The highest index received; 0 for none.
    pub(super) fn last(&self) -> u64 {
        self.end.saturating_sub(1)
    }

    fn size(&self) -> u64 {
        self.bits.len() as u64 * 64
    }

    /// Whether `index` is neither received nor older than the window.
    #[inline]
    pub(super) fn accepts(&self, index: u64) -> bool {
        if index >= self.end {
            return true;
        }
        self.end - index <= self.size() && self.word(index) & bit(index) == 0
    }

    /// Notes that `index`, which was accepted, is received.
    #[inline]
    pub(super) fn insert(&mut self, index: u64) {
        if index > self.end {
            self.skip_to(index);
        }
        self.end = self.end.max(index + 1);
        *self.word_mut(index) |= bit(index);
    }

    /// Forgets what lay where the indices up to `index` are to lie.
    fn skip_to(&mut self, index: u64) {
        if index - self.end >= self.size() {
            self.bits.fill(0);
        } else {
            (self.end..index).for_each(|skipped| *self.word_mut(skipped) &= !bit(skipped));
        }
    }

    fn word(&self, index: u64) -> u64 {
        self.bits[self.place(index)]
    }

    fn word_mut(&mut self, index: u64) -> &mut u64 {
        let place = self.place(index);
        &mut self.bits[place]
    }

    fn place(&self, index: u64) -> usize {
        (index / 64) as usize & (self.bits.len() - 1)
    }
}

fn bit(index: u64) -> u64 {
    1 << (index % 64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_goes_on_after_an_index_accepts_nothing_up_to_it() {
        for last in [0, 5, 63, 64, 1000] {
            let mut window = ReplayWindow::going_on(64, Some(last));
            assert!((0..=last).all(|index| !window.accepts(index)));
            window.insert(last + 3);
            assert!(window.accepts(last + 1) && window.accepts(last + 2) && !window.accepts(last));
        }
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set(
            size in 1usize..300,
            start in 0u64..1000,
            steps in prop::collection::vec(-200i64..200, 1..300),
        ) {
            let mut window = ReplayWindow::new(size);
            let size = size.next_power_of_two().max(64) as u64;
            let mut received = BTreeSet::new();
            let mut at = start;
            for step in steps {
                at = at.saturating_add_signed(step);
                let highest = received.last().copied();
                let expected =
                    !received.contains(&at) && highest.is_none_or(|highest: u64| at + size > highest);
                prop_assert_eq!(window.accepts(at), expected);
                if expected {
                    window.insert(at);
                    received.insert(at);
                }
            }
        }
    }
}
