//! The client of RFC 5780.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::addresses::{InvalidAddresses, check_hosts, differ_in_both};
use super::question::{Outcome, Question, Test};
use super::report::{Answers, NatReport};
use crate::crypto::{CryptoProvider, SecureRandom};
use crate::layer::{Datagram, FiveTuple, Layer, Transmit, TransmitBatch};
use crate::stun::address;
use crate::stun::builder::MessageBuilder;
use crate::stun::client::BindingFailure;
use crate::stun::error::StunError;
use crate::stun::header::{Class, Method, TransactionId};
use crate::stun::message::Message;
use crate::stun::retransmission::{Retransmission, RetransmissionConfig};

/// Finds out what lies between two sockets of this side and a server, once.
///
/// There are three steps, each of transactions that run side by side and end by themselves: the mapped address of both
/// sockets; the tests; and the mapped address again, for what was found holds only if it is still the same. With
/// [`DiscoveryConfig::default`] each step takes at most 41 s, and all of them about one on a network that loses and filters
/// nothing, and ten where something is filtered. Nothing is asked for that a server without OTHER-ADDRESS cannot answer; what it allows is
/// in the report.
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use std::time::Instant;
///
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
/// use kaon_rtc::stun::discovery::*;
///
/// let sockets = ["192.0.2.1:5000".parse()?, "192.0.2.1:5001".parse()?];
/// let (primary, other) = ("198.51.100.1:3478".parse()?, "198.51.100.2:3479".parse()?);
/// let (mut now, provider) = (Instant::now(), aws_lc_rs::provider());
/// let mut client = DiscoveryClient::new(now, &provider, sockets, primary, DiscoveryConfig::default())?;
/// let mut server = DiscoveryServer::new(now, &provider, primary, other, DiscoveryServerConfig::default())?;
///
/// let mut batch = TransmitBatch::new(1200);
/// let report = loop {
///     while let Some(request) = client.poll_transmit(now, &mut batch) {
///         let path = request.path.ok_or("it has one")?;
///         for datagram in batch.datagrams_mut(&request) {
///             server.handle_datagram(now, Datagram::new(FiveTuple::udp(path.remote, path.local), datagram))?;
///         }
///         batch.clear();
///     }
///     while let Some(response) = server.poll_transmit(now, &mut batch) {
///         let path = response.path.ok_or("it has one")?;
///         for datagram in batch.datagrams_mut(&response) {
///             client.handle_datagram(now, Datagram::new(FiveTuple::udp(path.remote, path.local), datagram))?;
///         }
///         batch.clear();
///     }
///     match client.poll_event() {
///         Some(DiscoveryEvent::Finished(report)) => break report,
///         Some(event) => return Err(format!("{event:?}").into()),
///         None => now = client.poll_timeout().ok_or("it waits")?,
///     }
/// };
/// assert_eq!(report.mapping, Ok(MappingBehavior::NoNat));
/// assert_eq!(report.filtering, Ok(FilteringBehavior::EndpointIndependent));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The server may name any address as the other or the mapped one. What it can have this side send there is a few
/// dozen requests of about 40 bytes, and none to an address that is no host.
pub struct DiscoveryClient {
    sockets: [SocketAddr; 2],
    server: SocketAddr,
    other: Option<SocketAddr>,
    config: DiscoveryConfig,
    random: Arc<dyn SecureRandom>,
    step: Step,
    questions: SmallVec<[Question; 11]>,
    /// When the next transaction may begin.
    next_start: Instant,
    event: Option<DiscoveryEvent>,
}

impl fmt::Debug for DiscoveryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiscoveryClient")
            .field("sockets", &self.sockets)
            .field("server", &self.server)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

/// How to ask.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DiscoveryConfig {
    /// How requests are repeated to which there is an answer. As in RFC 8489 by default.
    pub retransmission: RetransmissionConfig,
    /// How requests are repeated to which silence is an answer, too: those that a NAT may filter, and those to this side
    /// itself. 5 times at most from 500 ms on, and given up 2 s after the last, 9.5 s in all, by default.
    pub probe: RetransmissionConfig,
    /// What the requests say of the program, in SOFTWARE; nothing by default.
    pub software: Option<String>,
}

