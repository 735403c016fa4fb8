//! Streams on sockets: datagrams in them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use kaon_rtc::layer::{
    FiveTuple, Framing, StreamOpening, StreamReport, StreamRequest, StreamToken, TransmitBatch,
};
use kaon_rtc::net::{ReceiveBatch, Sockets, Streams, UdpSocket};

use crate::count_allocations;

fn exchange(streams: &Streams, path: FiveTuple, peer: &mut std::net::TcpStream, out: &mut TransmitBatch) {
    // ChannelData of 1000 bytes, which is the same whatever tells its length.
    let mut segments = out.segments(Some(path), None);
    for _ in 0..10 {
        segments.datagram().extend_from_slice(&[0x40, 0, 0x03, 0xe8]);
        segments.datagram().extend_from_slice(&[7; 1000]);
        segments.end_datagram();
    }
    let transmit = segments.finish().unwrap();
    streams.try_send(out, &transmit).unwrap();
    out.clear();
    let mut received = [0; 1004];
    for _ in 0..10 {
        peer.read_exact(&mut received).unwrap();
        peer.write_all(&received).unwrap();
    }
}

async fn receive(streams: &Streams, batch: &mut ReceiveBatch) -> usize {
    std::future::poll_fn(|context| streams.poll_recv(context, batch)).await;
    batch.datagrams().count()
}

async fn rounds(
    count: usize,
    (streams, path, peer): (&Streams, FiveTuple, &mut std::net::TcpStream),
    (batch, out): (&mut ReceiveBatch, &mut TransmitBatch),
) {
    for _ in 0..count {
        exchange(streams, path, peer, out);
        let mut received = 0;
        while received < 10 {
            received += receive(streams, batch).await;
        }
    }
}

#[test]
fn datagrams_in_streams_do_not_allocate() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (streams, mut batch, mut out) =
        (Streams::default(), ReceiveBatch::default(), TransmitBatch::new(1200));
    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listener = TcpListener::bind(loopback).unwrap();
    let remote = listener.local_addr().unwrap();
    let opening = StreamOpening::new(StreamToken(1), loopback, remote, Framing::Stun);
    let path = runtime.block_on(async {
        streams.request(StreamRequest::Open(opening));
        receive(&streams, &mut batch).await;
        match streams.take_report() {
            Some(StreamReport::Opened { path, .. }) => path,
            other => panic!("{other:?}"),
        }
    });
    let mut peer = listener.accept().unwrap().0;
    runtime.block_on(rounds(20, (&streams, path, &mut peer), (&mut batch, &mut out)));
    let allocations = count_allocations(|| {
        runtime.block_on(rounds(100, (&streams, path, &mut peer), (&mut batch, &mut out)));
    });
    assert_eq!(allocations, 0);
}

/// One that a relay has for itself: what is relayed by it is sent and received as by the socket of all.
#[test]
fn datagrams_by_sockets_that_are_asked_for_do_not_allocate() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let peer = std::net::UdpSocket::bind(loopback).unwrap();
    let (mut batch, mut out) = (ReceiveBatch::default(), TransmitBatch::new(1200).with_max_segments(16));
    let (sockets, path) = runtime.block_on(async {
        let sockets = Sockets::from(UdpSocket::bind(loopback).unwrap());
        let remote = peer.local_addr().unwrap();
        let opening = StreamOpening::new(StreamToken(1), loopback, remote, Framing::Datagrams);
        sockets.request(StreamRequest::Open(opening));
        sockets.recv(&mut batch).await.unwrap();
        match sockets.take_report() {
            Some(StreamReport::Opened { path, .. }) => (sockets, path),
            other => panic!("{other:?}"),
        }
    });
    let mut rounds = |count| {
        for _ in 0..count {
            let mut segments = out.segments(Some(path), None);
            for _ in 0..10 {
                segments.datagram().extend_from_slice(&[7; 1000]);
                segments.end_datagram();
            }
            let transmit = segments.finish().unwrap();
            sockets.try_send(&out, &transmit).unwrap();
            out.clear();
            let mut received = [0; 1004];
            for _ in 0..10 {
                let (len, from) = peer.recv_from(&mut received).unwrap();
                peer.send_to(&received[..len], from).unwrap();
            }
            let mut received = 0;
            while received < 10 {
                runtime.block_on(sockets.recv(&mut batch)).unwrap();
                received += batch.datagrams().count();
            }
        }
    };
    rounds(20);
    assert_eq!(count_allocations(|| rounds(100)), 0);
}
