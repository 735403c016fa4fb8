//! Associations under loss, reordering, duplication, corruption and delay.
//!
//! `KAON_SEED` runs one scenario.

#![allow(clippy::unwrap_used)] // These are tests.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::crypto::{CryptoProvider, SeededRandom};
use kaon_rtc::layer::Layer;
use kaon_rtc::sctp::{
    Association, Config, PayloadProtocol, Received, Reliability, SctpClose, SctpEvent, SctpTransport,
    SendOptions, StreamId,
};
use kaon_rtc::sim::{HostId, Link, Network, Simulation};

use crate::seeds::seeds;

const SEEDS: u64 = 4000;
/// No scenario takes longer than this, in virtual time.
const LIMIT: Duration = Duration::from_secs(900);

#[cfg(feature = "aws-lc-rs")]
pub(super) fn provider() -> CryptoProvider {
    kaon_rtc::crypto::aws_lc_rs::provider()
}

#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
pub(super) fn provider() -> CryptoProvider {
    kaon_rtc::crypto::rust_crypto::provider()
}

/// What a stream promises.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Ordered,
    Unordered,
    PartialOrdered,
    PartialUnordered,
}

const STREAMS: [Kind; 5] =
    [Kind::Ordered, Kind::Ordered, Kind::Unordered, Kind::PartialOrdered, Kind::PartialUnordered];

/// Uniform choices from a seed.
pub(super) struct Choice(SeededRandom);

impl Choice {
    pub(super) fn new(seed: u64) -> Self {
        Self(SeededRandom::new(seed))
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    pub(super) fn fraction(&self) -> f64 {
        self.below(1 << 20) as f64 / (1 << 20) as f64
    }
}

/// An end of the association and what its application knows.
struct Peer {
    host: HostId,
    to_send: Vec<(StreamId, u32, usize, SendOptions)>,
    sent: HashMap<StreamId, u32>,
    received: HashMap<StreamId, Vec<u32>>,
    established: bool,
    resets_in: usize,
    resets_out: usize,
    closed: Option<SctpClose>,
}

/// Message `number` of a stream: its length and content follow from where it stands.
fn message(stream: StreamId, number: u32, length: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&(length as u32).to_be_bytes());
    let mut value = number.wrapping_mul(0x9e37_79b1) ^ u32::from(stream.0);
    while bytes.len() < length {
        value = value.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.push((value >> 24) as u8);
    }
    bytes.into()
}

impl Peer {
    fn new(host: HostId) -> Self {
        Self {
            host,
            to_send: Vec::new(),
            sent: HashMap::new(),
            received: HashMap::new(),
            established: false,
            resets_in: 0,
            resets_out: 0,
            closed: None,
        }
    }

    /// Plans messages on all streams.
    fn plan(&mut self, choice: &Choice, count: u64) {
        for _ in 0..count {
            let stream = StreamId(choice.below(STREAMS.len() as u64) as u16);
            let length = match choice.below(10) {
                0 => choice.below(60_000),
                1..4 => choice.below(5000),
                _ => choice.below(1200),
            };
            let (unordered, reliability) = match STREAMS[usize::from(stream.0)] {
                Kind::Ordered => (false, Reliability::Reliable),
                Kind::Unordered => (true, Reliability::Reliable),
                Kind::PartialOrdered => (false, Reliability::MaxRetransmits(choice.below(3) as u16)),
                Kind::PartialUnordered => {
                    (true, Reliability::MaxLifetime(Duration::from_millis(choice.below(2000))))
                }
            };
            let number = self.sent.entry(stream).or_default();
            let options = SendOptions::new(unordered, reliability);
            self.to_send.push((stream, *number, 8 + length as usize, options));
            *number += 1;
        }
    }

    fn drive(&mut self, now: Instant, association: &mut Association) {
        while let Some(event) = association.poll_event() {
            match event {
                SctpEvent::Established { .. } => self.established = true,
                SctpEvent::IncomingStreamReset(_) => self.resets_in += 1,
                SctpEvent::OutgoingStreamReset(_) => self.resets_out += 1,
                SctpEvent::StreamResetRefused(stream) => panic!("the reset of stream {stream} was refused"),
                SctpEvent::Closed(close) => self.closed = Some(close),
                _ => {}
            }
        }
        while let Some(received) = association.receive() {
            self.take(&received);
        }
        if self.established && !self.to_send.is_empty() {
            for (stream, number, length, options) in self.to_send.drain(..) {
                let message = message(stream, number, length);
                association.send(now, stream, PayloadProtocol::BINARY, message, options).unwrap();
            }
        }
    }

