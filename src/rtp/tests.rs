//! Tests of packets, header extensions, writing and rewriting.

use proptest::prelude::*;

use super::*;
use crate::layer::{Mid, NtpTimestamp, PayloadType, Rid, RtpTimestamp, SequenceNumber, Ssrc};

fn id(value: u8) -> ExtensionId {
    ExtensionId::new(value).unwrap()
}

fn header() -> Header {
    Header {
        marker: true,
        payload_type: PayloadType::from_low_bits(96),
        sequence_number: SequenceNumber(27023),
        timestamp: RtpTimestamp(3_653_407_706),
        ssrc: Ssrc(476_325_762),
    }
}

// A packet with one-byte extensions, padding between them, and RTP padding at the end.
const ONE_BYTE: &[u8] = &[
    0xb1, 0xe0, 0x69, 0x8f, 0xd9, 0xc2, 0x93, 0xda, 0x1c, 0x64, 0x27, 0x82, // fixed header, X, P, CC=1
    0x00, 0x00, 0x00, 0x63, // CSRC
    0xbe, 0xde, 0x00, 0x03, // one-byte form, three words
    0x10, 0xaa, // id 1, one byte
    0x00, 0x00, // padding
    0x22, 0x01, 0x02, 0x03, // id 2, three bytes
    0x31, 0xff, 0xfe, 0x00, // id 3, two bytes, padding
    0x98, 0x36, // payload
    0x00, 0x00, 0x00, 0x04, // padding
];

#[test]
fn one_byte_form() {
    let packet = Packet::parse(ONE_BYTE).unwrap();
    assert!(packet.marker());
    assert_eq!(packet.payload_type().value(), 96);
    assert_eq!(packet.sequence_number(), SequenceNumber(27023));
    assert_eq!(packet.timestamp(), RtpTimestamp(3_653_407_706));
    assert_eq!(packet.ssrc(), Ssrc(476_325_762));
    assert_eq!(packet.csrcs().collect::<Vec<_>>(), [Ssrc(99)]);
    assert_eq!(packet.csrcs().len(), 1);
    assert_eq!(packet.extension_profile(), Some(0xbede));
    assert_eq!(packet.extension_body().len(), 12);
    assert_eq!(
        packet.extensions().map(|e| (e.id.value(), e.data)).collect::<Vec<_>>(),
        [(1, &[0xaa][..]), (2, &[1, 2, 3][..]), (3, &[0xff, 0xfe][..])]
    );
    assert_eq!(packet.extension_data(id(2)), Some(&[1, 2, 3][..]));
    assert_eq!(packet.extension_data(id(4)), None);
    assert_eq!(packet.payload(), [0x98, 0x36]);
    assert_eq!(packet.padding_len(), 4);
    assert_eq!(packet.header_len(), 32);
}

#[test]
fn two_byte_form_keeps_empty_elements_and_ignores_appbits() {
    let bytes = [
        0x90, 0x60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 0x05, 0x00, 0x02, // two-byte form, appbits 5
        0x01, 0x00, // id 1, nothing
        0x00, // padding
        0xf0, 0x03, 9, 8, 7, // id 240, three bytes
    ];
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.extensions().form(), ExtensionForm::TwoByte);
    assert_eq!(
        packet.extensions().map(|e| (e.id.value(), e.data)).collect::<Vec<_>>(),
        [(1, &[][..]), (240, &[9, 8, 7][..])]
    );
    assert!(packet.payload().is_empty());
}

#[test]
fn id_15_stops_the_one_byte_form() {
    let bytes = [
        0x90, 0x60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0x00, 0x02, //
        0x10, 0xaa, 0xf0, 0xbb, 0x20, 0xcc, 0, 0,
    ];
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.extensions().map(|e| e.id.value()).collect::<Vec<_>>(), [1]);
}

#[test]
fn id_0_with_a_length_stops_the_one_byte_form() {
    let bytes = [
        0x90, 0x60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0x00, 0x02, //
        0x10, 0xaa, 0x01, 0xbb, 0x20, 0xcc, 0, 0,
    ];
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.extensions().map(|e| e.id.value()).collect::<Vec<_>>(), [1]);
}

#[test]
fn an_element_that_overruns_the_block_ends_it() {
    let bytes = [
        0x90, 0x60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0x00, 0x01, //
        0x10, 0xaa, 0x2f, 0xbb, // id 2 claims sixteen bytes
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
    ];
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.extensions().map(|e| e.id.value()).collect::<Vec<_>>(), [1]);
    assert_eq!(packet.payload().len(), 16);
}

