//! The sockets of an endpoint.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use super::{ReceiveBatch, SendError, Streams, UdpSocket, UdpStats};
use crate::layer::{FiveTuple, Protocol, StreamReport, StreamRequest, Transmit, TransmitBatch};

/// Sockets by protocol and local address, as those of an endpoint with many sessions, and the [`Streams`] that these ask
/// for.
///
/// What is sent takes the socket that the path of its transmit names, and what arrives at any of them comes out of
/// one [`recv`](Self::recv). All methods but [`add_udp`](Self::add_udp)
/// and [`set_streams`](Self::set_streams) take `&self`.
///
/// ```
/// use kaon_rtc::layer::{FiveTuple, TransmitBatch};
/// use kaon_rtc::net::{Sockets, UdpSocket};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let mut sockets = Sockets::default();
/// sockets.add_udp(UdpSocket::bind("127.0.0.1:0".parse()?)?);
/// sockets.add_udp(UdpSocket::bind("127.0.0.1:0".parse()?)?);
/// let second = sockets.local_addrs().nth(1).expect("there are two");
///
/// let mut batch = TransmitBatch::new(1200).with_max_segments(sockets.max_segments());
/// let mut segments = batch.segments(Some(FiveTuple::udp(second, "127.0.0.1:9".parse()?)), None);
/// segments.datagram().extend_from_slice(b"hello");
/// segments.end_datagram();
/// let transmit = segments.finish().expect("a datagram was written");
/// sockets.try_send(&batch, &transmit)?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Sockets {
    sockets: Vec<Socket>,
    /// Where the next receive begins, so that none waits for the others.
    next: AtomicUsize,
    streams: Streams,
}

/// A socket of any protocol.
#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
}

/// The socket that a path of UDP takes.
enum Carrier<'a> {
    Shared(&'a UdpSocket),
    /// One that a layer has asked for.
    Own(Arc<UdpSocket>),
}

impl Socket {
    fn protocol(&self) -> Protocol {
        match self {
            Self::Udp(_) => Protocol::Udp,
        }
    }

    fn local_addr(&self) -> SocketAddr {
        match self {
            Self::Udp(socket) => socket.local_addr(),
        }
    }

    /// Whether datagrams of the path may leave by it: it is bound to the path's address, or to the port of all.
    fn takes(&self, path: &FiveTuple) -> bool {
        let local = self.local_addr();
        self.protocol() == path.protocol
            && (local == path.local || local.ip().is_unspecified() && local.port() == path.local.port())
    }
}

impl Sockets {
    /// Adds a UDP socket.
    pub fn add_udp(&mut self, socket: UdpSocket) {
        self.sockets.push(Socket::Udp(socket));
    }

    /// Takes these streams in the place of those by default, which have no listeners.
    pub fn set_streams(&mut self, streams: Streams) {
        self.streams = streams;
    }

    /// The streams.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Where streams are taken.
    pub fn listening(&self) -> Vec<SocketAddr> {
        self.streams.listening()
    }

    /// Where streams are taken and opened from; see [`Streams::listen_simultaneous`].
    pub fn listening_simultaneous(&self) -> Vec<SocketAddr> {
        self.streams.listening_simultaneous()
    }

    /// Does what a layer asks for; see [`Streams::request`].
    pub fn request(&self, request: StreamRequest) {
        self.streams.request(request);
    }

    /// What became of a stream. Asked after each receive.
    pub fn take_report(&self) -> Option<StreamReport> {
        self.streams.take_report()
    }

