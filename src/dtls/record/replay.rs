//! The replay window, RFC 6347 §4.1.2.6.

use super::header::SequenceNumber;

/// Which records of an epoch arrived already (RFC 6347 §4.1.2.6). Fed with authenticated records only, so
/// that nobody else can move it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplayWindow {
    /// One past the highest number that arrived.
    end: u64,
    /// Bit n stands for the record `end - 1 - n`.
    seen: u128,
}

impl ReplayWindow {
    /// How far behind the newest record one may arrive.
    pub(crate) const WIDTH: u64 = 128;

    /// Whether a record of this number may still be accepted.
    pub(crate) fn is_fresh(&self, SequenceNumber(number): SequenceNumber) -> bool {
        match self.end.checked_sub(number.saturating_add(1)) {
            None => true,
            Some(behind) => behind < Self::WIDTH && self.seen & (1 << behind) == 0,
        }
    }

    /// Notes that a record of this number arrived.
    pub(crate) fn accept(&mut self, SequenceNumber(number): SequenceNumber) {
        let end = number.saturating_add(1);
        match self.end.checked_sub(end) {
            None => {
                let ahead = end - self.end;
                self.seen = if ahead < Self::WIDTH { self.seen << ahead | 1 } else { 1 };
                self.end = end;
            }
            Some(behind) if behind < Self::WIDTH => self.seen |= 1 << behind,
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_set(numbers in prop::collection::vec(0u64..400, 0..300)) {
            let mut window = ReplayWindow::default();
            let mut seen = HashSet::new();
            let mut highest = 0;
            for number in numbers {
                let fresh = !seen.contains(&number) && (number + ReplayWindow::WIDTH > highest);
                prop_assert_eq!(window.is_fresh(SequenceNumber(number)), fresh);
                if fresh {
                    window.accept(SequenceNumber(number));
                    seen.insert(number);
                    highest = highest.max(number);
                }
            }
        }
    }

    #[test]
    fn the_last_number_is_handled() {
        let mut window = ReplayWindow::default();
        window.accept(SequenceNumber::MAX);
        assert!(!window.is_fresh(SequenceNumber::MAX));
        assert!(window.is_fresh(SequenceNumber(SequenceNumber::MAX.0 - 1)));
        assert!(!window.is_fresh(SequenceNumber(0)));
    }
}
