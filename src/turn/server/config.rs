//! How a server serves.

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use super::credentials::Credentials;
use super::policy::PeerPolicy;
use super::relay_address::{RelayAddress, RelayAddressError};
use crate::stun::{InvalidCredentials, PasswordAlgorithm};

/// What a [`Server`](super::Server) grants, and its limits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The realm of its users. `kaon` by default; the shorter it is, the less is sent to strangers.
    pub realm: String,
    /// Its users. Nobody by default.
    pub credentials: Credentials,
    /// Whether users that it does not know are asked for ([`Event::Question`](super::Event::Question)). Off by default.
    pub asks: bool,
    /// How many questions are open at most; requests beyond are dropped, and come again. 256 by default.
    pub max_questions: usize,
    /// The password algorithms to tell, the preferred first. None by default: MD5 alone, as browsers have it.
    pub password_algorithms: Vec<PasswordAlgorithm>,
    /// The addresses that relay: the first of a family that has a port serves.
    pub relays: Vec<RelayAddress>,
    /// The peers. Public addresses by default.
    pub policy: PeerPolicy,
    /// The longest lifetime of an allocation that is not refreshed. One hour by default, and at least ten minutes.
    pub max_lifetime: Duration,
    /// How long a nonce is good. Ten minutes by default.
    pub nonce_lifetime: Duration,
    /// How many allocations there may be. 100 000 by default.
    pub max_allocations: usize,
    /// How many allocations one user may have: a browser with two interfaces, two families and three URLs makes twelve
    /// for one connection. 64 by default.
    pub max_allocations_per_user: usize,
    /// How many addresses of peers an allocation may have permissions for. 1024 by default.
    pub max_permissions: usize,
    /// How many channels an allocation may have. 1024 by default.
    pub max_channels: usize,
    /// What one allocation may relay in bytes per second, both ways together; more is dropped. No limit by default.
    pub bandwidth_per_allocation: Option<u64>,
    /// What all allocations of one user may relay in bytes per second. No limit by default.
    pub bandwidth_per_user: Option<u64>,
    /// What all may relay in bytes per second. No limit by default.
    pub bandwidth: Option<u64>,
    /// How many answers per second a source may draw that has not authenticated: an IPv4 address, or a /64 of IPv6. 10 by
    /// default.
    pub answers_per_source: u32,
    /// How many answers per second all of those may draw. 10 000 by default.
    pub answers: u32,
    /// How many of them are counted apart from each other. 16 384 by default.
    pub sources: usize,
    /// Whether relay sockets send datagrams that are not fragmented: DONT-FRAGMENT is refused otherwise. Off by default.
    pub dont_fragment: bool,
    /// Whether clients on streams may have relayed addresses for TCP (RFC 6062), with the peers that the policy permits. On
    /// by default; who does not do what [`Event::OpenTcpRelay`](super::Event::OpenTcpRelay) and others ask for turns it
    /// off.
    pub tcp_allocations: bool,
    /// How many TCP connections to peers an allocation may have. 16 by default.
    pub max_peer_connections: usize,
    /// Whether allocations may move with their clients to other addresses (RFC 8016). On by default.
    pub mobility: bool,
    /// Where to send who asks for an allocation, by family, instead of granting it. None by default.
    pub alternates: Vec<SocketAddr>,
    /// How many events wait to be polled at most besides those that ask for something; the oldest are forgotten. 1024 by
    /// default.
    pub max_events: usize,
}

impl Config {
    /// Relays at these addresses for these users, with defaults for everything else.
    pub fn new(credentials: Credentials, relays: impl IntoIterator<Item = RelayAddress>) -> Self {
        Self {
            realm: "kaon".into(),
            credentials,
            asks: false,
            max_questions: 256,
            password_algorithms: Vec::new(),
            relays: relays.into_iter().collect(),
            policy: PeerPolicy::default(),
            max_lifetime: Duration::from_secs(3600),
            nonce_lifetime: Duration::from_secs(600),
            max_allocations: 100_000,
            max_allocations_per_user: 64,
            max_permissions: 1024,
            max_channels: 1024,
            bandwidth_per_allocation: None,
            bandwidth_per_user: None,
            bandwidth: None,
            answers_per_source: 10,
            answers: 10_000,
            sources: 16_384,
            dont_fragment: false,
            tcp_allocations: true,
            max_peer_connections: 16,
            mobility: true,
            alternates: Vec::new(),
            max_events: 1024,
        }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.relays.is_empty() {
            return Err(ConfigError::NoRelay);
        }
        Ok(self.relays.iter().try_for_each(RelayAddress::validate)?)
    }
}

/// Why there can be no server.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The realm.
    #[error(transparent)]
    Realm(#[from] InvalidCredentials),
    /// An address for relaying.
    #[error(transparent)]
    Relay(#[from] RelayAddressError),
    /// No address for relaying.
    #[error("there is no address to relay at")]
    NoRelay,
}