#[test]
fn other_profiles_have_a_body_and_no_elements() {
    let bytes = [0x90, 0x60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x12, 0x34, 0x00, 0x01, 1, 2, 3, 4, 5];
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.extension_profile(), Some(0x1234));
    assert_eq!(packet.extension_body(), [1, 2, 3, 4]);
    assert_eq!(packet.extensions().count(), 0);
    assert_eq!(packet.payload(), [5]);
}

#[test]
fn malformed_packets_say_why() {
    let parse = |bytes: &[u8]| Packet::parse(bytes).unwrap_err();
    assert_eq!(parse(&[]), ParseError::Truncated { part: "fixed header", need: 12, have: 0 });
    assert_eq!(parse(&[0x40; 12]), ParseError::Version(1));
    assert_eq!(
        parse(&[0x81; 12]),
        ParseError::Truncated { part: "list of contributing sources", need: 16, have: 12 }
    );
    assert_eq!(parse(&[0x90; 14]), ParseError::Truncated { part: "extension header", need: 16, have: 14 });
    let mut bytes = [0x90; 16];
    bytes[14..].copy_from_slice(&[0, 2]);
    assert_eq!(parse(&bytes), ParseError::Truncated { part: "header extension", need: 24, have: 16 });
    let mut bytes = [0xa0, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 9, 0];
    assert_eq!(parse(&bytes), ParseError::Padding { padding: 0, available: 2 });
    bytes[13] = 3;
    assert_eq!(parse(&bytes), ParseError::Padding { padding: 3, available: 2 });
    bytes[13] = 2;
    assert!(Packet::parse(&bytes).unwrap().payload().is_empty());
    assert_eq!(parse(&bytes[..12]), ParseError::Padding { padding: 1, available: 0 });
    assert_eq!(
        ParseError::Padding { padding: 3, available: 2 }.to_string(),
        "a padding of 3 bytes does not fit the 2 bytes after the header"
    );
}

#[test]
fn the_writer_widens_when_it_must() {
    let mut buffer = [0xee; 128];
    let mut writer = PacketWriter::new(&mut buffer, &header(), &[Ssrc(1), Ssrc(2)]).unwrap();
    writer.extension_data(id(1), b"a").unwrap();
    writer.extension_data(id(14), &[7; 16]).unwrap();
    writer.extension_data(id(3), b"").unwrap();
    writer.extension_data(id(200), b"xyz").unwrap();
    let len = writer.payload(b"payload").unwrap();
    let packet = Packet::parse(&buffer[..len]).unwrap();
    assert_eq!(Header::from(packet), header());
    assert_eq!(packet.extension_profile(), Some(0x1000));
    assert_eq!(
        packet.extensions().map(|e| (e.id.value(), e.data)).collect::<Vec<_>>(),
        [(1, &b"a"[..]), (14, &[7; 16][..]), (3, &b""[..]), (200, &b"xyz"[..])]
    );
    assert_eq!(packet.csrcs().collect::<Vec<_>>(), [Ssrc(1), Ssrc(2)]);
    assert_eq!(packet.payload(), b"payload");
}

#[test]
fn the_writer_refuses_what_does_not_fit() {
    let mut buffer = [0; 64];
    assert_eq!(
        PacketWriter::new(&mut buffer[..11], &header(), &[]).unwrap_err(),
        WriteError::BufferTooSmall { need: 12, have: 11 }
    );
    assert_eq!(
        PacketWriter::new(&mut buffer, &header(), &[Ssrc(0); 16]).unwrap_err(),
        WriteError::TooManyCsrcs(16)
    );
    let mut writer = PacketWriter::new(&mut buffer[..20], &header(), &[]).unwrap().one_byte_only();
    assert_eq!(writer.extension_data(id(15), b"x"), Err(WriteError::NeedsTwoByteForm { id: 15, len: 1 }));
    assert_eq!(writer.extension_data(id(1), &[0; 256]), Err(WriteError::ExtensionTooLong(256)));
    assert_eq!(writer.extension_data(id(1), b"four"), Err(WriteError::BufferTooSmall { need: 24, have: 20 }));
    writer.extension_data(id(1), b"abc").unwrap();
    assert_eq!(writer.payload(b"x"), Err(WriteError::BufferTooSmall { need: 21, have: 20 }));
    let writer = PacketWriter::new(&mut buffer, &header(), &[]).unwrap();
    assert_eq!(writer.padded_payload(b"", 0), Err(WriteError::EmptyPadding));
}

