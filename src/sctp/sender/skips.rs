//! What a FORWARD TSN tells of streams (RFC 3758 §3.2 and §3.5 C4).

use std::collections::{BTreeMap, VecDeque};

use rustc_hash::FxHashMap;

use crate::layer::StreamId;
use crate::sctp::sequence::Ssn;

/// The last ordered message that is given up on each stream, kept along as messages are, so that a FORWARD TSN
/// looks at no more than it can tell.
#[derive(Debug, Default)]
pub(super) struct Skips {
    /// By the position of the last chunk that is skipped.
    by_position: BTreeMap<u64, (StreamId, Ssn)>,
    latest: FxHashMap<StreamId, u64>,
    /// Messages of a stream before this number are of the stream as it was before its reset: were the peer told to
    /// skip them, it would skip messages of the stream as it is now.
    reset_before: FxHashMap<StreamId, u32>,
    resets: VecDeque<(u32, StreamId)>,
}

impl Skips {
    /// A chunk of message `number` is skipped.
    pub(super) fn note(&mut self, position: u64, number: u32, stream: StreamId, ssn: Ssn) {
        if self.reset_before.get(&stream).is_some_and(|before| is_before(number, *before)) {
            return;
        }
        if let Some(previous) = self.latest.insert(stream, position) {
            self.by_position.remove(&previous);
        }
        self.by_position.insert(position, (stream, ssn));
    }

    /// A stream was reset before message `number`, the first of those that may still be told of being `first`.
    pub(super) fn note_reset(&mut self, stream: StreamId, first: u32, number: u32) {
        if let Some(position) = self.latest.remove(&stream) {
            self.by_position.remove(&position);
        }
        if first != number {
            self.reset_before.insert(stream, number);
            self.resets.push_back((number, stream));
        }
    }

    /// Everything before the position, and before message `number`, is acknowledged.
    pub(super) fn forget_before(&mut self, position: u64, number: u32) {
        while let Some(first) = self.by_position.first_entry()
            && *first.key() < position
        {
            self.latest.remove(&first.remove().0);
        }
        while let Some((before, stream)) = self.resets.front().copied()
            && !is_before(number, before)
        {
            self.resets.pop_front();
            if self.reset_before.get(&stream) == Some(&before) {
                self.reset_before.remove(&stream);
            }
        }
    }

    /// Position, stream and message, in the order of positions.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, StreamId, Ssn)> {
        self.by_position.iter().map(|(position, (stream, ssn))| (*position, *stream, *ssn))
    }

    /// Gives back memory that only a busy association needs.
    pub(super) fn shrink(&mut self) {
        if self.by_position.is_empty() && self.resets.is_empty() {
            *self = Self::default();
        }
    }
}

/// Numbers of messages wrap.
fn is_before(number: u32, other: u32) -> bool {
    (number.wrapping_sub(other) as i32) < 0
}
