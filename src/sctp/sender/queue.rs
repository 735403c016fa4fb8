//! The messages of all streams that were not begun to be sent.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};

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
    /// What a message counts for besides its bytes, until it is acknowledged: its place in a queue that is half
    /// empty, and that of one chunk.
    const OVERHEAD: usize = 160;
    /// The share of its bytes that the places of further chunks take.
    const CHUNK_SHARE: usize = 16;

    /// Whether it is not promised that it arrives.
    pub(super) fn may_be_lost(&self) -> bool {
        self.max_retransmits.is_some() || self.expires.is_some()
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// What a message of `len` bytes counts for in the send budget.
    pub(crate) const fn charge(len: usize) -> usize {
        len + len / Self::CHUNK_SHARE + Self::OVERHEAD
    }
}

/// The messages of all streams that were not begun to be sent, and whose turn it is.
///
/// A stream takes a few bytes from its first ordered message until it is reset, and a queue while something waits
/// on it. Streams with messages take turns message by message, because DATA chunks of different messages may not
/// interleave (RFC 8260 §1).
#[derive(Debug, Default)]
pub(super) struct StreamQueues {
    active: FxHashMap<StreamId, Active>,
    next_ssn: FxHashMap<StreamId, Ssn>,
    /// Those that are not zero.
    low_thresholds: FxHashMap<StreamId, usize>,
    resetting: FxHashSet<StreamId>,
    /// Those of which everything has been sent since their reset was asked for.
    drained: VecDeque<StreamId>,
    ready: VecDeque<Turn>,
    /// The queue of a stream that has nothing more to send, for the next one.
    spare: VecDeque<Message>,
    /// What the messages count for.
    charge: usize,
}

/// A stream of which something was not handed to the network.
#[derive(Debug, Default)]
struct Active {
    messages: VecDeque<Message>,
    /// Bytes that were not handed to the network, of the message that is being sent included.
    buffered: usize,
}

/// A stream with messages, and what is asked of the first of them again and again before it is begun.
#[derive(Clone, Copy, Debug)]
struct Turn {
    stream: StreamId,
    len: usize,
    expires: Option<Instant>,
}

impl Turn {
    fn new(stream: StreamId, first: &Message) -> Self {
        Self { stream, len: first.payload.len(), expires: first.expires }
    }
}

/// A queue or table with room for so few is not worth being made smaller.
const SMALL: usize = 64;

