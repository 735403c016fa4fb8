//! Questions for names on the local link, RFC 6762 §5.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use thiserror::Error;

use crate::layer::{Datagram, FiveTuple, Layer, Transmit, TransmitBatch};

use super::LocalName;
use super::message::{AddressRecord, Message, MessageError, QuestionKind};

/// How a [`Querier`] asks and what it keeps.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QuerierConfig {
    /// Where questions go: the groups of RFC 6762 §3, 224.0.0.251 and ff02::fb, port 5353. Answers are taken
    /// from these ports only (§11).
    pub groups: Vec<SocketAddr>,
    /// How long to wait for an answer before asking again, at first; it doubles each time. Answerers are
    /// silent when asked the same more often than each second (RFC 6762 §6). 1 s by default.
    pub retry: Duration,
    /// How long to wait for an answer in all. 5 s by default.
    pub time_limit: Duration,
    /// How many names may be asked for at once. 64 by default.
    pub max_questions: usize,
    /// How many answers are kept for as long as their time to live says. 256 by default.
    pub max_answers: usize,
    /// The longest time that an answer is kept, whatever it says itself. 120 s by default.
    pub max_ttl: Duration,
}

impl Default for QuerierConfig {
    fn default() -> Self {
        Self {
            groups: default_groups(),
            retry: Duration::from_secs(1),
            time_limit: Duration::from_secs(5),
            max_questions: 64,
            max_answers: 256,
            max_ttl: Duration::from_secs(120),
        }
    }
}

/// The groups and the port of RFC 6762 §3.
pub(super) fn default_groups() -> Vec<SocketAddr> {
    vec![([224, 0, 0, 251], 5353).into(), ([0xff02, 0, 0, 0, 0, 0, 0, 0xfb], 5353).into()]
}

/// Asks for the addresses behind names on the local link: one-shot queries of RFC 6762 §5.1, without sockets.
///
/// Its transmits go to the groups of the configuration, from any port and on every interface that the
/// application wants to ask on.
#[derive(Debug)]
pub struct Querier {
    config: QuerierConfig,
    questions: FxHashMap<LocalName, Pending>,
    answers: FxHashMap<LocalName, Answer>,
    unsent: VecDeque<(LocalName, QuestionKind, SocketAddr)>,
    events: VecDeque<Resolution>,
    /// The first of all that is due, of `questions` only: answers that are out of date are noticed when used.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Pending {
    ask_again: Instant,
    wait: Duration,
    give_up: Instant,
}

#[derive(Debug)]
struct Answer {
    ip: IpAddr,
    until: Instant,
}

/// The end of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolution {
    /// The name that was asked for.
    pub name: LocalName,
    /// Its address.
    pub result: Result<IpAddr, ResolveError>,
}

impl Querier {
    /// A querier that has nothing to ask.
    pub fn new(config: QuerierConfig) -> Self {
        Self {
            config,
            questions: FxHashMap::default(),
            answers: FxHashMap::default(),
            unsent: VecDeque::new(),
            events: VecDeque::new(),
            due: None,
        }
    }

    /// Asks for the address of `name`; the answer is a [`Resolution`]. Asking again before it is there asks
    /// nobody again, and has the same answer.
    ///
    /// # Errors
    /// [`ResolveError::TooManyQuestions`].
    pub fn ask(&mut self, now: Instant, name: LocalName) -> Result<(), ResolveError> {
        if self.questions.contains_key(&name) {
            return Ok(());
        }
        if let Some(answer) = self.answers.get(&name) {
            if answer.until > now {
                let result = Ok(answer.ip);
                self.events.push_back(Resolution { name, result });
                return Ok(());
            }
            self.answers.remove(&name);
        }
        if self.questions.len() >= self.config.max_questions {
            return Err(ResolveError::TooManyQuestions { limit: self.config.max_questions });
        }
        let wait = self.config.retry.max(Duration::from_millis(1));
        let pending = Pending { ask_again: now + wait, wait, give_up: now + self.config.time_limit };
        self.due = earlier(self.due, pending.due());
        self.send_questions(&name);
        self.questions.insert(name, pending);
        Ok(())
    }

