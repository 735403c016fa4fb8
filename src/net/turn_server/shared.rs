//! What the tasks of a server share.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::auth_handler::AuthHandler;
#[cfg(feature = "dtls")]
use super::dtls::{Arrived, DtlsPort};
use super::streams::{self, Joined, Peer, Queue, Task};
#[cfg(feature = "tls")]
use super::tls::TlsIdentity;
use crate::layer::{Datagram, FiveTuple, Layer, Protocol, Transmit, TransmitBatch};
use crate::net::sources::Sources;
use crate::net::{IcmpError, ReceiveBatch, UdpConfig, UdpSocket};
use crate::turn::Icmp;
use crate::turn::server::{Event, Question, Server};

/// Hears what happens.
pub(super) type OnEvent = Box<dyn Fn(&Event) + Send + Sync>;

pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) listeners: Vec<Arc<UdpSocket>>,
    #[cfg(feature = "dtls")]
    pub(super) dtls: Vec<Arc<DtlsPort>>,
    pub(super) udp: UdpConfig,
    pub(super) auth: Option<Arc<dyn AuthHandler>>,
    pub(super) on_event: Option<OnEvent>,
    /// Wakes the timer when it is due earlier than it knows.
    pub(super) earlier: Notify,
    #[cfg(feature = "tls")]
    tls: Mutex<Option<TlsIdentity>>,
    /// Buffers that no task uses now: an idle relay has none.
    scratch: Mutex<Vec<Scratch>>,
}

pub(super) struct State {
    pub(super) server: Server,
    /// The ports are chosen by the server, so that nobody can have them meet in the table.
    pub(super) relays: FxHashMap<SocketAddr, Relay>,
    pub(super) connections: HashMap<FiveTuple, Queue>,
    /// Connections of peers, by their number.
    pub(super) peers: HashMap<u32, Peer>,
    pub(super) by_source: Sources,
    /// When the timer wakes.
    pub(super) timer: Option<Instant>,
}

pub(super) struct Relay {
    /// None of one for TCP.
    socket: Option<Arc<UdpSocket>>,
    task: AbortHandle,
}

impl State {
    /// The connection of a client, and that of the peer that it is joined to from now on.
    fn joined(&mut self, connection: u32, client: FiveTuple) -> Option<(Queue, Joined)> {
        let outgoing = self.connections.get(&client).cloned();
        let (end, ended) = oneshot::channel();
        let before = self.peers.insert(connection, Peer::Joined(end))?;
        match (outgoing, before.into_stream()) {
            (Some(outgoing), Some(stream)) => {
                Some((outgoing, Joined { connection, client, stream, end: ended }))
            }
            _ => {
                self.server.peer_closed(connection);
                None
            }
        }
    }

    pub(super) fn end_relays(&mut self) {
        self.relays.drain().for_each(|(_, relay)| relay.task.abort());
        self.peers.clear();
    }
}

/// Buffers of a task while it has something to do.
pub(super) struct Scratch {
    pub(super) received: ReceiveBatch,
    out: TransmitBatch,
    transmits: Vec<Transmit>,
    targets: Vec<Option<Target>>,
}

enum Target {
    #[cfg(feature = "dtls")]
    Dtls(Arc<DtlsPort>),
    Socket(Arc<UdpSocket>),
    Connection(Queue),
}

/// How many sets of buffers are kept.
const KEPT: usize = 16;

impl Scratch {
    fn new() -> Self {
        Self {
            received: ReceiveBatch::default(),
            out: TransmitBatch::new(65_535),
            transmits: Vec::new(),
            targets: Vec::new(),
        }
    }
}

