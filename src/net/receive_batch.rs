//! Buffers that a socket fills.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use quinn_udp::RecvMeta;
use smallvec::SmallVec;

use crate::layer::{Datagram, Ecn, FiveTuple, Protocol};

/// Buffers that a [`UdpSocket`](super::UdpSocket) fills, one at first and more when all were filled: made once,
/// used for every receive.
///
/// One system call fills several buffers, and the kernel may put several datagrams of one sender into each
/// (generic receive offload). [`datagrams`](Self::datagrams) hands out each by itself.
///
/// ```
/// use kaon_rtc::net::{ReceiveBatch, UdpSocket};
///
/// async fn count(socket: &UdpSocket) -> std::io::Result<()> {
///     let mut batch = ReceiveBatch::default();
///     loop {
///         socket.recv(&mut batch).await?;
///         for datagram in batch.datagrams() {
///             println!("{} bytes from {}", datagram.bytes.len(), datagram.path.remote);
///         }
///     }
/// }
/// ```
pub struct ReceiveBatch {
    memory: Vec<u8>,
    /// As many as there are to be buffers at most; none before the first receive.
    metas: Vec<RecvMeta>,
    max_buffers: usize,
    filled: usize,
    local: SocketAddr,
    /// What they came by.
    protocol: Protocol,
    /// Where frames that are added come from.
    #[cfg(all(feature = "tls", feature = "dtls"))]
    remote: SocketAddr,
}

impl ReceiveBatch {
    /// The number of buffers unless told otherwise.
    pub const DEFAULT_BUFFERS: usize = 8;

    /// The most buffers that one system call fills; more are of no use.
    pub const MAX_BUFFERS: usize = quinn_udp::BATCH_SIZE;

    /// The largest UDP payload, and the most that receive offload puts into one buffer: a smaller buffer
    /// would lose datagrams.
    const BUFFER: usize = 65_535;

    /// A batch of at most `buffers` buffers of 64 KiB, 1 to [`MAX_BUFFERS`](Self::MAX_BUFFERS). Memory that was never
    /// written to costs address space only.
    pub fn new(buffers: usize) -> Self {
        Self {
            memory: Vec::new(),
            metas: Vec::new(),
            max_buffers: buffers.clamp(1, Self::MAX_BUFFERS),
            filled: 0,
            local: SocketAddr::from(([0, 0, 0, 0], 0)),
            protocol: Protocol::Udp,
            #[cfg(all(feature = "tls", feature = "dtls"))]
            remote: SocketAddr::from(([0, 0, 0, 0], 0)),
        }
    }

