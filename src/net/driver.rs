//! A driver for one layer on one socket.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::Sleep;

use crate::layer::{FiveTuple, Layer, Protocol, Transmit, TransmitBatch};

use super::runtime::io_on_runtime;
use super::{ReceiveBatch, SendError, Streams, UdpSocket};

/// Runs one layer on one socket, and on the streams that it asks for: hands it what arrives and the time, sends what it
/// has to send, and gives out its events.
///
/// All happens inside [`next_event`](Self::next_event) and [`flush`](Self::flush); no task is started. Between
/// the calls the layer can be talked to through [`layer_mut`](Self::layer_mut).
///
#[cfg_attr(
    all(feature = "ice", feature = "aws-lc-rs"),
    doc = r#"
ICE alone, from an agent to a connection:

```no_run
use std::time::Instant;

use kaon_rtc::crypto::aws_lc_rs;
use kaon_rtc::ice::{Agent, Config, IceConnectionState, IceCredentials, IceEvent, IceTransport};
use kaon_rtc::net::{Driver, UdpSocket};

# async fn connect(mut tell: impl FnMut(String), ufrag: &str, password: &str) -> Result<(), Box<dyn std::error::Error>> {
let socket = UdpSocket::bind("192.0.2.1:0".parse()?)?;
let mut agent = Agent::new(Instant::now(), aws_lc_rs::provider(), Config::default());
agent.add_host_address(Instant::now(), socket.local_addr())?;
agent.end_of_host_addresses(Instant::now());
agent.set_remote_credentials(Instant::now(), IceCredentials::new(ufrag, password)?)?;

let mut driver = Driver::new(socket, agent);
loop {
    match driver.next_event().await? {
        IceEvent::LocalCandidate(candidate) => tell(candidate.to_string()),
        IceEvent::ConnectionState(IceConnectionState::Connected) => break,
        _ => {}
    }
}
# Ok(())
# }
```
"#
)]
pub struct Driver<L: Layer> {
    socket: UdpSocket,
    /// Those that the layer asks for.
    streams: Streams,
    layer: L,
    remote: Option<SocketAddr>,
    batch: TransmitBatch,
    /// What the socket had no room for: the transmit in `batch`, and how many of its datagrams went out.
    unsent: Option<(Transmit, usize)>,
    received: ReceiveBatch,
    timer: Option<Pin<Box<Sleep>>>,
    refused: u64,
    last_refusal: Option<L::Error>,
}

impl<L: Layer> Driver<L> {
    /// The largest datagram that layers are asked for, in bytes of UDP payload: what nearly all paths take.
    pub const MAX_DATAGRAM: usize = 1200;

    /// A driver for a layer that knows the paths of its datagrams, such as an ICE agent or a listener.
    pub fn new(socket: UdpSocket, layer: L) -> Self {
        let batch = TransmitBatch::new(Self::MAX_DATAGRAM).with_max_segments(socket.max_segments());
        Self {
            socket,
            streams: Streams::default(),
            layer,
            remote: None,
            batch,
            unsent: None,
            received: ReceiveBatch::default(),
            timer: None,
            refused: 0,
            last_refusal: None,
        }
    }

    /// A driver for a layer that knows no addresses, such as a DTLS connection or an SCTP association: its
    /// datagrams go to `remote`, and what others send is ignored.
    pub fn connected(socket: UdpSocket, layer: L, remote: SocketAddr) -> Self {
        Self { remote: Some(remote), ..Self::new(socket, layer) }
    }

    /// The same driver with these streams, in the place of those by default, which have no listeners.
    #[must_use]
    pub fn with_streams(self, streams: Streams) -> Self {
        Self { streams, ..self }
    }

    /// The streams that the layer has asked for, and where others open some.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// The layer.
    pub fn layer(&self) -> &L {
        &self.layer
    }

    /// The layer, to be talked to. What it has to send then is sent by the next
    /// [`next_event`](Self::next_event) or [`flush`](Self::flush).
    pub fn layer_mut(&mut self) -> &mut L {
        &mut self.layer
    }

    /// The socket, for datagrams of the application's own.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// How many datagrams the layer refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Why the layer refused the last of them.
    pub fn last_refusal(&self) -> Option<&L::Error> {
        self.last_refusal.as_ref()
    }

    /// Takes the driver apart. What was not [flushed](Self::flush) is lost.
    pub fn into_parts(self) -> (UdpSocket, L) {
        (self.socket, self.layer)
    }

    /// Runs the layer until it has an event.
    ///
    /// Cancel safe: nothing that arrived, happened or is to be sent is lost when the future is dropped; the
    /// layer only stands still until the next call.
    ///
    /// # Errors
    /// [`DriverError::NoRemote`] if the layer wants to send and nobody knows where to, or what the socket says
    /// when it is of no use any more.
    pub async fn next_event(&mut self) -> Result<L::Event, DriverError> {
        std::future::poll_fn(|context| self.poll_event(context)).await
    }

