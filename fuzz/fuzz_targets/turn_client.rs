//! A TURN client under a program of calls, time steps and datagrams: responses to what it asked, signed or not, of any
//! content, Data indications, ChannelData and garbage; and with an allocation for TCP (RFC 6062) attempts of peers, reports of
//! streams and what comes by them. Nothing may make it panic, wake without end, or hold more than its limits.
//!
//! The input is a list of steps: a byte that says what, then what the step takes.

#![no_main]

mod oracle;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaon_rtc::crypto::{CryptoProvider, SeededRandom, aws_lc_rs};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, StreamReport, StreamRequest, StreamToken, TransmitBatch};
use kaon_rtc::stun::{
    AttributeType, Class, ErrorCode, IntegrityAlgorithm, IntegrityKey, Message, MessageBuilder, Method,
    PasswordAlgorithm, ServerTransport, TransactionId,
};
use kaon_rtc::turn::{Client, Config, ConnectionId, Families, Opened, RequestedTransport};
use libfuzzer_sys::fuzz_target;

const CODES: [u16; 16] = [300, 400, 401, 403, 420, 437, 438, 440, 441, 442, 443, 446, 486, 500, 508, 699];

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
    client: Client,
    now: Instant,
    path: FiveTuple,
    keys: [IntegrityKey; 2],
    asked: Vec<(Method, TransactionId, FiveTuple)>,
    /// Streams that are to be opened, and those that are open.
    opening: Vec<StreamToken>,
    streams: Vec<FiveTuple>,
}

/// Connections, and attempts of peers, at most.
const CONNECTIONS: usize = 4;

fn peer(last: u8) -> SocketAddr {
    if last & 64 == 0 {
        ([203, 0, 113, last % 12], u16::from(last)).into()
    } else {
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last % 12)], 7).into()
    }
}

