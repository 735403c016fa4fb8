//! Tests of H.264 payloads.

use proptest::prelude::*;

use super::super::h264::*;
use super::super::{DepacketizeError, Depacketizer as _, PacketizeError, Piece};
use super::{assemble, never_panics, payloads, probes_change_nothing};

fn annex_b(units: &[&[u8]]) -> Vec<u8> {
    units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
}

fn avc(units: &[&[u8]]) -> Vec<u8> {
    units.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes(), *unit].concat()).collect()
}

#[test]
fn annex_b_is_split() {
    let stream = [0, 0, 1, 0x67, 1, 0, 0, 0, 0, 1, 0x68, 0, 0, 3, 2, 0, 0, 1, 0, 0, 1, 0x65, 9, 0];
    let units: Vec<_> = NalUnits::new(&stream, StreamFormat::AnnexB).map(Result::unwrap).collect();
    assert_eq!(units, [&[0x67, 1][..], &[0x68, 0, 0, 3, 2], &[0x65, 9]]);
    assert!(NalUnits::new(&[1, 0, 0, 1, 5], StreamFormat::AnnexB).next().unwrap().is_err());
    assert!(NalUnits::new(&[0, 0, 0], StreamFormat::AnnexB).next().unwrap().is_err());
    assert!(NalUnits::new(&[], StreamFormat::AnnexB).next().is_none());
    assert!(NalUnits::new(&[0, 0, 0, 5, 1], StreamFormat::Avc).next().unwrap().is_err());
}

#[test]
fn parameter_sets_are_aggregated_and_the_picture_fragmented() {
    let idr = [&[0x65], [0xab; 40].as_slice()].concat();
    let units: [&[u8]; 3] = [&[0x67, 0x42, 0x05], &[0x68, 0xce], &idr];
    let frame = annex_b(&units);
    let mut packetizer = Packetizer::default();
    let sent = payloads(&mut packetizer, &frame, 22).unwrap();
    assert_eq!(sent[0].0, [0x78, 0, 3, 0x67, 0x42, 0x05, 0, 2, 0x68, 0xce]);
    assert_eq!(sent[1].0[..2], [0x7c, 0x85]);
    assert_eq!(sent[2].0, [&[0x7c, 0x45], [0xab; 20].as_slice()].concat());
    assert_eq!(sent.iter().map(|(_, marker)| *marker).collect::<Vec<_>>(), [false, false, true]);

    let mut depacketizer = Depacketizer::default();
    let mut assembled = Vec::new();
    let piece = depacketizer.push(&sent[0].0, false, &mut assembled).unwrap();
    assert!(piece.starts_frame && !piece.key_frame);
    assert_eq!(depacketizer.units(), Units { sps: true, pps: true, ..Units::default() });
    assert!(depacketizer.push(&sent[1].0, false, &mut assembled).unwrap().key_frame);
    let piece = depacketizer.push(&sent[2].0, true, &mut assembled).unwrap();
    assert!(piece.ends_frame && !piece.starts_frame);
    assert_eq!(assembled, frame);

    let mut depacketizer = Depacketizer::new(StreamFormat::Avc, 1000);
    assert_eq!(assemble(&mut depacketizer, &sent).0, avc(&units));
}

#[test]
fn probes_are_no_part_of_an_access_unit() {
    let frame = annex_b(&[&[0x67, 1], &[0x65; 40]]);
    let sent = payloads(&mut Packetizer::default(), &frame, 22).unwrap();
    probes_change_nothing(&mut Depacketizer::default(), &sent, &frame);
}

#[test]
fn what_an_aggregate_cannot_tell_the_length_of_travels_alone() {
    let long = [&[0x65], [0xab; 0x1_0001].as_slice()].concat();
    for units in [[&[0x67, 1][..], &long], [&long, &[0x68, 1]]] {
        let frame = annex_b(&units);
        let sent = payloads(&mut Packetizer::default(), &frame, 100_000).unwrap();
        assert_eq!(assemble(&mut Depacketizer::default(), &sent).0, frame);
    }
}

#[test]
fn mode_0_sends_whole_units_only() {
    let frame = annex_b(&[&[0x67, 1], &[0x68, 2], &[0x65, 3]]);
    let mut packetizer = Packetizer::new(PacketizationMode::SingleNalUnit, StreamFormat::AnnexB);
    let sent = payloads(&mut packetizer, &frame, 100).unwrap();
    let expected = [(vec![0x67, 1], false), (vec![0x68, 2], false), (vec![0x65, 3], true)];
    assert_eq!(sent, expected);
    let frame = annex_b(&[&[0x65; 20]]);
    let refused = payloads(&mut packetizer, &frame, 19);
    assert_eq!(refused, Err(PacketizeError::Unsplittable { len: 20, max: 19 }));
}

