//! The server of RFC 5780.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use smallvec::SmallVec;

use super::addresses::{InvalidAddresses, check_hosts, differ_in_both};
use crate::crypto::CryptoProvider;
use crate::layer::{Datagram, FiveTuple, Layer, Protocol, Transmit, TransmitBatch};
use crate::stun::attribute::AttributeType;
use crate::stun::builder::MessageBuilder;
use crate::stun::error::StunError;
use crate::stun::error_code::ErrorCode;
use crate::stun::header::{Class, HEADER_LEN, Method, TransactionId};
use crate::stun::message::Message;
use crate::stun::source_limit::SourceLimit;

/// Answers Binding requests at two IP addresses with two ports each, and from the one of the four that the request names
/// (CHANGE-REQUEST). Nothing makes one unless it is asked to; it is for those who want others to examine their NATs.
///
/// Its caller has the four sockets and sends from the one that a path names. It answers whoever asks, at the address that
/// the request came from, so what a forged source can draw towards a victim is limited for each source and in total:
/// an answer has at most 124 bytes, 76 over IPv4, and to a request of 20 bytes. What is over the limit is not answered.
#[derive(Debug)]
pub struct DiscoveryServer {
    ips: [IpAddr; 2],
    ports: [u16; 2],
    config: DiscoveryServerConfig,
    limit: SourceLimit,
    queue: VecDeque<Response>,
}

/// What the server does for those who ask.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DiscoveryServerConfig {
    /// Whether an answer goes to another port of the source if the request says so (RESPONSE-PORT), which may be that of
    /// someone else behind the same NAT. Off by default: such a request is refused with 420.
    pub response_port: bool,
    /// The answers that a source gets in a second at most: an IPv4 address, or the /64 of an IPv6 one. 20 by default.
    pub answers_per_source: u32,
    /// The answers in a second to all. 1000 by default.
    pub answers: u32,
    /// How many sources are counted apart; more of them share what there is. 4096 by default.
    pub sources: usize,
    /// How many answers wait to be sent at most; further requests are not answered then. 64 by default.
    pub queue_limit: usize,
}

impl Default for DiscoveryServerConfig {
    fn default() -> Self {
        Self { response_port: false, answers_per_source: 20, answers: 1000, sources: 4096, queue_limit: 64 }
    }
}

#[derive(Debug)]
struct Response {
    /// From where it goes and to whom.
    path: FiveTuple,
    /// The address of the server that differs in all from the one that was asked.
    other: SocketAddr,
    /// Who asked.
    mapped: SocketAddr,
    id: TransactionId,
    /// The length of the PADDING that was asked for.
    padding: Option<usize>,
    refusal: Option<(ErrorCode, Unknown)>,
}

type Unknown = SmallVec<[AttributeType; 4]>;

/// More unknown attributes than these are not listed in the answer.
const LISTED_UNKNOWN_ATTRIBUTES: usize = 4;

impl DiscoveryServer {
    /// A server at `primary` and `other`, and at both IP addresses with the port of the other one.
    ///
    /// # Errors
    /// [`InvalidAddresses`]: the two do not differ in both IP address and port, or are not of one family.
    pub fn new(
        now: Instant,
        provider: &CryptoProvider,
        primary: SocketAddr,
        other: SocketAddr,
        config: DiscoveryServerConfig,
    ) -> Result<Self, InvalidAddresses> {
        check_hosts(&[primary, other])?;
        if !differ_in_both(primary, other) {
            return Err(InvalidAddresses::Same(primary, other));
        }
        let DiscoveryServerConfig { sources, answers_per_source, answers, .. } = config;
        Ok(Self {
            ips: [primary.ip(), other.ip()],
            ports: [primary.port(), other.port()],
            limit: SourceLimit::new(now, &*provider.random, sources, answers_per_source, answers),
            config,
            queue: VecDeque::new(),
        })
    }

    /// The four addresses that it has to have sockets at.
    pub fn addresses(&self) -> [SocketAddr; 4] {
        let ([a, b], [p, q]) = (self.ips, self.ports);
        [(a, p), (a, q), (b, p), (b, q)].map(SocketAddr::from)
    }

    /// The address that differs from one of the four as far as is asked for.
    fn changed(&self, from: SocketAddr, ip: bool, port: bool) -> SocketAddr {
        let is_second = (from.ip() == self.ips[1], from.port() == self.ports[1]);
        let (ip, port) = (usize::from(is_second.0 != ip), usize::from(is_second.1 != port));
        SocketAddr::new(self.ips[ip], self.ports[port])
    }

