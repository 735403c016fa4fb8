//! The client of a TURN server, sans-IO.

mod agent;
mod config;
mod connect;
mod connections;
mod consequence;
mod event;
mod head;
mod mobility;
mod peers;
mod receive;
mod relay;
mod request;
mod ticket;
mod transaction;

pub use agent::Client;
pub use config::{Config, ConfigError, Families};
pub use event::{ClientError, ConnectionFailure, Event, Failure, FailureCause, PathReason, Refusal};
pub use head::RelayHead;
pub use relay::Opened;

#[cfg(test)]
mod tests;
