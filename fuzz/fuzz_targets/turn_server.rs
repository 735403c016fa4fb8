//! A TURN server under a program of clients that authenticate, strangers, peers, sockets that can or cannot be bound,
//! answers to questions, and time. Nothing may make it panic, wake without end, hold more than its limits, answer where
//! nothing was asked, or relay for or to somebody who may not.
//!
//! The input is a list of steps: a byte that says what, then what the step takes.

#![no_main]

mod oracle;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaon_rtc::crypto::{CryptoProvider, SeededRandom, aws_lc_rs};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, Protocol, TransmitBatch};
use kaon_rtc::stun::{
    AttributeType, Class, IntegrityKey, Message, MessageBuilder, Method, PasswordAlgorithm, TransactionId,
};
use kaon_rtc::turn::server::{Config, Credentials, Event, Grant, PeerPolicy, RelayAddress, Server};
use libfuzzer_sys::fuzz_target;

const METHODS: [Method; 8] = [
    Method::ALLOCATE,
    Method::REFRESH,
    Method::CREATE_PERMISSION,
    Method::CHANNEL_BIND,
    Method::BINDING,
    Method::SEND,
    Method::CONNECT,
    Method::CONNECTION_BIND,
];
const USERS: [&str; 3] = ["alice", "bob", "carol"];

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A length and so many bytes.
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = usize::from(self.byte()?);
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        Some(taken)
    }
}

struct Play {
    server: Server,
    now: Instant,
    keys: Vec<IntegrityKey>,
    nonces: Vec<Vec<u8>>,
    opening: Vec<SocketAddr>,
    open: BTreeSet<SocketAddr>,
    questions: Vec<u64>,
    /// Connections to peers that are asked for, and those that there are.
    connecting: Vec<u32>,
    peers: BTreeSet<u32>,
    ticket: Vec<u8>,
    id: u8,
}

/// One of a few clients, of which each second one has a connection.
fn path(which: u8) -> FiveTuple {
    let protocol = if which & 1 == 0 { Protocol::Udp } else { Protocol::Tcp };
    let remote = ([8, 8, 4, which >> 1 & 1], 1000 + u16::from(which & 3)).into();
    FiveTuple { protocol, ..FiveTuple::udp(([9, 9, 9, 9], 3478).into(), remote) }
}

/// Peers that may be, and such as may not.
fn peer(which: u8) -> SocketAddr {
    match which % 8 {
        0..=3 => ([1, 1, 1, which % 8], 7).into(),
        4 => ([0x2600, 0, 0, 0, 0, 0, 0, 1], 7).into(),
        5 => ([10, 0, 0, 1], 7).into(),
        6 => ([0, 0, 0, 0, 0, 0xffff, 0x0101, 0x0101], 7).into(),
        _ => ([9, 9, 9, 9], 40_000 + u16::from(which >> 4)).into(),
    }
}

