//! Runs within envelopes, compared with a list of datagrams that are each enclosed by hand.

use proptest::prelude::*;

use super::*;

/// An envelope by what it consists of.
#[derive(Clone, Debug)]
struct Plan {
    head: Vec<u8>,
    /// Whether a field in front counts what is behind it, and whether with padding.
    counts: Option<bool>,
    tail: u8,
    alignment: u8,
}

impl Plan {
    fn envelope(&self) -> Envelope {
        let field = LengthField::new(0, 2);
        let field = self.counts.map(|padding| if padding { field.with_padding() } else { field });
        let envelope = Envelope::new(None, &self.head, field.as_slice()).unwrap();
        envelope.with_tail(self.tail).padded_to(self.alignment)
    }

    fn enclose(&self, contents: &[u8]) -> Vec<u8> {
        let mut inner = contents.to_vec();
        inner.extend(std::iter::repeat_n(0, usize::from(self.tail)));
        let exact = self.head.len() + inner.len();
        while !inner.len().is_multiple_of(usize::from(self.alignment)) {
            inner.push(0);
        }
        let mut datagram = [&*self.head, &inner].concat();
        if let Some(counts_padding) = self.counts {
            let counted = if counts_padding { datagram.len() } else { exact } - 2;
            datagram[..2].copy_from_slice(&(counted as u16).to_be_bytes());
        }
        datagram
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let head = proptest::collection::vec(any::<u8>(), 0..=Envelope::MAX_HEAD);
    let (tail, alignment) = (prop_oneof![Just(0), any::<u8>()], prop_oneof![Just(1), 1u8..=255]);
    (head, any::<Option<bool>>(), tail, alignment).prop_map(|(head, counts, tail, alignment)| {
        let counts = counts.filter(|_| head.len() >= 2);
        Plan { head, counts, tail, alignment }
    })
}

/// What a layer does while it writes a run.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A datagram that is so much shorter than the longest that may be written, or longer where it is negative.
    Shorter(i32),
    Abandoned(usize),
    Finish,
}

/// What becomes of a run.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Kept,
    TakenBack,
    Cleared,
}

fn run() -> impl Strategy<Value = (Vec<Step>, Fate)> {
    let step = prop_oneof![
        6 => prop_oneof![Just(0), -3..3i32, 0..2000i32].prop_map(Step::Shorter),
        1 => (0usize..3000).prop_map(Step::Abandoned),
        1 => Just(Step::Finish),
    ];
    let fate = prop_oneof![2 => Just(Fate::Kept), 1 => Just(Fate::TakenBack), 1 => Just(Fate::Cleared)];
    (proptest::collection::vec(step, 0..12), fate)
}

/// Writes a run, and what is to be expected of it.
fn write_run(
    batch: &mut TransmitBatch,
    own: &[Plan],
    steps: &[Step],
    size: usize,
    enclose: &dyn Fn(&[u8]) -> Vec<u8>,
) -> (Option<Transmit>, Vec<Vec<u8>>) {
    let mut expected: Vec<Vec<u8>> = Vec::new();
    let mut segments = batch.segments(None, None);
    for plan in own {
        segments = segments.within(&plan.envelope());
    }
    for step in steps {
        match *step {
            Step::Shorter(shorter) => {
                let max = segments.max_datagram();
                let len = usize::try_from(max as i64 - i64::from(shorter)).unwrap_or(0);
                let contents: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
                segments.datagram().extend_from_slice(&contents);
                let may_go_on = segments.end_datagram();
                let datagram = enclose(&contents);
                let limit = expected.first().map_or(size, Vec::len);
                assert!(len == 0 || len > max || datagram.len() <= limit, "{} {limit}", datagram.len());
                let fits = expected.first().is_none_or(|first| datagram.len() <= first.len());
                if len > 0 && fits && datagram.len() <= 65_507 {
                    expected.push(datagram);
                }
                assert_eq!(may_go_on, segments.has_room());
                if !may_go_on {
                    break;
                }
                let first = expected.first().map(Vec::len);
                assert!(expected.last().map(Vec::len) == first, "a shorter one is the last");
            }
            Step::Abandoned(len) => {
                segments.datagram().extend(std::iter::repeat_n(9, len));
                segments.abandon_datagram();
                assert_eq!(segments.datagram().len(), segments.datagram_start());
            }
            Step::Finish => break,
        }
    }
    segments.datagram().extend_from_slice(b"begun");
    (segments.finish(), expected)
}

/// Has `write` write within all of these, the first one outermost.
fn nested<T>(batch: &mut TransmitBatch, outer: &[Plan], write: &mut dyn FnMut(&mut TransmitBatch) -> T) -> T {
    match outer.split_first() {
        None => write(batch),
        Some((first, rest)) => batch.within(&first.envelope(), |batch| nested(batch, rest, write)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Every run is of equal datagrams, of which the last may be shorter, none is longer than was asked for, and each is
    /// what it would be alone: whatever the batch held before, and whoever has opened the envelopes.
    #[test]
    fn runs_are_what_is_enclosed_by_hand(
        runs in proptest::collection::vec(
            (proptest::collection::vec(plan(), 0..3), proptest::collection::vec(plan(), 0..2), run()), 0..6,
        ),
        size in prop_oneof![0usize..300, 1000usize..1500, Just(9000), 65_000usize..66_000],
        max_segments in 1usize..6,
    ) {
        let mut batch = TransmitBatch::new(size).with_max_segments(max_segments);
        let mut held: Vec<u8> = Vec::new();
        for (outer, own, (steps, fate)) in runs {
            let plans: Vec<&Plan> = outer.iter().chain(&own).collect();
            let enclose = |contents: &[u8]| {
                plans.iter().rev().fold(contents.to_vec(), |inner, plan| plan.enclose(&inner))
            };
            let (transmit, expected) = nested(&mut batch, &outer, &mut |batch| {
                write_run(batch, &own, &steps, size, &enclose)
            });
            prop_assert_eq!(batch.max_datagram(), size, "no envelope is left");
            prop_assert_eq!(transmit.is_some(), !expected.is_empty());
            if let Some(transmit) = transmit {
                let written: Vec<Vec<u8>> = batch.datagrams(&transmit).map(<[u8]>::to_vec).collect();
                prop_assert_eq!(&written, &expected);
                prop_assert!(written.len() <= max_segments);
                match fate {
                    Fate::Kept => held.extend(written.concat()),
                    Fate::TakenBack => batch.take_back(&transmit),
                    Fate::Cleared => {
                        batch.clear();
                        held.clear();
                    }
                }
            }
            prop_assert_eq!(batch.len(), held.len());
        }
    }
}

/// No length field says something else than what is there.
#[test]
fn what_no_length_can_say_is_not_written() {
    for len in [65_505, 65_506, 70_000, 140_000] {
        let mut batch = TransmitBatch::new(200_000);
        let mut segments = batch.segments(None, None).within(&framing());
        segments.datagram().resize(2 + len, 7);
        assert!(!segments.end_datagram());
        let transmit = segments.finish();
        assert_eq!(transmit.is_some(), len == 65_505, "{len}");
        assert_eq!(batch.len(), if len == 65_505 { 65_507 } else { 0 });
    }
}
