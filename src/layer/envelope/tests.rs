use super::*;
use crate::layer::{Segments, Transmit, TransmitBatch};

fn outer() -> FiveTuple {
    FiveTuple::udp(([192, 0, 2, 1], 5000).into(), ([198, 51, 100, 1], 3478).into())
}

fn inner() -> FiveTuple {
    FiveTuple::udp(([198, 51, 100, 1], 49_152).into(), ([203, 0, 113, 9], 6000).into())
}

/// RFC 8656, "The ChannelData Message".
fn channel_data() -> Envelope {
    Envelope::new(Some(outer()), &[0x40, 0x07, 0, 0], &[LengthField::new(2, 4)]).unwrap()
}

/// RFC 8656, "Send and Data Methods": a STUN header, XOR-PEER-ADDRESS, and DATA at the end.
fn send_indication() -> Envelope {
    let mut head = vec![0x00, 0x16, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    head.extend_from_slice(&[0x77; 12]);
    head.extend_from_slice(&[0x00, 0x12, 0, 8, 0, 1, 0x36, 0x62, 0xea, 0x12, 0xd5, 0x4b]);
    head.extend_from_slice(&[0x00, 0x13, 0, 0]);
    let lengths = [LengthField::new(2, 20).with_padding(), LengthField::new(34, 36)];
    Envelope::new(Some(outer()), &head, &lengths).unwrap().padded_to(4)
}

/// RFC 4571 §2.
fn framing() -> Envelope {
    Envelope::new(Some(outer()), &[0, 0], &[LengthField::new(0, 2)]).unwrap()
}

/// RFC 6347 §4.1 with the explicit nonce and the tag of a GCM suite (RFC 5288 §3).
fn record() -> Envelope {
    let mut head = vec![23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 0];
    head.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 9]);
    Envelope::new(None, &head, &[LengthField::new(11, 13)]).unwrap().with_tail(16)
}

fn write(segments: &mut Segments<'_>, payload: &[u8]) -> bool {
    segments.datagram().extend_from_slice(payload);
    segments.end_datagram()
}

fn one(envelope: &Envelope, payload: &[u8]) -> (Vec<u8>, Transmit) {
    let mut batch = TransmitBatch::new(1200);
    let mut segments = batch.segments(Some(inner()), None).within(envelope);
    write(&mut segments, payload);
    let transmit = segments.finish().unwrap();
    (batch.bytes(&transmit).to_vec(), transmit)
}

#[test]
fn channel_data_has_the_length_of_its_payload() {
    let (bytes, transmit) = one(&channel_data(), b"hello");
    assert_eq!(bytes, b"\x40\x07\x00\x05hello");
    assert_eq!(transmit.path, Some(outer()));
    // Over TCP and TLS it is padded, and the length does not count that (RFC 8656).
    let (bytes, _) = one(&channel_data().padded_to(4), b"hello");
    assert_eq!(bytes, b"\x40\x07\x00\x05hello\0\0\0");
}

#[test]
fn a_send_indication_has_the_lengths_of_the_message_and_of_its_data() {
    let (bytes, transmit) = one(&send_indication(), b"hello");
    assert_eq!(bytes.len(), 20 + 12 + 4 + 8);
    assert_eq!(bytes[2..4], [0, 24], "the message counts its padding");
    assert_eq!(bytes[34..36], [0, 5], "the attribute does not");
    assert_eq!(&bytes[36..], b"hello\0\0\0");
    assert_eq!(send_indication().contents(&bytes), b"hello");
    assert_eq!(transmit.path, Some(outer()));
}

#[test]
fn framing_counts_the_datagram() {
    assert_eq!(one(&framing(), b"hello").0, b"\x00\x05hello");
}

#[test]
fn a_record_counts_its_nonce_and_its_tag() {
    let (bytes, transmit) = one(&record(), b"hello");
    assert_eq!(bytes.len(), 13 + 8 + 5 + 16);
    assert_eq!(bytes[11..13], [0, 8 + 5 + 16]);
    assert_eq!(&bytes[21..26], b"hello");
    assert_eq!(bytes[26..], [0; 16]);
    assert_eq!(transmit.path, Some(inner()), "a record does not know where it goes");
}

