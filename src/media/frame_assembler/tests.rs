//! Tests of the assembly of frames.

use proptest::prelude::*;

use super::*;
use crate::layer::{PayloadType, Ssrc};
use crate::rtp::payload::{Packetizer, PictureId, h264, opus, vp8, vp9};
use crate::rtp::{Header, PacketWriter};

/// A frame that was sent, and its packets.
#[derive(Debug, Clone)]
struct Sent {
    data: Vec<u8>,
    key_frame: bool,
    timestamp: u32,
    packets: Vec<(u16, Vec<u8>)>,
}

fn packet(number: u16, timestamp: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        marker,
        payload_type: PayloadType::from_low_bits(96),
        sequence_number: SequenceNumber(number),
        timestamp: RtpTimestamp(timestamp),
        ssrc: Ssrc(1),
    };
    let mut buffer = vec![0; 12 + payload.len()];
    let len = PacketWriter::new(&mut buffer, &header, &[]).unwrap().payload(payload).unwrap();
    buffer.truncate(len);
    buffer
}

fn frame_data(format: PayloadFormat, key_frame: bool, len: usize) -> Vec<u8> {
    let body = |first: u8| (0..len).map(move |at| (at as u8).wrapping_mul(7) | 0x80 | first);
    match format {
        PayloadFormat::Vp8 => {
            let head = [u8::from(!key_frame), 1, 1, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01];
            head.into_iter().chain(body(0)).collect()
        }
        PayloadFormat::Vp9 => {
            let head = match key_frame {
                true => [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x1d, 0xf0],
                false => [0x86, 0, 0, 0, 0, 0, 0, 0, 0],
            };
            head.into_iter().chain(body(0)).collect()
        }
        PayloadFormat::H264 if key_frame => {
            let head = [0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 0, 1, 0x68, 4, 5, 0, 0, 0, 1, 0x65, 0x88];
            head.into_iter().chain(body(1)).collect()
        }
        PayloadFormat::H264 => [0, 0, 0, 1, 0x41, 0x9a].into_iter().chain(body(1)).collect(),
        PayloadFormat::Opus => [0x78].into_iter().chain(body(0)).collect(),
    }
}

fn send(format: PayloadFormat, first: u16, frames: &[(bool, usize)]) -> Vec<Sent> {
    let mut packetizer: Box<dyn Packetizer> = match format {
        PayloadFormat::Vp8 => Box::new(vp8::Packetizer::new(vp8::Descriptor::default())),
        PayloadFormat::Vp9 => Box::new(vp9::Packetizer::new(PictureId::Long(9))),
        PayloadFormat::H264 => Box::new(h264::Packetizer::default()),
        PayloadFormat::Opus => Box::new(opus::Packetizer),
    };
    let mut number = first;
    let mut timestamp = u32::MAX - 5000;
    let mut sent = Vec::new();
    for &(key_frame, len) in frames {
        let data = frame_data(format, key_frame, len);
        timestamp = timestamp.wrapping_add(3000);
        let mut packets = Vec::new();
        let max = if format == PayloadFormat::Opus { 1500 } else { 40 };
        packetizer
            .packetize(&data, max, &mut |payload| {
                let mut buffer = vec![0; payload.len()];
                payload.write(&mut buffer).unwrap();
                packets.push((number, packet(number, timestamp, payload.marker, &buffer)));
                number = number.wrapping_add(1);
            })
            .unwrap();
        let key_frame = key_frame || format == PayloadFormat::Opus;
        sent.push(Sent { data, key_frame, timestamp, packets });
    }
    sent
}

fn push(assembler: &mut FrameAssembler, now: Instant, bytes: &[u8]) -> Vec<Frame> {
    assembler.push(now, &Packet::parse(bytes).unwrap());
    std::iter::from_fn(|| assembler.poll_frame(now)).collect()
}

fn video() -> FrameAssemblerConfig {
    FrameAssemblerConfig::video()
}

const FORMATS: [PayloadFormat; 4] =
    [PayloadFormat::Vp8, PayloadFormat::Vp9, PayloadFormat::H264, PayloadFormat::Opus];

