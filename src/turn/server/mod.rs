//! The server: [`Server`] grants relayed addresses, and relays between clients and peers.
//!
//! It is sans-IO, and `net::TurnServer` runs it on sockets. Who may use it, [`Credentials`] say, or who answers its
//! questions; whom its users reach, [`PeerPolicy`] says.

mod accounts;
mod agent;
mod allocate;
mod authenticate;
mod base64;
mod cidr;
mod config;
mod connect;
mod credentials;
mod data;
mod event;
mod held;
mod mobility;
mod nonces;
mod outbox;
mod peer_connection;
mod policy;
mod relay_address;
mod request;
mod runs;
mod special_purpose;
mod ticket;
mod timer;
mod token_bucket;

pub use agent::Server;
pub use cidr::{Cidr, CidrError};
pub use config::{Config, ConfigError};
pub use credentials::{Credentials, Grant, Question};
pub use event::{Event, Limit, ReleaseReason, ServerError, Statistics, Traffic};
pub use policy::PeerPolicy;
pub use relay_address::{RelayAddress, RelayAddressError};

#[cfg(test)]
mod tests;
