//! The data path: RFC 8656 §11 and §12.4 to §12.6.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use super::agent::Client;
use super::event::{ClientError, Event};
use super::head::{RelayHead, complete, write_indication};
use crate::layer::{Datagram, Layer, StreamReport, StreamRequest, Transmit, TransmitBatch};
use crate::stun::{AttributeType, Class, Message, Method, StunError, TransactionId};
use crate::turn::attribute::Icmp;
use crate::turn::channel_data::ChannelData;

/// What a datagram of the server was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The client's own affair. There may be events, and something to send.
    Own,
    /// Data that a peer sent to the relayed address, or bytes of its connection.
    Data {
        /// The peer.
        peer: SocketAddr,
        /// Where the data is in the datagram.
        range: Range<usize>,
    },
}

impl Client {
    /// Takes a datagram of the server, or a message of its stream. Data stays where it is. Nothing is allocated for it.
    ///
    /// # Errors
    /// [`ClientError`] says why the datagram was refused; it changed nothing.
    pub fn open(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<Opened, ClientError> {
        if let Some(connection) = self.connections.by_path(&datagram.path) {
            return self.open_stream(now, connection.number, datagram.bytes);
        }
        let is_of_server =
            datagram.path.remote == self.path.remote && datagram.path.protocol == self.path.protocol;
        if !is_of_server {
            return Err(StunError::Ignored("it comes from another address than the server's").into());
        }
        if ChannelData::is_channel_data(datagram.bytes) {
            let message = ChannelData::decode(datagram.bytes)?;
            // Data of an allocation of before may be under way.
            let peer = self.peers.peer_of(message.channel).filter(|_| self.allocation.is_some());
            let peer = peer.ok_or(StunError::Ignored("its channel is not bound"))?;
            return Ok(Opened::Data { peer, range: message.range() });
        }
        let message = Message::decode(datagram.bytes)?;
        match (message.class(), message.method()) {
            (Class::Indication, Method::DATA) => self.indication(&message),
            (Class::Indication, Method::CONNECTION_ATTEMPT) => self.attempted(now, &message),
            (Class::Success | Class::Error, _) => {
                self.response(now, &message, None)?;
                Ok(Opened::Own)
            }
            _ => Err(StunError::Ignored("a client gets responses and Data indications only").into()),
        }
    }

    fn indication(&mut self, message: &Message<'_>) -> Result<Opened, ClientError> {
        let known = [AttributeType::XOR_PEER_ADDRESS, AttributeType::DATA];
        if message.unknown_required(&known).next().is_some() {
            return Err(StunError::Ignored("it has an unknown attribute that must be understood").into());
        }
        let peer = message.xor_address(AttributeType::XOR_PEER_ADDRESS);
        let peer = peer.ok_or(StunError::Ignored("it names no peer"))?;
        // A permission that is asked for may be there already.
        if self.allocation.is_none() || self.peers.permission(peer.ip()).is_none_or(|lease| lease.refused) {
            return Err(StunError::Ignored("its peer was never permitted").into());
        }
        if let Some(data) = message.attribute(AttributeType::DATA) {
            // Both are of the same datagram.
            let start = data.as_ptr() as usize - message.as_bytes().as_ptr() as usize;
            return Ok(Opened::Data { peer, range: start..start + data.len() });
        }
        let icmp = message.attribute(AttributeType::ICMP).and_then(Icmp::decode);
        self.tell(Event::Icmp(peer, icmp.ok_or(StunError::Ignored("it has neither data nor ICMP"))?));
        Ok(Opened::Own)
    }

    /// What stands in front of data for a peer: a channel's header if one is bound, else a Send indication. It is good
    /// until the next event on the peer, or on the allocation.
    ///
    /// # Errors
    /// [`ClientError::NotAllocated`]; [`ClientError::NotPermitted`], and the permission is asked for;
    /// [`ClientError::RelaysTcp`].
    pub fn head(&mut self, now: Instant, peer: SocketAddr) -> Result<RelayHead, ClientError> {
        self.assert_relays_udp()?;
        self.assert_permitted(now, peer)?;
        Ok(match self.peers.bound(peer) {
            Some(channel) => RelayHead::channel(channel, self.config.transport.is_stream()),
            None => {
                let id = TransactionId::random(&*self.provider.random);
                RelayHead::send_indication(id, peer, self.dont_fragment)
            }
        })
    }

    /// Says that data was sent to the server at `now` past [`send`](Self::send), so that no keepalive is needed soon.
    pub fn sent(&mut self, now: Instant) {
        self.last_sent = self.last_sent.max(now);
    }

    /// Appends data for a peer to a batch: through a channel if one is bound, else in a Send indication. Of an allocation for
    /// TCP they are bytes of the [connection](Self::connect) to the peer.
    ///
    /// # Errors
    /// [`ClientError`]; nothing is appended. Without a permission it is asked for.
    pub fn send(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        data: &[u8],
        out: &mut TransmitBatch,
    ) -> Result<Transmit, ClientError> {
        if self.relays_tcp() {
            return self.send_by_stream(peer, data, out);
        }
        self.assert_permitted(now, peer)?;
        let padded = self.config.transport.is_stream();
        let channel = self.peers.bound(peer);
        let mut segments = out.segments(Some(self.path), None);
        // A stream has no datagrams, and only the length field as a limit.
        let most = if padded { usize::from(u16::MAX) } else { segments.max_datagram() };
        let start = segments.datagram_start();
        let buffer = segments.datagram();
        match channel {
            Some(channel) => buffer.extend_from_slice(&ChannelData::header(channel, 0)),
            None => {
                let id = TransactionId::random(&*self.provider.random);
                write_indication(buffer, id, peer, self.dont_fragment);
            }
        }
        let data_start = buffer.len();
        let pads = padded || channel.is_none();
        let limit = most.min(usize::from(u16::MAX)).saturating_sub(data_start - start);
        let limit = if pads { limit & !3 } else { limit };
        if data.len() > limit {
            return Err(ClientError::TooLong { len: data.len(), limit });
        }
        buffer.extend_from_slice(data);
        complete(buffer, start, data_start, channel.is_some(), pads);
        segments.end_datagram();
        self.last_sent = now;
        segments.finish().ok_or(ClientError::NotAllocated)
    }

    fn assert_permitted(&mut self, now: Instant, peer: SocketAddr) -> Result<(), ClientError> {
        if self.allocation.is_none() {
            return Err(ClientError::NotAllocated);
        }
        if self.peers.is_permitted(peer.ip()) {
            return Ok(());
        }
        if self.has_family(peer.ip()) && self.peers.permission(peer.ip()).is_none() {
            self.want_permission(peer.ip())?;
            self.settle(now);
        }
        Err(ClientError::NotPermitted)
    }
}

impl Layer for Client {
    type Event = Event;
    type Error = ClientError;

    /// As [`open`](Client::open), for those who have no use for relayed data, which is refused.
    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), ClientError> {
        match self.open(now, datagram)? {
            Opened::Own => Ok(()),
            Opened::Data { .. } => Err(StunError::Ignored("relayed data is taken by open()").into()),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.wake(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next_timeout()
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        self.wake(now);
        self.transmit(now, out)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Streams are those of [connections](Client::connect); who makes a client has opened the one to the server.
    fn poll_stream(&mut self) -> Option<StreamRequest> {
        self.connections.requests.pop_front()
    }

    fn handle_stream(&mut self, now: Instant, report: StreamReport) {
        self.stream_reported(now, report);
    }
}
