//! What arrives: messages sorted by channel, and the resets of streams among them.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::time::Instant;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::arrivals::{CHANNEL_OVERHEAD, Deferred, EVENT_OVERHEAD, RETIRED_OVERHEAD};
use super::channel::{ChannelEvent, ChannelState, MessageKind};
use super::channel_id::ChannelId;
use super::channels::{Channel, DataChannels, End};
use super::inbox::{MESSAGE_OVERHEAD, Message};
use crate::layer::{Held, HeldOutcome, PayloadProtocol, Received, SctpTransport, StreamId};

impl DataChannels {
    /// The next message of a channel; `None` if there is none. Those that arrived before a channel closed wait
    /// after [`ChannelEvent::Closed`], too, until they are received or [`discard`](Self::discard)ed.
    pub fn receive(&mut self, sctp: &mut dyn SctpTransport, now: Instant, id: ChannelId) -> Option<Message> {
        let message = match self.take_message(id) {
            Some(message) => message,
            None => {
                self.advance(sctp, now);
                self.take_message(id)?
            }
        };
        if self.arrivals.is_counted {
            self.tell_held(sctp);
        } else {
            // There may be room for what waits in the association.
            self.advance(sctp, now);
        }
        Some(message)
    }

    /// Whether the association has something to send since messages were received, because its window was nearly
    /// closed: told once.
    pub fn take_window_opened(&mut self) -> bool {
        std::mem::take(&mut self.arrivals.window_opened)
    }

    fn take_message(&mut self, id: ChannelId) -> Option<Message> {
        let message = match self.channels.get_mut(&id) {
            Some(channel) => {
                let message = channel.inbox.pop()?;
                channel.counters.messages_received += 1;
                channel.counters.bytes_received += message.data.len() as u64;
                channel.told_readable &= !channel.inbox.is_empty();
                message
            }
            None => {
                let Entry::Occupied(mut left) = self.arrivals.left.entry(id) else { return None };
                let message = left.get_mut().pop()?;
                if left.get().is_empty() {
                    left.remove();
                }
                message
            }
        };
        self.arrivals.charge -= message.data.len() + MESSAGE_OVERHEAD;
        Some(message)
    }

    /// Throws away the messages of a channel that wait, as for an application that is not interested in them.
    pub fn discard(&mut self, sctp: &mut dyn SctpTransport, id: ChannelId) {
        let inbox = match self.channels.get_mut(&id) {
            Some(channel) => {
                channel.told_readable = false;
                Some(std::mem::take(&mut channel.inbox))
            }
            None => self.arrivals.left.remove(&id),
        };
        if let Some(inbox) = inbox {
            self.arrivals.charge -= inbox.charge();
            self.tell_held(sctp);
        }
    }

    /// Sorts what has arrived: messages go to their channels, whether or not anybody reads those, so that nothing
    /// of one channel waits for another. What is kept counts against the window of the association.
    ///
    /// The other methods do this as they need it; a caller that has just fed the association may do it to have the
    /// state of all channels up to date.
    pub fn advance(&mut self, sctp: &mut dyn SctpTransport, now: Instant) {
        self.is_stirred = true;
        self.advance_on_news(sctp, now);
    }

    /// The same where every event of the association has been handed over: without one there is nothing to look for.
    pub(crate) fn advance_on_news(&mut self, sctp: &mut dyn SctpTransport, now: Instant) {
        if self.is_stirred {
            self.sort_arrivals(sctp, now);
        }
    }

    fn sort_arrivals(&mut self, sctp: &mut dyn SctpTransport, now: Instant) {
        if self.end == End::Over {
            return;
        }
        self.tell_held(sctp);
        let mut is_quiet = true;
        loop {
            if let Some(stream) = self.arrivals.released.pop() {
                self.run_deferred(sctp, now, stream);
            } else if self.arrivals.is_reset_due() {
                self.handle_next_reset(sctp, now);
            } else if !self.arrivals.is_counted && self.arrivals.charge >= self.limits.unread {
                // The window of such an association closes only by what is not read.
                return;
            } else if let Some(received) = sctp.receive() {
                self.arrivals.messages_handled += 1;
                self.take_received(sctp, now, received);
            } else if !self.arrivals.resets.is_empty() {
                // Nothing is left to be read, however much was thought to be.
                self.handle_next_reset(sctp, now);
            } else if self.end == End::Unread && !self.arrivals.deferred.is_empty() {
                self.release_all();
            } else {
                break;
            }
            is_quiet = false;
        }
        if self.end == End::Unread {
            self.close_all();
        } else if is_quiet {
            self.is_stirred = false;
            return;
        }
        self.tell_held(sctp);
    }