#[test]
fn frames_in_order_come_out_at_once() {
    for format in FORMATS {
        let now = Instant::now();
        let mut assembler = FrameAssembler::new(format, video());
        for sent in send(format, 65530, &[(true, 300), (false, 100), (false, 5)]) {
            let (last, rest) = sent.packets.split_last().unwrap();
            for (_, bytes) in rest {
                assert!(push(&mut assembler, now, bytes).is_empty());
            }
            let frames = push(&mut assembler, now, &last.1);
            assert_eq!(frames.len(), 1, "{format:?}");
            let frame = &frames[0];
            assert_eq!(frame.data, sent.data);
            assert_eq!(frame.timestamp.0, sent.timestamp);
            assert_eq!((frame.key_frame, frame.contiguous), (sent.key_frame, true));
            assert_eq!((frame.first.0, frame.last.0), (sent.packets[0].0, last.0));
            let has_size = sent.key_frame && matches!(format, PayloadFormat::Vp8 | PayloadFormat::Vp9);
            assert_eq!(frame.dimensions.is_some(), has_size, "{format:?}");
        }
        assert_eq!(assembler.poll_timeout(), None);
        assert!(!assembler.poll_key_frame_request(now));
    }
}

#[test]
fn a_loss_waits_for_a_key_frame_and_asks_for_one() {
    for format in [PayloadFormat::Vp8, PayloadFormat::Vp9, PayloadFormat::H264] {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut assembler = FrameAssembler::new(format, video());
        let sent = send(format, 7, &[(true, 30), (false, 100), (false, 30), (true, 30), (false, 30)]);
        for (_, bytes) in &sent[0].packets {
            push(&mut assembler, start, bytes);
        }
        for (_, bytes) in sent[1].packets.iter().skip(1).chain(&sent[2].packets) {
            assert!(push(&mut assembler, at(10), bytes).is_empty());
        }
        assert_eq!(assembler.poll_timeout(), Some(at(510)));
        assert_eq!(assembler.poll_frame(at(509)), None);
        assert!(!assembler.poll_key_frame_request(at(509)));
        assert_eq!(assembler.poll_frame(at(510)), None);
        assert!(assembler.poll_key_frame_request(at(510)) && !assembler.poll_key_frame_request(at(510)));
        assert_eq!(assembler.poll_timeout(), Some(at(1010)));
        assert!(assembler.poll_key_frame_request(at(1010)), "and again");
        let mut frames = Vec::new();
        for (_, bytes) in sent[3].packets.iter().chain(&sent[4].packets) {
            frames.extend(push(&mut assembler, at(1020), bytes));
        }
        let told: Vec<_> = frames.iter().map(|frame| (&frame.data[..], frame.contiguous)).collect();
        assert_eq!(told, [(&sent[3].data[..], false), (&sent[4].data[..], true)], "{format:?}");
        assert_eq!(assembler.poll_timeout(), None);
        let statistics = assembler.statistics();
        assert_eq!((statistics.lost_packets, statistics.frames, statistics.key_frames), (1, 3, 2));
        push(&mut assembler, at(1030), &sent[1].packets[0].1);
        assert_eq!(assembler.statistics().late_packets, 1);
    }
}

#[test]
fn a_lost_opus_packet_is_told_by_the_next() {
    let start = Instant::now();
    let mut assembler = FrameAssembler::new(PayloadFormat::Opus, FrameAssemblerConfig::audio());
    let sent = send(PayloadFormat::Opus, 7, &[(true, 30); 4]);
    assert_eq!(push(&mut assembler, start, &sent[0].packets[0].1).len(), 1);
    assert!(push(&mut assembler, start, &sent[2].packets[0].1).is_empty());
    assert!(push(&mut assembler, start, &sent[2].packets[0].1).is_empty());
    assert_eq!(assembler.statistics().duplicate_packets, 1);
    let later = start + Duration::from_millis(200);
    assert_eq!(assembler.poll_timeout(), Some(later));
    assert!(!assembler.poll_frame(later).unwrap().contiguous);
    assert!(push(&mut assembler, later, &sent[3].packets[0].1)[0].contiguous);
    assert!(!assembler.poll_key_frame_request(later));
}

