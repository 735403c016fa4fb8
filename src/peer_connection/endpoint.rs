//! A UDP socket and its task.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::driver::Driver;
use super::error::PeerConnectionError;
use super::local_names::LocalNames;
use super::shared::{EndpointShared, Shared};
use super::stable_id::{StableId, same_if_stable_id_is};
use super::sync;
use super::sync::atomic::Ordering;
use crate::ice::AddressRewriteRule;
#[cfg(feature = "tls")]
use crate::net::TlsConfig;
use crate::net::mdns::{Responder, ResponderConfig};
use crate::net::runtime::check_time;
use crate::net::{
    BindError, InterfaceFilter, InterfaceWatcher, PortRange, StreamLimits, Streams, UdpConfig, UdpSocket,
    interfaces,
};
use crate::session::{EndpointEnded, Session};

/// A UDP socket and the task that moves datagrams for all connections on it. Cheap to clone; the task ends with
/// the last handle and the last connection.
///
/// Connections that share an endpoint share its port: checks are told apart by their ICE fragment, everything
/// else by the path. Two connections between the same two endpoints cannot be told apart, therefore: the second one
/// ends with
/// [`FailureReason::PathInUse`](super::FailureReason::PathInUse); give it an endpoint of its own. A server that should use several cores has an endpoint, with a port of its own, for each.
///
/// ```
/// use kaon_rtc::peer_connection::{Endpoint, PeerConnection};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// // A server's port, for all who come.
/// let endpoint = Endpoint::builder().address("127.0.0.1:0".parse()?).bind()?;
/// let alice = PeerConnection::builder().endpoint(&endpoint).build().await?;
/// let bob = PeerConnection::builder().endpoint(&endpoint).build().await?;
/// assert_ne!(alice, bob);
/// println!("both are at {}", endpoint.local_addr());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint(Arc<EndpointHandle>);

#[derive(Debug)]
struct EndpointHandle {
    shared: Arc<EndpointShared>,
    rewrite_rules: Vec<AddressRewriteRule>,
}

/// How an [`Endpoint`] is made.
///
/// ```
/// use kaon_rtc::net::{InterfaceFilter, PortRange};
/// use kaon_rtc::peer_connection::Endpoint;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let not_docker = InterfaceFilter::default().with_accept(|address| !address.interface.starts_with("docker"));
/// let endpoint =
///     Endpoint::builder().ports(PortRange::new(50_000..=50_999)?).interfaces(not_docker).bind()?;
/// assert!((50_000..=50_999).contains(&endpoint.local_addr().port()));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct EndpointBuilder {
    address: Option<SocketAddr>,
    ports: Option<PortRange>,
    udp: UdpConfig,
    filter: InterfaceFilter,
    rewrite_rules: Vec<AddressRewriteRule>,
    streams: StreamLimits,
    tcp: Vec<SocketAddr>,
    simultaneous: Vec<SocketAddr>,
    #[cfg(feature = "tls")]
    tls: Option<TlsConfig>,
    ignores_changes: bool,
    hides_addresses: bool,
}

/// How often the system is asked for its addresses where it tells of changes itself.
const RARELY: Duration = Duration::from_secs(60);

impl Endpoint {
    /// An endpoint on all addresses of this machine and a port that the system chooses, unless told otherwise.
    pub fn builder() -> EndpointBuilder {
        EndpointBuilder::default()
    }

    /// What tells it apart from everything else that there is a handle of.
    pub fn stable_id(&self) -> StableId {
        self.shared().stable_id
    }

