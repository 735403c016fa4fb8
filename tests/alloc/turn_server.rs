//! A TURN server: nothing is kept of strangers, an allocation is small, and nothing is allocated for what is relayed.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

#[cfg(feature = "aws-lc-rs")]
use kaon_rtc::crypto::aws_lc_rs::provider;
#[cfg(not(feature = "aws-lc-rs"))]
use kaon_rtc::crypto::rust_crypto::provider;

use kaon_rtc::layer::{Datagram, FiveTuple, Layer, Transmit, TransmitBatch};
use kaon_rtc::stun::{AttributeType, Class, MessageBuilder, Method, TransactionId};
use kaon_rtc::turn::server::{Config, Credentials, Event, RelayAddress, Server};
use kaon_rtc::turn::{ChannelData, Client};

use crate::{count_allocations, heap_held};

fn server(now: Instant, config: impl FnOnce(&mut Config)) -> Server {
    let users = Credentials::default().with_user("alice", "secret");
    let relay = RelayAddress::new("203.0.113.1".parse().unwrap()).with_ports(1024..=65_535);
    let mut all = Config::new(users, [relay]);
    config(&mut all);
    Server::new(now, Duration::ZERO, &provider(), all).unwrap()
}

fn path(port: u16) -> FiveTuple {
    FiveTuple::udp("203.0.113.1:999".parse().unwrap(), SocketAddr::new([8, 8, 4, 4].into(), port))
}

/// Carries everything between a client and the server.
fn carry(now: Instant, client: &mut Client, server: &mut Server, path: FiveTuple) {
    for _ in 0..8 {
        let (mut up, mut down) = (TransmitBatch::new(1200), TransmitBatch::new(1200));
        while let Some(transmit) = client.poll_transmit(now, &mut up) {
            server
                .handle_datagram(now, Datagram::new(path, up.datagrams_mut(&transmit).next().unwrap()))
                .unwrap();
        }
        while let Some(event) = server.poll_event() {
            if let Event::OpenRelay(local) = event {
                server.relay_opened(now, local);
            }
        }
        while let Some(transmit) = server.poll_transmit(now, &mut down) {
            let back = FiveTuple::udp(path.remote, path.local);
            let _ = client.open(now, Datagram::new(back, down.datagrams_mut(&transmit).next().unwrap()));
        }
    }
}

fn client(now: Instant, path: FiveTuple) -> Client {
    let to_server = FiveTuple::udp(path.remote, path.local);
    Client::new(now, &provider(), to_server, kaon_rtc::turn::Config::new("alice", "secret")).unwrap()
}

#[test]
fn a_million_strangers_leave_the_heap_flat() {
    let mut now = Instant::now();
    let mut server = server(now, |config| config.answers = u32::MAX);
    let mut bytes = Vec::new();
    MessageBuilder::new(&mut bytes, Class::Request, Method::ALLOCATE, TransactionId([1; 12]))
        .attribute(AttributeType::REQUESTED_TRANSPORT, &[17, 0, 0, 0])
        .finish()
        .unwrap();
    let mut batch = TransmitBatch::new(1200);
    let mut flood = |now, from: u32, count: u32| {
        for number in from..from + count {
            bytes[8..12].copy_from_slice(&number.to_be_bytes());
            let source = SocketAddr::new(Ipv4Addr::from_bits(0x0800_0000 + number).into(), 5000);
            let path = FiveTuple::udp(path(1).local, source);
            server.handle_datagram(now, Datagram::new(path, &mut bytes.clone())).unwrap();
            while server.poll_transmit(now, &mut batch).is_some() {}
            batch.clear();
        }
    };
    flood(now, 0, 1000);
    let ((), held) = heap_held(|| {
        for round in 0..1000 {
            now += Duration::from_millis(10);
            flood(now, round * 1000, 1000);
        }
    });
    assert_eq!(held, 0);
    assert!(server.statistics().unauthenticated > 900_000);
}

#[test]
fn an_idle_allocation_is_small() {
    let now = Instant::now();
    let mut server = server(now, |config| {
        (config.max_allocations_per_user, config.answers_per_source) = (10_000, u32::MAX);
    });
    let mut clients: Vec<_> = (0..2000).map(|port| (client(now, path(port + 1)), path(port + 1))).collect();
    let ((), held) = heap_held(|| {
        for (client, path) in &mut clients {
            carry(now, client, &mut server, *path);
            client.bind(now, "1.1.1.1:5000".parse().unwrap()).unwrap();
            carry(now, client, &mut server, *path);
        }
    });
    assert!(clients.iter().all(|(client, _)| client.channel("1.1.1.1:5000".parse().unwrap()).is_some()));
    // What the clients have grown by is counted, too.
    println!("an idle allocation with a channel: {} bytes, those of its client included", held / 2000);
    assert!(held / 2000 < 4096, "{}", held / 2000);
}

#[test]
fn relayed_data_allocates_nothing() {
    let now = Instant::now();
    let mut server = server(now, |_| {});
    let peer: SocketAddr = "1.1.1.1:5000".parse().unwrap();
    let mut client = client(now, path(1));
    client.bind(now, peer).unwrap();
    carry(now, &mut client, &mut server, path(1));
    let relayed = client.allocation().unwrap().relayed[0];
    let channel = client.channel(peer).unwrap();
    let channel_data = [&ChannelData::header(channel, 1000)[..], &[7; 1000]].concat().repeat(10);
    let mut indication = Vec::new();
    MessageBuilder::new(&mut indication, Class::Indication, Method::SEND, TransactionId([1; 12]))
        .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
        .attribute(AttributeType::DATA, &[7; 1000])
        .finish()
        .unwrap();
    let other = SocketAddr::new(peer.ip(), 1);
    let (mut out, mut transmits) = (TransmitBatch::new(1500), Vec::<Transmit>::new());
    let mut relay = |path, bytes: &mut [u8], size| {
        server.receive(now, [(Datagram::new(path, bytes), size)], &mut out, &mut transmits).unwrap();
        let relayed: usize = transmits.iter().map(Transmit::len).sum();
        out.clear();
        transmits.clear();
        relayed
    };
    for (path, bytes, size, relayed) in [
        (path(1), channel_data, 1004, 10_000),
        (path(1), indication, 1048, 1000),
        (FiveTuple::udp(relayed, peer), vec![7; 10_000], 1000, 10_040),
        (FiveTuple::udp(relayed, other), vec![7; 10_000], 1000, 10_360),
    ] {
        let mut bytes = bytes;
        assert_eq!(relay(path, &mut bytes, size), relayed);
        let allocations = count_allocations(|| {
            for _ in 0..100 {
                relay(path, &mut bytes, size);
            }
        });
        assert_eq!(allocations, 0);
    }
}
