use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use rustc_hash::FxHashMap;

use super::reassembly::Complete;
use crate::layer::{Received, StreamId};
use crate::sctp::sequence::Ssn;

/// Puts the messages of each stream in order (RFC 9260 §6.6) and keeps them until they are read.
///
/// A stream takes memory from its first ordered message until it is reset.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    streams: FxHashMap<StreamId, Incoming>,
    ready: VecDeque<Received>,
}

#[derive(Debug, Default)]
struct Incoming {
    next_ssn: Ssn,
    /// Complete messages that an earlier one of the stream holds up.
    waiting: BTreeMap<u16, Complete>,
}

impl Delivery {
    /// Takes a message. Gives it back if its place in the stream is taken or has passed.
    pub(super) fn insert(&mut self, message: Complete) -> Option<Complete> {
        if message.unordered {
            self.ready.push_back(received(message));
            return None;
        }
        let stream = self.streams.entry(message.stream).or_default();
        if message.ssn != stream.next_ssn {
            let is_past = !message.ssn.is_at_or_after(stream.next_ssn);
            if is_past || stream.waiting.contains_key(&message.ssn.0) {
                return Some(message);
            }
            stream.waiting.insert(message.ssn.0, message);
            return None;
        }
        stream.next_ssn = stream.next_ssn.next();
        self.ready.push_back(received(message));
        stream.release(&mut self.ready);
        None
    }

    /// Skips the ordered messages of a stream up to `ssn` (RFC 3758 §3.6): those that are complete are
    /// delivered.
    pub(super) fn skip(&mut self, id: StreamId, ssn: Ssn) {
        let stream = self.streams.entry(id).or_default();
        if !ssn.is_at_or_after(stream.next_ssn) {
            return;
        }
        let next = stream.next_ssn.0;
        if next <= ssn.0 {
            stream.release_range(next..=ssn.0, &mut self.ready);
        } else {
            stream.release_range(next..=u16::MAX, &mut self.ready);
            stream.release_range(0..=ssn.0, &mut self.ready);
        }
        stream.next_ssn = ssn.next();
        stream.release(&mut self.ready);
    }

    /// The peer begins the stream anew. Gives the bytes and the number of messages that were dropped.
    pub(super) fn reset(&mut self, id: StreamId) -> (usize, usize) {
        let waiting = self.streams.remove(&id).map(|stream| stream.waiting).unwrap_or_default();
        (waiting.values().map(|message| message.payload.len()).sum(), waiting.len())
    }

    /// The streams that were used.
    pub(super) fn used(&self) -> impl Iterator<Item = StreamId> {
        self.streams.keys().copied()
    }

    pub(super) fn pop(&mut self) -> Option<Received> {
        self.ready.pop_front()
    }

    pub(super) fn unread(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn is_readable(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn shrink(&mut self) {
        self.ready.shrink_to_fit();
    }
}

impl Incoming {
    /// Delivers what waits in the range, and looks at nothing else: a FORWARD TSN may name a stream often.
    fn release_range(&mut self, range: RangeInclusive<u16>, ready: &mut VecDeque<Received>) {
        while let Some((&ssn, _)) = self.waiting.range(range.clone()).next() {
            ready.extend(self.waiting.remove(&ssn).map(received));
        }
    }

    fn release(&mut self, ready: &mut VecDeque<Received>) {
        while !self.waiting.is_empty()
            && let Some(message) = self.waiting.remove(&self.next_ssn.0)
        {
            self.next_ssn = self.next_ssn.next();
            ready.push_back(received(message));
        }
    }
}

fn received(message: Complete) -> Received {
    Received {
        stream: message.stream,
        protocol: message.protocol,
        unordered: message.unordered,
        payload: message.payload,
    }
}