    /// As [`next_event`](Self::next_event), for those who poll.
    ///
    /// # Errors
    /// As [`next_event`](Self::next_event).
    pub fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Result<L::Event, DriverError>> {
        loop {
            let now = Instant::now();
            if self.layer.poll_timeout().is_some_and(|due| due <= now) {
                self.layer.handle_timeout(now);
            }
            let all_sent = self.transmit(now)?;
            if let Some(event) = self.layer.poll_event() {
                return Poll::Ready(Ok(event));
            }
            let mut woken = self.receive(context)?.is_ready();
            woken |= !all_sent && self.poll_writable(context).is_ready();
            woken |= self.poll_timer(context)?.is_ready();
            if !woken {
                return Poll::Pending;
            }
        }
    }

    /// Sends all that the layer has to send now, and waits while the kernel's send buffer is full: for the
    /// last words of a connection. Cancel safe.
    ///
    /// # Errors
    /// [`DriverError::NoRemote`].
    pub async fn flush(&mut self) -> Result<(), DriverError> {
        while !self.transmit(Instant::now())? {
            std::future::poll_fn(|context| self.poll_writable(context)).await;
        }
        Ok(())
    }

    /// Sends what there is to send; false when the socket is full before the end.
    fn transmit(&mut self, now: Instant) -> Result<bool, DriverError> {
        loop {
            let (transmit, sent) = match self.unsent.take() {
                Some(unsent) => unsent,
                None => {
                    self.batch.clear();
                    let Some(mut transmit) = self.layer.poll_transmit(now, &mut self.batch) else {
                        while let Some(request) = self.layer.poll_stream() {
                            self.streams.request(request);
                        }
                        return Ok(true);
                    };
                    let local = self.socket.local_addr();
                    transmit.path = transmit.path.or(self.remote.map(|remote| FiveTuple::udp(local, remote)));
                    (transmit, 0)
                }
            };
            let is_stream = transmit.path.is_some_and(|path| path.protocol != Protocol::Udp);
            let own = self.own_socket(&transmit);
            let result = match own {
                Some(socket) => socket.try_send_rest(&self.batch, &transmit, sent),
                None if is_stream => self.streams.try_send(&self.batch, &transmit),
                None => self.socket.try_send_rest(&self.batch, &transmit, sent),
            };
            match result {
                Ok(()) => {}
                Err(SendError::Full { sent }) => {
                    self.unsent = Some((transmit, sent));
                    return Ok(false);
                }
                Err(SendError::NoPath) => return Err(DriverError::NoRemote),
                // A peer may name addresses that this socket cannot reach: they do not answer, then.
                Err(SendError::AddressFamily { .. } | SendError::NoSocket { .. }) => {}
            }
        }
    }

    /// The socket that the layer has asked for, if that is what a transmit leaves by.
    fn own_socket(&self, transmit: &Transmit) -> Option<Arc<UdpSocket>> {
        let path = transmit.path.filter(|path| path.local.port() != self.socket.local_addr().port())?;
        self.streams.socket(&path)
    }

    /// Whether what is unsent may go on.
    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        match self.unsent.as_ref().and_then(|(transmit, _)| self.own_socket(transmit)) {
            Some(socket) => socket.poll_writable(context),
            None => self.socket.poll_writable(context),
        }
    }

    /// Hands over what arrived.
    fn receive(&mut self, context: &mut Context<'_>) -> io::Result<Poll<()>> {
        let has_received = self.socket.poll_recv(context, &mut self.received)?.is_ready();
        if has_received {
            self.hand_over();
        }
        let has_streamed = self.streams.poll_recv(context, &mut self.received).is_ready();
        if has_streamed {
            self.hand_over();
            while let Some(report) = self.streams.take_report() {
                self.layer.handle_stream(Instant::now(), report);
            }
        }
        Ok(if has_received || has_streamed { Poll::Ready(()) } else { Poll::Pending })
    }

    fn hand_over(&mut self) {
        let now = Instant::now();
        for datagram in self.received.datagrams() {
            if self.remote.is_some_and(|remote| remote != datagram.path.remote) {
                continue;
            }
            if let Err(refusal) = self.layer.handle_datagram(now, datagram) {
                self.refused += 1;
                self.last_refusal = Some(refusal);
            }
        }
    }

    fn poll_timer(&mut self, context: &mut Context<'_>) -> io::Result<Poll<()>> {
        let Some(due) = self.layer.poll_timeout().map(tokio::time::Instant::from_std) else {
            return Ok(Poll::Pending);
        };
        let timer = match &mut self.timer {
            Some(timer) => timer,
            None => {
                let timer = io_on_runtime(|| Box::pin(tokio::time::sleep_until(due)))?;
                self.timer.insert(timer)
            }
        };
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        Ok(timer.as_mut().poll(context))
    }
}

impl<L: Layer + fmt::Debug> fmt::Debug for Driver<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("socket", &self.socket.local_addr())
            .field("remote", &self.remote)
            .field("layer", &self.layer)
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}

/// Why a driver cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// The layer knows no addresses and the driver was given none.
    #[error("the layer does not say where to send to; make the driver with Driver::connected")]
    NoRemote,
    /// The socket is of no use any more.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests;
