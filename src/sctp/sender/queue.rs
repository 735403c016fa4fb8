use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::layer::{PayloadProtocol, SctpEvent, StreamId};
use crate::sctp::sequence::Ssn;

/// A message that waits to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) payload: Bytes,
    pub(crate) protocol: PayloadProtocol,
    pub(crate) unordered: bool,
    pub(crate) max_retransmits: Option<u16>,
    pub(crate) expires: Option<Instant>,
}

impl Message {
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// The messages of all streams that were not begun to be sent, and whose turn it is.
///
/// A stream takes memory from its first use until it is reset. Streams with messages take turns message by
/// message, because DATA chunks of different messages may not interleave (RFC 8260 §1).
#[derive(Debug, Default)]
pub(super) struct StreamQueues {
    streams: FxHashMap<StreamId, Stream>,
    ready: VecDeque<StreamId>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Stream {
    next_ssn: Ssn,
    messages: VecDeque<Message>,
    /// Bytes that were not handed to the network, of the message that is being sent included.
    buffered: usize,
    low_threshold: usize,
    resetting: bool,
}

impl StreamQueues {
    /// Bytes of messages that were not begun.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    pub(super) fn push(&mut self, id: StreamId, message: Message) {
        let stream = self.streams.entry(id).or_default();
        self.bytes += message.payload.len();
        stream.buffered += message.payload.len();
        if stream.messages.is_empty() {
            self.ready.push_back(id);
        }
        stream.messages.push_back(message);
    }

    /// The message whose turn it is, after those that expired were dropped.
    pub(super) fn peek(&mut self, now: Instant, events: &mut VecDeque<SctpEvent>) -> Option<&Message> {
        loop {
            let id = *self.ready.front()?;
            let expired = self.streams.get(&id)?.messages.front()?.is_expired(now);
            if !expired {
                return self.streams.get(&id)?.messages.front();
            }
            // It got no SSN yet, so the peer will not miss it (RFC 7496 §4.1).
            let (_, dropped) = self.take()?;
            self.note_sent(id, dropped.payload.len(), events);
        }
    }

    /// Takes the message whose turn it is.
    pub(super) fn take(&mut self) -> Option<(StreamId, Message)> {
        let id = self.ready.pop_front()?;
        let stream = self.streams.get_mut(&id)?;
        let message = stream.messages.pop_front()?;
        self.bytes -= message.payload.len();
        if !stream.messages.is_empty() {
            self.ready.push_back(id);
        }
        Some((id, message))
    }

    /// The sequence number of the next message of a stream; unordered messages use none up.
    pub(super) fn assign_ssn(&mut self, id: StreamId, unordered: bool) -> Ssn {
        let stream = self.streams.entry(id).or_default();
        let ssn = stream.next_ssn;
        if !unordered {
            stream.next_ssn = ssn.next();
        }
        ssn
    }

    /// Bytes of a stream went to the network or were given up.
    pub(super) fn note_sent(&mut self, id: StreamId, bytes: usize, events: &mut VecDeque<SctpEvent>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let before = stream.buffered;
        stream.buffered = before.saturating_sub(bytes);
        if before > stream.low_threshold && stream.buffered <= stream.low_threshold {
            events.push_back(SctpEvent::BufferedAmountLow(id));
        }
    }

    pub(super) fn buffered(&self, id: StreamId) -> usize {
        self.streams.get(&id).map_or(0, |stream| stream.buffered)
    }

    pub(super) fn set_low_threshold(&mut self, id: StreamId, threshold: usize) {
        if threshold != 0 || self.streams.contains_key(&id) {
            self.streams.entry(id).or_default().low_threshold = threshold;
        }
    }

    pub(super) fn is_resetting(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_some_and(|stream| stream.resetting)
    }

    /// Refuses further messages until the reset ended.
    pub(super) fn begin_reset(&mut self, id: StreamId) {
        self.streams.entry(id).or_default().resetting = true;
    }

    /// The peer confirmed the reset: the stream is as new.
    pub(super) fn finish_reset(&mut self, id: StreamId) {
        self.streams.remove(&id);
    }

    /// The peer refused the reset: the stream goes on as before.
    pub(super) fn cancel_reset(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.resetting = false;
        }
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives back memory that only a busy association needs.
    pub(super) fn shrink(&mut self) {
        self.ready.shrink_to_fit();
        for stream in self.streams.values_mut() {
            stream.messages.shrink_to_fit();
        }
    }
}
