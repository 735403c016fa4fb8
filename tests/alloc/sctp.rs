//! Associations: what is held for a peer keeps to the budget of its direction, whatever the peer makes of it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use kaon_rtc::crypto::SeededRandom;
use kaon_rtc::datachannel::{ChannelInit, DataChannels, MessageKind, Open};
use kaon_rtc::layer::{Datagram, DtlsRole, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::sctp::wire::{ChunkType, Header, PacketWriter};
use kaon_rtc::sctp::{Association, Config, PayloadProtocol, SctpTransport, SendOptions, StreamId};

use crate::heap_held;

#[cfg(feature = "aws-lc-rs")]
use kaon_rtc::crypto::aws_lc_rs as crypto;
#[cfg(not(feature = "aws-lc-rs"))]
use kaon_rtc::crypto::rust_crypto as crypto;

fn path() -> FiveTuple {
    FiveTuple::udp(([10, 0, 0, 1], 1).into(), ([10, 0, 0, 2], 2).into())
}

/// An association and what its peer needs to make up packets.
struct Victim {
    now: Instant,
    ours: Association,
    peer: Association,
    tag: u32,
    tsn: u32,
}

/// The flags of a DATA chunk.
const BEGIN: u8 = 2;
const END: u8 = 1;
const WHOLE: u8 = BEGIN | END;

impl Victim {
    fn new(config: Config) -> Self {
        let now = Instant::now();
        let [ours, mut peer] = [1, 2].map(|seed| {
            let random = Arc::new(SeededRandom::new(seed));
            Association::new(config.clone(), &crypto::provider().with_random(random))
        });
        peer.connect(now);
        let mut victim = Self { now, ours, peer, tag: 0, tsn: 0 };
        for _ in 0..3 {
            victim.exchange();
        }
        assert!(victim.ours.is_established());
        victim
    }

    fn exchange(&mut self) {
        let mut batch = TransmitBatch::new(1200);
        while let Some(transmit) = self.peer.poll_transmit(self.now, &mut batch) {
            for packet in batch.datagrams_mut(&transmit) {
                let (header, chunks) = Header::parse(packet).unwrap();
                for chunk in chunks.flatten().filter(|chunk| chunk.kind == ChunkType::INIT) {
                    self.tsn = u32::from_be_bytes(chunk.value[12..16].try_into().unwrap());
                }
                if header.verification_tag != 0 {
                    self.tag = header.verification_tag;
                }
                self.ours.handle_datagram(self.now, Datagram::new(path(), packet)).unwrap();
            }
            batch.clear();
        }
        while let Some(transmit) = self.ours.poll_transmit(self.now, &mut batch) {
            for packet in batch.datagrams_mut(&transmit) {
                self.peer.handle_datagram(self.now, Datagram::new(path(), packet)).unwrap();
            }
            batch.clear();
        }
    }

    /// The peer sends a DATA chunk, `ahead` of where it began.
    fn data(&mut self, ahead: u32, stream: u16, ssn: u16, flags: u8, payload: &[u8]) {
        self.data_of(PayloadProtocol::BINARY, ahead, stream, ssn, flags, payload);
    }

    /// The first message of a stream is one of the establishment protocol.
    fn dcep(&mut self, ahead: u32, stream: u16, payload: &[u8]) {
        self.data_of(PayloadProtocol::DCEP, ahead, stream, 0, WHOLE, payload);
    }

    fn data_of(
        &mut self,
        protocol: PayloadProtocol,
        ahead: u32,
        stream: u16,
        ssn: u16,
        flags: u8,
        payload: &[u8],
    ) {
        let mut packet = Vec::new();
        let mut writer = PacketWriter::new(&mut packet, 1400, 5000, 5000, self.tag);
        writer.chunk(ChunkType::DATA, flags, |out| {
            out.extend_from_slice(&self.tsn.wrapping_add(ahead).to_be_bytes());
            out.extend_from_slice(&stream.to_be_bytes());
            out.extend_from_slice(&ssn.to_be_bytes());
            out.extend_from_slice(&protocol.0.to_be_bytes());
            out.extend_from_slice(payload);
        });
        writer.finish(true);
        self.ours.handle_datagram(self.now, Datagram::new(path(), &mut packet)).unwrap();
    }
}

/// A budget of a mebibyte in each direction.
fn config() -> Config {
    let mut config = Config::default();
    config.send_buffer = BUDGET;
    config.max_receive_window = BUDGET;
    config.max_send_message = 64 << 10;
    config.max_receive_message = 64 << 10;
    config
}

const BUDGET: usize = 1 << 20;
const MOST: isize = BUDGET as isize * 3 / 2;

/// What an association holds more after `feed`.
fn held(mut victim: Victim, feed: impl FnOnce(&mut Victim)) -> isize {
    let (_, held) = heap_held(|| {
        feed(&mut victim);
        victim.ours.poll_event();
    });
    held
}

#[test]
fn messages_that_wait_to_be_sent_keep_to_the_budget() {
    for (len, streams) in [(1, 1), (1, 1000), (100, 8), (5000, 8), (64 << 10, 1)] {
        for in_flight in [false, true] {
            let victim = Victim::new(config());
            let held = held(victim, |victim| {
                for number in 0.. {
                    let payload = Bytes::from(vec![7; len]);
                    let stream = StreamId(number % streams);
                    let options = SendOptions::default();
                    let sent =
                        victim.ours.send(victim.now, stream, PayloadProtocol::BINARY, payload, options);
                    if sent.is_err() {
                        break;
                    }
                }
                if in_flight {
                    let mut batch = TransmitBatch::new(1200);
                    while victim.ours.poll_transmit(victim.now, &mut batch).is_some() {
                        batch.clear();
                    }
                }
            });
            println!("{len} bytes on {streams} streams, in flight: {in_flight}: {held}");
            assert!(held <= MOST, "{len} bytes on {streams} streams: {held}");
            assert!(held >= MOST / 6, "{len} bytes on {streams} streams: {held}, the budget is used");
        }
    }
}

#[test]
fn unread_messages_keep_to_the_budget() {
    for len in [1, 100, 1200] {
        let unread = held(Victim::new(config()), |victim| {
            for index in 0..200_000 {
                victim.data(index, 0, index as u16, WHOLE, &vec![7; len]);
            }
        });
        let held_up = held(Victim::new(config()), |victim| {
            for index in 0..60_000 {
                victim.data(index, (index / 1000) as u16, 1 + index as u16 % 1000, WHOLE, &vec![7; len]);
            }
        });
        println!("{len} bytes: unread {unread}, held up {held_up}");
        assert!(unread <= MOST && held_up <= MOST, "{len} bytes: {unread}, {held_up}");
    }
}

#[test]
fn fragments_keep_to_the_budget() {
    for len in [1, 10, 1200] {
        // Each a message of its own that is never complete.
        let apart = held(Victim::new(config()), |victim| {
            for index in 0..30_000 {
                victim.data(1 + 2 * index, 0, 0, BEGIN, &vec![7; len]);
            }
        });
        // One message, the last fragment first, before a hole.
        let backwards = held(Victim::new(config()), |victim| {
            for index in 0..60_000 {
                victim.data(60_002 - index, 0, 0, if index == 0 { END } else { 0 }, &vec![7; len]);
                // Beyond the limit of a message nothing more is taken.
                if (index as usize + 2) * len > 60 << 10 {
                    break;
                }
            }
        });
        println!("{len} bytes: apart {apart}, backwards {backwards}");
        assert!(apart <= MOST && backwards <= MOST, "{len} bytes: {apart}, {backwards}");
    }
}

#[test]
fn streams_that_are_named_once_cost_little() {
    let held = held(Victim::new(Config::default()), |victim| {
        for stream in 0..=65_534 {
            victim.data(stream.into(), stream, 0, WHOLE, b"x");
            victim.ours.receive();
        }
    });
    assert!(held <= 1 << 20, "{held}");
}

/// An association with its table of channels.
struct End {
    association: Association,
    channels: DataChannels,
}

impl End {
    fn take(&mut self, now: Instant) {
        while let Some(event) = self.association.poll_event() {
            self.channels.handle_event(&mut self.association, now, &event);
        }
        while self.channels.poll_event(&mut self.association, now).is_some() {}
    }
}

fn exchange(ends: &mut [End; 2], now: Instant) {
    let mut batch = TransmitBatch::new(1200);
    loop {
        let mut quiet = true;
        for side in 0..2 {
            while let Some(transmit) = ends[side].association.poll_transmit(now, &mut batch) {
                quiet = false;
                for packet in batch.datagrams_mut(&transmit) {
                    let _ = ends[1 - side].association.handle_datagram(now, Datagram::new(path(), packet));
                }
                batch.clear();
            }
            ends[side].take(now);
        }
        if quiet {
            return;
        }
    }
}

/// Two hundred channels that nobody reads, of which each could fill the budget.
#[test]
fn unread_channels_together_keep_to_the_budget() {
    for len in [0, 1, 1000, 60_000] {
        let now = Instant::now();
        let make = |seed| {
            let random = Arc::new(SeededRandom::new(seed));
            let mut config = config();
            config.send_buffer = 64 << 20;
            let association = Association::new(config, &crypto::provider().with_random(random));
            End { association, channels: DataChannels::default() }
        };
        let mut ends = [make(1), make(2)];
        for (end, role) in ends.iter_mut().zip([DtlsRole::Client, DtlsRole::Server]) {
            end.channels.set_role(&mut end.association, now, role);
        }
        ends[0].association.connect(now);
        exchange(&mut ends, now);
        let mut ids = Vec::new();
        for _ in 0..200 {
            let End { association, channels } = &mut ends[0];
            ids.push(channels.open(association, now, ChannelInit::new("unread")).unwrap());
        }
        exchange(&mut ends, now);
        // What the sender holds stays the same from here on: packets are made and carried only.
        let payload = Bytes::from(vec![7; len]);
        for number in 0..20_000 {
            let End { association, channels } = &mut ends[0];
            let id = ids[number % ids.len()];
            if channels.send(association, now, id, MessageKind::Binary, payload.clone()).is_err() {
                break;
            }
        }
        let before = ends[0].association.statistics().send_buffered;
        let (_, held) = heap_held(|| exchange(&mut ends, now));
        assert!(ends[0].association.statistics().send_buffered < before);
        println!("{len} bytes: {held}");
        assert!(held <= MOST, "{len} bytes: {held}");
        let counted = ends[1].association.statistics().receive_buffered;
        assert!(counted > BUDGET / 2, "{counted}: the budget is used");
    }
}

/// An association with its table of channels, and what its peer makes of them.
struct Table {
    victim: Victim,
    channels: DataChannels,
    next: u32,
}

impl Table {
    fn new(config: Config) -> Self {
        let mut table = Self { victim: Victim::new(config), channels: DataChannels::default(), next: 0 };
        let Victim { ours, now, .. } = &mut table.victim;
        table.channels.set_role(ours, *now, DtlsRole::Server);
        table.turn();
        table
    }

    /// What a loop does after each packet. What is sent does not arrive.
    fn turn(&mut self) {
        let Victim { ours, now, .. } = &mut self.victim;
        while let Some(event) = ours.poll_event() {
            self.channels.handle_event(ours, *now, &event);
        }
        self.channels.advance(ours, *now);
        let mut batch = TransmitBatch::new(1200);
        while ours.poll_transmit(*now, &mut batch).is_some() {
            batch.clear();
        }
    }

    /// The peer opens a channel on each of so many streams of a parity.
    fn open(&mut self, streams: u16, parity: u16) {
        let open = Open::message(&ChannelInit::new("label"));
        for index in 0..streams {
            self.victim.dcep(self.next, 2 * index + parity, &open);
            self.next += 1;
            self.turn();
        }
    }

    /// What the budget of the receiving direction counts.
    fn counted(&self) -> isize {
        self.victim.ours.statistics().receive_buffered as isize
    }
}

/// For an application that takes no events, or takes them and lets the channels be.
#[test]
fn channels_that_a_peer_opens_at_once_keep_to_the_budget() {
    for (config, budget) in [(config(), BUDGET), (Config::default(), 8 << 20)] {
        for takes_events in [true, false] {
            let mut table = Table::new(config.clone());
            let (_, held) = heap_held(|| {
                table.open(8192, 0);
                let Victim { ours, now, .. } = &mut table.victim;
                while takes_events && table.channels.poll_event(ours, *now).is_some() {}
            });
            let answers = table.victim.ours.statistics().send_buffered;
            println!("budget {budget}, events taken: {takes_events}: {held}, counted {}", table.counted());
            let most = ((budget + answers) * 3 / 2) as isize;
            assert!(held <= most, "{held} of {most}, events taken: {takes_events}");
        }
    }
}

/// The peer opens channels where it may not, on all streams, and never answers the resets of those.
#[test]
fn refusals_are_counted() {
    const SMALL: isize = 16 << 10;
    for takes_events in [true, false] {
        let mut table = Table::new(Config::default());
        let before = table.counted();
        let (_, held) = heap_held(|| {
            table.open(32_767, 1);
            let Victim { ours, now, .. } = &mut table.victim;
            while takes_events && table.channels.poll_event(ours, *now).is_some() {}
            table.turn();
        });
        let counted = table.counted() - before;
        println!("events taken: {takes_events}: {held}, counted {counted}");
        assert!(held <= counted * 3 / 2 + SMALL, "{held} where {counted} is counted");
    }
}
