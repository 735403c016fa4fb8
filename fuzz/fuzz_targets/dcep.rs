//! The data channel establishment protocol: what is understood is written the same way again.

#![no_main]

use kaon_rtc::datachannel::{ChannelInit, Dcep, Open};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    let Ok(Dcep::Open(open)) = Dcep::parse(message) else { return };
    let mut init = ChannelInit::new(open.label.clone());
    init.protocol = open.protocol.clone();
    init.ordered = open.ordered;
    init.reliability = open.reliability;
    init.priority = open.priority;
    assert_eq!(Dcep::parse(&Open::message(&init)), Ok(Dcep::Open(open)));
});
