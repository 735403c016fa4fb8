//! The receiver's side: when which packets arrived.

use std::time::{Duration, Instant};

use crate::layer::{SequenceNumber, Ssrc};
use crate::rtcp::{PushError, TransportFeedback, TransportFeedbackBuilder};
use crate::rtp::SequenceUnwrapper;

/// The shortest feedback packet that has room for an arrival behind any gap that is reported.
const MIN_PACKET_LEN: usize = 64;

/// How a [`TransportArrivals`] reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportFeedbackConfig {
    /// The time between feedback packets, 50 to 250 ms. Default 100 ms.
    pub interval: Duration,
    /// The most bytes of one feedback packet. Default 1100, so that it shares a datagram with a short report.
    pub max_packet_len: usize,
    /// How many numbers back arrivals are kept at most, of packets reported on or not. Default 8192.
    pub max_arrivals: usize,
    /// How long an arrival that was reported is kept: when a packet before it comes late, the report on both
    /// is made again. Default 500 ms.
    pub max_lateness: Duration,
    /// A longer gap than this is a jump, whose packets are not reported as lost. Default 8192 packets.
    pub max_gap: u16,
}

impl Default for TransportFeedbackConfig {
    fn default() -> Self {
        TransportFeedbackConfig {
            interval: Duration::from_millis(100),
            max_packet_len: 1100,
            max_arrivals: 8192,
            max_lateness: Duration::from_millis(500),
            max_gap: 8192,
        }
    }
}

/// Records when packets of a transport arrive, and reports it at intervals.
#[derive(Debug)]
pub struct TransportArrivals {
    config: TransportFeedbackConfig,
    unwrapper: SequenceUnwrapper,
    epoch: Option<Instant>,
    arrivals: Ring,
    // What the next feedback begins with.
    start: u64,
    due: Option<Instant>,
    feedback_count: u8,
    builder: TransportFeedbackBuilder,
}

#[derive(Debug, Clone, Copy)]
struct Arrival {
    number: u64,
    at: Instant,
    is_reported: bool,
}

// Arrivals, each in the place of its number modulo their count, so that one that comes late moves no other.
#[derive(Debug)]
struct Ring {
    places: Vec<Option<Arrival>>,
    newest: u64,
}

const FIRST_PLACES: usize = 8;
// So far behind the newest number another one means the same to the peer.
const HALF_OF_ALL: u64 = 0x8000;

impl TransportArrivals {
    /// A record that is empty. `sender` is who reports.
    pub fn new(config: TransportFeedbackConfig, sender: Ssrc, media: Ssrc) -> Self {
        let interval = config.interval.clamp(Duration::from_millis(50), Duration::from_millis(250));
        let max_packet_len = config.max_packet_len.max(MIN_PACKET_LEN);
        let max_arrivals = config.max_arrivals.max(1);
        TransportArrivals {
            config: TransportFeedbackConfig {
                interval,
                max_packet_len,
                max_arrivals,
                max_gap: config.max_gap.min(8192),
                ..config
            },
            unwrapper: SequenceUnwrapper::new(),
            epoch: None,
            arrivals: Ring { places: vec![None; max_arrivals.min(FIRST_PLACES)], newest: 0 },
            start: 0,
            due: None,
            feedback_count: 0,
            builder: TransportFeedbackBuilder::new(sender, media, 0, max_packet_len),
        }
    }

    /// Records the arrival of a packet with this transport-wide sequence number. Duplicates count once.
    pub fn received(&mut self, now: Instant, number: SequenceNumber) {
        if self.epoch.is_none() {
            self.epoch = Some(now);
            self.start = self.unwrapper.peek(number);
        }
        let number = self.unwrapper.unwrap(number);
        self.arrivals.newest = self.arrivals.newest.max(number);
        let earliest = (self.arrivals.newest + 1).saturating_sub(HALF_OF_ALL);
        if number < earliest || !self.make_room(now, number) {
            return;
        }
        *self.arrivals.place(number) = Some(Arrival { number, at: now, is_reported: false });
        // One before the start was reported as missing, if at all: report again from it on.
        self.start = self.start.min(number).max(earliest);
        self.due.get_or_insert(now + self.config.interval);
    }

    // Has the place of a number free for it. False if it is there already, or one that is later.
    fn make_room(&mut self, now: Instant, number: u64) -> bool {
        while let Some(there) = *self.arrivals.place(number) {
            if there.number == number {
                return false;
            }
            if !there.is_kept(now, self.config.max_lateness) {
                break;
            }
            if self.arrivals.places.len() < self.config.max_arrivals {
                self.grow();
                continue;
            }
            if there.number > number {
                return false;
            }
            // At the limit the oldest goes, reported or not.
            self.start = self.start.max(there.number + 1);
            break;
        }
        true
    }

