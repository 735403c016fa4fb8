use std::collections::BTreeSet;
use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::*;

use super::loss::MissingReports;
use super::outstanding::Outstanding;
use super::queue::Message;
use crate::layer::{PayloadProtocol, StreamId};
use crate::sctp::sequence::{Ssn, Tsn};

fn message(length: usize, max_retransmits: Option<u16>) -> Message {
    let payload = Bytes::from(vec![0; length]);
    Message { payload, protocol: PayloadProtocol::BINARY, unordered: false, max_retransmits, expires: None }
}

/// `count` chunks of ten bytes, in messages of three.
fn outstanding(first: Tsn, count: usize, max_retransmits: Option<u16>) -> Outstanding {
    let mut outstanding = Outstanding::new(first);
    for index in 0..count {
        if index % 3 == 0 {
            outstanding.begin_message(StreamId(1), Ssn(index as u16 / 3), message(30, max_retransmits));
        }
        outstanding.push_fragment(index % 3 * 10, 10).unwrap();
    }
    outstanding
}

proptest! {
    /// Whatever the SACKs say, the bytes in flight are those of the chunks that none of them covered.
    #[test]
    fn in_flight_is_what_no_sack_covered(
        first: u32,
        sacks in proptest::collection::vec(
            (0u32..20, proptest::collection::vec((1u16..70, 0u16..9), 0..6)), 0..12
        ),
    ) {
        const COUNT: usize = 60;
        let first = Tsn(first);
        let mut ring = outstanding(first, COUNT, None);
        let mut covered = BTreeSet::new();
        let mut cumulative = 0;
        for (advance, blocks) in sacks {
            cumulative = (cumulative + advance).min(COUNT as u32);
            let mut newly = 0;
            if cumulative > 0 && first.plus(cumulative - 1).is_at_or_after(ring.first()) {
                newly += ring.acknowledge_cumulative(first.plus(cumulative - 1)).bytes;
            }
            let before = covered.len();
            covered.extend(0..cumulative);
            let mut blocks: Vec<(u16, u16)> =
                blocks.into_iter().map(|(start, length)| (start, start + length)).collect();
            blocks.sort_unstable();
            let mut previous = 0;
            for &(start, end) in &blocks {
                let end = end.min(COUNT as u16 - cumulative as u16);
                if start > previous && end >= start {
                    covered.extend((start..=end).map(|distance| cumulative + u32::from(distance) - 1));
                    previous = end;
                }
            }
            newly += ring.acknowledge_gaps(blocks.into_iter()).bytes;
            prop_assert_eq!(newly, 10 * (covered.len() - before));
            prop_assert_eq!(ring.in_flight(), 10 * (COUNT - covered.len()));
        }
    }
}

#[test]
fn a_third_report_makes_a_chunk_lost() {
    let first = Tsn(u32::MAX - 2);
    let mut reports = MissingReports::new(first);
    reports.count(first.plus(3));
    reports.count(first.plus(5));
    assert_eq!(reports.take_range(first), None, "two reports");
    reports.count(first.plus(4));
    assert_eq!(reports.take_range(first), Some((first, first.plus(3))));
    assert_eq!(reports.take_range(first), None, "each chunk is looked at once");
    reports.count(first.plus(9));
    assert_eq!(reports.take_range(first), Some((first.plus(3), first.plus(4))));
}

/// A transfer without loss for more than half of all TSNs does not hide the first loss after it.
#[test]
fn reports_count_after_half_of_all_numbers() {
    let mut reports = MissingReports::new(Tsn(0));
    let mut first = Tsn(0);
    for _ in 0..5 {
        first = first.plus(1 << 29);
        for _ in 0..3 {
            first = first.next();
            reports.count(first.previous());
            assert_eq!(reports.take_range(first), None);
        }
    }
    for ahead in 1..=3 {
        reports.count(first.plus(ahead));
    }
    assert_eq!(reports.take_range(first), Some((first, first.next())));
}

#[test]
fn what_is_sent_again_may_be_lost_again() {
    let now = Instant::now();
    let mut ring = outstanding(Tsn(1), 6, None);
    assert!(ring.lose_range(Tsn(1), Tsn(2), now));
    assert_eq!(ring.next_retransmission(), Some(10));
    ring.retransmit().unwrap();
    assert!(!ring.lose_resent(Tsn(7), now), "nothing sent later was acknowledged three times");
    assert!(ring.lose_resent(Tsn(8), now));
    assert_eq!(ring.next_retransmission(), Some(10));
}

#[test]
fn a_message_is_given_up_whole() {
    let mut ring = outstanding(Tsn(1), 6, Some(0));
    ring.lose_range(Tsn(2), Tsn(3), Instant::now());
    assert_eq!(ring.next_retransmission(), None);
    assert_eq!(ring.abandoned_front(), 3);
    assert_eq!(ring.in_flight(), 30);
    assert_eq!(ring.skipped().collect::<Vec<_>>(), [(2, StreamId(1), Ssn(0))]);
    ring.acknowledge_cumulative(Tsn(3));
    assert_eq!((ring.charge(), ring.abandoned_front()), (Message::charge(30), 0));
}

#[test]
fn a_timeout_takes_everything_back() {
    let mut ring = outstanding(Tsn(1), 6, None);
    ring.acknowledge_gaps([(3, 4)].into_iter());
    assert_eq!(ring.in_flight(), 40);
    ring.lose_all(Instant::now());
    assert_eq!(ring.in_flight(), 0);
    let mut count = 0;
    while ring.next_retransmission().is_some() {
        ring.retransmit().unwrap();
        count += 1;
    }
    assert_eq!((count, ring.in_flight()), (6, 60));
}
