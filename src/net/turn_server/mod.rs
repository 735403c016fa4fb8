//! A TURN server on sockets.

mod auth_handler;
mod connection;
#[cfg(feature = "dtls")]
mod dtls;
mod limits;
mod peers;
mod shared;
mod streams;
#[cfg(feature = "tls")]
mod tls;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use socket2::{Domain, Socket, Type};
use thiserror::Error;
use tokio::task::JoinSet;

pub use auth_handler::AuthHandler;
pub use limits::ConnectionLimits;
#[cfg(feature = "tls")]
pub use tls::{TlsIdentity, TlsIdentityError};

use self::connection::Wire;
use self::shared::{OnEvent, Shared};
use super::runtime::io_on_runtime;
use super::{BindError, UdpConfig, UdpSocket};
use crate::crypto::{CryptoProvider, default_provider};
use crate::turn::server::{Cidr, Config, ConfigError, Credentials, Event, PeerPolicy, Server, Statistics};

/// A TURN server over UDP, TCP, TLS and DTLS, which serves until it is dropped.
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use std::time::Duration;
///
/// use kaon_rtc::net::TurnServer;
/// use kaon_rtc::turn::server::{Config, Credentials, RelayAddress};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let users = Credentials::default().with_user("alice", "secret");
/// let config = Config::new(users, [RelayAddress::new("127.0.0.1".parse()?)]);
/// let address = "127.0.0.1:0".parse()?;
/// let server = TurnServer::builder(config).udp(address).tcp(address).bind()?;
/// println!("turn:{}", server.udp_addrs()[0]);
/// server.drain(Duration::from_secs(10)).await;
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TurnServer {
    shared: Arc<Shared>,
    tcp: Vec<SocketAddr>,
    tls: Vec<SocketAddr>,
    /// Those that listen; dropped, they end.
    _tasks: JoinSet<()>,
}

/// How a [`TurnServer`] is made.
pub struct TurnServerBuilder {
    config: Config,
    udp: Vec<SocketAddr>,
    tcp: Vec<SocketAddr>,
    #[cfg(feature = "tls")]
    tls: Vec<SocketAddr>,
    #[cfg(feature = "tls")]
    identity: Option<TlsIdentity>,
    #[cfg(feature = "dtls")]
    dtls: Vec<(SocketAddr, Arc<crate::dtls::Config>)>,
    sockets: usize,
    limits: ConnectionLimits,
    provider: Option<CryptoProvider>,
    auth: Option<Arc<dyn AuthHandler>>,
    on_event: Option<OnEvent>,
}

