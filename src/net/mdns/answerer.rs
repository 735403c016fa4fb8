//! Answers to questions for names of this machine, RFC 6762 §6.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use thiserror::Error;

use crate::layer::{Datagram, FiveTuple, Layer, Transmit, TransmitBatch};

use super::LocalName;
use super::message::{Message, MessageError, QuestionKind};
use super::querier::default_groups;

/// What an [`Answerer`] says and how much of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AnswererConfig {
    /// Where answers by multicast go, and the port of queriers that speak multicast DNS: the groups of
    /// RFC 6762 §3, 224.0.0.251 and ff02::fb, port 5353.
    pub groups: Vec<SocketAddr>,
    /// For how many seconds answers may be kept (RFC 6762 §10). 120 by default.
    pub ttl: u32,
    /// How many names there may be. 256 by default.
    pub max_names: usize,
    /// How many answers may wait to be sent; further questions are not answered meanwhile. 64 by
    /// default.
    pub max_unsent: usize,
}

impl Default for AnswererConfig {
    fn default() -> Self {
        Self { groups: default_groups(), ttl: 120, max_names: 256, max_unsent: 64 }
    }
}

/// Answers questions for names of our own, without sockets: the responder of RFC 6762 §6.
///
/// Names are random ones that nobody else has, so they are neither probed for nor announced (§8). The
/// application hands over only what came by multicast, that is from the link (§11).
#[derive(Debug)]
pub struct Answerer {
    config: AnswererConfig,
    names: FxHashMap<LocalName, Registered>,
    unsent: VecDeque<Unsent>,
}

#[derive(Debug)]
struct Registered {
    ip: IpAddr,
    /// When the address was last told to a group.
    multicast: Option<Instant>,
}

#[derive(Debug)]
struct Unsent {
    name: LocalName,
    ip: IpAddr,
    to: SocketAddr,
    legacy: Option<(u16, QuestionKind)>,
}

impl Answerer {
    /// RFC 6762 §6: the least time between two answers by multicast with the same record.
    const MULTICAST_INTERVAL: Duration = Duration::from_secs(1);

    /// RFC 6762 §6.7: the longest time to live in answers to queriers of plain DNS.
    const LEGACY_TTL: u32 = 10;

    /// An answerer without names.
    pub fn new(config: AnswererConfig) -> Self {
        Self { config, names: FxHashMap::default(), unsent: VecDeque::new() }
    }

    /// Answers for `name` with `ip` from now on.
    ///
    /// # Errors
    /// [`TooManyNames`].
    pub fn add(&mut self, name: LocalName, ip: IpAddr) -> Result<(), TooManyNames> {
        if self.names.len() >= self.config.max_names && !self.names.contains_key(&name) {
            return Err(TooManyNames { limit: self.config.max_names });
        }
        self.names.insert(name, Registered { ip, multicast: None });
        Ok(())
    }

    /// Answers for `name` no more.
    pub fn remove(&mut self, name: &LocalName) {
        self.names.remove(name);
        self.unsent.retain(|unsent| unsent.name != *name);
    }
}

impl Layer for Answerer {
    type Event = Infallible;
    type Error = MessageError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), Self::Error> {
        let Message::Query { id, questions } = Message::decode(datagram.bytes)? else {
            return Err(MessageError::NotForUs);
        };
        let from = datagram.path.remote;
        let group = self.config.groups.iter().find(|group| group.is_ipv4() == from.is_ipv4()).copied();
        let is_legacy = group.is_none_or(|group| group.port() != from.port());
        for question in questions {
            let Some(registered) = self.names.get_mut(&question.name) else { continue };
            if !question.kind.matches(registered.ip) || self.unsent.len() >= self.config.max_unsent {
                continue;
            }
            let to = match group {
                Some(group) if !is_legacy && !question.unicast => {
                    if registered.multicast.is_some_and(|last| now < last + Self::MULTICAST_INTERVAL) {
                        continue;
                    }
                    registered.multicast = Some(now);
                    group
                }
                _ => from,
            };
            let legacy = is_legacy.then_some((id, question.kind));
            self.unsent.push_back(Unsent { name: question.name, ip: registered.ip, to, legacy });
        }
        Ok(())
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_transmit(&mut self, _: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        let Unsent { name, ip, to, legacy } = self.unsent.pop_front()?;
        let local: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let ttl = if legacy.is_some() { self.config.ttl.min(Self::LEGACY_TTL) } else { self.config.ttl };
        let mut segments = out.segments(Some(FiveTuple::udp(local, to)), None);
        Message::write_response(&name, ip, ttl, legacy, segments.datagram());
        segments.end_datagram();
        segments.finish()
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        None
    }
}

/// The limit of names is reached.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("there are {limit} names already; raise the limit of the configuration or remove some")]
pub struct TooManyNames {
    /// The limit.
    pub limit: usize,
}
