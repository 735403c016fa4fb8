//! What handles are equal to.

use std::collections::HashSet;

use super::*;

#[tokio::test]
#[allow(clippy::mutable_key_type)] // Hash and Eq look at what never changes.
async fn handles_of_the_same_are_equal_and_others_are_not() {
    let endpoint = Endpoint::builder().loopback(true).bind().unwrap();
    let other = Endpoint::builder().loopback(true).bind().unwrap();
    assert!(endpoint == endpoint.clone() && endpoint != other);
    // On one endpoint, and on endpoints of their own, where each connection is the first.
    let connections =
        [on(&endpoint).await, on(&endpoint).await, on(&other).await, connection().await, connection().await];
    let ids: HashSet<_> = connections.iter().map(PeerConnection::stable_id).collect();
    assert_eq!(ids.len(), connections.len());
    let set: HashSet<_> = connections.iter().cloned().chain(connections.iter().cloned()).collect();
    assert_eq!(set.len(), connections.len());
    let tracks: Vec<_> = connections
        .iter()
        .map(|connection| connection.add_track(TrackKind::Video, TransceiverInit::default()).unwrap())
        .collect();
    assert!(tracks.iter().all(|track| track.id() == tracks[0].id()), "unique in its connection only");
    assert_eq!(tracks.iter().collect::<HashSet<_>>().len(), connections.len());
    assert!(connections[0].sender(tracks[0].id()).unwrap() == tracks[0]);
    let channels: Vec<_> = connections
        .iter()
        .flat_map(|connection| ["one", "other"].map(|label| connection.create_data_channel(label).unwrap()))
        .collect();
    assert_eq!(channels.iter().cloned().collect::<HashSet<_>>().len(), channels.len());
    // What is sent and what is received on a transceiver are two things.
    let received = RtpReceiver::new(connections[0].handle.clone(), tracks[0].id());
    assert!(received == received.clone());
    assert_ne!(received.stable_id(), tracks[0].stable_id());
    let texts: HashSet<_> = channels.iter().map(|channel| channel.stable_id().to_string()).collect();
    assert_eq!(texts.len(), channels.len());
}

#[tokio::test]
async fn every_setting_of_a_session_can_be_reached() {
    let (alice, bob) = (
        PeerConnection::builder().loopback(true).session(|config| {
            config.set_mtu(1000);
            config.transports.change_srtp(|srtp| srtp.max_ssrcs = 7);
            config.transports.change_dtls(|dtls| {
                dtls.srtp_profiles = vec!["AES128_CM_HMAC_SHA1_80".parse().unwrap()];
            });
        }),
        PeerConnection::builder().loopback(true),
    );
    let (alice, bob) = (alice.build().await.unwrap(), bob.build().await.unwrap());
    alice.add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
    negotiate(&alice, &bob).await;
    timeout(LONG, bob.connected()).await.unwrap().unwrap();
    let report = bob.get_stats();
    let profile = report.iter().find_map(|entry| match entry {
        Stats::Transport(transport) => transport.srtp_cipher,
        _ => None,
    });
    assert!(format!("{profile:?}").contains("HMAC_SHA1_80"), "{profile:?}");
}
