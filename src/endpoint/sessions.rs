//! Sessions that share a socket.

mod claiming;
mod receiving;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::claims::Claims;
use super::classify::questions;
use super::event::EndpointEvent;
use super::member::Member;
use super::routes::Routes;
use super::session_id::SessionId;
use crate::layer::{Datagram, FiveTuple, Layer, Transmit, TransmitBatch};
use crate::session::{Session, SessionError};

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
    /// Sessions whose turn is to come, each once.
    due: VecDeque<SessionId>,
    /// Sessions that may have something to tell, each once.
    news: VecDeque<SessionId>,
    events: VecDeque<EndpointEvent>,
}

#[derive(Debug)]
struct Entry<M> {
    member: M,
    timer: Option<Instant>,
    is_due: bool,
    is_news: bool,
    /// A path that its peer has proved and that is another's, and whose.
    refused: Option<(FiveTuple, SessionId)>,
}

impl<M> Entry<M> {
    fn wake(&mut self, id: SessionId, due: &mut VecDeque<SessionId>, news: &mut VecDeque<SessionId>) {
        if !std::mem::replace(&mut self.is_due, true) {
            due.push_back(id);
        }
        if !std::mem::replace(&mut self.is_news, true) {
            news.push_back(id);
        }
    }
}

/// Runs of datagrams that one session sends in one turn, when others wait for theirs.
const MAX_TRANSMITS: usize = 16;

impl<M: Member> Endpoint<M> {
    /// An endpoint without sessions.
    pub fn new() -> Self {
        Self {
            members: FxHashMap::default(),
            routes: Routes::default(),
            claims: Claims::default(),
            timers: BTreeSet::new(),
            due: VecDeque::new(),
            news: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Adds a session, in place of the one of the same name if there is one, and has it take its turn.
    pub fn insert(&mut self, id: SessionId, member: M) {
        self.remove(id);
        self.members.insert(id, Entry { member, timer: None, is_due: false, is_news: false, refused: None });
        self.wake(id);
    }

    /// Takes a session out. Datagrams that still come for it are ignored.
    pub fn remove(&mut self, id: SessionId) -> Option<M> {
        let entry = self.members.remove(&id)?;
        if let Some(at) = entry.timer {
            self.timers.remove(&(at, id));
        }
        self.routes.remove(id);
        for claim in self.claims.remove(id) {
            self.take_path(claim.claimant, claim.path);
        }
        Some(entry.member)
    }

    /// Takes all sessions out.
    pub fn drain(&mut self) -> impl Iterator<Item = M> + use<M> {
        std::mem::take(self).members.into_values().map(|entry| entry.member)
    }

    /// A session, to be called as the application would; [`wake`](Self::wake) it then.
    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut M> {
        self.members.get_mut(&id).map(|entry| &mut entry.member)
    }

    /// Does something with a session, and has it take its turn. `None` if it is not there.
    pub fn with<T>(&mut self, id: SessionId, act: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let result = self.members.get_mut(&id)?.member.with(act);
        self.wake(id);
        Some(result)
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

    /// Has each session that is due send, the one that waits longest first, until none is left or `send` says that the
    /// socket is full. `send` takes what it is given in any case, and clears the batch when it is done with it.
    pub fn serve(
        &mut self,
        now: Instant,
        out: &mut TransmitBatch,
        send: &mut dyn FnMut(&mut TransmitBatch, Transmit) -> bool,
    ) {
        while let Some(id) = self.due.pop_front() {
            match self.serve_one(now, id, out, send) {
                Turn::Done => {}
                Turn::Spent => self.due.push_back(id),
                Turn::Blocked => {
                    self.due.push_front(id);
                    return;
                }
            }
        }
    }

    fn serve_one(
        &mut self,
        now: Instant,
        id: SessionId,
        out: &mut TransmitBatch,
        send: &mut dyn FnMut(&mut TransmitBatch, Transmit) -> bool,
    ) -> Turn {
        let Some(entry) = self.members.get_mut(&id) else { return Turn::Done };
        let routes = &mut self.routes;
        let (mut turn, mut timer, mut selected) = (Turn::Spent, None, None);
        let stays = entry.member.serve(|session| {
            routes.set_ufrag(id, session.local_ufrag());
            for _ in 0..MAX_TRANSMITS {
                let Some(transmit) = session.poll_transmit(now, out) else {
                    turn = Turn::Done;
                    break;
                };
                for question in questions(out.datagrams(&transmit)) {
                    routes.ask(now, id, question);
                }
                if !send(out, transmit) {
                    turn = Turn::Blocked;
                    break;
                }
            }
            timer = session.poll_timeout();
            selected = session.selected_pair().map(|pair| pair.path);
        });
        // Other paths of the session may be free: only one that it relies on is missed.
        if let Some((path, owner)) = entry.refused.take_if(|(path, _)| selected == Some(*path)) {
            self.events.push_back(EndpointEvent::PathInUse { id, path, owner });
        }
        entry.is_due = turn != Turn::Done;
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

/// How the turn of a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It has nothing more to send.
    Done,
    /// It has, and lets others go first.
    Spent,
    /// The socket takes no more.
    Blocked,
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

    /// The time of the first timer; the turn of a session that is due is now.
    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        let mut first = None;
        self.serve(now, out, &mut |_, transmit| {
            first = Some(transmit);
            false
        });
        first
    }

    fn poll_event(&mut self) -> Option<EndpointEvent> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        loop {
            let id = *self.news.front()?;
            let entry = self.members.get_mut(&id);
            let event = entry.and_then(|entry| {
                let event = entry.member.poll_event();
                entry.is_news = event.is_some();
                event
            });
            match event {
                Some(event) => return Some(EndpointEvent::Session { id, event }),
                None => drop(self.news.pop_front()),
            }
        }
    }
}

impl<M> fmt::Debug for Endpoint<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("sessions", &self.members.len()).finish_non_exhaustive()
    }
}
