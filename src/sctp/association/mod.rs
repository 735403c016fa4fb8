//! The state machine of an association (RFC 9260 §4 to §9).

mod chunks;
mod handshake;
mod input;
mod output;
mod reply;
mod state;
mod termination;
mod timeouts;
mod transport;

pub use state::{Association, Statistics};

#[cfg(test)]
mod tests;