    /// The addresses that the sockets are bound to, in the order in which they were added.
    pub fn local_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.sockets.iter().map(Socket::local_addr)
    }

    /// The number of datagrams that any of them sends with one system call: for
    /// [`TransmitBatch::with_max_segments`].
    pub fn max_segments(&self) -> usize {
        self.udp().map(UdpSocket::max_segments).min().unwrap_or(1)
    }

    /// What the UDP sockets have sent, received and lost, together, those included that layers have asked for.
    pub fn udp_stats(&self) -> UdpStats {
        self.udp().map(UdpSocket::stats).fold(self.streams.udp_stats(), |total, stats| total.plus(&stats))
    }

    /// Waits for datagrams of any socket or stream and puts them into `batch`; what was in it is forgotten. Those of one
    /// call are of one socket. There may be none, when there is a [report](Self::take_report). Cancel safe.
    ///
    /// # Errors
    /// As [`UdpSocket::recv`]: one of the sockets is of no use any more.
    pub async fn recv(&self, batch: &mut ReceiveBatch) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_recv(context, batch)).await
    }

    /// As [`recv`](Self::recv), for those who poll. Only the task that polled last is woken.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&self, context: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        // The streams come behind the last socket.
        let count = self.sockets.len() + 1;
        let first = self.next.load(Ordering::Relaxed) % count;
        for number in (first..count).chain(0..first) {
            let received = match self.sockets.get(number) {
                Some(Socket::Udp(socket)) => socket.poll_recv(context, batch),
                None => self.streams.poll_recv(context, batch).map(Ok),
            };
            if received.is_ready() {
                self.next.store(number + 1, Ordering::Relaxed);
                return received;
            }
        }
        Poll::Pending
    }

    /// Sends the datagrams of `transmit` by the socket of its path, as far as that takes them.
    ///
    /// # Errors
    /// As [`UdpSocket::try_send`] and [`Streams::try_send`], and [`SendError::NoSocket`] if there is none for the path.
    pub fn try_send(&self, batch: &TransmitBatch, transmit: &Transmit) -> Result<(), SendError> {
        self.try_send_rest(batch, transmit, 0)
    }

    /// As [`try_send`](Self::try_send) without the first `sent` datagrams, which were sent already.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send); [`SendError::Full`] counts the first ones, too.
    pub fn try_send_rest(
        &self,
        batch: &TransmitBatch,
        transmit: &Transmit,
        sent: usize,
    ) -> Result<(), SendError> {
        let path = transmit.path.ok_or(SendError::NoPath)?;
        if path.protocol != Protocol::Udp {
            return self.streams.try_send(batch, transmit);
        }
        match self.carrier(&path).ok_or(SendError::NoSocket { path })? {
            Carrier::Shared(socket) => socket.try_send_rest(batch, transmit, sent),
            Carrier::Own(socket) => socket.try_send_rest(batch, transmit, sent),
        }
    }

    /// Waits until the socket of a path has room to send; not at all if the socket is closed, and without end for streams,
    /// which never say that they are full. Cancel safe.
    pub async fn writable(&self, path: Option<FiveTuple>) {
        let Some(path) = path.filter(|path| path.protocol == Protocol::Udp) else {
            return std::future::pending().await;
        };
        match self.carrier(&path) {
            Some(Carrier::Shared(socket)) => socket.writable().await,
            Some(Carrier::Own(socket)) => socket.writable().await,
            None => {}
        }
    }

    /// The socket of a path. One that stands alone takes whatever address of this machine a path begins at, with its port:
    /// what was to leave by a socket that is closed is not sent from another.
    fn carrier(&self, path: &FiveTuple) -> Option<Carrier<'_>> {
        if path.protocol != Protocol::Udp {
            return None;
        }
        if let Some(Socket::Udp(socket)) = self.sockets.iter().find(|socket| socket.takes(path)) {
            return Some(Carrier::Shared(socket));
        }
        if let Some(socket) = self.streams.socket(path) {
            return Some(Carrier::Own(socket));
        }
        match &*self.sockets {
            [Socket::Udp(only)] if only.local_addr().port() == path.local.port() => {
                Some(Carrier::Shared(only))
            }
            _ => None,
        }
    }

    fn udp(&self) -> impl Iterator<Item = &UdpSocket> {
        self.sockets.iter().map(|Socket::Udp(socket)| socket)
    }
}

impl From<UdpSocket> for Sockets {
    fn from(socket: UdpSocket) -> Self {
        let mut sockets = Self::default();
        sockets.add_udp(socket);
        sockets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(address: &str) -> UdpSocket {
        UdpSocket::bind(address.parse().unwrap()).unwrap()
    }

    fn send(sockets: &Sockets, path: FiveTuple) -> Result<(), SendError> {
        let mut batch = TransmitBatch::new(1200);
        let mut segments = batch.segments(Some(path), None);
        segments.datagram().push(7);
        segments.end_datagram();
        let transmit = segments.finish().unwrap();
        sockets.try_send(&batch, &transmit)
    }

    #[tokio::test]
    async fn the_path_picks_the_socket() {
        let (peer, mut received) = (bind("127.0.0.1:0"), ReceiveBatch::default());
        let mut sockets = Sockets::from(bind("127.0.0.1:0"));
        sockets.add_udp(bind("127.0.0.1:0"));
        sockets.add_udp(bind("0.0.0.0:0"));
        let locals: Vec<SocketAddr> = sockets.local_addrs().collect();
        for local in &locals {
            let from = SocketAddr::new([127, 0, 0, 1].into(), local.port());
            send(&sockets, FiveTuple::udp(from, peer.local_addr())).unwrap();
            peer.recv(&mut received).await.unwrap();
            assert_eq!(received.datagrams().next().unwrap().path.remote, from);
        }
        assert_eq!(sockets.udp_stats().sent, 3);
        let elsewhere = FiveTuple::udp(([127, 0, 0, 1], 1).into(), peer.local_addr());
        assert_eq!(send(&sockets, elsewhere), Err(SendError::NoSocket { path: elsewhere }));
        let tcp = FiveTuple { protocol: Protocol::Tcp, local: locals[0], remote: peer.local_addr() };
        assert_eq!(send(&sockets, tcp), Err(SendError::NoSocket { path: tcp }));
    }

    #[tokio::test]
    async fn all_sockets_are_heard() {
        let (peer, mut received) = (Sockets::from(bind("127.0.0.1:0")), ReceiveBatch::default());
        let mut sockets = Sockets::from(bind("127.0.0.1:0"));
        sockets.add_udp(bind("127.0.0.1:0"));
        let from = peer.local_addrs().next().unwrap();
        let mut missing: Vec<SocketAddr> = sockets.local_addrs().collect();
        for local in missing.clone() {
            send(&peer, FiveTuple::udp(from, local)).unwrap();
        }
        while !missing.is_empty() {
            sockets.recv(&mut received).await.unwrap();
            for datagram in received.datagrams() {
                missing.retain(|local| *local != datagram.path.local);
            }
        }
    }
}
