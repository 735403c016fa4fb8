//! Sessions behind a socket, and whose turn it is.

mod accepting;
mod claiming;
mod receiving;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::address_change::AddressChange;
use super::claims::Claims;
use super::classify::question;
use super::event::EndpointEvent;
use super::incoming::Strangers;
use super::line::{Line, Place};
use super::member::Member;
use super::routes::Routes;
use super::session_id::SessionId;
use super::streams::Streams;
use crate::layer::{Datagram, FiveTuple, Layer, StreamReport, StreamRequest, Transmit, TransmitBatch};
use crate::session::{GatheringState, Session, SessionError};

/// Sessions that share a socket; see the [module](crate::endpoint).
///
/// A path belongs to the session whose peer has proved it by an authentic check. When the peer of another session
/// proves it too, the session that is using it asks at once whether its own peer is still there, and lets go of it
/// when no answer comes within a few round trips: a peer that was restarted on the same port connects then. If an
/// answer does come, there is an [`EndpointEvent::PathInUse`].
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use std::time::Instant;
///
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::endpoint::{Endpoint, SessionId};
/// use kaon_rtc::layer::Layer;
/// use kaon_rtc::session::{Session, SessionConfig};
///
/// let now = Instant::now();
/// let config = SessionConfig::generate(aws_lc_rs::provider())?;
/// let mut endpoint = Endpoint::new();
/// for number in 0..10 {
///     endpoint.insert(SessionId::new(number), Session::new(now, config.clone()));
/// }
/// endpoint.with(SessionId::new(7), |session| session.add_host_address(now, "192.0.2.1:5000".parse().unwrap()));
/// assert!(endpoint.remove(SessionId::new(3)).is_some());
/// assert_eq!(endpoint.len(), 9);
/// endpoint.handle_timeout(now);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Endpoint<M> {
    members: FxHashMap<SessionId, Entry<M>>,
    routes: Routes,
    claims: Claims,
    timers: BTreeSet<(Instant, SessionId)>,
    /// Sessions whose turn is to come.
    due: Line,
    /// Sessions that may have something to tell.
    news: Line,
    /// Where the application wants to hear of them.
    strangers: Option<Strangers>,
    streams: Streams,
}

#[derive(Debug)]
struct Entry<M> {
    member: M,
    timer: Option<Instant>,
    due: Place,
    news: Place,
    /// What it has sent in its turn.
    spent: Spent,
    /// A path that its peer has proved and that is another's. Few have one.
    refused: Option<Box<Refused>>,
}

/// A path that a session cannot have.
#[derive(Debug)]
struct Refused {
    path: FiveTuple,
    owner: SessionId,
    /// The session relies on it, and the application is to be told.
    is_missed: bool,
}

/// How much of a turn is over.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    sends: usize,
    datagrams: usize,
}

impl<M> Entry<M> {
    fn new(member: M) -> Self {
        let (due, news, spent) = (Place::default(), Place::default(), Spent::default());
        Self { member, timer: None, due, news, spent, refused: None }
    }

    fn wake(&mut self, id: SessionId, due: &mut Line, news: &mut Line) {
        due.join(id, &mut self.due);
        news.join(id, &mut self.news);
    }
}

impl<M: Member> Endpoint<M> {
    /// Datagrams after which the turn of a session is over, when others wait for theirs: it ends with the send that
    /// reaches this number, which may be one of many segments. What a session has to send waits at most for such a turn
    /// of each session that was due before it.
    pub const TURN: usize = 64;
    /// Sends after which a turn is over, if they have fewer datagrams.
    pub const TURN_SENDS: usize = 16;

    /// An endpoint without sessions.
    pub fn new() -> Self {
        Self {
            members: FxHashMap::default(),
            routes: Routes::default(),
            claims: Claims::default(),
            timers: BTreeSet::new(),
            due: Line::default(),
            news: Line::default(),
            strangers: None,
            streams: Streams::default(),
        }
    }

    /// Adds a session, in place of the one of the same name if there is one, and has it take its turn. One that is
    /// connected already brings its path, unless another session has it.
    pub fn insert(&mut self, id: SessionId, member: M) {
        self.remove(id);
        self.members.insert(id, Entry::new(member));
        let path = self.with(id, |session| session.outgoing_path()).flatten();
        if let Some(path) = path.filter(|path| self.routes.owner(path).is_none()) {
            // Its agent has had an authentic answer there.
            self.take_path(id, path);
        }
    }

