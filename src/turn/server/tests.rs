use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::crypto::{CryptoProvider, SeededRandom};
use crate::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use crate::stun::{
    AttributeType, Class, ErrorCode, IntegrityKey, Message, MessageBuilder, Method, PasswordAlgorithm,
    TransactionId,
};
use crate::turn::{AddressFamily, ChannelNumber, RequestedTransport};

mod allocations;
mod client;
mod methods;
mod mobility;
mod peer_connections;
mod relaying;
mod strangers;
mod tcp_client;

const USER: &str = "alice";
const PASSWORD: &str = "secret";
const UNIX: Duration = Duration::from_secs(1_800_000_000);

#[cfg(feature = "aws-lc-rs")]
fn provider() -> CryptoProvider {
    crate::crypto::aws_lc_rs::provider()
}

#[cfg(not(feature = "aws-lc-rs"))]
fn provider() -> CryptoProvider {
    crate::crypto::rust_crypto::provider()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn path(port: u16) -> FiveTuple {
    FiveTuple::udp(address("203.0.113.1:3478"), SocketAddr::new([8, 8, 4, 4].into(), port))
}

fn peer(port: u16) -> SocketAddr {
    SocketAddr::new([1, 1, 1, 1].into(), port)
}

fn config() -> Config {
    let users = Credentials::default().with_user(USER, PASSWORD).with_user("bob", "builder");
    let relays = [
        RelayAddress::new("203.0.113.1".parse().unwrap()),
        RelayAddress::new("2001:db8::1".parse().unwrap()),
    ];
    Config::new(users, relays)
}

/// A server on a virtual clock, and what it sends.
struct World {
    now: Instant,
    server: Server,
    events: Vec<Event>,
    /// How many sockets cannot be bound from now on.
    taken_ports: usize,
    next_id: u8,
}

impl World {
    fn new(config: Config) -> Self {
        let now = Instant::now();
        let provider = provider().with_random(Arc::new(SeededRandom::new(7)));
        let server = Server::new(now, UNIX, &provider, config).unwrap();
        Self { now, server, events: Vec::new(), taken_ports: 0, next_id: 0 }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.server.handle_timeout(self.now);
        assert!(self.server.poll_timeout().is_none_or(|at| at > self.now));
        self.settle();
    }

    /// Does what the server asks for.
    fn settle(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match event {
                Event::OpenRelay(local) if self.taken_ports > 0 => {
                    self.taken_ports -= 1;
                    self.server.relay_failed(self.now, local);
                }
                Event::OpenRelay(local) | Event::OpenTcpRelay(local) => {
                    self.server.relay_opened(self.now, local);
                }
                other => self.events.push(other),
            }
        }
    }

    /// Everything that is sent because of a datagram.
    fn arrives(&mut self, path: FiveTuple, bytes: &[u8]) -> Vec<(FiveTuple, Vec<u8>)> {
        let _ = self.server.handle_datagram(self.now, Datagram::new(path, &mut bytes.to_vec()));
        self.settle();
        self.sent()
    }

    fn sent(&mut self) -> Vec<(FiveTuple, Vec<u8>)> {
        let mut batch = TransmitBatch::new(1500);
        let mut sent = Vec::new();
        while let Some(transmit) = self.server.poll_transmit(self.now, &mut batch) {
            sent.extend(batch.datagrams(&transmit).map(|bytes| (transmit.path.unwrap(), bytes.to_vec())));
        }
        sent
    }

    fn nonce(&mut self, path: FiveTuple) -> Vec<u8> {
        let answer =
            self.arrives(path, &request(Method::ALLOCATE, TransactionId([0; 12]), |it| it)).remove(0).1;
        Message::decode(&answer).unwrap().nonce().unwrap().to_vec()
    }

    /// The answer to a signed request of a user.
    fn ask_as(&mut self, user: (&str, &str), path: FiveTuple, method: Method, write: Write<'_>) -> Vec<u8> {
        let nonce = self.nonce(path);
        self.next_id += 1;
        let bytes = signed(user, &nonce, TransactionId([self.next_id; 12]), method, write);
        self.answer_to(path, &bytes)
    }

    fn answer_to(&mut self, path: FiveTuple, bytes: &[u8]) -> Vec<u8> {
        let mut answers = self.arrives(path, bytes);
        assert_eq!((answers.len(), answers[0].0), (1, path));
        answers.remove(0).1
    }

    fn ask(&mut self, path: FiveTuple, method: Method, write: Write<'_>) -> Vec<u8> {
        self.ask_as((USER, PASSWORD), path, method, write)
    }

    /// Allocates, and says which address that gave.
    fn allocate(&mut self, path: FiveTuple) -> SocketAddr {
        let answer = self.ask(path, Method::ALLOCATE, &udp);
        let message = Message::decode(&answer).unwrap();
        assert_eq!(message.mapped_address(), Some(path.remote), "{:?}", message.error_code());
        message.xor_address(AttributeType::XOR_RELAYED_ADDRESS).unwrap()
    }

    fn permit(&mut self, path: FiveTuple, peer: SocketAddr) -> Option<u16> {
        code(&self.ask(path, Method::CREATE_PERMISSION, &|it| {
            it.xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
        }))
    }

    fn bind(&mut self, path: FiveTuple, number: u16, peer: SocketAddr) -> Option<u16> {
        let number = ChannelNumber::new(number).unwrap().encode();
        code(&self.ask(path, Method::CHANNEL_BIND, &|it| {
            it.attribute(AttributeType::CHANNEL_NUMBER, &number)
                .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
        }))
    }
}

type Write<'w> = &'w dyn for<'b> Fn(MessageBuilder<'b>) -> MessageBuilder<'b>;

fn udp(message: MessageBuilder<'_>) -> MessageBuilder<'_> {
    message.attribute(AttributeType::REQUESTED_TRANSPORT, &RequestedTransport::UDP.encode())
}

fn request(
    method: Method,
    id: TransactionId,
    write: impl for<'b> FnOnce(MessageBuilder<'b>) -> MessageBuilder<'b>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(MessageBuilder::new(&mut bytes, Class::Request, method, id)).finish().unwrap();
    bytes
}

fn key(user: (&str, &str)) -> IntegrityKey {
    let key = PasswordAlgorithm::Md5.key(&provider(), user.0, "kaon", user.1).unwrap();
    IntegrityKey::from_bytes(&provider(), &key)
}

fn signed(user: (&str, &str), nonce: &[u8], id: TransactionId, method: Method, write: Write<'_>) -> Vec<u8> {
    request(method, id, |message| {
        write(message)
            .username(user.0)
            .attribute(AttributeType::REALM, b"kaon")
            .attribute(AttributeType::NONCE, nonce)
            .integrity(&key(user))
    })
}

/// The error of an answer; `None` if it is none.
fn code(answer: &[u8]) -> Option<u16> {
    let message = Message::decode(answer).unwrap();
    let code = message.error_code().map(|(code, _)| code.number());
    assert_eq!(message.class(), if code.is_some() { Class::Error } else { Class::Success });
    code
}

fn send_indication(peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    MessageBuilder::new(&mut bytes, Class::Indication, Method::SEND, TransactionId([3; 12]))
        .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
        .attribute(AttributeType::DATA, data)
        .finish()
        .unwrap();
    bytes
}
