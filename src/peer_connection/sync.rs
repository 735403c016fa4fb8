//! What handles and driver meet at: locks, wake-ups and the sockets, in one place, so that a scheduler of tests can stand
//! in for that of the machine and try the orders in which they may run.

#[cfg(not(all(test, kaon_shuttle)))]
mod of_the_machine {
    pub(in crate::peer_connection) use std::sync::atomic;
    pub(in crate::peer_connection) use std::sync::{Mutex, MutexGuard};

    pub(in crate::peer_connection) use tokio::select;
    pub(in crate::peer_connection) use tokio::sync::Notify;
    pub(in crate::peer_connection) use tokio::task::yield_now;
    pub(in crate::peer_connection) use tokio::time::sleep_until;

    pub(in crate::peer_connection) use crate::net::Sockets;

    /// Those of an endpoint.
    pub(in crate::peer_connection) fn sockets(
        socket: crate::net::UdpSocket,
        streams: crate::net::Streams,
    ) -> Sockets {
        let mut sockets = Sockets::from(socket);
        sockets.set_streams(streams);
        sockets
    }
}

#[cfg(not(all(test, kaon_shuttle)))]
pub(super) use of_the_machine::*;

#[cfg(all(test, kaon_shuttle))]
pub(super) use super::interleavings::stand_ins::*;
