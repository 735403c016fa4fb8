//! Relayed data, RFC 8656 §11 and §12.

use std::net::SocketAddr;
use std::time::Instant;

use super::agent::Server;
use super::event::ServerError;
use super::held::Held;
use super::outbox::MAX_DATAGRAM;
use super::runs::Runs;
use super::token_bucket::TokenBucket;
use crate::layer::{Datagram, FiveTuple, Layer, Protocol, Transmit, TransmitBatch};
use crate::stun::{AttributeType, Class, HEADER_LEN, Message, MessageBuilder, Method, TransactionId};
use crate::turn::attribute::Icmp;
use crate::turn::channel::ChannelNumber;
use crate::turn::channel_data::{CHANNEL_DATA_HEADER_LEN, ChannelData};

/// The most that a UDP datagram carries over IPv4, in bytes.
const MAX_PAYLOAD: usize = 65_507;

/// The most that stands around data in an indication: its header, an IPv6 address, the header of DATA and padding.
const INDICATION_OVERHEAD: usize = 20 + 24 + 4 + 3;

type Relayed<'d> = (FiveTuple, &'d [u8]);

impl Server {
    /// Takes datagrams that arrived together, in runs: each of so many bytes, and the last one perhaps shorter. What is
    /// relayed is appended to `out` at once, without another copy, and its transmits to `transmits`; what goes the same way
    /// is one run, however it came. Responses to requests wait for [`poll_transmit`](Layer::poll_transmit).
    ///
    /// # Errors
    /// [`ServerError`] of the last datagram that was refused; the others were taken.
    pub fn receive<'d>(
        &mut self,
        now: Instant,
        arrived: impl IntoIterator<Item = (Datagram<'d>, usize)>,
        out: &mut TransmitBatch,
        transmits: &mut impl Extend<Transmit>,
    ) -> Result<(), ServerError> {
        let mut runs = Runs::new(out, transmits);
        let mut result = Ok(());
        for (datagrams, segment_size) in arrived {
            let segment_size = segment_size.max(1);
            let received = match self.by_relay.get(&datagrams.path.local).copied() {
                Some(index) => self.receive_of_peer(now, index, datagrams, segment_size, &mut runs),
                None => self.receive_of_client(now, datagrams, segment_size, &mut runs),
            };
            result = received.and(result);
        }
        runs.finish();
        result
    }

    fn receive_of_client(
        &mut self,
        now: Instant,
        datagrams: Datagram<'_>,
        segment_size: usize,
        runs: &mut Runs<'_, impl Extend<Transmit>>,
    ) -> Result<(), ServerError> {
        let Datagram { path, ecn, bytes } = datagrams;
        let mut result = Ok(());
        let mut index = self.by_path.get(&path).copied();
        for bytes in bytes.chunks(segment_size) {
            match self.open(now, path, &mut index, bytes) {
                Ok(Some((to, data))) => {
                    self.arrived_by(index, path);
                    runs.push(to, ecn, data.len(), |out| out.extend_from_slice(data));
                }
                Ok(None) => {}
                Err(error) => {
                    self.statistics.dropped_malformed += u64::from(matches!(error, ServerError::Decode(_)));
                    result = Err(error);
                }
            }
        }
        result
    }

