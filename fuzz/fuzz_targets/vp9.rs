//! VP9 payloads.
#![no_main]

mod payload;

use kaon_rtc::rtp::payload::{PictureId, vp9};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    payload::depacketize(&mut vp9::Depacketizer::new(payload::MAX_FRAME_LEN), data);
    let Some((&max, rest)) = data.split_first() else { return };
    let mut packetizer = vp9::Packetizer::new(PictureId::Long(0x7fff));
    // One layer, described by the frame itself.
    let max = usize::from(max);
    if let Some(received) = payload::round_trip(&mut packetizer, &mut vp9::Depacketizer::default(), rest, max)
    {
        assert_eq!(received, rest);
    }
    // Any descriptor that a peer sends can be sent on and reads the same.
    if let Ok((mut descriptor, frame)) = vp9::Descriptor::parse(rest) {
        if let Some(layers) = &mut descriptor.layers {
            layers.inter_layer_predicted = false;
        }
        packetizer.set_descriptor(descriptor.clone(), true);
        let mut depacketizer = vp9::Depacketizer::default();
        let received = payload::round_trip(&mut packetizer, &mut depacketizer, frame, 2 * rest.len() + 64);
        assert_eq!(received.as_deref(), Some(frame));
        descriptor.begins_frame = true;
        descriptor.ends_frame = true;
        assert_eq!(*depacketizer.descriptor(), descriptor);
    }
});
