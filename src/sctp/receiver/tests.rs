use std::collections::BTreeSet;

use proptest::prelude::*;

use super::tracker::{Arrival, TsnTracker};
use crate::sctp::sequence::Tsn;

proptest! {
    /// The tracker agrees with a set of numbers, across the wrap.
    #[test]
    fn the_tracker_is_a_set(start: u32, arrivals in proptest::collection::vec((0u32..60, any::<bool>()), 0..120)) {
        let first = Tsn(start);
        let mut tracker = TsnTracker::new(first, 1000);
        let mut model = BTreeSet::new();
        for (offset, skip) in arrivals {
            let tsn = first.plus(offset);
            if skip && offset % 7 == 0 {
                tracker.advance(tsn);
                model.extend(0..=offset);
            } else {
                let arrival = tracker.classify(tsn);
                prop_assert_eq!(arrival == Arrival::Duplicate, model.contains(&offset));
                if arrival != Arrival::Duplicate {
                    tracker.insert(tsn);
                    model.insert(offset);
                }
            }
            let cumulative = (0..).find(|offset| !model.contains(offset)).unwrap();
            prop_assert_eq!(tracker.cumulative(), first.plus(cumulative).previous());
            let mut told = BTreeSet::new();
            for (start, end) in tracker.gaps() {
                told.extend((start..=end).map(|distance| cumulative + u32::from(distance) - 1));
            }
            let beyond: BTreeSet<u32> = model.range(cumulative..).copied().collect();
            prop_assert_eq!(told, beyond);
        }
    }
}

#[test]
fn too_many_holes_are_not_taken() {
    let mut tracker = TsnTracker::new(Tsn(10), 2);
    for tsn in [12, 14] {
        assert_eq!(tracker.classify(Tsn(tsn)), Arrival::OutOfSequence);
        tracker.insert(Tsn(tsn));
    }
    assert_eq!(tracker.classify(Tsn(16)), Arrival::Unacceptable);
    assert_eq!(tracker.classify(Tsn(15)), Arrival::OutOfSequence, "it makes no hole");
    assert_eq!(tracker.classify(Tsn(13)), Arrival::OutOfSequence, "it fills one");
    assert_eq!(tracker.classify(Tsn(10)), Arrival::OutOfSequence);
    assert_eq!(tracker.classify(Tsn(10 + 70_000)), Arrival::Unacceptable);
}
