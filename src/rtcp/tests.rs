//! Tests of parsing, writing and composing RTCP packets.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::layer::{Bitrate, NtpTimestamp, RtpTimestamp, SequenceNumber, Ssrc};

fn parse(bytes: &[u8]) -> Result<Packet<'_>, ParseError> {
    let mut packets = packets(bytes);
    let first = packets.next().unwrap();
    assert!(packets.next().is_none());
    first
}

fn encode(packet: &impl Encode) -> Vec<u8> {
    let mut buffer = vec![0xee; packet.encoded_len() + 3];
    let len = packet.encode(&mut buffer).unwrap();
    assert_eq!(len, packet.encoded_len());
    assert_eq!(len % 4, 0);
    assert!(buffer[len..].iter().all(|&b| b == 0xee));
    buffer.truncate(len);
    let mut short = vec![0; len - 1];
    assert_eq!(packet.encode(&mut short), Err(WriteError::BufferTooSmall { need: len, have: len - 1 }));
    buffer
}

const SENDER_REPORT: &[u8] = &[
    0x81, 0xc8, 0x00, 0x0c, 0x90, 0x2f, 0x9e, 0x2e, // one block; SSRC
    0xda, 0x8b, 0xd1, 0xfc, 0xdd, 0xdd, 0xa0, 0x5a, // NTP
    0xaa, 0xf4, 0xed, 0xd5, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x02, // RTP, packets, octets
    0xbc, 0x5e, 0x9a, 0x40, 0x10, 0xff, 0xff, 0xfe, // SSRC, 16/256 lost, -2 in all
    0x00, 0x00, 0x46, 0xe1, 0x00, 0x00, 0x01, 0x11, // highest, jitter
    0xd1, 0xfc, 0xdd, 0xdd, 0x00, 0x02, 0x4a, 0x79, // LSR, DLSR
];

#[test]
fn sender_reports() {
    let blocks = [ReportBlock {
        ssrc: Ssrc(0xbc5e_9a40),
        fraction_lost: 16,
        cumulative_lost: -2,
        highest_sequence_number: 0x46e1,
        jitter: 273,
        last_sender_report: CompactNtp(0xd1fc_dddd),
        delay_since_last_sender_report: NtpInterval(0x0002_4a79),
    }];
    let report = SenderReport {
        ssrc: Ssrc(0x902f_9e2e),
        ntp: NtpTimestamp(0xda8b_d1fc_dddd_a05a),
        rtp: RtpTimestamp(0xaaf4_edd5),
        packet_count: 1,
        octet_count: 2,
        blocks: Records::from(&blocks[..]),
        extension: &[],
    };
    assert_eq!(parse(SENDER_REPORT), Ok(Packet::SenderReport(report)));
    assert_eq!(encode(&report), SENDER_REPORT);
    for len in (4..SENDER_REPORT.len()).step_by(4) {
        let mut cut = SENDER_REPORT[..len].to_vec();
        cut[3] = (len / 4 - 1) as u8;
        assert!(matches!(parse(&cut), Err(ParseError::Truncated { packet: "sender report", .. })), "{len}");
    }
}

#[test]
fn receiver_reports_keep_profile_specific_data() {
    let bytes = [0x80, 201, 0, 2, 0, 0, 0, 9, 1, 2, 3, 4];
    let report = ReceiverReport { ssrc: Ssrc(9), blocks: Records::default(), extension: &[1, 2, 3, 4] };
    assert_eq!(parse(&bytes), Ok(Packet::ReceiverReport(report)));
    assert_eq!(encode(&report), bytes);
    let report = ReceiverReport { extension: &[1], ..report };
    assert!(matches!(report.encode(&mut [0; 100]), Err(WriteError::Unaligned { len: 1, .. })));
    let blocks = [ReportBlock::default(); 32];
    let report = ReceiverReport { blocks: Records::from(&blocks[..]), ..ReceiverReport::default() };
    assert_eq!(
        report.encode(&mut [0; 2000]),
        Err(WriteError::TooMany { what: "report blocks", max: 31, have: 32 })
    );
}

