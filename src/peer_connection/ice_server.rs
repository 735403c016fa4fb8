//! STUN and TURN servers, as the W3C has them.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use tokio::task::JoinSet;

use crate::ice::{self, StunServer, TurnServer};
use crate::layer::{CandidateError, IceCandidateError};
use crate::stun::{ServerHost, ServerTransport, ServerUrl, ServerUrlError};

/// A STUN or TURN server (W3C `RTCIceServer`): its URLs, and the credentials for those that are TURN.
///
/// `stun:HOST` and `turn:HOST`, each with `:PORT` or the port 3478; `turn:HOST?transport=tcp` for TCP, and `turns:HOST` for
/// TLS over TCP and `turns:HOST?transport=udp` for DTLS, with the port 5349, for which the feature `tls` is, as it is for
/// `stuns:HOST`: STUN over TLS, which tells the address of a stream alone. Of several that relay, those over UDP are
/// preferred, and those over TCP to those over TLS.
///
/// ```
/// use kaon_rtc::peer_connection::{IceServer, PeerConnection};
///
/// let stun = IceServer::new("stun:stun.example.org");
/// let turn = IceServer::new("turn:relay.example.org").with_credentials("alice", "secret");
/// let builder = PeerConnection::builder().ice_servers([stun, turn]);
/// # let _ = builder;
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IceServer {
    /// The URLs of the server.
    pub urls: Vec<String>,
    /// The name of the user at a TURN server.
    pub username: String,
    /// The credential of the user.
    pub credential: String,
}

impl IceServer {
    /// A server with one URL, and without credentials.
    pub fn new(url: impl Into<String>) -> Self {
        Self { urls: vec![url.into()], ..Self::default() }
    }

    /// The same server with one more URL.
    #[must_use]
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// The same server with the credentials of a user.
    #[must_use]
    pub fn with_credentials(self, username: impl Into<String>, credential: impl Into<String>) -> Self {
        Self { username: username.into(), credential: credential.into(), ..self }
    }
}

impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// Why a server cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum IceServerError {
    /// It has no URL (W3C `SyntaxError`).
    #[error("a server has no URL; give it one, such as stun:HOST or turn:HOST")]
    NoUrl,
    /// A URL is none of a STUN or TURN server (W3C `SyntaxError`).
    #[error(transparent)]
    Url(#[from] ServerUrlError),
    /// A URL asks for what is not there.
    #[error("\"{0}\" asks for {missing}", missing = missing(.0))]
    Transport(String),
    /// A TURN server has no user name or no credential (W3C `InvalidAccessError`).
    #[error("\"{0}\" is of a TURN server and has no user name or no credential; give both")]
    Credentials(String),
}

/// What a URL asks for that is not there, and what is there in its place.
fn missing(url: &str) -> &'static str {
    match url.parse::<ServerUrl>().map(|url| url.transport()) {
        Ok(ServerTransport::Dtls) => "DTLS, which is not compiled in; enable the feature tls",
        _ => "TLS, which is not compiled in; enable the feature tls",
    }
}

/// A server whose name is to be resolved.
#[derive(Debug)]
pub(super) struct UnresolvedServer {
    url: String,
    host: String,
    port: u16,
    /// The user name and the credential for one that relays.
    relay: Option<(String, String)>,
    transport: ServerTransport,
}

impl UnresolvedServer {
    pub(super) fn stun(url: &str, (host, port): (String, u16)) -> Self {
        Self { url: url.to_owned(), host, port, relay: None, transport: ServerTransport::Udp }
    }

    pub(super) fn all_of(server: &IceServer) -> Result<Vec<Self>, IceServerError> {
        if server.urls.is_empty() {
            return Err(IceServerError::NoUrl);
        }
        server.urls.iter().map(|url| Self::of(server, url)).collect()
    }

    fn of(server: &IceServer, text: &str) -> Result<Self, IceServerError> {
        let url: ServerUrl = text.parse()?;
        let transport = url.transport();
        if transport.is_secure() && !cfg!(feature = "tls") {
            return Err(IceServerError::Transport(text.to_owned()));
        }
        let IceServer { username, credential, .. } = server;
        if url.is_relay() && (username.is_empty() || credential.is_empty()) {
            return Err(IceServerError::Credentials(text.to_owned()));
        }
        let host = match url.host() {
            ServerHost::Name(name) => name.clone(),
            ServerHost::Ip(ip) => ip.to_string(),
        };
        let relay = url.is_relay().then(|| (username.clone(), credential.clone()));
        Ok(Self { url: text.to_owned(), host, port: url.port(), relay, transport })
    }

