//! How connections are made.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::configuration::Configuration;
use super::connection::PeerConnection;
use super::endpoint::{Endpoint, EndpointBuilder};
use super::error::PeerConnectionError;
use super::handle::Handle;
use super::ice_server::{IceServer, UnresolvedServer, resolve_servers};
use super::shared::MAX_DATAGRAM;
use crate::crypto::{CryptoProvider, default_provider};
use crate::dtls::{DtlsError, Identity};
use crate::ice::{AddressRewriteRule, TransportPolicy};
use crate::layer::NtpTimestamp;
use crate::session::{MediaConfig, Session, SessionConfig, Transports};
use crate::{ice, sctp};

/// How a [`PeerConnection`] is made. Everything has a default.
///
/// ```
/// use kaon_rtc::net::PortRange;
/// use kaon_rtc::peer_connection::{Endpoint, PeerConnection};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let connection = PeerConnection::builder()
///     .stun_server("stun:198.51.100.7:3478")
///     .socket(Endpoint::builder().ports(PortRange::new(50_000..=50_999)?))
///     .loopback(true)
///     .build()
///     .await?;
/// connection.create_data_channel("chat")?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PeerConnectionBuilder {
    provider: Option<CryptoProvider>,
    identity: Option<Identity>,
    endpoint: Option<Endpoint>,
    socket: EndpointBuilder,
    stun_servers: Vec<String>,
    ice_servers: Vec<IceServer>,
    transport_policy: Option<TransportPolicy>,
    active_tcp: Option<bool>,
    rewrite_rules: Vec<AddressRewriteRule>,
    configuration: Option<Configuration>,
    media: Option<MediaConfig>,
    ice: ice::Config,
    sctp: sctp::Config,
    transports: Option<Transports>,
    changes: Changes,
}

/// What is changed of the configuration of sessions, in this order.
#[derive(Clone, Default)]
struct Changes(Vec<Arc<Change>>);

type Change = dyn Fn(&mut SessionConfig) + Send + Sync;

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} changes", self.0.len())
    }
}

const NO_PROVIDER: DtlsError =
    DtlsError::Config("no crypto provider: enable the feature aws-lc-rs or rust-crypto, or set one");

impl PeerConnection {
    /// A connection with defaults to be changed.
    pub fn builder() -> PeerConnectionBuilder {
        PeerConnectionBuilder::default()
    }
}

impl PeerConnectionBuilder {
    /// The certificate; a new one by default. A server shares one among all connections, which saves the making.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The crypto provider; the default one of the features by default.
    #[must_use]
    pub fn crypto_provider(mut self, provider: CryptoProvider) -> Self {
        self.provider = Some(provider);
        self
    }

    /// An endpoint to share with others; one of its own by default. What [`socket`](Self::socket) and
    /// [`loopback`](Self::loopback) say is without effect then: the shared one was made with settings of its own
    /// ([`EndpointBuilder::loopback`]).
    #[must_use]
    pub fn endpoint(mut self, endpoint: &Endpoint) -> Self {
        self.endpoint = Some(endpoint.clone());
        self
    }

    /// How its own endpoint is made. It replaces what [`loopback`](Self::loopback) said before, and is without effect
    /// with an [`endpoint`](Self::endpoint) that is shared.
    #[must_use]
    pub fn socket(mut self, socket: EndpointBuilder) -> Self {
        self.socket = socket;
        self
    }

    /// Whether its own endpoint has candidates that only this machine reaches. It has not by default.
    ///
    /// To be called after [`socket`](Self::socket), which replaces it. Without effect with an
    /// [`endpoint`](Self::endpoint) that is shared: say it to [`EndpointBuilder::loopback`] there.
    #[must_use]
    pub fn loopback(mut self, loopback: bool) -> Self {
        self.socket = self.socket.loopback(loopback);
        self
    }

    /// A STUN server, `stun:HOST` or `stun:HOST:PORT`, to learn addresses from that a NAT gives; port 3478 by default.
    ///
    /// [`build`](Self::build) resolves the name once. One that does not resolve, or takes longer than two seconds, is
    /// no error: the server is left out, and the connection has the candidates that it finds without it. A text that
    /// is no such URL is one, [`PeerConnectionError::ServerUrl`].
    #[must_use]
    pub fn stun_server(mut self, url: impl Into<String>) -> Self {
        self.stun_servers.push(url.into());
        self
    }

