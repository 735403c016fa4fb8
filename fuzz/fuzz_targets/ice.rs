//! A live ICE agent under a program of calls, time steps and datagrams: authentic ones with any attributes, the
//! same with a byte changed, responses to what it asked, a TURN server that grants, refuses and relays, and garbage. Nothing may make it panic, wake without
//! end, or hold more than its limits.
//!
//! The input is a list of steps: a byte that says what, then what the step takes.

#![no_main]

mod oracle;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaon_rtc::crypto::{CryptoProvider, SeededRandom, aws_lc_rs};
use kaon_rtc::ice::{
    Agent, Config, IceConnectionState, IceCredentials, IceRole, IceTransport, NameQuery, TurnServer,
};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::stun::{
    AttributeType, Class, ErrorCode, IntegrityAlgorithm, IntegrityKey, Message, MessageBuilder, Method,
    PasswordAlgorithm, TransactionId,
};
use kaon_rtc::turn::{ChannelData, ChannelNumber};
use libfuzzer_sys::fuzz_target;

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
    provider: CryptoProvider,
    agent: Agent,
    now: Instant,
    peer: IceCredentials,
    /// What the agent asked and got no answer to yet.
    asked: Vec<(FiveTuple, TransactionId)>,
    /// What it asked its TURN server for, and whether with credentials.
    relay_asked: Vec<(FiveTuple, TransactionId, Method, bool)>,
    relay_key: IntegrityKey,
}

/// The last number of the TURN server.
const RELAY: u8 = 201;
const REALM: &str = "example.org";

fn host(last: u8) -> SocketAddr {
    ([10, 0, 0, last % 4], 1000).into()
}

fn remote(last: u8) -> SocketAddr {
    ([10, 0, 1, last], 2000).into()
}

