//! Asking for packets that are missing, RFC 4585 §6.2.1.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::layer::SequenceNumber;
use crate::rtcp::{NackEntry, nack_entries};
use crate::rtp::SequenceUnwrapper;

/// When a [`NackGenerator`] asks, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NackConfig {
    /// How long a packet may be late before it is asked for: it may only be out of order. Default 10 ms.
    pub reorder_tolerance: Duration,
    /// The round-trip time until one was measured. Default 100 ms.
    pub initial_round_trip_time: Duration,
    /// A packet is asked for again after a round-trip time, and not earlier than this. Default 20 ms.
    pub min_interval: Duration,
    /// How often one packet is asked for. Default 10.
    pub max_attempts: u8,
    /// How long a packet is asked for. Default 1 s, as long as a [`PacketCache`](super::PacketCache) keeps it.
    pub max_age: Duration,
    /// The most packets that are missing at once; with more, a key frame is the better repair. 1 to 32767.
    /// Default 1000.
    pub max_missing: usize,
}

impl Default for NackConfig {
    fn default() -> Self {
        NackConfig {
            reorder_tolerance: Duration::from_millis(10),
            initial_round_trip_time: Duration::from_millis(100),
            min_interval: Duration::from_millis(20),
            max_attempts: 10,
            max_age: Duration::from_secs(1),
            max_missing: 1000,
        }
    }
}

/// Finds out which packets of a stream are missing, and when to ask for which.
///
/// ```
/// use std::time::{Duration, Instant};
/// use kaon_rtc::layer::SequenceNumber;
/// use kaon_rtc::media::{NackConfig, NackGenerator};
/// use kaon_rtc::rtcp::NackEntry;
///
/// let now = Instant::now();
/// let mut nack = NackGenerator::new(NackConfig::default());
/// for number in [1, 2, 5] {
///     nack.received(now, SequenceNumber(number));
/// }
/// let due = nack.poll_timeout().expect("3 and 4 are missing");
/// let mut entries = [NackEntry { first: SequenceNumber(0), following: 0 }; 16];
/// let count = nack.poll_nack(due, &mut entries);
/// assert_eq!(entries[..count], [NackEntry { first: SequenceNumber(3), following: 1 }]);
/// ```
#[derive(Debug)]
pub struct NackGenerator {
    config: NackConfig,
    interval: Duration,
    unwrapper: SequenceUnwrapper,
    // In the order of their numbers.
    missing: VecDeque<Missing>,
    // Not later than the first of `missing` has to be asked for.
    next_request: Option<Instant>,
    key_frame_needed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Missing {
    number: u64,
    since: Instant,
    request: Instant,
    attempts: u8,
}

impl NackGenerator {
    /// One that has seen no packet yet.
    pub fn new(config: NackConfig) -> Self {
        let config = NackConfig { max_missing: config.max_missing.clamp(1, 0x7fff), ..config };
        NackGenerator {
            config,
            interval: config.initial_round_trip_time.max(config.min_interval),
            unwrapper: SequenceUnwrapper::new(),
            missing: VecDeque::new(),
            next_request: None,
            key_frame_needed: false,
        }
    }

    /// Takes notice of a packet: a new one, a late one, or one that was sent again.
    pub fn received(&mut self, now: Instant, number: SequenceNumber) {
        let newest = self.unwrapper.newest();
        let number = self.unwrapper.unwrap(number);
        let Some(newest) = newest else { return };
        if number <= newest {
            self.found(number);
            return;
        }
        let gap = (number - newest - 1) as usize;
        if gap == 0 {
            return;
        }
        if self.missing.len() + gap > self.config.max_missing {
            self.forget_all();
            self.key_frame_needed = true;
            return;
        }
        let request = now + self.config.reorder_tolerance;
        self.missing.extend((newest + 1..number).map(|number| Missing {
            number,
            since: now,
            request,
            attempts: 0,
        }));
        self.next_request = Some(self.next_request.map_or(request, |next| next.min(request)));
    }

    /// Sets the round-trip time, after which a packet is asked for again.
    pub fn set_round_trip_time(&mut self, round_trip_time: Duration) {
        self.interval = round_trip_time.max(self.config.min_interval);
    }

    /// When to call [`poll_nack`](Self::poll_nack).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_request
    }

    /// Writes what is to be asked for `now` to the beginning of `entries` and tells how many entries that are.
    ///
    /// When all of `entries` was taken there may be more; [`poll_timeout`](Self::poll_timeout) is then not
    /// after `now`.
    pub fn poll_nack(&mut self, now: Instant, entries: &mut [NackEntry]) -> usize {
        if entries.is_empty() || self.next_request.is_none_or(|next| next > now) {
            return 0;
        }
        let config = self.config;
        self.missing.retain(|missing| {
            let expired = now.saturating_duration_since(missing.since) > config.max_age;
            !expired && (missing.attempts < config.max_attempts || missing.request > now)
        });
        let due = self.missing.iter().filter(|missing| missing.request <= now);
        let mut written = 0;
        let mut last = None;
        for (slot, entry) in
            entries.iter_mut().zip(nack_entries(due.map(|missing| missing.sequence_number())))
        {
            *slot = entry;
            last = entry.sequence_numbers().last();
            written += 1;
        }
        let mut asking = last.is_some();
        self.next_request = None;
        for missing in &mut self.missing {
            if asking && missing.request <= now {
                asking = Some(missing.sequence_number()) != last;
                missing.attempts += 1;
                missing.request = now + self.interval;
            }
            self.next_request =
                Some(self.next_request.map_or(missing.request, |next| next.min(missing.request)));
        }
        written
    }

