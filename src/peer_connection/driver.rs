//! The task of an endpoint: datagrams in, datagrams out, and the clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::names::{Names, ResolvedName};
use super::shared::{EndpointShared, MAX_DATAGRAM, Shared};
use super::sync::atomic::Ordering;
use super::sync::{self, select, yield_now};
use crate::endpoint::{AddressChange, Endpoint, EndpointEvent, SessionId};
use crate::layer::{FiveTuple, HostAddress, Layer, Transmit, TransmitBatch};
use crate::net::{InterfaceChange, InterfaceWatcher, ReceiveBatch, SendError};
use crate::session::{EndpointEnded, FailureReason};

/// Moves datagrams for the connections of an endpoint. When it goes, and the runtime may drop it at any time, the
/// endpoint has ended.
pub(super) struct Driver {
    shared: Arc<EndpointShared>,
    endpoint: Endpoint<Arc<Shared>>,
    received: Option<ReceiveBatch>,
    last_arrival: Option<Instant>,
    /// When the memory for datagrams is given back if none comes before.
    release: Option<Instant>,
    out: TransmitBatch,
    /// What the socket had no room for; nothing else is sent before.
    blocked: Option<Blocked>,
    names: Names,
    /// Tells of addresses that come and go, where the sockets are bound to all.
    watcher: Option<InterfaceWatcher>,
    end: EndpointEnded,
}

struct Blocked {
    transmit: Transmit,
    sent: usize,
}

/// An endpoint on which nothing has arrived for this time needs no memory for datagrams, which is more than all
/// else that an idle connection has. Frames come more often, checks of consent do not.
const RELEASE_AFTER: Duration = Duration::from_millis(100);

/// Bytes that are sent in a row while datagrams may have arrived: some sends of a full segmented buffer, beside which the
/// way through the runtime costs little.
const MAX_BURST: usize = 512 << 10;

impl Driver {
    pub(super) fn new(shared: Arc<EndpointShared>) -> Self {
        Self {
            out: new_batch(&shared),
            received: None,
            last_arrival: None,
            release: None,
            shared,
            endpoint: Endpoint::new(),
            blocked: None,
            names: Names::default(),
            watcher: None,
            end: EndpointEnded::Runtime,
        }
    }

    /// The same that has its connections follow the addresses of this machine.
    pub(super) fn with_watcher(mut self, watcher: Option<InterfaceWatcher>) -> Self {
        self.watcher = watcher;
        self
    }

    pub(super) async fn run(mut self) {
        let shared = self.shared.clone();
        loop {
            let todo = shared.take_todo();
            for connection in todo.dirty {
                self.look_at(connection);
            }
            todo.names.into_iter().for_each(|name| self.names.add(name));
            let has_more = self.serve();
            while let Some(request) = self.endpoint.poll_stream() {
                shared.sockets.request(request);
            }
            self.handle_events();
            if shared.is_orphaned.load(Ordering::Acquire) && self.endpoint.is_empty() {
                return;
            }
            let timer = self.endpoint.poll_timeout().into_iter().chain(self.release).min();
            let timer = timer.map(tokio::time::Instant::from_std);
            select! {
                received = shared.sockets.recv(self.received.get_or_insert_default()) => match received {
                    Ok(()) => self.receive(),
                    Err(error) => {
                        tracing::warn!(%error, "a socket is lost, and its connections with it");
                        self.end = EndpointEnded::Socket(Arc::new(error));
                        return;
                    }
                },
                () = shared.wake.notified() => {}
                () = shared.sockets.writable(blocked_path(&self.blocked)), if self.blocked.is_some() => self.unblock(),
                Some(resolved) = self.names.next() => self.take_resolved(resolved),
                Some(change) = next_change(&mut self.watcher) => self.take_change(&change),
                // Datagrams that have come in the meantime go first.
                () = yield_now(), if has_more => {}
                () = sleep_until(timer), if timer.is_some() => self.handle_timeouts(),
            }
        }
    }

    /// A connection that is new, or that its application has touched.
    fn look_at(&mut self, connection: Arc<Shared>) {
        let id = connection.id;
        if self.names.knows(id) && connection.lock().is_abandoned {
            self.names.forget(id);
        }
        if self.endpoint.get_mut(id).is_none() {
            self.endpoint.insert(id, connection);
        }
        self.endpoint.wake(id);
    }