// RFC 6184 §5.4: reserved types are ignored.
#[test]
fn h264_of_reserved_types_is_no_frame() {
    let now = Instant::now();
    let mut assembler = FrameAssembler::new(PayloadFormat::H264, video());
    let packets: [(u32, bool, &[u8]); 6] = [
        (0, true, &[0x65, 0x88]),
        (1, false, &[31, 7]),
        (2, true, &[30, 7]),
        (3, false, &[0, 7]),
        (3, false, &[0x41, 0x9a]),
        (3, true, &[31]),
    ];
    let mut frames = Vec::new();
    for (number, (timestamp, marker, payload)) in (0..).zip(packets) {
        frames.extend(push(&mut assembler, now, &packet(number, timestamp, marker, payload)));
    }
    assert_eq!(frames.iter().map(|frame| frame.data.len()).collect::<Vec<_>>(), [6, 6]);
    assert!(frames.iter().all(|frame| frame.contiguous));
    assert_eq!(assembler.statistics().dropped_frames + assembler.statistics().malformed_packets, 0);
}

#[test]
fn aggregates_inside_of_aggregates_cost_no_stack() {
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    let assembled = thread.spawn(|| {
        let now = Instant::now();
        let mut assembler = FrameAssembler::new(PayloadFormat::H264, video());
        push(&mut assembler, now, &packet(1, 0, true, &[24; 65_000])).len()
    });
    assert_eq!(assembled.unwrap().join().unwrap(), 0);
}

#[test]
fn h264_without_markers_ends_with_the_timestamp() {
    let now = Instant::now();
    let mut assembler = FrameAssembler::new(PayloadFormat::H264, video());
    let units: [(u16, u32, &[u8]); 4] = [
        (1, 10, &[0x67, 1]),
        (2, 10, &[0x65, 0x88]),
        (3, 20, &[0x41, 0x9a, 1]),
        (4, 30, &[0x7c, 0x81, 0x9a]),
    ];
    let mut frames = Vec::new();
    for (number, timestamp, unit) in units {
        frames.extend(push(&mut assembler, now, &packet(number, timestamp, false, unit)));
    }
    let data: Vec<_> = frames.iter().map(|frame| &frame.data[..]).collect();
    assert_eq!(data, [&b"\0\0\0\x01\x67\x01\0\0\0\x01\x65\x88"[..], b"\0\0\0\x01\x41\x9a\x01"]);
    // The fragment of 30 has no end.
    assert!(push(&mut assembler, now, &packet(5, 40, true, &[0x41, 0x9a])).is_empty());
    assert!(assembler.poll_key_frame_request(now));
    assert_eq!(assembler.statistics().dropped_frames, 2);
}

#[test]
fn padding_between_packets_is_no_loss() {
    let now = Instant::now();
    let mut assembler = FrameAssembler::new(PayloadFormat::H264, video());
    push(&mut assembler, now, &packet(1, 10, false, &[0x67, 1]));
    push(&mut assembler, now, &packet(2, 10, false, &[]));
    let frames = push(&mut assembler, now, &packet(3, 10, true, &[0x65, 0x88]));
    assert!(frames[0].contiguous);
}

#[test]
fn what_waits_is_bounded() {
    let now = Instant::now();
    for (max_packets, max_bytes) in [(10, 1 << 20), (1000, 400)] {
        let config = FrameAssemblerConfig { max_packets, max_bytes, ..video() };
        let mut assembler = FrameAssembler::new(PayloadFormat::Vp8, config);
        push(&mut assembler, now, &packet(0, 0, false, &[0x10, 0, 0, 0]));
        for number in 2..2000 {
            // Not drained.
            assembler.push(now, &Packet::parse(&packet(number, 0, false, &[0; 40])).unwrap());
            assert!(assembler.buffer.len() <= max_packets.min(max_bytes / 40));
        }
        push(&mut assembler, now, &packet(30_000, 0, false, &[0; 40]));
        assert!(assembler.statistics().lost_packets >= 29_000);
        assert!(assembler.poll_key_frame_request(now));
        push(&mut assembler, now, &packet(30_001, 0, false, &[0; 401]));
    }
}

