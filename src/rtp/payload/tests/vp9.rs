//! Tests of VP9 payloads.

use proptest::prelude::*;

use super::super::vp9::*;
use super::super::{DepacketizeError, Depacketizer as _, Dimensions, PacketizeError, PictureId};
use super::{assemble, never_panics, payloads, probes_change_nothing};

// Profile 0, key frame, shown, 8 bit, BT.601, 1280x720.
const KEY: [u8; 12] = [0x82, 0x49, 0x83, 0x42, 0x20, 0x04, 0xff, 0x02, 0xcf, 0x00, 0x11, 0x22];
// Profile 0, inter frame, shown.
const INTER: [u8; 4] = [0x86, 0x00, 0x40, 0x92];

#[test]
fn frame_headers() {
    let key = FrameHeader::parse(&KEY).unwrap();
    assert!(key.key_frame);
    // Colour space 1, range 0, then the sizes from bit 36 on.
    assert_eq!(FrameHeader::parse(&INTER).map(|header| header.key_frame), Some(false));
    assert_eq!(FrameHeader::parse(&[0x00]), None);
    assert_eq!(FrameHeader::parse(&KEY[..6]), None);
    assert_eq!(FrameHeader::parse(&[0x82, 0x49, 0x83, 0x43, 0, 0, 0, 0, 0, 0]), None);
}

#[test]
fn one_layer_outside_of_flexible_mode() {
    // 3 bits of colour space, 1 of range, 16 of width - 1, 16 of height - 1, behind 8 + 24 bits.
    let mut key = vec![0x82, 0x49, 0x83, 0x42];
    let bits: u64 = (1 << 33) | (1279 << 16) | 719;
    key.extend_from_slice(&(bits << 28).to_be_bytes());
    key.resize(38, 7);
    let mut packetizer = Packetizer::new(PictureId::Long(5));
    let mut depacketizer = Depacketizer::default();
    let sent = payloads(&mut packetizer, &key, 30).unwrap();
    assert_eq!(sent[0].0[0], 0x80 | 0x20 | 0x08 | 0x02); // I, L, B, V
    // The number, the layers with TL0PICIDX, the size, and a group of one picture that refers to the one before.
    assert_eq!(sent[0].0[1..5], [0x80, 5, 0, 0]);
    assert_eq!(sent[0].0[5..13], [0x18, 0x05, 0x00, 0x02, 0xd0, 1, 0x14, 1]);
    assert_eq!(sent[1].0[..5], [0x80 | 0x20 | 0x04, 0x80, 5, 0, 0]); // I, L, E
    let (frame, pieces) = assemble(&mut depacketizer, &sent);
    assert_eq!(frame, key);
    assert!(pieces[0].starts_frame && pieces[0].key_frame && pieces[1].ends_frame);
    assert_eq!(pieces[0].dimensions, Some(Dimensions { width: 1280, height: 720 }));

    let sent = payloads(&mut packetizer, &INTER, 25).unwrap();
    assert_eq!(sent[0].0[..5], [0x80 | 0x40 | 0x20 | 0x08 | 0x04, 0x80, 6, 0, 1]); // I, P, L, B, E
    let (frame, pieces) = assemble(&mut depacketizer, &sent);
    assert_eq!(frame, INTER);
    assert!(!pieces[0].key_frame);
}

#[test]
fn probes_are_no_part_of_a_picture() {
    let mut packetizer = Packetizer::new(PictureId::Long(0));
    packetizer.set_descriptor(Descriptor::default(), true);
    let sent = payloads(&mut packetizer, &[1; 30], 11).unwrap();
    probes_change_nothing(&mut Depacketizer::default(), &sent, &[1; 30]);
}

#[test]
fn layer_frames_make_a_picture() {
    let mut packetizer = Packetizer::new(PictureId::Short(0));
    let layer = |spatial| Descriptor {
        picture_id: Some(PictureId::Short(3)),
        layers: Some(LayerIndices {
            spatial,
            inter_layer_predicted: spatial > 0,
            tl0_pic_idx: Some(9),
            ..LayerIndices::default()
        }),
        ..Descriptor::default()
    };
    packetizer.set_descriptor(layer(0), false);
    let mut sent = payloads(&mut packetizer, &[1; 30], 24).unwrap();
    packetizer.set_descriptor(layer(1), true);
    sent.extend(payloads(&mut packetizer, &[2; 10], 24).unwrap());
    assert_eq!(sent.iter().map(|(_, marker)| *marker).collect::<Vec<_>>(), [false, false, true]);
    let mut depacketizer = Depacketizer::default();
    let (picture, pieces) = assemble(&mut depacketizer, &sent);
    assert_eq!(picture, [[1; 30].as_slice(), &[2; 10]].concat());
    assert_eq!(pieces.iter().map(|piece| piece.starts_frame).collect::<Vec<_>>(), [true, false, false]);
    assert!(pieces[0].key_frame && !pieces[2].key_frame);
    // The upper layer alone cannot start a picture.
    assert_eq!(depacketizer.push(&sent[2].0, true, &mut Vec::new()), Err(DepacketizeError::MissingStart));
}