#[test]
fn padding_is_written_and_read() {
    let mut buffer = [0xee; 300];
    let writer = PacketWriter::new(&mut buffer, &header(), &[]).unwrap();
    let len = writer.padded_payload(b"abc", 255).unwrap();
    let packet = Packet::parse(&buffer[..len]).unwrap();
    assert_eq!((packet.payload(), packet.padding_len()), (&b"abc"[..], 255));
    assert!(packet.as_bytes()[15..len - 1].iter().all(|&b| b == 0));
}

#[test]
fn a_header_is_rewritten_in_place() {
    let mut bytes = ONE_BYTE.to_vec();
    let mut packet = PacketMut::parse(&mut bytes).unwrap();
    packet.set_marker(false);
    packet.set_payload_type(PayloadType::from_low_bits(45));
    packet.set_sequence_number(SequenceNumber(1));
    packet.set_timestamp(RtpTimestamp(2));
    packet.set_ssrc(Ssrc(3));
    packet.extension_data_mut(id(2)).unwrap().copy_from_slice(&[7, 7, 7]);
    packet
        .rewrite_extension_ids(|from| match from.value() {
            1 => ExtensionId::new(5),
            2 => ExtensionId::new(1),
            _ => None,
        })
        .unwrap();
    let packet = packet.as_packet();
    assert!(!packet.marker());
    assert_eq!(packet.payload_type().value(), 45);
    assert_eq!(packet.sequence_number(), SequenceNumber(1));
    assert_eq!(packet.timestamp(), RtpTimestamp(2));
    assert_eq!(packet.ssrc(), Ssrc(3));
    assert_eq!(
        packet.extensions().map(|e| (e.id.value(), e.data)).collect::<Vec<_>>(),
        [(5, &[0xaa][..]), (1, &[7, 7, 7][..])]
    );
    assert_eq!(packet.payload(), [0x98, 0x36]);
    assert_eq!(packet.padding_len(), 4);
}

#[test]
fn a_failed_rewrite_changes_nothing() {
    let mut bytes = ONE_BYTE.to_vec();
    let mut packet = PacketMut::parse(&mut bytes).unwrap();
    let result = packet.rewrite_extension_ids(|from| ExtensionId::new(from.value() + 12));
    assert_eq!(result, Err(WriteError::NeedsTwoByteForm { id: 15, len: 2 }));
    assert_eq!(bytes, ONE_BYTE);
}

#[test]
fn maps_translate_ids() {
    let mut from = ExtensionMap::new();
    let mut to = ExtensionMap::new();
    from.insert(id(3), ExtensionKind::Mid);
    from.insert(id(4), ExtensionKind::Rid);
    to.insert(id(9), ExtensionKind::Mid);
    assert_eq!(from.translate(id(3), &to), Some(id(9)));
    assert_eq!(from.translate(id(4), &to), None);
    assert_eq!(from.translate(id(5), &to), None);
    // An id moves to another kind, a kind to another id.
    from.insert(id(3), ExtensionKind::Rid);
    assert_eq!(from.id(ExtensionKind::Mid), None);
    assert_eq!(from.kind(id(4)), None);
    assert_eq!(from.iter().collect::<Vec<_>>(), [(id(3), ExtensionKind::Rid)]);
    for kind in ExtensionKind::ALL {
        assert_eq!(ExtensionKind::from_uri(kind.uri()), Some(kind));
    }
    assert_eq!(ExtensionKind::from_uri("urn:ietf:params:rtp-hdrext:toffset"), None);
}

