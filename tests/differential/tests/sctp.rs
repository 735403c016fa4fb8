//! An association of Kaon and one of `sctp-proto`, in both roles, with packets lost on the way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::crypto::{SeededRandom, aws_lc_rs};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::sctp::{
    Association, Config, PayloadProtocol, Reliability, SctpClose, SctpEvent, SctpTransport, SendOptions,
    StreamId,
};
use sctp_proto::{
    AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier, ReliabilityType, ServerConfig,
};

const STREAM: u16 = 3;

/// The other implementation.
struct Peer {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, sctp_proto::Association)>,
    connected: bool,
    received: Vec<Bytes>,
}

struct Pair {
    now: Instant,
    random: SeededRandom,
    /// In percent.
    loss: u64,
    kaon: Association,
    events: Vec<SctpEvent>,
    received: Vec<Bytes>,
    peer: Peer,
}

fn address() -> SocketAddr {
    ([127, 0, 0, 1], 5000).into()
}

impl Peer {
    fn new(connects: bool) -> Self {
        let config = Arc::new(EndpointConfig::default());
        let server = (!connects).then(|| Arc::new(ServerConfig::new()));
        let mut endpoint = Endpoint::new(config, server);
        let association = connects.then(|| endpoint.connect(ClientConfig::new(), address()).unwrap());
        Self { endpoint, association, connected: false, received: Vec::new() }
    }

    fn handle(&mut self, now: Instant, packet: Bytes) {
        match self.endpoint.handle(now, address(), None, None, packet) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.association = Some((handle, association));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = &mut self.association {
                    association.handle_event(event);
                }
            }
            None => {}
        }
    }

    fn poll(&mut self, now: Instant) -> Vec<Bytes> {
        let mut packets = Vec::new();
        let mut take = |payload| {
            if let Payload::RawEncode(contents) = payload {
                packets.extend(contents);
            }
        };
        while let Some(transmit) = self.endpoint.poll_transmit() {
            take(transmit.payload);
        }
        let Some((handle, association)) = &mut self.association else { return packets };
        if association.poll_timeout().is_some_and(|timeout| timeout <= now) {
            association.handle_timeout(now);
        }
        while let Some(event) = association.poll() {
            self.connected |= matches!(event, Event::Connected);
        }
        while association.accept_stream().is_some() {}
        if let Ok(mut stream) = association.stream(STREAM) {
            while let Ok(Some(chunks)) = stream.read_sctp() {
                let mut payload = vec![0; chunks.len()];
                chunks.read(&mut payload).unwrap();
                self.received.push(payload.into());
            }
        }
        while let Some(event) = association.poll_endpoint_event() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                association.handle_event(event);
            }
        }
        while let Some(transmit) = association.poll_transmit(now) {
            take(transmit.payload);
        }
        packets
    }

    fn send(&mut self, message: &Bytes) {
        let (_, association) = self.association.as_mut().unwrap();
        if association.stream(STREAM).is_err() {
            association.open_stream(STREAM, PayloadProtocolIdentifier::Binary).unwrap();
        }
        let mut stream = association.stream(STREAM).unwrap();
        stream.write_sctp(message, PayloadProtocolIdentifier::Binary).unwrap();
    }
}

impl Pair {
    fn new(seed: u64, loss: u64, kaon_connects: bool) -> Self {
        let now = Instant::now();
        let mut config = Config::default();
        config.max_retransmits = 50;
        config.max_init_retransmits = 50;
        let mut kaon = Association::new(config, &aws_lc_rs::provider());
        if kaon_connects {
            kaon.connect(now);
        }
        Self {
            now,
            random: SeededRandom::new(seed),
            loss,
            kaon,
            events: Vec::new(),
            received: Vec::new(),
            peer: Peer::new(!kaon_connects),
        }
    }

    fn is_lost(&self) -> bool {
        self.random.next_u64() % 100 < self.loss
    }

    fn step(&mut self) {
        let path = FiveTuple::udp(address(), address());
        let mut moved = false;
        let mut batch = TransmitBatch::new(1200);
        self.kaon.handle_timeout(self.now);
        while let Some(transmit) = self.kaon.poll_transmit(self.now, &mut batch) {
            for datagram in batch.datagrams(&transmit) {
                moved = true;
                if !self.is_lost() {
                    self.peer.handle(self.now, Bytes::copy_from_slice(datagram));
                }
            }
            batch.clear();
        }
        for packet in self.peer.poll(self.now) {
            moved = true;
            if !self.is_lost() {
                let _ = self.kaon.handle_datagram(self.now, Datagram::new(path, &mut packet.to_vec()));
            }
        }
        self.events.extend(std::iter::from_fn(|| self.kaon.poll_event()));
        self.received.extend(std::iter::from_fn(|| self.kaon.receive()).map(|message| message.payload));
        if !moved {
            let theirs =
                self.peer.association.as_ref().and_then(|(_, association)| association.poll_timeout());
            let next = [self.kaon.poll_timeout(), theirs].into_iter().flatten().min();
            self.now = next.unwrap_or(self.now).max(self.now + Duration::from_millis(1));
        } else {
            self.now += Duration::from_micros(100);
        }
    }

    fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..400_000 {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("no {what}: {:?}", self.kaon.statistics());
    }

    fn connect(&mut self) {
        self.run_until("connection", |pair| pair.kaon.is_established() && pair.peer.connected);
    }

    fn send(&mut self, message: Bytes, options: SendOptions) {
        self.kaon.send(self.now, StreamId(STREAM), PayloadProtocol::BINARY, message, options).unwrap();
    }
}

fn messages(seed: u64, count: usize) -> Vec<Bytes> {
    let random = SeededRandom::new(seed);
    let message = |index: usize| {
        let length = match random.next_u64() % 4 {
            0 => random.next_u64() % 60_000,
            _ => random.next_u64() % 3000,
        };
        (0..=length as usize).map(|at| (at * 7 + index) as u8).collect()
    };
    (0..count).map(message).collect()
}

#[test]
fn messages_pass_both_ways() {
    for seed in 0..40 {
        for kaon_connects in [true, false] {
            let mut pair = Pair::new(seed, seed % 4 * 3, kaon_connects);
            pair.connect();
            let (ours, theirs) = (messages(seed, 40), messages(seed + 1000, 40));
            for (our, their) in ours.iter().zip(&theirs) {
                pair.send(our.clone(), SendOptions::default());
                pair.peer.send(their);
            }
            pair.run_until("delivery", |pair| {
                pair.received.len() >= theirs.len() && pair.peer.received.len() >= ours.len()
            });
            assert_eq!(pair.peer.received, ours, "seed {seed}");
            assert_eq!(pair.received, theirs, "seed {seed}");
            assert_eq!(pair.kaon.statistics().receive_buffered, 0);
        }
    }
}

#[test]
fn partially_reliable_messages_are_skipped_on_both_sides() {
    for seed in 0..40 {
        let mut pair = Pair::new(seed, 10, seed % 2 == 0);
        pair.connect();
        let once = SendOptions { reliability: Reliability::MaxRetransmits(0), ..SendOptions::default() };
        let ours = messages(seed, 40);
        pair.peer.send(&Bytes::from("first"));
        {
            let (_, association) = pair.peer.association.as_mut().unwrap();
            let mut stream = association.stream(STREAM).unwrap();
            stream.set_reliability_params(false, ReliabilityType::Rexmit, 0).unwrap();
        }
        for message in &ours {
            pair.send(message.clone(), once);
            pair.peer.send(message);
        }
        {
            let (_, association) = pair.peer.association.as_mut().unwrap();
            let mut stream = association.stream(STREAM).unwrap();
            stream.set_reliability_params(false, ReliabilityType::Reliable, 0).unwrap();
        }
        let last = Bytes::from("last");
        pair.send(last.clone(), SendOptions::default());
        pair.peer.send(&last);
        pair.run_until("last message", |pair| {
            pair.received.last() == Some(&last) && pair.peer.received.last() == Some(&last)
        });
        // What did arrive is intact and in order.
        let mut wanted = ours.iter();
        let arrived = &pair.peer.received[..pair.peer.received.len() - 1];
        assert!(arrived.iter().all(|message| wanted.any(|our| our == message)), "seed {seed}");
    }
}

#[test]
fn a_shutdown_ends_both() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed, seed % 3 * 5, seed % 2 == 0);
        pair.connect();
        let ours = messages(seed, 10);
        for message in &ours {
            pair.send(message.clone(), SendOptions::default());
        }
        pair.kaon.shutdown(pair.now);
        pair.run_until("end", |pair| pair.events.iter().any(|event| matches!(event, SctpEvent::Closed(_))));
        assert!(pair.events.contains(&SctpEvent::Closed(SctpClose::Shutdown)), "seed {seed}");
        assert_eq!(pair.peer.received, ours, "seed {seed}");
    }
}

#[test]
fn a_stream_reset_is_answered() {
    for kaon_connects in [true, false] {
        let mut pair = Pair::new(5, 5, kaon_connects);
        pair.connect();
        pair.send("before".into(), SendOptions::default());
        pair.run_until("delivery", |pair| pair.peer.received.len() == 1);
        let stream = StreamId(STREAM);
        pair.kaon.reset_streams(pair.now, &[stream]).unwrap();
        pair.run_until("reset", |pair| pair.events.contains(&SctpEvent::OutgoingStreamReset(stream)));
        pair.send("after".into(), SendOptions::default());
        pair.run_until("delivery on the new stream", |pair| pair.peer.received.len() == 2);
        assert_eq!(pair.peer.received, ["before", "after"]);
    }
}
