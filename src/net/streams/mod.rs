//! Streams that carry the datagrams of layers.

mod connection;
#[cfg(all(feature = "tls", feature = "dtls"))]
mod dtls_carrier;
mod inbound;
mod limits;
mod opening;
mod ready;
mod simultaneous;
mod tls;
mod transport;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

use self::connection::{Connection, Origin, Progress};
pub use self::limits::StreamLimits;
use self::opening::SocketConfig;
use self::ready::{ConnectionWaker, Ready};
use self::tls::Tls;
#[cfg(feature = "tls")]
pub use self::tls::{TlsConfig, tls_config};
use self::transport::{Transport, canonical, prepare};
use super::runtime::{io_on_runtime, is_of_one_connection};
use super::sources::Sources;
use super::{PortRange, ReceiveBatch, SendError, UdpConfig, UdpSocket, UdpStats};
use crate::layer::{
    FiveTuple, Framing, Protocol, StreamOpening, StreamReport, StreamRequest, StreamToken, Transmit,
    TransmitBatch,
};

/// The streams of TCP that layers ask for and that others open, and the sockets of UDP that layers want for themselves:
/// what is asked for ([`Layer::poll_stream`](crate::layer::Layer::poll_stream)) goes in by [`request`](Self::request), and
/// what became of it comes out of [`take_report`](Self::take_report).
///
/// What is sent goes out framed as the stream was opened with, and waits within [limits](StreamLimits) for the other side
/// to take it; what arrives is cut into datagrams, at most as many at a time as a [`ReceiveBatch`] has buffers. One that
/// stands still holds up no other. No task is started: all happens in [`poll_recv`](Self::poll_recv) and
/// [`try_send`](Self::try_send), and work is for those alone that something has happened to.
///
/// [`Sockets`](super::Sockets) and [`Driver`](super::Driver) have one.
#[derive(Default)]
pub struct Streams {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    limits: StreamLimits,
    tls: Tls,
    socket_config: SocketConfig,
    listeners: Vec<Listener>,
    connections: Slab<Connection>,
    /// By the path of a stream, and by the address of a socket.
    by_path: BTreeMap<FiveTuple, usize>,
    by_token: BTreeMap<StreamToken, usize>,
    simultaneous: simultaneous::Openings,
    ready: Arc<Ready>,
    deadlines: BTreeSet<(Instant, usize)>,
    timer: Option<Pin<Box<Sleep>>>,
    reports: VecDeque<StreamReport>,
    /// How many the other side has opened.
    accepted: usize,
    unproven: usize,
    unproven_of: Sources,
    /// Until when none is accepted.
    paused: Option<Instant>,
    dropped: u64,
    /// How many sockets there are.
    sockets: usize,
    /// What those have done that are closed.
    closed: UdpStats,
}

/// A socket that takes streams.
struct Listener {
    socket: TcpListener,
    /// Whether streams are opened from its port, too.
    is_simultaneous: bool,
}

/// How long none is accepted after that went wrong.
const PAUSE: Duration = Duration::from_millis(100);
/// In the place of a connection among the deadlines: the end of such a pause.
const NOBODY: usize = usize::MAX;

