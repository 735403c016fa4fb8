//! The table of channels of one association, RFC 8831 §6.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};

use super::arrivals::Arrivals;
use super::channel::{ChannelCounters, ChannelEvent, ChannelInit, ChannelState, MessageKind};
use super::channel_id::ChannelId;
use super::dcep::Open;
use super::error::DataChannelError;
use super::free_streams::FreeStreams;
use super::inbox::Inbox;
use crate::layer::{DtlsRole, PayloadProtocol, SctpClose, SctpEvent, SctpTransport, SendOptions, StreamId};

/// The limits of a [`DataChannels`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The most channels at a time, of both sides together. Those of the peer count for 480 bytes and their names
    /// in the receive budget of the association, of which they may take half. 8192 by default.
    pub channels: usize,
    /// The most bytes of labels and protocols of the channels that the peer opened, all together. 1 MiB by
    /// default.
    pub peer_names: usize,
    /// The most bytes of unread messages of all channels together, with their overhead, if the association has no
    /// receive window of its own for them ([`SctpTransport::set_held`]): when it is reached nothing more is read
    /// from it, and what comes behind waits. 4 MiB by default.
    pub unread: usize,
    /// The most events that wait: while there are so many, channels that the peer opens are refused. 4096 by
    /// default.
    pub events: usize,
    /// The most bytes of messages that are arriving in the parts of the deprecated protocol identifiers 52 and
    /// 54, on all channels together. 256 KiB by default.
    pub partial_messages: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            channels: 8192,
            peer_names: 1 << 20,
            unread: 4 << 20,
            events: 4096,
            partial_messages: 256 << 10,
        }
    }
}

/// The data channels of one association.
///
/// ```
/// use std::time::Instant;
///
/// use kaon_rtc::datachannel::{ChannelId, ChannelInit, DataChannelError, DataChannels, MessageKind};
/// use kaon_rtc::layer::SctpTransport;
///
/// /// Opens a channel both sides know of, which needs no announcement, and sends on it.
/// fn open(
///     channels: &mut DataChannels,
///     association: &mut impl SctpTransport,
///     now: Instant,
/// ) -> Result<ChannelId, DataChannelError> {
///     let mut init = ChannelInit::new("control");
///     init.negotiated = Some(kaon_rtc::layer::StreamId(0));
///     let id = channels.open(association, now, init)?;
///     channels.send(association, now, id, MessageKind::Text, "ready".into())?;
///     println!("{} bytes wait", channels.buffered_amount(association, id));
///     Ok(id)
/// }
/// ```
#[derive(Debug, Default)]
pub struct DataChannels {
    pub(super) limits: Limits,
    pub(super) role: Option<DtlsRole>,
    established: bool,
    pub(super) end: End,
    /// In the order in which they were made; boxed, since a map of few has room for many.
    pub(super) channels: BTreeMap<ChannelId, Box<Channel>>,
    pub(super) by_stream: FxHashMap<StreamId, ChannelId>,
    next_id: u64,
    /// Streams that the peer refused to reset, never to be used again.
    pub(super) retired: FxHashSet<StreamId>,
    /// Establishment messages that the association had no room for, one of a channel at most.
    pub(super) unsent: BTreeMap<ChannelId, (StreamId, Bytes)>,
    pub(super) arrivals: Arrivals,
    /// Bytes of the names of channels that the peer opened, and how many these are.
    pub(super) peer_names: usize,
    pub(super) peer_channels: usize,
    /// The streams of channels that the peer has not reset.
    unreset: FxHashSet<StreamId>,
    streams: FreeStreams,
    /// Channels that were there when the association ended.
    cut_off: FxHashSet<ChannelId>,
    pub(super) events: VecDeque<ChannelEvent>,
    /// Something has happened since [`advance`](Self::advance) had nothing to do. The association says when there is
    /// something to read, so that a table without news need not ask.
    pub(super) is_stirred: bool,
}

