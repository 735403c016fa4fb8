//! A client of Binding.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::attribute::KNOWN_IN_RESPONSES;
use super::builder::MessageBuilder;
use super::error::StunError;
use super::error_code::ErrorCode;
use super::header::{Class, Method, TransactionId};
use super::message::Message;
use super::redirection::Redirection;
use super::retransmission::{Retransmission, RetransmissionConfig, RetransmissionStep};
use crate::crypto::{CryptoProvider, SecureRandom};
use crate::layer::{Datagram, FiveTuple, Layer, Transmit, TransmitBatch};

/// Asks one server once for the address that it sees this side under.
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use std::time::Instant;
///
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
/// use kaon_rtc::stun::{BindingClient, BindingConfig, BindingEvent, BindingServer};
///
/// let (here, there) = ("192.0.2.1:5000".parse()?, "198.51.100.1:3478".parse()?);
/// let (path, back) = (FiveTuple::udp(here, there), FiveTuple::udp(there, here));
/// let now = Instant::now();
/// let mut client = BindingClient::new(now, &aws_lc_rs::provider(), path, BindingConfig::default());
/// let mut server = BindingServer::default();
///
/// let mut batch = TransmitBatch::new(1200);
/// let request = client.poll_transmit(now, &mut batch).ok_or("it asks at once")?;
/// for datagram in batch.datagrams_mut(&request) {
///     server.handle_datagram(now, Datagram::new(back, datagram))?;
/// }
/// batch.clear();
/// let response = server.poll_transmit(now, &mut batch).ok_or("it answers")?;
/// for datagram in batch.datagrams_mut(&response) {
///     client.handle_datagram(now, Datagram::new(path, datagram))?;
/// }
/// assert_eq!(client.poll_event(), Some(BindingEvent::Mapped(here)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A server that names another one (ALTERNATE-SERVER) is believed up to [`Redirection::MAX_HOPS`] times.
pub struct BindingClient {
    path: FiveTuple,
    id: TransactionId,
    software: Option<String>,
    transaction: Option<Retransmission>,
    send: bool,
    event: Option<BindingEvent>,
    redirection: Redirection,
    retransmission: RetransmissionConfig,
    random: Arc<dyn SecureRandom>,
}

impl fmt::Debug for BindingClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BindingClient")
            .field("path", &self.path)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// How to ask.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BindingConfig {
    /// How the request is repeated.
    pub retransmission: RetransmissionConfig,
    /// What the request says of the program, in SOFTWARE; nothing by default.
    pub software: Option<String>,
}

/// How the question ended. There is exactly one event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindingEvent {
    /// The server sees this side under this address.
    Mapped(SocketAddr),
    /// There is no answer.
    Failed(BindingFailure),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindingFailure {
    /// The server did not respond.
    TimedOut,
    /// The server refused, with the reason it gave.
    Refused(ErrorCode, String),
    /// The response has no address or is not understood.
    Unusable,
}

impl BindingClient {
    /// Asks the server at the remote end of `path`, from now on.
    pub fn new(now: Instant, provider: &CryptoProvider, path: FiveTuple, config: BindingConfig) -> Self {
        Self {
            path,
            id: TransactionId::random(&*provider.random),
            software: config.software,
            transaction: Some(Retransmission::new(now, config.retransmission)),
            send: false,
            event: None,
            redirection: Redirection::default(),
            retransmission: config.retransmission,
            random: Arc::clone(&provider.random),
        }
    }

    /// Asks the server that a 300 response names; `None` if that may not be.
    fn follow(&mut self, now: Instant, response: &Message<'_>) -> Option<()> {
        let refused = response.error_code()?.0 == ErrorCode::TRY_ALTERNATE;
        self.path.remote = self.redirection.follow(self.path.remote, response).ok().filter(|_| refused)?;
        self.id = TransactionId::random(&*self.random);
        self.transaction = Some(Retransmission::new(now, self.retransmission));
        self.send = false;
        Some(())
    }

    fn end(&mut self, event: BindingEvent) {
        self.transaction = None;
        self.send = false;
        self.event = Some(event);
    }
}

impl Layer for BindingClient {
    type Event = BindingEvent;
    type Error = StunError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), StunError> {
        let message = Message::decode(datagram.bytes)?;
        if self.transaction.is_none() || message.transaction_id() != self.id {
            return Err(StunError::Ignored("it belongs to no transaction under way"));
        }
        if datagram.path.remote != self.path.remote {
            return Err(StunError::Ignored("it comes from another address than the request went to"));
        }
        let event = match message.class() {
            Class::Success if message.unknown_required(&KNOWN_IN_RESPONSES).next().is_some() => {
                BindingEvent::Failed(BindingFailure::Unusable)
            }
            Class::Success => match message.mapped_address() {
                Some(address) => BindingEvent::Mapped(address),
                None => BindingEvent::Failed(BindingFailure::Unusable),
            },
            Class::Error if self.follow(now, &message).is_some() => return Ok(()),
            Class::Error => BindingEvent::Failed(match message.error_code() {
                Some((code, reason)) => BindingFailure::Refused(code, reason.to_owned()),
                None => BindingFailure::Unusable,
            }),
            Class::Request | Class::Indication => return Err(StunError::Ignored("it is no response")),
        };
        self.end(event);
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self.transaction.as_mut().map(|transaction| transaction.step(now)) {
            Some(RetransmissionStep::Send) => self.send = true,
            Some(RetransmissionStep::TimedOut) => self.end(BindingEvent::Failed(BindingFailure::TimedOut)),
            Some(RetransmissionStep::Wait) | None => {}
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.transaction.as_ref().map(Retransmission::due)
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        self.handle_timeout(now);
        if !std::mem::take(&mut self.send) {
            return None;
        }
        let mut segments = out.segments(Some(self.path), None);
        let mut message = MessageBuilder::new(segments.datagram(), Class::Request, Method::BINDING, self.id);
        if let Some(software) = &self.software {
            message = message.software(software);
        }
        message.fingerprint().finish().ok()?;
        segments.end_datagram();
        segments.finish()
    }

    fn poll_event(&mut self) -> Option<BindingEvent> {
        self.event.take()
    }
}
