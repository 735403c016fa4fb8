//! An endpoint and its connections, as the driver and every handle share them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Instant;

use rustc_hash::FxHashMap;
use tracing::Span;
use tracing::span::Entered;

use super::attachment::Attachments;
use super::configuration::Configuration;
use super::inbox::{ChannelInbox, KeyFrameRequests, TrackInbox};
use super::local_names::LocalNames;
use super::names::NameToResolve;
use super::rtp_packet::RtpPacket;
use super::stable_id::StableId;
use super::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use super::sync::{Mutex, MutexGuard, Notify, Sockets};
use crate::datachannel::{ChannelEvent, ChannelId, ChannelInit};
use crate::endpoint::{Member, SessionId};
use crate::layer::{Datagram, Layer, Rid, TransmitBatch};
use crate::net::InterfaceFilter;
use crate::session::{
    ConnectionState, EndpointEnded, FailureReason, GatheringState, Session, SessionError, SessionEvent,
    SignalingState, TransceiverId,
};

/// What connections and driver share of an endpoint.
#[derive(Debug)]
pub(super) struct EndpointShared {
    pub(super) sockets: Sockets,
    /// Where the first of them is bound.
    pub(super) local_addr: SocketAddr,
    pub(super) filter: InterfaceFilter,
    pub(super) local_names: LocalNames,
    /// That of its task, for tasks of its connections.
    pub(super) runtime: tokio::runtime::Handle,
    todo: Mutex<Todo>,
    pub(super) wake: Notify,
    /// The socket is full, and holds up what connections have sent.
    pub(super) is_blocked: AtomicBool,
    /// It no longer does.
    pub(super) unblocked: Notify,
    next_id: AtomicU64,
    pub(super) stable_id: StableId,
    /// No handle is left that could add a connection.
    pub(super) is_orphaned: AtomicBool,
    ended: OnceLock<EndpointEnded>,
    /// It has ended just now.
    pub(super) end: Notify,
}

/// What waits for the driver.
#[derive(Debug, Default)]
pub(super) struct Todo {
    /// Connections that are new, or that their application has touched.
    pub(super) dirty: Vec<Arc<Shared>>,
    pub(super) names: Vec<NameToResolve>,
}

/// A connection, in the hands of the driver and of every handle.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) id: SessionId,
    pub(super) endpoint: Arc<EndpointShared>,
    state: Mutex<State>,
    /// An event waits, or the state changed.
    pub(super) changed: Notify,
    /// So many wait until all media is sent.
    pub(super) ends_in_order: AtomicUsize,
    /// What is logged meanwhile names the connection.
    span: Span,
}

/// The state under its lock.
pub(super) struct Locked<'a> {
    state: MutexGuard<'a, State>,
    _entered: Entered<'a>,
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

/// What is behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) session: Session,
    pub(super) events: VecDeque<Told>,
    pub(super) channels: FxHashMap<ChannelId, ChannelInbox>,
    /// Those of simulcast streams that the application has asked for by their RID, and those of all others.
    pub(super) tracks: FxHashMap<(TransceiverId, Option<Rid>), TrackInbox>,
    /// What the packets of all of them count for.
    unread_packets: Arc<AtomicUsize>,
    pub(super) key_frames: FxHashMap<TransceiverId, KeyFrameRequests>,
    pub(super) attachments: Attachments,
    pub(super) configuration: Configuration,
    /// The driver has it on its list already.
    pub(super) is_dirty: bool,
    /// No handle is left: to be forgotten when the farewell is sent.
    pub(super) is_abandoned: bool,
}

/// An event before it is given a handle, which would keep the connection alive.
#[derive(Debug)]
pub(super) enum Told {
    Session(SessionEvent),
    Track(TransceiverId),
    DataChannel(ChannelId),
}

/// The largest datagram that any session writes; sessions keep to their own limit.
pub(super) const MAX_DATAGRAM: usize = 1472;
/// Events that wait at most; an application that fetches none loses the oldest.
const MAX_EVENTS: usize = 4096;

