//! RTCP beside the crate `rtcp-types`: what one writes the other reads.

use std::time::Duration;

use kaon_rtc::layer::{NtpTimestamp, RtpTimestamp, SequenceNumber, Ssrc};
use kaon_rtc::rtcp::{
    self, App, CompactNtp, Encode, Fir, FirEntry, Goodbye, Nack, NtpInterval, Packet, Pli, ReceiverReport,
    Records, ReportBlock, SdesChunk, SdesChunks, SdesItem, SdesItemType, SdesItems, SenderReport,
    SourceDescription, TransportFeedbackBuilder,
};
use proptest::prelude::*;
use rtcp_types::TwccPacketStatus;
use rtcp_types::prelude::*;

fn ours(packet: &impl Encode) -> Vec<u8> {
    let mut buffer = vec![0; packet.encoded_len()];
    packet.encode(&mut buffer).unwrap();
    buffer
}

fn theirs(packet: &impl RtcpPacketWriter) -> Vec<u8> {
    let mut buffer = vec![0; packet.calculate_size().unwrap()];
    packet.write_into(&mut buffer).unwrap();
    buffer
}

fn parse(bytes: &[u8]) -> Packet<'_> {
    let mut packets = rtcp::packets(bytes);
    let packet = packets.next().unwrap().unwrap();
    assert!(packets.next().is_none());
    packet
}

