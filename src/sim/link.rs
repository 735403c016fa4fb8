//! Links with delay, loss, reordering and a rate.

use std::time::{Duration, Instant};

use crate::crypto::SeededRandom;

/// How one direction between two hosts treats datagrams. The default is perfect and takes no time.
///
/// Probabilities go from 0.0 to 1.0.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The time a datagram takes.
    pub delay: Duration,
    /// At most this much is added to the delay, uniformly; the order is kept.
    pub jitter: Duration,
    /// The probability that a datagram is lost.
    pub loss: f64,
    /// The probability that a datagram is held back and overtaken by later ones.
    pub reordering: f64,
    /// The longest time that a datagram is held back to be overtaken.
    pub reordering_delay: Duration,
    /// The probability that a datagram arrives twice.
    pub duplication: f64,
    /// The probability that one bit of a datagram is flipped.
    pub corruption: f64,
    /// The rate in bytes per second; `None` for no limit.
    pub rate: Option<u64>,
    /// The bytes that wait for the rate at most; what comes on top is dropped.
    pub queue: u64,
    /// Datagrams with more bytes of payload are dropped.
    pub max_datagram: usize,
    /// Nothing passes while this is false.
    pub up: bool,
    /// Nothing but streams passes while this is false, as where a firewall lets no UDP through.
    pub udp: bool,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            reordering: 0.0,
            reordering_delay: Duration::from_millis(50),
            duplication: 0.0,
            corruption: 0.0,
            rate: None,
            queue: 256 * 1024,
            max_datagram: 65_507,
            up: true,
            udp: true,
        }
    }
}

/// What is under way on one direction between two hosts.
#[derive(Clone, Debug, Default)]
pub(super) struct LinkState {
    /// When the last byte that was queued leaves.
    sent: Option<Instant>,
    /// When the last datagram that keeps the order arrives.
    arrived: Option<Instant>,
}

/// What becomes of one datagram.
#[derive(Debug, Default)]
pub(super) struct Passage {
    /// When it arrives; twice if duplicated, never if lost.
    pub(super) arrivals: [Option<Instant>; 2],
    /// Which bit of it is flipped.
    pub(super) flipped_bit: Option<usize>,
}

impl Link {
    /// The same for what a stream carries, which repeats what is lost: it takes its time and keeps its order. What the
    /// repetition costs is left out.
    pub(super) fn of_streams(&self) -> Self {
        Self { loss: 0.0, reordering: 0.0, duplication: 0.0, corruption: 0.0, ..self.clone() }
    }

    pub(super) fn pass(
        &self,
        state: &mut LinkState,
        random: &SeededRandom,
        now: Instant,
        size: usize,
    ) -> Passage {
        let mut passage = Passage::default();
        if !self.up || size > self.max_datagram {
            return passage;
        }
        let Some(sent) = self.leave(state, now, size) else { return passage };
        if chance(random, self.loss) {
            return passage;
        }
        if size > 0 && chance(random, self.corruption) {
            passage.flipped_bit = Some((random.next_u64() % (size as u64 * 8)) as usize);
        }
        let copies = if chance(random, self.duplication) { 2 } else { 1 };
        for arrival in &mut passage.arrivals[..copies] {
            let earliest = sent + self.delay + uniform(random, self.jitter);
            *arrival = Some(if chance(random, self.reordering) {
                earliest + uniform(random, self.reordering_delay)
            } else {
                let in_order = state.arrived.map_or(earliest, |last| last.max(earliest));
                state.arrived = Some(in_order);
                in_order
            });
        }
        passage
    }

    /// When the datagram has left the queue; `None` if it found the queue full.
    fn leave(&self, state: &mut LinkState, now: Instant, size: usize) -> Option<Instant> {
        let Some(rate) = self.rate else { return Some(now) };
        let begin = state.sent.map_or(now, |sent| sent.max(now));
        let waiting = (begin - now).as_secs_f64() * rate as f64;
        if waiting + size as f64 > self.queue as f64 {
            return None;
        }
        let end = begin + Duration::from_secs_f64(size as f64 / rate.max(1) as f64);
        state.sent = Some(end);
        Some(end)
    }
}

fn chance(random: &SeededRandom, probability: f64) -> bool {
    const SCALE: f64 = (1u64 << 53) as f64;
    probability > 0.0 && ((random.next_u64() >> 11) as f64) < probability * SCALE
}

fn uniform(random: &SeededRandom, most: Duration) -> Duration {
    match most.as_nanos() as u64 {
        0 => Duration::ZERO,
        nanos => Duration::from_nanos(random.next_u64() % (nanos + 1)),
    }
}
