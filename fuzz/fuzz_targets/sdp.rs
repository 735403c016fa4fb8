//! Session descriptions: what is written reads the same, and is written the same again.
#![no_main]

use kaon_rtc::sdp::{H264Parameters, OpusParameters, SessionDescription, Vp9Parameters};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let description = match SessionDescription::parse(text) {
        Ok(description) => description,
        Err(error) => {
            assert!(error.line >= 1 && error.line <= 1 + text.matches('\n').count());
            assert!(error.to_string().len() < 1000);
            return;
        }
    };
    let written = description.to_string();
    let again = SessionDescription::parse(&written).expect("what is written is valid");
    assert_eq!(again, description);
    assert_eq!(again.to_string(), written);
    for media in &description.media {
        let _ = (description.ice_parameters(media), description.direction(media), description.setup(media));
        let _ = description.fingerprints(media).count();
        let _ = (media.max_message_size(), media.simulcast().map(|simulcast| simulcast.send().len()));
        for codec in media.codecs().take(8) {
            let _ = (codec.retransmission(), codec.feedback().count());
            let _ = H264Parameters::from(codec.parameters()).profile_level_id;
            let _ = Vp9Parameters::from(codec.parameters()).profile_id;
            let _ = OpusParameters::from(codec.parameters()).stereo;
        }
        for rid in media.rids() {
            let _ = rid.payload_types().count();
        }
    }
});