    fn receive(&mut self) {
        let now = Instant::now();
        let last = self.last_arrival.replace(now);
        // One that comes by itself, as a check of consent does, is not the beginning of more.
        let is_lone = last.is_none_or(|last| now > last + RELEASE_AFTER);
        self.release = Some(if is_lone { now } else { now + RELEASE_AFTER });
        let Some(batch) = &mut self.received else { return };
        // What is for nobody, and what is refused, is ignored.
        self.endpoint.handle_datagrams(now, batch.datagrams());
        while let Some(report) = self.shared.sockets.take_report() {
            self.endpoint.handle_stream(now, report);
        }
    }

    /// Connections are told candidates of addresses that are new, and leave those that are gone at once.
    fn take_change(&mut self, change: &InterfaceChange) {
        let shared = &self.shared;
        let (added, removed) = (shared.at(&change.added), shared.at(&change.removed));
        // One that is known with other properties is gone and new.
        let is_back = |host: &HostAddress| added.iter().any(|new| new.address == host.address);
        let removed: Vec<_> = removed.iter().filter(|host| !is_back(host)).map(|host| host.address).collect();
        removed.iter().for_each(|gone| shared.local_names.forget(gone.ip()));
        // What is not to be used for anything new is used as long as it is there (RFC 4862 §5.5.4).
        let usable: Vec<_> =
            change.added.iter().filter(|address| shared.filter.passes(address)).cloned().collect();
        let told = |hosts: Vec<HostAddress>| -> Vec<_> {
            hosts.into_iter().filter_map(|host| shared.local_names.hide(host)).collect()
        };
        let (added, passive) = (told(shared.at(&usable)), told(shared.passive_at(&usable)));
        let simultaneous = told(shared.simultaneous_at(&usable));
        tracing::debug!(
            added = added.len(),
            removed = removed.len(),
            "addresses of this machine have changed"
        );
        let change = AddressChange { added, passive, simultaneous, removed };
        self.endpoint.change_addresses(Instant::now(), &change);
    }

    fn handle_timeouts(&mut self) {
        let now = Instant::now();
        if self.release.is_some_and(|release| release <= now) {
            self.release = None;
            self.received = None;
            if self.blocked.is_none() {
                self.out = new_batch(&self.shared);
            }
        }
        self.endpoint.handle_timeout(now);
    }

    /// Has the connections send in turns, until the socket is full or so much was sent that what has arrived goes first.
    /// True if there is more to send, and room for it.
    fn serve(&mut self) -> bool {
        let mut sent = 0;
        while sent < MAX_BURST {
            if !self.serve_round(&mut sent) {
                return false;
            }
        }
        true
    }

    /// Has each connection send for a turn.
    fn serve_round(&mut self, sent: &mut usize) -> bool {
        if self.blocked.is_some() {
            return false;
        }
        let (sockets, blocked) = (&self.shared.sockets, &mut self.blocked);
        let is_blocked = &self.shared.is_blocked;
        let has_more = self.endpoint.serve(Instant::now(), &mut self.out, &mut |out, transmit| {
            *sent += transmit.len();
            // Another error is of a path that this socket cannot take, as good as a lost datagram.
            if let Err(SendError::Full { sent }) = sockets.try_send(out, &transmit) {
                *blocked = Some(Blocked { transmit, sent });
                is_blocked.store(true, Ordering::Release);
                return false;
            }
            out.clear();
            true
        });
        has_more && self.blocked.is_none()
    }

    fn unblock(&mut self) {
        let Some(Blocked { transmit, sent }) = self.blocked.take() else { return };
        match self.shared.sockets.try_send_rest(&self.out, &transmit, sent) {
            Err(SendError::Full { sent }) => self.blocked = Some(Blocked { transmit, sent }),
            Ok(()) | Err(_) => {
                self.out.clear();
                self.shared.is_blocked.store(false, Ordering::Release);
                self.shared.unblocked.notify_waiters();
            }
        }
    }

    fn handle_events(&mut self) {
        while let Some(event) = self.endpoint.poll_event() {
            if let EndpointEvent::PathInUse { id, path, .. } = event {
                let reason = FailureReason::PathInUse { local: path.local, remote: path.remote };
                self.refuse_path(id, reason);
            }
        }
    }

    /// Two connections between the same two sockets cannot be told apart: the second one ends, unless it works by
    /// another path.
    fn refuse_path(&mut self, id: SessionId, reason: FailureReason) {
        let Some(connection) = self.endpoint.get_mut(id).cloned() else { return };
        if !connection.lock().is_connected() {
            connection.end(reason);
            self.endpoint.wake(id);
        }
    }

    fn take_resolved(&mut self, ResolvedName { connection, query, address }: ResolvedName) {
        let resolved =
            self.endpoint.with(connection, |session| session.resolve_name(Instant::now(), query, address));
        if resolved.is_none() {
            self.names.forget(connection);
        }
    }
}

