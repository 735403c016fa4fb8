//! Tests of the payload formats.

mod h264;
mod opus;
mod registry;
mod vp8;
mod vp9;

use super::{DepacketizeError, Depacketizer, PacketizeError, Packetizer, Piece};

fn payloads(
    packetizer: &mut dyn Packetizer,
    frame: &[u8],
    max: usize,
) -> Result<Vec<(Vec<u8>, bool)>, PacketizeError> {
    let mut out = Vec::new();
    packetizer.packetize(frame, max, &mut |payload| {
        let mut buffer = vec![0; payload.len()];
        assert!(payload.len() <= max && !payload.is_empty());
        assert_eq!(payload.write(&mut buffer), Some(buffer.len()));
        assert_eq!(payload.write(&mut buffer[1..]), None);
        out.push((buffer, payload.marker));
    })?;
    Ok(out)
}

fn assemble(depacketizer: &mut dyn Depacketizer, payloads: &[(Vec<u8>, bool)]) -> (Vec<u8>, Vec<Piece>) {
    let mut frame = Vec::new();
    let pieces = payloads
        .iter()
        .map(|(bytes, marker)| depacketizer.push(bytes, *marker, &mut frame).unwrap())
        .collect();
    (frame, pieces)
}

/// A packet of padding only, sent to probe the path, is no part of any frame (RFC 3550 §5.1).
fn probes_change_nothing(depacketizer: &mut dyn Depacketizer, payloads: &[(Vec<u8>, bool)], expected: &[u8]) {
    for _ in 0..2 {
        let mut frame = Vec::new();
        for (payload, marker) in payloads {
            assert_eq!(depacketizer.push(&[], false, &mut frame), Err(DepacketizeError::EmptyPayload));
            depacketizer.push(payload, *marker, &mut frame).unwrap();
        }
        assert_eq!(frame, expected);
    }
}

fn never_panics(depacketizer: &mut dyn Depacketizer, payloads: &[(Vec<u8>, bool)]) {
    let mut frame = Vec::new();
    for (payload, marker) in payloads {
        match depacketizer.push(payload, *marker, &mut frame) {
            Ok(piece) if piece.ends_frame => frame.clear(),
            Ok(_) => {}
            Err(_) if payload.len() % 2 == 0 => {
                depacketizer.reset();
                frame.clear();
            }
            Err(_) => {}
        }
        assert!(frame.len() <= 100);
    }
}
