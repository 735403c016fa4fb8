//! What a UDP socket counts.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`UdpSocket`](super::UdpSocket) did, in datagrams since it was bound, and what it lost, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UdpStats {
    /// Datagrams that the kernel took.
    pub sent: u64,
    /// Datagrams that arrived.
    pub received: u64,
    /// Times that the kernel told of a datagram that nobody listened to (ICMP port unreachable).
    pub refused: u64,
    /// Datagrams without a route to their destination.
    pub unreachable: u64,
    /// Datagrams that a firewall or the system's rules forbade.
    pub forbidden: u64,
    /// Datagrams that the system had no memory for.
    pub out_of_buffers: u64,
    /// Datagrams that were larger than the path takes. They are not fragmented.
    pub too_large: u64,
    /// Datagrams that the system did not send for another reason, such as port 0.
    pub other_errors: u64,
}

impl UdpStats {
    /// What two sockets did together.
    pub(super) fn plus(&self, other: &Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            received: self.received + other.received,
            refused: self.refused + other.refused,
            unreachable: self.unreachable + other.unreachable,
            forbidden: self.forbidden + other.forbidden,
            out_of_buffers: self.out_of_buffers + other.out_of_buffers,
            too_large: self.too_large + other.too_large,
            other_errors: self.other_errors + other.other_errors,
        }
    }

    /// ENOBUFS has no [`io::ErrorKind`].
    pub(super) fn is_out_of_buffers(error: &io::Error) -> bool {
        let code = if cfg!(windows) {
            10_055
        } else if cfg!(any(target_os = "linux", target_os = "android")) {
            105
        } else {
            55
        };
        error.kind() == io::ErrorKind::OutOfMemory || error.raw_os_error() == Some(code)
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    refused: AtomicU64,
    unreachable: AtomicU64,
    forbidden: AtomicU64,
    out_of_buffers: AtomicU64,
    too_large: AtomicU64,
    other_errors: AtomicU64,
}

impl Counters {
    pub(super) fn sent(&self, datagrams: usize) {
        self.sent.fetch_add(datagrams as u64, Ordering::Relaxed);
    }

    pub(super) fn received(&self, datagrams: usize) {
        self.received.fetch_add(datagrams as u64, Ordering::Relaxed);
    }

    /// Counts `error`, which `datagrams` datagrams were lost to; 0 when it tells of one sent before.
    pub(super) fn lost(&self, error: &io::Error, datagrams: usize) {
        use io::ErrorKind::{
            ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable,
            PermissionDenied,
        };
        let counter = match error.kind() {
            ConnectionRefused | ConnectionReset => &self.refused,
            HostUnreachable | NetworkUnreachable | NetworkDown => &self.unreachable,
            PermissionDenied => &self.forbidden,
            _ if UdpStats::is_out_of_buffers(error) => &self.out_of_buffers,
            _ if quinn_udp::is_msg_size_err(error) => &self.too_large,
            _ => &self.other_errors,
        };
        counter.fetch_add(datagrams.max(1) as u64, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> UdpStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        UdpStats {
            sent: read(&self.sent),
            received: read(&self.received),
            refused: read(&self.refused),
            unreachable: read(&self.unreachable),
            forbidden: read(&self.forbidden),
            out_of_buffers: read(&self.out_of_buffers),
            too_large: read(&self.too_large),
            other_errors: read(&self.other_errors),
        }
    }
}
