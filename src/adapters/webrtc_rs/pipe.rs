//! The bounded pair of queues between a crate's tasks and the caller of an adapter.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc};
use webrtc_util::{Conn, Error};

/// The crate's end.
pub(super) struct Pipe {
    inbound: Mutex<mpsc::Receiver<Vec<u8>>>,
    outbound: mpsc::Sender<Vec<u8>>,
    taken: Arc<AtomicU64>,
}

/// The caller's end. Dropping it ends the other.
#[derive(Debug)]
pub(super) struct PipeEnd {
    inbound: mpsc::Sender<Vec<u8>>,
    outbound: mpsc::Receiver<Vec<u8>>,
    pushed: u64,
    taken: Arc<AtomicU64>,
    /// How many datagrams were taken when something last moved, and when that was.
    progress: Option<(u64, Instant)>,
}

/// Queues of `capacity` datagrams in each direction. Inbound ones on top are refused, which is loss; the crate
/// waits before it sends more than the caller takes.
pub(super) fn pipe(capacity: usize) -> (Arc<Pipe>, PipeEnd) {
    let (inbound, to_crate) = mpsc::channel(capacity.max(1));
    let (from_crate, outbound) = mpsc::channel(capacity.max(1));
    let taken = Arc::new(AtomicU64::new(0));
    let pipe = Pipe { inbound: Mutex::new(to_crate), outbound: from_crate, taken: taken.clone() };
    (Arc::new(pipe), PipeEnd { inbound, outbound, pushed: 0, taken, progress: None })
}

impl PipeEnd {
    /// False if the datagram found no room.
    pub(super) fn push(&mut self, datagram: &[u8]) -> bool {
        let pushed = self.inbound.try_send(datagram.to_vec()).is_ok();
        self.pushed += u64::from(pushed);
        pushed
    }

    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        self.outbound.try_recv().ok()
    }

    /// Nothing that the crate sends is taken any more: it finds its connection closed.
    #[cfg(feature = "webrtc-sctp")]
    pub(super) fn refuse_outbound(&mut self) {
        self.outbound.close();
    }

    /// Whether datagrams have waited for `patience`, and the crate has taken none of them: a task has ended that
    /// should not have, or does not come on.
    pub(super) fn is_stalled(&mut self, now: Instant, patience: Duration) -> bool {
        let taken = self.taken.load(Ordering::Relaxed);
        if taken >= self.pushed {
            self.progress = None;
            return false;
        }
        match self.progress {
            Some((before, since)) if before == taken => now.saturating_duration_since(since) >= patience,
            _ => {
                self.progress = Some((taken, now));
                false
            }
        }
    }
}

/// What stands for the addresses that the adapter's crate does not need to know.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

#[async_trait]
impl Conn for Pipe {
    async fn connect(&self, _: SocketAddr) -> webrtc_util::Result<()> {
        Ok(())
    }

    async fn recv(&self, buf: &mut [u8]) -> webrtc_util::Result<usize> {
        let datagram = self.inbound.lock().await.recv().await.ok_or(Error::ErrUseClosedNetworkConn)?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        let out = buf.get_mut(..datagram.len()).ok_or(Error::ErrBufferShort)?;
        out.copy_from_slice(&datagram);
        Ok(datagram.len())
    }

    async fn recv_from(&self, buf: &mut [u8]) -> webrtc_util::Result<(usize, SocketAddr)> {
        Ok((self.recv(buf).await?, NOWHERE))
    }

    async fn send(&self, buf: &[u8]) -> webrtc_util::Result<usize> {
        self.outbound.send(buf.to_vec()).await.map_err(|_| Error::ErrUseClosedNetworkConn)?;
        Ok(buf.len())
    }

    async fn send_to(&self, buf: &[u8], _: SocketAddr) -> webrtc_util::Result<usize> {
        self.send(buf).await
    }

    fn local_addr(&self) -> webrtc_util::Result<SocketAddr> {
        Ok(NOWHERE)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        Some(NOWHERE)
    }

    async fn close(&self) -> webrtc_util::Result<()> {
        self.inbound.lock().await.close();
        Ok(())
    }

    fn as_any(&self) -> &(dyn std::any::Any + Send + Sync) {
        self
    }
}
