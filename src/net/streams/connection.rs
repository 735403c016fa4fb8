//! One stream.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};

#[cfg(all(feature = "tls", feature = "dtls"))]
use super::dtls_carrier::DtlsCarrier;
use super::inbound::{FrameError, Inbound};
use super::limits::StreamLimits;
use super::opening::Opened;
use super::ready::ConnectionWaker;
use super::transport::Transport;
use crate::layer::{FiveTuple, Framing, StreamToken};
use crate::net::{ReceiveBatch, UdpSocket};

/// A stream with what waits in both directions.
pub(super) struct Connection {
    /// Its name while it is not open.
    pub(super) token: Option<StreamToken>,
    /// Its path once it is open.
    pub(super) path: Option<FiveTuple>,
    pub(super) origin: Origin,
    state: State,
    framing: Framing,
    inbound: Inbound,
    unsent: BytesMut,
    pub(super) waker: Arc<ConnectionWaker>,
    task: Waker,
    /// When it was to be open, or to have sent an authentic message.
    pub(super) due: Option<Instant>,
    /// Since when a frame is incomplete.
    incomplete: Option<Instant>,
    /// Since when nothing was taken of what is unsent.
    stalled: Option<Instant>,
    /// Writing has failed.
    broken: Option<String>,
    /// It ends when all is sent.
    pub(super) is_closing: bool,
    /// The deadline that is on the list of all.
    pub(super) listed: Option<Instant>,
}

/// Who opened a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This side.
    Opened,
    /// The other side, and nobody has said that it is authentic.
    Unproven,
    /// The other side, and it is.
    Proven,
}

pub(super) type Opening = Pin<Box<dyn Future<Output = Result<(FiveTuple, Opened), String>> + Send>>;

enum State {
    Opening(Opening),
    Open(Transport),
    /// No stream, but a socket of its own.
    Socket(Arc<UdpSocket>),
    #[cfg(all(feature = "tls", feature = "dtls"))]
    Dtls(Box<DtlsCarrier>),
}

/// What polling a stream has brought.
#[derive(Debug)]
pub(super) enum Progress {
    /// It is open.
    Opened(FiveTuple),
    /// Datagrams are in the batch.
    Received,
    /// What waited for the other side has left, of a stream that drops nothing.
    Sent,
    /// It is of no use any more.
    Ended(String),
    /// It has been closed as it was to be.
    Closed,
}

/// A check on a stream that was just opened (RFC 8445 §7.2.4): integrity and fingerprint at least.
const SHORTEST_CHECK: usize = 20 + 8;
/// What a first frame has at most.
const LONGEST_CHECK: usize = 1500;
/// What is read at a time.
const READ: usize = 8 << 10;

impl Connection {
    pub(super) fn opening(
        token: StreamToken,
        framing: Framing,
        opening: Opening,
        waker: Arc<ConnectionWaker>,
        limits: &StreamLimits,
        now: Instant,
    ) -> Self {
        let due = Some(now + limits.open);
        Self { token: Some(token), due, ..Self::new(State::Opening(opening), framing, waker, limits) }
    }

    pub(super) fn accepted(
        path: FiveTuple,
        transport: Transport,
        waker: Arc<ConnectionWaker>,
        limits: &StreamLimits,
        now: Instant,
    ) -> Self {
        let mut accepted = Self {
            path: Some(path),
            origin: Origin::Unproven,
            due: Some(now + limits.first_message),
            ..Self::new(State::Open(transport), Framing::Length, waker, limits)
        };
        accepted.inbound.max_frame = LONGEST_CHECK;
        accepted
    }

    /// What came was authentic: it is a stream as any other.
    pub(super) fn keep(&mut self, limits: &StreamLimits) {
        self.origin = Origin::Proven;
        self.due = None;
        self.inbound.max_frame = limits.max_frame.min(ReceiveBatch::MAX_FRAME);
        self.task.wake_by_ref();
    }

    fn new(state: State, framing: Framing, waker: Arc<ConnectionWaker>, limits: &StreamLimits) -> Self {
        let max_frame = match framing {
            Framing::Length => limits.max_frame.min(ReceiveBatch::MAX_FRAME),
            Framing::Stun | Framing::Bytes | Framing::Records | Framing::Datagrams => ReceiveBatch::MAX_FRAME,
        };
        Self {
            token: None,
            path: None,
            origin: Origin::Opened,
            state,
            framing,
            inbound: Inbound::new(framing, max_frame),
            unsent: BytesMut::new(),
            task: waker.clone().into(),
            waker,
            due: None,
            incomplete: None,
            stalled: None,
            broken: None,
            is_closing: false,
            listed: None,
        }
    }

    /// When something must have happened.
    pub(super) fn deadline(&self, limits: &StreamLimits) -> Option<Instant> {
        // One without frames may stand still for as long as it likes: what it holds is bounded.
        let has_frames = self.framing != Framing::Bytes;
        let frame = self.incomplete.into_iter().chain(self.stalled).filter(|_| has_frames).min();
        self.due.into_iter().chain(frame.map(|since| since + limits.frame)).min()
    }

