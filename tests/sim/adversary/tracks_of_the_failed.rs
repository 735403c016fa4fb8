use super::*;

/// DTLS has failed, which nothing can help: whoever waits for packets or for requests of key frames is told.
#[tokio::test]
async fn no_future_of_a_track_waits_for_a_connection_that_has_failed() {
    let (alice, bob) = (connection().await, connection().await);
    let sent = alice.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    let _back = bob.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    // The fingerprint of another certificate.
    negotiate(&alice, &bob, |answer| {
        let at = answer.find("a=fingerprint:sha-256 ").unwrap() + "a=fingerprint:sha-256 ".len();
        let changed = if &answer[at..at + 2] == "00" { "11" } else { "00" };
        format!("{}{changed}{}", &answer[..at], &answer[at + 2..])
    })
    .await;
    let track = loop {
        let event = timeout(LONG, alice.next_event()).await.unwrap().unwrap();
        if let PeerConnectionEvent::Track(track) = event {
            break track;
        }
    };
    let waiting = tokio::spawn({
        let (track, sent) = (track.clone(), sent.clone());
        async move { tokio::join!(track.recv_rtp(), sent.key_frame_requested()) }
    });
    assert!(timeout(LONG, alice.connected()).await.unwrap().is_err());
    let short = Duration::from_secs(3);
    assert!(timeout(short, waiting).await.is_ok(), "those who waited are not told");
    assert!(timeout(short, track.recv_rtp()).await.is_ok_and(|packet| packet.is_none()));
    assert!(timeout(short, sent.key_frame_requested()).await.is_ok_and(|asked| asked.is_none()));
}