#[test]
fn a_whole_scalability_structure() {
    let payload = [
        0xaa, 0x85, 0x00, 0x14, 0x07, // I, L, B, V; picture id; TID 0, U, SID 2; TL0PICIDX
        0x38, // two spatial layers, Y, G
        0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68, // 320x180, 640x360
        0x02, 0x00, 0x34, 0x01, // TID 0 without reference; TID 1, U, one reference
        0xff,
    ];
    let (descriptor, data) = Descriptor::parse(&payload).unwrap();
    assert_eq!(data, [0xff]);
    let structure = descriptor.structure.clone().unwrap();
    assert_eq!(structure.spatial_layers, 2);
    assert_eq!(structure.dimensions[1], Dimensions { width: 640, height: 360 });
    let group = structure.group.unwrap();
    assert_eq!((group[1].temporal, group[1].switching_up), (1, true));
    assert_eq!(group[1].references.as_slice(), [1]);
    for len in 1..payload.len() {
        assert!(matches!(Descriptor::parse(&payload[..len]), Err(DepacketizeError::Truncated(_))), "{len}");
    }
    assert_eq!(descriptor.layers.map(|layers| layers.spatial), Some(2));
}

#[test]
fn prediction_without_a_reference_is_not_sent_as_a_key_frame() {
    let mut packetizer = Packetizer::new(PictureId::Long(5));
    let descriptor = Descriptor {
        picture_id: Some(PictureId::Long(5)),
        flexible: true,
        inter_predicted: true,
        ..Descriptor::default()
    };
    packetizer.set_descriptor(descriptor.clone(), true);
    let refused = payloads(&mut packetizer, &INTER, 100);
    assert!(matches!(refused, Err(PacketizeError::Malformed { .. })), "{refused:?}");
    packetizer.set_descriptor(Descriptor { flexible: false, ..descriptor }, true);
    assert_eq!(payloads(&mut packetizer, &INTER, 100).unwrap()[0].0[0], 0x80 | 0x40 | 0x08 | 0x04);
}

#[test]
fn four_references_are_refused() {
    let payload = [0xd8, 0x01, 0x03, 0x05, 0x07, 0x08, 0xff];
    assert_eq!(Descriptor::parse(&payload), Err(DepacketizeError::Malformed("more than three references")));
}

#[test]
fn frames_end_before_others_begin() {
    let mut depacketizer = Depacketizer::default();
    let mut frame = Vec::new();
    depacketizer.push(&[0x08, 1], false, &mut frame).unwrap();
    assert!(matches!(depacketizer.push(&[0x08, 1], false, &mut frame), Err(DepacketizeError::Malformed(_))));
    assert_eq!(depacketizer.push(&[0x04, 1], true, &mut frame), Err(DepacketizeError::MissingStart));
}

fn references() -> impl Strategy<Value = ReferenceList> {
    proptest::collection::vec(1u8..128, 1..4).prop_map(|distances| ReferenceList::from_slice(&distances))
}

fn structure() -> impl Strategy<Value = ScalabilityStructure> {
    let picture = (0u8..8, any::<bool>(), references())
        .prop_map(|(temporal, switching_up, references)| GroupPicture { temporal, switching_up, references });
    (
        1u8..=8,
        any::<bool>(),
        any::<(u16, u16)>(),
        proptest::option::of(proptest::collection::vec(picture, 0..10)),
    )
        .prop_map(|(spatial_layers, sized, (width, height), group)| ScalabilityStructure {
            spatial_layers,
            dimensions: (0..if sized { spatial_layers } else { 0 })
                .map(|_| Dimensions { width, height })
                .collect(),
            group: group.map(|pictures| pictures.into_iter().collect()),
        })
}

proptest! {
    #[test]
    fn round_trip(
        frame in proptest::collection::vec(any::<u8>(), 1..3000), max in 200usize..1300,
        flags in any::<[bool; 5]>(), id in any::<u16>(), references in references(),
        structure in proptest::option::of(structure()), layers in any::<(u8, u8)>(),
    ) {
        let [inter_predicted, flexible, with_id, with_layers, not_reference_for_upper] = flags;
        let descriptor = Descriptor {
            picture_id: with_id.then_some(PictureId::Long(id & 0x7fff)),
            inter_predicted,
            flexible,
            not_reference_for_upper,
            layers: with_layers.then_some(LayerIndices {
                temporal: layers.0 & 7,
                switching_up: layers.0 & 8 != 0,
                spatial: layers.1 & 7,
                inter_layer_predicted: false,
                tl0_pic_idx: (!flexible).then_some(layers.0),
            }),
            references: if flexible && inter_predicted { references } else { ReferenceList::default() },
            structure,
            ..Descriptor::default()
        };
        let mut packetizer = Packetizer::new(PictureId::Long(0));
        packetizer.set_descriptor(descriptor.clone(), true);
        let payloads = payloads(&mut packetizer, &frame, max).unwrap();
        let (first, _) = Descriptor::parse(&payloads[0].0).unwrap();
        let ends_frame = payloads.len() == 1;
        prop_assert_eq!(first, Descriptor { begins_frame: true, ends_frame, ..descriptor });
        let (assembled, pieces) = assemble(&mut Depacketizer::default(), &payloads);
        prop_assert_eq!(assembled, frame);
        prop_assert!(pieces[0].starts_frame && pieces.last().unwrap().ends_frame);
    }

    #[test]
    fn any_bytes(payloads in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..20)) {
        never_panics(&mut Depacketizer::new(100), &payloads);
        for (payload, _) in &payloads {
            let _ = FrameHeader::parse(payload);
        }
    }
}