    fn add_to(self, ice: &mut ice::Config, addresses: &[SocketAddr]) {
        // Of the addresses of one server one of each family will do: each takes an allocation, or a stream.
        let first = |is_ipv4: bool| addresses.iter().find(|address| address.is_ipv4() == is_ipv4);
        let firsts = [first(true), first(false)].into_iter().flatten();
        let Some((username, credential)) = self.relay else {
            if self.transport == ServerTransport::Tls {
                ice.stun_stream_servers.extend(firsts.map(|address| {
                    let mut server = StunServer::tls(*address, self.host.clone());
                    server.url = Some(self.url.clone());
                    server
                }));
                return;
            }
            for address in addresses {
                ice.stun_urls.entry(*address).or_insert_with(|| self.url.clone());
            }
            ice.stun_servers.extend(addresses);
            return;
        };
        for address in firsts {
            let mut server = TurnServer::new(*address, username.clone(), credential.clone());
            server.url = Some(self.url.clone());
            server.transport = self.transport;
            server.name = Some(self.host.clone());
            ice.turn_servers.push(server);
        }
    }
}

/// How long the names of servers may take to resolve. One that takes longer is left out.
const RESOLVE_TIME: Duration = Duration::from_secs(2);

/// Resolves the names of all servers at once and adds what they are to a configuration, in their order. One whose name
/// does not resolve in time is left out, with an error of its own.
pub(super) async fn resolve_servers(servers: Vec<UnresolvedServer>, ice: &mut ice::Config) {
    let mut lookups = JoinSet::new();
    for (number, server) in servers.iter().enumerate() {
        let host = (server.host.clone(), server.port);
        lookups.spawn(async move { (number, resolve(host).await) });
    }
    let mut addresses = vec![Vec::new(); servers.len()];
    while let Some(found) = lookups.join_next().await {
        if let Ok((number, found)) = found
            && let Some(place) = addresses.get_mut(number)
        {
            *place = found;
        }
    }
    for (server, addresses) in servers.into_iter().zip(addresses) {
        if addresses.is_empty() {
            let text = format!("the name {} is not known, or was not found out in time", server.host);
            ice.server_errors.push(IceCandidateError::new(
                None,
                server.url,
                CandidateError::UNREACHABLE,
                text,
            ));
        } else {
            server.add_to(ice, &addresses);
        }
    }
}

/// The addresses of a server; none if its name does not resolve in time.
async fn resolve(host: (String, u16)) -> Vec<SocketAddr> {
    match tokio::time::timeout(RESOLVE_TIME, tokio::net::lookup_host(host)).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_judged_before_anybody_is_asked() {
        let turn = |url: &str| IceServer::new(url).with_credentials("alice", "secret");
        let judge = |server: IceServer| UnresolvedServer::all_of(&server).map(|servers| servers.len());
        assert_eq!(judge(IceServer::new("stun:example.org").with_url("stun:[::1]:99")), Ok(2));
        assert_eq!(judge(turn("turn:example.org?transport=udp").with_url("stun:example.org")), Ok(2));
        assert_eq!(judge(IceServer::default()), Err(IceServerError::NoUrl));
        assert_eq!(judge(turn("turn:example.org?transport=tcp")), Ok(1));
        let tls = judge(turn("turns:example.org"));
        assert_eq!(tls.is_ok(), cfg!(feature = "tls"), "{tls:?}");
        let dtls = judge(turn("turns:example.org?transport=udp"));
        assert_eq!(dtls.is_ok(), cfg!(feature = "tls"), "{dtls:?}");
        let url = "stuns:example.org";
        let tls = judge(IceServer::new(url));
        assert_eq!(tls.is_ok(), cfg!(feature = "tls"), "{tls:?}");
        let query = judge(IceServer::new("stun:example.org?transport=tcp"));
        assert!(matches!(query, Err(IceServerError::Url(ServerUrlError::QueryOfStun(_)))), "{query:?}");
        let url = "turn:example.org";
        for server in [IceServer::new(url), IceServer::new(url).with_credentials("alice", "")] {
            assert_eq!(judge(server), Err(IceServerError::Credentials(url.to_owned())));
        }
        assert!(matches!(judge(IceServer::new("http://example.org")), Err(IceServerError::Url(_))));
        assert!(!format!("{:?}", turn(url)).contains("secret"));
    }

    #[tokio::test]
    async fn of_a_relay_one_address_of_each_family_is_asked() {
        let mut ice = ice::Config::default();
        let turn = IceServer::new("turn:192.0.2.1").with_credentials("alice", "secret");
        let turn = UnresolvedServer::all_of(&turn).unwrap().remove(0);
        let addresses = ["192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1"].map(|it| it.parse().unwrap());
        turn.add_to(&mut ice, &addresses);
        let asked: Vec<_> = ice.turn_servers.iter().map(|server| server.address).collect();
        assert_eq!(asked, [addresses[0], addresses[2]]);
        assert_eq!(ice.turn_servers[0].url.as_deref(), Some("turn:192.0.2.1"));

        let lost = UnresolvedServer::stun("stun:nobody.invalid", ("nobody.invalid".to_owned(), 3478));
        let known = UnresolvedServer::stun("stun:127.0.0.1:7", ("127.0.0.1".to_owned(), 7));
        resolve_servers(vec![lost, known], &mut ice).await;
        assert_eq!(ice.stun_servers, ["127.0.0.1:7".parse::<SocketAddr>().unwrap()]);
        let [error] = &ice.server_errors[..] else { panic!("{:?}", ice.server_errors) };
        assert_eq!((error.error_code, error.url.as_str()), (701, "stun:nobody.invalid"));
    }
}