impl Play {
    fn new(provider: &CryptoProvider, flags: u8) -> Self {
        let now = Instant::now();
        let ends = (([10, 0, 0, 1], 1).into(), ([198, 51, 100, 1], 3478).into());
        let relays_tcp = flags & 128 != 0;
        let path = if relays_tcp { FiveTuple::tcp(ends.0, ends.1) } else { FiveTuple::udp(ends.0, ends.1) };
        let mut config = Config::new("alice", "secret");
        config.families = [Families::Ipv4, Families::Ipv6, Families::Both][usize::from(flags % 3)];
        config.dont_fragment = flags & 4 != 0 && !relays_tcp;
        if relays_tcp {
            config.transport = ServerTransport::Tcp;
            config.requested_transport = RequestedTransport::TCP;
        }
        (config.max_connections, config.max_attempts) = (CONNECTIONS, CONNECTIONS);
        config.max_peers = 8;
        config.max_requests = 4;
        config.max_events = 16;
        let client = Client::new(now, provider, path, config).expect("a client");
        let key = |algorithm: PasswordAlgorithm, integrity| {
            let key = algorithm.key(provider, "alice", "example.org", "secret").expect("a key");
            key.integrity(provider, integrity)
        };
        let keys = [
            key(PasswordAlgorithm::Md5, IntegrityAlgorithm::Sha1),
            key(PasswordAlgorithm::Sha256, IntegrityAlgorithm::Sha256),
        ];
        Self { client, now, path, keys, asked: Vec::new(), opening: Vec::new(), streams: Vec::new() }
    }

    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        match input.byte()? % 16 {
            0..=3 => self.respond(input)?,
            4 => self.challenge(input)?,
            5 => {
                let mut datagram = input.bytes()?.to_vec();
                self.open(self.path, &mut datagram);
            }
            6 => {
                let (from, data) = (peer(input.byte()?), input.bytes()?);
                let mut bytes = Vec::new();
                MessageBuilder::new(&mut bytes, Class::Indication, Method::DATA, TransactionId([1; 12]))
                    .xor_address(AttributeType::XOR_PEER_ADDRESS, from)
                    .attribute(AttributeType(0x0013 | u16::from(data.len() % 5 == 1) << 15), data)
                    .finish()
                    .ok()?;
                self.open(self.path, &mut bytes);
            }
            7 => {
                self.now += Duration::from_millis(u64::from(input.byte()?) * 500);
                self.client.handle_timeout(self.now);
            }
            8 => drop(self.client.permit(self.now, peer(input.byte()?).ip())),
            9 => drop(self.client.bind(self.now, peer(input.byte()?))),
            10 => {
                let (to, data) = (peer(input.byte()?), input.bytes()?);
                let mut batch = TransmitBatch::new(1200);
                if let Ok(transmit) = self.client.send(self.now, to, data, &mut batch) {
                    match transmit.path.filter(|path| self.streams.contains(path)) {
                        Some(_) => assert_eq!(transmit.len(), data.len()),
                        None => {
                            assert!(transmit.len() >= data.len() + 4);
                            assert!(self.client.is_permitted(to.ip()));
                        }
                    }
                }
            }
            11 => self.act_on_connections(input)?,
            12 => self.attempt(input)?,
            13 => self.report(input)?,
            14 => {
                let (which, mut bytes) = (input.byte()?, input.bytes()?.to_vec());
                let stream = *self.streams.get(usize::from(which).checked_rem(self.streams.len())?)?;
                self.open(stream, &mut bytes);
            }
            _ => match input.byte()? {
                0..=1 => self.client.close(self.now),
                port @ 2..=31 => {
                    self.path.local.set_port(u16::from(port));
                    self.client.set_path(self.now, self.path);
                }
                last => self.client.release(self.now, peer(last)),
            },
        }
        Some(())
    }

    fn act_on_connections(&mut self, input: &mut Input<'_>) -> Option<()> {
        match input.byte()? % 4 {
            0..=1 => drop(self.client.connect(self.now, peer(input.byte()?))),
            2 => drop(self.client.accept(self.now, ConnectionId(u32::from(input.byte()?)))),
            _ => self.client.disconnect(self.now, peer(input.byte()?)),
        }
        Some(())
    }

    /// The server tells that a peer has connected.
    fn attempt(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (from, id) = (peer(input.byte()?), input.byte()?);
        let mut bytes = Vec::new();
        MessageBuilder::new(
            &mut bytes,
            Class::Indication,
            Method::CONNECTION_ATTEMPT,
            TransactionId([2; 12]),
        )
        .xor_address(AttributeType::XOR_PEER_ADDRESS, from)
        .attribute(AttributeType::CONNECTION_ID, &ConnectionId(u32::from(id)).encode())
        .finish()
        .ok()?;
        self.open(self.path, &mut bytes);
        Some(())
    }

    /// What became of a stream that was to be opened, or that was open.
    fn report(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (what, which) = (input.byte()?, usize::from(input.byte()?));
        let reason = || "it broke".to_owned();
        let report = match what % 4 {
            0..=1 => {
                let token = self.opening.remove(which.checked_rem(self.opening.len())?);
                // Each has a port of its own.
                let mut path = self.path;
                path.local.set_port(1000 + u16::try_from(token.0).ok()?);
                self.streams.push(path);
                StreamReport::Opened { token, path }
            }
            2 => {
                let token = self.opening.remove(which.checked_rem(self.opening.len())?);
                StreamReport::Failed { token, reason: reason() }
            }
            _ => {
                let path = self.streams.remove(which.checked_rem(self.streams.len())?);
                StreamReport::Closed { path, reason: reason() }
            }
        };
        self.client.handle_stream(self.now, report);
        Some(())
    }

    /// A response to what was asked: flags, which request, an error or zero, and attributes.
    fn respond(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (flags, which, code) = (input.byte()?, input.byte()?, input.byte()?);
        let extra = input.bytes()?;
        let (method, id, by) = *self.asked.get(usize::from(which).checked_rem(self.asked.len())?)?;
        let class = if code < 128 { Class::Success } else { Class::Error };
        let mut bytes = Vec::new();
        let mut message = MessageBuilder::new(&mut bytes, class, method, id);
        if class == Class::Error {
            message = message.error_code(ErrorCode::new(CODES[usize::from(code % 16)])?);
        }
        if code % 16 == 0 {
            message = message.alternate_server(([198, 51, 100, 2 + code / 16], 3478).into());
        }
        if flags & 2 == 0 {
            message = message.xor_address(AttributeType::XOR_RELAYED_ADDRESS, peer(flags));
            message = message.attribute(AttributeType::LIFETIME, &[0, 0, flags & 3, which]);
        }
        if method == Method::CONNECT && flags & 32 == 0 {
            message =
                message.attribute(AttributeType::CONNECTION_ID, &ConnectionId(u32::from(which)).encode());
        }
        if let Some((kind, value)) = extra.split_first_chunk::<2>() {
            message = message.attribute(AttributeType(u16::from_be_bytes(*kind) & 0x803f), value);
        }
        if flags & 4 == 0 {
            message = message.integrity(&self.keys[usize::from(flags >> 3 & 1)]);
        }
        message.finish().ok()?;
        // Behind a response by a stream of its own there may be data already.
        if by != self.path && flags & 64 != 0 {
            bytes.extend_from_slice(extra);
        }
        self.open(by, &mut bytes);
        Some(())
    }

    /// 401 or 438 with a realm, a nonce and perhaps a list.
    fn challenge(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (flags, which, nonce) = (input.byte()?, input.byte()?, input.bytes()?);
        let (method, id, by) = *self.asked.get(usize::from(which).checked_rem(self.asked.len())?)?;
        let code = if flags & 1 == 0 { ErrorCode::UNAUTHENTICATED } else { ErrorCode::STALE_NONCE };
        let mut bytes = Vec::new();
        let mut message = MessageBuilder::new(&mut bytes, Class::Error, method, id).error_code(code);
        message =
            message.attribute(AttributeType::REALM, if flags & 2 == 0 { b"example.org" } else { b"\0" });
        let prefix: &[u8] = if flags & 4 == 0 { b"" } else { b"obMatJos2gAAA" };
        message = message.attribute(AttributeType::NONCE, &[prefix, nonce].concat());
        if flags & 8 != 0 {
            message = message.attribute(AttributeType::PASSWORD_ALGORITHMS, &[0, 2, 0, 0, 0, 1, 0, 0]);
        }
        message.finish().ok()?;
        self.open(by, &mut bytes);
        Some(())
    }

    fn open(&mut self, path: FiveTuple, datagram: &mut [u8]) {
        let is_stream = self.streams.contains(&path);
        let path = FiveTuple { remote: self.client.path().remote, ..path };
        let len = datagram.len();
        if let Ok(Opened::Data { range, .. }) = self.client.open(self.now, Datagram::new(path, datagram)) {
            assert!(range.end <= len && (range.start >= 4 || is_stream));
        }
    }

    /// Does what is asked of streams.
    fn take_requests(&mut self) {
        let mut count = 0;
        while let Some(request) = self.client.poll_stream() {
            match request {
                StreamRequest::Open(opening) => self.opening.push(opening.token),
                StreamRequest::Abandon(token) => self.opening.retain(|it| *it != token),
                StreamRequest::Close(path) => self.streams.retain(|it| *it != path),
                other => panic!("it opens its streams itself: {other:?}"),
            }
            count += 1;
            assert!(count <= 4 * CONNECTIONS, "{count} requests waited");
        }
        let there = self.opening.len() + self.streams.len();
        assert!(there <= 2 * CONNECTIONS, "{there} streams");
    }

    fn assert_sound(&mut self) {
        self.client.handle_timeout(self.now);
        assert!(self.client.poll_timeout().is_none_or(|next| next > self.now), "a timeout in the past");
        let mut batch = TransmitBatch::new(1200);
        let mut sent = 0;
        while let Some(transmit) = self.client.poll_transmit(self.now, &mut batch) {
            let message = Message::decode(batch.bytes(&transmit)).expect("what is sent is STUN");
            if message.class() == Class::Request {
                let by = transmit.path.expect("it has a path");
                self.asked.push((message.method(), message.transaction_id(), by));
            }
            batch.clear();
            sent += 1;
            assert!(sent < 20, "{sent} datagrams waited");
        }
        let excess = self.asked.len().saturating_sub(16);
        self.asked.drain(..excess);
        self.take_requests();
        let events = std::iter::from_fn(|| self.client.poll_event()).count();
        assert!(events <= 16, "{events} events waited");
    }
}

fuzz_target!(|data: &[u8]| {
    let provider = aws_lc_rs::provider().with_random(Arc::new(SeededRandom::new(1)));
    let cost = oracle::Oracle::new();
    let mut input = Input(data);
    let mut play = Play::new(&provider, input.byte().unwrap_or(0));
    play.assert_sound();
    for _ in 0..200 {
        // A step that has nothing to do, such as to answer what was not asked, is passed over.
        if play.step(&mut input).is_none() && input.0.is_empty() {
            break;
        }
        play.assert_sound();
    }
    // Left alone it comes to rest.
    let end = play.now + Duration::from_secs(5000);
    let mut wakes = 0;
    while let Some(timeout) = play.client.poll_timeout().filter(|timeout| *timeout < end) {
        play.now = timeout;
        play.assert_sound();
        wakes += 1;
        assert!(wakes < 20_000, "it wakes without end");
    }
    assert!(play.client.allocation().is_none(), "a server that is silent has forgotten it");
    cost.assert_live(128 << 10);
    cost.assert_work(data.len());
});
