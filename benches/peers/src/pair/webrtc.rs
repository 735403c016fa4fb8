use std::sync::Arc;

use bytes::BytesMut;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceGatheringState, Registry, register_default_interceptors,
};
use webrtc::runtime::default_runtime;

use super::{HIGH_WATER, Pair};

/// webrtc 0.21.
pub struct Webrtc {
    peers: [Arc<dyn PeerConnection>; 2],
    out: Arc<dyn DataChannel>,
    expect: Sender<usize>,
    arrived: Receiver<()>,
}

struct Handler {
    gathered: Sender<()>,
    channels: Sender<Arc<dyn DataChannel>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.gathered.try_send(());
        }
    }

    async fn on_data_channel(&self, incoming: Arc<dyn DataChannel>) {
        let _ = self.channels.try_send(incoming);
    }
}

struct Peer {
    connection: Arc<dyn PeerConnection>,
    gathered: Receiver<()>,
    channels: Receiver<Arc<dyn DataChannel>>,
}

impl Peer {
    async fn new() -> Self {
        let (tell_gathered, gathered) = channel(4);
        let (tell_channel, channels) = channel(4);
        let mut media = MediaEngine::default();
        media.register_default_codecs().expect("codecs");
        let registry = register_default_interceptors(Registry::new(), &mut media).expect("interceptors");
        let connection = PeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_media_engine(media)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(Handler { gathered: tell_gathered, channels: tell_channel }))
            .with_runtime(default_runtime().expect("tokio"))
            .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
            .with_data_channel_send_buffer_limit(HIGH_WATER)
            .build()
            .await
            .expect("a connection");
        Self { connection: Arc::new(connection), gathered, channels }
    }
}

impl Pair for Webrtc {
    async fn connect() -> Self {
        let mut alice = Peer::new().await;
        let out = alice.connection.create_data_channel("data", None).await.expect("a channel");
        let offer = alice.connection.create_offer(None).await.expect("an offer");
        alice.connection.set_local_description(offer).await.expect("an offer");
        alice.gathered.recv().await;
        let offer = alice.connection.local_description().await.expect("an offer");
        let mut bob = Peer::new().await;
        bob.connection.set_remote_description(offer).await.expect("a sound offer");
        let answer = bob.connection.create_answer(None).await.expect("an answer");
        bob.connection.set_local_description(answer).await.expect("an answer");
        bob.gathered.recv().await;
        let answer = bob.connection.local_description().await.expect("an answer");
        alice.connection.set_remote_description(answer).await.expect("a sound answer");
        loop {
            match out.poll().await {
                Some(DataChannelEvent::OnOpen) => break,
                Some(_) => {}
                None => panic!("the channel was closed"),
            }
        }
        // Its events are not asked for: the implementation holds `send` back itself.
        let events = out.clone();
        tokio::spawn(async move { while events.poll().await.is_some() {} });
        let (expect, mut expected) = channel::<usize>(1);
        let (tell, arrived) = channel(1);
        tokio::spawn(async move {
            let Some(incoming) = bob.channels.recv().await else { return };
            while let Some(count) = expected.recv().await {
                let mut received = 0;
                while received < count {
                    match incoming.poll().await {
                        Some(DataChannelEvent::OnMessage(_)) => received += 1,
                        Some(_) => {}
                        None => return,
                    }
                }
                if tell.send(()).await.is_err() {
                    return;
                }
            }
        });
        Self { peers: [alice.connection, bob.connection], out, expect, arrived }
    }

    async fn send(&mut self, size: usize, count: usize) {
        self.expect.send(count).await.expect("a receiver");
        let message = BytesMut::from(&*vec![7; size]);
        for _ in 0..count {
            self.out.send(message.clone()).await.expect("an open channel");
        }
        self.arrived.recv().await.expect("a receiver");
    }

    async fn close(self) {
        for peer in self.peers {
            peer.close().await.expect("a connection closes");
        }
    }
}
