//! Answers to questions for names of this machine, RFC 6762 §6, and their goodbyes (§10.1).

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
    goodbyes: VecDeque<Goodbye>,
}

#[derive(Debug)]
struct Registered {
    ip: IpAddr,
    /// When the address was last told to a group.
    multicast: Option<Instant>,
    /// Whether somebody may have kept it.
    is_told: bool,
}

/// Records that nobody shall keep any longer.
#[derive(Debug)]
struct Goodbye {
    group: SocketAddr,
    records: Vec<(LocalName, IpAddr)>,
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

    /// The records of one goodbye, which fits into a frame with them.
    const RECORDS_PER_GOODBYE: usize = 16;

    /// An answerer without names.
    pub fn new(config: AnswererConfig) -> Self {
        Self { config, names: FxHashMap::default(), unsent: VecDeque::new(), goodbyes: VecDeque::new() }
    }

    /// Answers for `name` with `ip` from now on.
    ///
    /// # Errors
    /// [`TooManyNames`].
    pub fn add(&mut self, name: LocalName, ip: IpAddr) -> Result<(), TooManyNames> {
        if self.names.len() >= self.config.max_names && !self.names.contains_key(&name) {
            return Err(TooManyNames { limit: self.config.max_names });
        }
        self.goodbyes.iter_mut().for_each(|goodbye| goodbye.records.retain(|(gone, _)| *gone != name));
        self.goodbyes.retain(|goodbye| !goodbye.records.is_empty());
        self.names.insert(name, Registered { ip, multicast: None, is_told: false });
        Ok(())
    }

    /// Answers for `name` no more. Those on the link who may have kept its address are told once, by what is to be sent
    /// next (RFC 6762 §10.1).
    pub fn remove(&mut self, name: &LocalName) {
        self.unsent.retain(|unsent| unsent.name != *name);
        if let Some(registered) = self.names.remove(name).filter(|registered| registered.is_told) {
            self.say_goodbye(name, registered.ip);
        }
    }

    /// Answers for no name any more, as [`remove`](Self::remove) says.
    pub fn clear(&mut self) {
        let names: Vec<_> = self.names.keys().cloned().collect();
        names.iter().for_each(|name| self.remove(name));
    }

    fn say_goodbye(&mut self, name: &LocalName, ip: IpAddr) {
        for group in self.config.groups.iter().filter(|group| group.ip().is_multicast()) {
            let of_group = self.goodbyes.iter_mut().filter(|goodbye| goodbye.group == *group);
            let waiting: usize = of_group.map(|goodbye| goodbye.records.len()).sum();
            if waiting >= self.config.max_names {
                continue; // It is forgotten all the same when its time to live is over.
            }
            let has_room = |goodbye: &&mut Goodbye| {
                goodbye.group == *group && goodbye.records.len() < Self::RECORDS_PER_GOODBYE
            };
            let record = (name.clone(), ip);
            match self.goodbyes.iter_mut().find(has_room) {
                Some(goodbye) => goodbye.records.push(record),
                None => self.goodbyes.push_back(Goodbye { group: *group, records: vec![record] }),
            }
        }
    }

    fn transmit_goodbye(&mut self, out: &mut TransmitBatch) -> Option<Transmit> {
        let Goodbye { group, records } = self.goodbyes.pop_front()?;
        let mut segments = out.segments(Some(FiveTuple::udp(unspecified(group), group)), None);
        Message::write_goodbye(&records, segments.datagram());
        segments.end_datagram();
        segments.finish()
    }
}

fn unspecified(family: SocketAddr) -> SocketAddr {
    if family.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() }
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
        let Some(Unsent { name, ip, to, legacy }) = self.unsent.pop_front() else {
            return self.transmit_goodbye(out);
        };
        if let Some(registered) = self.names.get_mut(&name) {
            registered.is_told = true;
        }
        let ttl = if legacy.is_some() { self.config.ttl.min(Self::LEGACY_TTL) } else { self.config.ttl };
        let mut segments = out.segments(Some(FiveTuple::udp(unspecified(to), to)), None);
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