    /// A question each for IPv4 and IPv6 to each group: some answerers understand one question to a message.
    fn send_questions(&mut self, name: &LocalName) {
        for group in &self.config.groups {
            for kind in [QuestionKind::V4, QuestionKind::V6] {
                self.unsent.push_back((name.clone(), kind, *group));
            }
        }
    }

    fn take_answer(&mut self, now: Instant, record: AddressRecord) {
        // RFC 6762 §10.1: a goodbye answers nothing, and what it is for is kept for one second more.
        if record.ttl == 0 {
            if let Some(answer) = self.answers.get_mut(&record.name).filter(|answer| answer.ip == record.ip) {
                answer.until = answer.until.min(now + Duration::from_secs(1));
            }
            return;
        }
        // What nobody asked for is not kept, and what cannot be connected to is no answer.
        if !is_reachable(record.ip) || self.questions.remove(&record.name).is_none() {
            return;
        }
        self.unsent.retain(|(name, ..)| *name != record.name);
        self.due = self.questions.values().map(Pending::due).min();
        let ttl = Duration::from_secs(record.ttl.into()).min(self.config.max_ttl);
        if self.answers.len() >= self.config.max_answers {
            self.answers.retain(|_, answer| answer.until > now);
        }
        if self.answers.len() < self.config.max_answers && !ttl.is_zero() {
            self.answers.insert(record.name.clone(), Answer { ip: record.ip, until: now + ttl });
        }
        self.events.push_back(Resolution { name: record.name, result: Ok(record.ip) });
    }
}

impl Pending {
    fn due(&self) -> Instant {
        self.ask_again.min(self.give_up)
    }
}

fn earlier(due: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(due.map_or(other, |due| due.min(other)))
}

/// Whether an address can be one of another host. A link-local IPv6 address says nothing without its interface.
fn is_reachable(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    !ip.is_unspecified()
        && !ip.is_multicast()
        && match ip {
            IpAddr::V4(ip) => ip != Ipv4Addr::BROADCAST,
            IpAddr::V6(ip) => !ip.is_unicast_link_local(),
        }
}

impl Layer for Querier {
    type Event = Resolution;
    type Error = MessageError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), Self::Error> {
        // RFC 6762 §6: a response comes from port 5353, or is ignored.
        let port = datagram.path.remote.port();
        if !self.config.groups.iter().any(|group| group.port() == port) {
            return Err(MessageError::NotForUs);
        }
        match Message::decode(datagram.bytes)? {
            Message::Response { addresses } => {
                addresses.into_iter().for_each(|record| self.take_answer(now, record));
                Ok(())
            }
            Message::Query { .. } => Err(MessageError::NotForUs),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        let due: Vec<_> = self
            .questions
            .iter()
            .filter(|(_, pending)| pending.due() <= now)
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            let Some(pending) = self.questions.get_mut(&name) else { continue };
            if pending.give_up <= now {
                self.questions.remove(&name);
                self.unsent.retain(|(unsent, ..)| *unsent != name);
                self.events.push_back(Resolution { name, result: Err(ResolveError::NoAnswer) });
                continue;
            }
            pending.wait *= 2;
            pending.ask_again = now + pending.wait;
            // What was not sent yet need not be sent twice.
            self.unsent.retain(|(unsent, ..)| *unsent != name);
            self.send_questions(&name);
        }
        self.due = self.questions.values().map(Pending::due).min();
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn poll_transmit(&mut self, _: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        let (name, kind, group) = self.unsent.pop_front()?;
        let local: SocketAddr =
            if group.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let mut segments = out.segments(Some(FiveTuple::udp(local, group)), None);
        Message::write_query(&name, kind, segments.datagram());
        segments.end_datagram();
        segments.finish()
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        self.events.pop_front()
    }
}

/// Why a name has no address.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolveError {
    /// The text is no name of the local link.
    #[error(transparent)]
    Name(#[from] super::InvalidLocalName),
    /// Nobody on the link answered in time.
    #[error("nobody on the local link answers for the name")]
    NoAnswer,
    /// A limit of names that are asked for at once is reached.
    #[error("{limit} names are being asked for already; raise the limit of the configuration or ask later")]
    TooManyQuestions {
        /// The limit.
        limit: usize,
    },
    /// The resolver's task has ended, with the runtime that it was started in.
    #[error("the resolver has ended; make a new one in a running runtime")]
    Ended,
}