#[test]
fn a_reset_begins_with_any_number() {
    let now = Instant::now();
    let mut assembler = FrameAssembler::new(PayloadFormat::Vp8, video());
    let first = send(PayloadFormat::Vp8, 50_000, &[(true, 10)]);
    let second = send(PayloadFormat::Vp8, 10, &[(true, 10)]);
    assert_eq!(push(&mut assembler, now, &first[0].packets[0].1).len(), 1);
    assert_eq!(assembler.next_expected(), Some(SequenceNumber(50_001)));
    assembler.reset(now);
    assert_eq!(assembler.next_expected(), None);
    assert_eq!(push(&mut assembler, now, &second[0].packets[0].1).len(), 1);
}

fn arbitrary_format() -> impl Strategy<Value = PayloadFormat> {
    proptest::sample::select(&FORMATS[..])
}

proptest! {
    #[test]
    fn exactly_the_whole_frames_come_out(
        format in arbitrary_format(),
        first in any::<u16>(),
        mut frames in proptest::collection::vec((prop::bool::weighted(0.2), 1usize..200), 1..40),
        fates in proptest::collection::vec((prop::bool::weighted(0.07), 0u64..60, prop::bool::weighted(0.1)), 300),
        wait_for_key_frame in any::<bool>(),
    ) {
        frames[0].0 = true;
        let sent = send(format, first, &frames);
        // Of each packet: when it arrives, if it does, and whether it does so twice. The first is not late.
        let mut arrivals = Vec::new();
        let mut whole = Vec::new();
        let mut fates = fates.into_iter().cycle();
        let mut index = 0;
        for frame in &sent {
            let mut complete = true;
            for (_, bytes) in &frame.packets {
                let (lost, jitter, twice) = fates.next().unwrap();
                let (lost, jitter) = if index == 0 { (false, 0) } else { (lost, jitter) };
                complete &= !lost;
                if !lost {
                    arrivals.push((index * 5 + jitter, bytes));
                    if twice {
                        arrivals.push((index * 5 + jitter + 30, bytes));
                    }
                }
                index += 1;
            }
            whole.push(complete);
        }
        arrivals.sort_by_key(|(ms, _)| *ms);

        let mut expected = Vec::new();
        let mut wait = false;
        for (frame, whole) in sent.iter().zip(whole) {
            wait |= !whole && wait_for_key_frame && format != PayloadFormat::Opus;
            if whole && (!wait || frame.key_frame) {
                wait = false;
                expected.push((frame.timestamp, &frame.data[..], frame.key_frame));
            }
        }

        let start = Instant::now();
        let mut assembler = FrameAssembler::new(format, FrameAssemblerConfig { wait_for_key_frame, ..video() });
        let mut received = Vec::new();
        for (ms, bytes) in arrivals {
            received.extend(push(&mut assembler, start + Duration::from_millis(ms), bytes));
        }
        let end = start + Duration::from_secs(100);
        received.extend(std::iter::from_fn(|| assembler.poll_frame(end)));
        let received: Vec<_> =
            received.iter().map(|frame| (frame.timestamp.0, &frame.data[..], frame.key_frame)).collect();
        prop_assert_eq!(received, expected);
    }

    #[test]
    fn any_payloads_in_any_order(
        format in arbitrary_format(),
        packets in proptest::collection::vec(
            (any::<u16>(), any::<bool>(), 0u32..3, proptest::collection::vec(any::<u8>(), 0..20), 0u64..200), 0..100),
        near in any::<bool>(),
    ) {
        let mut now = Instant::now();
        let config = FrameAssemblerConfig { max_packets: 50, max_bytes: 500, max_frame_len: 100, ..video() };
        let mut assembler = FrameAssembler::new(format, config);
        for (number, marker, timestamp, payload, wait) in packets {
            now += Duration::from_millis(wait);
            let number = if near { number % 100 } else { number };
            for frame in push(&mut assembler, now, &packet(number, timestamp, marker, &payload)) {
                prop_assert!(frame.data.len() <= 100);
            }
            prop_assert!(assembler.buffer.len() <= 50);
            prop_assert!(assembler.gap_deadline().is_none_or(|deadline| deadline > now));
        }
    }

    #[test]
    fn under_pressure_order_and_numbers_stay_right(
        first in any::<u16>(),
        steps in proptest::collection::vec((-8i32..12, any::<bool>()), 1..200),
        max_packets in 1usize..20,
        max_bytes in 20usize..200,
    ) {
        let now = Instant::now();
        let payload = |number: u16| [0x78, number as u8, (number >> 8) as u8].repeat(1 + usize::from(number % 7));
        let config = FrameAssemblerConfig { max_packets, max_bytes, ..video() };
        let mut assembler = FrameAssembler::new(PayloadFormat::Opus, config);
        let mut number = i32::from(first) + (1 << 20);
        let mut last: Option<SequenceNumber> = None;
        for (step, drained) in steps {
            number += step;
            let bytes = packet(number as u16, 0, false, &payload(number as u16));
            assembler.push(now, &Packet::parse(&bytes).unwrap());
            prop_assert!(assembler.buffer.len() <= max_packets);
            if drained {
                while let Some(frame) = assembler.poll_frame(now) {
                    prop_assert_eq!(&frame.data[..], payload(frame.first.0));
                    prop_assert!(last.is_none_or(|last| frame.first.is_newer_than(last)));
                    last = Some(frame.last);
                }
            }
        }
    }
}