#[test]
fn round_trip_times() {
    // The example of RFC 3550 §6.4.1: A = b710:8000, LSR = b705:2000, DLSR = 5.25 s, so 6.125 s.
    let block = ReportBlock {
        last_sender_report: CompactNtp(0xb705_2000),
        delay_since_last_sender_report: NtpInterval(0x0005_4000),
        ..ReportBlock::default()
    };
    assert_eq!(block.round_trip_time(CompactNtp(0xb710_8000)), Some(Duration::from_millis(6125)));
    assert_eq!(block.round_trip_time(CompactNtp(0xb70a_0000)), Some(Duration::ZERO));
    assert_eq!(ReportBlock::default().round_trip_time(CompactNtp(5)), None);
    assert_eq!(NtpInterval::from_duration(Duration::from_millis(5250)), NtpInterval(0x0005_4000));
    assert_eq!(NtpInterval::from_duration(Duration::MAX), NtpInterval(u32::MAX));
    assert_eq!(CompactNtp::from(NtpTimestamp(0x1234_5678_9abc_def0)), CompactNtp(0x5678_9abc));
}

#[test]
fn source_descriptions() {
    let bytes = [
        0x82, 202, 0, 8, 0, 0, 0, 1, 1, 3, b'a', b'@', b'b', 8, 4, 1, b'x', b'y', b'z', 0, 0,
        0, // two items, three zeros
        0, 0, // ... aligned by these
        0, 0, 0, 2, 15, 1, b'0', 0,
    ];
    // The first chunk: SSRC, 5 + 6 bytes of items, one zero: 16 bytes; written out below with its alignment.
    let mut exact = bytes.to_vec();
    exact.drain(20..24);
    exact[3] = 6;
    let items = [
        SdesItem { kind: SdesItemType::CNAME, value: b"a@b" },
        SdesItem { kind: SdesItemType::PRIV, value: b"\x01xyz" },
    ];
    let mid = [SdesItem { kind: SdesItemType::MID, value: b"0" }];
    let chunks = [
        SdesChunk { ssrc: Ssrc(1), items: SdesItems::from(&items[..]) },
        SdesChunk { ssrc: Ssrc(2), items: SdesItems::from(&mid[..]) },
    ];
    let description = SourceDescription { chunks: SdesChunks::from(&chunks[..]) };
    assert_eq!(encode(&description), exact);
    let Ok(Packet::SourceDescription(parsed)) = parse(&exact) else { panic!() };
    assert_eq!(parsed, description);
    let first = parsed.chunks.iter().next().unwrap();
    assert_eq!(first.cname(), Some(&b"a@b"[..]));
    assert_eq!(first.items.iter().nth(1).unwrap().private(), Some((&b"x"[..], &b"yz"[..])));
    assert_eq!(first.items.iter().next().unwrap().private(), None);
    assert_eq!(format!("{:?}", first.items.iter().next().unwrap()), "SdesItemType(1): a@b");
}