    fn grow(&mut self) {
        let len = (self.arrivals.places.len() * 2).min(self.config.max_arrivals);
        let before = std::mem::replace(&mut self.arrivals.places, vec![None; len]);
        for arrival in before.into_iter().flatten() {
            let place = self.arrivals.place(arrival.number);
            match place {
                Some(there) if there.number > arrival.number => {}
                _ => *place = Some(arrival),
            }
        }
    }

    /// When [`poll_feedback`](Self::poll_feedback) has something to say.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The feedback that is due; to be called until it returns `None`.
    pub fn poll_feedback(&mut self, now: Instant) -> Option<TransportFeedback<'_>> {
        let epoch = self.epoch?;
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        self.due = None;
        let (newest, max_lateness) = (self.arrivals.newest, self.config.max_lateness);
        let first =
            (self.start..=newest).find(|number| self.arrivals.kept(*number, now, max_lateness).is_some())?;
        if first - self.start > u64::from(self.config.max_gap) {
            self.start = first;
        }
        self.builder.begin(Some(SequenceNumber(self.start as u16)), self.feedback_count);
        self.feedback_count = self.feedback_count.wrapping_add(1);
        for number in first..=newest {
            let Some(arrival) = self.arrivals.kept(number, now, max_lateness) else { continue };
            let follows = number - self.start <= u64::from(self.config.max_gap);
            let since_epoch = arrival.at.saturating_duration_since(epoch);
            let pushed = match follows {
                true => self.builder.push(SequenceNumber(number as u16), since_epoch),
                false => Err(PushError::Full),
            };
            if number > first && pushed.is_err() {
                // The rest is for the next packet.
                self.due = Some(now);
                break;
            }
            arrival.is_reported = true;
            self.start = number + 1;
        }
        self.builder.finish()
    }
}

impl Arrival {
    // What was reported and is old is as good as gone.
    fn is_kept(&self, now: Instant, max_lateness: Duration) -> bool {
        !self.is_reported || now.saturating_duration_since(self.at) <= max_lateness
    }
}

impl Ring {
    fn place(&mut self, number: u64) -> &mut Option<Arrival> {
        let index = number % self.places.len() as u64;
        &mut self.places[index as usize]
    }

    fn kept(&mut self, number: u64, now: Instant, max_lateness: Duration) -> Option<&mut Arrival> {
        let arrival = self.place(number).as_mut()?;
        (arrival.number == number && arrival.is_kept(now, max_lateness)).then_some(arrival)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;

    use proptest::prelude::*;

    use super::*;

    fn arrivals() -> TransportArrivals {
        TransportArrivals::new(TransportFeedbackConfig::default(), Ssrc(1), Ssrc(2))
    }

    // Base, number of statuses, and the milliseconds of arrivals.
    fn read(feedback: TransportFeedback<'_>) -> (u16, u16, Vec<(u16, i64)>) {
        let arrivals =
            feedback.arrivals().map(|(number, time)| (number.0, time.as_micros() / 1000)).collect();
        (feedback.base.0, feedback.status_count, arrivals)
    }

    #[test]
    fn arrivals_are_reported_at_intervals() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut record = arrivals();
        assert_eq!(record.poll_timeout(), None);
        for (ms, number) in [(0, 65534), (5, 0), (7, 65535), (9, 2), (9, 2)] {
            record.received(at(ms), SequenceNumber(number));
        }
        assert_eq!(record.poll_timeout(), Some(at(100)));
        assert!(record.poll_feedback(at(99)).is_none());
        let feedback = read(record.poll_feedback(at(100)).unwrap());
        assert_eq!(feedback, (65534, 5, vec![(65534, 0), (65535, 7), (0, 5), (2, 9)]));
        assert!(record.poll_feedback(at(100)).is_none());
        assert_eq!(record.poll_timeout(), None);

        record.received(at(130), SequenceNumber(5));
        let feedback = record.poll_feedback(at(230)).unwrap();
        assert_eq!(feedback.feedback_count, 1);
        assert_eq!(read(feedback), (3, 3, vec![(5, 130)]), "losses before the first arrival are told too");

        record.received(at(240), SequenceNumber(1));
        let feedback = read(record.poll_feedback(at(340)).unwrap());
        assert_eq!(feedback, (1, 5, vec![(1, 240), (2, 9), (5, 130)]), "a late packet is told once more");
    }

