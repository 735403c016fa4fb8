//! A UDP socket that moves datagrams in batches.

mod icmp;
mod kernel;

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use quinn_udp::{EcnCodepoint, RecvMeta};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use thiserror::Error;
use tokio::io::Interest;

use crate::layer::{Ecn, FiveTuple, Transmit, TransmitBatch};

pub use self::icmp::IcmpError;
use self::kernel::Kernel;
pub use self::kernel::UdpCapabilities;
use super::runtime::on_runtime;
use super::udp_stats::Counters;
use super::{PortRange, ReceiveBatch, UdpStats};

/// How a [`UdpSocket`] is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UdpConfig {
    /// The size of the kernel's send buffer in bytes; `None`, the default, leaves what the system gives. The
    /// kernel may give less than asked for: see [`UdpSocket::send_buffer_size`].
    pub send_buffer: Option<usize>,
    /// The size of the kernel's receive buffer in bytes, in the same way. A socket that many peers send to
    /// wants megabytes. `None` by default.
    pub receive_buffer: Option<usize>,
    /// Whether a socket bound to `[::]` is for IPv6 only. By default it takes IPv4 as well, and paths of IPv4
    /// peers have IPv4 addresses.
    pub only_v6: bool,
    /// Whether to send runs of datagrams with one system call where the kernel can (UDP_SEGMENT). Turn it off
    /// for a network driver that gets it wrong.
    pub segmentation_offload: bool,
    /// Whether others that say so, too, may be bound to the same address (SO_REUSEPORT): the kernel gives each sender to
    /// one of them. Off by default, and without effect where the system has no such thing.
    pub share_address: bool,
    /// Whether empty datagrams are received: for relays, to whom they are datagrams as others. Off by default, and they
    /// are dropped, because they say nothing to any layer.
    pub empty_datagrams: bool,
    /// Whether what ICMP says of datagrams that were sent is kept for [`UdpSocket::icmp_error`] (IP_RECVERR). Off by
    /// default, and without effect where the system has no such thing.
    pub icmp_errors: bool,
}

impl Default for UdpConfig {
    fn default() -> Self {
        Self {
            send_buffer: None,
            receive_buffer: None,
            only_v6: false,
            segmentation_offload: true,
            share_address: false,
            empty_datagrams: false,
            icmp_errors: false,
        }
    }
}

impl UdpConfig {
    /// Binds a socket to `address`; port 0 lets the system choose. Options that the system does not know or refuses
    /// are done without: see [`UdpSocket::capabilities`].
    ///
    /// # Errors
    /// [`BindError::NoRuntime`] outside a tokio runtime with its input and output enabled, else what the system says.
    pub fn bind(&self, address: SocketAddr) -> Result<UdpSocket, BindError> {
        self.try_bind(address).map_err(|failure| match failure {
            Failure::NoRuntime => BindError::NoRuntime,
            Failure::Io(source) => BindError::Io { address, source },
        })
    }

    /// Binds a socket to a free port of `range`. The search begins at a random port, so that sockets that are
    /// opened one after the other do not all walk over the same busy ports.
    ///
    /// # Errors
    /// [`BindError::RangeBusy`] when every port of the range is in use, else as [`bind`](Self::bind).
    pub fn bind_in(&self, ip: IpAddr, range: PortRange) -> Result<UdpSocket, BindError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| BindError::NoRandom)?;
        for port in range.ports_from(u64::from_ne_bytes(random) as usize) {
            let address = SocketAddr::new(ip, port);
            match self.try_bind(address) {
                Ok(socket) => return Ok(socket),
                Err(Failure::Io(error)) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(Failure::Io(source)) => return Err(BindError::Io { address, source }),
                Err(Failure::NoRuntime) => return Err(BindError::NoRuntime),
            }
        }
        Err(BindError::RangeBusy { ip, range })
    }

    fn try_bind(&self, address: SocketAddr) -> Result<UdpSocket, Failure> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(self.only_v6 || !address.ip().is_unspecified())?;
        }
        if let Some(bytes) = self.send_buffer {
            is_granted(socket.set_send_buffer_size(bytes));
        }
        if let Some(bytes) = self.receive_buffer {
            is_granted(socket.set_recv_buffer_size(bytes));
        }
        #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
        if self.share_address {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&address.into())?;
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let io =
            on_runtime(|| tokio::net::UdpSocket::from_std(socket.into())).ok_or(Failure::NoRuntime)??;
        let kernel = Kernel::ask(&io);
        let segmentation = AtomicBool::new(self.segmentation_offload);
        let icmp = self.icmp_errors && icmp::keep(&io, address.is_ipv6());
        let takes_empty = self.empty_datagrams;
        Ok(UdpSocket { io, kernel, local, segmentation, icmp, takes_empty, counters: Counters::default() })
    }
}

