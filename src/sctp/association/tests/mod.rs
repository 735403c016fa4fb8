use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Association;
use crate::crypto::{CryptoProvider, SeededRandom};
use crate::layer::{
    Datagram, FiveTuple, Layer, PayloadProtocol, Received, Reliability, SctpClose, SctpError, SctpEvent,
    SctpTransport, SendOptions, StreamId, TransmitBatch,
};
use crate::sctp::Config;
use crate::sctp::sequence::{Ssn, Tsn};
use crate::sctp::wire::{
    CauseCode, Causes, ChunkType, Data, Header, PacketWriter, Parameter, ParameterType, Parameters,
    ReconfigParameter, ReconfigResult, Sack,
};

mod abandonment;
mod resets_and_shutdown;
mod retransmission;
mod security;

#[cfg(feature = "aws-lc-rs")]
fn provider() -> CryptoProvider {
    crate::crypto::aws_lc_rs::provider()
}

#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
fn provider() -> CryptoProvider {
    crate::crypto::rust_crypto::provider()
}

fn path() -> FiveTuple {
    FiveTuple::udp(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into())
}

fn association(seed: u64, config: Config) -> Association {
    let crypto = provider().with_random(Arc::new(SeededRandom::new(seed)));
    Association::new(config, &crypto)
}

/// Two associations and the wire between them.
struct Pair {
    now: Instant,
    a: Association,
    b: Association,
}

impl Pair {
    fn new(config: Config) -> Self {
        Self { now: Instant::now(), a: association(1, config.clone()), b: association(2, config) }
    }

    fn established(config: Config) -> Self {
        let mut pair = Self::new(config);
        pair.a.connect(pair.now);
        pair.run();
        assert!(pair.a.is_established() && pair.b.is_established());
        while pair.a.poll_event().is_some() || pair.b.poll_event().is_some() {}
        pair
    }

    fn run(&mut self) {
        self.run_dropping(|_, _| false);
    }

    /// Exchanges packets until both are quiet; `lost` sees the direction and each packet.
    fn run_dropping(&mut self, mut lost: impl FnMut(bool, &[u8]) -> bool) {
        loop {
            let from_a = drain(&mut self.a, self.now);
            let from_b = drain(&mut self.b, self.now);
            if from_a.is_empty() && from_b.is_empty() {
                return;
            }
            for packet in from_a.into_iter().filter(|packet| !lost(true, packet)) {
                let _ = give(&mut self.b, self.now, packet);
            }
            for packet in from_b.into_iter().filter(|packet| !lost(false, packet)) {
                let _ = give(&mut self.a, self.now, packet);
            }
        }
    }

    /// Moves to the next timeout and runs.
    fn tick(&mut self) {
        let next = [self.a.poll_timeout(), self.b.poll_timeout()].into_iter().flatten().min();
        self.now = next.expect("a timer runs").max(self.now);
        self.a.handle_timeout(self.now);
        self.b.handle_timeout(self.now);
    }

    fn send(&mut self, stream: u16, payload: impl Into<Bytes>) {
        self.send_with(stream, payload, SendOptions::default());
    }

    fn send_with(&mut self, stream: u16, payload: impl Into<Bytes>, options: SendOptions) {
        self.a.send(self.now, StreamId(stream), PayloadProtocol::BINARY, payload.into(), options).unwrap();
    }
}

fn drain(from: &mut Association, now: Instant) -> Vec<Vec<u8>> {
    let mut batch = TransmitBatch::new(1200);
    let mut packets = Vec::new();
    while let Some(transmit) = from.poll_transmit(now, &mut batch) {
        packets.extend(batch.datagrams(&transmit).map(<[u8]>::to_vec));
    }
    packets
}

fn give(to: &mut Association, now: Instant, mut packet: Vec<u8>) -> Result<(), SctpError> {
    to.handle_datagram(now, Datagram::new(path(), &mut packet))
}

fn events(of: &mut Association) -> Vec<SctpEvent> {
    std::iter::from_fn(|| of.poll_event()).collect()
}

fn received(of: &mut Association) -> Vec<Received> {
    std::iter::from_fn(|| of.receive()).collect()
}

fn payloads(of: &mut Association) -> Vec<Bytes> {
    received(of).into_iter().map(|message| message.payload).collect()
}

fn kinds(packet: &[u8]) -> Vec<ChunkType> {
    Header::parse(packet).unwrap().1.map(|chunk| chunk.unwrap().kind).collect()
}

