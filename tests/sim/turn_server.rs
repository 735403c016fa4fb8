//! A TURN server on the virtual network that does no more than tests need.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use kaon_rtc::crypto::CryptoProvider;
use kaon_rtc::layer::{Datagram, FiveTuple, StreamReport, Transmit, TransmitBatch};
use kaon_rtc::stun::{
    AttributeType, Class, ErrorCode, IntegrityKey, LongTermServer, Message, MessageBuilder, Method,
    PasswordAlgorithm, TransactionId, User,
};
use kaon_rtc::turn::{ChannelData, ChannelNumber, Lifetime};

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "secret";
const REALM: &str = "example.org";

type Attributes = Vec<(AttributeType, Value)>;

enum Value {
    Address(SocketAddr),
    Bytes(Vec<u8>),
}

#[derive(Debug)]
struct Held {
    id: TransactionId,
    relayed: SocketAddr,
    until: Instant,
    permissions: BTreeMap<IpAddr, Instant>,
    channels: BTreeMap<ChannelNumber, (SocketAddr, Instant)>,
}

/// Relays for [`USER`] at its address, with ports of its own for each allocation.
pub(crate) struct TurnServer {
    address: SocketAddr,
    provider: CryptoProvider,
    auth: LongTermServer,
    next_port: u16,
    held: BTreeMap<FiveTuple, Held>,
    out: VecDeque<(FiveTuple, Vec<u8>)>,
    /// Peers whom it does not relay to get 403.
    pub(crate) forbidden: Vec<IpAddr>,
    /// What every ChannelBind gets.
    pub(crate) refuses_channels: Option<ErrorCode>,
    /// What requests have to be signed with, besides.
    pub(crate) nonce: &'static [u8],
    /// What [`USER`] has to know.
    pub(crate) password: String,
    /// Data that was relayed through channels and through indications, to and from clients.
    pub(crate) by_channel: u64,
    pub(crate) by_indication: u64,
    /// Whether allocations move with their clients, and how often that has happened.
    pub(crate) mobility: bool,
    pub(crate) moves: u64,
}

impl std::fmt::Debug for TurnServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnServer").field("held", &self.held).finish_non_exhaustive()
    }
}

impl TurnServer {
    pub(crate) fn new(provider: CryptoProvider, address: SocketAddr) -> Self {
        let auth = LongTermServer::new(&provider, REALM).unwrap();
        Self {
            address,
            provider,
            auth,
            next_port: 49_152,
            held: BTreeMap::new(),
            out: VecDeque::new(),
            forbidden: Vec::new(),
            refuses_channels: None,
            nonce: b"nonce of the test",
            password: PASSWORD.to_owned(),
            by_channel: 0,
            by_indication: 0,
            mobility: false,
            moves: 0,
        }
    }

    pub(crate) fn allocations(&self) -> usize {
        self.held.len()
    }

    /// Begins anew: all allocations are forgotten.
    pub(crate) fn restart(&mut self) {
        self.held.clear();
        self.out.clear();
    }

    /// RFC 8656 §2.1: an allocation ends with its stream, unless it is mobile (RFC 8016).
    pub(crate) fn handle_stream(&mut self, report: &StreamReport) {
        if let StreamReport::Closed { path, .. } = report
            && !self.mobility
        {
            self.held.remove(path);
        }
    }

