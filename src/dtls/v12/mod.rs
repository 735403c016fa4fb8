//! The handshake of DTLS 1.2 (RFC 6347, RFC 5246): one state machine for each role.

mod client;
mod exchange;
mod key_schedule;
mod server;

pub(crate) use client::Client;
pub(crate) use exchange::{Completed, Exchange, FinalFlight, Message, Step};
pub(crate) use key_schedule::Exporter;
pub(crate) use server::Server;