    #[test]
    fn big_jumps_are_no_losses() {
        let start = Instant::now();
        let mut record = arrivals();
        record.received(start, SequenceNumber(0));
        record.received(start, SequenceNumber(20_000));
        record.received(start, SequenceNumber(20_002));
        let later = start + Duration::from_millis(100);
        assert_eq!(read(record.poll_feedback(later).unwrap()), (0, 1, vec![(0, 0)]));
        assert_eq!(record.poll_timeout(), Some(later));
        assert_eq!(read(record.poll_feedback(later).unwrap()), (20_000, 3, vec![(20_000, 0), (20_002, 0)]));
        assert!(record.poll_feedback(later).is_none());
    }

    #[test]
    fn late_numbers_find_their_places_whatever_the_length() {
        let now = Instant::now();
        for count in [5, 64, 100, 1000] {
            let config =
                TransportFeedbackConfig { max_arrivals: count.into(), ..TransportFeedbackConfig::default() };
            let mut record = TransportArrivals::new(config, Ssrc(1), Ssrc(2));
            let numbers = (0..count).step_by(2).chain((0..count).skip(1).step_by(2).rev());
            numbers.for_each(|number| record.received(now, SequenceNumber(number)));
            let feedback = read(record.poll_feedback(now + Duration::from_millis(100)).unwrap());
            assert_eq!(feedback, (0, count, (0..count).map(|number| (number, 0)).collect()));
        }
    }

    #[test]
    fn jumps_without_end_are_told_half_of_all_numbers_back() {
        let now = Instant::now();
        let mut record = arrivals();
        for jump in 0..10_000u16 {
            record.received(now, SequenceNumber(jump.wrapping_mul(30_000)));
        }
        let later = now + Duration::from_millis(100);
        let mut packets = 0;
        while record.poll_feedback(later).is_some() {
            packets += 1;
        }
        assert_eq!(packets, 2);
    }

    #[test]
    fn long_silence_takes_another_packet() {
        let start = Instant::now();
        let mut record = arrivals();
        record.received(start, SequenceNumber(0));
        let later = start + Duration::from_secs(60);
        record.received(later, SequenceNumber(1));
        assert_eq!(record.poll_feedback(later).unwrap().status_count, 1);
        assert_eq!(read(record.poll_feedback(later).unwrap()), (1, 1, vec![(1, 60_000)]));
        assert!(record.poll_feedback(later).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let now = Instant::now();
        let config = TransportFeedbackConfig { max_arrivals: 10, ..TransportFeedbackConfig::default() };
        let mut record = TransportArrivals::new(config, Ssrc(1), Ssrc(2));
        for number in 0..1000 {
            record.received(now, SequenceNumber(number));
        }
        assert_eq!(record.arrivals.places.len(), 10);
        let feedback = record.poll_feedback(now + Duration::from_secs(1)).unwrap();
        assert_eq!((feedback.base, feedback.status_count), (SequenceNumber(990), 10));
    }

    proptest! {
        #[test]
        fn every_arrival_is_told(
            first in any::<u16>(),
            steps in proptest::collection::vec((-20i32..300, 0u64..40), 1..400),
            max_packet_len in 64usize..400,
        ) {
            let start = Instant::now();
            let config = TransportFeedbackConfig { max_packet_len, ..TransportFeedbackConfig::default() };
            let mut record = TransportArrivals::new(config, Ssrc(1), Ssrc(2));
            let (mut expected, mut told) = (BTreeMap::new(), BTreeMap::new());
            let (mut number, mut ms) = (i64::from(first) + 100_000, 0);
            let mut read_all = |record: &mut TransportArrivals, now| {
                while let Some(feedback) = record.poll_feedback(now) {
                    prop_assert!(crate::rtcp::Encode::encoded_len(&feedback) <= max_packet_len);
                    told.extend(feedback.arrivals().map(|(number, time)| (number.0, time.as_micros() / 1000)));
                }
                Ok(())
            };
            for (step, wait) in steps {
                number += i64::from(step);
                ms += wait;
                let now = start + Duration::from_millis(ms);
                // The first arrival of a number counts; a number that comes again after a wrap is not told apart.
                let number = number as u16;
                if let Entry::Vacant(entry) = expected.entry(number) {
                    // The clock begins with the first arrival.
                    let epoch = record.epoch.unwrap_or(now);
                    entry.insert((now - epoch).as_millis() as i64);
                    record.received(now, SequenceNumber(number));
                }
                if record.poll_timeout().is_some_and(|due| due <= now) {
                    read_all(&mut record, now)?;
                }
            }
            read_all(&mut record, start + Duration::from_secs(1000))?;
            prop_assert_eq!(told, expected);
        }
    }
}
