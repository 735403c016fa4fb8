//! Media: nothing is allocated per packet once a stream flows; one allocation is made per frame.

use std::hint::black_box;
use std::time::{Duration, Instant};

use kaon_rtc::layer::{NtpTimestamp, PayloadType, RtpTimestamp, SequenceNumber, Ssrc};
use kaon_rtc::media::{
    FrameAssembler, FrameAssemblerConfig, NackConfig, NackGenerator, PacketCache, PacketCacheConfig,
    ReceiverStatistics, ReportSchedule, ReportScheduleConfig, Retransmission, RtxSender, SendHistory,
    SenderStatistics, SentPacket, TransportArrivals, TransportFeedbackConfig, unwrap_rtx,
};
use kaon_rtc::rtcp::NackEntry;
use kaon_rtc::rtp::payload::PayloadFormat;
use kaon_rtc::rtp::{Packet, PacketMut};

use crate::{count_allocations, heap_held};

const VIDEO: PayloadType = PayloadType::from_low_bits(96);
const RTX: PayloadType = PayloadType::from_low_bits(97);

/// A VP8 packet of a stream whose frames have ten packets; every frame is a key frame.
fn write(buffer: &mut [u8; 1200], index: u32) -> Packet<'_> {
    buffer[0] = 0x80;
    buffer[12] = if index.is_multiple_of(10) { 0x10 } else { 0 };
    buffer[13] = 0;
    let mut packet = PacketMut::parse(buffer).unwrap();
    packet.set_payload_type(VIDEO);
    packet.set_marker(index % 10 == 9);
    packet.set_sequence_number(SequenceNumber(index as u16));
    packet.set_timestamp(RtpTimestamp(index / 10 * 3000));
    Packet::parse(buffer).unwrap()
}

/// Runs `work` with the indices of two seconds of packets, a millisecond each, to fill what fills, and counts
/// in the third.
fn third_second(mut work: impl FnMut(Instant, u32)) -> usize {
    let start = Instant::now();
    let mut run = |from, to| {
        (from..to).for_each(|index| work(start + Duration::from_millis(u64::from(index)), index));
    };
    run(0, 2000);
    count_allocations(|| run(2000, 3000))
}

#[test]
fn sent_packets_are_kept_and_sent_again() {
    let mut cache = PacketCache::new(PacketCacheConfig::default());
    let mut rtx = RtxSender::new(Ssrc(2), SequenceNumber(0));
    let (mut buffer, mut out) = ([0; 1200], [0; 1300]);
    let allocations = third_second(|now, index| {
        let number = write(&mut buffer, index).sequence_number();
        cache.insert(now, number, buffer.len(), buffer);
        let wanted = SequenceNumber(index as u16).wrapping_sub(30);
        if let Retransmission::Packet(kept) = cache.retransmit(now, wanted, Duration::ZERO) {
            let len = rtx.wrap(&Packet::parse(kept).unwrap(), RTX, &mut out).unwrap();
            black_box(unwrap_rtx(&mut out[..len], Ssrc(1), VIDEO).unwrap());
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn losses_are_asked_for() {
    let mut nack = NackGenerator::new(NackConfig::default());
    let mut entries = [NackEntry { first: SequenceNumber(0), following: 0 }; 32];
    let mut asked = 0;
    let allocations = third_second(|now, index| {
        if !index.is_multiple_of(7) {
            nack.received(now, SequenceNumber(index as u16));
        }
        asked += nack.poll_nack(now, &mut entries);
        if index.is_multiple_of(14) {
            nack.received(now, SequenceNumber(index as u16).wrapping_sub(70));
        }
    });
    assert_eq!(allocations, 0);
    assert!(asked > 100);
}

#[test]
fn statistics_and_reports() {
    let start = Instant::now();
    let mut receiver = ReceiverStatistics::new(Ssrc(1), 90_000);
    let mut sender = SenderStatistics::new(Ssrc(1), 90_000);
    let mut schedule = ReportSchedule::new(ReportScheduleConfig::video(), start, 1);
    let allocations = third_second(|now, index| {
        let timestamp = RtpTimestamp(index * 90);
        sender.sent(now, timestamp, 1188, 12);
        receiver.received(now, SequenceNumber(index as u16), timestamp, 1188);
        if schedule.is_due(now) {
            let ntp = NtpTimestamp::from_duration(Duration::from_millis(u64::from(index)));
            receiver.sender_report_received(now, &sender.sender_report(now, ntp).unwrap());
            sender.report_received(now, ntp, &receiver.report_block(now).unwrap());
            schedule.report_sent(now, 100, index);
        }
    });
    assert_eq!(allocations, 0);
    assert!(sender.remote().unwrap().reports > 1);
}

#[test]
fn transport_wide_feedback() {
    let mut arrivals = TransportArrivals::new(TransportFeedbackConfig::default(), Ssrc(1), Ssrc(2));
    let mut history = SendHistory::new(SendHistory::DEFAULT_MAX_PACKETS);
    // The ring has its full size from the beginning of the count on.
    for number in 0..8192u16 {
        history.record(SequenceNumber(number.wrapping_sub(8192)), SentPacket::new(Instant::now(), 1));
    }
    let mut arrived = 0;
    let allocations = third_second(|now, index| {
        history.record(SequenceNumber(index as u16), SentPacket::new(now, 1200));
        if !index.is_multiple_of(9) {
            arrivals.received(now, SequenceNumber(index as u16));
        }
        while let Some(feedback) = arrivals.poll_feedback(now) {
            arrived += history.on_feedback(now, &feedback, |_| ()).arrived_bytes;
        }
    });
    assert_eq!(allocations, 0);
    assert!(arrived > 2000 * 1200);
}

#[test]
fn frames_cost_one_allocation_each() {
    let mut assembler = FrameAssembler::new(PayloadFormat::Vp8, FrameAssemblerConfig::video());
    let mut buffer = [0; 1200];
    let mut frames = 0;
    let allocations = third_second(|now, index| {
        // Pairs come the wrong way round.
        assembler.push(now, &write(&mut buffer, index ^ 1));
        while let Some(frame) = assembler.poll_frame(now) {
            assert_eq!(frame.data.len(), 10 * 1187);
            frames += 1;
        }
    });
    // The first packet of all came late.
    assert_eq!((frames, allocations), (299, 100));
}

#[test]
fn what_an_idle_stream_holds() {
    let (made, held) = heap_held(|| {
        (
            PacketCache::<[u8; 1200]>::new(PacketCacheConfig::default()),
            NackGenerator::new(NackConfig::default()),
            FrameAssembler::new(PayloadFormat::Vp9, FrameAssemblerConfig::video()),
            TransportArrivals::new(TransportFeedbackConfig::default(), Ssrc(1), Ssrc(2)),
            SendHistory::new(SendHistory::DEFAULT_MAX_PACKETS),
        )
    });
    assert!(held < 1024, "{held} bytes");
    drop(made);
}