impl Shared {
    pub(super) fn new(
        server: Server,
        listeners: Vec<Arc<UdpSocket>>,
        #[cfg(feature = "dtls")] dtls: Vec<Arc<DtlsPort>>,
        auth: Option<Arc<dyn AuthHandler>>,
        on_event: Option<OnEvent>,
    ) -> Arc<Self> {
        let state = State {
            server,
            relays: FxHashMap::default(),
            connections: HashMap::new(),
            peers: HashMap::new(),
            by_source: Sources::default(),
            timer: None,
        };
        let udp =
            UdpConfig { only_v6: true, empty_datagrams: true, icmp_errors: true, ..UdpConfig::default() };
        let (state, scratch) = (Mutex::new(state), Mutex::new(Vec::new()));
        Arc::new(Self {
            state,
            listeners,
            #[cfg(feature = "dtls")]
            dtls,
            udp,
            auth,
            on_event,
            earlier: Notify::new(),
            #[cfg(feature = "tls")]
            tls: Mutex::new(None),
            scratch,
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is shown over TLS from now on.
    #[cfg(feature = "tls")]
    pub(super) fn set_tls(&self, identity: TlsIdentity) {
        *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
    }

    #[cfg(feature = "tls")]
    pub(super) fn tls(&self) -> Option<TlsIdentity> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn scratch(&self) -> Scratch {
        let mut kept = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        kept.pop().unwrap_or_else(Scratch::new)
    }

    pub(super) fn keep(&self, scratch: Scratch) {
        let mut kept = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(scratch);
        }
    }

    /// Waits for datagrams of a socket that all clients send to and relays them, for ever.
    pub(super) async fn listen(self: Arc<Self>, socket: Arc<UdpSocket>) {
        let mut received = ReceiveBatch::new(ReceiveBatch::MAX_BUFFERS);
        while let Ok(()) = socket.recv(&mut received).await {
            let mut scratch = self.scratch();
            self.relay(&mut scratch, &mut received);
            self.keep(scratch);
        }
    }

    /// Serves those who speak DTLS, for ever.
    #[cfg(feature = "dtls")]
    pub(super) async fn listen_dtls(self: Arc<Self>, port: Arc<DtlsPort>) {
        let mut received = ReceiveBatch::new(ReceiveBatch::MAX_BUFFERS);
        let mut arrived = Arrived::default();
        let mut look = tokio::time::interval(port.idle() / 2);
        while port.wait(&mut received, &mut look, |path| self.state().server.has_allocation(path)).await {
            port.work(&mut received, &mut arrived);
            let Arrived { bytes, messages, ended } = &mut arrived;
            if !messages.is_empty() {
                self.receive_opened(bytes, messages);
            }
            for path in ended.drain(..) {
                self.act(|state, now| state.server.connection_closed(now, path));
            }
            bytes.clear();
            messages.clear();
        }
    }

    fn relay(self: &Arc<Self>, scratch: &mut Scratch, received: &mut ReceiveBatch) {
        self.work(scratch, |state, now, out, transmits| {
            let _ = state.server.receive(now, received.runs(), out, transmits);
        });
    }

    /// Waits for datagrams of a relay socket and relays them, for ever. Buffers are taken only while there are some.
    pub(super) async fn run(self: Arc<Self>, socket: Arc<UdpSocket>) {
        loop {
            let received = std::future::poll_fn(|context| {
                let mut scratch = self.scratch();
                match socket.poll_recv(context, &mut scratch.received) {
                    std::task::Poll::Ready(result) => std::task::Poll::Ready((scratch, result)),
                    std::task::Poll::Pending => {
                        self.keep(scratch);
                        std::task::Poll::Pending
                    }
                }
            });
            let (mut scratch, result) = tokio::select! {
                biased;
                received = received => received,
                error = socket.icmp_error() => {
                    let relay = socket.local_addr();
                    self.act(|state, now| state.server.handle_icmp(now, relay, error.destination, icmp(error)));
                    continue;
                }
            };
            if let Err(error) = result {
                tracing::debug!(%error, "a socket of the relay is of no use any more");
                return;
            }
            let mut received = std::mem::take(&mut scratch.received);
            self.relay(&mut scratch, &mut received);
            scratch.received = received;
            self.keep(scratch);
        }
    }

    /// What came encrypted, each message where it stands in `bytes`.
    #[cfg(feature = "dtls")]
    pub(super) fn receive_opened(
        self: &Arc<Self>,
        bytes: &mut [u8],
        messages: &[(FiveTuple, std::ops::Range<usize>)],
    ) {
        let mut scratch = self.scratch();
        self.work(&mut scratch, |state, now, out, transmits| {
            let mut rest = bytes;
            let arrived = messages.iter().map(|(path, range)| {
                let (message, behind) = std::mem::take(&mut rest).split_at_mut(range.len());
                rest = behind;
                (Datagram::new(*path, message), range.len())
            });
            let _ = state.server.receive(now, arrived, out, transmits);
        });
        self.keep(scratch);
    }

    /// Messages that a connection brought.
    pub(super) fn receive(self: &Arc<Self>, path: FiveTuple, messages: &mut [Vec<u8>]) {
        let mut scratch = self.scratch();
        self.work(&mut scratch, |state, now, out, transmits| {
            let arrived = messages.iter_mut().map(|message| {
                let len = message.len();
                (Datagram::new(path, message), len)
            });
            let _ = state.server.receive(now, arrived, out, transmits);
        });
        self.keep(scratch);
    }

    /// Has the server do something, and does what it asks for.
    pub(super) fn act(self: &Arc<Self>, work: impl FnOnce(&mut State, Instant)) {
        let mut scratch = self.scratch();
        self.work(&mut scratch, |state, now, _, _| work(state, now));
        self.keep(scratch);
    }

    fn work(
        self: &Arc<Self>,
        scratch: &mut Scratch,
        work: impl FnOnce(&mut State, Instant, &mut TransmitBatch, &mut Vec<Transmit>),
    ) {
        let Scratch { out, transmits, targets, .. } = scratch;
        let now = Instant::now();
        let (mut told, mut joins) = (Vec::new(), Vec::new());
        {
            let mut state = self.state();
            work(&mut state, now, out, transmits);
            // What came before an allocation is given back, in one batch with that, leaves by the socket that then goes.
            targets.extend(transmits.iter().map(|transmit| self.target(&state, transmit)));
            while let Some(event) = state.server.poll_event() {
                match event {
                    Event::JoinPeer { connection, client } => joins.extend(state.joined(connection, client)),
                    event => told.extend(self.obey(&mut state, now, event)),
                }
            }
            while let Some(transmit) = state.server.poll_transmit(now, out) {
                targets.push(self.target(&state, &transmit));
                transmits.push(transmit);
            }
            self.set_timer(&mut state);
        }
        for (transmit, target) in transmits.drain(..).zip(targets.drain(..)) {
            // What there is no room for is lost, as on the way.
            match target {
                #[cfg(feature = "dtls")]
                Some(Target::Dtls(port)) => port.send(&transmit, out),
                Some(Target::Socket(socket)) => drop(socket.try_send(out, &transmit)),
                Some(Target::Connection(connection)) => connection.push(out.bytes(&transmit)),
                None => {}
            }
        }
        // Behind what the client is told of it. A connection without room for that ends.
        joins.into_iter().for_each(|(client, joined)| self.join_or_end(&client, joined));
        out.clear();
        if let Some(on_event) = &self.on_event {
            told.iter().for_each(on_event);
        }
    }

    /// Has the connection of a client be that of a peer. One that takes nothing of what it is sent has no room for that, and
    /// ends.
    fn join_or_end(self: &Arc<Self>, client: &Queue, joined: Joined) {
        let (connection, path) = (joined.connection, joined.client);
        if !client.join(joined) {
            self.act(|state, _| {
                state.server.peer_closed(connection);
                state.connections.remove(&path);
            });
        }
    }

    /// Does what the server asks for; what it only tells is returned.
    fn obey(self: &Arc<Self>, state: &mut State, now: Instant, event: Event) -> Option<Event> {
        match event {
            Event::OpenRelay(local) => match self.udp.bind(local) {
                Ok(socket) => {
                    let socket = Arc::new(socket);
                    let task = tokio::spawn(self.clone().run(socket.clone())).abort_handle();
                    state.relays.insert(local, Relay { socket: Some(socket), task });
                    state.server.relay_opened(now, local);
                }
                Err(error) => {
                    tracing::debug!(%error, "a relay socket cannot be bound");
                    state.server.relay_failed(now, local);
                }
            },
            Event::OpenTcpRelay(local) => match streams::listen(local) {
                Ok(listener) => {
                    let task = tokio::spawn(self.clone().accept_peers(listener, local)).abort_handle();
                    state.relays.insert(local, Relay { socket: None, task });
                    state.server.relay_opened(now, local);
                }
                Err(error) => {
                    tracing::debug!(%error, "a relay cannot listen");
                    state.server.relay_failed(now, local);
                }
            },
            Event::ConnectPeer { connection, relay, peer } => {
                let task = tokio::spawn(self.clone().connect_peer(connection, relay, peer));
                state.peers.insert(connection, Peer::Connecting(Task(task.abort_handle())));
            }
            Event::ClosePeer(connection) => drop(state.peers.remove(&connection)),
            Event::CloseRelay(local) => {
                if let Some(relay) = state.relays.remove(&local) {
                    relay.task.abort();
                }
            }
            Event::Question(question) => self.ask(question),
            other => return Some(other),
        }
        None
    }

    fn ask(self: &Arc<Self>, question: Question) {
        let (shared, auth) = (self.clone(), self.auth.clone());
        tokio::spawn(async move {
            let id = question.id;
            let grant = match auth {
                Some(auth) => auth.authenticate(question).await,
                None => None,
            };
            shared.act(|state, now| state.server.answer(now, id, grant.as_ref()));
        });
    }

    /// The socket of a path: that of a relay, or one that is bound to the address that the client sends to.
    fn target(&self, state: &State, transmit: &Transmit) -> Option<Target> {
        let path = transmit.path?;
        if path.protocol != Protocol::Udp {
            return state.connections.get(&path).cloned().map(Target::Connection);
        }
        #[cfg(feature = "dtls")]
        if let Some(port) = self.dtls.iter().find(|port| serves(port.local_addr(), path.local)) {
            return Some(Target::Dtls(port.clone()));
        }
        let listener = self.listeners.iter().find(|listener| serves(listener.local_addr(), path.local));
        match listener {
            Some(listener) => Some(Target::Socket(listener.clone())),
            None => state.relays.get(&path.local)?.socket.clone().map(Target::Socket),
        }
    }

    fn set_timer(&self, state: &mut State) {
        let next = state.server.poll_timeout();
        if next.is_some_and(|next| state.timer.is_none_or(|timer| next < timer)) {
            state.timer = next;
            self.earlier.notify_one();
        }
    }

    /// Wakes the server when it is due, for ever.
    pub(super) async fn run_timer(self: Arc<Self>) {
        loop {
            let next = {
                let mut state = self.state();
                state.timer = state.server.poll_timeout();
                state.timer
            };
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.act(|state, now| state.server.handle_timeout(now)),
                () = self.earlier.notified() => {}
            }
        }
    }

    pub(super) fn close(self: &Arc<Self>) {
        self.act(|state, now| state.server.close(now));
    }
}

/// Whether a socket that is bound to an address is the one that a client sends to at another.
fn serves(bound: SocketAddr, address: SocketAddr) -> bool {
    let is_wildcard = bound.ip().is_unspecified() && bound.port() == address.port();
    bound == address || is_wildcard && (bound.is_ipv6() || address.is_ipv4())
}

fn icmp(error: IcmpError) -> Icmp {
    Icmp { kind: error.kind, code: error.code.into(), data: error.mtu.unwrap_or(0) }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}