impl EndpointShared {
    pub(super) fn new(
        local_addr: SocketAddr,
        sockets: Sockets,
        filter: InterfaceFilter,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        Self {
            sockets,
            local_addr,
            filter,
            local_names: LocalNames::default(),
            runtime,
            todo: Mutex::default(),
            wake: Notify::new(),
            is_blocked: AtomicBool::new(false),
            unblocked: Notify::new(),
            next_id: AtomicU64::new(0),
            stable_id: StableId::of_endpoint(),
            is_orphaned: AtomicBool::new(false),
            ended: OnceLock::new(),
            end: Notify::new(),
        }
    }

    fn todo(&self) -> MutexGuard<'_, Todo> {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the driver look at a connection. False if there is no driver any more.
    fn mark_dirty(&self, connection: Arc<Shared>) -> bool {
        let mut todo = self.todo();
        // Asked under the lock, so that nothing is put in after the driver has emptied it.
        if self.ended().is_some() {
            return false;
        }
        todo.dirty.push(connection);
        drop(todo);
        self.wake.notify_one();
        true
    }

    fn resolve(&self, name: NameToResolve) {
        self.todo().names.push(name);
        self.wake.notify_one();
    }

    pub(super) fn take_todo(&self) -> Todo {
        std::mem::take(&mut self.todo())
    }

    /// The driver is gone. Connections that it has not looked at yet are what this returns.
    pub(super) fn end(&self, reason: &EndpointEnded) -> Vec<Arc<Shared>> {
        let mut todo = self.todo();
        // The first reason counts.
        let _ = self.ended.set(reason.clone());
        let late = std::mem::take(&mut *todo).dirty;
        drop(todo);
        self.end.notify_waiters();
        late
    }

    /// Why it has ended, if it has.
    pub(super) fn ended(&self) -> Option<&EndpointEnded> {
        self.ended.get()
    }
}

impl Shared {
    pub(super) fn new(endpoint: Arc<EndpointShared>, session: Session) -> Arc<Self> {
        let id = SessionId::new(endpoint.next_id.fetch_add(1, Ordering::Relaxed));
        Arc::new(Self {
            id,
            endpoint,
            state: Mutex::new(State {
                session,
                events: VecDeque::new(),
                channels: FxHashMap::default(),
                tracks: FxHashMap::default(),
                unread_packets: Arc::default(),
                key_frames: FxHashMap::default(),
                attachments: Attachments::default(),
                configuration: Configuration::default(),
                is_dirty: false,
                is_abandoned: false,
            }),
            changed: Notify::new(),
            ends_in_order: AtomicUsize::new(0),
            span: tracing::debug_span!("connection", id = id.number()),
        })
    }

    pub(super) fn stable_id(&self) -> StableId {
        self.endpoint.stable_id.connection(self.id)
    }

