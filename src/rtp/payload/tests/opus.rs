//! Tests of Opus payloads.

use std::time::Duration;

use proptest::prelude::*;

use super::super::opus::*;
use super::super::{DepacketizeError, Depacketizer as _, PacketizeError};
use super::{assemble, payloads};

#[test]
fn a_packet_is_a_payload() {
    let packet = [0x78, 1, 2, 3];
    let sent = payloads(&mut Packetizer, &packet, 4).unwrap();
    assert_eq!(sent, [(packet.to_vec(), false)]);
    let (frame, pieces) = assemble(&mut Depacketizer::default(), &sent);
    assert_eq!(frame, packet);
    assert!(pieces[0].starts_frame && pieces[0].ends_frame && pieces[0].key_frame);
    let refused = payloads(&mut Packetizer, &packet, 3);
    assert_eq!(refused, Err(PacketizeError::Unsplittable { len: 4, max: 3 }));
    assert_eq!(payloads(&mut Packetizer, &[], 3), Err(PacketizeError::EmptyFrame));
    let refused = Depacketizer::default().push(&[], false, &mut Vec::new());
    assert_eq!(refused, Err(DepacketizeError::EmptyPayload));
    let refused = Depacketizer::new(3).push(&packet, false, &mut Vec::new());
    assert_eq!(refused, Err(DepacketizeError::FrameTooLong { max: 3 }));
}

#[test]
fn table_of_contents() {
    let toc = Toc::parse(&[0x78]).unwrap(); // config 15, mono, one frame
    assert_eq!((toc.mode, toc.bandwidth, toc.stereo), (Mode::Hybrid, Bandwidth::Full, false));
    assert_eq!((toc.duration(), toc.timestamp_step()), (Duration::from_millis(20), 960));
    let toc = Toc::parse(&[(31 << 3) | 4 | 3, 3]).unwrap();
    assert_eq!((toc.mode, toc.bandwidth, toc.stereo, toc.frames), (Mode::Celt, Bandwidth::Full, true, 3));
    assert_eq!(toc.timestamp_step(), 2880);
    let toc = Toc::parse(&[(16 << 3) | 1]).unwrap();
    assert_eq!((toc.bandwidth, toc.timestamp_step()), (Bandwidth::Narrow, 240));
    let toc = Toc::parse(&[(3 << 3) | 2]).unwrap();
    assert_eq!((toc.mode, toc.duration()), (Mode::Silk, Duration::from_millis(120)));
    assert!(Toc::parse(&[(3 << 3) | 3, 3]).is_err()); // 180 ms
    assert!(Toc::parse(&[3, 0]).is_err());
    assert_eq!(Toc::parse(&[3]), Err(DepacketizeError::Truncated("frame count")));
    assert_eq!(Toc::parse(&[]), Err(DepacketizeError::EmptyPayload));
}

proptest! {
    #[test]
    fn any_bytes(packet in proptest::collection::vec(any::<u8>(), 0..10)) {
        if let Ok(toc) = Toc::parse(&packet) {
            prop_assert!(toc.timestamp_step() >= 120 && toc.timestamp_step() <= 5760);
        }
    }
}