#[test]
fn what_is_not_of_mode_1_is_named() {
    let mut frame = Vec::new();
    for (kind, name) in [(25, "STAP-B"), (26, "MTAP16"), (27, "MTAP24"), (29, "FU-B")] {
        let error = Depacketizer::default().push(&[kind, 0, 0, 1], false, &mut frame).unwrap_err();
        assert!(error.to_string().starts_with(name), "{error}");
    }
    assert!(frame.is_empty());
}

// RFC 6184 §5.4: as payloads, in aggregates and in fragments.
#[test]
fn reserved_types_are_passed_over() {
    let payloads: [(&[u8], bool); 10] = [
        (&[30, 1], false),
        (&[24, 0, 1, 31], false),
        (&[0x67, 1], false),
        (&[24, 0, 2, 31, 9, 0, 2, 0x68, 1, 0, 1, 0], false),
        (&[0x7c, 0x85, 2], false),
        (&[0, 7], false),
        (&[0x7c, 0x80 | 30, 5], false),
        (&[0x7c, 0x40 | 30, 5], false),
        (&[0x7c, 0x45, 3], false),
        (&[31], true),
    ];
    let mut depacketizer = Depacketizer::default();
    for _ in 0..2 {
        // An access unit of nothing else is none.
        assert_eq!(depacketizer.push(&[0], true, &mut Vec::new()), Ok(Piece::default()));
        let (frame, pieces) =
            assemble(&mut depacketizer, &payloads.map(|(bytes, marker)| (bytes.to_vec(), marker)));
        assert_eq!(frame, annex_b(&[&[0x67, 1], &[0x68, 1], &[0x65, 2, 3]]));
        assert_eq!(pieces.iter().position(|piece| piece.starts_frame), Some(2));
        assert_eq!(pieces.iter().position(|piece| piece.ends_frame), Some(9));
    }
}

#[test]
fn malformed_payloads() {
    let error = |payloads: &[&[u8]]| {
        let mut depacketizer = Depacketizer::default();
        let mut frame = Vec::new();
        let mut last = None;
        for payload in payloads {
            last = depacketizer.push(payload, false, &mut frame).err();
        }
        last.unwrap()
    };
    assert_eq!(error(&[&[]]), DepacketizeError::EmptyPayload);
    assert_eq!(error(&[&[28]]), DepacketizeError::Truncated("FU header"));
    assert_eq!(error(&[&[28, 0x05, 1]]), DepacketizeError::MissingStart);
    assert_eq!(
        error(&[&[28, 0x85, 1], &[0x65, 1]]),
        DepacketizeError::Malformed("a fragmented NAL unit ends without its last fragment")
    );
    assert_eq!(error(&[&[28, 0x85, 1], &[28, 0x41, 1]]), DepacketizeError::MissingStart);
    assert_eq!(
        error(&[&[28, 0x9c, 1]]),
        DepacketizeError::Malformed("FU-A of something that is not a NAL unit")
    );
    assert_eq!(error(&[&[24, 0, 2, 0x65]]), DepacketizeError::Truncated("STAP-A"));
    assert_eq!(error(&[&[24, 0]]), DepacketizeError::Truncated("STAP-A"));
    assert_eq!(error(&[&[24]]), DepacketizeError::Malformed("STAP-A holds no NAL unit"));
    assert!(matches!(error(&[&[24, 0, 0]]), DepacketizeError::Malformed(_)));
    // STAP-A within STAP-A.
    assert!(matches!(error(&[&[24, 0, 1, 24]]), DepacketizeError::Malformed(_)));
    // After an error the rest of the access unit is refused, the next one is taken.
    let mut depacketizer = Depacketizer::default();
    let mut frame = Vec::new();
    depacketizer.push(&[24], false, &mut frame).unwrap_err();
    assert_eq!(depacketizer.push(&[0x65, 1], true, &mut frame), Err(DepacketizeError::MissingStart));
    assert!(depacketizer.push(&[0x65, 1], true, &mut frame).unwrap().starts_frame);
}

#[test]
fn a_caller_who_meddles_with_the_frame_is_found_out() {
    let mut depacketizer = Depacketizer::default();
    let mut frame = Vec::new();
    depacketizer.push(&[28, 0x85, 1], false, &mut frame).unwrap();
    frame.clear();
    assert_eq!(depacketizer.push(&[28, 0x45, 1], true, &mut frame), Err(DepacketizeError::MissingStart));
}

#[test]
fn units_that_only_rtp_uses_are_not_sent() {
    let mut packetizer = Packetizer::default();
    let refused = payloads(&mut packetizer, &annex_b(&[&[28, 1, 2]]), 100);
    assert!(matches!(refused, Err(PacketizeError::Malformed { .. })));
    let short = payloads(&mut packetizer, &annex_b(&[&[0x65; 9]]), 2);
    assert_eq!(short, Err(PacketizeError::PayloadTooShort { need: 3, have: 2 }));
    assert_eq!(payloads(&mut packetizer, &[], 100), Err(PacketizeError::EmptyFrame));
}

