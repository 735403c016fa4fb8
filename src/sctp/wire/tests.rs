use proptest::prelude::*;

use super::*;
use crate::layer::{PayloadProtocol, StreamId};
use crate::sctp::sequence::{Ssn, Tsn};

/// Published check values of CRC-32C: the catalogue's, and those of RFC 3720 appendix B.4.
#[test]
fn checksum_vectors() {
    let ascending: Vec<u8> = (0..32).collect();
    let descending: Vec<u8> = (0..32).rev().collect();
    let read_command = [
        0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0x14, 0,
        0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
    ];
    for (input, expected) in [
        (&b"123456789"[..], 0xe306_9283),
        (&[0; 32], 0x8a91_36aa),
        (&[0xff; 32], 0x62a8_ab43),
        (&ascending, 0x46dd_794e),
        (&descending, 0x113f_db5c),
        (&read_command, 0xd996_3a56),
    ] {
        assert_eq!(checksum(input), expected);
    }
}

/// The bit-by-bit division of RFC 9260 appendix A agrees with the fast one at every length.
#[test]
fn checksum_agrees_with_the_definition() {
    let slow = |bytes: &[u8]| {
        !bytes.iter().fold(!0u32, |mut crc, byte| {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            }
            crc
        })
    };
    let bytes: Vec<u8> = (0..1500).map(|index| (index * 7 + index / 256) as u8).collect();
    for length in 0..bytes.len() {
        assert_eq!(checksum(&bytes[..length]), slow(&bytes[..length]), "{length}");
    }
}

/// The checksum goes on the wire with its least significant byte first (RFC 9260 appendix A).
#[test]
fn a_packet_is_laid_out_as_the_rfc_has_it() {
    let mut buffer = Vec::new();
    let mut packet = PacketWriter::new(&mut buffer, 1200, 0x1234, 0x5678, 0x9abc_def0);
    let fields = Data::fields(Tsn(1), StreamId(2), Ssn(3), PayloadProtocol(51));
    assert!(packet.data(Data::BEGIN | Data::END, &fields, b"hi!"));
    assert!(packet.finish(true));
    let mut expected = vec![
        0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0, 0, 0, 0, // common header
        0, 3, 0, 19, 0, 0, 0, 1, 0, 2, 0, 3, 0, 0, 0, 51, b'h', b'i', b'!', 0,
    ];
    let sum = checksum(&expected);
    expected[8..12].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(buffer, expected);
    assert_eq!(clear_checksum(&mut buffer), Some(sum));
    assert_eq!(checksum(&buffer), sum);
}

#[test]
fn a_writer_never_exceeds_its_limit() {
    for limit in 28..64 {
        let mut buffer = vec![7; 5];
        let mut packet = PacketWriter::new(&mut buffer, limit, 1, 2, 3);
        let room = packet.room();
        assert!(!packet.chunk(ChunkType::ERROR, 0, |out| out.resize(out.len() + room - 3, 0)));
        assert!(packet.chunk(ChunkType::ERROR, 0, |out| out.resize(out.len() + room - 4, 0)));
        assert!(packet.finish(true));
        assert!(buffer.len() <= 5 + limit);
    }
}

#[test]
fn an_empty_packet_is_taken_back() {
    let mut buffer = vec![1, 2, 3];
    assert!(!PacketWriter::new(&mut buffer, 100, 1, 2, 3).finish(true));
    assert_eq!(buffer, [1, 2, 3]);
}

#[test]
fn malformed_chunks_are_errors_and_end_the_packet() {
    let chunks = |bytes: &[u8]| -> Vec<_> {
        let packet = [&[0; 12], bytes].concat();
        let (_, chunks) = Header::parse(&packet).unwrap();
        chunks.map(|chunk| chunk.map(|chunk| chunk.value.len())).collect()
    };
    assert_eq!(Header::parse(&[0; 11]).unwrap_err(), WireError::PacketTooShort { length: 11 });
    assert_eq!(chunks(&[]), []);
    assert_eq!(chunks(&[3, 0, 0, 3]), [Err(WireError::ChunkLength { kind: 3, claimed: 3, available: 4 })]);
    assert_eq!(chunks(&[3, 0, 0, 9, 1]), [Err(WireError::ChunkLength { kind: 3, claimed: 9, available: 5 })]);
    assert_eq!(chunks(&[3, 0]), [Err(WireError::ChunkLength { kind: 3, claimed: 4, available: 2 })]);
    assert_eq!(chunks(&[3, 0, 0, 5, 1]), [Ok(1)], "the padding of the last chunk may be missing");
    assert_eq!(chunks(&[3, 0, 0, 5, 1, 0, 0, 0, 4, 0, 0, 4]), [Ok(1), Ok(0)]);
}

