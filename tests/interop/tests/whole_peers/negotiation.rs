use kaon_interop::Restart;
use kaon_rtc::peer_connection::{
    PeerConnectionEvent, RtpReceiver, SignalingState, TrackKind, TransceiverInit,
};
use serde_json::json;
use tokio::time::timeout;

use crate::peer::{Capability, LONG, PEERS, Pair, Peer, ask};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tracks_are_added_and_removed_ten_times() {
    for peer in PEERS {
        for peer_offered in [true, false] {
            let Some(mut pair) = Pair::start(peer).await else { continue };
            let chat = pair.connect(peer_offered).await;
            for round in 0..10 {
                pair.tell(json!({ "do": "add" }));
                pair.negotiate(true).await;
                let track = packets_come(&mut pair).await;
                pair.tell(json!({ "do": "remove" }));
                pair.negotiate(true).await;
                let ended = |event: &PeerConnectionEvent| {
                    matches!(event, PeerConnectionEvent::TrackEnded(id) if *id == track.id()).then_some(())
                };
                pair.event(ended).await;

                let local = pair.kaon.add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
                pair.negotiate(false).await;
                assert!(local.may_send(), "{peer:?}, round {round}");
                // A track that was removed keeps its section for the same transceiver; one that is stopped gives
                // it up, and the next takes its place.
                if round % 2 == 1 && peer.can(Capability::SectionReuse) {
                    pair.kaon.stop_transceiver(local.id()).unwrap();
                } else {
                    local.remove().unwrap();
                }
                pair.negotiate(false).await;
                assert!(!local.may_send(), "{peer:?}, round {round}");
            }
            assert_eq!(pair.kaon.signaling_state(), SignalingState::Stable);
            ask(&chat, "after ten rounds").await;
        }
    }
}

/// The peer sends its track, and not only says so. (libdatachannel says of each section that it sends.)
async fn packets_come(pair: &mut Pair) -> RtpReceiver {
    let track = pair
        .event(|event| match event {
            PeerConnectionEvent::Track(track) if track.kind() == Some(TrackKind::Video) => {
                Some(track.clone())
            }
            _ => None,
        })
        .await;
    let packet = timeout(LONG, track.recv_rtp()).await.expect("in time").expect("a packet");
    let packet = packet.as_packet();
    assert!(!packet.payload().is_empty() || packet.padding_len() > 0, "{:?}", pair.peer);
    track
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ice_restarts() {
    for peer in Peer::all_that_can(Capability::IceRestart) {
        for peer_offered in [true, false] {
            let Some(mut pair) = Pair::start(peer).await else { continue };
            let chat = pair.connect(peer_offered).await;
            for peer_restarts in [true, false, true] {
                let restart = Restart::begin(&pair.kaon);
                if peer_restarts {
                    pair.tell(json!({ "do": "restart" }));
                    pair.answer().await;
                } else {
                    pair.kaon.restart_ice();
                    pair.negotiate(false).await;
                }
                restart.complete(&pair.kaon).await;
                pair.connected().await;
                ask(&chat, "after the restart").await;
            }
        }
    }
}

/// Both sides offer at once, to connect and when connected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_at_once_are_settled() {
    for peer in PEERS {
        for kaon_is_polite in [true, false] {
            if !kaon_is_polite && !peer.can(Capability::Rollback) {
                continue;
            }
            let Some(mut pair) = Pair::start(peer).await else { continue };
            if !kaon_is_polite {
                pair.tell(json!({ "do": "polite" }));
            }
            let own = pair.kaon.create_data_channel("from Kaon").unwrap();
            pair.tell(json!({ "do": "channel", "label": "from the peer", "ordered": true }));
            collide(&mut pair, kaon_is_polite).await;
            pair.connected().await;
            timeout(LONG, own.opened()).await.unwrap().unwrap();
            assert_eq!(pair.wait_for("channel")["channel"], "from Kaon", "{peer:?}");
            let theirs = pair.channel().await;
            assert_eq!(theirs.label(), "from the peer");
            ask(&own, "in one channel").await;
            ask(&theirs, "and in the other").await;

            // What the polite side wants besides is offered afterwards.
            let local = pair.kaon.add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
            pair.tell(json!({ "do": "add" }));
            collide(&mut pair, kaon_is_polite).await;
            pair.negotiate(!kaon_is_polite).await;
            packets_come(&mut pair).await;
            assert!(local.may_send(), "{peer:?}");
            ask(&own, "still").await;
        }
    }
}

/// Perfect negotiation (W3C WebRTC §10.7): the polite side takes its offer back for that of the other, which ignores it.
async fn collide(pair: &mut Pair, kaon_is_polite: bool) {
    pair.tell(json!({ "do": "offer" }));
    let offer = pair.wait_for("sdp");
    pair.offer().await;
    assert_eq!(pair.kaon.signaling_state(), SignalingState::HaveLocalOffer);
    if kaon_is_polite {
        assert_eq!(pair.wait_for("ignored")["ignored"], "offer", "{:?}", pair.peer);
        pair.answer_to(&offer).await;
    } else {
        pair.accept_answer();
    }
    assert_eq!(pair.kaon.signaling_state(), SignalingState::Stable);
}
