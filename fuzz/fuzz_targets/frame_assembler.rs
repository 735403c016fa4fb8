//! Frame assembly: packets of any content in any order; frames stay in order and within the limits.
#![no_main]

use std::time::{Duration, Instant};

use kaon_rtc::layer::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};
use kaon_rtc::media::{FrameAssembler, FrameAssemblerConfig};
use kaon_rtc::rtp::payload::PayloadFormat;
use kaon_rtc::rtp::{Header, Packet, PacketWriter};
use libfuzzer_sys::fuzz_target;

const MAX_FRAME_LEN: usize = 200;

fuzz_target!(|data: &[u8]| {
    let Some((&[flags, max_packets], mut data)) = data.split_first_chunk::<2>() else { return };
    let format = match flags & 3 {
        0 => PayloadFormat::Vp8,
        1 => PayloadFormat::Vp9,
        2 => PayloadFormat::H264,
        _ => PayloadFormat::Opus,
    };
    let mut config = FrameAssemblerConfig::video();
    config.max_packets = usize::from(max_packets);
    config.max_bytes = 500;
    config.max_frame_len = MAX_FRAME_LEN;
    config.wait_for_key_frame = flags & 4 != 0;
    let mut assembler = FrameAssembler::new(format, config);
    let mut now = Instant::now();
    let mut number = SequenceNumber(u16::from(flags) << 8);
    let mut last: Option<SequenceNumber> = None;
    let mut pushed = 0;
    // Each packet: marker and length, the step of the number, the timestamp and the time, the payload.
    while let Some((&[head, step, times], rest)) = data.split_first_chunk::<3>() {
        let (payload, rest) = rest.split_at(usize::from(head & 0x7f).min(rest.len()));
        data = rest;
        number = SequenceNumber(number.0.wrapping_add_signed(i16::from(step.cast_signed() / 8)));
        now += Duration::from_millis(u64::from(times >> 3) * 20);
        let header = Header {
            marker: head & 0x80 != 0,
            payload_type: PayloadType::from_low_bits(96),
            sequence_number: number,
            timestamp: RtpTimestamp(u32::from(times & 7)),
            ssrc: Ssrc(1),
        };
        let mut bytes = [0; 200];
        let writer = PacketWriter::new(&mut bytes, &header, &[]).expect("it fits");
        let len = writer.payload(payload).expect("it fits");
        assembler.push(now, &Packet::parse(&bytes[..len]).expect("it was written"));
        pushed += 1;
        if step & 7 == 0 {
            // Not drained.
            continue;
        }
        while let Some(frame) = assembler.poll_frame(now) {
            assert!(!frame.data.is_empty() && frame.data.len() <= MAX_FRAME_LEN);
            assert!(!frame.first.is_newer_than(frame.last));
            assert!(last.is_none_or(|last| frame.first.is_newer_than(last)));
            last = Some(frame.last);
        }
        assembler.poll_key_frame_request(now);
        assert!(assembler.poll_timeout().is_none_or(|timeout| timeout > now));
    }
    let statistics = assembler.statistics();
    assert!(statistics.frames <= pushed && statistics.key_frames <= statistics.frames);
});
