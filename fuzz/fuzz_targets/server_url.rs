//! URLs of servers: what is read is written and reads the same, and what is refused says so in few words.
#![no_main]

use kaon_rtc::stun::ServerUrl;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for prefix in ["", "turn:", "turns:", "stun:"] {
        match format!("{prefix}{text}").parse::<ServerUrl>() {
            Ok(url) => {
                assert_ne!(url.port(), 0);
                let written = url.to_string();
                assert_eq!(written.parse().as_ref(), Ok(&url), "{written}");
            }
            Err(error) => assert!(error.to_string().len() < 600, "{error}"),
        }
    }
});