#[test]
fn envelopes_stand_in_each_other() {
    let mut batch = TransmitBatch::new(1200);
    let transmit = batch.within(&send_indication(), |batch| {
        assert_eq!(batch.max_datagram(), 1164);
        batch.within(&record(), |batch| {
            let mut segments = batch.segments(None, None);
            assert_eq!(segments.max_datagram(), 1164 - 37);
            write(&mut segments, b"hello");
            segments.finish().unwrap()
        })
    });
    assert_eq!(batch.max_datagram(), 1200, "what was written later is outside again");
    assert_eq!(transmit.path, Some(outer()));
    let bytes = batch.bytes(&transmit);
    let sealed = send_indication().contents(bytes);
    assert_eq!(sealed.len(), 42);
    assert_eq!(sealed[11..13], [0, 29]);
    assert_eq!(bytes.len(), 36 + 44);
    assert_eq!(bytes[2..4], [0, 60]);
}

#[test]
fn runs_stay_runs() {
    for envelope in [channel_data(), channel_data().padded_to(4), send_indication(), framing(), record()] {
        let mut batch = TransmitBatch::new(1200);
        let mut segments = batch.segments(None, None).within(&envelope);
        let max = segments.max_datagram();
        assert!(max + envelope.overhead() >= 1200, "{max}");
        for byte in 1..4 {
            assert!(write(&mut segments, &vec![byte; max]));
            assert_eq!(segments.max_datagram(), max);
        }
        assert!(!write(&mut segments, b"short"), "a shorter one is the last");
        assert!(!write(&mut segments, b"late"));
        let transmit = segments.finish().unwrap();
        assert!(transmit.segment_size <= 1200);
        let datagrams: Vec<&[u8]> = batch.datagrams(&transmit).collect();
        assert_eq!(datagrams.len(), 4);
        for (datagram, byte) in datagrams.iter().zip(1..4) {
            assert_eq!(datagram.len(), transmit.segment_size);
            assert_eq!(envelope.contents(datagram)[..max], vec![byte; max][..]);
        }
        assert_eq!(&envelope.contents(datagrams[3])[..5], b"short");
        assert_eq!(batch.len(), transmit.len(), "no head without a datagram is left");
    }
}

#[test]
fn what_was_not_ended_is_taken_back_with_its_head() {
    let mut batch = TransmitBatch::new(1200);
    let mut segments = batch.segments(None, None).within(&channel_data());
    segments.datagram().extend_from_slice(b"begun");
    assert_eq!(segments.finish(), None);
    assert!(batch.is_empty());

    let mut segments = batch.segments(None, None).within(&channel_data());
    segments.datagram().extend_from_slice(b"begun");
    segments.abandon_datagram();
    assert_eq!(segments.datagram().len(), segments.datagram_start());
    assert!(segments.end_datagram(), "nothing is no datagram");
    write(&mut segments, b"12345");
    assert!(!write(&mut segments, b"123456"), "longer than the first");
    let transmit = segments.finish().unwrap();
    assert_eq!(batch.bytes(&transmit), b"\x40\x07\x00\x0512345");
    assert_eq!(batch.len(), 9);
}

#[test]
fn one_datagram_is_enclosed_as_a_run_is() {
    for envelope in [channel_data(), send_indication(), framing(), record()] {
        assert_eq!(envelope.enclose(b"hello"), one(&envelope, b"hello").0);
    }
}

#[test]
fn what_is_no_envelope_is_refused() {
    assert!(Envelope::new(None, &[0; 65], &[]).is_none());
    assert!(Envelope::new(None, &[0; 64], &[]).is_some());
    assert!(Envelope::new(None, &[0; 4], &[LengthField::new(3, 4)]).is_none(), "beyond the head");
    assert!(Envelope::new(None, &[0; 4], &[LengthField::new(2, 5)]).is_none(), "from beyond the head");
    assert!(Envelope::new(None, &[0; 4], &[LengthField::new(2, 3)]).is_none(), "from within itself");
    assert!(Envelope::new(None, &[0; 8], &[LengthField::new(0, 4); 3]).is_none());
    assert!(Envelope::room(10, 256).is_none());
    // Lengths that a peer made up lead nowhere.
    let mut hostile = send_indication().enclose(b"hello");
    hostile[34..36].copy_from_slice(&[0xff, 0xff]);
    assert!(send_indication().contents(&hostile).is_empty());
    assert!(send_indication().contents(b"short").is_empty());
}

mod model;