#[test]
fn typed_extensions() {
    assert_eq!(AbsSendTime::parse(&[0xff, 0, 1]).unwrap().fixed_point(), 0xff0001);
    assert_eq!(AbsSendTime::parse(&[0, 1]), None);
    let ntp = NtpTimestamp(0x0000_0041_8000_0000); // 65.5 s
    assert_eq!(AbsSendTime::from_ntp(ntp).as_duration(), std::time::Duration::from_millis(1500));
    assert_eq!(AudioLevel::parse(&[0xff]), Some(AudioLevel { voice: true, dbov: 127 }));
    assert_eq!(AudioLevel::parse(&[]), None);
    assert_eq!(
        VideoOrientation::parse(&[0b1110]),
        Some(VideoOrientation { back_camera: true, flip: true, rotation: Rotation::Degrees180 })
    );
    assert_eq!(VideoOrientation::parse(&[0, 0]), None);
    assert_eq!(TransportSequenceNumber::parse(&[1]), None);
    assert_eq!(TransportSequenceNumber::parse(&[1, 2]).unwrap().0, SequenceNumber(0x102));
    assert_eq!(<Mid as HeaderExtension>::parse(b"\0"), None);
    assert_eq!(RepairedRid::parse(b"hi").unwrap().0.as_str(), "hi");
}

#[test]
fn a_malformed_value_does_not_take_the_place_of_a_good_one() {
    let mut map = ExtensionMap::new();
    map.insert(id(1), ExtensionKind::Mid);
    let mid = |elements: &[&'static [u8]]| {
        let elements = elements.iter().map(|data| Extension { id: id(1), data });
        ExtensionValues::read(elements, &map).mid.map(|mid| mid.to_string())
    };
    assert_eq!(mid(&[b"a", b"b"]).as_deref(), Some("b"));
    assert_eq!(mid(&[b"a", b"\0"]).as_deref(), Some("a"));
    assert_eq!(mid(&[b"\0"]), None);
}

#[test]
fn sequence_numbers_unwrap() {
    let mut unwrapper = SequenceUnwrapper::new();
    assert_eq!(unwrapper.newest(), None);
    let first = unwrapper.unwrap(SequenceNumber(3));
    assert_eq!(unwrapper.unwrap(SequenceNumber(65535)), first - 4);
    assert_eq!(unwrapper.newest(), Some(first));
    assert_eq!(unwrapper.unwrap(SequenceNumber(30000)), first + 29997);
    assert_eq!(unwrapper.unwrap(SequenceNumber(60000)), first + 59997);
    assert_eq!(unwrapper.peek(SequenceNumber(10)), first + 65536 + 7);
    assert_eq!(unwrapper.newest(), Some(first + 59997));
    // Always half a cycle back: the number saturates instead of going below zero.
    let mut unwrapper = SequenceUnwrapper::new();
    unwrapper.unwrap(SequenceNumber(0));
    for n in [0x8000u16, 0, 0x8000, 0, 0x8000] {
        unwrapper.unwrap(SequenceNumber(n));
    }
}

#[test]
fn rtx_payloads() {
    let mut buffer = [0; 8];
    let len = write_rtx_payload(SequenceNumber(0x1234), b"abc", &mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"\x12\x34abc");
    let rtx = RtxPayload::parse(&buffer[..len]).unwrap();
    assert_eq!((rtx.original, rtx.payload), (SequenceNumber(0x1234), &b"abc"[..]));
    assert_eq!(RtxPayload::parse(&[1]), None);
    assert!(write_rtx_payload(SequenceNumber(1), &[0; 7], &mut buffer).is_err());
}

#[test]
fn owned_packets_share_their_bytes() {
    let packet = OwnedPacket::from(Packet::parse(ONE_BYTE).unwrap());
    assert_eq!(packet.as_packet().payload(), packet.payload());
    assert_eq!(packet.as_packet().ssrc(), Ssrc(476_325_762));
    assert_eq!(packet.clone().into_bytes(), ONE_BYTE);
    assert!(OwnedPacket::parse(bytes::Bytes::from_static(b"short")).is_err());
}

fn identifier() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_-]{1,39}"
}

fn values() -> impl Strategy<Value = ExtensionValues> {
    (
        proptest::option::of(any::<u32>()),
        proptest::option::of(any::<u16>()),
        proptest::option::of(identifier()),
        proptest::option::of(identifier()),
        proptest::option::of(identifier()),
        proptest::option::of((any::<bool>(), 0u8..128)),
        proptest::option::of(0u8..16),
    )
        .prop_map(|(time, number, mid, rid, repaired, level, orientation)| ExtensionValues {
            abs_send_time: time.map(AbsSendTime::from_fixed_point),
            transport_sequence_number: number.map(|n| TransportSequenceNumber(SequenceNumber(n))),
            mid: mid.map(|text| text.parse::<Mid>().unwrap()),
            rid: rid.map(|text| text.parse::<Rid>().unwrap()),
            repaired_rid: repaired.map(|text| RepairedRid(text.parse().unwrap())),
            audio_level: level.map(|(voice, dbov)| AudioLevel { voice, dbov }),
            video_orientation: orientation.map(|byte| VideoOrientation::parse(&[byte]).unwrap()),
        })
}

