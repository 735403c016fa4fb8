//! What has arrived on data channels and waits.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::channel_id::ChannelId;
use super::inbox::Inbox;
use crate::layer::{Held, Received, StreamId};

/// What has arrived and waits: for the application, or for something before it.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// The streams that the peer reset while something that it sent before may be unread, each with the number
    /// of messages after which the reset takes effect.
    pub(super) resets: VecDeque<(u64, StreamId)>,
    /// The same of each stream: two at most, if the peer opened and closed another channel there meanwhile. One
    /// that took effect early is missing here.
    pub(super) resets_of: FxHashMap<StreamId, VecDeque<u64>>,
    pub(super) messages_handled: u64,
    /// Streams on which an OPEN has to wait, with what came after it.
    pub(super) deferred: FxHashMap<StreamId, VecDeque<Deferred>>,
    /// Those of them that need not wait any more.
    pub(super) released: Vec<StreamId>,
    /// What was not read of channels that are closed.
    pub(super) left: FxHashMap<ChannelId, Inbox>,
    /// What unread, deferred and partial messages count for.
    pub(super) charge: usize,
    /// Bytes of messages in parts.
    pub(super) partial: usize,
    /// What the association was told to count against its window.
    pub(super) told: Option<Held>,
    /// The association does count it.
    pub(super) is_counted: bool,
    /// The peer is to be told that its window is open again.
    pub(super) window_opened: bool,
}

#[derive(Debug)]
pub(super) enum Deferred {
    Message(Received),
    Reset,
}

/// What a channel that the peer opened counts for, besides its names.
pub(super) const CHANNEL_OVERHEAD: usize = 480;
/// What an event that waits counts for.
pub(super) const EVENT_OVERHEAD: usize = 64;
/// What a stream counts for that is never to be used again.
pub(super) const RETIRED_OVERHEAD: usize = 8;

impl Arrivals {
    pub(super) fn is_reset_due(&self) -> bool {
        self.resets.front().is_some_and(|(after, _)| *after <= self.messages_handled)
    }

    /// Takes the earliest reset of a stream. Says whether there was one.
    pub(super) fn take_reset(&mut self, stream: StreamId) -> bool {
        let Entry::Occupied(mut resets) = self.resets_of.entry(stream) else { return false };
        let taken = resets.get_mut().pop_front().is_some();
        if resets.get().is_empty() {
            resets.remove();
        }
        taken
    }

    /// What is counted along the way is what there is: `channels` is what channels that are there have.
    #[cfg(test)]
    pub(super) fn check(&self, channels: usize, partial: usize) {
        let left = self.left.values().map(Inbox::charge).sum::<usize>();
        let deferred = self.deferred.values().flatten().map(|deferred| match deferred {
            Deferred::Message(received) => received.payload.len() + super::inbox::MESSAGE_OVERHEAD,
            Deferred::Reset => 0,
        });
        assert_eq!(self.charge, channels + partial + left + deferred.sum::<usize>());
        assert_eq!(self.partial, partial);
    }
}