#[derive(Debug)]
pub(super) struct Channel {
    init: ChannelInit,
    stream: Option<StreamId>,
    pub(super) state: ChannelState,
    opened_by_peer: bool,
    /// The peer has not confirmed an OPEN of ours: until then messages are ordered (RFC 8832 §6).
    pub(super) awaits_ack: bool,
    pub(super) reset_by_us: Reset,
    pub(super) reset_by_peer: bool,
    has_sent: bool,
    pub(super) counters: ChannelCounters,
    low_threshold: usize,
    /// That the buffered amount is low waits to be told.
    low_waits: bool,
    /// The application was told, or will be, of messages that it has not received since.
    pub(super) told_readable: bool,
    /// The event that says so waits.
    pub(super) readable_waits: bool,
    pub(super) inbox: Inbox,
    /// What arrived of a message in deprecated parts.
    pub(super) partial: Vec<u8>,
}

/// Whether the association ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    #[default]
    NotYet,
    /// It did, and what arrived before is not read yet.
    Unread,
    Over,
}

/// Where the reset of an outgoing stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reset {
    No,
    Asked,
    Done,
}

impl DataChannels {
    /// A table without channels.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The DTLS role is known: channels of this side get even streams as a client, odd ones as a server
    /// (RFC 8832 §6).
    pub fn set_role(&mut self, sctp: &mut dyn SctpTransport, now: Instant, role: DtlsRole) {
        self.role = Some(role);
        self.connect_all(sctp, now);
    }

    /// Makes a channel. It is open when [`ChannelEvent::Open`] says so.
    ///
    /// # Errors
    /// [`DataChannelError::TooLong`], [`DataChannelError::TooManyChannels`],
    /// [`DataChannelError::StreamInUse`] or [`DataChannelError::InvalidStream`].
    pub fn open(
        &mut self,
        sctp: &mut dyn SctpTransport,
        now: Instant,
        init: ChannelInit,
    ) -> Result<ChannelId, DataChannelError> {
        for (what, name) in [("label", &init.label), ("protocol", &init.protocol)] {
            if name.len() > usize::from(u16::MAX) {
                return Err(DataChannelError::TooLong { what, length: name.len() });
            }
        }
        if self.channels.len() >= self.limits.channels {
            return Err(DataChannelError::TooManyChannels { limit: self.limits.channels });
        }
        if let Some(stream) = init.negotiated {
            if stream.0 == u16::MAX {
                return Err(DataChannelError::InvalidStream(stream));
            }
            if self.is_used(stream) {
                return Err(DataChannelError::StreamInUse(stream));
            }
        }
        let stream = init.negotiated;
        let id = self.insert(Channel::new(init, stream, false));
        if self.end != End::NotYet {
            // Nothing will ever connect it.
            self.remove(id);
            return Ok(id);
        }
        self.connect(sctp, now, id);
        Ok(id)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`DataChannelError::NoChannel`], [`DataChannelError::NotOpen`], or what the association refused; after
    /// [`SctpError::SendBufferFull`](crate::layer::SctpError::SendBufferFull), [`SctpEvent::Writable`] tells
    /// when to try again.
    pub fn send(
        &mut self,
        sctp: &mut dyn SctpTransport,
        now: Instant,
        id: ChannelId,
        kind: MessageKind,
        data: Bytes,
    ) -> Result<(), DataChannelError> {
        let channel = self.channels.get(&id).ok_or(DataChannelError::NoChannel(id))?;
        let stream = channel
            .stream
            .filter(|_| channel.state == ChannelState::Open && self.end == End::NotYet)
            .ok_or(DataChannelError::NotOpen(id))?;
        // A message that overtakes the OPEN of its channel is one of no channel (RFC 8832 §6).
        self.flush(sctp, now)?;
        let channel = self.channels.get_mut(&id).ok_or(DataChannelError::NoChannel(id))?;
        let options = SendOptions {
            unordered: !channel.init.ordered && !channel.awaits_ack,
            reliability: channel.init.reliability,
        };
        // SCTP carries no empty message (RFC 8831 §6.6): a byte that is not looked at stands for it.
        let len = data.len() as u64;
        let (protocol, payload) = match (kind, data.is_empty()) {
            (MessageKind::Text, false) => (PayloadProtocol::STRING, data),
            (MessageKind::Binary, false) => (PayloadProtocol::BINARY, data),
            (MessageKind::Text, true) => (PayloadProtocol::STRING_EMPTY, Bytes::from_static(&[0])),
            (MessageKind::Binary, true) => (PayloadProtocol::BINARY_EMPTY, Bytes::from_static(&[0])),
        };
        sctp.send(now, stream, protocol, payload, options)?;
        channel.has_sent = true;
        channel.counters.messages_sent += 1;
        channel.counters.bytes_sent += len;
        Ok(())
    }