    fn take(&mut self, received: &Received) {
        let word = |at: usize| u32::from_be_bytes(received.payload[at..at + 4].try_into().unwrap());
        let (number, length) = (word(0), word(4) as usize);
        assert_eq!(received.payload, message(received.stream, number, length), "an intact message");
        let numbers = self.received.entry(received.stream).or_default();
        assert!(!numbers.contains(&number), "message {number} of stream {} came twice", received.stream);
        let kind = STREAMS[usize::from(received.stream.0)];
        match kind {
            Kind::Ordered => assert_eq!(numbers.len() as u32, number, "every message in order"),
            Kind::PartialOrdered => assert!(numbers.last().is_none_or(|last| *last < number), "in order"),
            Kind::Unordered | Kind::PartialUnordered => {}
        }
        assert_eq!(received.unordered, matches!(kind, Kind::Unordered | Kind::PartialUnordered));
        numbers.push(number);
    }

    /// Whether everything that the other end sent reliably is here.
    fn has_all_of(&self, other: &Peer) -> bool {
        other.to_send.is_empty()
            && (0..STREAMS.len() as u16).map(StreamId).all(|stream| {
                let sent = other.sent.get(&stream).copied().unwrap_or(0);
                let received = self.received.get(&stream).map_or(0, |numbers| numbers.len() as u32);
                match STREAMS[usize::from(stream.0)] {
                    Kind::Ordered | Kind::Unordered => received == sent,
                    Kind::PartialOrdered | Kind::PartialUnordered => received <= sent,
                }
            })
    }
}

fn scenario(seed: u64) {
    let choice = Choice::new(seed ^ 0x5c79);
    let link = Link {
        delay: Duration::from_millis(choice.below(301)),
        jitter: Duration::from_millis(choice.below(50)),
        loss: 0.3 * choice.fraction(),
        reordering: 0.2 * choice.fraction(),
        duplication: 0.1 * choice.fraction(),
        corruption: 0.02 * choice.fraction(),
        ..Link::default()
    };
    let mut network = Network::new(seed, Instant::now());
    network.set_default_link(link);
    let addresses: [SocketAddr; 2] = [1, 2].map(|host| ([10, 0, 0, host], 5000).into());
    let mut simulation = Simulation::new(network);
    let mut peers: Vec<Peer> = (0..2)
        .map(|index| {
            let mut config = Config::default();
            // With a third of all packets lost, ten timeouts in a row do happen to a peer that is there.
            config.max_retransmits = 60;
            config.max_init_retransmits = 60;
            config.shutdown_guard = LIMIT;
            if choice.below(4) == 0 {
                config.initial_receive_window = 70_000;
                config.max_receive_message = 65_536;
                config.max_receive_window = 140_000;
            }
            let random = Arc::new(SeededRandom::new(seed.wrapping_mul(2) + index as u64));
            let crypto = provider().with_random(random);
            let association = Association::new(config, &crypto);
            Peer::new(simulation.add_peer(addresses[index], addresses[1 - index], association))
        })
        .collect();
    let simultaneous = choice.below(2) == 0;
    let now = simulation.now();
    simulation.layer_mut(peers[0].host).connect(now);
    if simultaneous {
        simulation.layer_mut(peers[1].host).connect(now);
    }
    for peer in &mut peers {
        peer.plan(&choice, 5 + choice.below(30));
    }
    run(&mut simulation, &mut peers, "deliver", |peers| {
        peers[0].has_all_of(&peers[1]) && peers[1].has_all_of(&peers[0])
    });

    // Both ends reset a stream, and begin anew on it.
    let stream = StreamId(choice.below(2) as u16);
    for peer in &mut peers {
        let now = simulation.now();
        simulation.layer_mut(peer.host).reset_streams(now, &[stream]).unwrap();
    }
    run(&mut simulation, &mut peers, "reset", |peers| {
        peers.iter().all(|peer| peer.resets_in == 1 && peer.resets_out == 1)
    });
    for peer in &mut peers {
        peer.sent.remove(&stream);
        peer.received.remove(&stream);
        peer.plan(&choice, choice.below(10));
    }
    // The end of everything that was sent, planned and not yet sent included.
    for peer in &mut peers {
        let now = simulation.now();
        peer.drive(now, simulation.layer_mut(peer.host));
    }
    let now = simulation.now();
    simulation.layer_mut(peers[0].host).shutdown(now);
    if choice.below(2) == 0 {
        simulation.layer_mut(peers[1].host).shutdown(now);
    }
    run(&mut simulation, &mut peers, "shut down", |peers| peers.iter().all(|peer| peer.closed.is_some()));
    for (peer, other) in [(0, 1), (1, 0)] {
        assert_eq!(peers[peer].closed, Some(SctpClose::Shutdown));
        assert!(peers[peer].has_all_of(&peers[other]), "shutdown delivers everything first");
    }
}

