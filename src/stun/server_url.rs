//! URLs of STUN and TURN servers, RFC 7064 and RFC 7065.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// Where a server is, and how it is spoken to: a `stun:`, `stuns:`, `turn:` or `turns:` URL.
///
/// ```
/// use kaon_rtc::stun::{ServerTransport, ServerUrl};
///
/// let url: ServerUrl = "turns:relay.example.org?transport=tcp".parse()?;
/// assert!(url.is_relay());
/// assert_eq!(url.transport(), ServerTransport::Tls);
/// assert_eq!((url.host().to_string().as_str(), url.port()), ("relay.example.org", 5349));
/// assert_eq!(url.to_string(), "turns:relay.example.org:5349?transport=tcp");
///
/// let wrong = "turn://relay.example.org".parse::<ServerUrl>().unwrap_err();
/// assert!(wrong.to_string().contains("no slashes"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    is_relay: bool,
    host: ServerHost,
    port: u16,
    transport: ServerTransport,
}

/// The host of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerHost {
    /// A name, in lower case, that has to be resolved.
    Name(String),
    /// An address.
    Ip(IpAddr),
}

/// What carries STUN to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerTransport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// DTLS over UDP (RFC 7350).
    Dtls,
}

impl ServerTransport {
    /// Whether it delivers everything in order: requests are not repeated, and messages need framing.
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// Whether the server shows a certificate.
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Dtls)
    }
}

/// Why a text is no URL of a server.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerUrlError {
    /// It begins with no scheme of a STUN or TURN server.
    #[error("\"{0}\" is no URL of a STUN or TURN server; it must begin with stun:, stuns:, turn: or turns:")]
    Scheme(String),
    /// It has slashes, as URLs of the web do.
    #[error("\"{0}\" has a path; such a URL has no slashes: write turn:HOST or turn:HOST:PORT")]
    Slashes(String),
    /// It has a user name.
    #[error(
        "a URL of a server has no user name and no \"@\"; give the user name and the credential beside it"
    )]
    UserInfo,
    /// Its host is empty, or no name and no address.
    #[error(
        "\"{0}\" is no host; write a name, an IPv4 address, or an IPv6 address in brackets such as [2001:db8::1]"
    )]
    Host(String),
    /// Its port is no number from 1 to 65535.
    #[error("\"{0}\" is no port; write a number from 1 to 65535, or none for the default")]
    Port(String),
    /// It asks for an unknown transport, or has another query.
    #[error("\"?{0}\" is not understood; only ?transport=udp and ?transport=tcp may follow the host")]
    Query(String),
    /// A `stun:` or `stuns:` URL has a query.
    #[error("a stun: or stuns: URL has no \"?{0}\"; only turn: and turns: URLs name a transport")]
    QueryOfStun(String),
}

impl ServerUrl {
    /// The port of `stun:` and `turn:` URLs that have none (RFC 7064 §3.2).
    pub const DEFAULT_PORT: u16 = 3478;
    /// The port of `stuns:` and `turns:` URLs that have none (RFC 7064 §3.2).
    pub const DEFAULT_SECURE_PORT: u16 = 5349;

    /// Whether it is of a TURN server.
    pub fn is_relay(&self) -> bool {
        self.is_relay
    }