#[test]
fn source_descriptions_are_bounded() {
    // An item that claims more than there is.
    let bytes = [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 9, b'a', 0];
    assert_eq!(parse(&bytes), Err(ParseError::Truncated { packet: "source description", part: "item" }));
    // 31 chunks claimed, one there.
    let bytes = [0x9f, 202, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(parse(&bytes), Err(ParseError::Truncated { packet: "source description", part: "SSRC" }));
    // No zero at the end: let pass.
    let bytes = [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 2, b'a', b'b'];
    let Ok(Packet::SourceDescription(parsed)) = parse(&bytes) else { panic!() };
    assert_eq!(parsed.chunks.iter().next().unwrap().cname(), Some(&b"ab"[..]));
    let long = [SdesItem { kind: SdesItemType::NOTE, value: &[b'x'; 256] }];
    let chunks = [SdesChunk { ssrc: Ssrc(1), items: SdesItems::from(&long[..]) }];
    let description = SourceDescription { chunks: SdesChunks::from(&chunks[..]) };
    assert!(matches!(
        description.encode(&mut [0; 400]),
        Err(WriteError::TooMany { max: 255, have: 256, .. })
    ));
}

#[test]
fn goodbyes() {
    let sources = [Ssrc(1), Ssrc(2)];
    let goodbye = Goodbye { sources: Records::from(&sources[..]), reason: Some(b"camera off") };
    let bytes = encode(&goodbye);
    assert_eq!(bytes[..4], [0x82, 203, 0, 5]);
    assert_eq!(bytes[12..], *b"\x0acamera off\0");
    assert_eq!(parse(&bytes), Ok(Packet::Goodbye(goodbye)));
    let silent = Goodbye { reason: None, ..goodbye };
    assert_eq!(parse(&encode(&silent)), Ok(Packet::Goodbye(silent)));
    let cut = [0x80, 203, 0, 1, 9, b'a', b'b', b'c'];
    assert_eq!(parse(&cut), Err(ParseError::Truncated { packet: "goodbye", part: "reason" }));
    assert_eq!(
        parse(&[0x82, 203, 0, 1, 0, 0, 0, 1]),
        Err(ParseError::Truncated { packet: "goodbye", part: "list of sources" })
    );
}

#[test]
fn opaque_packets_are_kept() {
    let app = App { subtype: 5, ssrc: Ssrc(7), name: *b"kaon", data: &[1, 2, 3, 4] };
    assert_eq!(parse(&encode(&app)), Ok(Packet::App(app)));
    let app = App { subtype: 32, ..app };
    assert!(app.encode(&mut [0; 100]).is_err());
    // Extended reports, RFC 3611, and feedback of a format unknown here.
    for (packet_type, count) in [(207, 0), (205, 11), (206, 2), (192, 3)] {
        let unknown = Unknown { packet_type: PacketType(packet_type), count, body: &[9, 9, 9, 9] };
        assert_eq!(parse(&encode(&unknown)), Ok(Packet::Unknown(unknown)));
    }
    // Application-layer feedback that is not REMB.
    let bytes = [0x8f, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, b'X', b'Y', b'Z', b'0'];
    assert!(matches!(parse(&bytes), Ok(Packet::Unknown(Unknown { count: 15, .. }))));
}

#[test]
fn nacks() {
    let bytes = [
        0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, // sender, media
        0xff, 0xfe, 0x80, 0x03, // 65534, and 65535, 0, 14
        0x00, 0x64, 0x00, 0x00,
    ];
    let Ok(Packet::Nack(nack)) = parse(&bytes) else { panic!() };
    let numbers: Vec<u16> = nack.sequence_numbers().map(|number| number.0).collect();
    assert_eq!(numbers, [65534, 65535, 0, 14, 100]);
    let entries: Vec<_> = nack_entries(numbers.into_iter().map(SequenceNumber)).collect();
    assert_eq!(nack.entries, Records::from(&entries[..]));
    assert_eq!(encode(&nack), bytes);
    assert_eq!(nack.entries.iter().len(), 2);
    assert_eq!(parse(&bytes[..4].iter().copied().chain([0; 16]).collect::<Vec<_>>()).map(|_| ()), Ok(()));
    assert_eq!(
        parse(&[0x81, 205, 0, 1, 0, 0, 0, 1]),
        Err(ParseError::Truncated { packet: "NACK", part: "SSRC of the media" })
    );
}

#[test]
fn nack_entries_name_repeated_and_disordered_numbers() {
    let numbers = [5u16, 5, 21, 22, 4].map(SequenceNumber);
    let entries: Vec<_> = nack_entries(numbers).collect();
    assert_eq!(
        entries,
        [
            NackEntry { first: SequenceNumber(5), following: 0x8000 },
            NackEntry { first: SequenceNumber(22), following: 0 },
            NackEntry { first: SequenceNumber(4), following: 0 },
        ]
    );
    assert_eq!(nack_entries([]).count(), 0);
}

#[test]
fn requests_for_key_frames() {
    let pli = Pli { sender: Ssrc(1), media: Ssrc(2) };
    let bytes = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    assert_eq!(encode(&pli), bytes);
    assert_eq!(parse(&bytes), Ok(Packet::Pli(pli)));
    let entries = [FirEntry { ssrc: Ssrc(0x0102_0304), sequence_number: 0x42 }];
    let fir = Fir { sender: Ssrc(1), media: Ssrc(0), entries: Records::from(&entries[..]) };
    let bytes = [0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 0x42, 0, 0, 0];
    assert_eq!(encode(&fir), bytes);
    assert_eq!(parse(&bytes), Ok(Packet::Fir(fir)));
}

#[test]
fn receiver_estimates() {
    // 8927168 bit/s = 139487 << 6.
    let bytes = [
        0x8f, 206, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 3, 0x1a, 0x20, 0xdf, //
        0x72, 0x3e, 0x98, 0x16, 0x49, 0x0c, 0xf5, 0xf4, 0x66, 0x2c, 0x13, 0x6f,
    ];
    let Ok(Packet::Remb(remb)) = parse(&bytes) else { panic!() };
    assert_eq!(remb.bitrate, Bitrate::from_bps(8_927_168));
    assert_eq!(remb.sources.iter().nth(1), Some(Ssrc(0x490c_f5f4)));
    assert_eq!(encode(&remb), bytes);
    // More than 64 bits: saturates.
    let mut huge = bytes;
    huge[17] = 0xff;
    let Ok(Packet::Remb(remb)) = parse(&huge) else { panic!() };
    assert_eq!(remb.bitrate.bps(), 0x3_ffff << 46);
    assert_eq!(parse(&encode(&remb)), Ok(Packet::Remb(remb)));
    let mut cut = bytes;
    cut[16] = 4;
    assert_eq!(parse(&cut), Err(ParseError::Truncated { packet: "REMB", part: "list of sources" }));
    for bps in [0, 1, 0x3_ffff, 0x4_0000, 1_000_000_007, u64::MAX] {
        let remb = Remb { bitrate: Bitrate::from_bps(bps), ..Remb::default() };
        let bytes = encode(&remb);
        let Ok(Packet::Remb(read)) = parse(&bytes) else { panic!() };
        assert!(read.bitrate.bps() <= bps && bps - read.bitrate.bps() <= bps >> 17, "{bps}");
    }
}

fn arrivals(feedback: &TransportFeedback<'_>) -> Vec<(u16, Option<i64>)> {
    feedback
        .iter()
        .map(|status| (status.sequence_number.0, status.arrival.map(FeedbackTime::ticks)))
        .collect()
}

#[test]
fn transport_feedback_of_every_chunk_kind() {
    let bytes = [
        0x8f, 205, 0, 8, 0, 0, 0, 1, 0, 0, 0, 2, // sender, media
        0xff, 0xff, 0x00, 0x19, // from 65535, 25 packets
        0xff, 0xff, 0xff, 0x07, // reference time -1, count 7
        0x20, 0x02, // run of two small deltas
        0xa0, 0x01, // one bit each: 14 symbols, the first and the last received
        0xd8, 0x00, // two bits each: small, large, five not received
        0x00, 0x02, // two not received
        4, 8, 12, 16, 20, // small deltas
        0xff, 0xfc, // -1 ms
        0,
    ];
    let Ok(Packet::TransportFeedback(feedback)) = parse(&bytes) else { panic!("{:?}", parse(&bytes)) };
    assert_eq!(feedback.reference_time, -1);
    assert_eq!(feedback.feedback_count, 7);
    let read = arrivals(&feedback);
    assert_eq!(read.len(), 25);
    assert_eq!(read[..3], [(65535, Some(-252)), (0, Some(-244)), (1, Some(-232))]);
    assert_eq!(read[3].1, None);
    assert_eq!(read[15..19], [(14, Some(-216)), (15, Some(-196)), (16, Some(-200)), (17, None)]);
    assert_eq!(feedback.iter().next().unwrap().arrival.unwrap().as_micros(), -63_000);
    assert_eq!(encode(&feedback), bytes);
}

#[test]
fn transport_feedback_begins_before_the_first_arrival() {
    let mut builder = TransportFeedbackBuilder::new(Ssrc(1), Ssrc(2), 0, 100);
    builder.push(SequenceNumber(1), Duration::from_millis(1)).unwrap();
    builder.begin(Some(SequenceNumber(65535)), 7);
    assert!(builder.is_empty());
    let older = builder.push(SequenceNumber(65534), Duration::ZERO);
    assert!(matches!(older, Err(PushError::NotNewer { .. })));
    builder.push(SequenceNumber(2), Duration::from_millis(64)).unwrap();
    let feedback = builder.finish().unwrap();
    assert_eq!((feedback.feedback_count, feedback.status_count), (7, 4));
    assert_eq!(arrivals(&feedback), [(65535, None), (0, None), (1, None), (2, Some(256))]);
}

#[test]
fn malformed_transport_feedback() {
    let head = |status_count: u16, behind: &[u8]| {
        let mut bytes = vec![0x8f, 205, 0, (4 + behind.len() / 4) as u8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0];
        bytes.extend_from_slice(&status_count.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 1, 0]);
        bytes.extend_from_slice(behind);
        bytes
    };
    let truncated = |part| Err(ParseError::Truncated { packet: "transport-wide feedback", part });
    // Chunks for fewer packets than claimed; runs of nothing at all.
    assert_eq!(parse(&head(9, &[0x00, 0x04, 0x00, 0x00])).map(|_| ()), truncated("packet status chunks"));
    // Deltas missing: 8191 small ones claimed.
    assert_eq!(parse(&head(u16::MAX, &[0x3f, 0xff, 0, 0])).map(|_| ()), truncated("packet status chunks"));
    assert_eq!(parse(&head(5, &[0x20, 0x05, 1, 1])).map(|_| ()), truncated("receive deltas"));
    let reserved = Err(ParseError::Malformed {
        packet: "transport-wide feedback",
        reason: "a packet status is reserved",
    });
    assert_eq!(parse(&head(1, &[0x60, 0x01, 0, 0])).map(|_| ()), reserved);
    assert_eq!(parse(&head(7, &[0xff, 0xff, 0, 0])).map(|_| ()), reserved);
    // Symbols beyond the count mean nothing.
    let bytes = head(1, &[0xd7, 0xff, 5, 0]);
    let Ok(Packet::TransportFeedback(feedback)) = parse(&bytes) else { panic!() };
    assert_eq!(arrivals(&feedback), [(0, Some(261))]);
    // All received or none, in the fewest bytes.
    let bytes = head(
        u16::MAX,
        &[
            0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff,
            0x1f, 0xff, 0, 0,
        ],
    );
    let Ok(Packet::TransportFeedback(feedback)) = parse(&bytes) else { panic!() };
    assert_eq!(feedback.iter().filter(|status| status.arrival.is_some()).count(), 0);
    assert_eq!(feedback.iter().len(), usize::from(u16::MAX));
}

