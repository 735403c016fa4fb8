//! SCTP's handshake: two associations, and the fuzzer between them and beside them. It loses, doubles, changes and
//! forges INIT, INIT ACK, COOKIE ECHO and COOKIE ACK at the step of its choice. Nothing panics, and nothing of what
//! an unverified peer says is kept.
//!
//! The input is a list of steps: a byte that says what, and what belongs to it.

#![no_main]

mod oracle;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kaon_rtc::crypto::{SeededRandom, aws_lc_rs};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::sctp::wire::{ChunkType, PacketWriter};
use kaon_rtc::sctp::{Association, Config, SctpTransport};
use libfuzzer_sys::fuzz_target;

/// Two associations of which nothing is asked but to begin.
const MOST_HEAP: usize = 64 << 10;

fn association(seed: u64) -> Association {
    let mut config = Config::default();
    config.zero_checksum = seed == 1;
    let random = Arc::new(SeededRandom::new(seed));
    Association::new(config, &aws_lc_rs::provider().with_random(random))
}

fn path() -> FiveTuple {
    FiveTuple::udp(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into())
}

fn packets(from: &mut Association, now: Instant) -> Vec<Vec<u8>> {
    let mut batch = TransmitBatch::new(1200);
    let mut packets = Vec::new();
    while let Some(transmit) = from.poll_transmit(now, &mut batch) {
        packets.extend(batch.datagrams(&transmit).map(<[u8]>::to_vec));
        assert!(packets.len() < 100, "packets without end");
        batch.clear();
    }
    packets
}

fuzz_target!(|bytes: &[u8]| {
    let work = oracle::Oracle::new();
    let mut now = Instant::now();
    let mut ends = [association(1), association(2)];
    // Providers keep things of their own.
    let heap = oracle::Oracle::new();
    // What was on the wire, the last of each direction, to be sent again.
    let mut last: [Vec<u8>; 2] = [Vec::new(), Vec::new()];
    let mut rest = bytes;
    let mut take = |count: usize| {
        let (taken, after) = rest.split_at(count.min(rest.len()));
        rest = after;
        taken
    };
    for _ in 0..128 {
        let &[step] = take(1) else { break };
        let side = usize::from(step & 1);
        match step >> 1 & 7 {
            0 => ends[side].connect(now),
            // Genuine packets, of which one may be changed and one be lost.
            1..=3 => {
                let how = take(3).to_vec();
                for (index, mut packet) in packets(&mut ends[side], now).into_iter().enumerate() {
                    last[side] = packet.clone();
                    if let [place, value, which] = how[..]
                        && usize::from(which) == index
                    {
                        if value == 0 {
                            continue;
                        }
                        let place = usize::from(place) % packet.len();
                        packet[place] ^= value;
                    }
                    let _ = ends[1 - side].handle_datagram(now, Datagram::new(path(), &mut packet));
                }
            }
            // One of them again, for the other or its own sender.
            4 => {
                let to = usize::from(step >> 4 & 1);
                let mut packet = last[side].clone();
                let _ = ends[to].handle_datagram(now, Datagram::new(path(), &mut packet));
            }
            // A chunk of the input's making, with a good checksum.
            5 | 6 => {
                let &[kind, flags, length] = take(3) else { break };
                let tag = last[1 - side].get(4..8).and_then(|tag| tag.first_chunk().copied());
                let tag = if step & 0x80 == 0 { 0 } else { tag.map_or(0, u32::from_be_bytes) };
                let value = take(length.into());
                let mut packet = Vec::new();
                let mut writer = PacketWriter::new(&mut packet, 1400, 5000, 5000, tag);
                writer.chunk(ChunkType(kind), flags, |out| out.extend_from_slice(value));
                writer.finish(true);
                let _ = ends[side].handle_datagram(now, Datagram::new(path(), &mut packet));
            }
            _ => {
                let &[time] = take(1) else { break };
                now += Duration::from_millis(u64::from(time) * 20);
                for end in &mut ends {
                    end.handle_timeout(now);
                    assert!(end.poll_timeout().is_none_or(|next| next >= now));
                }
            }
        }
        let waiting = last.iter().map(Vec::len).sum::<usize>();
        heap.assert_live(MOST_HEAP + waiting);
    }
    for end in &mut ends {
        for _ in 0..100 {
            if end.poll_event().is_none() {
                break;
            }
        }
        assert_eq!(end.poll_event(), None, "events without end");
    }
    work.assert_work(bytes.len());
});
