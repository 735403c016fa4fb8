use kaon_rtc::layer::RtpTimestamp;
use kaon_rtc::peer_connection::OutgoingRtp;

use super::*;

/// A peer that sends on many tracks, of which the application reads none for now: what is kept is limited for the
/// connection, as it is for data channels, and not for each track alone. (256 sections are accepted; 1024 packets of
/// each are 360 MiB.)
#[tokio::test]
async fn unread_tracks_are_limited_all_together() {
    const TRACKS: usize = 24;
    const ROUNDS: u32 = 1100;
    let (alice, bob) = (connection().await, connection().await);
    let sent: Vec<_> =
        (0..TRACKS).map(|_| alice.add_track(TrackKind::Video, TransceiverInit::default()).unwrap()).collect();
    negotiate(&alice, &bob, |answer| answer).await;
    timeout(LONG, alice.connected()).await.unwrap().unwrap();
    timeout(LONG, bob.connected()).await.unwrap().unwrap();
    let payload_type = sent[0].codecs()[0].payload_type;
    for round in 0..ROUNDS {
        for track in &sent {
            let payload = vec![7; 1100];
            let _ = track.send_rtp(OutgoingRtp::new(
                payload_type,
                RtpTimestamp(round * 90),
                true,
                payload.into(),
            ));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (mut tracks, mut held) = (0, 0);
    while let Some(event) = bob.try_next_event() {
        if let PeerConnectionEvent::Track(track) = event {
            tracks += 1;
            while let Ok(Some(packet)) = track.try_recv_rtp() {
                held += packet.as_packet().payload().len();
            }
        }
    }
    println!("{held} bytes waited on {tracks} tracks");
    assert_eq!(tracks, TRACKS);
    assert!(held > 0 && held <= 16 << 20, "{held} bytes waited on {tracks} tracks");
}