/// Why a [`TurnServer`] cannot serve.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TurnServerError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A UDP socket.
    #[error(transparent)]
    Udp(#[from] BindError),
    /// A TCP socket.
    #[error("cannot listen on TCP {address}: {source}")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The configuration of DTLS.
    #[cfg(feature = "dtls")]
    #[error(transparent)]
    Dtls(#[from] crate::layer::DtlsError),
    /// There is no crypto provider built in, and none was given.
    #[error("no crypto provider is built in; give one")]
    NoProvider,
    /// No address was given.
    #[error("there is no address to listen on")]
    NoAddress,
}

impl TurnServer {
    /// A server that is to be told where to listen.
    pub fn builder(config: Config) -> TurnServerBuilder {
        TurnServerBuilder {
            config,
            udp: Vec::new(),
            tcp: Vec::new(),
            #[cfg(feature = "tls")]
            tls: Vec::new(),
            #[cfg(feature = "tls")]
            identity: None,
            #[cfg(feature = "dtls")]
            dtls: Vec::new(),
            sockets: std::thread::available_parallelism().map_or(1, usize::from),
            limits: ConnectionLimits::default(),
            provider: None,
            auth: None,
            on_event: None,
        }
    }

    /// The addresses that UDP clients send to.
    pub fn udp_addrs(&self) -> Vec<SocketAddr> {
        let mut addresses: Vec<_> = self.shared.listeners.iter().map(|it| it.local_addr()).collect();
        addresses.dedup();
        addresses
    }

    /// The addresses that TCP clients connect to.
    pub fn tcp_addrs(&self) -> &[SocketAddr] {
        &self.tcp
    }

    /// The addresses that clients connect to for TLS over TCP.
    pub fn tls_addrs(&self) -> &[SocketAddr] {
        &self.tls
    }

    /// Shows other certificates to those who come over TLS or DTLS from now on. Connections that stand go on.
    ///
    /// # Errors
    /// Where DTLS is spoken, if `identity` has nothing to show there, as [`TlsIdentity::for_dtls`] says. Nothing changes
    /// then, over TLS neither.
    #[cfg(feature = "tls")]
    pub fn set_tls_identity(&self, identity: TlsIdentity) -> Result<(), TlsIdentityError> {
        #[cfg(feature = "dtls")]
        {
            let of_port = |port: &Arc<dtls::DtlsPort>| identity.for_dtls(&port.provider());
            let of_ports: Result<Vec<_>, _> = self.shared.dtls.iter().map(of_port).collect();
            for (port, identity) in self.shared.dtls.iter().zip(of_ports?) {
                port.set_identity(identity)?;
            }
        }
        self.shared.set_tls(identity);
        Ok(())
    }

    /// Shows another certificate to those who come over DTLS from now on, and the same as before over TLS. Connections
    /// that stand go on.
    ///
    /// # Errors
    /// [`DtlsError::Config`](crate::layer::DtlsError::Config).
    #[cfg(feature = "dtls")]
    pub fn set_dtls_identity(&self, identity: crate::dtls::Identity) -> Result<(), crate::layer::DtlsError> {
        self.shared.dtls.iter().try_for_each(|port| port.set_identity(identity.clone()))
    }

    /// The addresses that clients send to for DTLS.
    #[cfg(feature = "dtls")]
    pub fn dtls_addrs(&self) -> Vec<SocketAddr> {
        self.shared.dtls.iter().map(|port| port.local_addr()).collect()
    }

    /// What it counted so far.
    pub fn statistics(&self) -> Statistics {
        self.shared.state().server.statistics()
    }

    /// The connections of TCP clients that there are now.
    pub fn connections(&self) -> usize {
        self.shared.state().connections.len()
    }

    /// Changes who may use it. What was granted stays.
    pub fn set_credentials(&self, credentials: Credentials) {
        self.shared.act(|state, _| state.server.set_credentials(credentials));
    }

    /// Changes which peers there may be, also for allocations that stand.
    pub fn set_policy(&self, policy: PeerPolicy) {
        let streams = self.tcp.iter().chain(&self.tls).copied();
        let addresses = self.udp_addrs().into_iter().chain(streams);
        #[cfg(feature = "dtls")]
        let addresses = addresses.chain(self.dtls_addrs());
        let policy = without_own(policy, addresses);
        self.shared.act(|state, _| state.server.set_policy(policy));
    }

    /// Grants nothing more, waits until all allocations have ended or for so long, and ends those that are left.
    pub async fn drain(&self, deadline: Duration) {
        self.shared.act(|state, _| state.server.drain());
        let end = Instant::now() + deadline;
        while self.statistics().allocations > 0 && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.shared.close();
    }
}

impl Drop for TurnServer {
    fn drop(&mut self) {
        // The tasks of relays have the state, and end with their allocations.
        let mut state = self.shared.state();
        state.server.close(Instant::now());
        state.connections.clear();
        state.end_relays();
    }
}

impl TurnServerBuilder {
    /// Listens on a UDP address as well.
    #[must_use]
    pub fn udp(mut self, address: SocketAddr) -> Self {
        self.udp.push(address);
        self
    }

    /// Listens on a TCP address as well.
    #[must_use]
    pub fn tcp(mut self, address: SocketAddr) -> Self {
        self.tcp.push(address);
        self
    }

    /// Listens on a TCP address as well for those who speak TLS, and shows them `identity`; the last one given is that of
    /// all addresses.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, address: SocketAddr, identity: TlsIdentity) -> Self {
        self.tls.push(address);
        self.identity = Some(identity);
        self
    }

    /// Listens on a UDP address as well for those who speak DTLS, with the identity of `config`. Certificates of clients are
    /// not asked for.
    #[cfg(feature = "dtls")]
    #[must_use]
    pub fn dtls(mut self, address: SocketAddr, mut config: crate::dtls::Config) -> Self {
        config.client_authentication = crate::dtls::ClientAuthentication::None;
        self.dtls.push((address, Arc::new(config)));
        self
    }

    /// How many sockets share each UDP address, where the system can (SO_REUSEPORT): one for each core by default.
    #[must_use]
    pub fn sockets_per_address(mut self, sockets: usize) -> Self {
        self.sockets = sockets;
        self
    }

    /// What TCP connections are held to.
    #[must_use]
    pub fn connection_limits(mut self, limits: ConnectionLimits) -> Self {
        self.limits = limits.bounded();
        self
    }

    /// Another crypto provider than the one that is built in.
    #[must_use]
    pub fn provider(mut self, provider: CryptoProvider) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Asks for users that the configuration does not have.
    #[must_use]
    pub fn auth_handler(mut self, handler: impl AuthHandler + 'static) -> Self {
        self.auth = Some(Arc::new(handler));
        self.config.asks = true;
        self
    }

    /// Has `on_event` told what happens, for logs and metrics. It is called by the tasks that relay and must not wait.
    #[must_use]
    pub fn on_event(mut self, on_event: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Box::new(on_event));
        self
    }

    /// Listens and serves from now on. Its own addresses are no peers.
    ///
    /// # Errors
    /// [`TurnServerError`].
    pub fn bind(mut self) -> Result<TurnServer, TurnServerError> {
        let streams = self.streams();
        #[cfg(feature = "dtls")]
        let dtls = bind_dtls(&self.dtls, self.limits)?;
        #[cfg(feature = "dtls")]
        let of_dtls: Vec<_> = dtls.iter().map(|port| port.local_addr()).collect();
        #[cfg(not(feature = "dtls"))]
        let of_dtls: Vec<SocketAddr> = Vec::new();
        if self.udp.is_empty() && streams.is_empty() && of_dtls.is_empty() {
            return Err(TurnServerError::NoAddress);
        }
        let provider = self.provider.take().or_else(default_provider).ok_or(TurnServerError::NoProvider)?;
        let mut listeners = Vec::new();
        for address in &self.udp {
            listeners.extend(bind_udp(*address, self.sockets.clamp(1, 256))?);
        }
        let (mut accepting, mut tcp, mut tls) = (Vec::new(), Vec::new(), Vec::new());
        for (address, wire) in streams {
            let error = |source| TurnServerError::Tcp { address, source };
            let listener = bind_tcp(address).map_err(error)?;
            let bound = listener.local_addr().map_err(error)?;
            if wire == Wire::Plain { &mut tcp } else { &mut tls }.push(bound);
            accepting.push((listener, wire));
        }
        let of_streams = tcp.iter().chain(&tls).copied();
        let own: Vec<_> =
            listeners.iter().map(|it| it.local_addr()).chain(of_streams).chain(of_dtls).collect();
        self.config.policy = without_own(std::mem::take(&mut self.config.policy), own.into_iter());
        // Relay sockets there send nothing that routers may fragment.
        self.config.dont_fragment |= cfg!(any(target_os = "linux", target_os = "android"));
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let server = Server::new(Instant::now(), unix, &provider, self.config)?;
        let listeners: Vec<_> = listeners.into_iter().map(Arc::new).collect();
        let shared = Shared::new(
            server,
            listeners,
            #[cfg(feature = "dtls")]
            dtls,
            self.auth,
            self.on_event,
        );
        #[cfg(feature = "tls")]
        self.identity.into_iter().for_each(|identity| shared.set_tls(identity));
        let mut tasks = JoinSet::new();
        tasks.spawn(shared.clone().run_timer());
        for listener in &shared.listeners {
            tasks.spawn(shared.clone().listen(listener.clone()));
        }
        #[cfg(feature = "dtls")]
        for port in &shared.dtls {
            tasks.spawn(shared.clone().listen_dtls(port.clone()));
        }
        for (listener, wire) in accepting {
            tasks.spawn(connection::accept(shared.clone(), listener, wire, self.limits));
        }
        Ok(TurnServer { shared, tcp, tls, _tasks: tasks })
    }

    /// Where connections are taken, and what is spoken on them.
    fn streams(&self) -> Vec<(SocketAddr, Wire)> {
        let plain = self.tcp.iter().map(|address| (*address, Wire::Plain));
        #[cfg(feature = "tls")]
        let plain = plain.chain(self.tls.iter().map(|address| (*address, Wire::Tls)));
        plain.collect()
    }
}

