//! RTP and RTCP: nothing is allocated per packet.

use std::hint::black_box;
use std::time::Duration;

use kaon_rtc::layer::{Mid, PayloadType, Rid, RtpTimestamp, SequenceNumber, Ssrc};
use kaon_rtc::rtcp::{self, CompoundWriter, Encode, NackEntry, Packet as Rtcp};
use kaon_rtc::rtp::payload::{Depacketizer, Packetizer, PictureId, h264, opus, vp8, vp9};
use kaon_rtc::rtp::{
    AbsSendTime, AudioLevel, ExtensionId, ExtensionKind, ExtensionMap, ExtensionValues, Header, Packet,
    PacketMut, PacketWriter, TransportSequenceNumber,
};

use crate::count_allocations;

fn map(first_id: u8) -> ExtensionMap {
    let mut map = ExtensionMap::new();
    for (offset, kind) in ExtensionKind::ALL.into_iter().enumerate() {
        map.insert(ExtensionId::new(first_id + offset as u8).unwrap(), kind);
    }
    map
}

fn header() -> Header {
    Header {
        marker: true,
        payload_type: PayloadType::from_low_bits(96),
        sequence_number: SequenceNumber(1),
        timestamp: RtpTimestamp(2),
        ssrc: Ssrc(3),
    }
}

fn values() -> ExtensionValues {
    let mut values = ExtensionValues::default();
    values.abs_send_time = Some(AbsSendTime::from_fixed_point(7));
    values.transport_sequence_number = Some(TransportSequenceNumber(SequenceNumber(9)));
    values.mid = Some(Mid::new(b"video").unwrap());
    values.rid = Some(Rid::new(b"h").unwrap());
    values.audio_level = Some(AudioLevel { voice: true, dbov: 5 });
    values
}

#[test]
fn a_packet_is_written_read_and_forwarded() {
    // Ids from 10 on need the two-byte form from 15 on.
    for first_id in [1, 10] {
        let (from, to) = (map(first_id), map(first_id));
        let mut buffer = [0; 1500];
        let allocations = count_allocations(|| {
            let mut writer = PacketWriter::new(&mut buffer, &header(), &[Ssrc(8)]).unwrap();
            writer.extensions(&from, &values()).unwrap();
            let len = writer.payload(&[7; 1100]).unwrap();
            let packet = Packet::parse(&buffer[..len]).unwrap();
            assert_eq!(packet.extension_values(&from), values());
            black_box(packet.csrcs().count());
            let mut packet = PacketMut::parse(&mut buffer[..len]).unwrap();
            packet.set_sequence_number(SequenceNumber(99));
            packet.set_timestamp(RtpTimestamp(98));
            packet.set_ssrc(Ssrc(97));
            packet.rewrite_extension_ids(|id| from.translate(id, &to)).unwrap();
        });
        assert_eq!(allocations, 0);
    }
}

fn packetize_and_back(
    packetizer: &mut dyn Packetizer,
    depacketizer: &mut dyn Depacketizer,
    frame: &[u8],
) -> usize {
    let mut received = Vec::with_capacity(2 * frame.len());
    let mut buffer = [0; 1200];
    let mut once = || {
        received.clear();
        packetizer
            .packetize(frame, 1200, &mut |payload| {
                let len = payload.write(&mut buffer).unwrap();
                depacketizer.push(&buffer[..len], payload.marker, &mut received).unwrap();
            })
            .unwrap();
        assert_eq!(received, frame);
    };
    count_allocations(&mut once)
}

#[test]
fn payload_formats() {
    let frame = [0x10; 10_000];
    let vp8_first = vp8::Descriptor { picture_id: Some(PictureId::Long(1)), ..vp8::Descriptor::default() };
    let mut packetizer = vp8::Packetizer::new(vp8_first);
    assert_eq!(packetize_and_back(&mut packetizer, &mut vp8::Depacketizer::default(), &frame), 0);

    let frame = [0x86; 10_000];
    let mut packetizer = vp9::Packetizer::new(PictureId::Long(1));
    assert_eq!(packetize_and_back(&mut packetizer, &mut vp9::Depacketizer::default(), &frame), 0);

    let frame = [&[0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 0, 1], [0x65; 10_000].as_slice()].concat();
    let mut packetizer = h264::Packetizer::default();
    assert_eq!(packetize_and_back(&mut packetizer, &mut h264::Depacketizer::default(), &frame), 0);

    assert_eq!(
        packetize_and_back(&mut opus::Packetizer, &mut opus::Depacketizer::default(), &[0x78; 100]),
        0
    );
}

#[test]
fn rtcp_is_written_and_read() {
    let mut buffer = [0; 1200];
    let allocations = count_allocations(|| {
        let blocks = [rtcp::ReportBlock::default(); 3];
        let entries = [NackEntry { first: SequenceNumber(1), following: 0xffff }; 5];
        let mut feedback = rtcp::TransportFeedbackBuilder::new(Ssrc(1), Ssrc(2), 0, 600);
        for number in 0..100 {
            feedback.push(SequenceNumber(number), Duration::from_millis(u64::from(number) * 5)).unwrap();
        }
        let mut writer = CompoundWriter::new(&mut buffer);
        let blocks = rtcp::Records::from(&blocks[..]);
        writer.push(&rtcp::ReceiverReport { blocks, ..rtcp::ReceiverReport::default() }).unwrap();
        writer
            .push(&rtcp::Nack { entries: rtcp::Records::from(&entries[..]), ..rtcp::Nack::default() })
            .unwrap();
        writer.push(&feedback.finish().unwrap()).unwrap();
        let len = writer.finish();
        for packet in rtcp::packets(&buffer[..len]) {
            match packet.unwrap() {
                Rtcp::Nack(nack) => assert_eq!(nack.sequence_numbers().count(), 85),
                Rtcp::TransportFeedback(feedback) => assert_eq!(feedback.iter().count(), 100),
                packet => drop(black_box(packet.encoded_len())),
            }
        }
    });
    assert_eq!(allocations, 0);
}