/// The size of a buffer is a wish.
fn is_granted(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "the kernel refuses the size of a socket's buffer");
    }
}

enum Failure {
    NoRuntime,
    Io(io::Error),
}

impl<E: Into<io::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Io(error.into())
    }
}

/// A UDP socket that sends and receives datagrams in batches.
///
/// Sends runs of equal-size datagrams with one system call (generic segmentation offload), receives many at
/// once, knows the address of this machine that each datagram was sent to, and carries ECN marks. All
/// methods take `&self`, so that a socket can be shared; of the futures and `poll_` functions of one direction
/// one at a time is woken.
///
/// What goes wrong with one datagram (nobody listens there, there is no route, the firewall forbids it, it is
/// larger than the path takes) does not end the socket: the datagram is lost, as datagrams may be, and
/// [`stats`](Self::stats) counts it.
///
/// ```
/// use kaon_rtc::layer::{FiveTuple, TransmitBatch};
/// use kaon_rtc::net::{ReceiveBatch, UdpSocket};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let alice = UdpSocket::bind("127.0.0.1:0".parse()?)?;
/// let bob = UdpSocket::bind("127.0.0.1:0".parse()?)?;
///
/// let mut batch = TransmitBatch::new(1200).with_max_segments(alice.max_segments());
/// let path = FiveTuple::udp(alice.local_addr(), bob.local_addr());
/// let mut segments = batch.segments(Some(path), None);
/// for payload in ["one", "two"] {
///     segments.datagram().extend_from_slice(payload.as_bytes());
///     segments.end_datagram();
/// }
/// let transmit = segments.finish().expect("two datagrams were written");
/// alice.send(&batch, &transmit).await?;
///
/// let mut received = ReceiveBatch::default();
/// bob.recv(&mut received).await?;
/// for datagram in received.datagrams() {
///     assert_eq!(datagram.path.remote, alice.local_addr());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    io: tokio::net::UdpSocket,
    kernel: Kernel,
    local: SocketAddr,
    segmentation: AtomicBool,
    icmp: bool,
    takes_empty: bool,
    counters: Counters,
}

impl UdpSocket {
    /// The most bytes that one segmented send carries.
    const MAX_SEND: usize = 65_507;

    /// How many system calls a receive makes at most before something comes of one.
    const MAX_FRUITLESS: usize = 64;