    fn refusal(&self, message: &Message<'_>) -> Option<(ErrorCode, Unknown)> {
        // Credentials are not asked for and so not looked at (RFC 8489 §9).
        let known = [
            AttributeType::USERNAME,
            AttributeType::REALM,
            AttributeType::NONCE,
            AttributeType::CHANGE_REQUEST,
            AttributeType::PADDING,
            AttributeType::RESPONSE_PORT,
        ];
        let known = if self.config.response_port { &known[..] } else { &known[..known.len() - 1] };
        let unknown: Unknown = message.unknown_required(known).take(LISTED_UNKNOWN_ATTRIBUTES).collect();
        if !unknown.is_empty() {
            return Some((ErrorCode::UNKNOWN_ATTRIBUTE, unknown));
        }
        let has = |kind| message.attribute(kind).is_some();
        // RFC 5780 §6.1: PADDING and RESPONSE-PORT do not go together.
        let is_bad = has(AttributeType::RESPONSE_PORT)
            && (has(AttributeType::PADDING) || message.response_port().is_none())
            || has(AttributeType::CHANGE_REQUEST) && message.change_request().is_none();
        is_bad.then(|| (ErrorCode::BAD_REQUEST, Unknown::new()))
    }
}

impl Layer for DiscoveryServer {
    type Event = std::convert::Infallible;
    type Error = StunError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), StunError> {
        let message = Message::decode(datagram.bytes)?;
        let FiveTuple { protocol, local, remote } = datagram.path;
        if (message.class(), message.method()) != (Class::Request, Method::BINDING) {
            return Err(StunError::Ignored("it is no Binding request"));
        }
        if protocol != Protocol::Udp || !self.addresses().contains(&local) {
            return Err(StunError::Ignored("it comes to no address of this server"));
        }
        if remote.port() == 0 || self.addresses().contains(&remote) {
            return Err(StunError::Ignored("it comes from nobody who could be answered"));
        }
        if self.queue.len() >= self.config.queue_limit {
            return Err(StunError::Ignored("too many responses wait to be sent"));
        }
        if !self.limit.allows(now, remote) {
            return Err(StunError::Ignored("the source asks too often"));
        }
        let refusal = self.refusal(&message);
        let (mut from, mut to) = (local, remote);
        if refusal.is_none() {
            let change = message.change_request().unwrap_or_default();
            from = self.changed(local, change.ip, change.port);
            to.set_port(message.response_port().unwrap_or(to.port()));
        }
        self.queue.push_back(Response {
            path: FiveTuple::udp(from, to),
            other: self.changed(local, true, true),
            mapped: remote,
            id: message.transaction_id(),
            padding: message.attribute(AttributeType::PADDING).map(<[u8]>::len),
            refusal,
        });
        Ok(())
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_transmit(&mut self, _now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        let Response { path, other, mapped, id, padding, refusal } = self.queue.pop_front()?;
        let mut segments = out.segments(Some(path), None);
        // PADDING has no more bytes than the request had, and than fit a datagram of the caller (RFC 5780 §7.6).
        let room = segments.max_datagram().saturating_sub(LONGEST_WITHOUT_PADDING);
        let padding = padding.map(|len| vec![0; len.min(room)]);
        let buffer = segments.datagram();
        let message = match refusal {
            None => {
                // MAPPED-ADDRESS is for clients of RFC 3489 (RFC 5780 §6.1).
                let message = MessageBuilder::new(buffer, Class::Success, Method::BINDING, id)
                    .xor_mapped_address(mapped)
                    .address(AttributeType::MAPPED_ADDRESS, mapped)
                    .response_origin(path.local)
                    .other_address(other);
                match &padding {
                    Some(padding) => message.attribute(AttributeType::PADDING, padding),
                    None => message,
                }
            }
            Some((code, unknown)) => {
                let message = MessageBuilder::new(buffer, Class::Error, Method::BINDING, id).error_code(code);
                if unknown.is_empty() { message } else { message.unknown_attributes(unknown) }
            }
        };
        message.fingerprint().finish().ok()?;
        segments.end_datagram();
        segments.finish()
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        None
    }
}

/// A response over IPv6: the header, four addresses, the fingerprint, and the head of PADDING with its own padding.
const LONGEST_WITHOUT_PADDING: usize = HEADER_LEN + 4 * 24 + 8 + 4 + 3;