    /// Has the association count what is kept.
    fn tell_held(&mut self, sctp: &mut dyn SctpTransport) {
        let held = Held { unread: self.arrivals.charge, channels: self.peer_charge() + self.news_charge() };
        if self.arrivals.told != Some(held) {
            self.arrivals.told = Some(held);
            let outcome = sctp.set_held(held);
            self.arrivals.is_counted = outcome != HeldOutcome::NotCounted;
            self.arrivals.window_opened |= outcome == HeldOutcome::WindowOpened;
        }
    }

    /// What the channels that the peer opened count for.
    pub(super) fn peer_charge(&self) -> usize {
        self.peer_names + self.peer_channels * CHANNEL_OVERHEAD
    }

    /// What events that wait, and streams that are lost for good, count for: a peer can make some of each.
    fn news_charge(&self) -> usize {
        self.events.len() * EVENT_OVERHEAD + self.retired.len() * RETIRED_OVERHEAD
    }

    fn take_received(&mut self, sctp: &mut dyn SctpTransport, now: Instant, received: Received) {
        let stream = received.stream;
        if !self.arrivals.deferred.contains_key(&stream) && !self.must_wait(sctp, now, &received) {
            self.handle_message(sctp, now, received);
            return;
        }
        self.arrivals.charge += received.payload.len() + MESSAGE_OVERHEAD;
        self.arrivals.deferred.entry(stream).or_default().push_back(Deferred::Message(received));
    }

    /// Goes on with a stream whose last channel is gone.
    fn run_deferred(&mut self, sctp: &mut dyn SctpTransport, now: Instant, stream: StreamId) {
        let Some(mut deferred) = self.arrivals.deferred.remove(&stream) else { return };
        while let Some(next) = deferred.pop_front() {
            match next {
                Deferred::Reset => self.handle_peer_reset(sctp, now, stream),
                Deferred::Message(received) if self.must_wait(sctp, now, &received) => {
                    deferred.push_front(Deferred::Message(received));
                    self.arrivals.deferred.insert(stream, deferred);
                    return;
                }
                Deferred::Message(received) => {
                    self.arrivals.charge -= received.payload.len() + MESSAGE_OVERHEAD;
                    self.handle_message(sctp, now, received);
                }
            }
        }
    }

    /// The association ended: nothing that is waited for comes any more.
    fn release_all(&mut self) {
        let streams: Vec<_> = self.arrivals.deferred.keys().copied().collect();
        for stream in &streams {
            if let Some(id) = self.by_stream.get(stream).copied() {
                self.remove(id);
            }
        }
        self.arrivals.released = streams;
    }

    /// A channel is gone: what was not read of it waits, and what waited for its end does no more.
    pub(super) fn leave(&mut self, id: ChannelId, stream: Option<StreamId>, channel: &mut Channel) {
        let inbox = std::mem::take(&mut channel.inbox);
        if !inbox.is_empty() {
            self.arrivals.left.insert(id, inbox);
        }
        self.forget_parts(channel);
        if let Some(stream) = stream.filter(|stream| self.arrivals.deferred.contains_key(stream)) {
            self.arrivals.released.push(stream);
        }
    }

    fn forget_parts(&mut self, channel: &mut Channel) {
        let parts = std::mem::take(&mut channel.partial).len();
        self.arrivals.partial -= parts;
        self.arrivals.charge -= parts;
    }

    /// Everything ended: nothing waits any more but messages that arrived.
    pub(super) fn forget_arrivals(&mut self) {
        for deferred in std::mem::take(&mut self.arrivals.deferred).into_values().flatten() {
            if let Deferred::Message(received) = deferred {
                self.arrivals.charge -= received.payload.len() + MESSAGE_OVERHEAD;
            }
        }
        self.arrivals.released = Vec::new();
        self.forget_resets();
    }

    pub(super) fn forget_resets(&mut self) {
        self.arrivals.resets = VecDeque::new();
        self.arrivals.resets_of = FxHashMap::default();
    }

    /// A new association knows nothing of what is held.
    pub(super) fn forget_told(&mut self) {
        self.arrivals.told = None;
    }

    /// Notes the reset of a stream, which takes effect after what arrived before: the OPEN of the channel may be
    /// among it, and what is left unread of one channel must not be taken for messages of the next one on its
    /// stream.
    pub(super) fn note_peer_reset(&mut self, sctp: &dyn SctpTransport, stream: StreamId) {
        let after = self.arrivals.messages_handled.saturating_add(sctp.unread() as u64);
        let of_stream = self.arrivals.resets_of.entry(stream).or_default();
        if of_stream.len() < 2 {
            of_stream.push_back(after);
            self.arrivals.resets.push_back((after, stream));
        }
    }