    /// Binds a socket with the default configuration; see [`UdpConfig::bind`].
    ///
    /// # Errors
    /// As [`UdpConfig::bind`].
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        UdpConfig::default().bind(address)
    }

    /// Binds a socket to a free port of a range with the default configuration; see [`UdpConfig::bind_in`].
    ///
    /// # Errors
    /// As [`UdpConfig::bind_in`].
    pub fn bind_in(ip: IpAddr, range: PortRange) -> Result<Self, BindError> {
        UdpConfig::default().bind_in(ip, range)
    }

    /// The address that the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The number of datagrams that one system call sends at most: for
    /// [`TransmitBatch::with_max_segments`]. 1 without segmentation offload, also after the kernel refused it.
    pub fn max_segments(&self) -> usize {
        if self.segmentation.load(Ordering::Relaxed) { self.kernel.max_segments() } else { 1 }
    }

    /// The size that the kernel gave its send buffer, in bytes. Linux says twice what it was asked for.
    ///
    /// # Errors
    /// What the system says.
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        SockRef::from(&self.io).send_buffer_size()
    }

    /// The size that the kernel gave its receive buffer, in the same way.
    ///
    /// # Errors
    /// What the system says.
    pub fn receive_buffer_size(&self) -> io::Result<usize> {
        SockRef::from(&self.io).recv_buffer_size()
    }

    /// What the kernel does for this socket. What it lacks is done without.
    pub fn capabilities(&self) -> UdpCapabilities {
        let segmentation = self.max_segments() > 1;
        UdpCapabilities { segmentation, ..self.kernel.capabilities(&self.io) }
    }

    /// What the socket sent, received and lost.
    pub fn stats(&self) -> UdpStats {
        self.counters.read()
    }

    /// Waits for datagrams and puts them into `batch`; what was in it is forgotten.
    ///
    /// Cancel safe: a future that is dropped before it was ready has received nothing.
    ///
    /// # Errors
    /// Only when the socket is of no use any more; errors that a datagram caused are counted.
    pub async fn recv(&self, batch: &mut ReceiveBatch) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_recv(context, batch)).await
    }

    /// As [`recv`](Self::recv), for those who poll. Only the task that polled last is woken.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&self, context: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        loop {
            ready!(self.io.poll_recv_ready(context))?;
            match self.receive(batch)? {
                Received::Datagrams => return Poll::Ready(Ok(())),
                Received::Nothing => {}
                Received::Fruitless => {
                    // There is more, but others are to have their turn.
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }

    /// As [`recv`](Self::recv) without waiting.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there, or nothing came of many system calls, else as
    /// [`recv`](Self::recv).
    pub fn try_recv(&self, batch: &mut ReceiveBatch) -> io::Result<()> {
        match self.receive(batch)? {
            Received::Datagrams => Ok(()),
            Received::Nothing | Received::Fruitless => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// One receive: as many system calls as it takes, within a limit, until one brings datagrams.
    fn receive(&self, batch: &mut ReceiveBatch) -> io::Result<Received> {
        let mut only_unknown = true;
        for _ in 0..Self::MAX_FRUITLESS {
            let result = batch.fill(self.local, |slices, metas| self.receive_once(slices, metas));
            match result {
                // Empty datagrams say nothing to any layer.
                Ok(()) if batch.is_empty() && !self.takes_empty => only_unknown = false,
                Ok(()) => {
                    self.counters.received(batch.datagrams().count());
                    return Ok(Received::Datagrams);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Received::Nothing),
                Err(error) if is_gone(&error) => return Err(error),
                // A datagram that was sent before could not be delivered, or the system is short of something.
                Err(error) => {
                    only_unknown &= !is_passing(&error);
                    self.counters.lost(&error, 0);
                }
            }
        }
        if only_unknown {
            // An error that stays would keep the caller busy. tokio is to ask the system again.
            let wait = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            return self
                .io
                .try_io(Interest::READABLE, wait)
                .map(|()| Received::Nothing)
                .or(Ok(Received::Nothing));
        }
        Ok(Received::Fruitless)
    }

    /// Waits for what ICMP says of datagrams that were sent; for ever, unless it was
    /// [asked for](UdpConfig::icmp_errors) and the system has it. Cancel safe.
    pub async fn icmp_error(&self) -> IcmpError {
        if !self.icmp {
            return std::future::pending().await;
        }
        loop {
            if self.io.ready(Interest::ERROR).await.is_err() {
                return std::future::pending().await;
            }
            match self.io.try_io(Interest::ERROR, || icmp::read(&self.io)) {
                Ok(Some(error)) => return error,
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => tracing::debug!(%error, "the queue of ICMP errors cannot be read"),
            }
        }
    }

    /// One system call. One that fills only some of the buffers has emptied the socket: tokio is told at once that it has
    /// to wait, so that no other system call finds that out. What comes meanwhile wakes it again.
    fn receive_once(&self, slices: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> io::Result<usize> {
        let offered = slices.len();
        let mut last = None;
        let result = self.io.try_io(Interest::READABLE, || {
            let filled = self.kernel.receive(&self.io, slices, metas)?;
            if self.kernel.fills_all() && (1..offered).contains(&filled) {
                last = Some(filled);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(filled)
        });
        last.map_or(result, Ok)
    }

    /// Sends the datagrams of `transmit` and waits while the kernel's send buffer is full.
    ///
    /// Cancel safe in that nothing breaks: what a dropped future had not sent is not sent. To go on where it
    /// ended use [`try_send_rest`](Self::try_send_rest) and [`writable`](Self::writable).
    ///
    /// # Errors
    /// [`SendError::NoPath`] or [`SendError::AddressFamily`].
    pub async fn send(&self, batch: &TransmitBatch, transmit: &Transmit) -> Result<(), SendError> {
        let mut sent = 0;
        loop {
            match self.try_send_rest(batch, transmit, sent) {
                Err(SendError::Full { sent: so_far }) => sent = so_far,
                result => return result,
            }
            self.writable().await;
        }
    }

    /// Sends the datagrams of `transmit` as far as the kernel's send buffer takes them.
    ///
    /// # Errors
    /// [`SendError::Full`] says how many were taken: wait until the socket is [`writable`](Self::writable) and
    /// send the [rest](Self::try_send_rest). [`SendError::NoPath`] and [`SendError::AddressFamily`] are for
    /// good.
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
        let route = self.route(&transmit.path.ok_or(SendError::NoPath)?)?;
        let segment = transmit.segment_size.max(1);
        let bytes = batch.bytes(transmit);
        let rest = bytes.get(sent.saturating_mul(segment)..).unwrap_or_default();
        let ecn = transmit.ecn;
        if transmit.is_empty() && sent == 0 {
            return self.send_empty(route, ecn);
        }
        match self.send_run(route, ecn, rest, segment, self.max_segments()) {
            Ok(()) => Ok(()),
            Err(Blocked { taken }) => Err(SendError::Full { sent: sent + taken }),
        }
    }

    /// Sends one datagram by `path` and waits while the kernel's send buffer is full.
    ///
    /// Cancel safe: the datagram is sent as a whole or not at all.
    ///
    /// # Errors
    /// [`SendError::AddressFamily`].
    pub async fn send_datagram(&self, path: &FiveTuple, bytes: &[u8]) -> Result<(), SendError> {
        let route = self.route(path)?;
        while self.send_run(route, None, bytes, bytes.len().max(1), 1).is_err() {
            self.writable().await;
        }
        Ok(())
    }

    /// Waits until the kernel's send buffer has room. Cancel safe.
    pub async fn writable(&self) {
        std::future::poll_fn(|context| self.poll_writable(context)).await;
    }

    /// As [`writable`](Self::writable), for those who poll. Only the task that polled last is woken.
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        // The reactor's end is an error here; the next send finds out.
        self.io.poll_send_ready(context).map(drop)
    }

    /// Where a path leads for this socket, and the address to send from where the socket has several.
    fn route(&self, path: &FiveTuple) -> Result<Route, SendError> {
        let destination = match (self.local, path.remote) {
            (SocketAddr::V4(_), SocketAddr::V4(_)) | (SocketAddr::V6(_), SocketAddr::V6(_)) => path.remote,
            (SocketAddr::V6(local), SocketAddr::V4(remote)) if local.ip().is_unspecified() => {
                SocketAddrV6::new(remote.ip().to_ipv6_mapped(), remote.port(), 0, 0).into()
            }
            (local, remote) => return Err(SendError::AddressFamily { local, remote }),
        };
        let from = path.local.ip();
        let chosen = self.local.ip().is_unspecified() && !from.is_unspecified();
        Ok(Route { destination, source: chosen.then_some(from).filter(|ip| !is_mapped(ip)) })
    }

    /// Sends `bytes`, a run of datagrams of `segment` bytes, `max_segments` with one system call.
    ///
    /// The kernel says "invalid" both when it cannot segment and when something is wrong with the path, such as
    /// a source address that is gone. Only if the same datagrams go out one by one was it segmentation.
    fn send_run(
        &self,
        route: Route,
        ecn: Option<Ecn>,
        bytes: &[u8],
        segment: usize,
        max_segments: usize,
    ) -> Result<(), Blocked> {
        let mut taken = 0;
        let mut at_once = max_segments.min(Self::MAX_SEND / segment).max(1);
        let mut doubtful = false;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(at_once * segment));
            let datagrams = now.len().div_ceil(segment);
            match self.send_once(route, ecn, now, segment) {
                Ok(()) => {
                    self.counters.sent(datagrams);
                    if doubtful {
                        self.segmentation.store(false, Ordering::Relaxed);
                        doubtful = false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Blocked { taken }),
                Err(error) if datagrams > 1 && is_invalid(&error) => {
                    (at_once, doubtful) = (1, true);
                    continue;
                }
                Err(error) => self.counters.lost(&error, datagrams),
            }
            taken += datagrams;
            rest = later;
        }
        Ok(())
    }

    /// Sends a datagram without contents.
    fn send_empty(&self, route: Route, ecn: Option<Ecn>) -> Result<(), SendError> {
        match self.send_once(route, ecn, &[], 1) {
            Ok(()) => self.counters.sent(1),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(SendError::Full { sent: 0 });
            }
            Err(error) => self.counters.lost(&error, 1),
        }
        Ok(())
    }

    fn send_once(&self, route: Route, ecn: Option<Ecn>, contents: &[u8], segment: usize) -> io::Result<()> {
        if route.destination.port() == 0 {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let transmit = quinn_udp::Transmit {
            destination: route.destination,
            ecn: ecn.and_then(|ecn| EcnCodepoint::from_bits(ecn.bits())),
            contents,
            segment_size: Some(segment),
            src_ip: route.source,
        };
        match self.sendmsg(&transmit) {
            // An earlier datagram was refused, and this call only told so: this datagram did not leave.
            Err(error) if is_refusal(&error) || self.icmp && is_unreachable(&error) => {
                self.counters.lost(&error, 0);
                self.sendmsg(&transmit)
            }
            // quinn-udp has given up segmentation and ECN now, for good.
            Err(error) if is_invalid(&error) => {
                self.kernel.ask_again(&self.io);
                Err(error)
            }
            result => result,
        }
    }

    fn sendmsg(&self, transmit: &quinn_udp::Transmit<'_>) -> io::Result<()> {
        let send = || self.kernel.send(&self.io, transmit);
        match send() {
            // Once more, in a way that tokio notices: it is to wait for room now.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.io.try_io(Interest::WRITABLE, send)
            }
            result => result,
        }
    }
}

