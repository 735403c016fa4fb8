//! VP8 payloads.
#![no_main]

mod payload;

use kaon_rtc::rtp::payload::{PictureId, vp8};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    payload::depacketize(&mut vp8::Depacketizer::new(payload::MAX_FRAME_LEN), data);
    let Some((&[flags, max], frame)) = data.split_first_chunk::<2>() else { return };
    let (_, _) = (vp8::is_key_frame(frame), vp8::dimensions(frame));
    let descriptor = vp8::Descriptor {
        non_reference: flags & 1 != 0,
        picture_id: (flags & 2 != 0).then_some(PictureId::Long(u16::from(max) << 7)),
        tl0_pic_idx: (flags & 4 != 0).then_some(max),
        temporal: (flags & 8 != 0).then_some(vp8::TemporalLayer { id: max & 3, layer_sync: flags & 16 != 0 }),
        key_index: (flags & 32 != 0).then_some(max & 0x1f),
        ..vp8::Descriptor::default()
    };
    let mut packetizer = vp8::Packetizer::new(descriptor);
    let mut depacketizer = vp8::Depacketizer::default();
    if let Some(received) = payload::round_trip(&mut packetizer, &mut depacketizer, frame, usize::from(max)) {
        assert_eq!(received, frame);
        let start_of_partition = depacketizer.descriptor().start_of_partition;
        assert_eq!(depacketizer.descriptor(), vp8::Descriptor { start_of_partition, ..descriptor });
    }
});
