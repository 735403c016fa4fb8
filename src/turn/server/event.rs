//! What a server asks for and tells.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::credentials::Question;
use crate::layer::FiveTuple;
use crate::stun::DecodeError;
use crate::turn::allocation::RelayedAddresses;

/// What a [`Server`](super::Server) asks for and tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A UDP socket is to be bound to this address: [`relay_opened`](super::Server::relay_opened) says that it is, and
    /// [`relay_failed`](super::Server::relay_failed) that it cannot be.
    OpenRelay(SocketAddr),
    /// A TCP socket is to be bound to this address, and to listen there (RFC 6062): to be answered as
    /// [`OpenRelay`](Self::OpenRelay). Of who connects to it, [`peer_accepted`](super::Server::peer_accepted) says whether
    /// it may.
    OpenTcpRelay(SocketAddr),
    /// A TCP connection is to be made from the relayed address to a peer: [`peer_connected`](super::Server::peer_connected)
    /// says that it stands, and [`peer_failed`](super::Server::peer_failed) that there is none.
    ConnectPeer {
        /// What names the connection.
        connection: u32,
        /// The address to connect from.
        relay: SocketAddr,
        /// The peer.
        peer: SocketAddr,
    },
    /// What comes by a client's connection behind what was sent to it so far is for a peer, without framing, and the other
    /// way round. [`peer_closed`](super::Server::peer_closed) says that it is over.
    JoinPeer {
        /// What names the peer's connection.
        connection: u32,
        /// The client's connection.
        client: FiveTuple,
    },
    /// A connection of a peer is to be closed, or given up, and the client's that is joined to it.
    ClosePeer(u32),
    /// The socket of this address is to be closed.
    CloseRelay(SocketAddr),
    /// Who is that? To be answered with [`answer`](super::Server::answer) within half a minute.
    Question(Question),
    /// An allocation was granted.
    Allocated {
        /// The user that quotas are counted for.
        user: Arc<str>,
        /// The path to the client.
        client: FiveTuple,
        /// The addresses that peers see.
        relayed: RelayedAddresses,
    },
    /// An allocation has ended.
    Released {
        /// The user that quotas are counted for.
        user: Arc<str>,
        /// The path to the client.
        client: FiveTuple,
        /// Why.
        reason: ReleaseReason,
        /// How long it lived.
        age: Duration,
        /// What it relayed.
        traffic: Traffic,
    },
    /// A request was refused because of a limit.
    Refused {
        /// The user that quotas are counted for.
        user: Arc<str>,
        /// The limit.
        limit: Limit,
    },
}

/// Why an allocation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReleaseReason {
    /// The client gave it back.
    Deleted,
    /// It was not refreshed in time.
    Expired,
    /// The connection to the client ended.
    Disconnected,
    /// No socket could be bound.
    NoRelay,
    /// The server ended it.
    Closed,
}

/// A limit that a request met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// That of the allocations of one user.
    AllocationsOfUser,
    /// That of all allocations.
    Allocations,
    /// There is no port left.
    Ports,
    /// That of the permissions of an allocation.
    Permissions,
    /// That of the channels of an allocation.
    Channels,
    /// That of the TCP connections to peers of an allocation.
    PeerConnections,
}

/// Datagrams and bytes of data that were relayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams to peers.
    pub packets_out: u64,
    /// Bytes of data to peers.
    pub bytes_out: u64,
    /// Datagrams from peers.
    pub packets_in: u64,
    /// Bytes of data from peers.
    pub bytes_in: u64,
}

impl Traffic {
    pub(super) fn out(&mut self, bytes: usize) {
        self.packets_out += 1;
        self.bytes_out += bytes as u64;
    }

    pub(super) fn inward(&mut self, bytes: usize) {
        self.packets_in += 1;
        self.bytes_in += bytes as u64;
    }
}

/// Counters of a [`Server`](super::Server) since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Allocations that there are now, those that wait for a socket included.
    pub allocations: usize,
    /// Users that have one now.
    pub users: usize,
    /// Allocations that were granted.
    pub granted: u64,
    /// Requests that were answered with an error after they were authenticated.
    pub refused: u64,
    /// Requests that were answered with 400, 401 or 438 because they were not authenticated.
    pub unauthenticated: u64,
    /// Requests of strangers that were not answered because of the limits of their rate.
    pub suppressed: u64,
    /// Binding requests that were answered.
    pub bindings: u64,
    /// What was relayed.
    pub traffic: Traffic,
    /// Datagrams of clients and of peers without a permission or a channel, or of a denied peer.
    pub dropped_forbidden: u64,
    /// Datagrams beyond a limit of bandwidth.
    pub dropped_bandwidth: u64,
    /// Datagrams that were malformed or expected by nobody.
    pub dropped_malformed: u64,
}

/// Why a datagram was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerError {
    /// It is neither STUN nor ChannelData.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It was not expected here and changed nothing.
    #[error("ignored: {0}")]
    Ignored(&'static str),
}
