//! What the kernel does for a UDP socket beyond sending and receiving one datagram at a time.

use std::io::{self, IoSliceMut};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::net::UdpSocket;

/// What a [`UdpSocket`](super::UdpSocket) has of the kernel beyond sending and receiving datagrams one at a time.
/// What is missing is done without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UdpCapabilities {
    /// Several datagrams are sent with one system call (UDP_SEGMENT).
    pub segmentation: bool,
    /// Several datagrams of one sender are received in one buffer (UDP_GRO).
    pub receive_offload: bool,
    /// ECN marks of datagrams are received.
    pub ecn: bool,
    /// The address of this machine that a datagram was sent to is known. Without it bind one address: on a socket
    /// that is bound to all, paths have an unspecified local address.
    pub destination_address: bool,
}

/// The options of a socket as quinn-udp sets them, or none where the kernel refuses one that quinn-udp insists on.
#[derive(Debug)]
pub(super) struct Kernel(RwLock<Option<UdpSocketState>>);

impl Kernel {
    /// Asks the kernel for all that is of use. None of it is needed, so nothing that it refuses is an error.
    pub(super) fn ask(socket: &UdpSocket) -> Self {
        Self(RwLock::new(new_state(socket)))
    }

    /// As on a kernel that refuses everything.
    #[cfg(test)]
    pub(super) fn refusing() -> Self {
        Self(RwLock::new(None))
    }

    /// Asks anew: quinn-udp gives up segmentation and ECN for good when one send was refused.
    pub(super) fn ask_again(&self, socket: &UdpSocket) {
        if let Some(state) = new_state(socket) {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(state);
        }
    }

    pub(super) fn max_segments(&self) -> usize {
        self.state().as_ref().map_or(1, UdpSocketState::max_gso_segments)
    }

    pub(super) fn capabilities(&self, socket: &UdpSocket) -> UdpCapabilities {
        let state = self.state();
        UdpCapabilities {
            segmentation: state.as_ref().is_some_and(|state| state.max_gso_segments() > 1),
            receive_offload: state.as_ref().is_some_and(|state| state.gro_segments() > 1),
            ecn: state.is_some() && receives_ecn(socket),
            destination_address: state.is_some(),
        }
    }

    pub(super) fn receive(
        &self,
        socket: &UdpSocket,
        slices: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> io::Result<usize> {
        if let Some(state) = &*self.state() {
            return state.recv(UdpSockRef::from(socket), slices, metas);
        }
        let (Some(slice), Some(meta)) = (slices.first_mut(), metas.first_mut()) else { return Ok(0) };
        let (len, addr) = socket.try_recv_from(slice)?;
        *meta = RecvMeta::default();
        (meta.addr, meta.len, meta.stride) = (addr, len, len);
        Ok(1)
    }

    /// Whether a receive goes on until all buffers are filled or nothing is left (recvmmsg).
    pub(super) fn fills_all(&self) -> bool {
        cfg!(any(target_os = "linux", target_os = "android")) && self.state().is_some()
    }

    pub(super) fn send(&self, socket: &UdpSocket, transmit: &Transmit<'_>) -> io::Result<()> {
        match &*self.state() {
            Some(state) => state.try_send(UdpSockRef::from(socket), transmit),
            // One datagram, as `max_segments` says.
            None => socket.try_send_to(transmit.contents, transmit.destination).map(drop),
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, Option<UdpSocketState>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_state(socket: &UdpSocket) -> Option<UdpSocketState> {
    let state = UdpSocketState::new(UdpSockRef::from(socket))
        .inspect_err(|error| tracing::debug!(%error, "the kernel refuses an option of UDP sockets"))
        .ok()?;
    // The time stamps that quinn-udp asks for do not fit into its buffer together with what receive offload
    // says, and it is the ECN mark that is cut off then. A kernel that does not know them sends none.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) =
        nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::ReceiveTimestampns, &false)
    {
        tracing::debug!(%error, "the kernel has no time stamps to turn off");
    }
    Some(state)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn receives_ecn(socket: &UdpSocket) -> bool {
    let socket = socket2::SockRef::from(socket);
    socket.recv_tos_v4().unwrap_or(false) || socket.recv_tclass_v6().unwrap_or(false)
}

/// Elsewhere quinn-udp fails without it, or the system has no way to ask.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn receives_ecn(_: &UdpSocket) -> bool {
    true
}
