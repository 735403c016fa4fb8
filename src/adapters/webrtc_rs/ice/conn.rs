//! The crate's end of one host address: a connection over bounded queues, and the mux that hands it out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc};
use webrtc_ice::udp_mux::UDPMux;
use webrtc_util::{Conn, Error};

use crate::layer::FiveTuple;

/// A datagram for the crate, and who sent it.
pub(super) type Incoming = (SocketAddr, Vec<u8>);

/// A datagram of the crate, to be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Which generation's agent it is of.
    pub(super) generation: u64,
    pub(super) path: FiveTuple,
    pub(super) bytes: Vec<u8>,
}

/// What passed between the crate and the caller.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Datagrams that the crate took.
    pub(super) taken: AtomicU64,
    /// Datagrams that the crate gave.
    pub(super) given: AtomicU64,
    /// Those of them that found no room.
    pub(super) refused: AtomicU64,
}

/// One host address.
pub(super) struct HostConn {
    pub(super) generation: u64,
    pub(super) address: SocketAddr,
    pub(super) inbound: Mutex<mpsc::Receiver<Incoming>>,
    pub(super) outbound: mpsc::Sender<Outgoing>,
    pub(super) passed: Arc<Passed>,
}

#[async_trait]
impl Conn for HostConn {
    async fn connect(&self, _: SocketAddr) -> webrtc_util::Result<()> {
        Ok(())
    }

    async fn recv(&self, buf: &mut [u8]) -> webrtc_util::Result<usize> {
        Ok(self.recv_from(buf).await?.0)
    }

    async fn recv_from(&self, buf: &mut [u8]) -> webrtc_util::Result<(usize, SocketAddr)> {
        let (source, datagram) =
            self.inbound.lock().await.recv().await.ok_or(Error::ErrUseClosedNetworkConn)?;
        self.passed.taken.fetch_add(1, Ordering::Relaxed);
        let out = buf.get_mut(..datagram.len()).ok_or(Error::ErrBufferShort)?;
        out.copy_from_slice(&datagram);
        Ok((datagram.len(), source))
    }

    async fn send(&self, _: &[u8]) -> webrtc_util::Result<usize> {
        Err(Error::ErrNoRemAddr)
    }

    /// Never waits: the crate's checks must come on, and a datagram without room is as good as lost.
    async fn send_to(&self, buf: &[u8], target: SocketAddr) -> webrtc_util::Result<usize> {
        let path = FiveTuple::udp(self.address, target);
        let outgoing = Outgoing { generation: self.generation, path, bytes: buf.to_vec() };
        self.passed.given.fetch_add(1, Ordering::Relaxed);
        if self.outbound.try_send(outgoing).is_err() {
            self.passed.refused.fetch_add(1, Ordering::Relaxed);
        }
        Ok(buf.len())
    }

    fn local_addr(&self) -> webrtc_util::Result<SocketAddr> {
        Ok(self.address)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// The caller's end closes it.
    async fn close(&self) -> webrtc_util::Result<()> {
        Ok(())
    }

    fn as_any(&self) -> &(dyn std::any::Any + Send + Sync) {
        self
    }
}

/// Gives the agent of one host address its connection.
pub(super) struct HostMux(pub(super) Arc<HostConn>);

#[async_trait]
impl UDPMux for HostMux {
    async fn close(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn get_conn(self: Arc<Self>, _: &str) -> Result<Arc<dyn Conn + Send + Sync>, Error> {
        Ok(self.0.clone())
    }

    async fn remove_conn_by_ufrag(&self, _: &str) {}
}