/// What the sockets that all clients send to ask the kernel for, in bytes.
const RECEIVE_BUFFER: usize = 4 << 20;

/// So many sockets of one address, or one where the system cannot share it.
fn bind_udp(address: SocketAddr, sockets: usize) -> Result<Vec<UdpSocket>, BindError> {
    let config = UdpConfig {
        share_address: sockets > 1,
        receive_buffer: Some(RECEIVE_BUFFER),
        ..UdpConfig::default()
    };
    let first = config.bind(address)?;
    let bound = first.local_addr();
    let mut all = vec![first];
    // The first one decides whether there is a server at all.
    all.extend((1..sockets).map_while(|_| config.bind(bound).ok()));
    Ok(all)
}

#[cfg(feature = "dtls")]
fn bind_dtls(
    wanted: &[(SocketAddr, Arc<crate::dtls::Config>)],
    limits: ConnectionLimits,
) -> Result<Vec<Arc<dtls::DtlsPort>>, TurnServerError> {
    let config = UdpConfig { receive_buffer: Some(RECEIVE_BUFFER), ..UdpConfig::default() };
    let bind = |(address, dtls): &(SocketAddr, Arc<crate::dtls::Config>)| {
        let port = dtls::DtlsPort::new(config.bind(*address)?, dtls.clone(), limits)?;
        Ok(Arc::new(port))
    };
    wanted.iter().map(bind).collect()
}