impl StreamQueues {
    /// What the messages that were not begun count for.
    pub(super) fn charge(&self) -> usize {
        self.charge
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    pub(super) fn push(&mut self, id: StreamId, message: Message) {
        let spare = &mut self.spare;
        let stream =
            self.active.entry(id).or_insert_with(|| Active { messages: std::mem::take(spare), buffered: 0 });
        self.charge += Message::charge(message.payload.len());
        stream.buffered += message.payload.len();
        if stream.messages.is_empty() {
            self.ready.push_back(Turn::new(id, &message));
        }
        stream.messages.push_back(message);
    }

    /// The length of the message whose turn it is, after those that expired were dropped.
    #[inline]
    pub(super) fn next_len(&mut self, now: Instant, events: &mut VecDeque<SctpEvent>) -> Option<usize> {
        loop {
            let turn = self.ready.front()?;
            if turn.expires.is_none_or(|expires| expires > now) {
                return Some(turn.len);
            }
            // It got no SSN yet, so the peer will not miss it (RFC 7496 §4.1).
            let (stream, dropped) = self.take()?;
            self.note_sent(stream, dropped.payload.len(), events);
        }
    }

    /// Takes the message whose turn it is.
    pub(super) fn take(&mut self) -> Option<(StreamId, Message)> {
        let id = self.ready.pop_front()?.stream;
        let stream = self.active.get_mut(&id)?;
        let message = stream.messages.pop_front()?;
        trim(&mut stream.messages);
        self.charge -= Message::charge(message.payload.len());
        if let Some(first) = stream.messages.front() {
            self.ready.push_back(Turn::new(id, first));
        }
        Some((id, message))
    }

    /// The sequence number of the next message of a stream; unordered messages use none up.
    #[inline]
    pub(super) fn assign_ssn(&mut self, id: StreamId, unordered: bool) -> Ssn {
        if unordered {
            return self.next_ssn.get(&id).copied().unwrap_or_default();
        }
        let next = self.next_ssn.entry(id).or_default();
        let ssn = *next;
        *next = ssn.next();
        ssn
    }

    /// Bytes of a stream went to the network or were given up.
    pub(super) fn note_sent(&mut self, id: StreamId, bytes: usize, events: &mut VecDeque<SctpEvent>) {
        let Some(stream) = self.active.get_mut(&id) else { return };
        let before = stream.buffered;
        stream.buffered = before.saturating_sub(bytes);
        let after = stream.buffered;
        let threshold = self.low_thresholds.get(&id).copied().unwrap_or(0);
        if before > threshold && after <= threshold {
            events.push_back(SctpEvent::BufferedAmountLow(id));
        }
        if after == 0 {
            if let Some(Active { messages, .. }) = self.active.remove(&id)
                && messages.capacity() <= SMALL
            {
                self.spare = messages;
            }
            if self.resetting.contains(&id) {
                self.drained.push_back(id);
            }
        }
    }

    pub(super) fn buffered(&self, id: StreamId) -> usize {
        self.active.get(&id).map_or(0, |stream| stream.buffered)
    }

    pub(super) fn set_low_threshold(&mut self, id: StreamId, threshold: usize) {
        match threshold {
            0 => drop(self.low_thresholds.remove(&id)),
            _ => drop(self.low_thresholds.insert(id, threshold)),
        }
    }

    /// Whether the stream carried an ordered message, or has something to send.
    pub(super) fn is_used(&self, id: StreamId) -> bool {
        self.next_ssn.contains_key(&id) || self.active.contains_key(&id)
    }

    pub(super) fn is_resetting(&self, id: StreamId) -> bool {
        self.resetting.contains(&id)
    }

    pub(super) fn resetting(&self) -> usize {
        self.resetting.len()
    }

    /// Refuses further messages until the reset ended.
    pub(super) fn begin_reset(&mut self, id: StreamId) {
        if self.resetting.insert(id) && !self.active.contains_key(&id) {
            self.drained.push_back(id);
        }
    }

    /// A stream whose reset can be asked for, because everything that was queued on it has been sent once.
    #[inline]
    pub(super) fn pop_drained(&mut self) -> Option<StreamId> {
        let drained = self.drained.pop_front()?;
        if self.drained.is_empty() {
            self.drained = VecDeque::new();
        }
        Some(drained)
    }

    pub(super) fn has_drained(&self) -> bool {
        !self.drained.is_empty()
    }

    /// The peer confirmed the reset: the stream is as new.
    pub(super) fn finish_reset(&mut self, id: StreamId) {
        self.next_ssn.remove(&id);
        self.low_thresholds.remove(&id);
        self.resetting.remove(&id);
        if self.next_ssn.capacity() > SMALL.max(8 * self.next_ssn.len()) {
            self.next_ssn.shrink_to(2 * self.next_ssn.len());
        }
        if self.resetting.capacity() > SMALL.max(8 * self.resetting.len()) {
            self.resetting.shrink_to(2 * self.resetting.len());
        }
    }

    /// The peer refused the reset: the stream goes on as before.
    pub(super) fn cancel_reset(&mut self, id: StreamId) {
        self.resetting.remove(&id);
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives back memory that only a busy association needs.
    pub(super) fn shrink(&mut self) {
        self.ready.shrink_to_fit();
        self.active.shrink_to_fit();
        self.next_ssn.shrink_to_fit();
        self.spare = VecDeque::new();
        for stream in self.active.values_mut() {
            stream.messages.shrink_to_fit();
        }
    }
}

/// Gives back the memory of a queue that has become short: what is charged is what waits, and not the room for it.
pub(super) fn trim<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > SMALL && queue.len() < queue.capacity() / 4 {
        queue.shrink_to(queue.capacity() / 2);
    }
}
