use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::driver::Driver;
use super::error::PeerConnectionError;
use super::shared::{EndpointShared, Shared};
use crate::net::{BindError, InterfaceFilter, PortRange, UdpConfig, UdpSocket};
use crate::session::Session;

/// A UDP socket and the task that moves datagrams for all connections on it. Cheap to clone; the task ends with
/// the last handle and the last connection.
///
/// Connections that share an endpoint share its port: checks are told apart by their ICE fragment, everything
/// else by the path. A server that should use several cores has an endpoint, with a port of its own, for each.
#[derive(Clone, Debug)]
pub struct Endpoint(Arc<EndpointHandle>);

#[derive(Debug)]
struct EndpointHandle(Arc<EndpointShared>);

/// How an [`Endpoint`] is made.
#[derive(Clone, Debug, Default)]
pub struct EndpointBuilder {
    address: Option<SocketAddr>,
    ports: Option<PortRange>,
    udp: UdpConfig,
    filter: InterfaceFilter,
}

impl Endpoint {
    /// An endpoint on all addresses of this machine and a port that the system chooses, unless told otherwise.
    pub fn builder() -> EndpointBuilder {
        EndpointBuilder::default()
    }

    /// The address that the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared().socket.local_addr()
    }

    /// What the socket has sent, received and lost.
    pub fn stats(&self) -> crate::net::UdpStats {
        self.shared().socket.stats()
    }

    fn shared(&self) -> &Arc<EndpointShared> {
        &self.0.0
    }

    /// Puts a session on the endpoint.
    pub(super) fn add(&self, session: Session) -> Arc<Shared> {
        Shared::new(self.shared().clone(), session)
    }
}

impl Drop for EndpointHandle {
    fn drop(&mut self) {
        self.0.is_orphaned.store(true, Ordering::Release);
        self.0.wake.notify_one();
    }
}

impl EndpointBuilder {
    /// Binds this address, of one interface or of all (`0.0.0.0`, `[::]`). Port 0 lets the system choose.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Binds a free port of this range, such as a firewall lets through.
    #[must_use]
    pub fn ports(mut self, ports: PortRange) -> Self {
        self.ports = Some(ports);
        self
    }

    /// Sets the socket's buffers and offloads.
    #[must_use]
    pub fn udp(mut self, udp: UdpConfig) -> Self {
        self.udp = udp;
        self
    }

    /// Says which addresses of this machine are candidates, if the socket is bound to all.
    #[must_use]
    pub fn interfaces(mut self, filter: InterfaceFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Whether addresses that only this machine reaches are candidates, too. They are not by default.
    #[must_use]
    pub fn loopback(mut self, loopback: bool) -> Self {
        self.filter.loopback = loopback;
        self
    }

    /// Binds the socket and starts the task.
    ///
    /// # Errors
    /// [`PeerConnectionError::Bind`] says which address cannot be bound and why.
    pub fn bind(self) -> Result<Endpoint, PeerConnectionError> {
        let socket = self.bind_socket()?;
        let shared = Arc::new(EndpointShared::new(socket, self.filter));
        tokio::spawn(Driver::new(shared.clone()).run());
        Ok(Endpoint(Arc::new(EndpointHandle(shared))))
    }

    fn bind_socket(&self) -> Result<UdpSocket, BindError> {
        let bind = |address: SocketAddr| match self.ports {
            Some(ports) => self.udp.bind_in(address.ip(), ports),
            None => self.udp.bind(address),
        };
        match self.address {
            Some(address) => bind(address),
            // Both families on one socket; a machine without IPv6 has IPv4.
            None => bind((IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0).into())
                .or_else(|_| bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0).into())),
        }
    }
}
