//! Connections by way of TCP candidates.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::*;
use crate::layer::{Protocol, TcpKind};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn server() -> Endpoint {
    Endpoint::builder().address(loopback()).tcp(loopback()).loopback(true).bind().unwrap()
}

async fn client() -> PeerConnection {
    let socket = Endpoint::builder().address(loopback()).loopback(true);
    PeerConnection::builder().socket(socket).active_tcp(true).build().await.unwrap()
}

/// The description as if there were no UDP.
fn without_udp(connection: &PeerConnection) -> String {
    let text = connection.local_description().unwrap().text();
    let stays = |line: &&str| !(line.starts_with("a=candidate:") && line.contains(" udp "));
    text.split_inclusive("\r\n").filter(stays).collect()
}

async fn negotiate_tcp(alice: &PeerConnection, bob: &PeerConnection) {
    alice.set_local_description(None).unwrap();
    alice.gathering_complete().await;
    bob.set_remote_description(&Description::offer(&without_udp(alice)).unwrap()).unwrap();
    bob.set_local_description(None).unwrap();
    bob.gathering_complete().await;
    alice.set_remote_description(&Description::answer(&without_udp(bob)).unwrap()).unwrap();
}

/// One port of TCP serves many connections, whoever offers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_share_one_port_of_tcp() {
    let endpoint = server();
    let mut all = Vec::new();
    for number in 0..6 {
        let (alice, bob) = (client().await, on(&endpoint).await);
        let (offerer, answerer) = if number % 2 == 0 { (&alice, &bob) } else { (&bob, &alice) };
        let chat = offerer.create_data_channel("chat").unwrap();
        negotiate_tcp(offerer, answerer).await;
        timeout(LONG, chat.opened()).await.unwrap().unwrap();
        let there = channel_of(answerer).await;
        all.push((alice, bob, chat, there));
    }
    for (alice, bob, chat, there) in &all {
        for (from, to) in [(chat, there), (there, chat)] {
            for size in [1usize, 1000, 200_000] {
                let sent = Bytes::from(vec![size as u8; size]);
                from.send(sent.clone()).await.unwrap();
                assert!(*timeout(LONG, to.recv()).await.unwrap().unwrap().data() == sent, "{size} bytes");
            }
        }
        let (near, far) = (alice.selected_pair().unwrap(), bob.selected_pair().unwrap());
        assert_eq!((near.path.protocol, near.remote.tcp_kind), (Protocol::Tcp, Some(TcpKind::Passive)));
        assert_eq!((far.path.local, far.path.remote), (near.path.remote, near.path.local));
    }
    for (alice, bob, ..) in &all {
        timeout(LONG, alice.shutdown()).await.unwrap().unwrap();
        timeout(LONG, bob.shutdown()).await.unwrap().unwrap();
    }
}

/// Strangers at the port hold up nobody.
#[tokio::test]
async fn strangers_at_the_port_are_of_no_consequence() {
    let endpoint = server();
    let (alice, bob) = (client().await, on(&endpoint).await);
    let chat = alice.create_data_channel("chat").unwrap();
    alice.set_local_description(None).unwrap();
    alice.gathering_complete().await;
    bob.set_remote_description(&Description::offer(&without_udp(&alice)).unwrap()).unwrap();
    bob.set_local_description(None).unwrap();
    bob.gathering_complete().await;
    let answer = without_udp(&bob);
    let line = answer.lines().find(|line| line.contains(" tcptype passive")).unwrap();
    let port: u16 = line.split(' ').nth(5).unwrap().parse().unwrap();
    let mut strangers = Vec::new();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\0\x64half", b""] {
        let mut stranger = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stranger.write_all(bytes).await.unwrap();
        strangers.push(stranger);
    }
    alice.set_remote_description(&Description::answer(&answer).unwrap()).unwrap();
    timeout(LONG, chat.opened()).await.unwrap().unwrap();
    let end = timeout(LONG, strangers[0].read(&mut [0; 10])).await.expect("another protocol is closed");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

/// Neither has a port that only waits, and neither only opens: both do both (RFC 6544 §4.1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_open_a_stream_at_the_same_time() {
    let socket = || Endpoint::builder().address(loopback()).simultaneous_open(loopback()).loopback(true);
    for _ in 0..5 {
        let [alice, bob] =
            [socket(), socket()].map(|socket| PeerConnection::builder().socket(socket).build());
        let (alice, bob) = (alice.await.unwrap(), bob.await.unwrap());
        let chat = alice.create_data_channel("chat").unwrap();
        negotiate_tcp(&alice, &bob).await;
        timeout(LONG, chat.opened()).await.unwrap().unwrap();
        let there = channel_of(&bob).await;
        for (from, to) in [(&chat, &there), (&there, &chat)] {
            let sent = Bytes::from(vec![7; 200_000]);
            from.send(sent.clone()).await.unwrap();
            assert!(*timeout(LONG, to.recv()).await.unwrap().unwrap().data() == sent);
        }
        let (near, far) = (alice.selected_pair().unwrap(), bob.selected_pair().unwrap());
        for pair in [&near, &far] {
            let kinds = [pair.local.tcp_kind, pair.remote.tcp_kind];
            assert_eq!(kinds, [Some(TcpKind::SimultaneousOpen); 2]);
        }
        assert_eq!((far.path.local, far.path.remote), (near.path.remote, near.path.local));
        let is_so = |stats: &crate::session::Stats| matches!(stats, crate::session::Stats::LocalCandidate(it) if it.tcp_type == Some(TcpKind::SimultaneousOpen));
        assert!(alice.get_stats().iter().any(is_so));
        timeout(LONG, alice.shutdown()).await.unwrap().unwrap();
        timeout(LONG, bob.shutdown()).await.unwrap().unwrap();
    }
}