impl Play {
    fn new(provider: &CryptoProvider, flags: u8) -> Self {
        let now = Instant::now();
        let users = Credentials::default().with_user("alice", "secret").with_user("bob", "secret");
        let v4 = RelayAddress::new([9, 9, 9, 9].into()).with_ports(40_000..=40_015);
        let v6 = RelayAddress::new([0x2600, 0, 0, 0, 0, 0, 0, 9].into()).with_ports(40_000..=40_003);
        let mut config = Config::new(users, [v4, v6]);
        config.asks = flags & 1 != 0;
        config.max_questions = 2;
        config.max_allocations_per_user = 3;
        config.max_permissions = 4;
        config.max_channels = 4;
        config.max_events = 16;
        config.dont_fragment = flags & 2 != 0;
        config.max_peer_connections = 3;
        config.sources = 64;
        config.answers_per_source = 100_000;
        if flags & 4 != 0 {
            config.password_algorithms = vec![PasswordAlgorithm::Sha256, PasswordAlgorithm::Md5];
        }
        if flags & 8 != 0 {
            (config.bandwidth, config.bandwidth_per_user) = (Some(1000), Some(1000));
        }
        let server = Server::new(now, Duration::ZERO, provider, config).expect("a server");
        let key = |user: &&str| {
            let key = PasswordAlgorithm::Md5.key(provider, user, "kaon", "secret").expect("a key");
            IntegrityKey::from_bytes(provider, &key)
        };
        let keys = USERS.iter().map(key).collect();
        let (nonces, opening, open) = (vec![Vec::new(); 256], Vec::new(), BTreeSet::new());
        let (questions, connecting, peers, ticket) = (Vec::new(), Vec::new(), BTreeSet::new(), Vec::new());
        Self { server, now, keys, nonces, opening, open, questions, connecting, peers, ticket, id: 0 }
    }

    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        match input.byte()? % 13 {
            0..=4 => self.request(input)?,
            5 => {
                let (from, bytes) = (input.byte()?, input.bytes()?);
                self.arrives(path(from), bytes);
            }
            6 => {
                let (which, from, bytes) = (input.byte()?, input.byte()?, input.bytes()?);
                let relay = *self.open.iter().nth(usize::from(which).checked_rem(self.open.len())?)?;
                self.arrives(FiveTuple::udp(relay, peer(from)), bytes);
            }
            7 => {
                let (from, to, data) = (input.byte()?, input.byte()?, input.bytes()?);
                let mut bytes = Vec::new();
                MessageBuilder::new(&mut bytes, Class::Indication, Method::SEND, TransactionId([1; 12]))
                    .xor_address(AttributeType::XOR_PEER_ADDRESS, peer(to))
                    .attribute(AttributeType::DATA, data)
                    .finish()
                    .ok()?;
                self.arrives(path(from), &bytes);
            }
            8 => self.now += Duration::from_secs(u64::from(input.byte()?)),
            9 => match (input.byte()?, self.opening.pop()) {
                (0..=191, Some(local)) => {
                    self.open.insert(local);
                    self.server.relay_opened(self.now, local);
                }
                (_, Some(local)) => self.server.relay_failed(self.now, local),
                (which, None) => self.server.relay_opened(self.now, ([9, 9, 9, 9], u16::from(which)).into()),
            },
            10 => {
                let flags = input.byte()?;
                let question = self.questions.pop().unwrap_or(u64::from(flags));
                let grant = Grant::password("carol", "secret");
                self.server.answer(self.now, question, (flags & 1 == 0).then_some(&grant));
            }
            11 => match (input.byte()?, self.connecting.pop()) {
                (0..=127, Some(connection)) => self.server.peer_connected(self.now, connection),
                (128..=191, Some(connection)) => self.server.peer_failed(self.now, connection),
                (which, _) => {
                    let relay = *self.open.iter().nth(usize::from(which).checked_rem(self.open.len())?)?;
                    let accepted = self.server.peer_accepted(self.now, relay, peer(which));
                    assert!(accepted.is_none() || which % 8 < 5, "a denied peer");
                    self.peers.extend(accepted);
                    if let Some(connection) = accepted {
                        let taken = self.server.take_stream(self.now, connection, 1000, which & 8 == 0);
                        assert!(taken.is_some(), "it is there");
                    }
                }
            },
            _ => match input.byte()? {
                0..=3 => self.server.close(self.now),
                4..=7 => self.server.set_policy(PeerPolicy::default().deny("1.1.1.2".parse().ok()?)),
                8..=9 => self.server.drain(),
                which => self.server.connection_closed(self.now, path(which)),
            },
        }
        Some(())
    }

    /// A request: flags, whose, which method, to which peer, and an attribute.
    fn request(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (flags, from, method, to) = (input.byte()?, input.byte()?, input.byte()?, input.byte()?);
        let extra = input.bytes()?;
        let user = usize::from(flags & 3) % 3;
        self.id = self.id.wrapping_add(u8::from(flags & 4 == 0));
        let method = METHODS[usize::from(method) % METHODS.len()];
        let mut bytes = Vec::new();
        let mut message =
            MessageBuilder::new(&mut bytes, Class::Request, method, TransactionId([self.id; 12]));
        if let Some((kind, value)) = extra.split_first_chunk::<2>() {
            message = message.attribute(AttributeType(u16::from_be_bytes(*kind) & 0x803f), value);
        }
        if method == Method::ALLOCATE && flags & 8 == 0 {
            let transport = if flags & 64 == 0 { 17 } else { 6 };
            message = message.attribute(AttributeType::REQUESTED_TRANSPORT, &[transport, 0, 0, 0]);
        } else if method != Method::ALLOCATE {
            message = message.xor_address(AttributeType::XOR_PEER_ADDRESS, peer(to));
        }
        if method == Method::CHANNEL_BIND {
            message = message.attribute(AttributeType::CHANNEL_NUMBER, &[0x40, to >> 4, 0, 0]);
        }
        if method == Method::CONNECTION_BIND {
            let connection = self.peers.last().copied().unwrap_or_default();
            message = message.attribute(AttributeType::CONNECTION_ID, &connection.to_be_bytes());
        }
        if flags & 128 != 0 && [Method::ALLOCATE, Method::REFRESH].contains(&method) {
            let ticket: &[u8] = if method == Method::ALLOCATE { &[] } else { &self.ticket };
            message = message.attribute(AttributeType::MOBILITY_TICKET, ticket);
        }
        if flags & 16 == 0 {
            message = message
                .username(USERS[user])
                .attribute(AttributeType::REALM, b"kaon")
                .attribute(AttributeType::NONCE, &self.nonces[usize::from(from & 7)])
                .integrity(&self.keys[if flags & 32 == 0 { user } else { 0 }]);
        }
        message.finish().ok()?;
        self.arrives(path(from & 7), &bytes);
        Some(())
    }

    /// What is relayed goes where it may, and at most one datagram for one.
    fn arrives(&mut self, path: FiveTuple, bytes: &[u8]) {
        let (mut out, mut transmits) = (TransmitBatch::new(1500), Vec::new());
        let mut copy = bytes.to_vec();
        let size = copy.len().max(1);
        let _ =
            self.server.receive(self.now, [(Datagram::new(path, &mut copy), size)], &mut out, &mut transmits);
        assert!(transmits.len() <= 1, "one datagram is relayed once");
        for transmit in &transmits {
            let to = transmit.path.expect("a path");
            if self.open.contains(&path.local) {
                assert!(!self.open.contains(&to.local), "from a peer to a client");
                assert!(transmit.len() <= bytes.len() + 56);
            } else {
                assert!(self.open.contains(&to.local), "by a relayed address");
                let ip = to.remote.ip();
                let text = ip.to_string();
                let is_public = ["9.9.9.9", "1.1.1.", "2600:"].iter().any(|start| text.starts_with(start));
                assert!(is_public, "to a denied peer");
                assert!(transmit.len() <= bytes.len());
            }
        }
    }

    fn assert_sound(&mut self) {
        self.server.handle_timeout(self.now);
        assert!(self.server.poll_timeout().is_none_or(|next| next > self.now), "a timeout in the past");
        let mut batch = TransmitBatch::new(1200);
        while let Some(transmit) = self.server.poll_transmit(self.now, &mut batch) {
            let message = Message::decode(batch.bytes(&transmit)).expect("what is sent is STUN");
            let from = transmit.path.expect("a path");
            if let Some(ticket) = message.attribute(AttributeType::MOBILITY_TICKET) {
                self.ticket = ticket.to_vec();
            }
            if let (Class::Error, Some(nonce)) = (message.class(), message.nonce()) {
                for which in 0..8 {
                    if path(which) == from {
                        self.nonces[usize::from(which)] = nonce.to_vec();
                    }
                }
            }
            batch.clear();
        }
        let mut told = 0;
        while let Some(event) = self.server.poll_event() {
            match event {
                Event::OpenRelay(local) | Event::OpenTcpRelay(local) => self.opening.push(local),
                Event::ConnectPeer { connection, peer, .. } => {
                    assert!(!["10.0.0.1", "::ffff:"].iter().any(|it| peer.ip().to_string().starts_with(it)));
                    self.connecting.push(connection);
                    self.peers.insert(connection);
                }
                Event::JoinPeer { connection, client } => {
                    assert!(self.peers.contains(&connection) && client.protocol == Protocol::Tcp);
                }
                Event::ClosePeer(connection) => {
                    self.peers.remove(&connection);
                    self.connecting.retain(|it| *it != connection);
                }
                Event::CloseRelay(local) => {
                    self.open.remove(&local);
                    self.opening.retain(|it| *it != local);
                }
                Event::Question(question) => self.questions.push(question.id),
                _ => told += 1,
            }
        }
        assert!(told <= 16, "{told} events waited");
        assert!(self.server.statistics().allocations <= 9);
        self.questions.truncate(16);
    }
}

fuzz_target!(|data: &[u8]| {
    let provider = aws_lc_rs::provider().with_random(Arc::new(SeededRandom::new(1)));
    let cost = oracle::Oracle::new();
    let mut input = Input(data);
    let mut play = Play::new(&provider, input.byte().unwrap_or(0));
    for _ in 0..200 {
        // A step that has nothing to do, such as to send from a relayed address that is not there, is passed over.
        if play.step(&mut input).is_none() && input.0.is_empty() {
            break;
        }
        play.assert_sound();
    }
    // Left alone it comes to rest, and everything is given back.
    let mut wakes = 0;
    while let Some(timeout) = play.server.poll_timeout() {
        play.now = timeout;
        play.assert_sound();
        wakes += 1;
        assert!(wakes < 1000, "it wakes without end");
    }
    assert_eq!((play.server.statistics().allocations, play.server.statistics().users), (0, 0));
    assert!(play.open.is_empty(), "sockets were not given back");
    assert!(play.peers.is_empty(), "connections of peers were not given back");
    cost.assert_live(512 << 10);
    cost.assert_work(data.len());
});
