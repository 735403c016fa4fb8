//! A server that does what it is told, as the other side of these tests.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::{PASSWORD, USER};
use crate::crypto::CryptoProvider;
use crate::layer::FiveTuple;
use crate::stun::{
    AttributeType, Class, ErrorCode, IntegrityKey, LongTermServer, Message, MessageBuilder, Method,
    TransactionId, User,
};
use crate::turn::{
    AddressFamily, ChannelData, ChannelNumber, EvenPort, Icmp, Lifetime, ReservationToken,
    encode_address_error,
};

#[cfg(feature = "aws-lc-rs")]
pub(crate) fn provider() -> CryptoProvider {
    crate::crypto::aws_lc_rs::provider()
}

#[cfg(not(feature = "aws-lc-rs"))]
pub(crate) fn provider() -> CryptoProvider {
    crate::crypto::rust_crypto::provider()
}

pub(super) const REALM: &str = "example.org";

struct Held {
    id: TransactionId,
    until: Instant,
    permissions: BTreeMap<IpAddr, Instant>,
    channels: BTreeMap<ChannelNumber, SocketAddr>,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) auth: LongTermServer,
    pub(super) nonce: u32,
    pub(super) has_ipv6: bool,
    pub(super) lifetime: Lifetime,
    held: BTreeMap<FiveTuple, Held>,
    /// The next requests of a method that are authenticated get these errors.
    pub(super) errors: VecDeque<(Method, ErrorCode)>,
    /// What a 300 response names.
    pub(super) alternate: Option<SocketAddr>,
    /// What a 420 response names.
    pub(super) unknown: Vec<AttributeType>,
    /// Signs with another key.
    pub(super) is_liar: bool,
    /// Whether errors are signed.
    pub(super) signs_errors: bool,
    /// Takes the list of password algorithms out of challenges, as somebody on the path does.
    pub(super) bids_down: bool,
    /// Says 401 where 438 is meant.
    pub(super) says_401_of_old_nonces: bool,
    pub(super) password: String,
    pub(super) requests: Vec<Vec<u8>>,
}