fn bind_tcp(address: SocketAddr) -> io::Result<tokio::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if cfg!(unix) {
        socket.set_reuse_address(true)?;
    }
    if address.is_ipv6() && !address.ip().is_unspecified() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    io_on_runtime(|| tokio::net::TcpListener::from_std(TcpListener::from(socket)))?
}

/// Denies what belongs to this machine: the addresses that the server listens on, since it would be its own client; those
/// of all interfaces, unless they are allowed; and what their networks broadcast to.
fn without_own(mut policy: PeerPolicy, own: impl Iterator<Item = SocketAddr>) -> PeerPolicy {
    let local = if_addrs::get_if_addrs().unwrap_or_default();
    for interface in &local {
        policy = policy.deny_own(interface.ip());
        let broadcast = match &interface.addr {
            if_addrs::IfAddr::V4(v4) => v4.broadcast.map(IpAddr::V4),
            if_addrs::IfAddr::V6(_) => None,
        };
        // On a link between two there is no broadcast, but the other's address.
        let broadcast = broadcast.filter(|address| !interface.is_p2p && *address != interface.ip());
        let range = broadcast.and_then(|address| Cidr::new(address, 32));
        policy = range.into_iter().fold(policy, PeerPolicy::deny);
    }
    own.fold(policy, |policy, address| {
        let policy = policy.deny_address(address);
        if !address.ip().is_unspecified() {
            return policy;
        }
        let every = local.iter().map(|it| SocketAddr::new(it.ip(), address.port()));
        every.fold(policy, PeerPolicy::deny_address)
    })
}

impl fmt::Debug for TurnServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnServerBuilder")
            .field("udp", &self.udp)
            .field("tcp", &self.tcp)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