impl Play {
    fn new() -> Self {
        let provider = aws_lc_rs::provider().with_random(Arc::new(SeededRandom::new(1)));
        let now = Instant::now();
        let mut config = Config::default();
        config.stun_servers = vec![remote(200)];
        config.turn_servers = vec![TurnServer::new(remote(RELAY), "alice", "secret")];
        config.max_pairs = 12;
        config.max_remote_candidates = 8;
        config.max_local_candidates = 6;
        config.max_queued_responses = 4;
        let mut agent = Agent::new(now, provider.clone(), config);
        agent.add_host_address(now, host(1)).expect("a good address");
        let peer = IceCredentials::new("peer", "the-password-of-the-peer").expect("well-formed");
        let key = PasswordAlgorithm::Md5.key(&provider, "alice", REALM, "secret").expect("good credentials");
        let relay_key = key.integrity(&provider, IntegrityAlgorithm::Sha1);
        Self { provider, agent, now, peer, asked: Vec::new(), relay_asked: Vec::new(), relay_key }
    }

    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        let now = self.now;
        match input.byte()? % 16 {
            0 => self.now += Duration::from_millis(u64::from(input.byte()?)),
            1 => self.now += Duration::from_millis(u64::from(input.byte()?) * 250),
            // What begins with an empty piece of garbage.
            2 if input.0.first() == Some(&0) => self.relay(input)?,
            2 => {
                let mut garbage = input.bytes()?.to_vec();
                self.receive(input.byte()?, input.byte()?, &mut garbage);
            }
            3 | 4 => self.request(input)?,
            5 | 6 => self.respond(input)?,
            7 => self.refuse(input)?,
            8 => {
                let (number, priority) = (input.byte()?, input.byte()?);
                let candidate = format!(
                    "candidate:{} 1 udp {} {} 2000 typ host",
                    number % 3,
                    u32::from(priority) << 20,
                    remote(number).ip()
                );
                let _ = self.agent.add_remote_candidate(now, candidate.parse().expect("well-formed"));
            }
            9 => {
                if let Ok(candidate) = String::from_utf8_lossy(input.bytes()?).parse() {
                    let _ = self.agent.add_remote_candidate(now, candidate);
                }
            }
            10 => {
                if input.byte()? & 1 == 1 {
                    let password = "another-password-of-the-peer";
                    self.peer = IceCredentials::new("peer", password).expect("well-formed");
                }
                let _ = self.agent.set_remote_credentials(now, self.peer.clone());
            }
            11 => drop(self.agent.restart(now, self.agent.new_credentials())),
            12 => {
                let controls = input.byte()? & 1 == 1;
                self.agent.set_role(if controls { IceRole::Controlling } else { IceRole::Controlled });
            }
            13 => self.drain(),
            14 => drop(self.agent.add_host_address(now, host(input.byte()?))),
            _ => match input.byte()? {
                0 => self.agent.close(),
                1..=20 => self.agent.end_of_host_addresses(now),
                21..=40 => self.agent.end_of_remote_candidates(now),
                number => {
                    let address = (number & 1 == 1).then_some(remote(number).ip());
                    self.agent.resolve_name(now, NameQuery(u64::from(number) / 2 % 8), address);
                }
            },
        }
        Some(())
    }

    fn receive(&mut self, to: u8, from: u8, bytes: &mut [u8]) {
        let path = FiveTuple::udp(host(to), remote(from));
        let _ = self.agent.handle_datagram(self.now, Datagram::new(path, bytes));
    }

    /// An authentic check: flags, sender, an attribute that need not be known, and maybe a changed byte.
    fn request(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (flags, from, extra) = (input.byte()?, input.byte()?, input.bytes()?);
        let local = self.agent.local_credentials();
        let key = IntegrityKey::short_term(&self.provider, local.password());
        let mut bytes = Vec::new();
        let id = TransactionId([from; 12]);
        let mut message = MessageBuilder::new(&mut bytes, Class::Request, Method::BINDING, id);
        if flags & 1 == 0 {
            let theirs = if flags & 2 == 0 { "peer" } else { "other" };
            message = message.ice_username(local.ufrag(), theirs);
        }
        let tie_breaker = if flags & 4 == 0 { 0 } else { u64::MAX };
        message = if flags & 8 == 0 {
            message.ice_controlling(tie_breaker)
        } else {
            message.ice_controlled(tie_breaker)
        };
        if flags & 16 == 0 {
            message = message.priority(u32::from(from) << 22);
        }
        if flags & 32 == 0 {
            message = message.use_candidate();
        }
        if let Some((kind, value)) = extra.split_first_chunk() {
            message = message.attribute(AttributeType(u16::from_be_bytes(*kind)), value);
        }
        message.integrity(&key).fingerprint().finish().ok()?;
        if flags & 64 != 0 {
            change(&mut bytes, input)?;
        }
        self.receive(1, from, &mut bytes);
        Some(())
    }

    /// A success response to what was asked: flags, which question, and the address that it tells.
    fn respond(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (flags, which, mapped) = (input.byte()?, input.byte()?, input.byte()?);
        let (mut path, id) = self.take_asked(which)?;
        if flags & 1 != 0 {
            path.remote = remote(which);
        }
        let key = IntegrityKey::short_term(&self.provider, self.peer.password());
        let mut bytes = Vec::new();
        let mut message = MessageBuilder::new(&mut bytes, Class::Success, Method::BINDING, id);
        if flags & 2 == 0 {
            let mapped = if mapped < 128 { path.local } else { host(mapped) };
            message = message.xor_mapped_address(mapped);
        }
        if flags & 4 == 0 {
            message = message.integrity(&key);
        }
        message.fingerprint().finish().ok()?;
        if flags & 64 != 0 {
            change(&mut bytes, input)?;
        }
        let _ = self.agent.handle_datagram(self.now, Datagram::new(path, &mut bytes));
        Some(())
    }

    /// An error response.
    fn refuse(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (flags, which) = (input.byte()?, input.byte()?);
        let (path, id) = self.take_asked(which)?;
        let key = IntegrityKey::short_term(&self.provider, self.peer.password());
        let code = if flags & 1 == 0 { ErrorCode::ROLE_CONFLICT } else { ErrorCode::BAD_REQUEST };
        let mut bytes = Vec::new();
        let message = MessageBuilder::new(&mut bytes, Class::Error, Method::BINDING, id).error_code(code);
        message.integrity(&key).fingerprint().finish().ok()?;
        let _ = self.agent.handle_datagram(self.now, Datagram::new(path, &mut bytes));
        Some(())
    }

    /// What a TURN server sends: a response to what it was asked, or data of a peer.
    fn relay(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (_, flags, which) = (input.byte()?, input.byte()?, input.byte()?);
        let mut bytes = Vec::new();
        let mut path = FiveTuple::udp(host(1), remote(RELAY));
        match flags % 4 {
            0 => {
                let data = input.bytes()?;
                let channel = ChannelNumber::new(0x4000 + u16::from(which % 4))?;
                bytes.extend_from_slice(&ChannelData::header(channel, data.len() as u16));
                bytes.extend_from_slice(data);
            }
            1 => {
                let data = input.bytes()?;
                MessageBuilder::new(&mut bytes, Class::Indication, Method::DATA, TransactionId([which; 12]))
                    .xor_address(AttributeType::XOR_PEER_ADDRESS, remote(which))
                    .attribute(AttributeType::DATA, data)
                    .finish()
                    .ok()?;
            }
            _ => path = self.relay_response(flags, which, &mut bytes)?,
        }
        if flags & 64 != 0 {
            change(&mut bytes, input)?;
        }
        let _ = self.agent.handle_datagram(self.now, Datagram::new(path, &mut bytes));
        Some(())
    }

    fn relay_response(&mut self, flags: u8, which: u8, bytes: &mut Vec<u8>) -> Option<FiveTuple> {
        let count = self.relay_asked.len();
        let (path, id, method, is_signed) =
            self.relay_asked.swap_remove(usize::from(which).checked_rem(count)?);
        if !is_signed {
            MessageBuilder::new(bytes, Class::Error, method, id)
                .error_code(ErrorCode::UNAUTHENTICATED)
                .attribute(AttributeType::REALM, REALM.as_bytes())
                .attribute(AttributeType::NONCE, b"nonce")
                .finish()
                .ok()?;
            return Some(path);
        }
        let codes = [ErrorCode::ALLOCATION_MISMATCH, ErrorCode::FORBIDDEN, ErrorCode::SERVER_ERROR];
        let message = match flags & 8 {
            0 => {
                // One of them is an address of the agent itself.
                let relayed = if which == 7 { host(1) } else { remote(210 + which % 8) };
                MessageBuilder::new(bytes, Class::Success, method, id)
                    .xor_address(AttributeType::XOR_RELAYED_ADDRESS, relayed)
                    .xor_mapped_address(host(which))
                    .attribute(AttributeType::LIFETIME, &u32::from(which).to_be_bytes())
            }
            _ => MessageBuilder::new(bytes, Class::Error, method, id)
                .error_code(codes[usize::from(which) % codes.len()]),
        };
        message.integrity(&self.relay_key).finish().ok()?;
        Some(path)
    }

    fn take_asked(&mut self, which: u8) -> Option<(FiveTuple, TransactionId)> {
        let count = self.asked.len();
        Some(self.asked.swap_remove(usize::from(which).checked_rem(count)?))
    }

    fn drain(&mut self) {
        let mut batch = TransmitBatch::new(1200);
        let mut sent = 0;
        while let Some(transmit) = self.agent.poll_transmit(self.now, &mut batch) {
            for datagram in batch.datagrams(&transmit) {
                let path = transmit.path.expect("a path");
                if ChannelData::is_channel_data(datagram) {
                    assert_eq!(path.remote, remote(RELAY));
                    continue;
                }
                let message = Message::decode(datagram).expect("what is sent is STUN");
                let (id, method) = (message.transaction_id(), message.method());
                match (message.class(), method) {
                    (Class::Request, Method::BINDING) => self.asked.push((path, id)),
                    (Class::Request, _) => {
                        self.relay_asked.push((path, id, method, message.has_integrity()));
                    }
                    _ => {}
                }
            }
            batch.clear();
            sent += 1;
        }
        assert!(sent < 200, "{sent} datagrams waited");
        let events = std::iter::from_fn(|| self.agent.poll_event()).count();
        assert!(events < 400, "{events} events waited");
        let excess = self.asked.len().saturating_sub(64);
        self.asked.drain(..excess);
        let excess = self.relay_asked.len().saturating_sub(64);
        self.relay_asked.drain(..excess);
    }

    fn assert_sound(&mut self) {
        self.agent.handle_timeout(self.now);
        assert!(self.agent.poll_timeout().is_none_or(|timeout| timeout > self.now), "a timeout in the past");
        let selected = self.agent.selected_pair();
        assert!(selected.is_none_or(|pair| self.agent.is_validated(&pair.path)));
        let connected =
            matches!(self.agent.state(), IceConnectionState::Connected | IceConnectionState::Completed);
        assert!(!connected || selected.is_some());
        assert!(self.agent.local_candidates().count() <= 6);
    }
}

/// Changes a byte anywhere in a message.
fn change(bytes: &mut [u8], input: &mut Input<'_>) -> Option<()> {
    let (at, by) = (usize::from(input.byte()?), input.byte()?);
    let length = bytes.len();
    *bytes.get_mut(at.checked_rem(length)?)? ^= by;
    Some(())
}

fuzz_target!(|data: &[u8]| {
    let cost = oracle::Oracle::new();
    let mut play = Play::new();
    let mut input = Input(data);
    for _ in 0..200 {
        // A step that has nothing to do, such as to answer what was not asked, is passed over.
        if play.step(&mut input).is_none() && input.0.is_empty() {
            break;
        }
        play.assert_sound();
    }
    // Left alone it comes to rest.
    let end = play.now + Duration::from_secs(600);
    let mut wakes = 0;
    while let Some(timeout) = play.agent.poll_timeout().filter(|timeout| *timeout < end) {
        play.now = timeout;
        play.assert_sound();
        wakes += 1;
        assert!(wakes < 2000, "it wakes without end");
    }
    play.drain();
    cost.assert_live(2 << 20);
    cost.assert_work(data.len());
});