impl Server {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            auth: LongTermServer::new(&provider(), REALM).unwrap(),
            nonce: 1,
            has_ipv6: true,
            lifetime: Lifetime::DEFAULT,
            held: BTreeMap::new(),
            errors: VecDeque::new(),
            alternate: None,
            unknown: Vec::new(),
            is_liar: false,
            signs_errors: true,
            bids_down: false,
            says_401_of_old_nonces: false,
            password: PASSWORD.to_owned(),
            requests: Vec::new(),
        }
    }

    pub(super) fn has_allocation(&self, path: FiveTuple) -> bool {
        self.held.contains_key(&path)
    }

    pub(super) fn forget(&mut self) {
        self.held.clear();
    }

    /// What peers get of a datagram of the client.
    pub(super) fn relayed(&self, datagram: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        if let Ok(message) = ChannelData::decode(datagram) {
            let peer = self.held.values().find_map(|held| held.channels.get(&message.channel))?;
            return Some((*peer, message.data.to_vec()));
        }
        let message = Message::decode(datagram).ok().filter(|it| it.method() == Method::SEND)?;
        let peer = message.xor_address(AttributeType::XOR_PEER_ADDRESS)?;
        Some((peer, message.attribute(AttributeType::DATA)?.to_vec()))
    }

    pub(super) fn peer_sends(&self, path: FiveTuple, peer: SocketAddr, data: &[u8]) -> Vec<u8> {
        let channel = self.held[&path].channels.iter().find(|(_, bound)| **bound == peer);
        let mut bytes = Vec::new();
        if let Some((channel, _)) = channel {
            bytes.extend(ChannelData::header(*channel, data.len() as u16));
            bytes.extend(data);
            return bytes;
        }
        MessageBuilder::new(&mut bytes, Class::Indication, Method::DATA, TransactionId([1; 12]))
            .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
            .attribute(AttributeType::DATA, data)
            .finish()
            .unwrap();
        bytes
    }

    pub(super) fn icmp(&self, peer: SocketAddr) -> Vec<u8> {
        let mut bytes = Vec::new();
        MessageBuilder::new(&mut bytes, Class::Indication, Method::DATA, TransactionId([1; 12]))
            .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
            .attribute(AttributeType::ICMP, &Icmp { kind: 3, code: 3, data: 0 }.encode())
            .finish()
            .unwrap();
        bytes
    }

    pub(super) fn answer(&mut self, now: Instant, path: FiveTuple, datagram: &[u8]) -> Option<Vec<u8>> {
        let message = Message::decode(datagram).ok().filter(|it| it.class() == Class::Request)?;
        if path.remote != self.address {
            return None;
        }
        self.requests.push(datagram.to_vec());
        self.held.retain(|_, held| held.until > now);
        let nonce = self.nonce.to_be_bytes();
        let user = |user: User<'_>, algorithm: crate::stun::PasswordAlgorithm| {
            user.is(&provider(), USER, REALM)
                .then(|| algorithm.key(&provider(), USER, REALM, &self.password).unwrap())
        };
        let key = match self.auth.check(&message, |it| it.ends_with(&nonce), user) {
            Ok(authenticated) => authenticated.key,
            Err(refused) => {
                let is_old = refused.code == ErrorCode::STALE_NONCE && self.says_401_of_old_nonces;
                let code = if is_old { ErrorCode::UNAUTHENTICATED } else { refused.code };
                return Some(self.challenge(&message, code, refused.with_challenge));
            }
        };
        let answer = match self.errors.iter().position(|(method, _)| *method == message.method()) {
            Some(at) => Err(self.errors.remove(at).unwrap().1),
            None => self.serve(now, path, &message),
        };
        Some(self.write(&message, &key, answer))
    }

    fn challenge(&self, request: &Message<'_>, code: ErrorCode, with_challenge: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let response =
            MessageBuilder::new(&mut bytes, Class::Error, request.method(), request.transaction_id());
        let response = response.error_code(code);
        let nonce = self.auth.nonce(&self.nonce.to_be_bytes());
        if self.bids_down {
            let response = response.attribute(AttributeType::REALM, REALM.as_bytes());
            response.attribute(AttributeType::NONCE, &nonce).finish().unwrap();
        } else if with_challenge {
            self.auth.challenge(response, &nonce).finish().unwrap();
        } else {
            response.finish().unwrap();
        }
        bytes
    }

    fn write(
        &self,
        request: &Message<'_>,
        key: &IntegrityKey,
        answer: Result<Vec<(AttributeType, Vec<u8>)>, ErrorCode>,
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        let class = if answer.is_ok() { Class::Success } else { Class::Error };
        let mut response = MessageBuilder::new(&mut bytes, class, request.method(), request.transaction_id());
        let is_error = answer.is_err();
        match answer {
            Ok(attributes) => {
                for (kind, value) in attributes {
                    response = match kind {
                        AttributeType::XOR_RELAYED_ADDRESS | AttributeType::XOR_MAPPED_ADDRESS => {
                            response.xor_address(kind, std::str::from_utf8(&value).unwrap().parse().unwrap())
                        }
                        _ => response.attribute(kind, &value),
                    };
                }
            }
            Err(code) => {
                response = response.error_code(code);
                if code == ErrorCode::STALE_NONCE {
                    response = self.auth.challenge(response, &self.auth.nonce(&self.nonce.to_be_bytes()));
                }
                if code == ErrorCode::UNKNOWN_ATTRIBUTE {
                    response = response.unknown_attributes(self.unknown.iter().copied());
                }
                if let Some(alternate) = self.alternate.filter(|_| code == ErrorCode::TRY_ALTERNATE) {
                    response = response.alternate_server(alternate);
                }
            }
        }
        let other = IntegrityKey::from_bytes(&provider(), b"another");
        let key = if self.is_liar { &other } else { key };
        if !is_error || self.signs_errors {
            response = response.integrity(key);
        }
        response.finish().unwrap();
        bytes
    }

    fn serve(
        &mut self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
    ) -> Result<Vec<(AttributeType, Vec<u8>)>, ErrorCode> {
        if request.method() == Method::ALLOCATE {
            return self.allocate(now, path, request);
        }
        let held = self.held.get_mut(&path).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        let peer = request.xor_address(AttributeType::XOR_PEER_ADDRESS);
        match request.method() {
            Method::REFRESH => {
                let asked = request.attribute(AttributeType::LIFETIME).and_then(Lifetime::decode);
                let lifetime = if asked == Some(Lifetime::ZERO) { Lifetime::ZERO } else { self.lifetime };
                held.until = now + lifetime.duration();
                if lifetime == Lifetime::ZERO {
                    self.held.remove(&path);
                }
                return Ok(vec![(AttributeType::LIFETIME, lifetime.encode().to_vec())]);
            }
            Method::CREATE_PERMISSION => {
                let peer = peer.ok_or(ErrorCode::BAD_REQUEST)?;
                held.permissions.insert(peer.ip(), now + Duration::from_secs(300));
            }
            Method::CHANNEL_BIND => {
                let peer = peer.ok_or(ErrorCode::BAD_REQUEST)?;
                let number = request.attribute(AttributeType::CHANNEL_NUMBER).and_then(ChannelNumber::decode);
                let number = number.ok_or(ErrorCode::BAD_REQUEST)?;
                let is_other = |(n, p): (&ChannelNumber, &SocketAddr)| (*n == number) != (*p == peer);
                if held.channels.iter().any(is_other) {
                    return Err(ErrorCode::BAD_REQUEST);
                }
                held.channels.insert(number, peer);
                held.permissions.insert(peer.ip(), now + Duration::from_secs(300));
            }
            _ => return Err(ErrorCode::BAD_REQUEST),
        }
        Ok(vec![])
    }

    fn allocate(
        &mut self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
    ) -> Result<Vec<(AttributeType, Vec<u8>)>, ErrorCode> {
        let id = request.transaction_id();
        if self.held.get(&path).is_some_and(|held| held.id != id) {
            return Err(ErrorCode::ALLOCATION_MISMATCH);
        }
        let (v4, v6) = ("198.51.100.1", "[2001:db8::1]");
        let family = |kind| request.attribute(kind).and_then(AddressFamily::decode);
        let only = family(AttributeType::REQUESTED_ADDRESS_FAMILY);
        let also = family(AttributeType::ADDITIONAL_ADDRESS_FAMILY);
        let port =
            if request.attribute(AttributeType::RESERVATION_TOKEN).is_some() { 50_001 } else { 50_000 };
        let mut attributes = Vec::new();
        let mut relayed = |ip: &str| {
            attributes.push((AttributeType::XOR_RELAYED_ADDRESS, format!("{ip}:{port}").into_bytes()));
        };
        relayed(if only.is_some() { v6 } else { v4 });
        if also.is_some() && self.has_ipv6 {
            relayed(v6);
        } else if also.is_some() {
            let error = encode_address_error(AddressFamily::V6, ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED);
            attributes.push((AttributeType::ADDRESS_ERROR_CODE, error.to_vec()));
        }
        attributes.push((AttributeType::XOR_MAPPED_ADDRESS, path.local.to_string().into_bytes()));
        attributes.push((AttributeType::LIFETIME, self.lifetime.encode().to_vec()));
        let even_port = request.attribute(AttributeType::EVEN_PORT).and_then(EvenPort::decode);
        if even_port.is_some_and(|it| it.reserve_next) {
            attributes.push((AttributeType::RESERVATION_TOKEN, ReservationToken([4; 8]).0.to_vec()));
        }
        let until = now + self.lifetime.duration();
        let held = Held { id, until, permissions: BTreeMap::new(), channels: BTreeMap::new() };
        self.held.insert(path, held);
        Ok(attributes)
    }
}