    /// Looks at the state.
    pub(super) fn lock(&self) -> Locked<'_> {
        // A panic inside of the lock leaves nothing worse than a session that is not drained.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Locked { state, _entered: self.span.enter() }
    }

    /// Does something with the session on behalf of the application, and has the driver look at it.
    pub(super) fn with<T>(self: &Arc<Self>, act: impl FnOnce(&mut State, Instant) -> T) -> T {
        let mut state = self.lock();
        let result = act(&mut state, Instant::now());
        self.settle(&mut state);
        result
    }

    /// Changes what this side wants of a transceiver. Whoever waits for it is to look whether it may yet be so.
    pub(super) fn change_transceiver<T>(self: &Arc<Self>, act: impl FnOnce(&mut Session) -> T) -> T {
        let result = self.with(|state, _| {
            let result = act(&mut state.session);
            state.wake_key_frame_requests();
            state.attachments.follow(&state.session);
            result
        });
        self.changed.notify_waiters();
        result
    }

    /// Takes what the session tells and puts the connection on the driver's list.
    pub(super) fn settle(self: &Arc<Self>, state: &mut State) {
        if state.drain(self.id, &self.endpoint) {
            self.changed.notify_waiters();
        }
        if !state.is_dirty {
            state.is_dirty = self.endpoint.mark_dirty(self.clone());
        }
        if let Some(ended) = self.endpoint.ended() {
            self.end_locked(state, ended.clone().into());
        }
    }

    /// Ends the connection for a reason that is neither side's.
    pub(super) fn end(&self, reason: FailureReason) {
        self.end_locked(&mut self.lock(), reason);
    }

    fn end_locked(&self, state: &mut State, reason: FailureReason) {
        if state.is_closed() {
            return;
        }
        state.session.end(Instant::now(), reason);
        state.drain(self.id, &self.endpoint);
        self.changed.notify_waiters();
    }

    /// Has the session take what has come, under one lock.
    fn receiving<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = act(&mut state);
        if state.session.take_rtcp_news() {
            self.changed.notify_waiters();
        }
        result
    }

    pub(super) fn close(self: &Arc<Self>) {
        self.close_for(FailureReason::Closed);
    }

    /// Ends the connection, and sends the farewell at once: the program may end before the driver comes to it.
    pub(super) fn close_for(self: &Arc<Self>, reason: FailureReason) {
        self.with(|state, now| {
            state.session.end(now, reason);
            let mut out =
                TransmitBatch::new(MAX_DATAGRAM).with_max_segments(self.endpoint.sockets.max_segments());
            while let Some(transmit) = state.session.poll_transmit(now, &mut out) {
                // A socket that is full loses it, as the network may.
                let _ = self.endpoint.sockets.try_send(&out, &transmit);
                out.clear();
            }
        });
    }

    /// No handle is left.
    pub(super) fn abandon(self: &Arc<Self>) {
        self.close();
        self.with(|state, _| state.is_abandoned = true);
    }
}

impl Member for Arc<Shared> {
    fn with<T>(&mut self, act: impl FnOnce(&mut Session) -> T) -> T {
        act(&mut self.lock().session)
    }

    fn receive(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
        self.receiving(|state| state.receive(now, datagram))
    }

    fn receive_run<'d>(&mut self, now: Instant, run: impl Iterator<Item = Datagram<'d>>) -> usize {
        self.receiving(|state| run.filter_map(|datagram| state.receive(now, datagram).ok()).count())
    }

    fn serve(&mut self, act: impl FnOnce(&mut Session)) -> bool {
        let mut state = self.lock();
        state.is_dirty = false;
        if state.drain(self.id, &self.endpoint) {
            self.changed.notify_waiters();
        }
        let had_rtp = state.session.has_queued_rtp();
        act(&mut state.session);
        // What was due was done meanwhile.
        if state.session.has_events() && state.drain(self.id, &self.endpoint) {
            self.changed.notify_waiters();
        }
        if had_rtp && !state.session.has_queued_rtp() && self.ends_in_order.load(Ordering::Relaxed) > 0 {
            self.changed.notify_waiters();
        }
        !state.is_abandoned || state.session.is_leaving()
    }
}

impl State {
    /// Takes a datagram from the driver.
    fn receive(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
        let tracks = &mut self.tracks;
        let count = tracks.len();
        self.session.receive(now, datagram, &mut |rtp| {
            let id = rtp.transceiver;
            let rid = rtp.rid.filter(|rid| tracks.contains_key(&(id, Some(*rid))));
            if let Some(track) = tracks.get_mut(&(id, rid)) {
                track.push(RtpPacket::from(rtp), count);
            }
        })
    }

    /// Sorts what the session tells. Says whether there is something new for those who wait for events.
    fn drain(&mut self, id: SessionId, endpoint: &EndpointShared) -> bool {
        let before = self.events.len();
        let mut has_news = false;
        while let Some(event) = self.session.poll_connection_event() {
            has_news = true;
            self.take(event, id, endpoint);
        }
        while let Some(event) = self.session.poll_channel_event() {
            // Who ends the connection in order waits for it.
            has_news |= matches!(event, ChannelEvent::Closed(_));
            self.take_channel_event(event);
        }
        while self.events.len() > MAX_EVENTS {
            match self.events.pop_front() {
                // Nobody will read them.
                Some(Told::DataChannel(id)) => self.forget_channel(id),
                Some(Told::Track(id)) => self.tracks.retain(|(of, _), track| *of != id || track.is_read()),
                _ => {}
            }
        }
        has_news || self.events.len() != before
    }