    /// Takes a session out. Datagrams that still come for it are ignored.
    pub fn remove(&mut self, id: SessionId) -> Option<M> {
        let entry = self.members.remove(&id)?;
        if let Some(at) = entry.timer {
            self.timers.remove(&(at, id));
        }
        let members = &self.members;
        self.due.leave(entry.due, |id, place| members.get(&id).is_some_and(|entry| entry.due == place));
        self.news.leave(entry.news, |id, place| members.get(&id).is_some_and(|entry| entry.news == place));
        self.routes.remove(id);
        self.streams.forget(id);
        for claim in self.claims.remove(id) {
            self.take_path(claim.claimant, claim.path);
        }
        Some(entry.member)
    }

    /// Takes all sessions out.
    pub fn drain(&mut self) -> impl Iterator<Item = M> + use<M> {
        self.members.keys().for_each(|id| self.streams.forget(*id));
        let streams = std::mem::take(&mut self.streams);
        let rest = Self { strangers: self.strangers.take(), streams, ..Self::new() };
        std::mem::replace(self, rest).members.into_values().map(|entry| entry.member)
    }

    /// A session, to be called as the application would; [`wake`](Self::wake) it then.
    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut M> {
        self.members.get_mut(&id).map(|entry| &mut entry.member)
    }

    /// Does something with a session, and has it take its turn. `None` if it is not there.
    pub fn with<T>(&mut self, id: SessionId, act: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let routes = &mut self.routes;
        let result = self.members.get_mut(&id)?.member.with(|session| {
            let result = act(session);
            routes.set_keys(|| session.draw_hash_keys());
            // Its peer may be told in the next moment.
            routes.set_ufrag(id, session.local_ufrag());
            result
        });
        self.wake(id);
        Some(result)
    }

    /// Addresses of this machine have come and gone: the sessions that gather, or have gathered, go on by those that there
    /// are. The others are to be given those of the time when they begin.
    pub fn change_addresses(&mut self, now: Instant, change: &AddressChange) {
        let ids: Vec<SessionId> = self.members.keys().copied().collect();
        for id in ids {
            self.with(id, |session| {
                if session.gathering_state() != GatheringState::New {
                    // Beyond the limit of candidates the others do.
                    for host in &change.added {
                        let _ = session.add_host(now, host.clone());
                    }
                    for host in &change.passive {
                        let _ = session.add_passive_address(now, host.clone());
                    }
                    for host in &change.simultaneous {
                        let _ = session.add_simultaneous_open_address(now, host.clone());
                    }
                }
                change.removed.iter().for_each(|gone| session.remove_host_address(now, *gone));
            });
        }
    }

    /// The number of sessions.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Says that something was done with a session from outside, so that it may have something to send or to tell.
    pub fn wake(&mut self, id: SessionId) {
        if let Some(entry) = self.members.get_mut(&id) {
            entry.wake(id, &mut self.due, &mut self.news);
        }
    }

    /// Has each session that is due send, the one that waits longest first, for one turn of at most about
    /// [`TURN`](Self::TURN) datagrams; ends early when `send` says that the socket is full. `send` takes what it is given
    /// in any case, and clears the batch when it is done with it.
    ///
    /// True if sessions have more to send. Datagrams that have come in the meantime are best taken first, so that neither
    /// a session with much to send nor a peer that sends much holds up the others.
    pub fn serve(
        &mut self,
        now: Instant,
        out: &mut TransmitBatch,
        send: &mut dyn FnMut(&mut TransmitBatch, Transmit) -> bool,
    ) -> bool {
        for _ in 0..self.due.len() {
            let Some((id, place)) = self.due.pop() else { break };
            if self.members.get(&id).is_none_or(|entry| entry.due != place) {
                continue;
            }
            let mut is_full = false;
            let turn = self.serve_one(now, id, out, &mut |out, transmit| {
                is_full = !send(out, transmit);
                !is_full
            });
            match turn {
                Turn::Done | Turn::Spent => {}
                Turn::Open => self.due.put_back(id, place),
            }
            if is_full {
                break;
            }
        }
        !self.due.is_empty()
    }