fn run(
    simulation: &mut Simulation<Association>,
    peers: &mut [Peer],
    what: &str,
    done: impl Fn(&[Peer]) -> bool,
) {
    let ended = simulation.run_until(LIMIT, |simulation| {
        let now = simulation.now();
        for peer in peers.iter_mut() {
            peer.drive(now, simulation.layer_mut(peer.host));
        }
        done(peers)
    });
    if !ended {
        for peer in peers.iter() {
            eprintln!("{:?} {:?}", peer.closed, simulation.layer(peer.host).statistics());
            eprintln!("sent {:?}, received {:?}", peer.sent, peer.received);
        }
        panic!("the ends did not {what} within {LIMIT:?}");
    }
}

/// Runs the scenario of each seed, in as many threads as there are processors.
pub(super) fn run_seeds(usual: u64, scenario: fn(u64)) {
    if let Ok(seed) = std::env::var("KAON_SEED") {
        return scenario(seed.parse().expect("a whole number"));
    }
    let seeds = seeds(usual);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let seeds = seeds.clone();
            scope.spawn(move || {
                for seed in seeds.filter(|seed| seed % threads == thread) {
                    if let Err(panic) = std::panic::catch_unwind(|| scenario(seed)) {
                        eprintln!("seed {seed} failed");
                        std::panic::resume_unwind(panic);
                    }
                }
            });
        }
    });
}

#[test]
fn associations_survive_a_bad_network() {
    run_seeds(SEEDS, scenario);
}

/// A bulk transfer over a link with a rate fills it.
#[test]
fn a_transfer_fills_the_link() {
    // Milliseconds, share of packets, bytes per second, messages. The last needs a window beyond a megabyte.
    for (delay, loss, rate, total) in [
        (10, 0.0, 2_500_000, 400),
        (100, 0.0, 2_500_000, 400),
        (10, 0.0005, 2_500_000, 400),
        (75, 0.0, 20_000_000, 2000),
    ] {
        let link = Link {
            delay: Duration::from_millis(delay),
            loss,
            rate: Some(rate),
            queue: rate / 4,
            ..Link::default()
        };
        let mut network = Network::new(1, Instant::now());
        network.set_default_link(link);
        let addresses: [SocketAddr; 2] = [1, 2].map(|host| ([10, 0, 0, host], 5000).into());
        let mut simulation = Simulation::new(network);
        let hosts: Vec<HostId> = (0..2)
            .map(|index| {
                let association = Association::new(Config::default(), &provider());
                simulation.add_peer(addresses[index], addresses[1 - index], association)
            })
            .collect();
        let now = simulation.now();
        simulation.layer_mut(hosts[0]).connect(now);
        let (mut sent, mut received) = (0, 0);
        let payload = Bytes::from(vec![7; 65_536]);
        let done = simulation.run_until(Duration::from_secs(120), |simulation| {
            let now = simulation.now();
            let sender = simulation.layer_mut(hosts[0]);
            while sent < total
                && sender
                    .send(now, StreamId(0), PayloadProtocol::BINARY, payload.clone(), SendOptions::default())
                    .is_ok()
            {
                sent += 1;
            }
            let receiver = simulation.layer_mut(hosts[1]);
            while receiver.receive().is_some() {
                received += 1;
            }
            received == total
        });
        assert!(done, "{received} of {total} after two minutes");
        let ideal = (total * payload.len()) as f64 / rate as f64;
        let share = ideal / simulation.elapsed().as_secs_f64();
        assert!(share > 0.6, "{share:.2} of the rate with {delay} ms and {loss} loss");
    }
}