#[test]
fn the_builder_has_limits() {
    let mut builder = TransportFeedbackBuilder::new(Ssrc(1), Ssrc(2), 3, 60);
    assert!(builder.is_empty() && builder.finish().is_none());
    let at = Duration::from_secs(100);
    builder.push(SequenceNumber(9), at).unwrap();
    assert_eq!(
        builder.push(SequenceNumber(9), at),
        Err(PushError::NotNewer { number: SequenceNumber(9), last: SequenceNumber(9) })
    );
    assert_eq!(builder.push(SequenceNumber(10), at + Duration::from_secs(9)), Err(PushError::DeltaTooLarge));
    let mut pushed = 1;
    let full = loop {
        match builder.push(SequenceNumber(9 + pushed), at) {
            Ok(()) => pushed += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full, PushError::Full);
    let feedback = builder.finish().unwrap();
    assert!(feedback.encoded_len() <= 60);
    assert_eq!(feedback.status_count, pushed);
    // 65535 packets at most.
    let mut builder = TransportFeedbackBuilder::new(Ssrc(1), Ssrc(2), 3, 1200);
    builder.push(SequenceNumber(0), at).unwrap();
    builder.push(SequenceNumber(0x7fff), at).unwrap();
    builder.push(SequenceNumber(0xfffd), at).unwrap();
    assert_eq!(builder.push(SequenceNumber(0xffff), at), Err(PushError::Full));
    builder.push(SequenceNumber(0xfffe), at).unwrap();
    let bytes = encode(&builder.finish().unwrap());
    assert!(bytes.len() < 50);
    let Ok(Packet::TransportFeedback(feedback)) = parse(&bytes) else { panic!() };
    assert_eq!(feedback.iter().filter(|status| status.arrival.is_some()).count(), 4);
}

#[test]
fn any_arrival_fits_an_empty_packet_of_44_bytes() {
    for distance in [0, 1, 0x1fff, 0x2000, 0x7fff] {
        let mut builder = TransportFeedbackBuilder::new(Ssrc(1), Ssrc(2), 0, 44);
        builder.begin(Some(SequenceNumber(9)), 0);
        builder.push(SequenceNumber(9).wrapping_add(distance), Duration::from_secs(5)).unwrap();
        assert!(builder.finish().unwrap().encoded_len() <= 44);
    }
}

#[test]
fn compound_rules() {
    let mut buffer = [0; 200];
    let mut writer = CompoundWriter::new(&mut buffer);
    writer.push(&ReceiverReport { ssrc: Ssrc(1), ..ReceiverReport::default() }).unwrap();
    writer.push(&Pli { sender: Ssrc(1), media: Ssrc(2) }).unwrap();
    assert_eq!(writer.remaining(), 180);
    let len = writer.finish();
    let datagram = &buffer[..len];
    assert_eq!(check_compound(datagram, CompoundRules::Full), Ok(()));
    assert_eq!(packets(datagram).map(Result::unwrap).count(), 2);
    let reduced = &datagram[8..];
    assert_eq!(check_compound(reduced, CompoundRules::ReducedSize), Ok(()));
    assert_eq!(
        check_compound(reduced, CompoundRules::Full),
        Err(CompoundError::NoReport(PacketType::PAYLOAD_FEEDBACK))
    );
    assert_eq!(check_compound(&[], CompoundRules::ReducedSize), Err(CompoundError::Empty));
    assert!(matches!(
        check_compound(&datagram[..len - 1], CompoundRules::Full),
        Err(CompoundError::Framing(ParseError::Length { claimed: 12, have: 11 }))
    ));
    // Padding belongs to the last packet.
    let padded = [0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4];
    assert_eq!(check_compound(&padded, CompoundRules::Full), Ok(()));
    let inside = [&padded[..], &padded].concat();
    assert_eq!(check_compound(&inside, CompoundRules::Full), Err(CompoundError::PaddedInside));
    let Ok(Packet::ReceiverReport(report)) = parse(&padded) else { panic!() };
    assert!(report.extension.is_empty());
}

#[test]
fn framing_errors_end_the_walk_and_others_do_not() {
    let datagram =
        [&[0x81, 203, 0, 0][..], &[0x80, 203, 0, 0], &[0x40, 203, 0, 0], &[0x80, 203, 0, 0]].concat();
    let results: Vec<_> = packets(&datagram).collect();
    assert_eq!(results.len(), 3);
    assert!(matches!(results[0], Err(ParseError::Truncated { .. })));
    assert!(matches!(results[1], Ok(Packet::Goodbye(_))));
    assert_eq!(results[2], Err(ParseError::Version(1)));
    assert_eq!(parse(&[0xa0, 203, 0, 0]), Err(ParseError::Padding { padding: 0, available: 0 }));
    assert_eq!(parse(&[0xa0, 203, 0, 1, 0, 0, 0, 5]), Err(ParseError::Padding { padding: 5, available: 4 }));
    assert_eq!(parse(&[0x80]), Err(ParseError::Truncated { packet: "packet", part: "header" }));
}

#[test]
fn a_packet_longer_than_its_length_field_is_refused() {
    let data = vec![0; 0x4_0000];
    let app = App { subtype: 0, ssrc: Ssrc(0), name: *b"long", data: &data };
    assert_eq!(app.encode(&mut vec![0; 0x5_0000]), Err(WriteError::TooLong(0x4_000c)));
}

fn report_block() -> impl Strategy<Value = ReportBlock> {
    (any::<u32>(), any::<u8>(), -0x80_0000i32..0x80_0000, any::<[u32; 4]>()).prop_map(
        |(ssrc, fraction_lost, cumulative_lost, [highest_sequence_number, jitter, lsr, dlsr])| ReportBlock {
            ssrc: Ssrc(ssrc),
            fraction_lost,
            cumulative_lost,
            highest_sequence_number,
            jitter,
            last_sender_report: CompactNtp(lsr),
            delay_since_last_sender_report: NtpInterval(dlsr),
        },
    )
}

proptest! {
    #[test]
    fn reports_round_trip(
        blocks in proptest::collection::vec(report_block(), 0..32), words in any::<[u32; 4]>(), ntp in any::<u64>(),
        extension in proptest::collection::vec(any::<[u8; 4]>(), 0..4),
    ) {
        let extension = extension.concat();
        let report = SenderReport {
            ssrc: Ssrc(words[0]), ntp: NtpTimestamp(ntp), rtp: RtpTimestamp(words[1]), packet_count: words[2],
            octet_count: words[3], blocks: Records::from(&blocks[..]), extension: &extension,
        };
        let bytes = encode(&report);
        prop_assert_eq!(parse(&bytes), Ok(Packet::SenderReport(report)));
        let report = ReceiverReport { ssrc: report.ssrc, blocks: report.blocks, extension: report.extension };
        let bytes = encode(&report);
        prop_assert_eq!(parse(&bytes), Ok(Packet::ReceiverReport(report)));
    }

    #[test]
    fn descriptions_round_trip(
        chunks in proptest::collection::vec(
            (any::<u32>(), proptest::collection::vec((1u8..=255, proptest::collection::vec(any::<u8>(), 0..20)), 0..5)), 0..32)
    ) {
        let items: Vec<Vec<SdesItem<'_>>> = chunks.iter().map(|(_, items)| {
            items.iter().map(|(kind, value)| SdesItem { kind: SdesItemType(*kind), value }).collect()
        }).collect();
        let chunks: Vec<_> = chunks.iter().zip(&items)
            .map(|((ssrc, _), items)| SdesChunk { ssrc: Ssrc(*ssrc), items: SdesItems::from(&items[..]) }).collect();
        let description = SourceDescription { chunks: SdesChunks::from(&chunks[..]) };
        let bytes = encode(&description);
        prop_assert_eq!(parse(&bytes), Ok(Packet::SourceDescription(description)));
    }

    #[test]
    fn goodbyes_round_trip(
        sources in proptest::collection::vec(any::<u32>().prop_map(Ssrc), 0..32),
        reason in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..256)),
    ) {
        let goodbye = Goodbye { sources: Records::from(&sources[..]), reason: reason.as_deref() };
        let bytes = encode(&goodbye);
        prop_assert_eq!(parse(&bytes), Ok(Packet::Goodbye(goodbye)));
    }

    #[test]
    fn nacked_numbers_round_trip(start in any::<u16>(), steps in proptest::collection::vec(1u16..40, 1..100)) {
        let mut number = SequenceNumber(start);
        let numbers: Vec<_> = steps.into_iter().map(|step| { number = number.wrapping_add(step); number }).collect();
        let entries: Vec<_> = nack_entries(numbers.iter().copied()).collect();
        let nack = Nack { sender: Ssrc(1), media: Ssrc(2), entries: Records::from(&entries[..]) };
        let bytes = encode(&nack);
        let Ok(Packet::Nack(read)) = parse(&bytes) else { panic!() };
        prop_assert!(read.sequence_numbers().eq(numbers));
    }

    #[test]
    fn estimates_round_trip(
        mantissa in 0u64..0x4_0000, exponent in 0u32..46, words in any::<[u32; 2]>(),
        sources in proptest::collection::vec(any::<u32>().prop_map(Ssrc), 0..256),
    ) {
        let remb = Remb {
            sender: Ssrc(words[0]), media: Ssrc(words[1]), bitrate: Bitrate::from_bps(mantissa << exponent),
            sources: Records::from(&sources[..]),
        };
        let bytes = encode(&remb);
        prop_assert_eq!(parse(&bytes), Ok(Packet::Remb(remb)));
    }

    #[test]
    fn built_feedback_is_read(
        start in any::<u16>(), begin in 0u64..4_000_000_000, max_len in 40usize..1300,
        steps in proptest::collection::vec(
            (prop_oneof![8 => Just(1u16), 2 => 1u16..20, 1 => 1u16..20_000], prop_oneof![8 => 0i64..60_000, 1 => -60_000i64..8_000_000]),
            1..400),
    ) {
        let mut builder = TransportFeedbackBuilder::new(Ssrc(1), Ssrc(2), 9, max_len);
        let (mut number, mut micros) = (SequenceNumber(start), begin as i64);
        let mut expected = Vec::new();
        for (step, delta) in steps {
            micros = (micros + delta).max(0);
            match builder.push(number, Duration::from_micros(micros as u64)) {
                Ok(()) => expected.push((number, micros / 250)),
                Err(PushError::Full) => break,
                Err(PushError::DeltaTooLarge) => micros -= delta,
                Err(error) => panic!("{error}"),
            }
            number = number.wrapping_add(step);
        }
        let bytes = encode(&builder.finish().unwrap());
        prop_assert!(bytes.len() <= max_len);
        let Ok(Packet::TransportFeedback(feedback)) = parse(&bytes) else { panic!() };
        prop_assert_eq!(feedback, builder.finish().unwrap());
        let received = feedback.iter().filter_map(|status| Some((status.sequence_number, status.arrival?)));
        prop_assert!(received.eq(feedback.arrivals()));
        // The clock wraps after 2^24 units of 64 ms.
        let wrap = |ticks: i64| ticks & 0xffff_ffff;
        let read: Vec<_> = feedback.iter()
            .filter_map(|status| Some((status.sequence_number, wrap(status.arrival?.ticks())))).collect();
        let expected: Vec<_> = expected.into_iter().map(|(number, ticks)| (number, wrap(ticks))).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn any_bytes_parse_or_fail(
        mut bytes in proptest::collection::vec(any::<u8>(), 4..120), packet_type in 199u8..209, format in 0u8..32,
        padded in any::<bool>(),
    ) {
        bytes.truncate(bytes.len() / 4 * 4);
        bytes[0] = 0x80 | (u8::from(padded && bytes.len() > 4) << 5) | format;
        bytes[1] = packet_type;
        bytes[2] = 0;
        bytes[3] = (bytes.len() / 4 - 1) as u8;
        let _ = check_compound(&bytes, CompoundRules::Full);
        if let Ok(packet) = parse(&bytes) {
            let mut buffer = vec![0; packet.encoded_len()];
            // Padding may leave what follows a report unaligned; all else can be written.
            match packet.encode(&mut buffer) {
                Ok(_) => prop_assert_eq!(parse(&buffer), Ok(packet)),
                Err(error) => prop_assert!(matches!(error, WriteError::Unaligned { .. }), "{}", error),
            }
        }
        let _ = packets(&bytes[1..]).count();
    }
}
