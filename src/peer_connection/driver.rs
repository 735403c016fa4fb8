//! The task of an endpoint: datagrams in, datagrams out, and the clock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use tokio::task::JoinSet;

use super::routes::Routes;
use super::shared::{ConnectionId, EndpointShared, MAX_DATAGRAM, Shared};
use crate::layer::{Datagram, FiveTuple, IceConnectionState, Layer, NameQuery, Transmit, TransmitBatch};
use crate::net::mdns::{Resolver, ResolverConfig};
use crate::net::{ReceiveBatch, SendError};
use crate::session::GatheringState;

/// Moves datagrams for the connections of an endpoint.
pub(super) struct Driver {
    endpoint: Arc<EndpointShared>,
    connections: FxHashMap<ConnectionId, Driven>,
    routes: Routes,
    timers: BTreeSet<(Instant, ConnectionId)>,
    /// Connections that have to be looked at.
    due: Vec<ConnectionId>,
    received: Option<ReceiveBatch>,
    last_arrival: Option<Instant>,
    /// When the memory for datagrams is given back if none comes before.
    release: Option<Instant>,
    out: TransmitBatch,
    /// What the socket had no room for; nothing else is sent before.
    blocked: Option<Blocked>,
    resolver: Option<Resolver>,
    /// Names that are looked up, which ends with the endpoint.
    lookups: JoinSet<Resolved>,
}

struct Driven {
    shared: Arc<Shared>,
    timer: Option<Instant>,
    is_due: bool,
}

struct Blocked {
    connection: ConnectionId,
    transmit: Transmit,
    sent: usize,
}

struct Resolved {
    connection: ConnectionId,
    query: NameQuery,
    address: Option<std::net::IpAddr>,
}

/// Names of one connection that are looked up at a time; a peer may name a great many.
const MAX_NAMES: usize = 16;
/// An endpoint on which nothing has arrived for this time needs no memory for datagrams, which is more than all
/// else that an idle connection has. Frames come more often, checks of consent do not.
const RELEASE_AFTER: Duration = Duration::from_millis(100);

impl Driver {
    pub(super) fn new(endpoint: Arc<EndpointShared>) -> Self {
        Self {
            out: new_batch(&endpoint),
            received: None,
            last_arrival: None,
            release: None,
            endpoint,
            connections: FxHashMap::default(),
            routes: Routes::default(),
            timers: BTreeSet::new(),
            due: Vec::new(),
            blocked: None,
            resolver: None,
            lookups: JoinSet::new(),
        }
    }

    pub(super) async fn run(mut self) {
        let endpoint = self.endpoint.clone();
        loop {
            for connection in endpoint.take_dirty() {
                self.look_at(connection);
            }
            self.serve();
            if endpoint.is_orphaned.load(Ordering::Acquire) && self.connections.is_empty() {
                return;
            }
            let timer = self.timers.first().map(|(at, _)| *at).into_iter().chain(self.release).min();
            let timer = timer.map(tokio::time::Instant::from_std);
            tokio::select! {
                received = endpoint.socket.recv(self.received.get_or_insert_default()) => match received {
                    Ok(()) => self.receive(),
                    Err(error) => {
                        tracing::warn!(%error, "a socket is lost, and its connections with it");
                        return self.give_up();
                    }
                },
                () = endpoint.wake.notified() => {}
                () = endpoint.socket.writable(), if self.blocked.is_some() => self.unblock(),
                Some(Ok(resolved)) = self.lookups.join_next() => self.take_resolved(resolved),
                () = sleep_until(timer), if timer.is_some() => self.handle_timeouts(),
            }
        }
    }

    /// A connection that is new, or that its application has touched.
    fn look_at(&mut self, connection: Arc<Shared>) {
        let id = connection.id;
        self.connections.entry(id).or_insert(Driven { shared: connection, timer: None, is_due: false });
        self.make_due(id);
    }

    fn make_due(&mut self, id: ConnectionId) {
        if let Some(driven) = self.connections.get_mut(&id)
            && !std::mem::replace(&mut driven.is_due, true)
        {
            self.due.push(id);
        }
    }

    fn receive(&mut self) {
        let now = Instant::now();
        let last = self.last_arrival.replace(now);
        // One that comes by itself, as a check of consent does, is not the beginning of more.
        let is_lone = last.is_none_or(|last| now > last + RELEASE_AFTER);
        self.release = Some(if is_lone { now } else { now + RELEASE_AFTER });
        // Taken out so that what it lends can be handed on.
        let Some(mut batch) = self.received.take() else { return };
        for datagram in batch.datagrams() {
            let Datagram { path, ecn, bytes } = datagram;
            let Some(id) = self.routes.find(&path, bytes) else { continue };
            let Some(driven) = self.connections.get_mut(&id) else { continue };
            let result = driven.shared.lock().receive(now, Datagram { path, ecn, bytes: &mut *bytes });
            if !std::mem::replace(&mut driven.is_due, true) {
                self.due.push(id);
            }
            match result {
                Ok(()) if bytes.first().is_some_and(|first| *first < 4) => self.claim_path(id, path),
                // The class of a STUN message that is a response, RFC 8489 §5.
                Err(_) if bytes.first() == Some(&1) => self.offer_to_gathering(now, path, bytes),
                _ => {}
            }
        }
        self.received = Some(batch);
    }