/// A sender with a small buffer that waits for `Writable` and nothing else, and a reader that pauses for longer
/// than ten timeouts take, then reads a little now and then.
fn slow_reader(seed: u64) {
    let choice = Choice::new(seed ^ 0x510);
    let link = Link {
        delay: Duration::from_millis(choice.below(80)),
        loss: 0.1 * choice.fraction(),
        reordering: 0.1 * choice.fraction(),
        ..Link::default()
    };
    let mut network = Network::new(seed, Instant::now());
    network.set_default_link(link);
    let addresses: [SocketAddr; 2] = [1, 2].map(|host| ([10, 0, 0, host], 5000).into());
    let mut simulation = Simulation::new(network);
    let hosts: Vec<HostId> = (0..2)
        .map(|index| {
            let mut config = Config::default();
            config.max_init_retransmits = 60;
            config.initial_receive_window = 20_000;
            config.max_receive_window = 20_000;
            config.max_receive_message = 5000;
            config.max_send_message = 5000;
            config.send_buffer = 10_000;
            config.heartbeat_interval = Some(Duration::from_secs(1));
            let random = Arc::new(SeededRandom::new(seed.wrapping_mul(2) + index as u64));
            let association = Association::new(config, &provider().with_random(random));
            simulation.add_peer(addresses[index], addresses[1 - index], association)
        })
        .collect();
    let now = simulation.now();
    simulation.layer_mut(hosts[0]).connect(now);
    let pause = now + Duration::from_secs(choice.below(200));
    let longest = [40, 5000][choice.below(2) as usize];
    let (mut to_send, mut may_send) = (1000u32, false);
    let (mut sent, mut received) = (0u32, 0u32);
    let done = simulation.run_until(LIMIT, |simulation| {
        let now = simulation.now();
        let sender = simulation.layer_mut(hosts[0]);
        while let Some(event) = sender.poll_event() {
            assert!(!matches!(event, SctpEvent::Closed(_)), "{event:?}");
            may_send |= matches!(event, SctpEvent::Established { .. } | SctpEvent::Writable);
        }
        while may_send && to_send > 0 {
            // Every other message may be lost; the rest count themselves.
            let is_reliable = to_send.is_multiple_of(2);
            let reliability = match is_reliable {
                true => Reliability::Reliable,
                false => Reliability::MaxLifetime(Duration::from_millis(choice.below(500))),
            };
            let payload = message(StreamId(0), sent, 8 + choice.below(longest) as usize % 4900);
            let (stream, options) = (StreamId(to_send as u16 % 2), SendOptions::new(false, reliability));
            match sender.send(now, stream, PayloadProtocol::BINARY, payload, options) {
                Ok(()) => {
                    to_send -= 1;
                    sent += u32::from(is_reliable);
                }
                Err(_) => may_send = false,
            }
        }
        let reader = simulation.layer_mut(hosts[1]);
        while reader.poll_event().is_some() {}
        if now >= pause {
            for _ in 0..choice.below(60) {
                let Some(message) = reader.receive() else { break };
                if message.stream == StreamId(0) {
                    assert_eq!(message.payload[..4], received.to_be_bytes(), "all and in order");
                    received += 1;
                }
            }
        }
        to_send == 0 && received == sent
    });
    let [sender, reader] = [0, 1].map(|index| simulation.layer(hosts[index]).statistics());
    assert!(done, "{received} of {sent} arrived, {to_send} to send\n{sender:?}\n{reader:?}");
}

#[test]
fn a_slow_reader_gets_everything() {
    run_seeds(500, slow_reader);
}

/// How long it takes until nothing of `count` messages, sent at once, waits any more.
fn time_to_deliver(seed: u64, loss: f64, reliability: Reliability, count: usize) -> Duration {
    let rate = Some(1_250_000);
    let link = Link { delay: Duration::from_millis(25), loss, rate, queue: 1 << 20, ..Link::default() };
    let mut network = Network::new(seed, Instant::now());
    network.set_default_link(link);
    let addresses: [SocketAddr; 2] = [1, 2].map(|host| ([10, 0, 0, host], 5000).into());
    let mut simulation = Simulation::new(network);
    let hosts: Vec<HostId> = (0..2)
        .map(|index| {
            let mut config = Config::default();
            config.max_init_retransmits = 60;
            config.max_retransmits = 60;
            let random = Arc::new(SeededRandom::new(seed.wrapping_mul(2) + index as u64));
            let association = Association::new(config, &provider().with_random(random));
            simulation.add_peer(addresses[index], addresses[1 - index], association)
        })
        .collect();
    let now = simulation.now();
    simulation.layer_mut(hosts[0]).connect(now);
    assert!(simulation.run_until(LIMIT, |simulation| simulation.layer(hosts[0]).is_established()));
    let begun = simulation.now();
    for number in 0..count {
        let options = SendOptions::new(false, reliability);
        let payload = message(StreamId(0), number as u32, 1000);
        simulation
            .layer_mut(hosts[0])
            .send(begun, StreamId(0), PayloadProtocol::BINARY, payload, options)
            .unwrap();
    }
    let done = simulation.run_until(LIMIT, |simulation| {
        while simulation.layer_mut(hosts[1]).receive().is_some() {}
        simulation.layer(hosts[0]).statistics().send_buffered == 0
    });
    assert!(done);
    simulation.now() - begun
}

/// Giving up is not slower than trying again.
#[test]
fn a_channel_that_gives_up_is_no_slower_than_one_that_does_not() {
    for loss in [0.1, 0.25] {
        let median = |reliability| {
            let mut times: Vec<_> =
                (0..101).map(|seed| time_to_deliver(seed, loss, reliability, 200)).collect();
            times.sort_unstable();
            times[50]
        };
        let (reliable, unreliable) = (median(Reliability::Reliable), median(Reliability::MaxRetransmits(0)));
        assert!(unreliable <= reliable, "{loss}: {unreliable:?} against {reliable:?}");
    }
}
