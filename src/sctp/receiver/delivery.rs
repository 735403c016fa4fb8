//! Messages put in order and kept until they are read (RFC 9260 §6.6).

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use rustc_hash::FxHashMap;

use super::reassembly::Complete;
use crate::layer::{Received, StreamId};
use crate::sctp::sequence::Ssn;

/// Puts the messages of each stream in order and keeps them until they are read.
///
/// A stream takes a few bytes from its first ordered message until it is reset; what waits on any of them stands
/// in one tree, so that a peer that names all streams once makes nothing of each.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    next: FxHashMap<StreamId, Ssn>,
    /// Complete messages that an earlier one of their stream holds up.
    waiting: BTreeMap<(StreamId, u16), Complete>,
    ready: VecDeque<Received>,
    /// What the messages count for.
    charge: usize,
}

/// What a complete message counts for besides its bytes: its place in a queue or tree that is half empty.
pub(super) const MESSAGE_OVERHEAD: usize = 128;
/// What there is room for in the table of streams counts for, for each: an entry, where an eighth stays free.
const STREAM_OVERHEAD: usize = 6;
/// A queue or table with room for so few is not worth being made smaller.
const SMALL: usize = 64;

impl Delivery {
    /// What the messages count for.
    pub(super) fn charge(&self) -> usize {
        self.charge
    }

    /// What the table of streams counts for.
    pub(super) fn table_charge(&self) -> usize {
        match self.next.capacity() {
            0..=SMALL => 0,
            many => many * STREAM_OVERHEAD,
        }
    }

    /// Takes a message; throws it away if its place in the stream is taken or has passed.
    pub(super) fn insert(&mut self, message: Complete) {
        if message.unordered {
            self.charge += charge(message.payload.len());
            self.ready.push_back(received(message));
            return;
        }
        let id = message.stream;
        let next = self.next.entry(id).or_default();
        if message.ssn != *next {
            let is_past = !message.ssn.is_at_or_after(*next);
            let place = (id, message.ssn.0);
            if !is_past && !self.waiting.contains_key(&place) {
                self.charge += charge(message.payload.len());
                self.waiting.insert(place, message);
            }
            return;
        }
        self.charge += charge(message.payload.len());
        *next = next.next();
        self.ready.push_back(received(message));
        self.release(id);
    }

    /// Skips the ordered messages of a stream up to `ssn` (RFC 3758 §3.6): those that are complete are
    /// delivered.
    pub(super) fn skip(&mut self, id: StreamId, ssn: Ssn) {
        let stream = self.next.entry(id).or_default();
        if !ssn.is_at_or_after(*stream) {
            return;
        }
        let next = stream.0;
        *stream = ssn.next();
        if next <= ssn.0 {
            self.release_range(id, next..=ssn.0);
        } else {
            self.release_range(id, next..=u16::MAX);
            self.release_range(id, 0..=ssn.0);
        }
        self.release(id);
    }

    /// Delivers what waits in the range, and looks at nothing else: a FORWARD TSN may name a stream often.
    fn release_range(&mut self, id: StreamId, range: RangeInclusive<u16>) {
        let range = (id, *range.start())..=(id, *range.end());
        while let Some((&place, _)) = self.waiting.range(range.clone()).next() {
            self.ready.extend(self.waiting.remove(&place).map(received));
        }
    }

    /// Delivers what waits for nothing any more.
    fn release(&mut self, id: StreamId) {
        if self.waiting.is_empty() {
            return;
        }
        let Some(next) = self.next.get_mut(&id) else { return };
        while let Some(message) = self.waiting.remove(&(id, next.0)) {
            *next = next.next();
            self.ready.push_back(received(message));
        }
    }

    /// The peer begins the stream anew: what waits for an earlier message is dropped.
    pub(super) fn reset(&mut self, id: StreamId) {
        self.next.remove(&id);
        let all = (id, 0)..=(id, u16::MAX);
        while let Some((&place, _)) = self.waiting.range(all.clone()).next() {
            self.charge -= self.waiting.remove(&place).map_or(0, |message| charge(message.payload.len()));
        }
        if self.next.capacity() > SMALL.max(8 * self.next.len()) {
            self.next.shrink_to(2 * self.next.len());
        }
    }

    /// The peer begins all streams anew. Says whether any was used.
    pub(super) fn reset_all(&mut self) -> bool {
        let was_used = !self.next.is_empty();
        self.next = FxHashMap::default();
        let waiting = std::mem::take(&mut self.waiting);
        self.charge -= waiting.values().map(|message| charge(message.payload.len())).sum::<usize>();
        was_used
    }

    pub(super) fn pop(&mut self) -> Option<Received> {
        let received = self.ready.pop_front()?;
        self.charge -= charge(received.payload.len());
        if self.ready.is_empty() && self.ready.capacity() > SMALL {
            self.ready = VecDeque::new();
        }
        Some(received)
    }

    pub(super) fn unread(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn is_readable(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn shrink(&mut self) {
        self.ready.shrink_to_fit();
        self.next.shrink_to_fit();
    }
}

fn charge(len: usize) -> usize {
    len + MESSAGE_OVERHEAD
}

fn received(message: Complete) -> Received {
    Received {
        stream: message.stream,
        protocol: message.protocol,
        unordered: message.unordered,
        payload: message.payload,
    }
}