    /// The datagrams that the last receive brought. They can be had again until the next receive, in the state
    /// that the last reader left them.
    pub fn datagrams(&mut self) -> impl Iterator<Item = Datagram<'_>> {
        let (local, protocol) = (self.local, self.protocol);
        let buffers = self.memory.chunks_exact_mut(Self::BUFFER).zip(&self.metas).take(self.filled);
        buffers.flat_map(move |(buffer, meta)| {
            let (local, remote) = (destination(local, meta), canonical(meta.addr));
            let path = FiveTuple { protocol, local, remote };
            let ecn = meta.ecn.and_then(|ecn| Ecn::from_bits(ecn as u8));
            let len = meta.len.min(buffer.len());
            // An empty datagram has no segments, and says nothing to any layer.
            buffer[..len].chunks_mut(meta.stride.max(1)).map(move |bytes| Datagram { path, ecn, bytes })
        })
    }

    /// The same with those of one sender together that the kernel put into one buffer: each of so many bytes, the last
    /// one perhaps shorter. An empty datagram is a run by itself.
    pub fn runs(&mut self) -> impl Iterator<Item = (Datagram<'_>, usize)> {
        let (local, protocol) = (self.local, self.protocol);
        let buffers = self.memory.chunks_exact_mut(Self::BUFFER).zip(&self.metas).take(self.filled);
        buffers.map(move |(buffer, meta)| {
            let (local, remote) = (destination(local, meta), canonical(meta.addr));
            let path = FiveTuple { protocol, local, remote };
            let ecn = meta.ecn.and_then(|ecn| Ecn::from_bits(ecn as u8));
            let len = meta.len.min(buffer.len());
            (Datagram { path, ecn, bytes: &mut buffer[..len] }, meta.stride.max(1))
        })
    }

    /// Whether the last receive brought nothing.
    pub fn is_empty(&self) -> bool {
        self.metas[..self.filled].iter().all(|meta| meta.len == 0)
    }

    /// Holds one datagram that came from `from`.
    #[cfg(all(test, kaon_shuttle))]
    pub(crate) fn fill_with(&mut self, local: SocketAddr, from: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.fill(local, |buffers, metas| {
            buffers[0][..bytes.len()].copy_from_slice(bytes);
            metas[0] = RecvMeta::default();
            (metas[0].addr, metas[0].len, metas[0].stride) = (from, bytes.len(), bytes.len());
            Ok(1)
        })
    }

    /// Has the buffers filled by `receive`, on a socket that is bound to `local`.
    pub(super) fn fill(
        &mut self,
        local: SocketAddr,
        receive: impl FnOnce(&mut [IoSliceMut<'_>], &mut [RecvMeta]) -> io::Result<usize>,
    ) -> io::Result<()> {
        self.make_room();
        self.filled = 0;
        (self.local, self.protocol) = (local, Protocol::Udp);
        let mut slices: SmallVec<[IoSliceMut<'_>; Self::MAX_BUFFERS]> =
            self.memory.chunks_exact_mut(Self::BUFFER).map(IoSliceMut::new).collect();
        self.filled = receive(&mut slices, &mut self.metas)?;
        Ok(())
    }

    /// One more buffer, and so on, when all were filled.
    fn make_room(&mut self) {
        let buffers = self.memory.len() / Self::BUFFER;
        if self.filled == buffers && buffers < self.max_buffers {
            self.memory = vec![0; (2 * buffers).clamp(1, self.max_buffers) * Self::BUFFER];
            self.metas.resize(self.max_buffers, RecvMeta::default());
        }
    }

    /// The longest frame of a stream that a buffer holds.
    pub(super) const MAX_FRAME: usize = Self::BUFFER;

    /// Holds nothing.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Begins anew with what came by this path.
    #[cfg(all(feature = "tls", feature = "dtls"))]
    pub(super) fn begin_frames(&mut self, path: FiveTuple) {
        self.fill_frames(path, |_| None);
        self.remote = path.remote;
    }

    /// Whether there is a buffer for another frame.
    #[cfg(all(feature = "tls", feature = "dtls"))]
    pub(super) fn has_room(&self) -> bool {
        self.filled < self.memory.len() / Self::BUFFER
    }

    /// Adds a frame by the path that was begun with, if there is room.
    #[cfg(all(feature = "tls", feature = "dtls"))]
    pub(super) fn push_frame(&mut self, frame: &[u8]) {
        let buffer = self.memory.chunks_exact_mut(Self::BUFFER).nth(self.filled);
        let (Some(buffer), Some(meta)) = (buffer, self.metas.get_mut(self.filled)) else { return };
        let Some(place) = buffer.get_mut(..frame.len()) else { return };
        place.copy_from_slice(frame);
        *meta = RecvMeta::default();
        (meta.addr, meta.len, meta.stride) = (self.remote, frame.len(), frame.len());
        self.filled += 1;
    }

    /// Has `next` put frames of a stream into the buffers, one into each, as long as there are any; it says how long each
    /// is.
    pub(super) fn fill_frames(&mut self, path: FiveTuple, mut next: impl FnMut(&mut [u8]) -> Option<usize>) {
        self.make_room();
        self.filled = 0;
        (self.local, self.protocol) = (path.local, path.protocol);
        for (buffer, meta) in self.memory.chunks_exact_mut(Self::BUFFER).zip(&mut self.metas) {
            let Some(len) = next(buffer) else { break };
            *meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride) = (path.remote, len, len);
            self.filled += 1;
        }
    }
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self::new(Self::DEFAULT_BUFFERS)
    }
}

impl fmt::Debug for ReceiveBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveBatch")
            .field("buffers", &self.max_buffers)
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}

/// The local address of a path: of a socket that is bound to all addresses, the one that the datagram was
/// sent to.
fn destination(local: SocketAddr, meta: &RecvMeta) -> SocketAddr {
    match meta.dst_ip {
        Some(ip) if local.ip().is_unspecified() => match ip.to_canonical() {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => {
                SocketAddrV6::new(ip, local.port(), 0, meta.interface_index.unwrap_or(0)).into()
            }
            ip => SocketAddr::new(ip, local.port()),
        },
        _ => local,
    }
}

/// An IPv4 address that a dual-stack socket maps into IPv6 as what it is.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}
