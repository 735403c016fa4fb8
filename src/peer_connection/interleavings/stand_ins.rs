//! What stands in for the machine: the scheduler's locks and wake-ups, a wire in memory, and a clock that never rings.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

pub(in crate::peer_connection) use shuttle::sync::atomic;
pub(in crate::peer_connection) use shuttle::sync::{Mutex, MutexGuard};
pub(in crate::peer_connection) use shuttle_tokio::select;
pub(in crate::peer_connection) use shuttle_tokio::sync::Notify;
pub(in crate::peer_connection) use shuttle_tokio::task::yield_now;

use crate::layer::{FiveTuple, StreamReport, StreamRequest, Transmit, TransmitBatch};
use crate::net::{ReceiveBatch, SendError, UdpStats};

/// What is to happen without a timer must not be saved by one.
pub(in crate::peer_connection) async fn sleep_until(_: tokio::time::Instant) {
    std::future::pending().await
}

/// Endpoints of these tests have wires of their own.
pub(in crate::peer_connection) fn sockets(_: crate::net::UdpSocket, _: crate::net::Streams) -> Sockets {
    unreachable!("no socket is bound here")
}

/// One end of a wire in memory, full when too many datagrams wait at the other. When that is gone they are lost.
#[derive(Debug)]
pub(in crate::peer_connection) struct Sockets {
    here: Arc<End>,
    there: Arc<End>,
}

#[derive(Debug)]
struct End {
    address: SocketAddr,
    /// What has arrived and was not received yet; `None` when the socket is gone.
    queue: Mutex<Option<VecDeque<Vec<u8>>>>,
    room: usize,
    arrived: Notify,
    /// There is room for more.
    drained: Notify,
}

/// Two sockets that reach each other, with room for so many datagrams at each.
pub(super) fn wire(room: usize) -> (Sockets, Sockets) {
    let end = |address| {
        let (arrived, drained) = (Notify::new(), Notify::new());
        Arc::new(End { address, queue: Mutex::new(Some(VecDeque::new())), room, arrived, drained })
    };
    let a = end(SocketAddr::from(([10, 0, 0, 1], 1)));
    let b = end(SocketAddr::from(([10, 0, 0, 2], 2)));
    (Sockets { here: a.clone(), there: b.clone() }, Sockets { here: b, there: a })
}

impl Drop for Sockets {
    fn drop(&mut self) {
        *self.here.queue.lock().unwrap() = None;
        self.here.drained.notify_one();
    }
}

impl Sockets {
    pub(super) fn local_addr(&self) -> SocketAddr {
        self.here.address
    }

    pub(in crate::peer_connection) fn local_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        std::iter::once(self.local_addr())
    }

    pub(in crate::peer_connection) fn max_segments(&self) -> usize {
        TransmitBatch::DEFAULT_MAX_SEGMENTS
    }

    pub(in crate::peer_connection) fn udp_stats(&self) -> UdpStats {
        UdpStats::default()
    }

    /// There are no streams here.
    pub(in crate::peer_connection) fn listening(&self) -> Vec<SocketAddr> {
        Vec::new()
    }

    pub(in crate::peer_connection) fn listening_simultaneous(&self) -> Vec<SocketAddr> {
        Vec::new()
    }

    pub(in crate::peer_connection) fn request(&self, _: StreamRequest) {}

    pub(in crate::peer_connection) fn take_report(&self) -> Option<StreamReport> {
        None
    }

    /// Sends what there is always room for.
    pub(super) fn send(&self, batch: &TransmitBatch, transmit: &Transmit) {
        let datagrams = batch.datagrams(transmit).map(<[u8]>::to_vec);
        self.there.queue.lock().unwrap().as_mut().unwrap().extend(datagrams);
        self.there.arrived.notify_one();
    }

    pub(in crate::peer_connection) fn try_send(
        &self,
        batch: &TransmitBatch,
        transmit: &Transmit,
    ) -> Result<(), SendError> {
        self.try_send_rest(batch, transmit, 0)
    }

    pub(in crate::peer_connection) fn try_send_rest(
        &self,
        batch: &TransmitBatch,
        transmit: &Transmit,
        mut sent: usize,
    ) -> Result<(), SendError> {
        let mut queue = self.there.queue.lock().unwrap();
        let Some(queue) = &mut *queue else { return Ok(()) };
        let mut result = Ok(());
        for datagram in batch.datagrams(transmit).skip(sent) {
            if queue.len() >= self.there.room {
                result = Err(SendError::Full { sent });
                break;
            }
            queue.push_back(datagram.to_vec());
            sent += 1;
        }
        self.there.arrived.notify_one();
        result
    }

    pub(in crate::peer_connection) async fn recv(&self, batch: &mut ReceiveBatch) -> io::Result<()> {
        loop {
            let arrived = self.here.arrived.notified();
            let next = self.here.queue.lock().unwrap().as_mut().and_then(VecDeque::pop_front);
            if let Some(bytes) = next {
                self.here.drained.notify_one();
                return batch.fill_with(self.here.address, self.there.address, &bytes);
            }
            arrived.await;
        }
    }

    pub(in crate::peer_connection) async fn writable(&self, _: Option<FiveTuple>) {
        loop {
            let drained = self.there.drained.notified();
            if self.there.queue.lock().unwrap().as_ref().is_none_or(|queue| queue.len() < self.there.room) {
                return;
            }
            drained.await;
        }
    }
}