/// What came of a receive.
enum Received {
    Datagrams,
    Nothing,
    /// As many system calls as one receive makes brought nothing; there may be more.
    Fruitless,
}

#[derive(Clone, Copy)]
struct Route {
    destination: SocketAddr,
    source: Option<IpAddr>,
}

/// The send buffer is full after so many datagrams.
struct Blocked {
    taken: usize,
}

fn is_mapped(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if Ipv6Addr::to_ipv4_mapped(ip).is_some())
}

/// Whether the error tells of an ICMP message that an earlier datagram caused.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

/// Whether the error may tell of an ICMP message, where those are kept.
fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, PermissionDenied};
    matches!(error.kind(), HostUnreachable | NetworkUnreachable | PermissionDenied)
        || quinn_udp::is_msg_size_err(error)
}

/// EINVAL, or EIO, which drivers without checksum offload give.
fn is_invalid(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput || (cfg!(unix) && error.raw_os_error() == Some(5))
}

/// Whether the socket is of no use any more: its descriptor is none, or not of a socket. All else may pass: on Windows
/// each ICMP message is an error, and so is each datagram that is larger than the buffer.
fn is_gone(error: &io::Error) -> bool {
    let codes: &[i32] = if cfg!(windows) { &[6, 10_009, 10_038] } else { &[EBADF, ENOTSOCK] };
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// Of POSIX, and the same on all systems that have it.
const EBADF: i32 = 9;
const ENOTSOCK: i32 = if cfg!(any(target_os = "linux", target_os = "android")) { 88 } else { 38 };

fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable, PermissionDenied};
    is_refusal(error)
        || matches!(
            error.kind(),
            HostUnreachable | NetworkUnreachable | NetworkDown | PermissionDenied | Interrupted
        )
        || UdpStats::is_out_of_buffers(error)
        || quinn_udp::is_msg_size_err(error)
}

