use super::*;
use crate::layer::Ssrc;
use crate::rtcp::{Encode, Packet, Pli, packets};

/// A connection that sends video to another; both read RTCP themselves.
async fn sending_video() -> (PeerConnection, PeerConnection, RtpSender) {
    let build = || {
        let builder = PeerConnection::builder().loopback(true);
        let builder = builder.session(|config| {
            config.rtcp.max_unread_feedback = RtcpConfig::FEEDBACK;
            config.rtcp.max_unread_bytes = 100_000;
        });
        builder.build()
    };
    let (alice, bob) = (build().await.unwrap(), build().await.unwrap());
    let track = alice.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    negotiate(&alice, &bob).await;
    timeout(LONG, alice.connected()).await.unwrap().unwrap();
    (alice, bob, track)
}

#[tokio::test]
async fn feedback_on_what_was_sent_is_told() {
    let (alice, _bob, track) = sending_video().await;
    let payload_type = track.codec("VP8").unwrap().payload_type;
    for number in 0..20 {
        let payload = Bytes::from(vec![0x10; 500]);
        track.send_rtp(OutgoingRtp::new(payload_type, RtpTimestamp(number * 3000), true, payload)).unwrap();
    }
    let mut arrived = 0;
    while arrived < 20 {
        if let Some(RtcpFeedback::Transport { results, .. }) =
            timeout(LONG, alice.recv_feedback()).await.unwrap()
        {
            assert!(results.iter().all(|result| result.sent.is_some_and(|sent| sent.size > 500)));
            arrived += results.len();
        }
    }
    assert_eq!(alice.dropped_rtcp(), DroppedRtcp::default());
}

#[tokio::test]
async fn rtcp_of_the_application_arrives_as_it_is() {
    let (alice, bob, track) = sending_video().await;
    let mut pli = [0; 12];
    Pli { sender: Ssrc(1), media: Ssrc(0x1234) }.encode(&mut pli).unwrap();
    bob.send_rtcp(&pli).unwrap();
    loop {
        let datagram = timeout(LONG, alice.recv_rtcp()).await.unwrap().unwrap();
        let mut told = packets(&datagram.bytes).flatten();
        if told.any(|packet| matches!(packet, Packet::Pli(Pli { media: Ssrc(0x1234), .. }))) {
            break;
        }
    }
    assert!(matches!(bob.send_rtcp(&pli[..4]), Err(PeerConnectionError::Session(SessionError::Rtcp(_)))));

    // Who waits when the connection ends does not wait for ever.
    let waiting = tokio::spawn({
        let alice = alice.clone();
        async move { while alice.recv_rtcp().await.is_some() {} }
    });
    alice.close();
    timeout(LONG, waiting).await.unwrap().unwrap();
    while timeout(LONG, alice.recv_feedback()).await.unwrap().is_some() {}
    assert_eq!(alice.failure(), Some(FailureReason::Closed));
    assert!(matches!(alice.send_rtcp(&pli), Err(PeerConnectionError::Ended(FailureReason::Closed))));
    drop(track);
}

/// Reads datagrams until one has the packet that is looked for.
async fn read_until(connection: &PeerConnection, is_it: impl Fn(&Packet<'_>) -> bool) {
    loop {
        let datagram = connection.recv_rtcp().await.unwrap();
        if packets(&datagram.bytes).flatten().any(|packet| is_it(&packet)) {
            return;
        }
    }
}

/// What is not read of one holds nothing up of the other.
#[tokio::test]
async fn who_reads_datagrams_alone_is_woken_for_each() {
    let (alice, bob, track) = sending_video().await;
    let payload_type = track.codec("VP8").unwrap().payload_type;
    let packet = OutgoingRtp::new(payload_type, RtpTimestamp(0), true, Bytes::from_static(&[0x10; 500]));
    track.send_rtp(packet).unwrap();
    let is_feedback = |packet: &Packet<'_>| matches!(packet, Packet::TransportFeedback(_));
    timeout(LONG, read_until(&alice, is_feedback)).await.unwrap();
    // That waits from now on.
    for number in 0..3 {
        let reader = tokio::spawn({
            let alice = alice.clone();
            let is_it =
                move |packet: &Packet<'_>| matches!(packet, Packet::Pli(pli) if pli.media.0 == number);
            async move { read_until(&alice, is_it).await }
        });
        // So that it waits when the datagram comes.
        tokio::time::sleep(Duration::from_millis(30)).await;
        let mut pli = [0; 12];
        Pli { sender: Ssrc(1), media: Ssrc(number) }.encode(&mut pli).unwrap();
        bob.send_rtcp(&pli).unwrap();
        timeout(LONG, reader).await.expect("it is woken").unwrap();
    }
    assert!(matches!(alice.recv_feedback().await, Some(RtcpFeedback::Transport { .. })));
}