/// The next change of addresses; none is ever told without a watcher.
async fn next_change(watcher: &mut Option<InterfaceWatcher>) -> Option<InterfaceChange> {
    match watcher {
        // An error is of one look at the system: the next may succeed.
        Some(watcher) => watcher.changed().await.ok(),
        None => std::future::pending().await,
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let late = self.shared.end(&self.end);
        self.shared.is_blocked.store(false, Ordering::Release);
        self.shared.unblocked.notify_waiters();
        for connection in self.endpoint.drain().chain(late) {
            connection.end(self.end.clone().into());
        }
    }
}

fn new_batch(endpoint: &EndpointShared) -> TransmitBatch {
    TransmitBatch::new(MAX_DATAGRAM).with_max_segments(endpoint.sockets.max_segments())
}

/// The path of what waits for its socket.
fn blocked_path(blocked: &Option<Blocked>) -> Option<FiveTuple> {
    blocked.as_ref()?.transmit.path
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => sync::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::default_provider;
    use crate::datachannel::ChannelInit;
    use crate::endpoint::Member;
    use crate::layer::{Layer, NameQuery};
    use crate::net::{InterfaceFilter, Streams, UdpSocket};
    use crate::peer_connection::names::NameToResolve;
    use crate::peer_connection::shared::Told;
    use crate::session::{ConnectionState, Session, SessionConfig, SessionEvent};

    /// The last timer of a session runs out during its turn: nobody would look at it ever again.
    #[tokio::test]
    async fn what_happens_in_a_turn_is_told() {
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let runtime = tokio::runtime::Handle::current();
        let filter = InterfaceFilter::default();
        let shared = EndpointShared::new(
            socket.local_addr(),
            sync::sockets(socket, Streams::default()),
            filter,
            runtime,
        );
        let (mut now, provider) = (Instant::now(), default_provider().unwrap());
        let config = SessionConfig::generate(provider).unwrap();
        let [mut session, mut peer] = [1, 2].map(|port| {
            let mut session = Session::new(now, config.clone());
            session.add_host_address(now, ([127, 0, 0, 1], port).into()).unwrap();
            session.end_of_host_addresses(now);
            session
        });
        session.create_data_channel(now, ChannelInit::new("")).unwrap();
        session.set_local_description(now, None).unwrap();
        peer.set_remote_description(now, &session.local_description().unwrap()).unwrap();
        peer.set_local_description(now, None).unwrap();
        session.set_remote_description(now, &peer.local_description().unwrap()).unwrap();
        let connection = Shared::new(Arc::new(shared), session);
        let mut out = TransmitBatch::new(MAX_DATAGRAM);
        let mut member = connection.clone();
        let mut told = Vec::new();
        for _ in 0..1200 {
            member.serve(|session| {
                while session.poll_transmit(now, &mut out).is_some() {
                    out.clear();
                }
            });
            while let Some(event) = connection.lock().pop_event() {
                if let Told::Session(SessionEvent::ConnectionState { state, .. }) = event {
                    told.push(state);
                }
            }
            if told.contains(&ConnectionState::Failed) {
                return;
            }
            // Nothing but the turn tells the session the time.
            if connection.lock().session.failure().is_some() {
                break;
            }
            now += Duration::from_millis(100);
        }
        panic!("{told:?}, and {:?}", connection.lock().session.failure());
    }

    #[tokio::test]
    async fn of_connections_that_are_gone_no_names_are_kept() {
        let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let runtime = tokio::runtime::Handle::current();
        let shared = Arc::new(EndpointShared::new(
            socket.local_addr(),
            sync::sockets(socket, Streams::default()),
            InterfaceFilter::default(),
            runtime,
        ));
        let mut driver = Driver::new(shared.clone());
        let config = SessionConfig::generate(default_provider().unwrap()).unwrap();
        for query in 0..10 {
            let connection = Shared::new(shared.clone(), Session::new(Instant::now(), config.clone()));
            driver.look_at(connection.clone());
            // The resolver refuses it without a question.
            let name = "no name".to_owned();
            let (id, query) = (connection.id, NameQuery(query));
            driver.names.add(NameToResolve { connection: id, query, name });
            let resolved = driver.names.next().await.unwrap();
            driver.take_resolved(resolved);
            assert_eq!(driver.names.connections(), 1, "who comes back is known");
            connection.abandon();
            for connection in shared.take_todo().dirty {
                driver.look_at(connection);
            }
            driver.serve();
            assert!(driver.endpoint.is_empty());
            assert_eq!(driver.names.connections(), 0);
        }
    }
}
