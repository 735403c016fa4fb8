//! A server of Binding.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use smallvec::SmallVec;

use super::attribute::AttributeType;
use super::builder::MessageBuilder;
use super::error::StunError;
use super::error_code::ErrorCode;
use super::header::{Class, Method, TransactionId};
use super::message::Message;
use crate::layer::{Datagram, FiveTuple, Layer, Transmit, TransmitBatch};

/// Answers Binding requests without credentials: a STUN server, stateless between requests.
#[derive(Debug)]
pub struct BindingServer {
    queue: VecDeque<Response>,
    queue_limit: usize,
}

#[derive(Debug)]
struct Response {
    path: FiveTuple,
    id: TransactionId,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    Mapped(SocketAddr),
    Unknown(SmallVec<[AttributeType; 4]>),
}

/// More unknown attributes than these are not listed in the answer.
const LISTED_UNKNOWN_ATTRIBUTES: usize = 4;

impl BindingServer {
    /// How many responses wait to be sent at most unless told otherwise.
    pub const DEFAULT_QUEUE_LIMIT: usize = 64;

    /// A server. A request that comes while `queue_limit` responses wait is not answered: the client asks
    /// again.
    pub fn new(queue_limit: usize) -> Self {
        Self { queue: VecDeque::new(), queue_limit }
    }
}

impl Default for BindingServer {
    fn default() -> Self {
        Self::new(Self::DEFAULT_QUEUE_LIMIT)
    }
}

impl Layer for BindingServer {
    type Event = std::convert::Infallible;
    type Error = StunError;

    fn handle_datagram(&mut self, _now: Instant, datagram: Datagram<'_>) -> Result<(), StunError> {
        let message = Message::decode(datagram.bytes)?;
        if (message.class(), message.method()) != (Class::Request, Method::BINDING) {
            return Err(StunError::Ignored("it is no Binding request"));
        }
        if self.queue.len() >= self.queue_limit {
            return Err(StunError::Ignored("too many responses wait to be sent"));
        }
        // Credentials are not asked for and so not looked at (RFC 8489 §9).
        let known = [AttributeType::USERNAME, AttributeType::REALM, AttributeType::NONCE];
        let unknown: SmallVec<_> = message.unknown_required(&known).take(LISTED_UNKNOWN_ATTRIBUTES).collect();
        let answer =
            if unknown.is_empty() { Answer::Mapped(datagram.path.remote) } else { Answer::Unknown(unknown) };
        self.queue.push_back(Response { path: datagram.path, id: message.transaction_id(), answer });
        Ok(())
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_transmit(&mut self, _now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        let Response { path, id, answer } = self.queue.pop_front()?;
        let mut segments = out.segments(Some(path), None);
        let buffer = segments.datagram();
        match answer {
            Answer::Mapped(address) => {
                MessageBuilder::new(buffer, Class::Success, Method::BINDING, id).xor_mapped_address(address)
            }
            Answer::Unknown(kinds) => MessageBuilder::new(buffer, Class::Error, Method::BINDING, id)
                .error_code(ErrorCode::UNKNOWN_ATTRIBUTE)
                .unknown_attributes(kinds),
        }
        .fingerprint()
        .finish()
        .ok()?;
        segments.end_datagram();
        segments.finish()
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        None
    }
}