/// What comes out of H.264 packets (timestamp, marker, payload), and the assembler.
fn h264_frames(packets: &[(u32, bool, &[u8])]) -> (Vec<Vec<u8>>, FrameAssembler) {
    let now = Instant::now();
    let mut assembler = FrameAssembler::new(PayloadFormat::H264, video());
    let mut frames = Vec::new();
    for (number, (timestamp, marker, payload)) in (0..).zip(packets) {
        let pushed = push(&mut assembler, now, &packet(number, *timestamp, *marker, payload));
        frames.extend(pushed.into_iter().map(|frame| {
            assert_eq!(frame.timestamp.0 % 10, 0);
            frame.data.to_vec()
        }));
    }
    (frames, assembler)
}

fn units(units: &[&[u8]]) -> Vec<u8> {
    units.iter().flat_map(|unit| [&[0, 0, 0, 1][..], unit].concat()).collect()
}

const SPS: &[u8] = &[0x67, 1];
const PPS: &[u8] = &[0x68, 1];
const SEI: &[u8] = &[0x06, 1];
const IDR: [&[u8]; 2] = [&[0x65, 0x88, 1], &[0x65, 0x48, 2]];
const SLICE: [&[u8]; 2] = [&[0x41, 0x9a, 1], &[0x41, 0x4a, 2]];

#[test]
fn h264_with_a_marker_on_each_unit() {
    let mut packets = vec![(10, true, SPS), (10, true, PPS), (10, true, IDR[0]), (10, true, IDR[1])];
    for timestamp in [20, 30] {
        packets.extend(SLICE.map(|slice| (timestamp, true, slice)));
    }
    packets.extend([
        (40, true, SPS),
        (40, true, PPS),
        (40, true, IDR[0]),
        (40, true, IDR[1]),
        (50, true, SLICE[0]),
    ]);
    let (frames, mut assembler) = h264_frames(&packets);
    let key = units(&[SPS, PPS, IDR[0], IDR[1]]);
    assert_eq!(frames, [key.clone(), units(&SLICE), units(&SLICE), key]);
    assert!(!assembler.poll_key_frame_request(Instant::now()));
    assert_eq!(assembler.statistics().dropped_frames, 0);
}

/// One slice to a picture: the markers are right but for those on parameter sets, and later frames do not wait.
#[test]
fn h264_with_markers_on_parameter_sets() {
    let packets = [
        (10, true, SPS),
        (10, true, PPS),
        (10, true, IDR[0]),
        (20, true, SLICE[0]),
        (30, true, SPS),
        (30, true, PPS),
        (30, true, IDR[0]),
    ];
    let (frames, _) = h264_frames(&packets);
    let key = units(&[SPS, PPS, IDR[0]]);
    assert_eq!(frames, [key.clone(), units(&SLICE[..1]), key]);
}

