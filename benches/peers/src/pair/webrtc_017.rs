use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use webrtc_017::api::APIBuilder;
use webrtc_017::api::interceptor_registry::register_default_interceptors;
use webrtc_017::api::media_engine::MediaEngine;
use webrtc_017::api::setting_engine::SettingEngine;
use webrtc_017::data_channel::RTCDataChannel;
use webrtc_017::interceptor::registry::Registry;
use webrtc_017::peer_connection::RTCPeerConnection;
use webrtc_017::peer_connection::configuration::RTCConfiguration;

use super::{HIGH_WATER, LOW_WATER, Pair};

/// webrtc 0.17.
pub struct Webrtc017 {
    peers: [RTCPeerConnection; 2],
    out: Arc<RTCDataChannel>,
    low: Arc<Notify>,
    arrived: Arc<Arrived>,
}

#[derive(Default)]
struct Arrived {
    count: AtomicUsize,
    expected: AtomicUsize,
    all: Notify,
}

async fn peer() -> RTCPeerConnection {
    let mut media = MediaEngine::default();
    media.register_default_codecs().expect("codecs");
    let registry = register_default_interceptors(Registry::new(), &mut media).expect("interceptors");
    let mut settings = SettingEngine::default();
    settings.set_include_loopback_candidate(true);
    APIBuilder::new()
        .with_media_engine(media)
        .with_interceptor_registry(registry)
        .with_setting_engine(settings)
        .build()
        .new_peer_connection(RTCConfiguration::default())
        .await
        .expect("a connection")
}

impl Pair for Webrtc017 {
    async fn connect() -> Self {
        let (alice, bob) = (peer().await, peer().await);
        let out = alice.create_data_channel("data", None).await.expect("a channel");
        let (open, low) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let opened = open.clone();
        out.on_open(Box::new(move || {
            opened.notify_one();
            Box::pin(async {})
        }));
        out.set_buffered_amount_low_threshold(LOW_WATER).await;
        let told = low.clone();
        out.on_buffered_amount_low(Box::new(move || {
            told.notify_one();
            Box::pin(async {})
        }))
        .await;
        let arrived = Arc::new(Arrived::default());
        let at_bob = arrived.clone();
        bob.on_data_channel(Box::new(move |incoming| {
            let arrived = at_bob.clone();
            incoming.on_message(Box::new(move |_| {
                let count = arrived.count.fetch_add(1, Ordering::AcqRel) + 1;
                if count == arrived.expected.load(Ordering::Acquire) {
                    arrived.all.notify_one();
                }
                Box::pin(async {})
            }));
            Box::pin(async {})
        }));
        let mut gathered = alice.gathering_complete_promise().await;
        let offer = alice.create_offer(None).await.expect("an offer");
        alice.set_local_description(offer).await.expect("an offer");
        let _ = gathered.recv().await;
        bob.set_remote_description(alice.local_description().await.expect("an offer"))
            .await
            .expect("a sound offer");
        let mut gathered = bob.gathering_complete_promise().await;
        let answer = bob.create_answer(None).await.expect("an answer");
        bob.set_local_description(answer).await.expect("an answer");
        let _ = gathered.recv().await;
        alice
            .set_remote_description(bob.local_description().await.expect("an answer"))
            .await
            .expect("a sound answer");
        open.notified().await;
        Self { peers: [alice, bob], out, low, arrived }
    }

    async fn send(&mut self, size: usize, count: usize) {
        self.arrived.expected.fetch_add(count, Ordering::AcqRel);
        let message = bytes::Bytes::from(vec![7; size]);
        for _ in 0..count {
            while self.out.buffered_amount().await > HIGH_WATER {
                self.low.notified().await;
            }
            self.out.send(&message).await.expect("an open channel");
        }
        self.arrived.all.notified().await;
    }

    async fn close(self) {
        for peer in self.peers {
            peer.close().await.expect("a connection closes");
        }
    }
}