impl Default for DiscoveryConfig {
    fn default() -> Self {
        let probe = RetransmissionConfig {
            initial_timeout: Duration::from_millis(500),
            max_sent: 5,
            final_factor: 4,
        };
        Self { retransmission: RetransmissionConfig::default(), probe, software: None }
    }
}

/// How discovery ended. There is exactly one event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiscoveryEvent {
    /// What was found.
    Finished(NatReport),
    /// The server does not answer the first question: UDP is blocked, or it is no server.
    Failed(BindingFailure),
}

/// The time between the first requests of transactions: fewer than ten begin in a second, and their repetitions do not
/// fall together (RFC 5780 §5).
const PACING: Duration = Duration::from_millis(110);

/// What is being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    MappedAddress,
    Tests,
    Again,
    Ended,
}

impl DiscoveryClient {
    /// Asks `server` from two sockets, from now on. `sockets` are their addresses as they are, not those of all
    /// interfaces; neither has sent to the server or its other address within the last minutes.
    ///
    /// # Errors
    /// [`InvalidAddresses`]: the three are not of one family, or the sockets are one.
    pub fn new(
        now: Instant,
        provider: &CryptoProvider,
        sockets: [SocketAddr; 2],
        server: SocketAddr,
        config: DiscoveryConfig,
    ) -> Result<Self, InvalidAddresses> {
        check_hosts(&[sockets[0], sockets[1], server])?;
        if sockets[0] == sockets[1] {
            return Err(InvalidAddresses::Same(sockets[0], sockets[1]));
        }
        let mut client = Self {
            sockets,
            server,
            other: None,
            config,
            random: Arc::clone(&provider.random),
            step: Step::MappedAddress,
            questions: SmallVec::new(),
            next_start: now,
            event: None,
        };
        client.ask(now, Test::Mapped, server);
        client.ask(now, Test::MappedSecond, server);
        Ok(client)
    }

    fn ask(&mut self, now: Instant, test: Test, to: SocketAddr) {
        let second = matches!(
            test,
            Test::MappedSecond
                | Test::ChangeBoth
                | Test::ChangePort
                | Test::HairpinSecond
                | Test::MappedSecondAgain
        );
        let change = test.change().unwrap_or_default();
        let other = self.other.unwrap_or(to);
        let origin = SocketAddr::new(
            if change.ip { other.ip() } else { to.ip() },
            if change.port { other.port() } else { to.port() },
        );
        let retransmission = if test.is_probe() { self.config.probe } else { self.config.retransmission };
        let start = now.max(self.next_start);
        self.next_start = start + PACING;
        self.questions.push(Question {
            test,
            path: FiveTuple::udp(self.sockets[usize::from(second)], to),
            origin,
            id: TransactionId::random(&*self.random),
            retransmission: Retransmission::new(start, retransmission),
            is_to_be_sent: false,
            outcome: None,
        });
    }

    fn outcome(&self, test: Test) -> Option<&Outcome> {
        self.questions.iter().find(|question| question.test == test)?.outcome.as_ref()
    }

    fn mapped(&self, test: Test) -> Option<SocketAddr> {
        match self.outcome(test)? {
            Outcome::Answered { mapped, .. } => Some(*mapped),
            _ => None,
        }
    }

    /// Goes on when all questions of a step have ended.
    fn proceed(&mut self, now: Instant) {
        if let (Step::MappedAddress, Some(failure)) = (self.step, self.failure()) {
            return self.end(DiscoveryEvent::Failed(failure));
        }
        while self.step != Step::Ended && self.questions.iter().all(|question| question.outcome.is_some()) {
            match self.step {
                Step::MappedAddress => self.test(now),
                Step::Tests => self.ask_again(now),
                Step::Again | Step::Ended => self.finish(),
            }
        }
    }

    /// Why nothing can be found.
    fn failure(&self) -> Option<BindingFailure> {
        match self.outcome(Test::Mapped)? {
            Outcome::Answered { .. } => None,
            Outcome::Silent => Some(BindingFailure::TimedOut),
            Outcome::Refused(code, reason) => Some(BindingFailure::Refused(*code, reason.clone())),
            Outcome::Arrived | Outcome::WrongOrigin | Outcome::Unusable => Some(BindingFailure::Unusable),
        }
    }