#[test]
fn h264_with_parameter_sets_under_the_timestamp_before() {
    for marker in [false, true] {
        let packets = [
            (10, marker, SPS),
            (10, marker, PPS),
            (20, true, IDR[0]),
            (30, true, SLICE[0]),
            (30, marker, SPS),
            (30, marker, PPS),
            (40, true, IDR[0]),
            (50, true, SLICE[0]),
            (60, true, SLICE[0]),
        ];
        let (frames, assembler) = h264_frames(&packets);
        let (key, other) = (units(&[SPS, PPS, IDR[0]]), units(&SLICE[..1]));
        assert_eq!(frames[..4], [key.clone(), other.clone(), key, other]);
        assert_eq!(assembler.statistics().dropped_frames, 0);
    }
}

/// A stream whose markers turn out to be on each slice only after its first frame came out.
#[test]
fn h264_of_several_slices_with_a_marker_on_each() {
    let mut packets = vec![(10, false, SPS), (10, false, PPS), (10, true, IDR[0]), (10, true, IDR[1])];
    packets.extend([(20, false, SPS), (20, false, PPS), (20, true, IDR[0]), (20, true, IDR[1])]);
    packets.extend([(30, true, SLICE[0]), (30, true, SLICE[1]), (40, true, SLICE[0])]);
    let (frames, _) = h264_frames(&packets);
    assert_eq!(frames[1..], [units(&[SPS, PPS, IDR[0], IDR[1]]), units(&SLICE)]);
}

/// H.264 §7.4.1.2.3, where neither markers nor timestamps tell.
#[test]
fn h264_access_units_of_one_timestamp_are_told_apart() {
    let packets = [
        (10, false, SPS),
        (10, false, PPS),
        (10, false, IDR[0]),
        (10, false, IDR[1]),
        (10, false, SEI),
        (10, false, SLICE[0]),
        (10, false, SLICE[1]),
        (10, false, SLICE[0]),
        (10, false, SPS),
    ];
    let (frames, _) = h264_frames(&packets);
    let (key, one) = (units(&[SPS, PPS, IDR[0], IDR[1]]), units(&SLICE[..1]));
    assert_eq!(frames, [key, units(&[SEI, SLICE[0], SLICE[1]]), one]);
}

#[test]
fn h264_with_start_codes_is_taken_and_counted() {
    let whole = units(&[SPS, PPS, IDR[0]]);
    let (frames, assembler) =
        h264_frames(&[(10, true, &whole), (20, true, &whole[4..]), (30, true, SLICE[0])]);
    assert_eq!(frames, [whole.clone(), whole, units(&SLICE[..1])]);
    assert_eq!(assembler.statistics().annex_b_packets, 2);
}

/// A forwarder dropped the upper layer, and with it the marker.
#[test]
fn vp9_without_its_marker_ends_with_the_next_timestamp() {
    let now = Instant::now();
    let mut assembler = FrameAssembler::new(PayloadFormat::Vp9, video());
    // I B E, of a key frame and of frames that refer to the one before.
    let packets: [(u32, &[u8]); 4] = [
        (10, &[0x8c, 1, 0x82, 0x49, 0x83, 0x42, 7]),
        (20, &[0xcc, 2, 0x86, 0]),
        (30, &[0xc8, 3, 0x86, 0]),
        (40, &[0xcc, 4, 0x86, 0]),
    ];
    let mut frames = Vec::new();
    for (number, (timestamp, payload)) in (0..).zip(packets) {
        frames.extend(push(&mut assembler, now, &packet(number, timestamp, false, payload)));
    }
    assert_eq!(frames.iter().map(|frame| frame.timestamp.0).collect::<Vec<_>>(), [10, 20]);
    // The last fragment of the third is missing.
    assert_eq!(assembler.statistics().dropped_frames, 1);
}

