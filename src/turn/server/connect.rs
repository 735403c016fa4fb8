//! TCP between relayed addresses and peers, RFC 6062.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::agent::Server;
use super::authenticate::Caller;
use super::event::{Event, Limit};
use super::outbox::Head;
use super::peer_connection::{PeerConnection, Stage};
use super::request::Refusal;
use super::timer::Timer;
use crate::layer::{FiveTuple, Protocol};
use crate::stun::{AttributeType, Class, ErrorCode, Message, Method};

/// How long a peer is connected to, and how long its connection waits to be bound (RFC 6062 §5.2 and §5.3).
const PATIENCE: Duration = Duration::from_secs(30);

impl Server {
    /// RFC 6062 §5.1: an allocation for TCP is asked for by a stream, and without what is of UDP alone.
    pub(super) fn check_tcp(&self, path: FiveTuple, request: &Message<'_>) -> Result<(), ErrorCode> {
        let of_udp =
            [AttributeType::EVEN_PORT, AttributeType::DONT_FRAGMENT, AttributeType::RESERVATION_TOKEN];
        let has = |kind: &AttributeType| request.attribute(*kind).is_some();
        if path.protocol == Protocol::Udp || of_udp.iter().any(has) {
            return Err(ErrorCode::BAD_REQUEST);
        }
        Ok(())
    }