    fn test(&mut self, now: Instant) {
        self.step = Step::Tests;
        let server = self.server;
        if let Some(Outcome::Answered { other: Some(other), .. }) = self.outcome(Test::Mapped) {
            let is_of_use = address::may_be_asked(server, *other) && differ_in_both(server, *other);
            self.other = Some(*other).filter(|_| is_of_use);
        }
        let (first, second) = (self.mapped(Test::Mapped), self.mapped(Test::MappedSecond));
        if let Some(other) = self.other {
            self.ask(now, Test::OtherIp, SocketAddr::new(other.ip(), server.port()));
            self.ask(now, Test::OtherBoth, other);
            self.ask(now, Test::OtherPort, SocketAddr::new(server.ip(), other.port()));
            if second.is_some() {
                self.ask(now, Test::ChangeBoth, server);
                self.ask(now, Test::ChangePort, server);
            }
        }
        let (Some(first), Some(second)) = (first, second) else { return };
        let may_be_sent_to = |mapped| address::may_be_asked(server, mapped);
        if first != self.sockets[0] && may_be_sent_to(first) && may_be_sent_to(second) {
            self.ask(now, Test::HairpinFirst, second);
            self.ask(now, Test::HairpinSecond, first);
        }
    }

    fn ask_again(&mut self, now: Instant) {
        self.step = Step::Again;
        // Without a test there is nothing that could be wrong.
        if self.questions.len() > 2 {
            self.ask(now, Test::MappedAgain, self.server);
            self.ask(now, Test::MappedSecondAgain, self.server);
        }
    }

    fn finish(&mut self) {
        let outcome = |test| self.outcome(test);
        let (local, server, other) = (self.sockets, self.server, self.other);
        let report = Answers { local, server, other, outcome: &outcome }.report();
        let unusable = DiscoveryEvent::Failed(BindingFailure::Unusable);
        self.end(report.map_or(unusable, DiscoveryEvent::Finished));
    }

    fn end(&mut self, event: DiscoveryEvent) {
        self.step = Step::Ended;
        self.questions.clear();
        self.event = Some(event);
    }
}

impl Layer for DiscoveryClient {
    type Event = DiscoveryEvent;
    type Error = StunError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), StunError> {
        let message = Message::decode(datagram.bytes)?;
        let (id, path, sockets) = (message.transaction_id(), datagram.path, self.sockets);
        let question = self.questions.iter_mut().find(|question| question.id == id);
        let Some(question) = question.filter(|question| question.outcome.is_none()) else {
            return Err(StunError::Ignored("it belongs to no transaction under way"));
        };
        // What goes to this side itself arrives at the other socket.
        let is_first = question.path.local == sockets[0];
        let arrives_at = sockets[usize::from(is_first == question.test.is_hairpin())];
        if path.protocol != question.path.protocol || path.local != arrives_at {
            return Err(StunError::Ignored("it comes to another socket than the request was sent from"));
        }
        if message.method() != Method::BINDING {
            return Err(StunError::Ignored("it is of another method"));
        }
        let Some(outcome) = question.judge(&message, path.remote) else {
            return Err(StunError::Ignored("it is no answer, or comes from another address"));
        };
        let is_arrival = outcome == Outcome::Arrived;
        question.end(outcome);
        if is_arrival {
            // One direction is enough.
            let other = |question: &&mut Question| question.test.is_hairpin() && question.outcome.is_none();
            self.questions.iter_mut().filter(other).for_each(|question| question.end(Outcome::Silent));
        }
        self.proceed(now);
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.questions.iter_mut().for_each(|question| question.handle_timeout(now));
        self.proceed(now);
        // What has just begun is due now.
        self.questions.iter_mut().for_each(|question| question.handle_timeout(now));
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.questions.iter().filter_map(Question::due).min()
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        self.handle_timeout(now);
        let question = self.questions.iter_mut().find(|question| question.is_to_be_sent)?;
        question.is_to_be_sent = false;
        let mut segments = out.segments(Some(question.path), None);
        let mut message =
            MessageBuilder::new(segments.datagram(), Class::Request, Method::BINDING, question.id);
        if let Some(change) = question.test.change() {
            message = message.change_request(change);
        }
        if let Some(software) = &self.config.software {
            message = message.software(software);
        }
        message.fingerprint().finish().ok()?;
        segments.end_datagram();
        segments.finish()
    }

    fn poll_event(&mut self) -> Option<DiscoveryEvent> {
        self.event.take()
    }
}
