//! What is known of each SSRC.

use std::collections::{HashMap, VecDeque};

use super::SrtpError;
use super::config::Config;
use crate::layer::{HashKeys, NumberHash, Recency};

/// What is known of each SSRC of one direction.
///
/// When there are too many, the one that was silent longest makes room. Of it stays the index of its last packet, so
/// that no index is used or accepted twice if it comes back (RFC 3711 §3.3.2, §9.1).
#[derive(Debug)]
pub(super) struct Streams<S> {
    /// By numbers that the peer chooses.
    active: HashMap<u32, Slot<S>, NumberHash>,
    recency: Recency<u32, u64>,
    /// Counts packets.
    clock: u64,
    ended: HashMap<u32, Ended, NumberHash>,
    /// In which order they ended, by packets counted; with some that have come back since.
    order: VecDeque<(u32, u64)>,
    max_active: usize,
    max_ended: usize,
    may_forget: bool,
}

/// A stream, and when it was heard of last.
#[derive(Debug)]
struct Slot<S> {
    stream: S,
    used: u64,
}

/// What is left of a stream.
#[derive(Clone, Copy, Debug)]
struct Ended {
    last_index: u64,
    at: u64,
}

/// A stream of which one number has to be remembered.
pub(super) trait Stream {
    /// The highest index that was used.
    fn last_index(&self) -> u64;
}

impl<S: Stream> Streams<S> {
    /// Streams to receive from: of those that ended longest ago nothing is left when there are too many.
    pub(super) fn incoming(config: &Config, keys: HashKeys) -> Self {
        Self::new(config, keys, true)
    }

    /// Streams to send: an index must never be used twice, so that there is a limit on those that have ended.
    pub(super) fn outgoing(config: &Config, keys: HashKeys) -> Self {
        Self::new(config, keys, false)
    }

    fn new(config: &Config, keys: HashKeys, may_forget: bool) -> Self {
        Self {
            active: HashMap::with_hasher(keys.numbers()),
            recency: Recency::new(),
            clock: 0,
            ended: HashMap::with_hasher(keys.numbers()),
            order: VecDeque::new(),
            max_active: config.max_ssrcs.max(1),
            max_ended: config.max_ended_ssrcs,
            may_forget,
        }
    }

    #[inline]
    pub(super) fn get(&self, ssrc: u32) -> Option<&S> {
        self.active.get(&ssrc).map(|slot| &slot.stream)
    }

    /// The stream, for a packet that may still turn out to be nothing of the kind.
    #[inline]
    pub(super) fn get_mut(&mut self, ssrc: u32) -> Option<Used<'_, S>> {
        let slot = self.active.get_mut(&ssrc)?;
        Some(Used { stream: &mut slot.stream, used: &mut slot.used, clock: &mut self.clock })
    }

    /// The last index of a stream that was forgotten.
    pub(super) fn ended(&self, ssrc: u32) -> Option<u64> {
        self.ended.get(&ssrc).map(|ended| ended.last_index)
    }

    /// Says whether a new stream would find a place.
    pub(super) fn check_room(&self, ssrc: u32) -> Result<(), SrtpError> {
        let is_full = self.active.len() >= self.max_active
            && !self.may_forget
            && self.ended.len() >= self.max_ended
            && !self.ended.contains_key(&ssrc);
        if is_full {
            Err(SrtpError::TooManySsrcs { limit: self.max_active + self.max_ended })
        } else {
            Ok(())
        }
    }

    /// Adds a stream, for which there is [room](Self::check_room).
    pub(super) fn insert(&mut self, ssrc: u32, stream: S) {
        self.ended.remove(&ssrc);
        if self.active.len() >= self.max_active {
            let active = &self.active;
            let oldest = self.recency.take_oldest(|ssrc| active.get(ssrc).map(|slot| slot.used));
            if let Some(oldest) = oldest {
                self.forget(oldest);
            }
        }
        self.clock += 1;
        self.active.insert(ssrc, Slot { stream, used: self.clock });
        let active = &self.active;
        self.recency.insert(ssrc, self.clock, active.len(), |ssrc| active.get(ssrc).map(|slot| slot.used));
    }

    /// Keeps of a stream no more than the index of its last packet. At the limit of those it is kept as it is, unless
    /// one of them may be forgotten.
    pub(super) fn forget(&mut self, ssrc: u32) {
        if self.ended.len() >= self.max_ended && !self.may_forget {
            return;
        }
        let Some(slot) = self.active.remove(&ssrc) else { return };
        if self.max_ended == 0 {
            return;
        }
        while self.ended.len() >= self.max_ended
            && let Some((oldest, at)) = self.order.pop_front()
        {
            if self.ended.get(&oldest).is_some_and(|ended| ended.at == at) {
                self.ended.remove(&oldest);
            }
        }
        if self.order.len() >= 2 * self.ended.len() + 16 {
            let ended = &self.ended;
            self.order.retain(|(ssrc, at)| ended.get(ssrc).is_some_and(|ended| ended.at == *at));
        }
        self.clock += 1;
        self.ended.insert(ssrc, Ended { last_index: slot.stream.last_index(), at: self.clock });
        self.order.push_back((ssrc, self.clock));
    }

    /// Keeps nothing of a stream.
    pub(super) fn remove(&mut self, ssrc: u32) {
        self.active.remove(&ssrc);
        self.ended.remove(&ssrc);
    }
}

/// A stream that a packet claims to be of.
pub(super) struct Used<'a, S> {
    pub(super) stream: &'a mut S,
    used: &'a mut u64,
    clock: &'a mut u64,
}

impl<S> Used<'_, S> {
    /// It is: the stream is not silent.
    #[inline]
    pub(super) fn confirm(self) {
        *self.clock += 1;
        *self.used = *self.clock;
    }
}
