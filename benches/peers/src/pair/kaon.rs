use kaon_rtc::peer_connection::{DataChannel, PeerConnection, PeerConnectionEvent};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::Pair;

/// Kaon's `PeerConnection`, as it is by default.
#[derive(Debug)]
pub struct Kaon {
    peers: [PeerConnection; 2],
    out: DataChannel,
    /// Counts messages until there are that many.
    expect: Sender<usize>,
    arrived: Receiver<()>,
}

/// Every application does, at least to learn that the connection is lost.
async fn fetch_events(peer: PeerConnection) {
    while peer.next_event().await.is_some() {}
}

impl Pair for Kaon {
    async fn connect() -> Self {
        let make = || PeerConnection::builder().loopback(true).build();
        let alice = make().await.expect("a connection");
        let bob = make().await.expect("a connection");
        let out = alice.create_data_channel("data").expect("a channel");
        alice.set_local_description(None).expect("an offer");
        alice.gathering_complete().await;
        bob.set_remote_description(&alice.local_description().expect("an offer")).expect("a sound offer");
        bob.set_local_description(None).expect("an answer");
        bob.gathering_complete().await;
        alice.set_remote_description(&bob.local_description().expect("an answer")).expect("a sound answer");
        out.opened().await.expect("an open channel");
        let (expect, mut expected) = channel::<usize>(1);
        let (tell, arrived) = channel(1);
        tokio::spawn(fetch_events(alice.clone()));
        let there = bob.clone();
        tokio::spawn(async move {
            let incoming = loop {
                match there.next_event().await {
                    Some(PeerConnectionEvent::DataChannel(incoming)) => break incoming,
                    Some(_) => {}
                    None => return,
                }
            };
            tokio::spawn(fetch_events(there));
            while let Some(count) = expected.recv().await {
                for _ in 0..count {
                    if incoming.recv().await.is_none() {
                        return;
                    }
                }
                if tell.send(()).await.is_err() {
                    return;
                }
            }
        });
        Self { peers: [alice, bob], out, expect, arrived }
    }

    async fn send(&mut self, size: usize, count: usize) {
        self.expect.send(count).await.expect("a receiver");
        let message = bytes::Bytes::from(vec![7; size]);
        let out = self.out.clone();
        let sending = tokio::spawn(async move {
            for _ in 0..count {
                out.send(message.clone()).await.expect("an open channel");
            }
        });
        self.arrived.recv().await.expect("a receiver");
        sending.await.expect("the sender is done");
    }

    async fn close(self) {
        self.peers.iter().for_each(PeerConnection::close);
    }
}