    /// Whether so much was lost that only a key frame can repair it; says so once.
    pub fn take_key_frame_needed(&mut self) -> bool {
        std::mem::take(&mut self.key_frame_needed)
    }

    /// Asks for no packet before `number` any more: the receiver has gone on without them.
    pub fn forget_before(&mut self, number: SequenceNumber) {
        let number = self.unwrapper.peek(number);
        while self.missing.front().is_some_and(|missing| missing.number < number) {
            self.missing.pop_front();
        }
        if self.missing.is_empty() {
            self.next_request = None;
        }
    }

    /// Begins anew, for a source that has restarted; the round-trip time stays.
    pub fn reset(&mut self) {
        self.unwrapper = SequenceUnwrapper::new();
        self.forget_all();
    }

    /// How many packets are missing and may still come.
    pub fn missing(&self) -> usize {
        self.missing.len()
    }

    fn found(&mut self, number: u64) {
        if let Ok(at) = self.missing.binary_search_by_key(&number, |missing| missing.number) {
            self.missing.remove(at);
            if self.missing.is_empty() {
                self.next_request = None;
            }
        }
    }

    fn forget_all(&mut self) {
        self.missing.clear();
        self.next_request = None;
    }
}

impl Missing {
    fn sequence_number(&self) -> SequenceNumber {
        SequenceNumber(self.number as u16)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn requested(nack: &mut NackGenerator, now: Instant) -> Vec<u16> {
        let mut entries = [NackEntry { first: SequenceNumber(0), following: 0 }; 4];
        let mut all = Vec::new();
        while nack.poll_timeout().is_some_and(|next| next <= now) {
            let count = nack.poll_nack(now, &mut entries);
            all.extend(
                entries[..count].iter().flat_map(|entry| entry.sequence_numbers()).map(|number| number.0),
            );
        }
        all
    }

    fn receive(nack: &mut NackGenerator, now: Instant, numbers: impl IntoIterator<Item = u16>) {
        numbers.into_iter().for_each(|number| nack.received(now, SequenceNumber(number)));
    }

    #[test]
    fn requests_wait_for_reordering_and_repeat_per_round_trip() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut nack = NackGenerator::new(NackConfig::default());
        receive(&mut nack, start, [65534, 65535, 2, 4]);
        assert_eq!(requested(&mut nack, at(9)), [0_u16; 0]);
        receive(&mut nack, at(9), [1]);
        assert_eq!(nack.poll_timeout(), Some(at(10)));
        assert_eq!(requested(&mut nack, at(10)), [0, 3]);
        assert_eq!(nack.poll_timeout(), Some(at(110)));
        nack.set_round_trip_time(Duration::from_millis(40));
        receive(&mut nack, at(100), [3]);
        assert_eq!(requested(&mut nack, at(110)), [0]);
        assert_eq!(requested(&mut nack, at(149)), [0_u16; 0]);
        assert_eq!(requested(&mut nack, at(150)), [0]);
        receive(&mut nack, at(160), [0]);
        assert_eq!((nack.poll_timeout(), nack.missing()), (None, 0));
    }

    #[test]
    fn attempts_and_age_are_limited() {
        let start = Instant::now();
        for (max_attempts, max_age, expected) in [(3, 10_000, 3), (100, 350, 4)] {
            let max_age = Duration::from_millis(max_age);
            let mut nack = NackGenerator::new(NackConfig { max_attempts, max_age, ..NackConfig::default() });
            receive(&mut nack, start, [1, 3]);
            let mut attempts = 0;
            while let Some(next) = nack.poll_timeout() {
                attempts += requested(&mut nack, next).len();
            }
            assert_eq!((attempts, nack.missing()), (expected, 0));
        }
    }

    #[test]
    fn a_gap_too_big_asks_for_a_key_frame() {
        let now = Instant::now();
        let mut nack = NackGenerator::new(NackConfig { max_missing: 10, ..NackConfig::default() });
        receive(&mut nack, now, [1, 12]);
        assert_eq!(nack.missing(), 10);
        assert!(!nack.take_key_frame_needed());
        receive(&mut nack, now, [14]);
        assert!(nack.take_key_frame_needed() && !nack.take_key_frame_needed());
        assert_eq!((nack.missing(), nack.poll_timeout()), (0, None));
        receive(&mut nack, now, [16]);
        assert_eq!(nack.missing(), 1);
        nack.forget_before(SequenceNumber(16));
        assert_eq!((nack.missing(), nack.poll_timeout()), (0, None));
        receive(&mut nack, now, [18]);
        nack.reset();
        receive(&mut nack, now, [40_000, 40_002]);
        assert_eq!(requested(&mut nack, now + Duration::from_millis(10)), [40_001]);
    }

    proptest! {
        #[test]
        fn exactly_what_is_missing_is_requested(
            lost in proptest::collection::btree_set(1u16..400, 0..200),
            first in any::<u16>(),
            swaps in proptest::collection::vec(any::<bool>(), 400),
        ) {
            let now = Instant::now();
            let mut order: Vec<u16> = (0..=400).filter(|number| !lost.contains(number)).collect();
            for (pair, swap) in order[1..].chunks_exact_mut(2).zip(swaps) {
                if swap {
                    pair.swap(0, 1);
                }
            }
            let mut nack = NackGenerator::new(NackConfig::default());
            receive(&mut nack, now, order.iter().map(|&number| first.wrapping_add(number)));
            let asked: Vec<_> = requested(&mut nack, now + Duration::from_millis(10));
            let asked: Vec<u16> = asked.into_iter().map(|number| number.wrapping_sub(first)).collect();
            prop_assert_eq!(&asked, &lost.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), asked.len());
        }
    }
}
