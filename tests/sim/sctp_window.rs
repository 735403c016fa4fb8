//! A peer that opens and closes its window and acknowledges nothing.

use std::time::{Duration, Instant};

use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::sctp::wire::{ChunkType, PacketWriter};
use kaon_rtc::sctp::{Association, Config, PayloadProtocol, SctpTransport, SendOptions, StreamId};

use crate::sctp::provider;

fn path() -> FiveTuple {
    FiveTuple::udp("10.0.0.1:1".parse().unwrap(), "10.0.0.2:1".parse().unwrap())
}

fn flush(from: &mut Association, now: Instant) -> Vec<Vec<u8>> {
    let mut batch = TransmitBatch::new(1200);
    let mut packets = Vec::new();
    while let Some(transmit) = from.poll_transmit(now, &mut batch) {
        packets.extend(batch.datagrams(&transmit).map(<[u8]>::to_vec));
        batch.clear();
    }
    packets
}

/// A sender with much in flight, the time, its tag, and what was acknowledged.
fn busy() -> (Association, Instant, u32, u32) {
    let mut config = Config::default();
    config.zero_checksum = true;
    let mut ends = [(); 2].map(|()| Association::new(config.clone(), &provider()));
    let mut now = Instant::now();
    ends[0].connect(now);
    ends[1].connect(now);
    let send = |end: &mut Association, now| {
        let message = vec![1; 100_000].into();
        end.send(now, StreamId(0), PayloadProtocol::BINARY, message, SendOptions::default())
    };
    let (mut tag, mut cumulative) = (0, 0);
    for _ in 0..600 {
        now += Duration::from_millis(10);
        if ends[0].is_established() {
            while send(&mut ends[0], now).is_ok() {}
        }
        for side in 0..2 {
            ends[side].handle_timeout(now);
            for mut packet in flush(&mut ends[side], now) {
                if side == 1 {
                    tag = u32::from_be_bytes(packet[4..8].try_into().unwrap());
                    // A SACK comes first.
                    if packet[12] == 3 {
                        cumulative = u32::from_be_bytes(packet[16..20].try_into().unwrap());
                    }
                }
                let _ = ends[1 - side].handle_datagram(now, Datagram::new(path(), &mut packet));
            }
            while ends[side].poll_event().is_some() {}
            while ends[side].receive().is_some() {}
        }
    }
    // From here on the peer is hostile.
    flush(&mut ends[0], now);
    let [end, _] = ends;
    (end, now, tag, cumulative)
}

/// Each turn of the window brings everything in flight once more: 56 bytes bring a congestion window.
#[test]
fn a_window_that_opens_and_closes_brings_no_storm() {
    let (mut end, mut now, tag, cumulative) = busy();
    let sack = |window: u32| {
        let mut buffer = Vec::new();
        let mut packet = PacketWriter::new(&mut buffer, 1191, 5000, 5000, tag);
        packet.chunk(ChunkType::SACK, 0, |out| {
            out.extend(cumulative.to_be_bytes());
            out.extend(window.to_be_bytes());
            out.extend([0; 4]);
        });
        packet.finish(true);
        buffer
    };
    let (mut told, mut sent) = (0, 0);
    for _ in 0..100 {
        now += Duration::from_millis(1);
        for window in [0, 1 << 20] {
            let mut packet = sack(window);
            told += packet.len();
            end.handle_datagram(now, Datagram::new(path(), &mut packet)).unwrap();
            sent += flush(&mut end, now).iter().map(Vec::len).sum::<usize>();
        }
    }
    println!("{sent} bytes for {told}, with {:?}", end.statistics());
    assert!(sent < 50 * told, "{sent} bytes were sent for {told}");
}