fn pattern(length: usize) -> Bytes {
    (0..length).map(|index| (index * 31 % 251) as u8).collect()
}

/// A packet from `from` to its peer, written by hand.
fn forge(from: &Association, write: impl FnOnce(&mut PacketWriter<'_>)) -> Vec<u8> {
    let mut buffer = Vec::new();
    let mut packet = PacketWriter::new(&mut buffer, 1400, 5000, 5000, from.agreement.peer_tag);
    write(&mut packet);
    packet.finish(true);
    buffer
}

fn forged_data(from: &Association, tsn: Tsn, ssn: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    forge(from, |packet| {
        let fields = Data::fields(tsn, StreamId(0), Ssn(ssn), PayloadProtocol::BINARY);
        packet.data(flags, &fields, payload);
    })
}

const WHOLE: u8 = Data::BEGIN | Data::END;

#[test]
fn four_packets_establish() {
    let mut pair = Pair::new(Config::default());
    pair.a.connect(pair.now);
    let mut seen = Vec::new();
    pair.run_dropping(|_, packet| {
        seen.extend(kinds(packet));
        false
    });
    assert_eq!(seen, [ChunkType::INIT, ChunkType::INIT_ACK, ChunkType::COOKIE_ECHO, ChunkType::COOKIE_ACK]);
    let established = SctpEvent::Established { outgoing_streams: 65_535, incoming_streams: 65_535 };
    for end in [&mut pair.a, &mut pair.b] {
        assert_eq!(end.poll_event(), Some(established.clone()));
        assert_eq!(end.poll_event(), None);
    }
}

#[test]
fn times_without_end_are_no_reason_to_panic() {
    let config = Config {
        rto_max: Duration::MAX,
        rto_initial: Duration::MAX,
        sack_delay: Duration::MAX,
        shutdown_guard: Duration::MAX,
        heartbeat_interval: Some(Duration::MAX),
        cookie_life: Duration::MAX,
        ..Config::default()
    };
    let mut pair = Pair::established(config);
    pair.send(0, "x");
    pair.run();
    assert_eq!(payloads(&mut pair.b), ["x"]);
    pair.a.shutdown(pair.now);
    pair.run();
    assert!(events(&mut pair.a).contains(&SctpEvent::Closed(SctpClose::Shutdown)));
}

#[test]
fn both_sides_may_begin() {
    let mut pair = Pair::new(Config::default());
    pair.a.connect(pair.now);
    pair.b.connect(pair.now);
    pair.run();
    assert!(pair.a.is_established() && pair.b.is_established());
    assert_eq!(events(&mut pair.a).len(), 1, "established is told once");
    pair.send(7, "hello");
    pair.run();
    assert_eq!(payloads(&mut pair.b), ["hello"]);
}

#[test]
fn each_lost_handshake_packet_is_sent_again() {
    for lost in 0..4 {
        for simultaneous in [false, true] {
            let mut pair = Pair::new(Config::default());
            pair.a.connect(pair.now);
            if simultaneous {
                pair.b.connect(pair.now);
            }
            let mut count = 0;
            for _ in 0..8 {
                pair.run_dropping(|_, _| {
                    count += 1;
                    count - 1 == lost
                });
                if pair.a.is_established() && pair.b.is_established() {
                    break;
                }
                pair.tick();
            }
            assert!(pair.a.is_established() && pair.b.is_established(), "packet {lost}, {simultaneous}");
        }
    }
}

#[test]
fn an_unanswered_init_ends() {
    let mut pair = Pair::new(Config::default());
    pair.a.connect(pair.now);
    while pair.a.poll_timeout().is_some() {
        pair.run_dropping(|_, _| true);
        pair.tick();
    }
    assert_eq!(events(&mut pair.a), [SctpEvent::Closed(SctpClose::TimedOut)]);
}

#[test]
fn messages_of_all_sizes_arrive_in_order() {
    let mut pair = Pair::established(Config::default());
    let sizes = [1, 2, 3, 4, 5, 1000, 1159, 1160, 1161, 1164, 1176, 2320, 65_536, 262_144, 7];
    for size in sizes {
        pair.send(3, pattern(size));
    }
    pair.run();
    let got = payloads(&mut pair.b);
    assert_eq!(got.iter().map(Bytes::len).collect::<Vec<_>>(), sizes);
    assert!(got.iter().all(|payload| *payload == pattern(payload.len())));
    assert_eq!(pair.a.statistics().send_buffered, 0);
    assert_eq!(pair.a.statistics().bytes_in_flight, 0);
    assert_eq!(pair.b.statistics().receive_buffered, 0);
}

#[test]
fn loss_is_repaired_without_a_timeout() {
    let mut pair = Pair::established(Config::default());
    for _ in 0..20 {
        pair.send(0, pattern(20_000));
        let mut count = 0;
        pair.run_dropping(|from_a, packet| {
            count += usize::from(from_a && packet.len() > 1000);
            from_a && count % 7 == 3 && packet.len() > 1000 && count < 10
        });
    }
    for _ in 0..20 {
        pair.send(0, pattern(5000));
        pair.run();
    }
    let got = payloads(&mut pair.b);
    assert_eq!(got.len(), 40);
    assert!(got.iter().all(|payload| *payload == pattern(payload.len())));
    assert_eq!(pair.a.statistics().timeouts, 0);
}

#[test]
fn the_last_packet_lost_is_repaired_by_the_timer() {
    let mut pair = Pair::established(Config::default());
    pair.send(0, "lost");
    pair.run_dropping(|_, _| true);
    let before = pair.now;
    pair.tick();
    assert_eq!(pair.now - before, Duration::from_millis(400));
    pair.run();
    assert_eq!(payloads(&mut pair.b), ["lost"]);
    assert_eq!(pair.a.statistics().timeouts, 1);
}

#[test]
fn a_silent_peer_ends_the_association() {
    let mut pair = Pair::established(Config::default());
    pair.send(0, "anyone?");
    let began = pair.now;
    while pair.a.poll_timeout().is_some() {
        pair.run_dropping(|_, _| true);
        pair.tick();
    }
    assert!(events(&mut pair.a).contains(&SctpEvent::Closed(SctpClose::TimedOut)));
    assert!(pair.now - began < Duration::from_secs(120));
}

#[test]
fn an_idle_peer_is_probed() {
    let mut pair = Pair::established(Config::default());
    pair.tick();
    let mut seen = Vec::new();
    pair.run_dropping(|_, packet| {
        seen.extend(kinds(packet));
        false
    });
    assert!(seen.contains(&ChunkType::HEARTBEAT) && seen.contains(&ChunkType::HEARTBEAT_ACK));
    assert_eq!(pair.a.statistics().round_trip_time, Some(Duration::ZERO));
}

#[test]
fn an_acknowledgement_waits_for_a_second_packet() {
    let mut pair = Pair::established(Config::default());
    pair.send(0, pattern(1160));
    pair.send(0, pattern(1160));
    pair.send(0, pattern(1160));
    let packets = drain(&mut pair.a, pair.now);
    give(&mut pair.b, pair.now, packets[0].clone()).unwrap();
    assert!(drain(&mut pair.b, pair.now).is_empty());
    assert_eq!(pair.b.poll_timeout(), Some(pair.now + Duration::from_millis(200)));
    give(&mut pair.b, pair.now, packets[1].clone()).unwrap();
    assert_eq!(kinds(&drain(&mut pair.b, pair.now)[0]), [ChunkType::SACK]);
    // The last of the queue asks for it at once (RFC 7053).
    give(&mut pair.b, pair.now, packets[2].clone()).unwrap();
    assert_eq!(kinds(&drain(&mut pair.b, pair.now)[0]), [ChunkType::SACK]);
}

#[test]
fn unordered_messages_overtake() {
    let mut pair = Pair::established(Config::default());
    pair.send(0, "first");
    let lost = drain(&mut pair.a, pair.now);
    pair.send_with(0, "second", SendOptions { unordered: true, ..SendOptions::default() });
    pair.send(0, "third");
    pair.run();
    assert_eq!(payloads(&mut pair.b), ["second"]);
    give(&mut pair.b, pair.now, lost[0].clone()).unwrap();
    assert_eq!(payloads(&mut pair.b), ["first", "third"]);
}

#[test]
fn a_message_without_retransmissions_is_skipped() {
    let mut pair = Pair::established(Config::default());
    let once = SendOptions { reliability: Reliability::MaxRetransmits(0), ..SendOptions::default() };
    pair.send_with(0, pattern(3000), once);
    let mut first = true;
    pair.run_dropping(|from_a, packet| from_a && packet.len() > 1000 && std::mem::take(&mut first));
    pair.send(0, "next");
    pair.run();
    assert_eq!(payloads(&mut pair.b), Vec::<Bytes>::new(), "held up until the sender gives up");
    for _ in 0..3 {
        pair.tick();
        pair.run();
    }
    assert_eq!(payloads(&mut pair.b), ["next"]);
    assert_eq!(pair.b.statistics().receive_buffered, 0);
}

#[test]
fn a_message_that_grows_old_is_dropped_before_it_is_sent() {
    let mut pair = Pair::established(Config::default());
    let lifetime = Duration::from_millis(100);
    let short = SendOptions { reliability: Reliability::MaxLifetime(lifetime), ..SendOptions::default() };
    pair.send_with(0, "old", short);
    assert_eq!(pair.a.buffered_amount(StreamId(0)), 3);
    pair.now += lifetime + Duration::from_millis(1);
    pair.send(0, "new");
    pair.run();
    assert_eq!(payloads(&mut pair.b), ["new"]);
    assert_eq!(pair.a.buffered_amount(StreamId(0)), 0);
}

#[test]
fn a_message_given_up_half_sent_does_not_hold_up_the_stream() {
    let mut pair = Pair::established(Config::default());
    let lifetime = Duration::from_millis(100);
    let short = SendOptions { reliability: Reliability::MaxLifetime(lifetime), ..SendOptions::default() };
    pair.send_with(0, pattern(100_000), short);
    drop(drain(&mut pair.a, pair.now));
    assert!(pair.a.buffered_amount(StreamId(0)) > 0, "the window does not take all of it");
    pair.now += lifetime + Duration::from_millis(1);
    pair.send(0, "after");
    pair.run();
    for _ in 0..4 {
        pair.tick();
        pair.run();
    }
    assert_eq!(payloads(&mut pair.b), ["after"]);
    assert_eq!(pair.a.statistics().send_buffered, 0);
}

#[test]
fn streams_take_turns() {
    let mut pair = Pair::established(Config::default());
    for _ in 0..3 {
        pair.send(0, pattern(300));
    }
    pair.send(1, pattern(300));
    pair.run();
    let order: Vec<u16> = received(&mut pair.b).iter().map(|message| message.stream.0).collect();
    assert_eq!(order, [0, 1, 0, 0]);
}

#[test]
fn the_buffered_amount_falls_to_its_threshold() {
    let mut pair = Pair::established(Config::default());
    pair.a.set_buffered_amount_low_threshold(StreamId(4), 500);
    pair.send(4, pattern(400));
    pair.send(4, pattern(400));
    assert_eq!(pair.a.buffered_amount(StreamId(4)), 800);
    pair.run();
    assert_eq!(events(&mut pair.a), [SctpEvent::BufferedAmountLow(StreamId(4))]);
    assert_eq!(pair.a.buffered_amount(StreamId(4)), 0);
}

#[test]
fn a_full_send_buffer_refuses_and_tells_when_it_has_room() {
    let config = Config { send_buffer: 300_000, ..Config::default() };
    let mut pair = Pair::established(config);
    pair.send(0, pattern(200_000));
    let error =
        pair.a.send(pair.now, StreamId(0), PayloadProtocol::BINARY, pattern(200_000), SendOptions::default());
    assert_eq!(error, Err(SctpError::SendBufferFull { limit: 300_000 }));
    pair.run();
    assert_eq!(events(&mut pair.a).iter().filter(|event| **event == SctpEvent::Writable).count(), 1);
}

#[test]
fn misuse_is_an_error_and_changes_nothing() {
    let mut pair = Pair::new(Config { streams: 4, ..Config::default() });
    let options = SendOptions::default();
    let send = |pair: &mut Pair, stream, payload: Bytes| {
        pair.a.send(pair.now, StreamId(stream), PayloadProtocol::BINARY, payload, options)
    };
    assert_eq!(send(&mut pair, 0, "x".into()), Err(SctpError::NotEstablished));
    pair.a.connect(pair.now);
    pair.run();
    let stream = StreamId(4);
    assert_eq!(send(&mut pair, 4, "x".into()), Err(SctpError::InvalidStream { stream, count: 4 }));
    assert_eq!(send(&mut pair, 0, Bytes::new()), Err(SctpError::EmptyMessage));
    pair.a.set_remote_max_message_size(10);
    let too_large = Err(SctpError::MessageTooLarge { size: 11, limit: 10 });
    assert_eq!(send(&mut pair, 0, pattern(11)), too_large);
    assert_eq!(pair.a.reset_streams(pair.now, &[stream]), Err(SctpError::InvalidStream { stream, count: 4 }));
    send(&mut pair, 0, pattern(10)).unwrap();
    pair.run();
    assert_eq!(payloads(&mut pair.b).len(), 1);
}

#[test]
fn a_closed_window_is_probed_and_opens() {
    let config = Config {
        initial_receive_window: 20_000,
        max_receive_window: 20_000,
        max_receive_message: 10_000,
        ..Config::default()
    };
    let mut pair = Pair::established(config);
    for _ in 0..10 {
        pair.send(0, pattern(9000));
    }
    pair.run();
    let held = pair.b.statistics().receive_buffered;
    assert!((18_000..40_000).contains(&held), "{held}");
    for _ in 0..30 {
        pair.tick();
        pair.run();
    }
    assert!(pair.a.is_established(), "a peer that answers is not lost");
    let mut count = 0;
    for _ in 0..20 {
        count += payloads(&mut pair.b).len();
        pair.run();
    }
    assert_eq!(count, 10, "reading opens the window, and the sender is told");
}

#[test]
fn the_window_grows_with_the_reader() {
    let mut pair = Pair::established(Config::default());
    let before = pair.b.init().receive_window;
    for _ in 0..40 {
        pair.send(0, pattern(200_000));
        pair.run();
        payloads(&mut pair.b);
    }
    let mut last = 0;
    pair.send(0, "x");
    pair.run_dropping(|from_a, packet| {
        if !from_a {
            for chunk in Header::parse(packet).unwrap().1.flatten().filter(|c| c.kind == ChunkType::SACK) {
                last = Sack::parse(chunk.value).unwrap().receive_window;
            }
        }
        false
    });
    assert!(last > 4 * before, "{last}");
}

#[test]
fn an_unknown_chunk_is_skipped_or_reported_by_its_type() {
    for (kind, reported, skipped) in
        [(0x3f, false, false), (0x7f, true, false), (0xbf, false, true), (0xfe, true, true)]
    {
        let mut pair = Pair::established(Config::default());
        let tsn = pair.a.local_initial_tsn;
        let packet = forge(&pair.a, |packet| {
            packet.chunk(ChunkType(kind), 0, |out| out.extend_from_slice(b"???"));
            let fields = Data::fields(tsn, StreamId(0), Ssn(0), PayloadProtocol::BINARY);
            packet.data(WHOLE, &fields, b"data");
        });
        give(&mut pair.b, pair.now, packet).unwrap();
        assert_eq!(payloads(&mut pair.b).len(), usize::from(skipped), "{kind:#x}");
        let sent: Vec<_> = drain(&mut pair.b, pair.now).iter().flat_map(|packet| kinds(packet)).collect();
        assert_eq!(sent.contains(&ChunkType::ERROR), reported, "{kind:#x}");
    }
}

#[test]
fn an_unknown_parameter_of_an_init_is_reported() {
    let mut b = association(2, Config::default());
    let now = Instant::now();
    let a = association(1, Config::default());
    let packet = forge(&a, |packet| {
        let init = a.init();
        packet.chunk(ChunkType::INIT, 0, |out| {
            init.write_fixed(out);
            Parameter::write(out, ParameterType(0xfff0), b"report");
            Parameter::write(out, ParameterType(0xbff0), b"skip");
        });
    });
    give(&mut b, now, packet).unwrap();
    let sent = drain(&mut b, now);
    let chunk = Header::parse(&sent[0]).unwrap().1.next().unwrap().unwrap();
    assert_eq!(chunk.kind, ChunkType::INIT_ACK);
    let unrecognized: Vec<_> = crate::sctp::wire::Init::parse(chunk.value)
        .unwrap()
        .parameters()
        .flatten()
        .filter(|parameter| parameter.kind == ParameterType::UNRECOGNIZED_PARAMETER)
        .collect();
    assert_eq!(unrecognized.len(), 1);
    assert_eq!(&unrecognized[0].value[4..], b"report");
}

#[test]
fn zero_checksums_are_used_when_both_take_them() {
    let mut pair = Pair::established(Config { zero_checksum: true, ..Config::default() });
    pair.send(0, "light");
    let packets = drain(&mut pair.a, pair.now);
    assert_eq!(Header::parse(&packets[0]).unwrap().0.checksum, 0);
    give(&mut pair.b, pair.now, packets[0].clone()).unwrap();
    assert_eq!(payloads(&mut pair.b), ["light"]);

    let mut pair = Pair::established(Config::default());
    pair.send(0, "safe");
    let mut packet = drain(&mut pair.a, pair.now).remove(0);
    packet[8..12].fill(0);
    assert_eq!(give(&mut pair.b, pair.now, packet), Err(SctpError::Ignored("wrong checksum")));
}