    /// What a stream whose deadline is over ends with.
    pub(super) fn lateness(&self) -> &'static str {
        match (&self.state, self.origin, self.stalled) {
            (State::Opening(_), ..) => {
                "no connection in time; is the server running, and does a firewall let TCP through to its port?"
            }
            (_, Origin::Unproven, _) => "no authentic message in time",
            (.., Some(_)) => "the other side takes nothing of what is sent",
            _ => "the other side began a frame and did not end it",
        }
    }

    /// Goes on, as far as it goes; what arrives is put into `batch`, as much of it as there is place for.
    pub(super) fn poll(&mut self, batch: &mut ReceiveBatch, now: Instant) -> Poll<Progress> {
        let task = self.task.clone();
        let mut context = Context::from_waker(&task);
        if let State::Opening(opening) = &mut self.state {
            return Poll::Ready(match ready!(opening.as_mut().poll(&mut context)) {
                Ok((path, opened)) => {
                    self.state = match opened {
                        Opened::Stream(transport) => State::Open(transport),
                        Opened::Socket(socket) => State::Socket(Arc::new(socket)),
                        #[cfg(all(feature = "tls", feature = "dtls"))]
                        Opened::Dtls(carrier) => State::Dtls(carrier),
                    };
                    (self.path, self.due) = (Some(path), None);
                    // What has arrived already is looked at next.
                    task.wake();
                    Progress::Opened(path)
                }
                Err(reason) => Progress::Ended(reason),
            });
        }
        if let State::Socket(socket) = &self.state {
            if self.is_closing {
                return Poll::Ready(Progress::Closed);
            }
            return socket.poll_recv(&mut context, batch).map(|received| match received {
                Ok(()) => {
                    // There may be more, after what others have.
                    task.wake_by_ref();
                    Progress::Received
                }
                Err(error) => Progress::Ended(format!("the socket is lost: {error}")),
            });
        }
        #[cfg(all(feature = "tls", feature = "dtls"))]
        if let State::Dtls(carrier) = &mut self.state {
            if self.is_closing {
                carrier.close();
                return Poll::Ready(Progress::Closed);
            }
            return carrier.poll_recv(&mut context, batch).map(|received| match received {
                Ok(()) => {
                    // There may be more, after what others have.
                    task.wake_by_ref();
                    Progress::Received
                }
                Err(reason) => Progress::Ended(reason),
            });
        }
        if let Some(reason) = self.broken.take() {
            return Poll::Ready(Progress::Ended(reason));
        }
        let was_waiting = !self.unsent.is_empty();
        if let Err(error) = self.flush(now, &mut context) {
            return Poll::Ready(Progress::Ended(error.to_string()));
        }
        if self.framing == Framing::Bytes && was_waiting && self.unsent.is_empty() && !self.is_closing {
            task.wake();
            return Poll::Ready(Progress::Sent);
        }
        if self.is_closing && self.unsent.is_empty() {
            let State::Open(transport) = &mut self.state else { return Poll::Pending };
            let _ = ready!(Pin::new(transport).poll_shutdown(&mut context));
            return Poll::Ready(Progress::Closed);
        }
        self.read(batch, now, &mut context)
    }

    fn read(&mut self, batch: &mut ReceiveBatch, now: Instant, context: &mut Context<'_>) -> Poll<Progress> {
        loop {
            match self.take_frames(batch) {
                Ok(true) => {
                    // What is behind a frame has begun since.
                    self.incomplete = None;
                    self.note_incomplete(now);
                    // There may be more, after what others have.
                    self.task.wake_by_ref();
                    return Poll::Ready(Progress::Received);
                }
                Ok(false) => self.note_incomplete(now),
                Err(error) => return Poll::Ready(Progress::Ended(error.to_string())),
            }
            let State::Open(transport) = &mut self.state else { return Poll::Pending };
            let limit = match self.origin {
                Origin::Unproven => (LONGEST_CHECK + 2).saturating_sub(self.inbound.buffer.len()),
                _ => READ,
            };
            // The same memory serves again once what was in it is handed out.
            self.inbound.buffer.reserve(limit);
            let mut space = (&mut self.inbound.buffer).limit(limit);
            let read = pin!(transport.read_buf(&mut space)).poll(context);
            match ready!(read) {
                Ok(0) => {
                    return Poll::Ready(Progress::Ended("the other side has closed the stream".to_owned()));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Progress::Ended(format!("the stream broke: {error}"))),
            }
        }
    }

    /// Whether there were any.
    fn take_frames(&mut self, batch: &mut ReceiveBatch) -> Result<bool, FrameError> {
        let Some(path) = self.path else { return Ok(false) };
        let (inbound, origin) = (&mut self.inbound, self.origin);
        if origin == Origin::Unproven {
            let is_check = inbound.front()?.is_none_or(|frame| is_check(inbound.bytes(frame)));
            if !is_check {
                return Err(FrameError::NoCheck);
            }
        }
        if inbound.front()?.is_none() {
            return Ok(false);
        }
        batch.fill_frames(path, |place| match inbound.front() {
            Ok(Some(frame)) if origin != Origin::Unproven || is_check(inbound.bytes(frame)) => {
                Some(inbound.take(frame, place))
            }
            // What is wrong is told when what came before is handed over.
            _ => None,
        });
        Ok(true)
    }

    /// Whether it is to be a socket, or is one.
    pub(super) fn is_socket(&self) -> bool {
        self.framing == Framing::Datagrams
    }

    /// The socket that it is.
    pub(super) fn socket(&self) -> Option<&Arc<UdpSocket>> {
        match &self.state {
            State::Socket(socket) => Some(socket),
            _ => None,
        }
    }

    /// How many bytes wait for the other side.
    pub(super) fn unsent_len(&self) -> usize {
        self.unsent.len()
    }

    fn note_incomplete(&mut self, now: Instant) {
        let is_incomplete = !self.inbound.buffer.is_empty();
        self.incomplete = is_incomplete.then(|| self.incomplete.unwrap_or(now));
    }

    /// Sends datagrams of `size` bytes each, the last one perhaps shorter. What there is no room for is dropped; the
    /// number of those is what it says.
    pub(super) fn send(&mut self, bytes: &[u8], size: usize, limits: &StreamLimits, now: Instant) -> usize {
        let task = self.task.clone();
        let mut context = Context::from_waker(&task);
        #[cfg(all(feature = "tls", feature = "dtls"))]
        if let State::Dtls(carrier) = &mut self.state {
            return bytes.chunks(size.max(1)).filter(|datagram| !carrier.send(datagram)).count();
        }
        if self.broken.is_some() {
            return bytes.chunks(size.max(1)).count();
        }
        let mut sent = 0;
        if let (State::Open(transport), Framing::Stun | Framing::Bytes, true) =
            (&mut self.state, self.framing, self.unsent.is_empty())
        {
            while let Some(rest @ [_, ..]) = bytes.get(sent..) {
                match write(transport, &mut context, rest) {
                    Poll::Ready(Ok(count @ 1..)) => sent += count,
                    _ => break,
                }
            }
        }
        let dropped = self.queue(bytes, size.max(1), sent, limits);
        if let Err(error) = self.flush(now, &mut context) {
            self.broken = Some(format!("the stream broke: {error}"));
            task.wake();
        }
        dropped
    }

    /// Puts what is not `sent` on the queue: a datagram that was begun, and those that there is room for.
    fn queue(&mut self, bytes: &[u8], size: usize, sent: usize, limits: &StreamLimits) -> usize {
        let (mut end, mut dropped) = (0, 0);
        for datagram in bytes.chunks(size) {
            let start = end;
            end += datagram.len();
            let rest = &datagram[sent.saturating_sub(start).min(datagram.len())..];
            if rest.is_empty() {
                continue;
            }
            let is_begun = rest.len() < datagram.len();
            if !is_begun && self.unsent.len() + datagram.len() > limits.max_unsent {
                dropped += 1;
                if self.framing == Framing::Bytes {
                    self.broken = Some("more was sent by it than the other side takes".to_owned());
                    self.task.wake_by_ref();
                    break;
                }
                continue;
            }
            if self.framing == Framing::Length {
                // No datagram of a batch is longer than two bytes can say.
                self.unsent.put_u16(datagram.len() as u16);
            }
            self.unsent.extend_from_slice(rest);
        }
        dropped
    }

    /// Writes what waits, as far as that goes.
    fn flush(&mut self, now: Instant, context: &mut Context<'_>) -> io::Result<()> {
        let State::Open(transport) = &mut self.state else { return Ok(()) };
        while !self.unsent.is_empty() {
            match write(transport, context, &self.unsent) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.unsent.advance(count);
                    self.stalled = None;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.stalled.get_or_insert(now);
                    return Ok(());
                }
            }
        }
        self.stalled = None;
        match Pin::new(transport).poll_flush(context) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }
}

/// Writes what the kernel takes. The budget of the task, which lets others go first, is not to make it look full: what finds
/// no room is dropped.
fn write(transport: &mut Transport, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    let write = std::future::poll_fn(|context| Pin::new(&mut *transport).poll_write(context, bytes));
    pin!(tokio::task::unconstrained(write)).poll(context)
}

/// Whether the first frame of a stranger is a connectivity check: anything else is of another protocol, and not answered.
fn is_check(frame: &[u8]) -> bool {
    (SHORTEST_CHECK..=LONGEST_CHECK).contains(&frame.len())
        && frame.starts_with(&[0, 1])
        && frame.get(4..8) == Some(&[0x21, 0x12, 0xa4, 0x42])
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("path", &self.path)
            .field("origin", &self.origin)
            .field("unsent", &self.unsent.len())
            .finish_non_exhaustive()
    }
}