    /// What a client has for a peer in a datagram; a request is dealt with.
    fn open<'d>(
        &mut self,
        now: Instant,
        path: FiveTuple,
        index: &mut Option<usize>,
        bytes: &'d [u8],
    ) -> Result<Option<Relayed<'d>>, ServerError> {
        if ChannelData::is_channel_data(bytes) {
            self.open_channel(now, *index, bytes).map(Some)
        } else if is_send(bytes) {
            self.open_indication(now, *index, bytes).map(Some)
        } else {
            let handled = self.handle_message(now, path, bytes);
            *index = self.by_path.get(&path).copied();
            handled.map(|()| None)
        }
    }

    fn open_channel<'d>(
        &mut self,
        now: Instant,
        index: Option<usize>,
        bytes: &'d [u8],
    ) -> Result<Relayed<'d>, ServerError> {
        let Ok(message) = ChannelData::decode(bytes) else {
            self.statistics.dropped_malformed += 1;
            return Err(ServerError::Ignored("ChannelData is malformed"));
        };
        let peer = index.and_then(|index| self.held.get(index)?.peers.peer(now, message.channel));
        self.outward(now, index, peer, message.data)
    }

    fn open_indication<'d>(
        &mut self,
        now: Instant,
        index: Option<usize>,
        bytes: &'d [u8],
    ) -> Result<Relayed<'d>, ServerError> {
        if index.is_none() {
            return Err(ServerError::Ignored("there is no allocation on that path"));
        }
        let message = Message::decode(bytes)?;
        let peer = message.xor_address(AttributeType::XOR_PEER_ADDRESS);
        let (Some(peer), Some(data)) = (peer, message.attribute(AttributeType::DATA)) else {
            self.statistics.dropped_malformed += 1;
            return Err(ServerError::Ignored("an indication lacks its peer or its data"));
        };
        let known = [AttributeType::XOR_PEER_ADDRESS, AttributeType::DATA, AttributeType::DONT_FRAGMENT];
        let cannot = message.attribute(AttributeType::DONT_FRAGMENT).is_some() && !self.config.dont_fragment;
        if cannot || message.unknown_required(&known).next().is_some() {
            return Err(ServerError::Ignored("an indication asks for what is not there"));
        }
        let held = index.and_then(|index| self.held.get(index));
        let is_permitted =
            held.is_some_and(|held| held.peers.is_permitted(now, peer.ip())) && self.permits(peer);
        self.outward(now, index, Some(peer).filter(|_| is_permitted), data)
    }

    /// Data for a peer, unless it may not have it.
    fn outward<'d>(
        &mut self,
        now: Instant,
        index: Option<usize>,
        peer: Option<SocketAddr>,
        data: &'d [u8],
    ) -> Result<Relayed<'d>, ServerError> {
        let to = peer.map(|peer| self.inner(peer));
        let held = index.and_then(|index| self.held.get_mut(index));
        let (Some(held), Some(to)) = (held.filter(|held| !held.is_tcp), to) else {
            self.statistics.dropped_forbidden += 1;
            return Err(ServerError::Ignored("there is no permission for that peer"));
        };
        let relay = held.relay_of(to.ip()).filter(|it| it.is_open && it.until > now).map(|it| it.local);
        let Some(relay) = relay.filter(|_| data.len() <= MAX_PAYLOAD) else {
            self.statistics.dropped_malformed += 1;
            return Err(ServerError::Ignored("the data is none of a datagram"));
        };
        let user = self.accounts.get_mut(held.account).map(|user| &mut user.bucket);
        if !take_bandwidth(now, data.len() as u64, &mut held.bucket, &mut self.bandwidth, user) {
            self.statistics.dropped_bandwidth += 1;
            return Err(ServerError::Ignored("a limit of bandwidth is reached"));
        }
        held.traffic.out(data.len());
        self.statistics.traffic.out(data.len());
        Ok((FiveTuple::udp(relay, to), data))
    }

    fn receive_of_peer(
        &mut self,
        now: Instant,
        index: usize,
        datagrams: Datagram<'_>,
        segment_size: usize,
        runs: &mut Runs<'_, impl Extend<Transmit>>,
    ) -> Result<(), ServerError> {
        let Datagram { path, ecn, bytes } = datagrams;
        let bytes = &*bytes;
        let peer = self.outer(canonical(path.remote));
        let is_live = |held: &&Held| {
            held.is_granted()
                && !held.is_tcp
                && !held.is_lost()
                && held.relays.iter().any(|it| it.local == path.local && it.until > now)
        };
        let Some(held) = self.held.get(index).filter(is_live) else {
            return Err(ServerError::Ignored("there is no allocation"));
        };
        let client = held.path;
        let channel = held.peers.channel(now, peer);
        // RFC 8656 §11.3: a channel does not stand for a permission, which may have run out.
        let is_permitted =
            held.peers.is_permitted(now, peer.ip()) && (channel.is_some() || self.permits(peer));
        if !is_permitted {
            self.statistics.dropped_forbidden += bytes.len().div_ceil(segment_size).max(1) as u64;
            return Err(ServerError::Ignored("there is no permission for that peer"));
        }
        let mut result = Ok(());
        // An empty datagram is one, too.
        let empty = bytes.is_empty().then_some(bytes);
        for data in bytes.chunks(segment_size).chain(empty) {
            match self.inward(now, index, data) {
                Ok(()) => {
                    let id = if channel.is_none() { self.indication_id() } else { TransactionId([0; 12]) };
                    let len = wrapped(client.protocol, channel, peer, data.len());
                    runs.push(client, ecn, len, |out| wrap(out, client.protocol, channel, id, peer, data));
                }
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Whether data of a peer may go to the client.
    fn inward(&mut self, now: Instant, index: usize, data: &[u8]) -> Result<(), ServerError> {
        let Some(held) = self.held.get_mut(index) else {
            return Err(ServerError::Ignored("there is no allocation"));
        };
        let is_datagram = held.path.protocol == Protocol::Udp;
        if data.len() + INDICATION_OVERHEAD > if is_datagram { MAX_PAYLOAD } else { MAX_DATAGRAM } {
            self.statistics.dropped_malformed += 1;
            return Err(ServerError::Ignored("it is too long to be passed on"));
        }
        let user = self.accounts.get_mut(held.account).map(|user| &mut user.bucket);
        if !take_bandwidth(now, data.len() as u64, &mut held.bucket, &mut self.bandwidth, user) {
            self.statistics.dropped_bandwidth += 1;
            return Err(ServerError::Ignored("a limit of bandwidth is reached"));
        }
        held.traffic.inward(data.len());
        self.statistics.traffic.inward(data.len());
        Ok(())
    }

    pub(super) fn indication_id(&mut self) -> TransactionId {
        self.next_indication = self.next_indication.wrapping_add(1);
        let mut id = [0; 12];
        id.copy_from_slice(&self.next_indication.to_be_bytes()[4..]);
        TransactionId(id)
    }

    /// An ICMP error came for what a relayed address had sent to a peer: its client is told, a few times a second
    /// (RFC 8656 §11.5).
    pub fn handle_icmp(&mut self, now: Instant, relay: SocketAddr, peer: SocketAddr, icmp: Icmp) {
        let (id, peer) = (self.indication_id(), self.outer(peer));
        let held = self.by_relay.get(&relay).and_then(|index| self.held.get_mut(*index));
        let Some(held) = held.filter(|held| held.peers.is_permitted(now, peer.ip())) else { return };
        if !held.icmp.try_take(now, 1) || !self.outbox.has_room() {
            return;
        }
        let head = super::outbox::Head {
            class: Class::Indication,
            method: Method::DATA,
            transaction: id,
            has_fingerprint: false,
        };
        self.outbox.respond(held.path, head, None, |message| {
            message
                .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
                .attribute(AttributeType::ICMP, &icmp.encode())
        });
    }
}

impl Layer for Server {
    type Event = super::event::Event;
    type Error = ServerError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), ServerError> {
        let size = datagram.bytes.len();
        if !self.relayed.has_room() {
            return Err(ServerError::Ignored("too much waits to be sent"));
        }
        let mut batch = std::mem::replace(&mut self.relayed.batch, TransmitBatch::new(MAX_DATAGRAM));
        let mut queue = std::mem::take(&mut self.relayed.queue);
        let result = self.receive(now, [(datagram, size)], &mut batch, &mut queue);
        self.relayed.batch = batch;
        self.relayed.queue = queue;
        result
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.wake(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn poll_transmit(&mut self, _now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        self.outbox.poll(out).or_else(|| self.relayed.poll(out))
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        self.next_event()
    }
}

/// Takes `size` bytes from the allowances of an allocation, of all and of the user: from each, or from none.
pub(super) fn take_bandwidth(
    now: Instant,
    size: u64,
    allocation: &mut TokenBucket,
    all: &mut TokenBucket,
    user: Option<&mut TokenBucket>,
) -> bool {
    let has_room = allocation.has(now, size) && all.has(now, size);
    let takes = has_room && user.is_none_or(|user| user.try_take(now, size));
    if takes {
        allocation.take(size);
        all.take(size);
    }
    takes
}

fn is_send(bytes: &[u8]) -> bool {
    // The class and the method of a Send indication.
    bytes.starts_with(&[0, 0x16])
}

/// Appends data of a peer as its client gets it.
fn wrap(
    out: &mut Vec<u8>,
    client: Protocol,
    channel: Option<ChannelNumber>,
    id: TransactionId,
    peer: SocketAddr,
    data: &[u8],
) {
    match channel {
        Some(channel) => {
            out.extend_from_slice(&ChannelData::header(channel, data.len() as u16));
            out.extend_from_slice(data);
            // RFC 8656 §12.5: over streams alone.
            if client != Protocol::Udp {
                out.resize(out.len() + data.len().next_multiple_of(4) - data.len(), 0);
            }
        }
        None => {
            // It is not longer than a message can be.
            let _ = MessageBuilder::new(out, Class::Indication, Method::DATA, id)
                .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
                .attribute(AttributeType::DATA, data)
                .finish();
        }
    }
}

/// How long data is with what stands around it.
fn wrapped(client: Protocol, channel: Option<ChannelNumber>, peer: SocketAddr, len: usize) -> usize {
    let padded = len.next_multiple_of(4);
    match channel {
        Some(_) if client == Protocol::Udp => CHANNEL_DATA_HEADER_LEN + len,
        Some(_) => CHANNEL_DATA_HEADER_LEN + padded,
        None => HEADER_LEN + if peer.is_ipv4() { 12 } else { 24 } + 4 + padded,
    }
}

/// A peer's address as the client names it: a socket of both families tells IPv4 peers in IPv6 form.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}
