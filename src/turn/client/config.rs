//! How a client asks for an allocation.

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use crate::stun::{InvalidCredentials, RetransmissionConfig, ServerTransport};
use crate::turn::attribute::{EvenPort, Lifetime, RequestedTransport, ReservationToken};

/// What a [`Client`](super::Client) asks for, and its limits.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// The name of the user.
    pub username: String,
    /// The credential of the user.
    pub password: String,
    /// What carries messages to the server. [`ServerTransport::Udp`] by default. Over TCP and TLS nothing is repeated and
    /// ChannelData is padded; over UDP alone a redirection is followed without another path.
    pub transport: ServerTransport,
    /// What is relayed. [`RequestedTransport::UDP`] by default. [`RequestedTransport::TCP`] (RFC 6062) is asked for over TCP or
    /// TLS, and relays [connections](super::Client::connect) in the place of datagrams.
    pub requested_transport: RequestedTransport,
    /// The name or the IP address that the certificate of the server must be for: TCP connections to peers have streams of
    /// their own, which are opened with TLS where the one to the server is. `None` by default.
    pub server_name: Option<String>,
    /// The families of relayed addresses. IPv4 by default.
    pub families: Families,
    /// Asks for an even port. `None` by default.
    pub even_port: Option<EvenPort>,
    /// Asks for the address that an allocation before reserved. `None` by default.
    pub reservation: Option<ReservationToken>,
    /// Asks for relayed datagrams that are not fragmented, in Allocate and in every Send indication. Off by default; it
    /// is given up at a server that cannot.
    pub dont_fragment: bool,
    /// Asks for an allocation that moves along when the client goes on [elsewhere](super::Client::set_path) (RFC 8016). Off
    /// by default: a server that forbids it, as coturn does unless told otherwise, costs another round trip.
    pub mobility: bool,
    /// The lifetime to ask for. `None` by default: the server's own, 600 s.
    pub lifetime: Option<Lifetime>,
    /// What requests say of the program, in SOFTWARE. `None` by default.
    pub software: Option<String>,
    /// How requests are repeated over UDP. Over TCP and TLS they are not.
    pub retransmission: RetransmissionConfig,
    /// After so long without a datagram to the server one is sent that keeps the bindings of NATs alive, over UDP alone.
    /// 25 s by default; `None` sends none.
    pub keepalive: Option<Duration>,
    /// How many peers there may be at a time, 1 to 4096. 256 by default.
    pub max_peers: usize,
    /// How many TCP connections to peers there may be at a time, those included that are being opened. 16 by default.
    pub max_connections: usize,
    /// How many connections of peers wait at most to be [accepted](super::Client::accept); a server that tells of more is not
    /// listened to. 16 by default.
    pub max_attempts: usize,
    /// How many requests are under way at a time, besides those for TCP connections; others wait. 16 by default, and at
    /// least 1.
    pub max_requests: usize,
    /// How many events wait to be polled at most; the oldest are forgotten. 256 by default, and at least 16.
    pub max_events: usize,
}

impl Config {
    /// For a user, with defaults for everything else.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            username: username.into(),
            password: password.into(),
            transport: ServerTransport::Udp,
            requested_transport: RequestedTransport::UDP,
            server_name: None,
            families: Families::Ipv4,
            even_port: None,
            reservation: None,
            dont_fragment: false,
            mobility: false,
            lifetime: None,
            software: None,
            retransmission: RetransmissionConfig::default(),
            keepalive: Some(Duration::from_secs(25)),
            max_peers: 256,
            max_connections: 16,
            max_attempts: 16,
            max_requests: 16,
            max_events: 256,
        }
    }

    /// RFC 8656 §7.1 and §7.2: what a server would refuse with 400 is not asked for.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let is_plain = self.families == Families::Ipv4 && self.even_port.is_none();
        if self.reservation.is_some() && !is_plain {
            return Err(ConfigError::ReservationWithOthers);
        }
        let reserves = self.even_port.is_some_and(|even_port| even_port.reserve_next);
        if self.families == Families::Both && reserves {
            return Err(ConfigError::BothWithReservation);
        }
        match self.requested_transport {
            RequestedTransport::UDP => Ok(()),
            RequestedTransport::TCP => self.validate_tcp(),
            other => Err(ConfigError::RequestedTransport(other.0)),
        }
    }

    /// RFC 6062 §4.1
    fn validate_tcp(&self) -> Result<(), ConfigError> {
        if !self.transport.is_stream() {
            return Err(ConfigError::TcpOverDatagrams);
        }
        let is_of_udp = self.even_port.is_some() || self.reservation.is_some() || self.dont_fragment;
        if is_of_udp || self.mobility {
            return Err(ConfigError::TcpWithOthers);
        }
        if self.transport == ServerTransport::Tls && self.server_name.is_none() {
            return Err(ConfigError::NoServerName);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("families", &self.families).finish_non_exhaustive()
    }
}

/// The families of relayed addresses to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Families {
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address (REQUESTED-ADDRESS-FAMILY).
    Ipv6,
    /// One of each, or an IPv4 address alone if the server has no other (ADDITIONAL-ADDRESS-FAMILY).
    Both,
}

/// Why there can be no client.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The credentials.
    #[error(transparent)]
    Credentials(#[from] InvalidCredentials),
    /// A reserved address has its family and its port already.
    #[error("a reservation names an address: ask for neither a family nor an even port beside it")]
    ReservationWithOthers,
    /// The next port cannot be reserved for two addresses.
    #[error("the next port can be reserved for an address of one family only: ask for one family")]
    BothWithReservation,
    /// Servers relay UDP and TCP.
    #[error("no server relays protocol {0}: ask for UDP or for TCP")]
    RequestedTransport(u8),
    /// An allocation for TCP lives by a stream.
    #[error("TCP is relayed over TCP or TLS to the server alone: choose one of them as the transport")]
    TcpOverDatagrams,
    /// An even port, a reservation, DONT-FRAGMENT and mobility are of allocations for UDP.
    #[error("an allocation for TCP has no even port, reservation, DONT-FRAGMENT or mobility: ask for none")]
    TcpWithOthers,
    /// The certificate of the server is verified for each connection.
    #[error("connections to peers have TLS of their own to the server: give its name as server_name")]
    NoServerName,
    /// A wildcard address or port 0 is no server.
    #[error("{0} is no address of a server; resolve its name and give the port, 3478 or 5349 by default")]
    Server(SocketAddr),
}