    /// An authentic check shows that a path leads to the peer of this connection, unless that of another is there.
    fn claim_path(&mut self, id: ConnectionId, path: FiveTuple) {
        let owner = self.routes.owner(&path).filter(|owner| *owner != id);
        let is_in_use = owner.and_then(|owner| self.connections.get(&owner)).is_some_and(|owner| {
            let state = owner.shared.lock().session.ice_connection_state();
            matches!(state, IceConnectionState::Connected | IceConnectionState::Completed)
        });
        if !is_in_use {
            self.routes.take_path(id, path);
        }
    }

    /// The answer of a STUN server that several connections have asked: each knows its own question.
    fn offer_to_gathering(&mut self, now: Instant, path: FiveTuple, bytes: &mut [u8]) {
        for (id, driven) in &mut self.connections {
            let mut state = driven.shared.lock();
            if state.session.gathering_state() == GatheringState::Gathering
                && state.receive(now, Datagram::new(path, bytes)).is_ok()
            {
                if !std::mem::replace(&mut driven.is_due, true) {
                    self.due.push(*id);
                }
                return;
            }
        }
    }

    fn handle_timeouts(&mut self) {
        let now = Instant::now();
        if self.release.is_some_and(|release| release <= now) {
            self.release = None;
            self.received = None;
            if self.blocked.is_none() {
                self.out = new_batch(&self.endpoint);
            }
        }
        while let Some((at, id)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            if let Some(driven) = self.connections.get_mut(&id) {
                driven.timer = None;
                driven.shared.lock().session.handle_timeout(now);
            }
            self.make_due(id);
        }
    }

    /// Takes from each connection what it tells and what it wants to send.
    fn serve(&mut self) {
        if self.blocked.is_some() {
            return;
        }
        while let Some(id) = self.due.pop() {
            self.serve_connection(id);
            if self.blocked.is_some() {
                // Not done with this one.
                self.due.push(id);
                return;
            }
            if let Some(driven) = self.connections.get_mut(&id) {
                driven.is_due = false;
            }
        }
    }

    fn serve_connection(&mut self, id: ConnectionId) {
        let Some(driven) = self.connections.get_mut(&id) else { return };
        let shared = driven.shared.clone();
        let mut state = shared.lock();
        state.is_dirty = false;
        if state.drain(&self.endpoint) {
            shared.changed.notify_waiters();
        }
        if !state.names.is_empty() {
            let names = std::mem::take(&mut state.names);
            self.resolve(id, names);
        }
        self.routes.set_ufrag(id, state.session.local_ufrag());
        let now = Instant::now();
        loop {
            self.out.clear();
            let Some(transmit) = state.session.poll_transmit(now, &mut self.out) else { break };
            if let Some(path) = transmit.path {
                self.routes.add_path(id, path);
            }
            // Another error is of a path that this socket cannot take, as good as a lost datagram.
            if let Err(SendError::Full { sent }) = self.endpoint.socket.try_send(&self.out, &transmit) {
                self.blocked = Some(Blocked { connection: id, transmit, sent });
                return;
            }
        }
        let timer = state.session.poll_timeout();
        let is_over = state.is_abandoned;
        drop(state);
        if is_over {
            self.forget(id);
        } else {
            self.set_timer(id, timer);
        }
    }

    fn set_timer(&mut self, id: ConnectionId, timer: Option<Instant>) {
        let Some(driven) = self.connections.get_mut(&id) else { return };
        if driven.timer == timer {
            return;
        }
        if let Some(before) = std::mem::replace(&mut driven.timer, timer) {
            self.timers.remove(&(before, id));
        }
        if let Some(at) = timer {
            self.timers.insert((at, id));
        }
    }

    fn forget(&mut self, id: ConnectionId) {
        self.set_timer(id, None);
        self.connections.remove(&id);
        self.routes.remove(id);
    }

    fn unblock(&mut self) {
        let Some(Blocked { connection, transmit, sent }) = self.blocked.take() else { return };
        match self.endpoint.socket.try_send_rest(&self.out, &transmit, sent) {
            Err(SendError::Full { sent }) => self.blocked = Some(Blocked { connection, transmit, sent }),
            Ok(()) | Err(_) => self.make_due(connection),
        }
    }

    /// Looks up the names of candidates, off this task.
    fn resolve(&mut self, connection: ConnectionId, names: Vec<(NameQuery, String)>) {
        if self.resolver.is_none() {
            self.resolver = Resolver::new(ResolverConfig::default()).ok();
        }
        for (query, name) in names.into_iter().take(MAX_NAMES) {
            let resolver = self.resolver.clone();
            self.lookups.spawn(async move {
                let address = match resolver {
                    Some(resolver) => resolver.resolve(&name).await.ok(),
                    None => None,
                };
                Resolved { connection, query, address }
            });
        }
    }

    fn take_resolved(&mut self, Resolved { connection, query, address }: Resolved) {
        if let Some(driven) = self.connections.get(&connection) {
            driven.shared.lock().session.resolve_name(Instant::now(), query, address);
            self.make_due(connection);
        }
    }

    /// The socket is of no use any more: its connections have ended.
    fn give_up(self) {
        for driven in self.connections.into_values() {
            let mut state = driven.shared.lock();
            state.session.close(Instant::now());
            state.drain(&self.endpoint);
            driven.shared.changed.notify_waiters();
        }
    }
}

fn new_batch(endpoint: &EndpointShared) -> TransmitBatch {
    TransmitBatch::new(MAX_DATAGRAM).with_max_segments(endpoint.socket.max_segments())
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
