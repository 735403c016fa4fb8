//! Retransmissions: any packet unwraps or is refused, and what is wrapped unwraps to the same.
#![no_main]

use kaon_rtc::layer::{PayloadType, SequenceNumber, Ssrc};
use kaon_rtc::media::{RtxSender, unwrap_rtx};
use kaon_rtc::rtp::{Header, Packet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let rtx = PayloadType::from_low_bits(97);
    let mut bytes = data.to_vec();
    if let Ok(Some(unwrapped)) = unwrap_rtx(&mut bytes, Ssrc(1), rtx) {
        let len = unwrapped.len();
        let unwrapped = Packet::parse(unwrapped).expect("what is unwrapped is a packet");
        assert_eq!((unwrapped.ssrc(), unwrapped.payload_type()), (Ssrc(1), rtx));
        assert!(len + 2 <= data.len() && unwrapped.padding_len() == 0);
    }

    let Ok(packet) = Packet::parse(data) else { return };
    let mut out = vec![0; data.len() + 2];
    let mut sender = RtxSender::new(Ssrc(2), SequenceNumber(3));
    let len = sender.wrap(&packet, rtx, &mut out).expect("it fits");
    let unwrapped = unwrap_rtx(&mut out[..len], packet.ssrc(), packet.payload_type());
    let unwrapped = unwrapped.expect("it was wrapped").expect("it has a number");
    let unwrapped = Packet::parse(unwrapped).expect("it was a packet");
    assert_eq!(Header::from(unwrapped), Header::from(packet));
    assert!(unwrapped.extensions().eq(packet.extensions()));
    assert!(unwrapped.csrcs().eq(packet.csrcs()));
    assert_eq!(unwrapped.payload(), packet.payload());
});
