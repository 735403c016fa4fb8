//! What holds for every payload format.

use kaon_rtc::rtp::payload::{DepacketizeError, Depacketizer, Packetizer, Piece};

/// The limit of the frames that the depacketizers under test accept.
pub const MAX_FRAME_LEN: usize = 2000;

/// Pushes `data`, cut into payloads, and checks that the frame under way stays bounded.
pub fn depacketize(depacketizer: &mut dyn Depacketizer, mut data: &[u8]) {
    let mut frame = Vec::new();
    // Each payload is preceded by its length; the bits above it are the marker and a gap before it.
    while let Some((&head, rest)) = data.split_first() {
        let len = usize::from(head & 0x3f).min(rest.len());
        let (payload, rest) = rest.split_at(len);
        data = rest;
        if head & 0x40 != 0 {
            depacketizer.reset();
            frame.clear();
        }
        let before = frame.len();
        let marker = head & 0x80 != 0;
        match depacketizer.push(payload, marker, &mut frame) {
            Ok(Piece { ends_frame, .. }) => {
                assert!(!payload.is_empty() && frame.len() >= before);
                if ends_frame {
                    assert!(!frame.is_empty());
                    frame.clear();
                }
            }
            Err(DepacketizeError::EmptyPayload) => assert!(payload.is_empty()),
            Err(_) => frame.clear(),
        }
        assert!(frame.len() <= MAX_FRAME_LEN);
    }
}

/// Splits `frame` and puts it together again; `None` when it cannot be split.
pub fn round_trip(
    packetizer: &mut dyn Packetizer,
    depacketizer: &mut dyn Depacketizer,
    frame: &[u8],
    max_payload_len: usize,
) -> Option<Vec<u8>> {
    let mut received = Vec::new();
    let (mut starts, mut ends) = (0, 0);
    let mut buffer = vec![0; max_payload_len];
    packetizer
        .packetize(frame, max_payload_len, &mut |payload| {
            let len = payload.write(&mut buffer).expect("it is not longer than allowed");
            assert!(len > 0);
            let piece =
                depacketizer.push(&buffer[..len], payload.marker, &mut received).expect("it is valid");
            starts += usize::from(piece.starts_frame);
            ends += usize::from(piece.ends_frame);
        })
        .ok()?;
    assert_eq!((starts, ends), (1, 1));
    Some(received)
}
