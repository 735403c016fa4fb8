//! Opus payloads.
#![no_main]

mod payload;

use std::time::Duration;

use kaon_rtc::rtp::payload::opus;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    payload::depacketize(&mut opus::Depacketizer::new(payload::MAX_FRAME_LEN), data);
    if let Ok(toc) = opus::Toc::parse(data) {
        assert!(toc.frames >= 1 && toc.duration() <= Duration::from_millis(120));
        assert!(toc.duration() >= Duration::from_micros(2500));
        assert_eq!(toc.duration().as_micros() * 48, u128::from(toc.timestamp_step()) * 1000);
    }
    let mut depacketizer = opus::Depacketizer::default();
    if let Some(received) = payload::round_trip(&mut opus::Packetizer, &mut depacketizer, data, 1200) {
        assert_eq!(received, data);
    }
});
