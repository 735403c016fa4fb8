//! A TCP connection of a peer, RFC 6062.

use std::net::SocketAddr;
use std::time::Instant;

use super::outbox::Head;
use crate::layer::FiveTuple;
use crate::stun::IntegrityAlgorithm;

/// A connection of a peer.
#[derive(Debug)]
pub(super) struct PeerConnection {
    pub(super) allocation: usize,
    pub(super) peer: SocketAddr,
    pub(super) until: Instant,
    pub(super) stage: Stage,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// The peer is connected to; the answer waits.
    Connecting(Head, IntegrityAlgorithm),
    /// It waits for a connection of the client.
    Unbound,
    /// Bytes pass between it and a connection of the client.
    Joined(FiveTuple),
}