    fn take(&mut self, event: SessionEvent, connection: SessionId, endpoint: &EndpointShared) {
        match event {
            SessionEvent::GatheringState(GatheringState::Gathering) => {
                self.events.push_back(Told::Session(event));
                self.gather(endpoint);
            }
            SessionEvent::ResolveName { query, name } => {
                endpoint.resolve(NameToResolve { connection, query, name });
            }
            SessionEvent::Track(id) => {
                self.tracks.retain(|(transceiver, _), _| *transceiver != id);
                self.tracks.insert((id, None), TrackInbox::new(self.unread_packets.clone()));
                self.events.push_back(Told::Track(id));
            }
            SessionEvent::TrackEnded(id) => {
                let streams = self.tracks.iter_mut().filter(|((transceiver, _), _)| *transceiver == id);
                streams.for_each(|(_, track)| track.end());
                self.events.push_back(Told::Session(event));
            }
            SessionEvent::KeyFrameRequested { transceiver, .. } => {
                let requests = self.key_frame_requests(transceiver);
                requests.wanted = true;
                requests.changed.notify_waiters();
                if let Some(track) = self.attachments.track(transceiver) {
                    track.ask_for_key_frame();
                }
            }
            SessionEvent::SendBufferAvailable => {
                self.channels.values().for_each(|channel| channel.writable.notify_waiters());
            }
            SessionEvent::ConnectionState { state, .. } => {
                if matches!(state, ConnectionState::Closed | ConnectionState::Failed) {
                    self.end_waits();
                }
                self.attachments.follow(&self.session);
                self.events.push_back(Told::Session(event));
            }
            SessionEvent::SignalingState(_) => {
                // The peer may have ended a transceiver.
                self.wake_key_frame_requests();
                self.attachments.follow(&self.session);
                self.events.push_back(Told::Session(event));
            }
            event => self.events.push_back(Told::Session(event)),
        }
    }

    /// Who waits for requests is to look whether there can be any.
    fn wake_key_frame_requests(&self) {
        self.key_frames.values().for_each(|requests| requests.changed.notify_waiters());
    }

    /// The next event. That an offer is due is told only if it is so still: the peer's may have come first.
    pub(super) fn pop_event(&mut self) -> Option<Told> {
        loop {
            let told = self.events.pop_front()?;
            if self.events.is_empty() {
                // What an idle connection does without.
                self.events = VecDeque::new();
            }
            match told {
                Told::Session(SessionEvent::NegotiationNeeded) if !self.session.is_negotiation_needed() => {}
                told => return Some(told),
            }
        }
    }

    /// Host candidates, once there is a description that they belong to.
    pub(super) fn gather(&mut self, endpoint: &EndpointShared) {
        let now = Instant::now();
        // Beyond the limit of candidates the first ones do.
        for host in endpoint.host_addresses() {
            let _ = self.session.add_host(now, host);
        }
        for host in endpoint.passive_addresses() {
            let _ = self.session.add_passive_address(now, host);
        }
        for host in endpoint.simultaneous_addresses() {
            let _ = self.session.add_simultaneous_open_address(now, host);
        }
        self.session.end_of_host_addresses(now);
    }

    /// The requests for key frames of what a transceiver sends.
    pub(super) fn key_frame_requests(&mut self, id: TransceiverId) -> &mut KeyFrameRequests {
        if !self.key_frames.contains_key(&id) {
            let session = &self.session;
            self.key_frames.retain(|id, requests| {
                let is_known = session.transceiver(*id).is_some();
                if !is_known {
                    requests.changed.notify_waiters();
                }
                is_known
            });
        }
        self.key_frames.entry(id).or_default()
    }

    /// The inbox of a track, or of one of its simulcast streams.
    pub(super) fn track(&mut self, id: TransceiverId, rid: Option<Rid>) -> &mut TrackInbox {
        let mut others = self.tracks.iter().filter(|((of, _), _)| *of == id).map(|(_, track)| track.ended);
        let has_ended = others.next().unwrap_or_else(|| self.is_over());
        let unread = &self.unread_packets;
        let track = self.tracks.entry((id, rid)).or_insert_with(|| TrackInbox::new(unread.clone()));
        track.ended |= has_ended;
        track
    }

