//! A TURN client under a program of calls, time steps and datagrams: responses to what it asked, signed or not, of any
//! content, Data indications, ChannelData and garbage. Nothing may make it panic, wake without end, or hold more than
//! its limits.
//!
//! The input is a list of steps: a byte that says what, then what the step takes.

#![no_main]

mod oracle;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaon_rtc::crypto::{CryptoProvider, SeededRandom, aws_lc_rs};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::stun::{
    AttributeType, Class, ErrorCode, IntegrityAlgorithm, IntegrityKey, Message, MessageBuilder, Method,
    PasswordAlgorithm, TransactionId,
};
use kaon_rtc::turn::{Client, Config, Families, Opened};
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
    asked: Vec<(Method, TransactionId)>,
}

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
        let path = FiveTuple::udp(([10, 0, 0, 1], 1).into(), ([198, 51, 100, 1], 3478).into());
        let mut config = Config::new("alice", "secret");
        config.families = [Families::Ipv4, Families::Ipv6, Families::Both][usize::from(flags % 3)];
        config.dont_fragment = flags & 4 != 0;
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
        Self { client, now, path, keys, asked: Vec::new() }
    }

    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        match input.byte()? % 12 {
            0..=3 => self.respond(input)?,
            4 => self.challenge(input)?,
            5 => {
                let mut datagram = input.bytes()?.to_vec();
                self.open(&mut datagram);
            }
            6 => {
                let (from, data) = (peer(input.byte()?), input.bytes()?);
                let mut bytes = Vec::new();
                MessageBuilder::new(&mut bytes, Class::Indication, Method::DATA, TransactionId([1; 12]))
                    .xor_address(AttributeType::XOR_PEER_ADDRESS, from)
                    .attribute(AttributeType(0x0013 | u16::from(data.len() % 5 == 1) << 15), data)
                    .finish()
                    .ok()?;
                self.open(&mut bytes);
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
                    assert!(transmit.len() >= data.len() + 4);
                    assert!(self.client.is_permitted(to.ip()));
                }
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

    /// A response to what was asked: flags, which request, an error or zero, and attributes.
    fn respond(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (flags, which, code) = (input.byte()?, input.byte()?, input.byte()?);
        let extra = input.bytes()?;
        let (method, id) = *self.asked.get(usize::from(which).checked_rem(self.asked.len())?)?;
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
        if let Some((kind, value)) = extra.split_first_chunk::<2>() {
            message = message.attribute(AttributeType(u16::from_be_bytes(*kind) & 0x803f), value);
        }
        if flags & 4 == 0 {
            message = message.integrity(&self.keys[usize::from(flags >> 3 & 1)]);
        }
        message.finish().ok()?;
        self.open(&mut bytes);
        Some(())
    }

    /// 401 or 438 with a realm, a nonce and perhaps a list.
    fn challenge(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (flags, which, nonce) = (input.byte()?, input.byte()?, input.bytes()?);
        let (method, id) = *self.asked.get(usize::from(which).checked_rem(self.asked.len())?)?;
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
        self.open(&mut bytes);
        Some(())
    }

    fn open(&mut self, datagram: &mut [u8]) {
        let path = FiveTuple { remote: self.client.path().remote, ..self.path };
        let len = datagram.len();
        if let Ok(Opened::Data { range, .. }) = self.client.open(self.now, Datagram::new(path, datagram)) {
            assert!(range.end <= len && range.start >= 4);
        }
    }

    fn assert_sound(&mut self) {
        self.client.handle_timeout(self.now);
        assert!(self.client.poll_timeout().is_none_or(|next| next > self.now), "a timeout in the past");
        let mut batch = TransmitBatch::new(1200);
        let mut sent = 0;
        while let Some(transmit) = self.client.poll_transmit(self.now, &mut batch) {
            let message = Message::decode(batch.bytes(&transmit)).expect("what is sent is STUN");
            if message.class() == Class::Request {
                self.asked.push((message.method(), message.transaction_id()));
            }
            batch.clear();
            sent += 1;
            assert!(sent < 20, "{sent} datagrams waited");
        }
        let excess = self.asked.len().saturating_sub(16);
        self.asked.drain(..excess);
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
