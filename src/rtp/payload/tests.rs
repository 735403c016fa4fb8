//! Tests of the payload formats.

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

mod vp8_tests {
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
            assert!(
                matches!(Descriptor::parse(&payload[..len]), Err(DepacketizeError::Truncated(_))),
                "{len}"
            );
        }
    }

    #[test]
    fn key_frames_tell_their_size() {
        let mut frame = vec![0x10, 2, 0, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0xe0, 0x81];
        frame.resize(50, 9);
        let mut packetizer = Packetizer::new(Descriptor {
            picture_id: Some(PictureId::Long(0x7fff)),
            ..Descriptor::default()
        });
        let payloads = payloads(&mut packetizer, &frame, 20).unwrap();
        assert_eq!(payloads.len(), 4);
        assert_eq!(payloads[0].0[..4], [0x90, 0x80, 0xff, 0xff]);
        assert_eq!(payloads[1].0[..4], [0x80, 0x80, 0xff, 0xff]);
        assert_eq!(
            payloads.iter().map(|(_, marker)| *marker).collect::<Vec<_>>(),
            [false, false, false, true]
        );
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

mod vp9_tests {
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
    fn one_layer_in_flexible_mode() {
        // 3 bits of colour space, 1 of range, 16 of width - 1, 16 of height - 1, behind 8 + 24 bits.
        let mut key = vec![0x82, 0x49, 0x83, 0x42];
        let bits: u64 = (1 << 33) | (1279 << 16) | 719;
        key.extend_from_slice(&(bits << 28).to_be_bytes());
        key.resize(38, 7);
        let mut packetizer = Packetizer::new(PictureId::Long(5));
        let mut depacketizer = Depacketizer::default();
        let sent = payloads(&mut packetizer, &key, 25).unwrap();
        assert_eq!(sent[0].0[0], 0x80 | 0x10 | 0x08 | 0x02); // I, F, B, V
        assert_eq!(sent[0].0[1..8], [0x80, 5, 0x10, 0x05, 0x00, 0x02, 0xd0]);
        assert_eq!(sent[1].0[..3], [0x80 | 0x10 | 0x04, 0x80, 5]); // I, F, E
        let (frame, pieces) = assemble(&mut depacketizer, &sent);
        assert_eq!(frame, key);
        assert!(pieces[0].starts_frame && pieces[0].key_frame && pieces[1].ends_frame);
        assert_eq!(pieces[0].dimensions, Some(Dimensions { width: 1280, height: 720 }));

        let sent = payloads(&mut packetizer, &INTER, 25).unwrap();
        assert_eq!(sent[0].0[..4], [0x80 | 0x40 | 0x10 | 0x08 | 0x04, 0x80, 6, 0x02]);
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
            assert!(
                matches!(Descriptor::parse(&payload[..len]), Err(DepacketizeError::Truncated(_))),
                "{len}"
            );
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
        assert_eq!(
            Descriptor::parse(&payload),
            Err(DepacketizeError::Malformed("more than three references"))
        );
    }

    #[test]
    fn frames_end_before_others_begin() {
        let mut depacketizer = Depacketizer::default();
        let mut frame = Vec::new();
        depacketizer.push(&[0x08, 1], false, &mut frame).unwrap();
        assert!(matches!(
            depacketizer.push(&[0x08, 1], false, &mut frame),
            Err(DepacketizeError::Malformed(_))
        ));
        assert_eq!(depacketizer.push(&[0x04, 1], true, &mut frame), Err(DepacketizeError::MissingStart));
    }

    fn references() -> impl Strategy<Value = ReferenceList> {
        proptest::collection::vec(1u8..128, 1..4).prop_map(|distances| ReferenceList::from_slice(&distances))
    }

    fn structure() -> impl Strategy<Value = ScalabilityStructure> {
        let picture =
            (0u8..8, any::<bool>(), references()).prop_map(|(temporal, switching_up, references)| {
                GroupPicture { temporal, switching_up, references }
            });
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
                group: group.map(Into::into),
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
}

mod h264_tests {
    use proptest::prelude::*;

    use super::super::h264::*;
    use super::super::{DepacketizeError, Depacketizer as _, PacketizeError};
    use super::{assemble, never_panics, payloads, probes_change_nothing};

    fn annex_b(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
    }

    fn avc(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&(unit.len() as u32).to_be_bytes(), *unit].concat()).collect()
    }

    #[test]
    fn annex_b_is_split() {
        let stream = [0, 0, 1, 0x67, 1, 0, 0, 0, 0, 1, 0x68, 0, 0, 3, 2, 0, 0, 1, 0, 0, 1, 0x65, 9, 0];
        let units: Vec<_> = NalUnits::new(&stream, StreamFormat::AnnexB).map(Result::unwrap).collect();
        assert_eq!(units, [&[0x67, 1][..], &[0x68, 0, 0, 3, 2], &[0x65, 9]]);
        assert!(NalUnits::new(&[1, 0, 0, 1, 5], StreamFormat::AnnexB).next().unwrap().is_err());
        assert!(NalUnits::new(&[0, 0, 0], StreamFormat::AnnexB).next().unwrap().is_err());
        assert!(NalUnits::new(&[], StreamFormat::AnnexB).next().is_none());
        assert!(NalUnits::new(&[0, 0, 0, 5, 1], StreamFormat::Avc).next().unwrap().is_err());
    }

    #[test]
    fn parameter_sets_are_aggregated_and_the_picture_fragmented() {
        let idr = [&[0x65], [0xab; 40].as_slice()].concat();
        let units: [&[u8]; 3] = [&[0x67, 0x42, 0x05], &[0x68, 0xce], &idr];
        let frame = annex_b(&units);
        let mut packetizer = Packetizer::default();
        let sent = payloads(&mut packetizer, &frame, 22).unwrap();
        assert_eq!(sent[0].0, [0x78, 0, 3, 0x67, 0x42, 0x05, 0, 2, 0x68, 0xce]);
        assert_eq!(sent[1].0[..2], [0x7c, 0x85]);
        assert_eq!(sent[2].0, [&[0x7c, 0x45], [0xab; 20].as_slice()].concat());
        assert_eq!(sent.iter().map(|(_, marker)| *marker).collect::<Vec<_>>(), [false, false, true]);

        let mut depacketizer = Depacketizer::default();
        let mut assembled = Vec::new();
        let piece = depacketizer.push(&sent[0].0, false, &mut assembled).unwrap();
        assert!(piece.starts_frame && !piece.key_frame);
        assert_eq!(depacketizer.units(), Units { sps: true, pps: true, idr: false });
        assert!(depacketizer.push(&sent[1].0, false, &mut assembled).unwrap().key_frame);
        let piece = depacketizer.push(&sent[2].0, true, &mut assembled).unwrap();
        assert!(piece.ends_frame && !piece.starts_frame);
        assert_eq!(assembled, frame);

        let mut depacketizer = Depacketizer::new(StreamFormat::Avc, 1000);
        assert_eq!(assemble(&mut depacketizer, &sent).0, avc(&units));
    }

    #[test]
    fn probes_are_no_part_of_an_access_unit() {
        let frame = annex_b(&[&[0x67, 1], &[0x65; 40]]);
        let sent = payloads(&mut Packetizer::default(), &frame, 22).unwrap();
        probes_change_nothing(&mut Depacketizer::default(), &sent, &frame);
    }

    #[test]
    fn what_an_aggregate_cannot_tell_the_length_of_travels_alone() {
        let long = [&[0x65], [0xab; 0x1_0001].as_slice()].concat();
        for units in [[&[0x67, 1][..], &long], [&long, &[0x68, 1]]] {
            let frame = annex_b(&units);
            let sent = payloads(&mut Packetizer::default(), &frame, 100_000).unwrap();
            assert_eq!(assemble(&mut Depacketizer::default(), &sent).0, frame);
        }
    }

    #[test]
    fn mode_0_sends_whole_units_only() {
        let frame = annex_b(&[&[0x67, 1], &[0x68, 2], &[0x65, 3]]);
        let mut packetizer = Packetizer::new(PacketizationMode::SingleNalUnit, StreamFormat::AnnexB);
        let sent = payloads(&mut packetizer, &frame, 100).unwrap();
        let expected = [(vec![0x67, 1], false), (vec![0x68, 2], false), (vec![0x65, 3], true)];
        assert_eq!(sent, expected);
        let frame = annex_b(&[&[0x65; 20]]);
        let refused = payloads(&mut packetizer, &frame, 19);
        assert_eq!(refused, Err(PacketizeError::Unsplittable { len: 20, max: 19 }));
    }

    #[test]
    fn what_is_not_of_mode_1_is_named() {
        let mut frame = Vec::new();
        for (kind, name) in [(25, "STAP-B"), (26, "MTAP16"), (27, "MTAP24"), (29, "FU-B")] {
            let error = Depacketizer::default().push(&[kind, 0, 0, 1], false, &mut frame).unwrap_err();
            assert!(error.to_string().starts_with(name), "{error}");
        }
        for kind in [0, 30, 31] {
            let error = Depacketizer::default().push(&[kind, 0], false, &mut frame).unwrap_err();
            assert_eq!(error, DepacketizeError::Malformed("the NAL unit type is reserved"));
        }
        assert_eq!(frame, []);
    }

    #[test]
    fn malformed_payloads() {
        let error = |payloads: &[&[u8]]| {
            let mut depacketizer = Depacketizer::default();
            let mut frame = Vec::new();
            let mut last = None;
            for payload in payloads {
                last = depacketizer.push(payload, false, &mut frame).err();
            }
            last.unwrap()
        };
        assert_eq!(error(&[&[]]), DepacketizeError::EmptyPayload);
        assert_eq!(error(&[&[28]]), DepacketizeError::Truncated("FU header"));
        assert_eq!(error(&[&[28, 0x05, 1]]), DepacketizeError::MissingStart);
        assert_eq!(
            error(&[&[28, 0xc5, 1]]),
            DepacketizeError::Malformed("a fragment is both first and last")
        );
        assert_eq!(
            error(&[&[28, 0x85, 1], &[0x65, 1]]),
            DepacketizeError::Malformed("a fragmented NAL unit ends without its last fragment")
        );
        assert_eq!(error(&[&[28, 0x85, 1], &[28, 0x41, 1]]), DepacketizeError::MissingStart);
        assert_eq!(
            error(&[&[28, 0x9c, 1]]),
            DepacketizeError::Malformed("FU-A of something that is not a NAL unit")
        );
        assert_eq!(error(&[&[24, 0, 2, 0x65]]), DepacketizeError::Truncated("STAP-A"));
        assert_eq!(error(&[&[24, 0]]), DepacketizeError::Truncated("STAP-A"));
        assert_eq!(error(&[&[24]]), DepacketizeError::Malformed("STAP-A holds no NAL unit"));
        assert!(matches!(error(&[&[24, 0, 0]]), DepacketizeError::Malformed(_)));
        // STAP-A within STAP-A.
        assert!(matches!(error(&[&[24, 0, 1, 24]]), DepacketizeError::Malformed(_)));
        // After an error the rest of the access unit is refused, the next one is taken.
        let mut depacketizer = Depacketizer::default();
        let mut frame = Vec::new();
        depacketizer.push(&[30], false, &mut frame).unwrap_err();
        assert_eq!(depacketizer.push(&[0x65, 1], true, &mut frame), Err(DepacketizeError::MissingStart));
        assert!(depacketizer.push(&[0x65, 1], true, &mut frame).unwrap().starts_frame);
    }

    #[test]
    fn a_caller_who_meddles_with_the_frame_is_found_out() {
        let mut depacketizer = Depacketizer::default();
        let mut frame = Vec::new();
        depacketizer.push(&[28, 0x85, 1], false, &mut frame).unwrap();
        frame.clear();
        assert_eq!(depacketizer.push(&[28, 0x45, 1], true, &mut frame), Err(DepacketizeError::MissingStart));
    }

    #[test]
    fn units_that_only_rtp_uses_are_not_sent() {
        let mut packetizer = Packetizer::default();
        let refused = payloads(&mut packetizer, &annex_b(&[&[28, 1, 2]]), 100);
        assert!(matches!(refused, Err(PacketizeError::Malformed { .. })));
        let short = payloads(&mut packetizer, &annex_b(&[&[0x65; 9]]), 2);
        assert_eq!(short, Err(PacketizeError::PayloadTooShort { need: 3, have: 2 }));
        assert_eq!(payloads(&mut packetizer, &[], 100), Err(PacketizeError::EmptyFrame));
    }

    // A NAL unit ends in a byte that is not zero and holds no start code.
    fn unit() -> impl Strategy<Value = Vec<u8>> {
        (1u8..24, 0u8..4, proptest::collection::vec(1u8..=255, 1..400))
            .prop_map(|(kind, importance, body)| [&[kind | (importance << 5)], body.as_slice()].concat())
    }

    proptest! {
        #[test]
        fn round_trip(units in proptest::collection::vec(unit(), 1..15), max in 3usize..500, in_avc in any::<bool>(), out_avc in any::<bool>()) {
            let units: Vec<&[u8]> = units.iter().map(Vec::as_slice).collect();
            let (input, frame) = if in_avc { (StreamFormat::Avc, avc(&units)) } else { (StreamFormat::AnnexB, annex_b(&units)) };
            let output = if out_avc { StreamFormat::Avc } else { StreamFormat::AnnexB };
            let mut packetizer = Packetizer::new(PacketizationMode::NonInterleaved, input);
            let sent = payloads(&mut packetizer, &frame, max).unwrap();
            prop_assert!(sent.iter().rev().enumerate().all(|(index, (_, marker))| *marker == (index == 0)));
            let (assembled, pieces) = assemble(&mut Depacketizer::new(output, 1 << 20), &sent);
            prop_assert_eq!(assembled, if out_avc { avc(&units) } else { annex_b(&units) });
            let idr = units.iter().any(|unit| unit[0] & 0x1f == 5);
            prop_assert_eq!(pieces.iter().any(|piece| piece.key_frame), idr);
        }

        #[test]
        fn any_bytes(
            payloads in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..20),
            kinds in proptest::collection::vec(prop_oneof![Just(24u8), Just(28), Just(0x65)], 20),
        ) {
            never_panics(&mut Depacketizer::new(StreamFormat::Avc, 100), &payloads);
            let mut payloads = payloads;
            for ((payload, _), kind) in payloads.iter_mut().zip(kinds) {
                if let Some(first) = payload.first_mut() {
                    *first = kind;
                }
            }
            never_panics(&mut Depacketizer::new(StreamFormat::AnnexB, 100), &payloads);
        }

        #[test]
        fn any_frame(frame in proptest::collection::vec(0u8..3, 0..60), max in 0usize..20, is_avc in any::<bool>()) {
            let format = if is_avc { StreamFormat::Avc } else { StreamFormat::AnnexB };
            let _ = payloads(&mut Packetizer::new(PacketizationMode::NonInterleaved, format), &frame, max);
        }
    }
}

mod opus_tests {
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
}