    /// The address that the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared().local_addr
    }

    /// What the socket has sent, received and lost.
    pub fn stats(&self) -> crate::net::UdpStats {
        self.shared().sockets.udp_stats()
    }

    /// The handle of an endpoint whose driver is there.
    pub(super) fn new(shared: Arc<EndpointShared>, rewrite_rules: Vec<AddressRewriteRule>) -> Self {
        Self(Arc::new(EndpointHandle { shared, rewrite_rules }))
    }

    fn shared(&self) -> &Arc<EndpointShared> {
        &self.0.shared
    }

    /// Whether streams are opened at the same time as peers do.
    pub(super) fn opens_simultaneously(&self) -> bool {
        !self.shared().sockets.listening_simultaneous().is_empty()
    }

    /// What its addresses are told to peers as.
    pub(super) fn rewrite_rules(&self) -> &[AddressRewriteRule] {
        &self.0.rewrite_rules
    }

    /// Why the endpoint has ended, if it has: its connections are closed then, and there can be no new ones.
    pub fn ended(&self) -> Option<EndpointEnded> {
        self.shared().ended().cloned()
    }

    /// Waits until the endpoint has ended, which happens only when its socket or its runtime is lost. Cancel safe.
    pub async fn end(&self) -> EndpointEnded {
        loop {
            let end = self.shared().end.notified();
            if let Some(ended) = self.ended() {
                return ended;
            }
            end.await;
        }
    }

    /// Puts a session on the endpoint.
    pub(super) fn add(&self, session: Session) -> Result<Arc<Shared>, EndpointEnded> {
        match self.ended() {
            Some(ended) => Err(ended),
            None => Ok(Shared::new(self.shared().clone(), session)),
        }
    }
}

impl Drop for EndpointHandle {
    fn drop(&mut self) {
        self.shared.is_orphaned.store(true, Ordering::Release);
        self.shared.wake.notify_one();
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

    /// Takes streams of TCP at this address, too, those of all connections at one port: passive candidates of ICE
    /// (RFC 6544), for peers whose network lets no UDP through. Port 0 lets the system choose. For this library's own ICE
    /// only; connections that open streams themselves are made with
    /// [`active_tcp`](super::PeerConnectionBuilder::active_tcp).
    ///
    /// ```
    /// use kaon_rtc::peer_connection::{Endpoint, PeerConnection};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let at = "127.0.0.1:0".parse()?;
    /// let endpoint = Endpoint::builder().address(at).tcp(at).loopback(true).bind()?;
    /// let connection = PeerConnection::builder().endpoint(&endpoint).build().await?;
    /// # let _ = connection;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn tcp(mut self, address: SocketAddr) -> Self {
        self.tcp.push(address);
        self
    }

    /// Takes streams of TCP at this address and opens them from its port, at the same time as peers do: simultaneous-open
    /// candidates of ICE (RFC 6544), for two sides that are both behind NATs and have no UDP. What a NAT makes of the port
    /// is asked of servers over TLS (`stuns:`). Port 0 lets the system choose. For this library's own ICE only, and for
    /// connections with an endpoint of their own: of several at one port only one at a time reaches the same port of a peer
    /// or of a server.
    #[must_use]
    pub fn simultaneous_open(mut self, address: SocketAddr) -> Self {
        self.simultaneous.push(address);
        self
    }

    /// Sets the limits of streams of TCP: of those that peers open, and of those to TURN servers.
    #[must_use]
    pub fn stream_limits(mut self, limits: StreamLimits) -> Self {
        self.streams = limits;
        self
    }