fn block() -> impl Strategy<Value = ReportBlock> {
    (any::<[u32; 5]>(), any::<u8>(), -0x80_0000i32..0x80_0000).prop_map(
        |([ssrc, highest_sequence_number, jitter, lsr, dlsr], fraction_lost, cumulative_lost)| ReportBlock {
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

fn their_block(block: &ReportBlock) -> rtcp_types::ReportBlockBuilder {
    rtcp_types::ReportBlock::builder(block.ssrc.0)
        .fraction_lost(block.fraction_lost)
        .cumulative_lost(block.cumulative_lost as u32 & 0xff_ffff)
        .extended_sequence_number(block.highest_sequence_number)
        .interarrival_jitter(block.jitter)
        .last_sender_report_timestamp(block.last_sender_report.0)
        .delay_since_last_sender_report_timestamp(block.delay_since_last_sender_report.0)
}

fn same_block(ours: ReportBlock, theirs: &rtcp_types::ReportBlock<'_>) -> bool {
    ours.ssrc.0 == theirs.ssrc()
        && ours.fraction_lost == theirs.fraction_lost()
        && ours.cumulative_lost as u32 & 0xff_ffff == theirs.cumulative_lost()
        && ours.highest_sequence_number == theirs.extended_sequence_number()
        && ours.jitter == theirs.interarrival_jitter()
        && ours.last_sender_report.0 == theirs.last_sender_report_timestamp()
        && ours.delay_since_last_sender_report.0 == theirs.delay_since_last_sender_report_timestamp()
}

proptest! {
    #[test]
    fn reports(blocks in proptest::collection::vec(block(), 0..32), words in any::<[u32; 4]>(), ntp in any::<u64>()) {
        let [ssrc, rtp, packets, octets] = words;
        let report = SenderReport {
            ssrc: Ssrc(ssrc), ntp: NtpTimestamp(ntp), rtp: RtpTimestamp(rtp), packet_count: packets,
            octet_count: octets, blocks: Records::from(&blocks[..]), extension: &[],
        };
        let bytes = ours(&report);
        let read = rtcp_types::SenderReport::parse(&bytes).unwrap();
        prop_assert_eq!((read.ssrc(), read.ntp_timestamp(), read.rtp_timestamp()), (ssrc, ntp, rtp));
        prop_assert_eq!((read.packet_count(), read.octet_count()), (packets, octets));
        prop_assert_eq!(read.report_blocks().count(), blocks.len());
        prop_assert!(report.blocks.iter().zip(read.report_blocks()).all(|(a, b)| same_block(a, &b)));
        let mut builder = rtcp_types::SenderReport::builder(ssrc)
            .ntp_timestamp(ntp).rtp_timestamp(rtp).packet_count(packets).octet_count(octets);
        for block in &blocks {
            builder = builder.add_report_block(their_block(block));
        }
        prop_assert_eq!(&theirs(&builder), &bytes);
        prop_assert_eq!(parse(&bytes), Packet::SenderReport(report));

        let report = ReceiverReport { ssrc: Ssrc(ssrc), blocks: Records::from(&blocks[..]), extension: &[] };
        let bytes = ours(&report);
        let read = rtcp_types::ReceiverReport::parse(&bytes).unwrap();
        prop_assert!(report.blocks.iter().zip(read.report_blocks()).all(|(a, b)| same_block(a, &b)));
        let mut builder = rtcp_types::ReceiverReport::builder(ssrc);
        for block in &blocks {
            builder = builder.add_report_block(their_block(block));
        }
        prop_assert_eq!(theirs(&builder), bytes);
    }

    // rtcp-types 0.3.0 takes zeros at the beginning of a chunk's SSRC for padding of the chunk before it, and
    // refuses an empty item at the end of a chunk.
    #[test]
    fn source_descriptions(
        chunks in proptest::collection::vec((0x0100_0000u32.., proptest::collection::vec((1u8..8, "[ -~]{1,30}"), 1..5)), 1..6)
    ) {
        let items: Vec<Vec<SdesItem<'_>>> = chunks.iter().map(|(_, items)| {
            items.iter().map(|(kind, value)| SdesItem { kind: SdesItemType(*kind), value: value.as_bytes() }).collect()
        }).collect();
        let our_chunks: Vec<_> = chunks.iter().zip(&items)
            .map(|((ssrc, _), items)| SdesChunk { ssrc: Ssrc(*ssrc), items: SdesItems::from(&items[..]) }).collect();
        let description = SourceDescription { chunks: SdesChunks::from(&our_chunks[..]) };
        let bytes = ours(&description);
        let read = rtcp_types::Sdes::parse(&bytes).unwrap();
        for (chunk, (ssrc, items)) in read.chunks().zip(&chunks) {
            prop_assert_eq!(chunk.ssrc(), *ssrc);
            let read: Vec<_> = chunk.items().map(|item| (item.type_(), item.value().to_vec())).collect();
            let expected: Vec<_> = items.iter().map(|(kind, value)| (*kind, value.clone().into_bytes())).collect();
            prop_assert_eq!(read, expected);
        }
        let mut builder = rtcp_types::Sdes::builder();
        for (ssrc, items) in &chunks {
            let mut chunk = rtcp_types::SdesChunk::builder(*ssrc);
            for (kind, value) in items {
                chunk = chunk.add_item(rtcp_types::SdesItem::builder(*kind, value));
            }
            builder = builder.add_chunk(chunk);
        }
        let bytes = theirs(&builder);
        prop_assert_eq!(parse(&bytes), Packet::SourceDescription(description));
    }

    #[test]
    fn goodbyes(sources in proptest::collection::vec(any::<u32>(), 0..32), reason in "[ -~]{1,60}") {
        let ssrcs: Vec<_> = sources.iter().copied().map(Ssrc).collect();
        let goodbye = Goodbye { sources: Records::from(&ssrcs[..]), reason: Some(reason.as_bytes()) };
        let bytes = ours(&goodbye);
        let read = rtcp_types::Bye::parse(&bytes).unwrap();
        prop_assert!(read.ssrcs().eq(sources.iter().copied()));
        prop_assert_eq!(read.reason(), Some(reason.as_bytes()));
        let mut builder = rtcp_types::Bye::builder().reason(reason.as_str());
        for source in &sources {
            builder = builder.add_source(*source);
        }
        let bytes = theirs(&builder);
        prop_assert_eq!(parse(&bytes), Packet::Goodbye(goodbye));
    }

    #[test]
    fn applications(subtype in 0u8..32, ssrc in any::<u32>(), name in "[a-z]{4}", data in proptest::collection::vec(any::<[u8; 4]>(), 0..9)) {
        let data = data.concat();
        let app = App { subtype, ssrc: Ssrc(ssrc), name: name.as_bytes().try_into().unwrap(), data: &data };
        let bytes = theirs(&rtcp_types::App::builder(ssrc, &name).subtype(subtype).data(&data));
        prop_assert_eq!(parse(&bytes), Packet::App(app));
        prop_assert_eq!(ours(&app), bytes);
    }

    #[test]
    fn nacks(numbers in proptest::collection::btree_set(any::<u16>(), 1..60), sender in any::<u32>(), media in any::<u32>()) {
        let entries: Vec<_> = rtcp::nack_entries(numbers.iter().copied().map(SequenceNumber)).collect();
        let nack = Nack { sender: Ssrc(sender), media: Ssrc(media), entries: Records::from(&entries[..]) };
        let bytes = ours(&nack);
        let read = rtcp_types::TransportFeedback::parse(&bytes).unwrap();
        prop_assert_eq!((read.sender_ssrc(), read.media_ssrc()), (sender, media));
        prop_assert!(read.parse_fci::<rtcp_types::Nack<'_>>().unwrap().entries().eq(numbers.iter().copied()));
        let mut fci = rtcp_types::Nack::builder();
        for number in &numbers {
            fci = fci.add_rtp_sequence(*number);
        }
        let bytes = theirs(&rtcp_types::TransportFeedback::builder(&fci).sender_ssrc(sender).media_ssrc(media));
        let Packet::Nack(read) = parse(&bytes) else { panic!() };
        prop_assert!(read.sequence_numbers().map(|number| number.0).eq(numbers));
    }

    #[test]
    fn requests_for_key_frames(
        sender in any::<u32>(), media in 1u32.., entries in proptest::collection::btree_map(any::<u32>(), any::<u8>(), 1..9),
    ) {
        let pli = Pli { sender: Ssrc(sender), media: Ssrc(media) };
        let fci = rtcp_types::Pli::builder();
        let bytes = theirs(&rtcp_types::PayloadFeedback::builder(&fci).sender_ssrc(sender).media_ssrc(media));
        prop_assert_eq!(&ours(&pli), &bytes);
        prop_assert_eq!(parse(&bytes), Packet::Pli(pli));

        let our_entries: Vec<_> =
            entries.iter().map(|(ssrc, number)| FirEntry { ssrc: Ssrc(*ssrc), sequence_number: *number }).collect();
        let fir = Fir { sender: Ssrc(sender), media: Ssrc(0), entries: Records::from(&our_entries[..]) };
        let bytes = ours(&fir);
        let read = rtcp_types::PayloadFeedback::parse(&bytes).unwrap();
        let read = read.parse_fci::<rtcp_types::Fir<'_>>().unwrap();
        prop_assert!(read.entries().map(|entry| (entry.ssrc(), entry.sequence())).eq(entries.clone()));
        let mut fci = rtcp_types::Fir::builder();
        for (ssrc, number) in &entries {
            fci = fci.add_ssrc(*ssrc, *number);
        }
        let bytes = theirs(&rtcp_types::PayloadFeedback::builder(&fci).sender_ssrc(sender));
        let Packet::Fir(read) = parse(&bytes) else { panic!() };
        let mut read: Vec<_> = read.entries.iter().map(|entry| (entry.ssrc.0, entry.sequence_number)).collect();
        read.sort_unstable();
        prop_assert!(read.into_iter().eq(entries));
    }

    #[test]
    fn transport_feedback_of_ours(
        start in any::<u16>(), begin in 0u64..1_000_000_000,
        steps in proptest::collection::vec((1u16..30, prop_oneof![4 => 0i64..60_000, 1 => -60_000i64..500_000]), 1..200),
    ) {
        let mut builder = TransportFeedbackBuilder::new(Ssrc(1), Ssrc(2), 9, 1200);
        let (mut number, mut micros) = (SequenceNumber(start), begin as i64);
        let mut expected = Vec::new();
        for (step, delta) in steps {
            if builder.push(number, Duration::from_micros(micros as u64)).is_err() {
                break;
            }
            expected.push((number.0, micros / 250));
            number = number.wrapping_add(step);
            micros = (micros + delta).max(0);
        }
        let bytes = ours(&builder.finish().unwrap());
        let read = rtcp_types::TransportFeedback::parse(&bytes).unwrap();
        let read = read.parse_fci::<rtcp_types::Twcc<'_>>().unwrap();
        prop_assert_eq!((read.base_sequence_number(), read.feedback_packet_count()), (start, 9));
        let mut ticks = i64::from(read.reference_time()) * 256;
        let mut arrivals = Vec::new();
        for packet in read.packets() {
            if let (number, TwccPacketStatus::Received { delta }) = packet.unwrap() {
                ticks += i64::from(delta);
                arrivals.push((number, ticks));
            }
        }
        prop_assert_eq!(arrivals, expected);
    }

    #[test]
    fn transport_feedback_of_theirs(
        start in any::<u16>(), reference in 0u32..0x80_0000, count in any::<u8>(),
        deltas in proptest::collection::vec(proptest::option::weighted(0.7, prop_oneof![4 => 0i16..256, 1 => any::<i16>()]), 1..200),
    ) {
        let list: Vec<_> = deltas.iter()
            .map(|delta| delta.map_or(TwccPacketStatus::NotReceived, |delta| TwccPacketStatus::Received { delta })).collect();
        let fci = rtcp_types::Twcc::builder(start, reference, count, &list, None);
        let bytes = theirs(&rtcp_types::TransportFeedback::builder(&fci).sender_ssrc(1).media_ssrc(2));
        let Packet::TransportFeedback(read) = parse(&bytes) else { panic!() };
        prop_assert_eq!((read.base.0, read.reference_time, read.feedback_count), (start, reference as i32, count));
        prop_assert_eq!(usize::from(read.status_count), deltas.len());
        let mut ticks = i64::from(reference) * 256;
        for (index, (status, delta)) in read.iter().zip(&deltas).enumerate() {
            prop_assert_eq!(status.sequence_number.0, start.wrapping_add(index as u16));
            ticks += i64::from(delta.unwrap_or(0));
            prop_assert_eq!(status.arrival.map(|time| time.ticks()), delta.map(|_| ticks));
        }
    }

    // Whatever both accept, both understand alike.
    #[test]
    fn any_feedback(mut bytes in proptest::collection::vec(any::<u8>(), 20..80)) {
        bytes.truncate(bytes.len() / 4 * 4);
        let words = (bytes.len() / 4 - 1) as u8;
        bytes[..4].copy_from_slice(&[0x8f, 205, 0, words]);
        bytes[14] = 0;
        let read = rtcp_types::TransportFeedback::parse(&bytes).unwrap();
        let read = read.parse_fci::<rtcp_types::Twcc<'_>>().unwrap();
        let theirs: Result<Vec<_>, _> = read.packets().collect();
        match (rtcp::packets(&bytes).next().unwrap(), theirs) {
            (Ok(Packet::TransportFeedback(ours)), Ok(theirs)) => {
                let received = |status: &TwccPacketStatus| matches!(status, TwccPacketStatus::Received { .. });
                let theirs: Vec<_> = theirs.iter().map(|(number, status)| (*number, received(status))).collect();
                let ours: Vec<_> =
                    ours.iter().map(|status| (status.sequence_number.0, status.arrival.is_some())).collect();
                prop_assert_eq!(ours, theirs);
            }
            // Chunks missing: they tell fewer packets than claimed, we refuse.
            (Err(rtcp::ParseError::Truncated { part: "packet status chunks", .. }), Ok(theirs)) => {
                prop_assert!(theirs.len() < usize::from(u16::from_be_bytes([bytes[14], bytes[15]])));
            }
            (ours, theirs) => prop_assert!(ours.is_err() && theirs.is_err(), "{:?} {:?}", ours, theirs),
        }
    }
}
