//! How a client asks for an allocation.

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use crate::stun::{InvalidCredentials, RetransmissionConfig, ServerTransport};
use crate::turn::attribute::{EvenPort, Lifetime, ReservationToken};

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
    /// How many requests are under way at a time; others wait. 16 by default, and at least 1.
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
    /// A wildcard address or port 0 is no server.
    #[error("{0} is no address of a server; resolve its name and give the port, 3478 or 5349 by default")]
    Server(SocketAddr),
}
