//! A live association that gets packets with the right tag and checksum and whatever content the input says,
//! between genuine packets, timeouts and calls of its application. Nothing may make it panic, run for ever or
//! hold more than its limits.
//!
//! The input is a list of steps: a byte that says what, and for a chunk its type, flags, length and value.

#![no_main]

mod oracle;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::crypto::{SeededRandom, aws_lc_rs};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::sctp::wire::{ChunkType, Header, PacketWriter};
use kaon_rtc::sctp::{
    Association, Config, PayloadProtocol, Reliability, SctpTransport, SendOptions, StreamId,
};
use libfuzzer_sys::fuzz_target;

/// A receive window with what may exceed it, a send buffer, and some for bookkeeping.
const WINDOW: usize = 64 << 10;

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

fn association(seed: u64) -> Association {
    let mut config = Config::default();
    config.initial_receive_window = WINDOW;
    config.max_receive_window = WINDOW;
    config.max_receive_message = WINDOW / 2;
    config.max_send_message = WINDOW / 2;
    config.send_buffer = WINDOW;
    config.max_gaps = 64;
    config.max_events = 64;
    let random = Arc::new(SeededRandom::new(seed));
    Association::new(config, &aws_lc_rs::provider().with_random(random))
}

fn path() -> FiveTuple {
    FiveTuple::udp(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into())
}

/// Carries packets, and notes the tag and the TSN that `from` uses.
fn carry(from: &mut Association, to: &mut Association, now: Instant, seen: &mut Seen) {
    let mut batch = TransmitBatch::new(1200);
    for _ in 0..200 {
        batch.clear();
        let Some(transmit) = from.poll_transmit(now, &mut batch) else { return };
        for packet in batch.datagrams_mut(&transmit) {
            if let Ok((header, chunks)) = Header::parse(packet) {
                if header.verification_tag != 0 {
                    seen.tag = header.verification_tag;
                }
                for chunk in chunks.flatten() {
                    let at = match chunk.kind {
                        ChunkType::DATA => 0,
                        ChunkType::INIT | ChunkType::INIT_ACK => 12,
                        _ => continue,
                    };
                    if let Some(tsn) = chunk.value.get(at..).and_then(|rest| rest.first_chunk()) {
                        seen.tsn = u32::from_be_bytes(*tsn);
                    }
                }
            }
            let _ = to.handle_datagram(now, Datagram::new(path(), packet));
        }
    }
    panic!("packets without end");
}

#[derive(Default)]
struct Seen {
    tag: u32,
    tsn: u32,
}

fuzz_target!(|bytes: &[u8]| {
    let heap = oracle::Oracle::new();
    let mut input = Input(bytes);
    let mut now = Instant::now();
    let (mut ours, mut peer) = (association(1), association(2));
    let (mut of_peer, mut of_ours) = (Seen::default(), Seen::default());
    peer.connect(now);
    for _ in 0..3 {
        carry(&mut peer, &mut ours, now, &mut of_peer);
        carry(&mut ours, &mut peer, now, &mut of_ours);
    }
    assert!(ours.is_established());
    for _ in 0..256 {
        let Some(step) = input.byte() else { break };
        match step % 10 {
            // A packet of up to four chunks of the input's making.
            0..=3 => {
                let mut packet = Vec::new();
                let mut writer = PacketWriter::new(&mut packet, 1400, 5000, 5000, of_peer.tag);
                for _ in 0..=step % 4 {
                    let (Some(kind), Some(flags), Some(length)) = (input.byte(), input.byte(), input.byte())
                    else {
                        break;
                    };
                    let mut value = input.take(length.into()).to_vec();
                    // The numbers that a chunk is about are near those in use, or it would only be dropped.
                    let base = match kind {
                        0 | 192 => Some(of_peer.tsn),
                        3 | 7 => Some(of_ours.tsn),
                        _ => None,
                    };
                    if let (Some(base), Some(number)) = (base, value.first_chunk_mut::<4>()) {
                        let near = i32::from(i16::from_be_bytes([number[2], number[3]])) >> (number[0] % 16);
                        *number = base.wrapping_add_signed(near).to_be_bytes();
                    }
                    writer.chunk(ChunkType(kind), flags, |out| out.extend_from_slice(&value));
                }
                writer.finish(true);
                let _ = ours.handle_datagram(now, Datagram::new(path(), &mut packet));
            }
            4 => {
                let length = usize::from(input.byte().unwrap_or(0)) * 40 + 1;
                let reliability = match step / 10 % 3 {
                    0 => Reliability::Reliable,
                    1 => Reliability::MaxRetransmits(1),
                    _ => Reliability::MaxLifetime(Duration::from_millis(300)),
                };
                let options = SendOptions::new(step & 0x80 != 0, reliability);
                let stream = StreamId(u16::from(step % 7));
                let _ =
                    ours.send(now, stream, PayloadProtocol::BINARY, Bytes::from(vec![step; length]), options);
            }
            5 => {
                now += Duration::from_millis(u64::from(input.byte().unwrap_or(0)) * 20);
                ours.handle_timeout(now);
                assert!(ours.poll_timeout().is_none_or(|next| next >= now));
                peer.handle_timeout(now);
            }
            6 => carry(&mut ours, &mut peer, now, &mut of_ours),
            7 => carry(&mut peer, &mut ours, now, &mut of_peer),
            8 => while ours.receive().is_some() {},
            _ => match step / 10 % 4 {
                0 => drop(ours.reset_streams(now, &[StreamId(u16::from(step % 7))])),
                1 => while ours.poll_event().is_some() {},
                2 => drop(peer.send(
                    now,
                    StreamId(0),
                    PayloadProtocol::BINARY,
                    "hello".into(),
                    SendOptions::default(),
                )),
                _ if step > 250 => ours.shutdown(now),
                _ => {}
            },
        }
        let statistics = ours.statistics();
        // A message more for what fills a hole, and the room for one that grows.
        assert!(statistics.receive_buffered <= 5 * WINDOW / 2 + 2000, "{statistics:?}");
        heap.assert_live(9 * WINDOW + (128 << 10));
        assert!(statistics.send_buffered <= WINDOW, "{statistics:?}");
        assert!(statistics.bytes_in_flight <= statistics.send_buffered, "{statistics:?}");
        assert!(statistics.events < 4096, "{statistics:?}");
    }
    heap.assert_work(bytes.len());
});