    fn serve_one(
        &mut self,
        now: Instant,
        id: SessionId,
        out: &mut TransmitBatch,
        send: &mut dyn FnMut(&mut TransmitBatch, Transmit) -> bool,
    ) -> Turn {
        let Some(entry) = self.members.get_mut(&id) else { return Turn::Done };
        let (routes, streams, spent) = (&mut self.routes, &mut self.streams, &mut entry.spent);
        let (mut turn, mut timer, mut selected, mut is_news) = (Turn::Open, None, None, false);
        let stays = entry.member.serve(|session| {
            routes.set_ufrag(id, session.local_ufrag());
            turn = loop {
                let Some(transmit) = session.poll_transmit(now, out) else { break Turn::Done };
                spent.sends += 1;
                for datagram in out.datagrams(&transmit) {
                    spent.datagrams += 1;
                    if let Some(question) = question(datagram) {
                        routes.ask(now, id, question);
                    }
                }
                let has_room = send(out, transmit);
                if spent.sends >= Self::TURN_SENDS || spent.datagrams >= Self::TURN {
                    break Turn::Spent;
                }
                if !has_room {
                    break Turn::Open;
                }
            };
            // A stream is closed behind what was sent by it.
            while let Some(request) = (turn == Turn::Done).then(|| session.poll_stream()).flatten() {
                streams.ask(id, request);
            }
            timer = session.poll_timeout();
            selected = session.outgoing_path();
            is_news = session.has_events();
        });
        if turn != Turn::Open {
            entry.spent = Spent::default();
        }
        // Other paths of the session may be free: only one that it relies on is missed.
        if let Some(refused) = entry.refused.as_mut().filter(|refused| selected == Some(refused.path)) {
            refused.is_missed = true;
            is_news = true;
        }
        if is_news {
            self.news.join(id, &mut entry.news);
        }
        if turn != Turn::Open {
            entry.due = Place::default();
        }
        if turn == Turn::Spent {
            self.due.join(id, &mut entry.due);
        }
        if turn == Turn::Done && !stays {
            self.remove(id);
            return turn;
        }
        self.set_timer(id, timer);
        self.settle_claims(now, id);
        turn
    }

    fn set_timer(&mut self, id: SessionId, timer: Option<Instant>) {
        let Some(entry) = self.members.get_mut(&id) else { return };
        if entry.timer == timer {
            return;
        }
        if let Some(before) = std::mem::replace(&mut entry.timer, timer) {
            self.timers.remove(&(before, id));
        }
        if let Some(at) = timer {
            self.timers.insert((at, id));
        }
    }
}

/// How far the turn of a session went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It has nothing more to send.
    Done,
    /// It may have, and lets others go first.
    Spent,
    /// It may have, and its turn goes on when the socket has room.
    Open,
}

impl<M: Member> Default for Endpoint<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Member> Layer for Endpoint<M> {
    type Event = EndpointEvent;
    type Error = SessionError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
        self.receive(now, datagram)
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, id)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            if let Some(entry) = self.members.get_mut(&id) {
                entry.timer = None;
            }
            self.with(id, |session| session.handle_timeout(now));
        }
    }

    /// The time of the first timer. It says nothing of sessions that wait for their turn: [`serve`](Endpoint::serve)
    /// them, or [poll](Self::poll_transmit), after everything that may have them send, events that are answered included,
    /// and sleep then.
    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        let mut first = None;
        loop {
            let has_more = self.serve(now, out, &mut |_, transmit| {
                first = Some(transmit);
                false
            });
            if first.is_some() || !has_more {
                return first;
            }
        }
    }

    fn poll_event(&mut self) -> Option<EndpointEvent> {
        loop {
            if let Some(event) = self.poll_news() {
                return Some(event);
            }
            if let Some(incoming) = self.poll_incoming() {
                return Some(EndpointEvent::Incoming(Box::new(incoming)));
            }
            // A stranger may have been one of the sessions' peers.
            if self.news.is_empty() {
                return None;
            }
        }
    }

    /// What the sessions that have taken their turns want of streams, also of those that were taken out since.
    fn poll_stream(&mut self) -> Option<StreamRequest> {
        self.streams.poll()
    }

    fn handle_stream(&mut self, now: Instant, report: StreamReport) {
        if let Some((id, report)) = self.streams.owner_of(report) {
            self.with(id, |session| session.handle_stream(now, report));
        }
    }
}

impl<M: Member> Endpoint<M> {
    /// The next event of a session.
    fn poll_news(&mut self) -> Option<EndpointEvent> {
        while let Some((id, place)) = self.news.first() {
            let entry = self.members.get_mut(&id).filter(|entry| entry.news == place);
            if let Some(event) = entry.and_then(|entry| entry.poll_event(id)) {
                return Some(event);
            }
            self.news.pop();
        }
        None
    }
}

impl<M: Member> Entry<M> {
    fn poll_event(&mut self, id: SessionId) -> Option<EndpointEvent> {
        let missed = self.refused.take_if(|refused| refused.is_missed);
        let missed =
            missed.map(|missed| EndpointEvent::PathInUse { id, path: missed.path, owner: missed.owner });
        let event =
            missed.or_else(|| self.member.poll_event().map(|event| EndpointEvent::Session { id, event }));
        if event.is_none() {
            self.news = Place::default();
        }
        event
    }
}

impl<M> fmt::Debug for Endpoint<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("sessions", &self.members.len()).finish_non_exhaustive()
    }
}