impl Streams {
    /// With other limits than those by default.
    pub fn new(limits: StreamLimits) -> Self {
        let inner = Inner { limits: limits.bounded(), ..Inner::default() };
        Self { inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes streams at this address, with the framing of RFC 4571: those of ICE (RFC 6544). Says where, with the port that
    /// the system chose if it is 0. The first frame of each must be a connectivity check, and a layer must
    /// [keep](StreamRequest::Keep) it soon.
    ///
    /// # Errors
    /// What the system says to the address, or that there is no tokio runtime with input and output.
    pub fn listen(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        self.add_listener(listener, false)
    }

    /// Takes streams at this address as [`listen`](Self::listen) does, and has those opened from its port that layers
    /// [ask for](StreamOpening::local): for simultaneous open (RFC 6544), where the other side opens the same one.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub fn listen_simultaneous(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        self.add_listener(simultaneous::bind_listener(address)?, true)
    }

    fn add_listener(&self, listener: std::net::TcpListener, is_simultaneous: bool) -> io::Result<SocketAddr> {
        let socket = io_on_runtime(|| TcpListener::from_std(listener))??;
        let address = socket.local_addr()?;
        self.inner().listeners.push(Listener { socket, is_simultaneous });
        Ok(address)
    }

    /// How the certificates of servers are verified from now on. By default they are by the public authorities, those of
    /// Mozilla; [`tls_config`](crate::net::tls_config) makes a configuration with further ones.
    #[cfg(feature = "tls")]
    pub fn set_tls(&self, config: impl Into<TlsConfig>) {
        self.inner().tls.set(config.into());
    }

    /// How the sockets of UDP are bound that layers [ask for](crate::layer::Framing::Datagrams) from now on, and in which
    /// range where they leave the port to the system. By default as a [`UdpConfig`] has it by default, at any port.
    pub fn set_udp(&self, udp: UdpConfig, ports: Option<PortRange>) {
        self.inner().socket_config = SocketConfig { udp, ports };
    }

    /// The socket that a path of UDP begins at, if a layer has asked for it.
    pub(super) fn socket(&self, path: &FiveTuple) -> Option<Arc<UdpSocket>> {
        let inner = self.inner();
        let place = inner.by_path.get(&key(path)).filter(|_| path.protocol == Protocol::Udp)?;
        inner.connections.get(*place)?.socket().cloned()
    }

    /// What the sockets of UDP have sent, received and lost, together, those included that are closed.
    pub fn udp_stats(&self) -> UdpStats {
        let inner = self.inner();
        let sockets = inner.connections.iter().filter_map(|(_, connection)| connection.socket());
        sockets.fold(inner.closed, |total, socket| total.plus(&socket.stats()))
    }

    /// Where streams are taken.
    pub fn listening(&self) -> Vec<SocketAddr> {
        self.inner().listening(false)
    }

    /// Where streams are taken and [opened from](Self::listen_simultaneous).
    pub fn listening_simultaneous(&self) -> Vec<SocketAddr> {
        self.inner().listening(true)
    }

    /// How many streams there are, those included that are being opened.
    pub fn count(&self) -> usize {
        self.inner().connections.len()
    }

    /// How many datagrams were dropped because the other side of their stream did not take them.
    pub fn dropped(&self) -> u64 {
        self.inner().dropped
    }

    /// Does what a layer asks for.
    pub fn request(&self, request: StreamRequest) {
        let mut inner = self.inner();
        match request {
            StreamRequest::Open(opening) => inner.open(opening),
            StreamRequest::Abandon(token) => {
                if let Some(place) = inner.by_token.get(&token).copied() {
                    inner.remove(place);
                }
            }
            StreamRequest::Close(path) => inner.close(&path),
            StreamRequest::Keep(path) => inner.keep(&path),
        }
    }

    /// What became of a stream, the oldest first.
    pub fn take_report(&self) -> Option<StreamReport> {
        self.inner().reports.pop_front()
    }

    /// How many bytes wait for the other side of a stream to take them; `None` if there is no such stream. Who sends by one
    /// with [`Framing::Bytes`] looks here before, since it breaks when they would be more than
    /// [`StreamLimits::max_unsent`], and is woken by [`poll_recv`](Self::poll_recv) when all have left.
    pub fn unsent(&self, path: &FiveTuple) -> Option<usize> {
        let inner = self.inner();
        let place = inner.by_path.get(path)?;
        inner.connections.get(*place).map(Connection::unsent_len)
    }

    /// Puts datagrams of one stream into `batch`, or leaves it empty when there is only something to
    /// [report](Self::take_report), or room to send by a stream that had none. Only the task that polled last is woken.
    pub fn poll_recv(&self, context: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<()> {
        let mut inner = self.inner();
        inner.ready.set_task(context.waker());
        inner.accept(context);
        // Those that become ready meanwhile wait for the next call.
        for _ in 0..inner.ready.len() {
            if inner.poll_next(batch) {
                // Who always has something to say does not put the end of others off.
                inner.end_late(context);
                return Poll::Ready(());
            }
        }
        inner.end_late(context);
        inner.set_timer(context);
        if !inner.reports.is_empty() {
            batch.clear();
            return Poll::Ready(());
        }
        if inner.ready.len() > 0 {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Sends the datagrams of `transmit` by the stream that its path is. What the other side does not take waits, and what
    /// there is no room for is [dropped](Self::dropped).
    ///
    /// # Errors
    /// [`SendError::NoPath`], and [`SendError::NoSocket`] if there is no such stream. By a socket, what
    /// [`UdpSocket::try_send`] says.
    pub fn try_send(&self, batch: &TransmitBatch, transmit: &Transmit) -> Result<(), SendError> {
        let path = transmit.path.ok_or(SendError::NoPath)?;
        if let Some(socket) = self.socket(&path) {
            return socket.try_send(batch, transmit);
        }
        let mut inner = self.inner();
        let Inner { by_path, connections, limits, .. } = &mut *inner;
        let place = by_path.get(&path).copied().ok_or(SendError::NoSocket { path })?;
        let connection = connections.get_mut(place).ok_or(SendError::NoSocket { path })?;
        let dropped = connection.send(batch.bytes(transmit), transmit.segment_size, limits, Instant::now());
        inner.dropped += dropped as u64;
        inner.list_deadline(place);
        Ok(())
    }
}

/// What a connection is found by: a socket takes whatever remote address a path ends at.
fn key(path: &FiveTuple) -> FiveTuple {
    match path.protocol {
        Protocol::Udp => FiveTuple::udp(path.local, path.local),
        _ => *path,
    }
}

impl Inner {
    fn listening(&self, is_simultaneous: bool) -> Vec<SocketAddr> {
        let listeners = self.listeners.iter().filter(|listener| listener.is_simultaneous == is_simultaneous);
        listeners.filter_map(|listener| listener.socket.local_addr().ok()).collect()
    }

    fn open(&mut self, opening: StreamOpening) {
        let StreamOpening { token, framing, local, remote, .. } = opening;
        // A stream to a server is none that the server opens.
        if local.port() != 0 && framing == Framing::Length {
            let path = FiveTuple::tcp(canonical(local), canonical(remote));
            if self.take_accepted(token, path) {
                return;
            }
            self.simultaneous.insert(path, token);
        }
        let future: connection::Opening = if framing == Framing::Datagrams {
            self.sockets += 1;
            let opened = opening::open_socket(&opening, &self.socket_config, self.sockets, &self.limits);
            Box::pin(std::future::ready(opened))
        } else {
            let tls = if opening.tls.is_some() { self.tls.prepared() } else { Tls::default() };
            Box::pin(opening::open(opening, tls, self.limits.unacknowledged))
        };
        let place = self.connections.vacant_key();
        let waker = ConnectionWaker::new(place, &self.ready);
        let connection = Connection::opening(token, framing, future, waker, &self.limits, Instant::now());
        self.by_token.insert(token, place);
        self.insert(connection);
    }

    /// The other side has opened the stream already that a layer asks for.
    fn take_accepted(&mut self, token: StreamToken, path: FiveTuple) -> bool {
        let Some(place) = self.by_path.get(&path).copied() else { return false };
        let Some(connection) = self.connections.get_mut(place) else { return false };
        if connection.origin != Origin::Unproven {
            return false;
        }
        connection.keep(&self.limits);
        connection.origin = Origin::Opened;
        self.accepted -= 1;
        self.unproven -= 1;
        self.unproven_of.leave(path.remote.ip());
        self.reports.push_back(StreamReport::Opened { token, path });
        self.ready.wake_task();
        self.list_deadline(place);
        true
    }

    /// Puts one on the list, and has it polled for the first time.
    fn insert(&mut self, connection: Connection) {
        let waker: std::task::Waker = connection.waker.clone().into();
        let place = self.connections.insert(connection);
        self.list_deadline(place);
        waker.wake();
    }

    fn close(&mut self, path: &FiveTuple) {
        let Some(place) = self.by_path.remove(&key(path)) else { return };
        let Some(connection) = self.connections.get_mut(place) else { return };
        connection.is_closing = true;
        // What is unsent has some time to leave.
        connection.due = Some(Instant::now() + self.limits.frame);
        let waker: std::task::Waker = connection.waker.clone().into();
        waker.wake();
        self.list_deadline(place);
    }

    fn keep(&mut self, path: &FiveTuple) {
        let Some(place) = self.by_path.get(path).copied() else { return };
        let Some(connection) = self.connections.get_mut(place) else { return };
        if connection.origin == Origin::Unproven {
            connection.keep(&self.limits);
            self.unproven -= 1;
            self.unproven_of.leave(path.remote.ip());
            self.list_deadline(place);
        }
    }

    fn remove(&mut self, place: usize) -> Option<Connection> {
        let connection = self.connections.try_remove(place)?;
        if let Some(listed) = connection.listed {
            self.deadlines.remove(&(listed, place));
        }
        if let Some(token) = connection.token {
            self.by_token.remove(&token);
            self.forget_simultaneous(token);
        }
        if connection.is_socket() {
            self.sockets -= 1;
            self.closed = connection.socket().map_or(self.closed, |socket| self.closed.plus(&socket.stats()));
        }
        if let Some(path) = connection.path {
            if self.by_path.get(&key(&path)) == Some(&place) {
                self.by_path.remove(&key(&path));
            }
            match connection.origin {
                Origin::Opened => {}
                Origin::Proven => self.accepted -= 1,
                Origin::Unproven => {
                    self.accepted -= 1;
                    self.unproven -= 1;
                    self.unproven_of.leave(path.remote.ip());
                }
            }
        }
        Some(connection)
    }

    fn forget_simultaneous(&mut self, token: StreamToken) {
        if !self.simultaneous.is_empty() {
            self.simultaneous.retain(|_, other| *other != token);
        }
    }

    /// A stream has ended, and who knows of it is told.
    fn end(&mut self, place: usize, reason: String) {
        let Some(connection) = self.remove(place) else { return };
        tracing::debug!(%reason, "a stream has ended");
        match (connection.token, connection.path) {
            (Some(token), _) => self.reports.push_back(StreamReport::Failed { token, reason }),
            (None, Some(path)) if !connection.is_closing && connection.origin != Origin::Unproven => {
                self.reports.push_back(StreamReport::Closed { path, reason });
            }
            (None, _) => {}
        }
    }

    /// Notes when a connection must have got on.
    fn list_deadline(&mut self, place: usize) {
        let Some(connection) = self.connections.get_mut(place) else { return };
        let deadline = connection.deadline(&self.limits);
        if connection.listed == deadline {
            return;
        }
        if let Some(before) = std::mem::replace(&mut connection.listed, deadline) {
            self.deadlines.remove(&(before, place));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, place));
        }
    }

    /// Takes what others open.
    fn accept(&mut self, context: &mut Context<'_>) {
        if self.paused.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.paused = None;
        for number in 0..self.listeners.len() {
            while let Some(listener) = self.listeners.get(number) {
                match listener.socket.poll_accept(context) {
                    Poll::Ready(Ok((stream, remote))) => self.enter(stream, remote),
                    Poll::Pending => break,
                    Poll::Ready(Err(error)) if is_of_one_connection(&error) => {}
                    // No descriptor is left, for instance: others may be closed meanwhile.
                    Poll::Ready(Err(_)) => {
                        self.pause();
                        break;
                    }
                }
            }
        }
    }

    fn pause(&mut self) {
        if self.paused.is_none() {
            let until = Instant::now() + PAUSE;
            self.paused = Some(until);
            self.deadlines.insert((until, NOBODY));
        }
    }

    fn enter(&mut self, stream: TcpStream, remote: SocketAddr) {
        let Ok(local) = stream.local_addr() else { return };
        let path = FiveTuple::tcp(canonical(local), canonical(remote));
        if let Some(token) = self.simultaneous.get(&path).copied() {
            return self.enter_opened(stream, path, token);
        }
        let of_source = self.unproven_of.count(path.remote.ip());
        let is_one_too_many = of_source >= self.limits.max_unproven_per_source;
        if is_one_too_many || self.by_path.contains_key(&path) || !self.make_room() {
            tracing::debug!("a stream was refused: there are too many");
            return;
        }
        prepare(&stream, self.limits.unacknowledged);
        self.accepted += 1;
        self.unproven += 1;
        self.unproven_of.enter(path.remote.ip());
        let place = self.connections.vacant_key();
        let waker = ConnectionWaker::new(place, &self.ready);
        let transport = Transport::Tcp(stream);
        self.by_path.insert(path, place);
        self.insert(Connection::accepted(path, transport, waker, &self.limits, Instant::now()));
    }

    /// The other side was the first to open a stream that this side opens, too: it is that one.
    fn enter_opened(&mut self, stream: TcpStream, path: FiveTuple, token: StreamToken) {
        let Some(opening) = self.by_token.get(&token).copied() else { return };
        drop(self.remove(opening));
        prepare(&stream, self.limits.unacknowledged);
        let place = self.connections.vacant_key();
        let waker = ConnectionWaker::new(place, &self.ready);
        let transport = Transport::Tcp(stream);
        let mut connection = Connection::accepted(path, transport, waker, &self.limits, Instant::now());
        connection.keep(&self.limits);
        connection.origin = Origin::Opened;
        self.by_path.insert(path, place);
        self.insert(connection);
        self.reports.push_back(StreamReport::Opened { token, path });
    }

    /// Whether there is a place for one more. Where all are taken, the source that has most of the unproven ones gives up its
    /// oldest, so that strangers keep no honest peer out.
    fn make_room(&mut self) -> bool {
        let StreamLimits { max_accepted, max_unproven, .. } = self.limits;
        if self.accepted >= max_accepted || self.unproven >= max_unproven {
            let unproven = self.connections.iter().filter(|(_, it)| it.origin == Origin::Unproven);
            let by_source = unproven.filter_map(|(place, it)| {
                let count = self.unproven_of.count(it.path?.remote.ip());
                Some((count, Reverse(it.due), place))
            });
            if let Some((.., place)) = by_source.max() {
                self.remove(place);
            }
        }
        self.accepted < max_accepted && self.unproven < max_unproven
    }

    /// Ends those that are too late.
    fn end_late(&mut self, context: &mut Context<'_>) {
        while let Some((first, place)) = self.deadlines.first().copied() {
            if first > Instant::now() {
                return;
            }
            self.deadlines.pop_first();
            if let Some(connection) = self.connections.get_mut(place) {
                connection.listed = None;
                let reason = connection.lateness().to_owned();
                self.end(place, reason);
            }
            if place == NOBODY {
                context.waker().wake_by_ref();
            }
        }
    }

    /// Sees to being woken for the next that is too late.
    fn set_timer(&mut self, context: &mut Context<'_>) {
        while let Some((first, _)) = self.deadlines.first().copied() {
            let due = tokio::time::Instant::from_std(first);
            let timer = match &mut self.timer {
                Some(timer) => timer,
                None => match io_on_runtime(|| Box::pin(tokio::time::sleep_until(due))) {
                    Ok(timer) => self.timer.insert(timer),
                    Err(_) => return,
                },
            };
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(context).is_pending() {
                return;
            }
            self.end_late(context);
        }
    }

    /// Polls the next connection that is ready; true if datagrams have come.
    fn poll_next(&mut self, batch: &mut ReceiveBatch) -> bool {
        let Some(place) = self.ready.pop() else { return false };
        let Some(connection) = self.connections.get_mut(place) else { return false };
        connection.waker.leave_queue();
        let progress = connection.poll(batch, Instant::now());
        match progress {
            Poll::Pending => {}
            Poll::Ready(Progress::Received) => {
                self.list_deadline(place);
                return true;
            }
            Poll::Ready(Progress::Sent) => {
                self.list_deadline(place);
                batch.clear();
                return true;
            }
            Poll::Ready(Progress::Opened(path)) => {
                if let Some(token) = connection.token.take() {
                    self.by_token.remove(&token);
                    self.forget_simultaneous(token);
                    self.by_path.insert(key(&path), place);
                    self.reports.push_back(StreamReport::Opened { token, path });
                }
            }
            Poll::Ready(Progress::Ended(reason)) => self.end(place, reason),
            Poll::Ready(Progress::Closed) => drop(self.remove(place)),
        }
        self.list_deadline(place);
        false
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("count", &self.count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