#[test]
fn a_sack_must_hold_what_it_counts() {
    let mut value = vec![0; 12];
    value[9] = 1;
    assert!(Sack::parse(&value).is_err());
    value.extend_from_slice(&[0, 2, 0, 5]);
    assert_eq!(Sack::parse(&value).unwrap().gaps().collect::<Vec<_>>(), [(2, 5)]);
    value[11] = 1;
    assert!(Sack::parse(&value).is_err());
}

#[test]
fn an_init_needs_a_tag_and_streams() {
    let write = |tag, outgoing, incoming| {
        let mut value = Vec::new();
        Init::new(tag, 1500, outgoing, incoming, Tsn(9)).write_fixed(&mut value);
        value
    };
    assert!(Init::parse(&write(1, 1, 1)).is_ok());
    for value in [write(0, 1, 1), write(1, 0, 1), write(1, 1, 0)] {
        assert!(matches!(Init::parse(&value), Err(WireError::Value(_))));
    }
    assert!(Init::parse(&[1; 15]).is_err());
}

#[test]
fn capabilities_survive_the_wire() {
    for bits in 0..8 {
        let capabilities = Capabilities::from_bits(bits);
        assert_eq!(capabilities.bits(), bits);
        let mut out = Vec::new();
        capabilities.write(&mut out);
        let mut read = Capabilities::default();
        assert!(Parameters::new(&out).all(|parameter| read.note(&parameter.unwrap())));
        assert_eq!(read, capabilities);
    }
}

#[test]
fn the_two_high_bits_say_what_to_do_with_the_unknown() {
    for (kind, skip, report) in
        [(0x3f, false, false), (0x7f, false, true), (0xbf, true, false), (0xff, true, true)]
    {
        assert_eq!(ChunkType(kind).unknown_action(), UnknownAction { skip, report });
        assert_eq!(ParameterType(u16::from(kind) << 8).unknown_action(), UnknownAction { skip, report });
    }
}

#[test]
fn a_cause_is_told_in_words_and_shortened() {
    let mut out = Vec::new();
    Causes::write(&mut out, CauseCode::USER_INITIATED_ABORT, &[b'x'; 500]);
    let text = Causes::new(&out).describe();
    assert!(text.starts_with("user-initiated abort: xxx") && text.len() < 200);
    assert_eq!(Causes::new(&[]).describe(), "no cause given");
}

proptest! {
    #[test]
    fn data_survives_the_wire(
        flags in 0u8..16, tsn: u32, stream: u16, ssn: u16, protocol: u32, payload: Vec<u8>
    ) {
        let mut buffer = Vec::new();
        let mut packet = PacketWriter::new(&mut buffer, 1200, 5000, 5000, 1);
        let fields = Data::fields(Tsn(tsn), StreamId(stream), Ssn(ssn), PayloadProtocol(protocol));
        prop_assert!(packet.data(flags, &fields, &payload));
        packet.finish(true);
        let chunk = Header::parse(&buffer).unwrap().1.next().unwrap().unwrap();
        let data = Data::parse(chunk.flags, chunk.value).unwrap();
        prop_assert_eq!(data.flags, flags);
        prop_assert_eq!((data.tsn.0, data.stream.0, data.ssn.0, data.protocol.0), (tsn, stream, ssn, protocol));
        prop_assert_eq!(data.payload, &payload[..]);
    }

    #[test]
    fn no_bytes_make_the_parsers_panic(bytes: Vec<u8>) {
        let _ = Sack::parse(&bytes).map(|sack| (sack.gaps().count(), sack.duplicates().count()));
        let _ = Init::parse(&bytes).map(|init| init.parameters().count());
        let _ = ForwardTsn::parse(&bytes).map(|forward| forward.skipped().count());
        let _ = Causes::new(&bytes).describe();
        for parameter in Parameters::new(&bytes).flatten() {
            let _ = ReconfigParameter::parse(&parameter);
        }
        if let Ok((_, chunks)) = Header::parse(&bytes) {
            prop_assert!(chunks.count() <= bytes.len());
        }
    }
}
