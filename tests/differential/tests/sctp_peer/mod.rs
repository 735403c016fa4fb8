//! Other implementations of SCTP, driven alike.

mod dc;
mod proto;

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

pub use dc::DcSctp;
pub use proto::SctpProto;

/// The stream that everything goes over.
pub const STREAM: u16 = 3;

/// Where both ends are.
pub fn address() -> SocketAddr {
    ([127, 0, 0, 1], 5000).into()
}

/// The other end of an association.
pub trait Peer {
    /// One that connects, or waits for us to.
    fn new(now: Instant, connects: bool) -> Self;

    /// Takes a packet.
    fn handle(&mut self, now: Instant, packet: &[u8]);

    /// Does what is due, and gives the packets to send.
    fn poll(&mut self, now: Instant) -> Vec<Vec<u8>>;

    /// When it wants to be polled.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Sends an ordered message, which is sent again when lost, or not.
    fn send(&mut self, message: &Bytes, reliable: bool);

    /// Whether the association stands.
    fn is_connected(&self) -> bool;

    /// All messages that came.
    fn received(&self) -> &[Bytes];
}
