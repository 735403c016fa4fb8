//! What is known of every format.

use super::{Depacketizer, Packetizer};
use crate::rtp::payload::{PayloadFormat, Probe};

/// Frames that decoders know as such: one that needs no other, and one that does.
fn frames(format: PayloadFormat) -> (Vec<u8>, Option<Vec<u8>>) {
    let tail = [7; 60];
    let with = |head: &[u8]| [head, &tail].concat();
    match format {
        PayloadFormat::Vp8 => {
            (with(&[0x10, 0, 0, 0x9d, 1, 0x2a, 0x80, 2, 0xe0, 1]), Some(with(&[0x11, 0, 0])))
        }
        PayloadFormat::Vp9 => {
            (with(&[0x82, 0x49, 0x83, 0x42, 0x20, 0x13, 0xf0, 0x0e, 0xf0]), Some(with(&[0x86, 0])))
        }
        PayloadFormat::H264 => (
            with(&[0, 0, 0, 1, 0x67, 0x42, 0, 0x1f, 0, 0, 0, 1, 0x68, 0xce, 0, 0, 0, 1, 0x65, 0x88]),
            Some(with(&[0, 0, 0, 1, 0x41, 0x9a])),
        ),
        PayloadFormat::Opus => (vec![0x78; 30], None),
    }
}

fn packetize(format: PayloadFormat, frame: &[u8]) -> Vec<(Vec<u8>, bool)> {
    let parameter = |name: &str| (name == "packetization-mode").then_some("1");
    let mut payloads = Vec::new();
    let mut packetizer = format.packetizer(parameter);
    packetizer
        .packetize(frame, 40, &mut |payload| payloads.push((payload.parts().concat(), payload.marker)))
        .unwrap();
    payloads
}

#[test]
fn a_name_finds_its_format_in_any_case() {
    for &format in PayloadFormat::ALL {
        assert_eq!(PayloadFormat::from_name(format.name()), Some(format));
        assert_eq!(PayloadFormat::from_name(&format.name().to_ascii_lowercase()), Some(format));
        assert_eq!(PayloadFormat::from_name(&format.name().to_ascii_uppercase()), Some(format));
    }
    for name in ["", "VP", "VP80", "rtx", "H.264"] {
        assert_eq!(PayloadFormat::from_name(name), None, "{name}");
    }
}

#[test]
fn what_a_format_splits_it_puts_together() {
    for &format in PayloadFormat::ALL {
        let (key_frame, other) = frames(format);
        let mut depacketizer = format.depacketizer(1000);
        for frame in std::iter::once(key_frame).chain(other) {
            let mut received = Vec::new();
            for (payload, marker) in packetize(format, &frame) {
                depacketizer.push(&payload, marker, &mut received).unwrap();
            }
            assert_eq!(received, frame, "{format:?}");
            depacketizer.reset();
        }
    }
}

#[test]
fn a_probe_tells_where_frames_and_key_frames_begin() {
    for &format in PayloadFormat::ALL {
        let (key_frame, other) = frames(format);
        let probes = |frame: &[u8]| -> Vec<Probe> {
            packetize(format, frame).iter().map(|(payload, _)| format.probe(payload).unwrap()).collect()
        };
        let of_key_frame = probes(&key_frame);
        assert!(of_key_frame[0].key_frame, "{format:?}");
        for of_frame in std::iter::once(of_key_frame).chain(other.map(|frame| {
            let of_frame = probes(&frame);
            assert!(of_frame.iter().all(|probe| !probe.key_frame), "{format:?}");
            of_frame
        })) {
            assert!(of_frame[0].starts_frame, "{format:?}");
            // A picture of H.264 that needs no other does not know whether parameter sets came before it.
            let is_told_again = format == PayloadFormat::H264 && of_frame[0].key_frame;
            let behind = if is_told_again { 2 } else { 1 };
            assert!(of_frame[behind..].iter().all(|probe| !probe.starts_frame), "{format:?}");
        }
        assert_eq!(format.probe(&[]), None);
    }
}

#[test]
fn a_probe_looks_into_aggregates() {
    let probe = |payload: &[u8]| PayloadFormat::H264.probe(payload).unwrap();
    let delimiter_and_idr = [0x78, 0, 2, 0x09, 0x10, 0, 2, 0x65, 0x88];
    assert_eq!(probe(&delimiter_and_idr), Probe { starts_frame: true, key_frame: true });
    let delimiter_and_slice = [0x78, 0, 2, 0x09, 0x10, 0, 2, 0x41, 0x9a];
    assert_eq!(probe(&delimiter_and_slice), Probe { starts_frame: true, key_frame: false });
    // What claims more than there is, and nothing at all.
    assert_eq!(probe(&[0x78, 0, 9, 0x65]), Probe { starts_frame: false, key_frame: false });
    assert_eq!(probe(&[0x78]), Probe::default());
    // The last slice of a picture.
    assert_eq!(probe(&[0x65, 0x08]), Probe { starts_frame: false, key_frame: true });
}

#[test]
fn h264_is_split_as_the_receiver_has_told() {
    let (frame, _) = frames(PayloadFormat::H264);
    for mode in [None, Some("0"), Some("x")] {
        let mut packetizer = PayloadFormat::H264.packetizer(|_| mode);
        assert!(packetizer.packetize(&frame, 40, &mut |_| {}).is_err(), "{mode:?}");
    }
    // The parameter sets in one, the picture in two.
    assert_eq!(packetize(PayloadFormat::H264, &frame).len(), 3);
}