// A NAL unit ends in a byte that is not zero and holds no start code.
fn unit() -> impl Strategy<Value = Vec<u8>> {
    (1u8..24, 0u8..4, proptest::collection::vec(1u8..=255, 1..400))
        .prop_map(|(kind, importance, body)| [&[kind | (importance << 5)], body.as_slice()].concat())
}

proptest! {
    #[test]
    fn round_trip(units in proptest::collection::vec(unit(), 1..15), max in 3usize..500, in_avc in any::<bool>(), out_avc in any::<bool>()) {
        let units: Vec<&[u8]> = units.iter().map(Vec::as_slice).collect();
        let (input, frame) = if in_avc { (StreamFormat::Avc, avc(&units)) } else { (StreamFormat::AnnexB, annex_b(&units)) };
        let output = if out_avc { StreamFormat::Avc } else { StreamFormat::AnnexB };
        let mut packetizer = Packetizer::new(PacketizationMode::NonInterleaved, input);
        let sent = payloads(&mut packetizer, &frame, max).unwrap();
        prop_assert!(sent.iter().rev().enumerate().all(|(index, (_, marker))| *marker == (index == 0)));
        let (assembled, pieces) = assemble(&mut Depacketizer::new(output, 1 << 20), &sent);
        prop_assert_eq!(assembled, if out_avc { avc(&units) } else { annex_b(&units) });
        let idr = units.iter().any(|unit| unit[0] & 0x1f == 5);
        prop_assert_eq!(pieces.iter().any(|piece| piece.key_frame), idr);
    }

    #[test]
    fn any_bytes(
        payloads in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..20),
        kinds in proptest::collection::vec(prop_oneof![Just(24u8), Just(28), Just(0x65)], 20),
    ) {
        never_panics(&mut Depacketizer::new(StreamFormat::Avc, 100), &payloads);
        let mut payloads = payloads;
        for ((payload, _), kind) in payloads.iter_mut().zip(kinds) {
            if let Some(first) = payload.first_mut() {
                *first = kind;
            }
        }
        never_panics(&mut Depacketizer::new(StreamFormat::AnnexB, 100), &payloads);
    }

    #[test]
    fn any_frame(frame in proptest::collection::vec(0u8..3, 0..60), max in 0usize..20, is_avc in any::<bool>()) {
        let format = if is_avc { StreamFormat::Avc } else { StreamFormat::AnnexB };
        let _ = payloads(&mut Packetizer::new(PacketizationMode::NonInterleaved, format), &frame, max);
    }
}

// RFC 6184 §5.8 forbids it, and cameras do it.
#[test]
fn a_fragment_may_be_both_first_and_last() {
    for (format, expected) in
        [(StreamFormat::AnnexB, annex_b(&[&[0x65, 1, 2]])), (StreamFormat::Avc, avc(&[&[0x65, 1, 2]]))]
    {
        let mut depacketizer = Depacketizer::new(format, 100);
        let (frame, pieces) = assemble(&mut depacketizer, &[(vec![0x7c, 0xc5, 1, 2], true)]);
        assert_eq!(frame, expected);
        assert!(pieces[0].starts_frame && pieces[0].key_frame && pieces[0].ends_frame);
    }
}

#[test]
fn start_codes_in_payloads_separate_units() {
    let whole: &[&[u8]] = &[&[0x67, 1], &[0x68, 2], &[0x65, 0x88, 3]];
    let sent = annex_b(whole);
    // With the first start code, with a short one, and with none.
    for payload in [&sent[..], &sent[1..], &sent[4..]] {
        for (format, expected) in [(StreamFormat::AnnexB, annex_b(whole)), (StreamFormat::Avc, avc(whole))] {
            let mut depacketizer = Depacketizer::new(format, 100);
            let mut frame = Vec::new();
            let piece = depacketizer.push(payload, true, &mut frame).unwrap();
            assert_eq!(frame, expected);
            assert!(piece.key_frame && depacketizer.units().sps && depacketizer.units().picture);
            assert_eq!(depacketizer.annex_b_payloads(), 1);
        }
    }
    // In fragments.
    let mut depacketizer = Depacketizer::default();
    let (first, last) = sent[5..].split_at(8);
    let fragment = |fu: u8, data: &[u8]| [&[0x7c, fu], data].concat();
    let (frame, pieces) =
        assemble(&mut depacketizer, &[(fragment(0x87, first), false), (fragment(0x47, last), true)]);
    assert_eq!(frame, sent);
    assert!(pieces[0].starts_frame && depacketizer.annex_b_payloads() == 1);
}