    /// A handle that read an inbox is gone, and the inbox with the last of them.
    pub(super) fn detach_track(&mut self, id: TransceiverId, rid: Option<Rid>, changed: &Arc<Notify>) {
        if let Some(track) = self.tracks.get_mut(&(id, rid))
            && Arc::ptr_eq(&track.changed, changed)
            && track.detach()
        {
            self.tracks.remove(&(id, rid));
        }
    }

    /// Whoever waits is to look at what the connection has failed for, or why it is closed.
    fn end_waits(&mut self) {
        let is_over = self.is_over();
        for track in self.tracks.values_mut() {
            track.ended |= is_over;
            track.changed.notify_waiters();
        }
        self.wake_key_frame_requests();
        self.channels.values().for_each(ChannelInbox::wake);
    }

    fn take_channel_event(&mut self, event: ChannelEvent) {
        match event {
            ChannelEvent::OpenedByPeer(id) => {
                self.channels.insert(id, ChannelInbox::announced(self.session.channel(id)));
                self.events.push_back(Told::DataChannel(id));
            }
            ChannelEvent::Readable(id) => match self.channels.get(&id) {
                Some(inbox) => inbox.changed.notify_waiters(),
                // Nobody holds the channel.
                None => self.session.discard_messages(id),
            },
            ChannelEvent::Closing(id) => {
                if let Some(inbox) = self.channels.get_mut(&id) {
                    inbox.closed_by_peer = true;
                    inbox.wake();
                }
            }
            ChannelEvent::Open(id) | ChannelEvent::BufferedAmountLow(id) => {
                if let Some(inbox) = self.channels.get(&id) {
                    inbox.wake();
                }
            }
            ChannelEvent::Closed(id) => {
                if let Some(inbox) = self.channels.get_mut(&id) {
                    inbox.end();
                }
            }
            // The stream was reset, and no channel of the application is touched.
            ChannelEvent::Refused { .. } => {}
        }
    }

    /// Closes a channel. Whoever waits to send on it is to learn of it; one that is closed already stays so.
    pub(super) fn close_channel(&mut self, now: Instant, id: ChannelId) {
        let _ = self.session.close_channel(now, id);
        if let Some(inbox) = self.channels.get(&id) {
            inbox.wake();
        }
    }

    /// What the peer made a channel as.
    pub(super) fn take_announced(&mut self, id: ChannelId) -> ChannelInit {
        let kept = self.channels.get_mut(&id).and_then(|inbox| inbox.announced.take());
        let known = self.session.channel(id).cloned();
        known.or_else(|| kept.map(|init| *init)).unwrap_or_else(|| ChannelInit::new(""))
    }

    /// Nobody will read the channel any more.
    pub(super) fn forget_channel(&mut self, id: ChannelId) {
        self.channels.remove(&id);
        self.session.discard_messages(id);
    }

    /// Has the session tell when no more than `threshold` bytes are queued on a channel, or before that.
    pub(super) fn tell_when_low(&mut self, id: ChannelId, threshold: usize) {
        let buffered = self.session.buffered_amount(id);
        let Some(inbox) = self.channels.get_mut(&id) else { return };
        // Of all who wait the one for the most goes on first; the others look again then.
        let is_told_before = (threshold..buffered).contains(&inbox.low_threshold);
        if !is_told_before {
            inbox.low_threshold = threshold;
            // A channel that is gone has nobody who waits.
            let _ = self.session.set_buffered_amount_low_threshold(id, threshold);
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.session.signaling_state() == SignalingState::Closed
    }

    pub(super) fn is_connected(&self) -> bool {
        self.session.connection_state() == ConnectionState::Connected
    }

    /// Whether nothing more will come, which a connection of which only ICE has failed may yet be saved from.
    pub(super) fn is_over(&self) -> bool {
        self.is_closed() || self.session.failure().is_some_and(FailureReason::is_final)
    }
}
