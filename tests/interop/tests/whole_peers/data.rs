use std::time::Duration;

use bytes::Bytes;
use kaon_rtc::peer_connection::{ChannelInit, ConnectionState, DataChannel};
use serde_json::json;
use tokio::time::timeout;

use crate::peer::{LONG, PEERS, Pair, Peer, ask};

fn piece(index: usize, size: usize) -> Bytes {
    let mut piece: Vec<_> = (0..size).map(|at| (at * 31 + index) as u8).collect();
    for (byte, number) in piece.iter_mut().zip((index as u32).to_be_bytes()) {
        *byte = number;
    }
    piece.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_all_sizes_come_back() {
    for peer in PEERS {
        for peer_offers in [true, false] {
            let Some(mut pair) = Pair::start(peer).await else { continue };
            let chat = pair.connect(peer_offers).await;
            ask(&chat, "text").await;
            let sender = tokio::spawn({
                let chat = chat.clone();
                async move {
                    for index in 0..128 {
                        chat.send(piece(index, 1 + index * 509 % 60_000)).await.unwrap();
                    }
                }
            });
            for index in 0..128 {
                let message = timeout(LONG, chat.recv()).await.expect("in time").expect("a message");
                assert_eq!(*message.data(), piece(index, 1 + index * 509 % 60_000), "{peer:?} {index}");
            }
            sender.await.unwrap();
        }
    }
}

/// What is sent back is compared, so that all of it has gone both ways.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_mebibytes_go_both_ways() {
    for peer in PEERS {
        for peer_offers in [true, false] {
            let Some(mut pair) = Pair::start(peer).await else { continue };
            let channels = [("ordered", true), ("unordered", false)];
            let mut open = Vec::new();
            for (label, ordered) in channels {
                if peer_offers {
                    pair.tell(json!({ "do": "channel", "label": label, "ordered": ordered }));
                } else {
                    let mut init = ChannelInit::new(label);
                    init.ordered = ordered;
                    open.push(pair.kaon.create_data_channel(init).unwrap());
                }
            }
            pair.negotiate(peer_offers).await;
            pair.connected().await;
            while open.len() < channels.len() {
                open.push(pair.channel().await);
            }
            for (label, ordered) in channels {
                let channel = open.iter().find(|channel| channel.label() == label).unwrap();
                timeout(LONG, channel.opened()).await.unwrap().unwrap();
                assert_eq!(channel.init().ordered, ordered, "{peer:?}");
                if !peer_offers {
                    let told = pair.wait_for("channel");
                    assert_eq!(told["channel"], label, "{peer:?}");
                    // libdatachannel does not tell.
                    assert!(peer == Peer::Libdatachannel || told["ordered"] == ordered, "{peer:?}: {told}");
                }
            }
            for (label, ordered) in channels {
                let channel = open.iter().find(|channel| channel.label() == label).unwrap();
                transfer(channel, ordered, peer).await;
            }
        }
    }
}

async fn transfer(channel: &DataChannel, ordered: bool, peer: Peer) {
    const TOTAL: usize = 16 << 20;
    const SIZE: usize = 32 << 10;
    const COUNT: usize = TOTAL / SIZE;
    let sender = tokio::spawn({
        let channel = channel.clone();
        async move {
            for index in 0..COUNT {
                channel.send(piece(index, SIZE)).await.unwrap();
            }
        }
    });
    let mut seen = vec![false; COUNT];
    for count in 0..COUNT {
        let message = timeout(LONG, channel.recv()).await.expect("in time").expect("a message");
        let index = u32::from_be_bytes(*message.data().first_chunk().unwrap()) as usize;
        if ordered {
            assert_eq!(index, count, "{peer:?}");
        }
        assert!(!std::mem::replace(&mut seen[index], true), "{peer:?}: {index} came twice");
        assert!(*message.data() == piece(index, SIZE), "{peer:?}: {index} is not what was sent");
    }
    timeout(LONG, sender).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_is_seen_within_a_second() {
    const SECOND: Duration = Duration::from_secs(1);
    for peer in PEERS {
        for peer_offers in [true, false] {
            let Some(mut pair) = Pair::start(peer).await else { continue };
            let chat = pair.connect(peer_offers).await;
            ask(&chat, "text").await;
            pair.tell(json!({ "do": "close" }));
            while pair.wait_for("state")["state"] != "closed by itself" {}
            // Not every library ends DTLS when it closes; all end SCTP.
            let closed = async {
                tokio::select! {
                    () = chat.closed() => {}
                    () = async { while pair.kaon.next_event().await.is_some() {} } => {}
                }
            };
            timeout(SECOND, closed).await.unwrap_or_else(|_| panic!("{peer:?} within a second"));

            let Some(mut pair) = Pair::start(peer).await else { continue };
            let chat = pair.connect(peer_offers).await;
            ask(&chat, "text").await;
            pair.kaon.close();
            let began = std::time::Instant::now();
            assert_eq!(pair.wait_for("closed")["closed"], "chat", "{peer:?}");
            assert!(began.elapsed() < SECOND, "{peer:?}: {:?}", began.elapsed());
            assert_eq!(pair.kaon.connection_state(), ConnectionState::Closed);
        }
    }
}
