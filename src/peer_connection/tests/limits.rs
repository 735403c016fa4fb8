//! What is too long, and what just fits.

use super::*;
use crate::session::OutgoingRtp;

async fn track_pair(mtu: Option<usize>) -> (PeerConnection, PeerConnection, RtpSender, RtpReceiver) {
    let mut builder = PeerConnection::builder().loopback(true);
    if let Some(mtu) = mtu {
        builder = builder.session(move |config| config.set_mtu(mtu));
    }
    let (alice, bob) = (builder.build().await.unwrap(), connection().await);
    let track = alice.add_track(TrackKind::Video, TransceiverInit::new(Direction::SendOnly)).unwrap();
    negotiate(&alice, &bob).await;
    timeout(LONG, alice.connected()).await.unwrap().unwrap();
    timeout(LONG, bob.connected()).await.unwrap().unwrap();
    let there = loop {
        match timeout(LONG, bob.next_event()).await.unwrap().unwrap() {
            PeerConnectionEvent::Track(there) => break there,
            _ => continue,
        }
    };
    (alice, bob, track, there)
}

#[tokio::test]
async fn rtp_that_is_taken_arrives_and_what_is_too_long_is_refused() {
    for (mtu, least) in [(None, 1420), (Some(1200), 1100), (Some(9000), 1420)] {
        let (_alice, _bob, track, there) = track_pair(mtu).await;
        let payload_type = track.codecs()[0].payload_type;
        let longest = track.max_rtp_payload(payload_type).unwrap();
        assert!((least..1472).contains(&longest), "{longest}");
        let send = |size: usize| {
            let payload = vec![7; size].into();
            track.send_rtp(OutgoingRtp::new(payload_type, RtpTimestamp(0), true, payload))
        };
        for size in [longest + 1, 1500, 5000] {
            let refused = send(size).unwrap_err();
            let PeerConnectionError::Session(SessionError::PacketTooLong { size: told, limit }) = refused
            else {
                panic!("{refused}");
            };
            assert_eq!(told - limit, size - longest);
            assert!(refused.to_string().contains("max_rtp_datagram"), "{refused}");
        }
        for size in [100, longest - 1, longest] {
            send(size).unwrap();
            let packet = timeout(LONG, there.recv_rtp()).await.unwrap().unwrap();
            assert_eq!(packet.as_packet().payload().len(), size);
        }
    }
}

#[tokio::test]
async fn frames_keep_to_a_small_limit() {
    let (_alice, _bob, track, there) = track_pair(Some(400)).await;
    let codec = track.codec("VP8").unwrap();
    track.frames(&codec).unwrap().send(&[0x10; 2000], RtpTimestamp(0)).unwrap();
    let mut arrived = 0;
    while arrived < 2000 {
        let packet = timeout(LONG, there.recv_rtp()).await.unwrap().unwrap();
        assert!(packet.as_packet().as_bytes().len() < 400);
        // Behind the payload descriptor of at least a byte.
        arrived += packet.as_packet().payload().len() - 1;
    }
}
