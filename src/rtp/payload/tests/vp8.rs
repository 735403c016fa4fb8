//! Tests of VP8 payloads.

use proptest::prelude::*;

use super::super::vp8::*;
use super::super::{DepacketizeError, Depacketizer as _, Dimensions, PacketizeError, PictureId, Piece};
use super::{assemble, never_panics, payloads, probes_change_nothing};

#[test]
fn every_descriptor_field() {
    // X, N, S, PID 3; I L T K; 15-bit picture id; TL0PICIDX; TID 2, Y, KEYIDX 17.
    let payload = [0x80 | 0x20 | 0x10 | 3, 0xf0, 0x92, 0x34, 0x56, 0x80 | 0x20 | 17, 0xaa];
    let (descriptor, data) = Descriptor::parse(&payload).unwrap();
    assert_eq!(
        descriptor,
        Descriptor {
            non_reference: true,
            start_of_partition: true,
            partition: 3,
            picture_id: Some(PictureId::Long(0x1234)),
            tl0_pic_idx: Some(0x56),
            temporal: Some(TemporalLayer { id: 2, layer_sync: true }),
            key_index: Some(17),
        }
    );
    assert_eq!(data, [0xaa]);
    let (descriptor, data) = Descriptor::parse(&[0x90, 0x80, 0x11, 1, 2]).unwrap();
    assert_eq!(descriptor.picture_id, Some(PictureId::Short(0x11)));
    assert!(descriptor.starts_frame());
    assert_eq!(data, [1, 2]);
}

#[test]
fn cut_descriptors_are_refused() {
    let payload = [0xb3, 0xf0, 0x92, 0x34, 0x56, 0xb1, 0xaa];
    assert_eq!(Descriptor::parse(&[]), Err(DepacketizeError::EmptyPayload));
    for len in 1..payload.len() {
        assert!(matches!(Descriptor::parse(&payload[..len]), Err(DepacketizeError::Truncated(_))), "{len}");
    }
}

#[test]
fn key_frames_tell_their_size() {
    let mut frame = vec![0x10, 2, 0, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0xe0, 0x81];
    frame.resize(50, 9);
    let mut packetizer =
        Packetizer::new(Descriptor { picture_id: Some(PictureId::Long(0x7fff)), ..Descriptor::default() });
    let payloads = payloads(&mut packetizer, &frame, 20).unwrap();
    assert_eq!(payloads.len(), 4);
    assert_eq!(payloads[0].0[..4], [0x90, 0x80, 0xff, 0xff]);
    assert_eq!(payloads[1].0[..4], [0x80, 0x80, 0xff, 0xff]);
    assert_eq!(payloads.iter().map(|(_, marker)| *marker).collect::<Vec<_>>(), [false, false, false, true]);
    assert_eq!(packetizer.descriptor().picture_id, Some(PictureId::Long(0)));

    let mut depacketizer = Depacketizer::default();
    let (assembled, pieces) = assemble(&mut depacketizer, &payloads);
    assert_eq!(assembled, frame);
    assert_eq!(
        pieces[0],
        Piece {
            starts_frame: true,
            ends_frame: false,
            key_frame: true,
            dimensions: Some(Dimensions { width: 640, height: 480 })
        }
    );
    assert!(pieces[3].ends_frame && !pieces[3].starts_frame);
    assert_eq!(depacketizer.descriptor().picture_id, Some(PictureId::Long(0x7fff)));
}

#[test]
fn a_gap_waits_for_the_next_frame() {
    let mut packetizer = Packetizer::new(Descriptor::default());
    let first = payloads(&mut packetizer, &[1; 30], 11).unwrap();
    let mut depacketizer = Depacketizer::default();
    let mut frame = Vec::new();
    depacketizer.push(&first[0].0, false, &mut frame).unwrap();
    depacketizer.reset();
    let result = depacketizer.push(&first[2].0, true, &mut frame);
    assert_eq!(result, Err(DepacketizeError::MissingStart));
    frame.clear();
    let piece = depacketizer.push(&first[0].0, false, &mut frame).unwrap();
    assert!(piece.starts_frame && !piece.key_frame);
}

#[test]
fn probes_are_no_part_of_a_frame() {
    let sent = payloads(&mut Packetizer::new(Descriptor::default()), &[1; 30], 11).unwrap();
    probes_change_nothing(&mut Depacketizer::default(), &sent, &[1; 30]);
}

#[test]
fn a_frame_has_a_limit() {
    let mut depacketizer = Depacketizer::new(20);
    let mut frame = Vec::new();
    depacketizer.push(&[0x10; 16], false, &mut frame).unwrap();
    let refused = depacketizer.push(&[0x00; 16], false, &mut frame);
    assert_eq!(refused, Err(DepacketizeError::FrameTooLong { max: 20 }));
    assert_eq!(depacketizer.push(&[0x00; 2], true, &mut frame), Err(DepacketizeError::MissingStart));
    assert!(frame.len() <= 20);
}

#[test]
fn too_little_room() {
    let mut packetizer = Packetizer::new(Descriptor::default());
    assert_eq!(payloads(&mut packetizer, &[], 100), Err(PacketizeError::EmptyFrame));
    let short = PacketizeError::PayloadTooShort { need: 2, have: 1 };
    assert_eq!(payloads(&mut packetizer, &[1], 1), Err(short));
}

proptest! {
    #[test]
    fn round_trip(
        frame in proptest::collection::vec(any::<u8>(), 1..3000), max in 8usize..1300,
        id in proptest::option::of(any::<u16>()), short in any::<bool>(), tl0 in proptest::option::of(any::<u8>()),
        layer in proptest::option::of((0u8..4, any::<bool>())), key in proptest::option::of(0u8..32),
        non_reference in any::<bool>(),
    ) {
        let picture_id = id.map(|id| if short { PictureId::Short((id & 0x7f) as u8) } else { PictureId::Long(id & 0x7fff) });
        let descriptor = Descriptor {
            non_reference,
            picture_id,
            tl0_pic_idx: tl0,
            temporal: layer.map(|(id, layer_sync)| TemporalLayer { id, layer_sync }),
            key_index: key,
            ..Descriptor::default()
        };
        let mut packetizer = Packetizer::new(descriptor);
        let payloads = payloads(&mut packetizer, &frame, max).unwrap();
        let mut depacketizer = Depacketizer::default();
        let (assembled, pieces) = assemble(&mut depacketizer, &payloads);
        prop_assert_eq!(assembled, frame);
        prop_assert_eq!(pieces.iter().filter(|piece| piece.starts_frame).count(), 1);
        let start_of_partition = payloads.len() == 1;
        prop_assert_eq!(depacketizer.descriptor(), Descriptor { start_of_partition, ..descriptor });
    }

    #[test]
    fn any_bytes(payloads in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..20)) {
        never_panics(&mut Depacketizer::new(100), &payloads);
    }
}