/// Cameras that send parameter sets once: a loss in front of a later key frame does not cost it.
#[test]
fn h264_whose_parameter_sets_came_once_goes_on_with_any_key_frame() {
    let now = Instant::now();
    let mut assembler = FrameAssembler::new(PayloadFormat::H264, video());
    let mut frames = Vec::new();
    let payloads = [SPS, PPS, IDR[0], SLICE[0], IDR[0], SLICE[0], SLICE[0], IDR[0], SLICE[0]];
    let timestamps = [10, 10, 10, 20, 30, 40, 50, 60, 70];
    for (number, (timestamp, payload)) in (0..).zip(timestamps.into_iter().zip(payloads)) {
        if number != 6 {
            frames.extend(push(&mut assembler, now, &packet(number, timestamp, number > 1, payload)));
        }
    }
    let late = now + Duration::from_secs(1);
    frames.extend(std::iter::from_fn(|| assembler.poll_frame(late)));
    let times: Vec<_> = frames.iter().map(|frame| frame.timestamp.0).collect();
    assert_eq!(times, [10, 20, 30, 40, 60, 70]);
    assert!(!frames[4].contiguous);
}

const FU: [&[u8]; 3] = [&[0x7c, 0x85, 0x88, 1], &[0x7c, 0x05, 2], &[0x7c, 0x45, 3]];
const FU_WHOLE: &[u8] = &[0x65, 0x88, 1, 2, 3];

#[test]
fn h264_with_a_marker_on_each_fragment() {
    let mut packets = vec![(10, true, SPS), (10, true, PPS)];
    for timestamp in [10, 20, 30] {
        packets.extend(FU.map(|fragment| (timestamp, true, fragment)));
    }
    packets.push((40, true, SLICE[0]));
    let (frames, assembler) = h264_frames(&packets);
    let other = units(&[FU_WHOLE]);
    assert_eq!(frames, [units(&[SPS, PPS, FU_WHOLE]), other.clone(), other]);
    assert_eq!(assembler.statistics().dropped_frames, 0);
}

/// The last fragment does not say that it is: the marker does, and what comes behind it.
#[test]
fn h264_without_the_end_of_a_fragmented_unit() {
    let last: &[u8] = &[0x7c, 0x05, 3];
    let mut packets = vec![(10, false, SPS), (10, false, PPS)];
    for timestamp in [10, 20, 30] {
        packets.extend([(timestamp, false, FU[0]), (timestamp, false, FU[1]), (timestamp, true, last)]);
    }
    packets.push((40, true, SLICE[0]));
    let (frames, assembler) = h264_frames(&packets);
    let other = units(&[FU_WHOLE]);
    assert_eq!(frames, [units(&[SPS, PPS, FU_WHOLE]), other.clone(), other, units(&SLICE[..1])]);
    assert_eq!(assembler.statistics().dropped_frames, 0);

    // Without the marker, packets that were taken out may be missing.
    let packets = [(10, false, FU[0]), (10, false, FU[1]), (20, true, IDR[0])];
    let (frames, assembler) = h264_frames(&packets);
    assert_eq!(frames, [units(&IDR[..1])]);
    assert_eq!(assembler.statistics().dropped_frames, 1);
}

/// Encoders that tell their parameter sets in the description alone (RFC 6184 §8.1).
#[test]
fn h264_with_parameter_sets_that_are_told_in_the_description() {
    const AUD: &[u8] = &[0x09, 0xf0];
    let frames = |packets: &[(u32, bool, &[u8])]| {
        let now = Instant::now();
        let mut assembler = FrameAssembler::new(PayloadFormat::H264, video());
        assembler.set_parameter_sets(h264::ParameterSets::from_sprop("ZwE=,aAE="));
        let pushed = (0..).zip(packets).flat_map(|(number, (timestamp, marker, payload))| {
            push(&mut assembler, now, &packet(number, *timestamp, *marker, payload))
        });
        pushed.map(|frame| frame.data.to_vec()).collect::<Vec<_>>()
    };
    let aggregate: &[u8] = &[0x78, 0, 2, 0x06, 1, 0, 3, 0x65, 0x88, 1];
    let told = [
        (10, true, IDR[0]),
        (20, true, SLICE[0]),
        (30, false, FU[0]),
        (30, false, FU[1]),
        (30, true, FU[2]),
        (40, false, AUD),
        (40, true, IDR[0]),
        (50, true, aggregate),
    ];
    let expected = [
        units(&[SPS, PPS, IDR[0]]),
        units(&SLICE[..1]),
        units(&[SPS, PPS, FU_WHOLE]),
        units(&[AUD, SPS, PPS, IDR[0]]),
        units(&[SPS, PPS, SEI, IDR[0]]),
    ];
    assert_eq!(frames(&told), expected);
    // Those of the stream may be others.
    let own: &[u8] = &[0x67, 9];
    let in_band = [(10, false, own), (10, false, PPS), (10, true, IDR[0]), (20, true, IDR[0])];
    assert_eq!(frames(&in_band), [units(&[own, PPS, IDR[0]]), units(&IDR[..1])]);
}