    /// RFC 6062 §5.2.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        let (index, held) = self.own(path, caller)?;
        let peer = request.xor_address(AttributeType::XOR_PEER_ADDRESS).ok_or(ErrorCode::BAD_REQUEST)?;
        if !held.is_tcp {
            return Err(ErrorCode::ALLOCATION_MISMATCH.into());
        }
        let relay = held.relay_of(peer.ip()).ok_or(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH)?.local;
        if !self.permits_stream(peer) {
            return Err(ErrorCode::FORBIDDEN.into());
        }
        if held.connections.iter().any(|id| self.peer_connections.get(id).is_some_and(|it| it.peer == peer)) {
            return Err(ErrorCode::CONNECTION_ALREADY_EXISTS.into());
        }
        let (account, has_room) = (held.account, held.connections.len() < self.config.max_peer_connections);
        let user = self.accounts.get_mut(account);
        let is_slow = user.is_none_or(|user| user.connects.try_take(now, 1));
        if !has_room || !is_slow {
            self.refused(&caller.account, Limit::PeerConnections);
            return Err(ErrorCode::INSUFFICIENT_CAPACITY.into());
        }
        let stage = Stage::Connecting(Head::of(request, Class::Success), caller.integrity.algorithm());
        let connection = self.begin(now, index, peer, stage);
        self.asks.push_back(Event::ConnectPeer { connection, relay, peer: self.inner(peer) });
        Ok(())
    }

    fn begin(&mut self, now: Instant, index: usize, peer: SocketAddr, stage: Stage) -> u32 {
        let id = loop {
            let mut id = [0; 4];
            self.provider.random.fill(&mut id);
            let id = u32::from_be_bytes(id);
            if !self.peer_connections.contains_key(&id) {
                break id;
            }
        };
        let until = now + PATIENCE;
        self.timers.set(until, Timer::Peer(id));
        self.peer_connections.insert(id, PeerConnection { allocation: index, peer, until, stage });
        self.held.get_mut(index).into_iter().for_each(|held| held.connections.push(id));
        id
    }

    /// A peer is connected that [`Event::ConnectPeer`] asked for. Its connection is to be kept, and not read, until
    /// [`Event::JoinPeer`] or [`Event::ClosePeer`].
    pub fn peer_connected(&mut self, now: Instant, connection: u32) {
        let Some(it) = self.peer_connections.get_mut(&connection) else {
            return self.asks.push_back(Event::ClosePeer(connection));
        };
        let Stage::Connecting(head, integrity) = it.stage else { return };
        it.stage = Stage::Unbound;
        self.timers.cancel(it.until, Timer::Peer(connection));
        it.until = now + PATIENCE;
        self.timers.set(it.until, Timer::Peer(connection));
        let Some(held) = self.held.get(it.allocation) else { return };
        let key = held.key.integrity(&self.provider, integrity);
        self.outbox.respond(held.path, head, Some(&key), |message| {
            message.attribute(AttributeType::CONNECTION_ID, &connection.to_be_bytes())
        });
    }

    /// A peer cannot be connected to, or its connection has ended before it was joined.
    pub fn peer_failed(&mut self, _now: Instant, connection: u32) {
        let Some(it) = self.peer_connections.get_mut(&connection) else { return };
        if let (Stage::Connecting(head, integrity), Some(held)) = (&it.stage, self.held.get(it.allocation)) {
            let key = held.key.integrity(&self.provider, *integrity);
            let head = Head { class: Class::Error, ..*head };
            self.statistics.refused += 1;
            self.outbox.respond(held.path, head, Some(&key), |message| {
                message.error_code(ErrorCode::CONNECTION_TIMEOUT_OR_FAILURE)
            });
        }
        self.end_peer(connection);
    }

    /// RFC 6062 §5.3: a peer has connected to a relayed address. Its connection is to be kept under the number that is
    /// returned, as in [`peer_connected`](Self::peer_connected); it is to be closed if it is none.
    pub fn peer_accepted(&mut self, now: Instant, relay: SocketAddr, peer: SocketAddr) -> Option<u32> {
        let index = *self.by_relay.get(&relay)?;
        let peer = self.outer(SocketAddr::new(peer.ip().to_canonical(), peer.port()));
        let held = self.held.get(index).filter(|held| held.is_tcp && held.is_granted())?;
        if !held.peers.is_permitted(now, peer.ip()) || !self.permits_stream(peer) {
            self.statistics.dropped_forbidden += 1;
            return None;
        }
        if held.connections.len() >= self.config.max_peer_connections || !self.outbox.has_room() {
            return None;
        }
        let path = held.path;
        let id = self.begin(now, index, peer, Stage::Unbound);
        let (class, method) = (Class::Indication, Method::CONNECTION_ATTEMPT);
        let head = Head { class, method, transaction: self.indication_id(), has_fingerprint: false };
        self.outbox.respond(path, head, None, |message| {
            message
                .attribute(AttributeType::CONNECTION_ID, &id.to_be_bytes())
                .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
        });
        Some(id)
    }

    /// RFC 6062 §5.4.
    pub(super) fn bind_connection(
        &mut self,
        path: FiveTuple,
        request: &Message<'_>,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        let id = request.attribute(AttributeType::CONNECTION_ID).and_then(|id| id.try_into().ok());
        let id = u32::from_be_bytes(id.ok_or(ErrorCode::BAD_REQUEST)?);
        let is_control = self.by_path.contains_key(&path) || path.protocol == Protocol::Udp;
        let is_taken = is_control || self.joined.contains_key(&path);
        let it = self.peer_connections.get_mut(&id).filter(|it| matches!(it.stage, Stage::Unbound));
        let it = it.filter(|_| !is_taken).ok_or(ErrorCode::BAD_REQUEST)?;
        // Who is not its user is not told that there is one.
        let owner = self.held.get(it.allocation).filter(|held| *held.username == *caller.username);
        owner.ok_or(ErrorCode::BAD_REQUEST)?;
        it.stage = Stage::Joined(path);
        self.joined.insert(path, id);
        self.timers.cancel(it.until, Timer::Peer(id));
        self.succeed(path, request, caller, |message| {
            message.attribute(AttributeType::CONNECTION_ID, &id.to_be_bytes())
        });
        self.asks.push_back(Event::JoinPeer { connection: id, client: path });
        Ok(())
    }

    /// Whether so many bytes may pass between a client and a peer, one way or the other, within the limits of bandwidth;
    /// they are counted then. `None` if the connection is over.
    pub fn take_stream(
        &mut self,
        now: Instant,
        connection: u32,
        bytes: usize,
        is_outward: bool,
    ) -> Option<bool> {
        let it = self.peer_connections.get(&connection)?;
        let held = self.held.get_mut(it.allocation)?;
        let user = self.accounts.get_mut(held.account).map(|user| &mut user.bucket);
        if !super::data::take_bandwidth(now, bytes as u64, &mut held.bucket, &mut self.bandwidth, user) {
            return Some(false);
        }
        for traffic in [&mut held.traffic, &mut self.statistics.traffic] {
            if is_outward { traffic.out(bytes) } else { traffic.inward(bytes) }
        }
        Some(true)
    }

    /// A connection that was [joined](Event::JoinPeer) is over.
    pub fn peer_closed(&mut self, connection: u32) {
        self.end_peer(connection);
    }

    pub(super) fn end_peer(&mut self, connection: u32) {
        let Some(it) = self.peer_connections.remove(&connection) else { return };
        self.timers.cancel(it.until, Timer::Peer(connection));
        if let Stage::Joined(client) = it.stage {
            self.joined.remove(&client);
        }
        if let Some(held) = self.held.get_mut(it.allocation) {
            held.connections.retain(|id| *id != connection);
        }
        self.asks.push_back(Event::ClosePeer(connection));
    }
}