    /// Closes a channel: what was sent is delivered first, then both directions are reset (RFC 8831 §6.7).
    ///
    /// # Errors
    /// [`DataChannelError::NoChannel`].
    pub fn close(
        &mut self,
        sctp: &mut dyn SctpTransport,
        now: Instant,
        id: ChannelId,
    ) -> Result<(), DataChannelError> {
        let channel = self.channels.get_mut(&id).ok_or(DataChannelError::NoChannel(id))?;
        // A peer that never heard of the channel would not reset its direction of the stream.
        let awaits_open = !channel.opened_by_peer && self.unsent.contains_key(&id);
        match channel.state {
            ChannelState::Closing => {}
            ChannelState::Connecting => self.remove(id),
            ChannelState::Open if awaits_open => self.remove(id),
            ChannelState::Open => {
                channel.state = ChannelState::Closing;
                self.reset(sctp, now, id);
            }
        }
        Ok(())
    }

    /// Takes an event of the association.
    ///
    /// It is to be handed all of them: that there is something to read is one.
    pub fn handle_event(&mut self, sctp: &mut dyn SctpTransport, now: Instant, event: &SctpEvent) {
        self.is_stirred = true;
        match event {
            SctpEvent::Established { .. } => {
                self.established = true;
                self.forget_told();
                self.connect_all(sctp, now);
            }
            // What finds no room still does so at the next one.
            SctpEvent::Writable => drop(self.flush(sctp, now)),
            SctpEvent::BufferedAmountLow(stream) => {
                // What a channel never sent was its OPEN or ACK, and no buffered amount.
                if let Some((id, channel)) = self.on_stream(*stream).filter(|(_, channel)| channel.has_sent)
                    && !std::mem::replace(&mut channel.low_waits, true)
                {
                    self.events.push_back(ChannelEvent::BufferedAmountLow(id));
                }
            }
            SctpEvent::IncomingStreamReset(stream) => self.note_peer_reset(sctp, *stream),
            SctpEvent::AllIncomingStreamsReset => {
                for stream in std::mem::take(&mut self.unreset) {
                    self.note_peer_reset(sctp, stream);
                }
            }
            SctpEvent::OutgoingStreamReset(stream) => {
                // The peer may have asked for it (RFC 6525 §5.2.3), and then it closes nothing.
                if let Some((id, channel)) =
                    self.on_stream(*stream).filter(|(_, c)| c.reset_by_us == Reset::Asked)
                {
                    channel.reset_by_us = Reset::Done;
                    self.finish_close(id);
                }
            }
            SctpEvent::StreamResetRefused(stream) => {
                if let Some(id) = self.by_stream.get(stream).copied() {
                    self.retired.insert(*stream);
                    self.remove(id);
                }
            }
            SctpEvent::Closed(close) => {
                self.established = false;
                self.unsent.clear();
                self.forget_resets();
                // What this side ended is not read any more.
                match close {
                    SctpClose::Aborted => self.close_all(),
                    _ => self.end = End::Unread,
                }
            }
            SctpEvent::Readable => {}
        }
    }

    /// Whether something has happened that [`poll_event`](Self::poll_event) tells.
    #[cfg(feature = "session")]
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The next thing that happened. Never waits for anybody to [`receive`](Self::receive).
    pub fn poll_event(&mut self, sctp: &mut dyn SctpTransport, now: Instant) -> Option<ChannelEvent> {
        self.advance_on_news(sctp, now);
        let event = self.events.pop_front()?;
        // One that waits counts in the budget.
        self.is_stirred = true;
        if self.events.is_empty() {
            // What an idle table does without.
            self.events = VecDeque::new();
        }
        match &event {
            ChannelEvent::BufferedAmountLow(id) => {
                self.channels.entry(*id).and_modify(|channel| channel.low_waits = false);
            }
            ChannelEvent::Readable(id) => {
                self.channels.entry(*id).and_modify(|channel| channel.readable_waits = false);
            }
            _ => {}
        }
        Some(event)
    }

