//! TURN: nothing is allocated for relayed data, either way, in indications or through a channel.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Instant;

#[cfg(feature = "aws-lc-rs")]
use kaon_rtc::crypto::aws_lc_rs::provider;
#[cfg(not(feature = "aws-lc-rs"))]
use kaon_rtc::crypto::rust_crypto::provider;

use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::stun::{AttributeType, Class, Message, MessageBuilder, Method, TransactionId};
use kaon_rtc::turn::{ChannelData, Client, Config, Lifetime, Opened};

use crate::count_allocations;

fn path() -> FiveTuple {
    FiveTuple::udp("10.0.0.1:5000".parse().unwrap(), "10.0.0.2:3478".parse().unwrap())
}

/// Grants whatever the client asks; this server wants no credentials.
fn grant(client: &mut Client, now: Instant) {
    let mut batch = TransmitBatch::new(1200);
    while let Some(transmit) = client.poll_transmit(now, &mut batch) {
        let request = batch.bytes(&transmit).to_vec();
        let message = Message::decode(&request).unwrap();
        let mut answer = Vec::new();
        MessageBuilder::new(&mut answer, Class::Success, message.method(), message.transaction_id())
            .xor_address(AttributeType::XOR_RELAYED_ADDRESS, "10.0.0.2:50000".parse().unwrap())
            .attribute(AttributeType::LIFETIME, &Lifetime::DEFAULT.encode())
            .finish()
            .unwrap();
        client.open(now, Datagram::new(path(), &mut answer)).unwrap();
    }
}

#[test]
fn relayed_data_allocates_nothing() {
    let now = Instant::now();
    let peer: SocketAddr = "203.0.113.1:4000".parse().unwrap();
    let mut client = Client::new(now, &provider(), path(), Config::new("alice", "secret")).unwrap();
    client.permit(now, peer.ip()).unwrap();
    grant(&mut client, now);
    assert!(client.is_permitted(peer.ip()) && client.channel(peer).is_none());
    let mut indication = Vec::new();
    MessageBuilder::new(&mut indication, Class::Indication, Method::DATA, TransactionId([1; 12]))
        .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
        .attribute(AttributeType::DATA, &[7; 1000])
        .finish()
        .unwrap();
    for is_channel in [false, true] {
        let mut datagram = indication.clone();
        if is_channel {
            client.bind(now, peer).unwrap();
            grant(&mut client, now);
            let channel = client.channel(peer).unwrap();
            datagram = [&ChannelData::header(channel, 1000), &[7; 1000][..]].concat();
        }
        let mut batch = TransmitBatch::new(1200);
        client.send(now, peer, &[7; 1000], &mut batch).unwrap();
        let allocations = count_allocations(|| {
            for _ in 0..1000 {
                batch.clear();
                black_box(client.send(now, peer, &[7; 1000], &mut batch).unwrap());
                let opened = client.open(now, Datagram::new(path(), &mut datagram)).unwrap();
                assert!(matches!(opened, Opened::Data { range, .. } if range.len() == 1000));
                assert!(client.poll_transmit(now, &mut batch).is_none());
            }
        });
        assert_eq!(allocations, 0, "through a channel: {is_channel}");
    }
}