    /// STUN and TURN servers (W3C `RTCConfiguration.iceServers`), beside those of [`stun_server`](Self::stun_server). They
    /// are asked at the same time, so that a dead one delays none of the others; one that gives no candidate is told as a
    /// [`PeerConnectionEvent::IceCandidateError`](super::PeerConnectionEvent::IceCandidateError).
    ///
    /// A TURN server relays for one connection of a socket at a time (RFC 8656 §5): of connections that share an
    /// [`endpoint`](Self::endpoint) and want the same server, all but the first speak to it from a socket of their own.
    ///
    /// [`build`](Self::build) refuses what is no such server with [`PeerConnectionError::IceServer`], and resolves names as
    /// those of [`stun_server`](Self::stun_server).
    #[must_use]
    pub fn ice_servers(mut self, servers: impl IntoIterator<Item = IceServer>) -> Self {
        self.ice_servers.extend(servers);
        self
    }

    /// Which candidates are used (W3C `RTCConfiguration.iceTransportPolicy`): with [`TransportPolicy::Relay`] only those
    /// of TURN servers, and no address of this machine is shown to the peer. That of [`ice`](Self::ice) by default, all.
    #[must_use]
    pub fn ice_transport_policy(mut self, policy: TransportPolicy) -> Self {
        self.transport_policy = Some(policy);
        self
    }

    /// Whether streams of TCP are opened to candidates of the peer that wait for them (RFC 6544), such as those of a server
    /// that is reached where no UDP passes. As [`ice`](Self::ice) says by default, which is no; [`EndpointBuilder::tcp`] is for the other side.
    #[must_use]
    pub fn active_tcp(mut self, active: bool) -> Self {
        self.active_tcp = Some(active);
        self
    }

    /// Tells the peer another address than that of the interface, or one more, such as the public address of a machine
    /// behind a static NAT. A rule comes before those of the [endpoint](EndpointBuilder::address_rewrite) and after
    /// those of [`ice`](Self::ice); the first that is for an address decides.
    #[must_use]
    pub fn address_rewrite(mut self, rule: AddressRewriteRule) -> Self {
        self.rewrite_rules.push(rule);
        self
    }

    /// The configuration, as the W3C has it: its servers come before those of [`ice_servers`](Self::ice_servers), its first
    /// certificate takes the place of [`identity`](Self::identity), and its policy that of
    /// [`ice_transport_policy`](Self::ice_transport_policy) if that was not called.
    #[must_use]
    pub fn configuration(mut self, configuration: Configuration) -> Self {
        self.configuration = Some(configuration);
        self
    }

    /// Codecs and header extensions.
    #[must_use]
    pub fn media(mut self, media: MediaConfig) -> Self {
        self.media = Some(media);
        self
    }

    /// The configuration of ICE. Its servers are added to those of [`stun_server`](Self::stun_server).
    #[must_use]
    pub fn ice(mut self, ice: ice::Config) -> Self {
        self.ice = ice;
        self
    }

    /// The configuration of SCTP.
    #[must_use]
    pub fn sctp(mut self, sctp: sctp::Config) -> Self {
        self.sctp = sctp;
        self
    }

    /// Other implementations of the layers; the configurations of ICE and SCTP are not used then.
    #[must_use]
    pub fn transports(mut self, transports: Transports) -> Self {
        self.transports = Some(transports);
        self
    }