    /// What the channel was made as; of a channel that the peer opened, what it announced.
    pub fn init(&self, id: ChannelId) -> Option<&ChannelInit> {
        self.channels.get(&id).map(|channel| &channel.init)
    }

    /// What went over a channel; `None` if it is closed.
    pub fn counters(&self, id: ChannelId) -> Option<ChannelCounters> {
        self.channels.get(&id).map(|channel| channel.counters)
    }

    /// The state of a channel; `None` if it is closed.
    pub fn state(&self, id: ChannelId) -> Option<ChannelState> {
        let state = self.channels.get(&id)?.state;
        Some(if self.end == End::NotYet { state } else { ChannelState::Closing })
    }

    /// Whether a channel is closed only because the association has ended: something that was sent on it may not have
    /// arrived.
    pub fn is_cut_off(&self, id: ChannelId) -> bool {
        self.cut_off.contains(&id)
    }

    /// The stream of a channel, once it has one.
    pub fn stream(&self, id: ChannelId) -> Option<StreamId> {
        self.channels.get(&id).and_then(|channel| channel.stream)
    }

    /// All channels, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = ChannelId> {
        self.channels.keys().copied()
    }

    /// The bytes queued on a channel that were not sent yet.
    pub fn buffered_amount(&self, sctp: &dyn SctpTransport, id: ChannelId) -> usize {
        self.stream(id).map_or(0, |stream| sctp.buffered_amount(stream))
    }

    /// [`ChannelEvent::BufferedAmountLow`] tells when the buffered amount falls to `threshold` bytes; 0 at
    /// first.
    ///
    /// # Errors
    /// [`DataChannelError::NoChannel`].
    pub fn set_buffered_amount_low_threshold(
        &mut self,
        sctp: &mut dyn SctpTransport,
        id: ChannelId,
        threshold: usize,
    ) -> Result<(), DataChannelError> {
        let channel = self.channels.get_mut(&id).ok_or(DataChannelError::NoChannel(id))?;
        channel.low_threshold = threshold;
        if let Some(stream) = channel.stream {
            sctp.set_buffered_amount_low_threshold(stream, threshold);
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, channel: Channel) -> ChannelId {
        let id = ChannelId(self.next_id);
        self.next_id += 1;
        self.is_stirred = true;
        if let Some(stream) = channel.stream {
            self.by_stream.insert(stream, id);
            self.unreset.insert(stream);
        }
        self.peer_channels += usize::from(channel.opened_by_peer);
        self.channels.insert(id, Box::new(channel));
        id
    }

    pub(super) fn remove(&mut self, id: ChannelId) {
        let Some(mut channel) = self.channels.remove(&id) else { return };
        self.is_stirred = true;
        if let Some(stream) = channel.stream {
            self.by_stream.remove(&stream);
            self.streams.put_back(stream);
            self.unreset.remove(&stream);
            self.unsent.remove(&id);
        }
        if channel.opened_by_peer {
            self.peer_names -= channel.init.label.len() + channel.init.protocol.len();
            self.peer_channels -= 1;
        }
        self.leave(id, channel.stream, &mut channel);
        self.events.push_back(ChannelEvent::Closed(id));
    }

    pub(super) fn close_all(&mut self) {
        self.end = End::Over;
        self.forget_arrivals();
        self.cut_off.extend(self.channels.keys());
        while let Some((id, _)) = self.channels.first_key_value() {
            self.remove(*id);
        }
    }

    pub(super) fn on_stream(&mut self, stream: StreamId) -> Option<(ChannelId, &mut Channel)> {
        let id = *self.by_stream.get(&stream)?;
        Some((id, self.channels.get_mut(&id)?))
    }

    pub(super) fn is_used(&self, stream: StreamId) -> bool {
        self.by_stream.contains_key(&stream) || self.retired.contains(&stream)
    }

    fn connect_all(&mut self, sctp: &mut dyn SctpTransport, now: Instant) {
        let waiting: Vec<ChannelId> = self
            .channels
            .iter()
            .filter(|(_, channel)| channel.state == ChannelState::Connecting)
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            self.connect(sctp, now, id);
        }
    }

    /// Opens a channel if there is an association and, unless its stream was agreed on, a DTLS role.
    fn connect(&mut self, sctp: &mut dyn SctpTransport, now: Instant, id: ChannelId) {
        self.established |= sctp.is_established();
        if !self.established {
            return;
        }
        let Some(channel) = self.channels.get(&id) else { return };
        let (outgoing, incoming) = sctp.streams();
        let stream = match (channel.stream, self.role) {
            (Some(stream), _) => Some(stream).filter(|stream| stream.0 < outgoing.min(incoming)),
            (None, Some(role)) => self.free_stream(role, outgoing.min(incoming)),
            (None, None) => return,
        };
        let Some(stream) = stream else {
            // As the W3C has it: a channel that finds no stream is closed.
            self.remove(id);
            return;
        };
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.stream = Some(stream);
        channel.state = ChannelState::Open;
        self.by_stream.insert(stream, id);
        self.unreset.insert(stream);
        sctp.set_buffered_amount_low_threshold(stream, channel.low_threshold);
        if channel.init.negotiated.is_none() {
            channel.awaits_ack = true;
            let open = Open::message(&channel.init);
            if self.send_dcep(sctp, now, id, stream, open).is_err() {
                self.remove(id);
                return;
            }
        }
        self.events.push_back(ChannelEvent::Open(id));
    }

    /// The lowest stream of this side's parity that no channel uses.
    fn free_stream(&mut self, role: DtlsRole, count: u16) -> Option<StreamId> {
        let Self { streams, by_stream, retired, .. } = self;
        streams.take(role, count, |stream| by_stream.contains_key(&stream) || retired.contains(&stream))
    }

    pub(super) fn reset(&mut self, sctp: &mut dyn SctpTransport, now: Instant, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let Some(stream) = channel.stream.filter(|_| channel.reset_by_us == Reset::No) else { return };
        channel.reset_by_us = Reset::Asked;
        if sctp.reset_streams(now, &[stream]).is_err() {
            self.remove(id);
        }
    }

    pub(super) fn handle_peer_reset(&mut self, sctp: &mut dyn SctpTransport, now: Instant, stream: StreamId) {
        self.unreset.remove(&stream);
        let Some((id, channel)) = self.on_stream(stream) else { return };
        channel.reset_by_peer = true;
        if channel.state == ChannelState::Open {
            channel.state = ChannelState::Closing;
            self.events.push_back(ChannelEvent::Closing(id));
            self.reset(sctp, now, id);
        }
        self.finish_close(id);
    }

    fn finish_close(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get(&id) else { return };
        if channel.reset_by_peer && channel.reset_by_us == Reset::Done {
            self.remove(id);
        }
    }
}

