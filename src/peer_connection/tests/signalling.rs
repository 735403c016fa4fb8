//! What comes back from signalling that sends to all.

use super::*;

fn is_own(result: Result<(), PeerConnectionError>) -> bool {
    matches!(result, Err(PeerConnectionError::Session(SessionError::OwnDescription)))
}

#[tokio::test]
async fn the_description_of_this_side_is_not_taken_for_the_peers() {
    let (alice, bob) = (connection().await, connection().await);
    let chat = alice.create_data_channel("chat").unwrap();
    alice.set_local_description(None).unwrap();
    alice.gathering_complete().await;
    let offer = alice.local_description().unwrap();
    assert!(is_own(alice.set_remote_description(&offer)));
    // As it came back, and said to be an answer.
    assert!(is_own(alice.set_remote_description(&Description::answer(&offer.text()).unwrap())));
    assert_eq!(alice.signaling_state(), SignalingState::HaveLocalOffer);

    // Its candidates come back, too, before and after the peer's description.
    let line = offer.text().lines().find_map(|line| line.strip_prefix("a=candidate:").map(str::to_owned));
    let own = IceCandidateInit {
        candidate: format!("candidate:{}", line.unwrap()),
        sdp_mid: Some("0".to_owned()),
        username_fragment: offer
            .text()
            .lines()
            .find_map(|line| Some(line.strip_prefix("a=ice-ufrag:")?.to_owned())),
        ..IceCandidateInit::default()
    };
    alice.add_ice_candidate(&own).unwrap();

    bob.set_remote_description(&Description::offer(&offer.text()).unwrap()).unwrap();
    bob.set_local_description(None).unwrap();
    bob.gathering_complete().await;
    let answer = bob.local_description().unwrap();
    assert!(is_own(bob.set_remote_description(&answer)));
    assert!(is_own(bob.set_remote_description(&Description::offer(&answer.text()).unwrap())));
    alice.set_remote_description(&Description::answer(&answer.text()).unwrap()).unwrap();
    alice.add_ice_candidate(&own).unwrap();
    timeout(LONG, chat.opened()).await.unwrap().unwrap();
    let remote_candidates =
        alice.get_stats().iter().filter(|entry| matches!(entry, Stats::RemoteCandidate(_))).count();
    assert_eq!(remote_candidates, answer.text().matches("a=candidate:").count());

    // In a later exchange, with credentials of before and new ones.
    alice.restart_ice();
    alice.set_local_description(None).unwrap();
    assert!(is_own(alice.set_remote_description(&alice.local_description().unwrap())));
    assert!(is_own(alice.set_remote_description(&offer)));
    let restart = alice.local_description().unwrap();
    bob.set_remote_description(&restart).unwrap();
    bob.set_local_description(None).unwrap();
    alice.set_remote_description(&bob.local_description().unwrap()).unwrap();
    assert_eq!(alice.signaling_state(), SignalingState::Stable);
}

/// A thread of a program that has its runtime elsewhere.
#[test]
fn a_handler_needs_no_runtime_around_it() {
    struct Tells(std::sync::mpsc::Sender<ConnectionState>);

    #[async_trait]
    impl PeerConnectionHandler for Tells {
        async fn on_connection_state(&mut self, _connection: &PeerConnection, state: ConnectionState) {
            self.0.send(state).unwrap();
        }
    }

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let alice = runtime.block_on(connection());
    let (sender, told) = std::sync::mpsc::channel();
    alice.handle_events(Tells(sender));
    alice.close();
    assert_eq!(told.recv_timeout(LONG).unwrap(), ConnectionState::Closed);
    drop(runtime);
    // It is gone, and the handler with it.
    let (sender, told) = std::sync::mpsc::channel();
    alice.handle_events(Tells(sender));
    assert!(told.recv_timeout(LONG).is_err());
}

#[tokio::test]
async fn errors_say_what_to_do() {
    let (alice, bob) = (connection().await, connection().await);
    let early = IceCandidateInit {
        candidate: "candidate:1 1 udp 1 192.0.2.1 5 typ host".to_owned(),
        sdp_mid: Some("0".to_owned()),
        ..IceCandidateInit::default()
    };
    let error = alice.add_ice_candidate(&early).unwrap_err().to_string();
    assert!(error.contains("keep it until set_remote_description"), "{error}");

    let track = alice.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    let payload_type = crate::layer::PayloadType::from_low_bits(96);
    let packet = || OutgoingRtp::new(payload_type, RtpTimestamp(0), true, Bytes::from_static(b"early"));
    let error = track.send_rtp(packet()).unwrap_err();
    assert!(matches!(error, PeerConnectionError::Session(SessionError::NotNegotiated(_))), "{error}");
    negotiate(&alice, &bob).await;
    alice.set_direction(track.id(), Direction::Inactive).unwrap();
    negotiate(&alice, &bob).await;
    let error = track.send_rtp(packet()).unwrap_err();
    assert!(matches!(error, PeerConnectionError::Session(SessionError::NotSending(_))), "{error}");

    // Both offer, and each answers the other.
    for connection in [&alice, &bob] {
        connection.set_local_description(None).unwrap();
    }
    let offers = [&alice, &bob].map(|connection| connection.local_description().unwrap());
    alice.set_remote_description(&offers[1]).unwrap();
    bob.set_remote_description(&offers[0]).unwrap();
    for connection in [&alice, &bob] {
        connection.set_local_description(None).unwrap();
    }
    let error = alice.set_remote_description(&bob.local_description().unwrap()).unwrap_err().to_string();
    assert!(error.contains("perfect_negotiation"), "{error}");

    let alert = crate::layer::DtlsError::AlertReceived { code: 42, description: "bad_certificate" };
    assert!(alert.to_string().contains("does not accept the certificate of this side"), "{alert}");
}
