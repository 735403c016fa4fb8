//! The webrtc-rs crates, against themselves and against this library's layers in both places.

use kaon_rtc::adapters::webrtc_rs::{SrtpConfig, SrtpContext};
use kaon_rtc::layer::{MasterKey, SrtpError, SrtpTransport};

use crate::native::{make_srtp, on_virtual_time};

fn webrtc_srtp(local: &MasterKey, remote: &MasterKey) -> Result<Box<dyn SrtpTransport>, SrtpError> {
    Ok(Box::new(SrtpContext::new(local, remote, SrtpConfig::default())?))
}

#[test]
fn srtp_alone() {
    on_virtual_time(|kit| kit.srtp(&webrtc_srtp, &webrtc_srtp)).check(&[]).unwrap();
}

#[test]
fn srtp_with_the_native() {
    on_virtual_time(|kit| kit.srtp(&webrtc_srtp, &make_srtp)).check(&[]).unwrap();
    on_virtual_time(|kit| kit.srtp(&make_srtp, &webrtc_srtp)).check(&[]).unwrap();
}