#[cfg(test)]
impl DataChannels {
    /// What is counted along the way is what there is.
    pub(super) fn check(&self) {
        let channels = || self.channels.values();
        let names = |channel: &Channel| channel.init.label.len() + channel.init.protocol.len();
        let of_peer = channels().filter(|channel| channel.opened_by_peer);
        assert_eq!(self.peer_names, of_peer.map(|channel| names(channel)).sum::<usize>());
        assert_eq!(self.peer_channels, channels().filter(|channel| channel.opened_by_peer).count());
        let unread = channels().map(|channel| channel.inbox.charge()).sum();
        self.arrivals.check(unread, channels().map(|channel| channel.partial.len()).sum());
        let partial = self.arrivals.partial;
        assert!(self.channels.len() <= self.limits.channels && partial <= self.limits.partial_messages);
        assert!(self.unreset.iter().all(|stream| self.by_stream.contains_key(stream)));
        assert_eq!(self.by_stream.len(), channels().filter(|channel| channel.stream.is_some()).count());
        assert!(self.by_stream.iter().all(|(stream, id)| self.stream(*id) == Some(*stream)));
    }
}

impl Channel {
    pub(super) fn new(init: ChannelInit, stream: Option<StreamId>, opened_by_peer: bool) -> Self {
        Self {
            init,
            stream,
            state: ChannelState::Connecting,
            opened_by_peer,
            awaits_ack: false,
            reset_by_us: Reset::No,
            reset_by_peer: false,
            has_sent: false,
            counters: ChannelCounters::default(),
            low_threshold: 0,
            low_waits: false,
            told_readable: false,
            readable_waits: false,
            inbox: Inbox::default(),
            partial: Vec::new(),
        }
    }
}