    /// Changes any setting of the session that has no method of its own here: its packet size, its limits, its
    /// deadlines, and the configurations of the [layers](SessionConfig::transports). Applied last.
    ///
    /// ```
    /// use kaon_rtc::layer::SrtpProfile;
    /// use kaon_rtc::peer_connection::PeerConnection;
    ///
    /// # fn main() -> Result<(), kaon_rtc::layer::ParseSrtpProfileError> {
    /// let profile: SrtpProfile = "SRTP_AEAD_AES_256_GCM".parse()?;
    /// let builder = PeerConnection::builder().session(move |config| {
    ///     config.set_mtu(1400);
    ///     config.max_media_sections = 64;
    ///     config.transports.change_dtls(|dtls| dtls.srtp_profiles = vec![profile]);
    ///     config.transports.change_srtp(|srtp| srtp.replay_window = 4096);
    /// });
    /// # let _ = builder;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn session(mut self, change: impl Fn(&mut SessionConfig) + Send + Sync + 'static) -> Self {
        self.changes.0.push(Arc::new(change));
        self
    }

    /// Makes the connection: resolves the servers' names, all at once and for two seconds at most, and binds
    /// the socket, inside of a tokio runtime.
    ///
    /// # Errors
    /// [`PeerConnectionError::ServerUrl`], [`PeerConnectionError::IceServer`], [`PeerConnectionError::Bind`], [`PeerConnectionError::Certificate`], and
    /// [`PeerConnectionError::Ended`] with the reason that a shared endpoint has ended for.
    pub async fn build(self) -> Result<PeerConnection, PeerConnectionError> {
        let mut ice = self.ice;
        let mut servers = Vec::new();
        for url in &self.stun_servers {
            let host = parse_stun_url(url).ok_or_else(|| PeerConnectionError::ServerUrl(url.clone()))?;
            servers.push(UnresolvedServer::stun(url, host));
        }
        let mut configuration = self.configuration.unwrap_or_else(|| Configuration {
            ice_transport_policy: ice.transport_policy,
            ..Configuration::default()
        });
        configuration.ice_servers.extend(self.ice_servers);
        servers.extend(configuration.unresolved()?);
        resolve_servers(servers, &mut ice).await;
        if let Some(active) = self.active_tcp {
            ice.active_tcp = active;
        }
        if let Some(policy) = self.transport_policy {
            configuration.ice_transport_policy = policy;
        }
        ice.transport_policy = configuration.ice_transport_policy;
        let provider = match self.provider {
            Some(provider) => provider,
            None => default_provider().ok_or(NO_PROVIDER)?,
        };
        let identity = match configuration.certificates.first().cloned().or(self.identity) {
            Some(identity) => identity,
            None => Identity::generate(&provider)?,
        };
        if configuration.certificates.is_empty() {
            configuration.certificates.push(identity.clone());
        }
        let endpoint = match self.endpoint {
            Some(endpoint) => endpoint,
            None => self.socket.bind()?,
        };
        ice.simultaneous_open |= endpoint.opens_simultaneously();
        ice.address_rewrite_rules.extend(self.rewrite_rules);
        ice.address_rewrite_rules.extend_from_slice(endpoint.rewrite_rules());
        let mut config = SessionConfig::with_layers(provider, identity, ice, self.sctp);
        if let Some(media) = self.media {
            config.media = media.into();
        }
        if let Some(transports) = self.transports {
            config.transports = transports;
        }
        config.ntp_epoch = ntp_now();
        self.changes.0.iter().for_each(|change| change(&mut config));
        config.max_rtp_datagram = config.max_rtp_datagram.min(MAX_DATAGRAM);
        let session = Session::new(std::time::Instant::now(), config);
        let shared = endpoint.add(session)?;
        shared.lock().configuration = configuration;
        shared.with(|state, _| state.fill_pool(&shared.endpoint));
        let connection = PeerConnection::new(Handle::new(shared, endpoint));
        connection.register();
        Ok(connection)
    }
}

/// RFC 7064 §3: the host and the port of a `stun:` URL.
fn parse_stun_url(url: &str) -> Option<(String, u16)> {
    const DEFAULT_PORT: u16 = 3478;
    let rest = url.strip_prefix("stun:")?;
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => match rest.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok()?,
        None => DEFAULT_PORT,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// The wall clock, which sender reports tell.
fn ntp_now() -> NtpTimestamp {
    /// From 1900 to 1970.
    const UNIX_TO_NTP: Duration = Duration::from_secs(2_208_988_800);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    NtpTimestamp::from_duration(since_1970 + UNIX_TO_NTP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stun_urls() {
        assert_eq!(parse_stun_url("stun:example.org"), Some(("example.org".into(), 3478)));
        assert_eq!(parse_stun_url("stun:example.org:19302"), Some(("example.org".into(), 19302)));
        assert_eq!(parse_stun_url("stun:[2001:db8::1]:99"), Some(("2001:db8::1".into(), 99)));
        assert_eq!(parse_stun_url("stun:[::1]"), Some(("::1".into(), 3478)));
        assert_eq!(parse_stun_url("stun:192.0.2.1:1?transport=udp"), Some(("192.0.2.1".into(), 1)));
        for bad in ["turn:example.org", "stun:", "stun::1", "stun:host:port", "example.org"] {
            assert_eq!(parse_stun_url(bad), None, "{bad}");
        }
    }
}