/// Forwarders that set the marker on each layer of which they may be about to drop those above, and ones that set it where
/// the picture ends.
#[test]
fn vp9_with_a_marker_on_each_layer() {
    // I L B E and V or P; layers 0 and 1 of a stream of two.
    const KEY: [&[u8]; 2] = [&[0xae, 1, 0x00, 0, 0x20, 0x82, 0x49, 0x83, 0x42], &[0xac, 1, 0x03, 0, 0x86, 7]];
    let later = |number: u8| [vec![0xec, number, 0x00, 1, 0x86, 8], vec![0xec, number, 0x03, 1, 0x86, 9]];
    let lengths = |with_structure: bool, layers: usize, markers: [bool; 2], key_again: bool| {
        let now = Instant::now();
        let mut assembler = FrameAssembler::new(PayloadFormat::Vp9, video());
        let (mut frames, mut number) = (Vec::new(), 0);
        for picture in 0..6u8 {
            let is_key = picture == 0 || key_again && picture == 1;
            let payloads = if is_key { KEY.map(<[u8]>::to_vec) } else { later(picture + 1) };
            for (layer, mut payload) in payloads.into_iter().enumerate().take(layers) {
                if is_key && layer == 0 && !with_structure {
                    payload[0] &= !0x02;
                    payload.remove(4);
                }
                let marker = markers[layer];
                let bytes = packet(number, u32::from(picture) * 10, marker, &payload);
                frames.extend(push(&mut assembler, now, &bytes));
                number += 1;
            }
        }
        let lengths: Vec<_> = frames.iter().map(|frame| frame.data.len()).collect();
        (lengths, assembler.statistics().dropped_frames)
    };
    let (both, lower) = (vec![6, 4, 4, 4, 4, 4], vec![4, 2, 2, 2, 2, 2]);
    assert_eq!(lengths(true, 2, [false, true], false), (both.clone(), 0));
    assert_eq!(lengths(true, 2, [true, true], false), (both.clone(), 0));
    assert_eq!(lengths(true, 1, [true, true], false), (lower.clone(), 0));
    assert_eq!(lengths(false, 1, [true, true], false), (lower.clone(), 0));
    // Without the structure the first marker is believed, and the next key frame is whole, but for the wait.
    let (found, _) = lengths(false, 2, [true, true], true);
    assert_eq!(found, [4, 6, 4, 4, 4]);
    // The last waits for the next.
    assert_eq!(lengths(true, 2, [false, false], false).0, both[..5]);
}

/// Gateways to telephony lose the marker.
#[test]
fn vp8_without_markers_ends_where_the_next_frame_begins() {
    let now = Instant::now();
    let frames = |lost: Option<u16>| {
        let mut assembler = FrameAssembler::new(PayloadFormat::Vp8, video());
        let mut frames = Vec::new();
        for sent in send(PayloadFormat::Vp8, 0, &[(true, 300), (false, 100), (false, 5), (false, 100)]) {
            for (number, mut bytes) in sent.packets {
                bytes[1] &= 0x7f;
                if lost != Some(number) {
                    frames.extend(push(&mut assembler, now, &bytes));
                }
            }
        }
        frames.extend(std::iter::from_fn(|| assembler.poll_frame(now + Duration::from_secs(1))));
        frames.iter().map(|frame| frame.data.len()).collect::<Vec<_>>()
    };
    let whole = frames(None);
    assert_eq!(whole, [310, 110, 15]);
    // The last packet of the second frame.
    let count = send(PayloadFormat::Vp8, 0, &[(true, 300), (false, 100)])
        .iter()
        .map(|sent| sent.packets.len())
        .sum::<usize>();
    assert_eq!(frames(Some(count as u16 - 1)), [310]);
}