    fn handle_next_reset(&mut self, sctp: &mut dyn SctpTransport, now: Instant) {
        let Some((after, stream)) = self.arrivals.resets.pop_front() else { return };
        let is_early = self.arrivals.resets_of.get(&stream).and_then(VecDeque::front) != Some(&after);
        if is_early || !self.arrivals.take_reset(stream) {
            return;
        }
        match self.arrivals.deferred.get_mut(&stream) {
            Some(deferred) if matches!(deferred.back(), Some(Deferred::Reset)) => {}
            Some(deferred) => deferred.push_back(Deferred::Reset),
            None => self.handle_peer_reset(sctp, now, stream),
        }
    }

    /// Has the earliest reset of a stream take effect, if there is one, because something that the peer sent
    /// after it was read.
    pub(super) fn advance_reset(&mut self, sctp: &mut dyn SctpTransport, now: Instant, stream: StreamId) {
        if self.arrivals.take_reset(stream) {
            self.handle_peer_reset(sctp, now, stream);
        }
    }

    fn handle_message(&mut self, sctp: &mut dyn SctpTransport, now: Instant, received: Received) {
        if received.protocol == PayloadProtocol::DCEP {
            let stream = received.stream;
            match self.handle_dcep(sctp, now, stream, &received.payload) {
                Ok(Some(event)) => self.events.push_back(event),
                Ok(None) => {}
                Err(error) => {
                    self.refuse(sctp, now, stream);
                    if self.events.len() < self.limits.events {
                        self.events.push_back(ChannelEvent::Refused { stream, error });
                    }
                }
            }
            return;
        }
        let Some((id, message)) = self.whole_message(sctp, now, received) else { return };
        let Some(channel) = self.channels.get_mut(&id) else { return };
        self.arrivals.charge += message.data.len() + MESSAGE_OVERHEAD;
        channel.inbox.push(message);
        if !std::mem::replace(&mut channel.told_readable, true) && !channel.readable_waits {
            channel.readable_waits = true;
            self.events.push_back(ChannelEvent::Readable(id));
        }
    }

    /// The message of a channel that is whole with what was received.
    fn whole_message(
        &mut self,
        sctp: &mut dyn SctpTransport,
        now: Instant,
        received: Received,
    ) -> Option<(ChannelId, Message)> {
        let partial_room = self.limits.partial_messages - self.arrivals.partial;
        // Data on a stream without a channel: its channel was closed on this side, or is not made yet.
        let (id, channel) = self.on_stream(received.stream)?;
        if channel.state != ChannelState::Open {
            return None;
        }
        // Data on the stream says as much as an ACK, which an unordered message may overtake.
        channel.awaits_ack = false;
        let (kind, payload) = match received.protocol {
            PayloadProtocol::STRING => (MessageKind::Text, received.payload),
            PayloadProtocol::BINARY => (MessageKind::Binary, received.payload),
            PayloadProtocol::STRING_EMPTY => (MessageKind::Text, Bytes::new()),
            PayloadProtocol::BINARY_EMPTY => (MessageKind::Binary, Bytes::new()),
            BINARY_PARTIAL | STRING_PARTIAL => {
                let len = received.payload.len();
                if len > partial_room {
                    channel.state = ChannelState::Closing;
                    let parts = std::mem::take(&mut channel.partial).len();
                    self.arrivals.partial -= parts;
                    self.arrivals.charge -= parts;
                    self.events.push_back(ChannelEvent::Closing(id));
                    self.reset(sctp, now, id);
                    return None;
                }
                channel.partial.extend_from_slice(&received.payload);
                self.arrivals.partial += len;
                self.arrivals.charge += len;
                return None;
            }
            _ => return None,
        };
        let mut parts = std::mem::take(&mut channel.partial);
        self.arrivals.partial -= parts.len();
        self.arrivals.charge -= parts.len();
        let payload = if parts.is_empty() {
            payload
        } else {
            parts.extend_from_slice(&payload);
            parts.into()
        };
        Some((id, Message { kind, data: payload }))
    }
}

/// Binary data in parts, deprecated (RFC 8831 §8).
const BINARY_PARTIAL: PayloadProtocol = PayloadProtocol(52);
/// Text in parts, deprecated.
const STRING_PARTIAL: PayloadProtocol = PayloadProtocol(54);