proptest! {
    #[test]
    fn any_bytes_parse_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200), force in any::<bool>()) {
        let mut bytes = bytes;
        if force && let Some(first) = bytes.first_mut() {
            *first = (*first & 0x3f) | 0x80;
        }
        if let Ok(packet) = Packet::parse(&bytes) {
            prop_assert_eq!(
                packet.header_len() + packet.payload().len() + packet.padding_len(),
                bytes.len()
            );
            prop_assert!(packet.extensions().count() <= packet.extension_body().len());
        }
        let before = bytes.len();
        if let Ok(mut packet) = PacketMut::parse(&mut bytes) {
            let count = packet.as_packet().extensions().count();
            packet.rewrite_extension_ids(|id| ExtensionId::new(15 - id.value().min(14))).unwrap();
            prop_assert_eq!(packet.as_packet().extensions().count(), count);
            packet.rewrite_extension_ids(|_| None).unwrap();
            prop_assert_eq!(packet.as_packet().extensions().count(), 0);
        }
        prop_assert_eq!(bytes.len(), before);
    }

    #[test]
    fn what_is_written_is_read(
        marker in any::<bool>(), payload_type in 0u8..128, number in any::<u16>(), timestamp in any::<u32>(),
        ssrc in any::<u32>(), csrcs in proptest::collection::vec(any::<u32>().prop_map(Ssrc), 0..16),
        elements in proptest::collection::vec((1u8..=255, proptest::collection::vec(any::<u8>(), 0..40)), 0..12),
        payload in proptest::collection::vec(any::<u8>(), 0..100), padding in any::<u8>(),
    ) {
        let header = Header {
            marker,
            payload_type: PayloadType::from_low_bits(payload_type),
            sequence_number: SequenceNumber(number),
            timestamp: RtpTimestamp(timestamp),
            ssrc: Ssrc(ssrc),
        };
        let mut buffer = vec![0xee; 2000];
        let mut writer = PacketWriter::new(&mut buffer, &header, &csrcs).unwrap();
        for (id, data) in &elements {
            writer.extension_data(ExtensionId::new(*id).unwrap(), data).unwrap();
        }
        let len = if padding == 0 {
            writer.payload(&payload).unwrap()
        } else {
            writer.padded_payload(&payload, padding).unwrap()
        };
        let packet = Packet::parse(&buffer[..len]).unwrap();
        prop_assert_eq!(Header::from(packet), header);
        prop_assert_eq!(packet.csrcs().collect::<Vec<_>>(), csrcs);
        let read = packet.extensions().map(|e| (e.id.value(), e.data.to_vec())).collect::<Vec<_>>();
        prop_assert_eq!(read, elements);
        prop_assert_eq!(packet.payload(), payload);
        prop_assert_eq!(packet.padding_len(), usize::from(padding));
    }

    #[test]
    fn extension_values_round_trip(values in values(), first_id in 1u8..240) {
        let mut map = ExtensionMap::new();
        for (offset, kind) in ExtensionKind::ALL.into_iter().enumerate() {
            map.insert(ExtensionId::new(first_id + offset as u8).unwrap(), kind);
        }
        let mut buffer = vec![0xee; 500];
        let mut writer = PacketWriter::new(&mut buffer, &header(), &[]).unwrap();
        writer.extensions(&map, &values).unwrap();
        let len = writer.finish_header();
        let packet = Packet::parse(&buffer[..len]).unwrap();
        prop_assert_eq!(packet.extension_values(&map), values);
        prop_assert_eq!(packet.extension::<Mid>(&map), values.mid);
    }

    #[test]
    fn unwrapping_follows_a_stream(start in any::<u16>(), steps in proptest::collection::vec(1u16..0x7fff, 0..100)) {
        let mut unwrapper = SequenceUnwrapper::new();
        let mut number = SequenceNumber(start);
        let mut expected = unwrapper.unwrap(number);
        for step in steps {
            number = number.wrapping_add(step);
            expected += u64::from(step);
            prop_assert_eq!(unwrapper.unwrap(number), expected);
        }
    }
}