    /// How the certificates of TURN servers over TLS and DTLS are verified. By default they are by the public authorities;
    /// [`tls_config`](crate::net::tls_config) makes a configuration that trusts a private one, too.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: impl Into<TlsConfig>) -> Self {
        self.tls = Some(config.into());
        self
    }

    /// Whether connections follow when addresses of this machine come and go, if the socket is bound to all. They do by
    /// default: a candidate of an address that is new is told and checked, and what took one that is gone goes on by the
    /// best of the others at once.
    #[must_use]
    pub fn follow_interfaces(mut self, follow: bool) -> Self {
        self.ignores_changes = !follow;
        self
    }

    /// Whether the addresses of this machine are told by names of mDNS, as browsers do for pages that may not use a camera
    /// (RFC 8828 §5.2): only peers on the link learn them. They are not by default. There is a name for each address, which
    /// is answered for on the link as long as the endpoint lives.
    #[must_use]
    pub fn hide_addresses(mut self, hide: bool) -> Self {
        self.hides_addresses = hide;
        self
    }

    /// Tells the peers of all its connections another address than that of the interface, or one more: the public
    /// address of a machine behind a static NAT, as in most clouds and containers. The first rule that is for an
    /// address decides; those of a [connection](super::PeerConnectionBuilder::address_rewrite) come before those of
    /// its endpoint. For this library's own ICE only.
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    ///
    /// use kaon_rtc::ice::AddressRewriteRule;
    /// use kaon_rtc::peer_connection::{Endpoint, PeerConnection};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let public = Ipv4Addr::new(203, 0, 113, 7);
    /// let endpoint = Endpoint::builder()
    ///     .address("0.0.0.0:0".parse()?)
    ///     .address_rewrite(AddressRewriteRule::replace(public))
    ///     .bind()?;
    /// let connection = PeerConnection::builder().endpoint(&endpoint).build().await?;
    /// # let _ = connection;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn address_rewrite(mut self, rule: AddressRewriteRule) -> Self {
        self.rewrite_rules.push(rule);
        self
    }

    /// Binds the socket and starts the task.
    ///
    /// # Errors
    /// [`PeerConnectionError::Bind`] says which address cannot be bound and why, and [`PeerConnectionError::LocalNames`] why
    /// nobody can answer for names of mDNS, if addresses are to be hidden.
    pub fn bind(self) -> Result<Endpoint, PeerConnectionError> {
        check_time().map_err(|_| BindError::NoRuntime)?;
        let socket = self.bind_socket()?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BindError::NoRuntime)?;
        let watcher = self.watch(&socket);
        let responder = match self.hides_addresses {
            true => {
                Some(Responder::new(ResponderConfig::default()).map_err(PeerConnectionError::LocalNames)?)
            }
            false => None,
        };
        let mut shared = EndpointShared::new(
            socket.local_addr(),
            sync::sockets(socket, self.streams()?),
            self.filter,
            runtime.clone(),
        );
        shared.local_names = LocalNames::new(responder);
        let shared = Arc::new(shared);
        runtime.spawn(Driver::new(shared.clone()).with_watcher(watcher).run());
        Ok(Endpoint::new(shared, self.rewrite_rules))
    }

    fn streams(&self) -> Result<Streams, BindError> {
        let streams = Streams::new(self.streams.clone());
        streams.set_udp(self.udp.clone(), self.ports);
        for address in &self.tcp {
            streams.listen(*address).map_err(|source| BindError::Io { address: *address, source })?;
        }
        for address in &self.simultaneous {
            let bound = streams.listen_simultaneous(*address);
            bound.map_err(|source| BindError::Io { address: *address, source })?;
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            streams.set_tls(tls.clone());
        }
        Ok(streams)
    }

    /// A watcher of the addresses that a socket is bound to, if it is bound to all.
    fn watch(&self, socket: &UdpSocket) -> Option<InterfaceWatcher> {
        if self.ignores_changes || !socket.local_addr().ip().is_unspecified() {
            return None;
        }
        let mut filter = self.filter.clone();
        // They are left when they are gone, and not before.
        filter.deprecated = true;
        let new = |period| InterfaceWatcher::new(filter.clone(), period).ok();
        match new(RARELY)? {
            watcher if watcher.is_notified() => Some(watcher),
            _ => new(InterfaceWatcher::DEFAULT_PERIOD),
        }
    }

    fn bind_socket(&self) -> Result<UdpSocket, BindError> {
        let socket = match self.address {
            Some(address) => self.bind_address(address)?,
            // Both families on one socket; a machine without IPv6 has IPv4.
            None => self
                .bind_address((IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0).into())
                .or_else(|_| self.bind_address((IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0).into()))?,
        };
        if !socket.local_addr().ip().is_unspecified() || socket.capabilities().destination_address {
            return Ok(socket);
        }
        // ICE has to know to which address a datagram came. Where the system does not tell there can be only one.
        match interfaces(&self.filter).unwrap_or_default().first() {
            Some(only) => self.bind_address(only.with_port(socket.local_addr().port())),
            None => Ok(socket),
        }
    }

    fn bind_address(&self, address: SocketAddr) -> Result<UdpSocket, BindError> {
        match self.ports {
            Some(ports) => self.udp.bind_in(address.ip(), ports),
            None => self.udp.bind(address),
        }
    }
}

same_if_stable_id_is!(Endpoint);
