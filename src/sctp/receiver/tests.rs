use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;

use super::delivery::Delivery;
use super::reassembly::Complete;
use super::tracker::{Arrival, TsnTracker};
use crate::layer::{PayloadProtocol, StreamId};
use crate::sctp::sequence::{Ssn, Tsn};

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
    assert_eq!(tracker.classify(Tsn(10)), Arrival::FirstHole);
    assert_eq!(tracker.classify(Tsn(10 + 70_000)), Arrival::Unacceptable);
}

#[test]
fn a_skip_delivers_what_is_complete_across_the_wrap() {
    let stream = StreamId(4);
    let complete = |ssn: u16| Complete {
        stream,
        ssn: Ssn(ssn),
        protocol: PayloadProtocol::BINARY,
        unordered: false,
        payload: Bytes::copy_from_slice(&ssn.to_be_bytes()),
    };
    let mut delivery = Delivery::default();
    delivery.skip(stream, Ssn(32_000));
    delivery.skip(stream, Ssn(64_000));
    delivery.skip(stream, Ssn(65_532));
    for ssn in [65_534, 0, 2, 3, 9] {
        delivery.insert(complete(ssn));
    }
    let charge = delivery.charge();
    delivery.insert(complete(2));
    assert_eq!(delivery.charge(), charge, "its place is taken");
    delivery.insert(complete(65_000));
    assert_eq!(delivery.charge(), charge, "its place has passed");
    delivery.skip(stream, Ssn(1));
    delivery.skip(stream, Ssn(0));
    let delivered: Vec<u16> = std::iter::from_fn(|| delivery.pop())
        .map(|message| u16::from_be_bytes(message.payload[..].try_into().unwrap()))
        .collect();
    assert_eq!(delivered, [65_534, 0, 2, 3], "in the order of the stream");
}