    pub(crate) fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) {
        self.held.retain(|_, held| held.until > now);
        self.held.values_mut().for_each(|held| held.channels.retain(|_, (_, until)| *until > now));
        let Datagram { path, bytes, .. } = datagram;
        if path.local != self.address {
            return self.relay_back(now, path, bytes);
        }
        if let Ok(data) = ChannelData::decode(bytes) {
            let held = self.held.get(&path);
            let to = held.and_then(|held| Some((held.relayed, held.channels.get(&data.channel)?.0)));
            if let Some((relayed, peer)) = to {
                self.by_channel += 1;
                self.out.push_back((FiveTuple::udp(relayed, peer), data.data.to_vec()));
            }
            return;
        }
        let Ok(message) = Message::decode(bytes) else { return };
        match (message.class(), message.method()) {
            (Class::Indication, Method::SEND) => self.send(now, path, &message),
            (Class::Request, Method::BINDING) => {
                let attributes = vec![(AttributeType::XOR_MAPPED_ADDRESS, Value::Address(path.remote))];
                self.respond(path, &message, Ok(attributes), None);
            }
            (Class::Request, _) => self.request(now, path, &message),
            _ => {}
        }
    }

    fn relay_back(&mut self, now: Instant, path: FiveTuple, bytes: &[u8]) {
        let held = self.held.iter().find(|(_, held)| held.relayed == path.local);
        let Some((client, held)) = held else { return };
        if held.permissions.get(&path.remote.ip()).is_none_or(|until| *until <= now) {
            return;
        }
        let mut out = Vec::new();
        if let Some((number, _)) = held.channels.iter().find(|(_, (peer, _))| *peer == path.remote) {
            self.by_channel += 1;
            out.extend_from_slice(&ChannelData::header(*number, bytes.len() as u16));
            out.extend_from_slice(bytes);
        } else {
            self.by_indication += 1;
            MessageBuilder::new(&mut out, Class::Indication, Method::DATA, TransactionId([1; 12]))
                .xor_address(AttributeType::XOR_PEER_ADDRESS, path.remote)
                .attribute(AttributeType::DATA, bytes)
                .finish()
                .unwrap();
        }
        self.out.push_back((*client, out));
    }

    fn send(&mut self, now: Instant, path: FiveTuple, message: &Message<'_>) {
        let Some(held) = self.held.get(&path) else { return };
        let peer = message.xor_address(AttributeType::XOR_PEER_ADDRESS);
        let Some((peer, data)) = peer.zip(message.attribute(AttributeType::DATA)) else { return };
        if held.permissions.get(&peer.ip()).is_some_and(|until| *until > now) {
            self.by_indication += 1;
            self.out.push_back((FiveTuple::udp(held.relayed, peer), data.to_vec()));
        }
    }

    fn request(&mut self, now: Instant, path: FiveTuple, message: &Message<'_>) {
        let provider = self.provider.clone();
        let user = |user: User<'_>, algorithm: PasswordAlgorithm| {
            user.is(&provider, USER, REALM)
                .then(|| algorithm.key(&provider, USER, REALM, &self.password).unwrap())
        };
        match self.auth.check(message, |nonce| nonce.ends_with(self.nonce), user) {
            Ok(authenticated) => {
                let answer = self.serve(now, path, message);
                self.respond(path, message, answer, Some(&authenticated.key));
            }
            Err(refused) => {
                let mut out = Vec::new();
                let id = message.transaction_id();
                let response = MessageBuilder::new(&mut out, Class::Error, message.method(), id);
                let response = response.error_code(refused.code);
                if refused.with_challenge {
                    let nonce = self.auth.nonce(self.nonce);
                    self.auth.challenge(response, &nonce).finish().unwrap();
                } else {
                    response.finish().unwrap();
                }
                self.out.push_back((path, out));
            }
        }
    }

    fn respond(
        &mut self,
        path: FiveTuple,
        request: &Message<'_>,
        answer: Result<Attributes, ErrorCode>,
        key: Option<&IntegrityKey>,
    ) {
        let mut out = Vec::new();
        let class = if answer.is_ok() { Class::Success } else { Class::Error };
        let mut response = MessageBuilder::new(&mut out, class, request.method(), request.transaction_id());
        match answer {
            Ok(attributes) => {
                for (kind, value) in attributes {
                    response = match value {
                        Value::Address(address) => response.xor_address(kind, address),
                        Value::Bytes(bytes) => response.attribute(kind, &bytes),
                    };
                }
            }
            Err(code) => response = response.error_code(code),
        }
        if let Some(key) = key {
            response = response.integrity(key);
        }
        response.finish().unwrap();
        self.out.push_back((path, out));
    }

    fn serve(
        &mut self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
    ) -> Result<Attributes, ErrorCode> {
        if request.method() == Method::ALLOCATE {
            return self.allocate(now, path, request);
        }
        let ticket = request.attribute(AttributeType::MOBILITY_TICKET);
        if let Some(ticket) = ticket.filter(|_| request.method() == Method::REFRESH) {
            self.resume(path, ticket)?;
        }
        let held = self.held.get_mut(&path).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        let peer = request.xor_address(AttributeType::XOR_PEER_ADDRESS);
        if peer.is_some_and(|peer| self.forbidden.contains(&peer.ip())) {
            return Err(ErrorCode::FORBIDDEN);
        }
        match request.method() {
            Method::REFRESH => {
                let asked = request.attribute(AttributeType::LIFETIME).and_then(Lifetime::decode);
                let lifetime = if asked == Some(Lifetime::ZERO) { Lifetime::ZERO } else { Lifetime::DEFAULT };
                held.until = now + lifetime.duration();
                if lifetime == Lifetime::ZERO {
                    self.held.remove(&path);
                }
                let mut answer = vec![(AttributeType::LIFETIME, Value::Bytes(lifetime.encode().to_vec()))];
                if ticket.is_some() {
                    answer.push((AttributeType::MOBILITY_TICKET, Value::Bytes(self.ticket_of(&path))));
                }
                Ok(answer)
            }
            Method::CREATE_PERMISSION => {
                let peer = peer.ok_or(ErrorCode::BAD_REQUEST)?;
                held.permissions.insert(peer.ip(), now + Duration::from_secs(300));
                Ok(Vec::new())
            }
            Method::CHANNEL_BIND => {
                let peer = peer.ok_or(ErrorCode::BAD_REQUEST)?;
                let number = request.attribute(AttributeType::CHANNEL_NUMBER).and_then(ChannelNumber::decode);
                let number = number.ok_or(ErrorCode::BAD_REQUEST)?;
                let is_other =
                    |(n, (p, _)): (&ChannelNumber, &(SocketAddr, _))| (*n == number) != (*p == peer);
                if held.channels.iter().any(is_other) {
                    return Err(ErrorCode::BAD_REQUEST);
                }
                if let Some(code) = self.refuses_channels {
                    return Err(code);
                }
                held.channels.insert(number, (peer, now + Duration::from_secs(600)));
                held.permissions.insert(peer.ip(), now + Duration::from_secs(300));
                Ok(Vec::new())
            }
            _ => Err(ErrorCode::BAD_REQUEST),
        }
    }

    /// RFC 8016, if it [has](Self::mobility) that: what names an allocation to whom it is given.
    fn ticket_of(&self, path: &FiveTuple) -> Vec<u8> {
        self.held.get(path).map(|held| held.relayed.to_string().into_bytes()).unwrap_or_default()
    }

    fn resume(&mut self, path: FiveTuple, ticket: &[u8]) -> Result<(), ErrorCode> {
        let before = self.held.keys().copied().find(|held| self.ticket_of(held) == ticket);
        let before = before.filter(|_| self.mobility).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if before != path && self.held.contains_key(&path) {
            return Err(ErrorCode::ALLOCATION_MISMATCH);
        }
        if let Some(held) = self.held.remove(&before) {
            self.held.insert(path, held);
            self.moves += 1;
        }
        Ok(())
    }

    fn allocate(
        &mut self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
    ) -> Result<Attributes, ErrorCode> {
        let id = request.transaction_id();
        let relayed = match self.held.get(&path) {
            Some(held) if held.id != id => return Err(ErrorCode::ALLOCATION_MISMATCH),
            Some(held) => held.relayed,
            None => SocketAddr::new(self.address.ip(), self.next_port),
        };
        if !self.held.contains_key(&path) {
            self.next_port += 1;
            let until = now + Lifetime::DEFAULT.duration();
            let held = Held { id, relayed, until, permissions: BTreeMap::new(), channels: BTreeMap::new() };
            self.held.insert(path, held);
        }
        let mut answer = vec![
            (AttributeType::XOR_RELAYED_ADDRESS, Value::Address(relayed)),
            (AttributeType::XOR_MAPPED_ADDRESS, Value::Address(path.remote)),
            (AttributeType::LIFETIME, Value::Bytes(Lifetime::DEFAULT.encode().to_vec())),
        ];
        if self.mobility && request.attribute(AttributeType::MOBILITY_TICKET).is_some() {
            answer.push((AttributeType::MOBILITY_TICKET, Value::Bytes(self.ticket_of(&path))));
        }
        Ok(answer)
    }

    pub(crate) fn poll_transmit(&mut self, out: &mut TransmitBatch) -> Option<Transmit> {
        let (path, bytes) = self.out.pop_front()?;
        let mut segments = out.segments(Some(path), None);
        segments.datagram().extend_from_slice(&bytes);
        segments.end_datagram();
        segments.finish()
    }
}