/// Why a socket could not be bound.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Sockets belong to a tokio runtime with its input and output enabled, endpoints to one with time as well.
    #[error(
        "no tokio runtime with input, output and time here; bind inside one that was built with enable_all()"
    )]
    NoRuntime,
    /// The system refused.
    #[error("cannot bind {address}: {source}")]
    Io {
        /// The address to be bound.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Every port of the range is in use.
    #[error("all ports from {range} of {ip} are in use; widen the range or close sockets")]
    RangeBusy {
        /// The address.
        ip: IpAddr,
        /// The range.
        range: PortRange,
    },
    /// The system has no randomness to choose a port with.
    #[error("the system gives no random numbers")]
    NoRandom,
}

/// Why datagrams were not sent.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The kernel's send buffer is full.
    #[error("the send buffer is full after {sent} datagrams; wait until the socket is writable")]
    Full {
        /// How many datagrams of the transmit have been sent.
        sent: usize,
    },
    /// The transmit has no path: its layer knows no addresses.
    #[error("the transmit has no path; set it before sending")]
    NoPath,
    /// No socket is of the protocol and bound to the address that the path begins at.
    #[error("no {:?} socket is bound to {}", path.protocol, path.local)]
    NoSocket {
        /// The path.
        path: FiveTuple,
    },
    /// The socket cannot reach addresses of the family.
    #[error("a socket bound to {local} cannot send to {remote}; use one of the same address family")]
    AddressFamily {
        /// What the socket is bound to.
        local: SocketAddr,
        /// The destination.
        remote: SocketAddr,
    },
}

#[cfg(test)]
mod tests;