    /// The host.
    pub fn host(&self) -> &ServerHost {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What carries STUN to the server. `stuns:`, and `turns:` without a transport, are TLS over TCP.
    pub fn transport(&self) -> ServerTransport {
        self.transport
    }
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(url: &str) -> Result<Self, ServerUrlError> {
        let (is_relay, is_secure, rest) = split_scheme(url)?;
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        if authority.contains('/') {
            return Err(ServerUrlError::Slashes(excerpt(url)));
        }
        if authority.contains('@') {
            return Err(ServerUrlError::UserInfo);
        }
        let transport = match query {
            Some(query) if !is_relay => return Err(ServerUrlError::QueryOfStun(excerpt(query))),
            Some(query) => parse_transport(query, is_secure)?,
            // RFC 7064 §3.2 and RFC 7065 §3.2: without a transport, what a server of the scheme surely has.
            None if is_secure => ServerTransport::Tls,
            None => ServerTransport::Udp,
        };
        let (host, port) = split_port(authority)?;
        let default = if is_secure { Self::DEFAULT_SECURE_PORT } else { Self::DEFAULT_PORT };
        Ok(Self { is_relay, host: parse_host(host)?, port: parse_port(port)?.unwrap_or(default), transport })
    }
}

/// The scheme, in any case (RFC 3986): whether it is of TURN, whether it is secure, and what follows.
fn split_scheme(url: &str) -> Result<(bool, bool, &str), ServerUrlError> {
    let unknown = || ServerUrlError::Scheme(excerpt(url));
    let (scheme, rest) = url.split_once(':').ok_or_else(unknown)?;
    let (is_relay, is_secure) = match scheme.to_ascii_lowercase().as_str() {
        "stun" => (false, false),
        "stuns" => (false, true),
        "turn" => (true, false),
        "turns" => (true, true),
        _ => return Err(unknown()),
    };
    Ok((is_relay, is_secure, rest))
}

fn parse_transport(query: &str, is_secure: bool) -> Result<ServerTransport, ServerUrlError> {
    let name = query.strip_prefix("transport=").unwrap_or_default();
    match (name.to_ascii_lowercase().as_str(), is_secure) {
        ("udp", false) => Ok(ServerTransport::Udp),
        ("tcp", false) => Ok(ServerTransport::Tcp),
        ("udp", true) => Ok(ServerTransport::Dtls),
        ("tcp", true) => Ok(ServerTransport::Tls),
        _ => Err(ServerUrlError::Query(excerpt(query))),
    }
}

/// The host, an IPv6 address with its brackets, and what follows the colon behind it.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), ServerUrlError> {
    let end = match authority.strip_prefix('[') {
        Some(_) => authority.find(']').map_or(authority.len(), |end| end + 1),
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(end);
    match rest.strip_prefix(':') {
        // An IPv6 address without brackets has more colons.
        Some(port) if port.contains(':') => Err(ServerUrlError::Host(excerpt(authority))),
        Some(port) => Ok((host, Some(port))),
        None if rest.is_empty() => Ok((host, None)),
        None => Err(ServerUrlError::Host(excerpt(authority))),
    }
}

/// RFC 3986: a colon without digits is no port.
fn parse_port(port: Option<&str>) -> Result<Option<u16>, ServerUrlError> {
    let Some(port) = port.filter(|port| !port.is_empty()) else { return Ok(None) };
    let number = port.bytes().all(|digit| digit.is_ascii_digit()).then(|| port.parse().ok()).flatten();
    match number {
        Some(number) if number != 0 => Ok(Some(number)),
        _ => Err(ServerUrlError::Port(excerpt(port))),
    }
}

/// The longest name of a host (RFC 1035).
const MAX_NAME: usize = 253;

fn parse_host(host: &str) -> Result<ServerHost, ServerUrlError> {
    let refused = || ServerUrlError::Host(excerpt(host));
    if let Some(ip) = host.strip_prefix('[') {
        let ip = ip.strip_suffix(']').and_then(|ip| ip.parse::<Ipv6Addr>().ok());
        return ip.map(|ip| ServerHost::Ip(ip.into())).ok_or_else(refused);
    }
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Ok(ServerHost::Ip(ip.into()));
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    // What ends in a number would be an IPv4 address, and is none.
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|digit| digit.is_ascii_digit());
    if (1..=MAX_NAME).contains(&host.len()) && host.bytes().all(is_name) && !is_number {
        return Ok(ServerHost::Name(host.to_ascii_lowercase()));
    }
    Err(refused())
}

/// No more of a text than an error should repeat.
fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, secure) = (if self.is_relay { "turn" } else { "stun" }, self.transport.is_secure());
        write!(f, "{scheme}{}:{}:{}", if secure { "s" } else { "" }, self.host, self.port)?;
        match self.transport {
            _ if !self.is_relay => Ok(()),
            ServerTransport::Udp | ServerTransport::Dtls => f.write_str("?transport=udp"),
            ServerTransport::Tcp | ServerTransport::Tls => f.write_str("?transport=tcp"),
        }
    }
}

impl fmt::Display for ServerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}
