//! The sender's side: what was sent when, so that feedback can be understood.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::layer::SequenceNumber;
use crate::rtcp::TransportFeedback;
use crate::rtp::SequenceUnwrapper;

/// The wrap of the reference time, in microseconds: 2²⁴ times 64 ms.
const CLOCK_CYCLE: i64 = (1 << 24) * 64_000;

/// The packets of a transport that were sent lately, by their transport-wide sequence numbers.
#[derive(Debug)]
pub struct SendHistory {
    max_packets: usize,
    unwrapper: SequenceUnwrapper,
    // Numbers follow each other without gap.
    packets: VecDeque<SentPacket>,
    first: u64,
    // The arrival told last, on the receiver's clock made continuous.
    last_arrival: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct SentPacket {
    // None for a number that was not used.
    sent: Option<Instant>,
    size: u32,
    arrived: bool,
}

/// A packet that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedbackArrival {
    /// Its transport-wide sequence number.
    pub sequence_number: SequenceNumber,
    /// When it was sent.
    pub sent: Instant,
    /// When it arrived: microseconds on the receiver's clock, whose epoch is unknown and which does not wrap.
    pub arrival_micros: i64,
    /// Its size as it was recorded.
    pub size: usize,
}

/// What a feedback packet says in sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeedbackSummary {
    /// Packets that are told to have arrived for the first time.
    pub arrived: usize,
    /// Bytes of these packets.
    pub arrived_bytes: usize,
    /// Packets that are reported on and have not arrived, by this feedback or any before.
    pub missing: usize,
    /// The time since the newest packet that arrived was sent: the round-trip time and what the receiver let
    /// pass until it reported.
    pub round_trip_time: Option<Duration>,
}

impl SendHistory {
    /// The packets that a history keeps unless told otherwise: a second at 50 Mbit/s.
    pub const DEFAULT_MAX_PACKETS: usize = 8192;

    /// A history that keeps the last `max_packets` packets, 1 to 32767.
    pub fn new(max_packets: usize) -> Self {
        SendHistory {
            max_packets: max_packets.clamp(1, 0x7fff),
            unwrapper: SequenceUnwrapper::new(),
            packets: VecDeque::new(),
            first: 0,
            last_arrival: None,
        }
    }

    /// Records a packet of `size` bytes. Numbers are to be used in order; a number that is not newer than the
    /// ones before is ignored.
    pub fn record(&mut self, now: Instant, number: SequenceNumber, size: usize) {
        let newest = self.unwrapper.newest();
        let number = self.unwrapper.unwrap(number);
        if newest.is_some_and(|newest| number <= newest) {
            return;
        }
        let next = self.first + self.packets.len() as u64;
        let skipped = (number - next.min(number)) as usize;
        if self.packets.is_empty() || skipped >= self.max_packets {
            self.packets.clear();
            self.first = number;
        } else {
            for _ in 0..skipped {
                self.push(SentPacket { sent: None, size: 0, arrived: false });
            }
        }
        self.push(SentPacket {
            sent: Some(now),
            size: u32::try_from(size).unwrap_or(u32::MAX),
            arrived: false,
        });
    }

    /// Takes feedback that came `now`, and hands each packet that it tells to have arrived to `arrival`, in the
    /// order of their numbers and each once, whatever feedback says of it again.
    pub fn on_feedback(
        &mut self,
        now: Instant,
        feedback: &TransportFeedback<'_>,
        mut arrival: impl FnMut(FeedbackArrival),
    ) -> FeedbackSummary {
        let mut summary = FeedbackSummary::default();
        let Some(newest) = self.unwrapper.newest() else { return summary };
        let reference = i64::from(feedback.reference_time) * 64_000;
        // The cycle of the clock that is nearest to the arrival before.
        let cycles =
            self.last_arrival.map_or(0, |last| (last - reference + CLOCK_CYCLE / 2).div_euclid(CLOCK_CYCLE));
        let mut newest_sent = None;
        for (number, time) in feedback.arrivals() {
            let extended = self.unwrapper.peek(number);
            let at = extended.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
            let Some(packet) = at.and_then(|at| self.packets.get_mut(at)) else { continue };
            let Some(sent) = packet.sent else { continue };
            if std::mem::replace(&mut packet.arrived, true) {
                continue;
            }
            let arrival_micros = time.as_micros() + cycles * CLOCK_CYCLE;
            let size = packet.size as usize;
            summary.arrived += 1;
            summary.arrived_bytes += size;
            newest_sent = newest_sent.max(Some(sent));
            self.last_arrival = Some(arrival_micros);
            arrival(FeedbackArrival { sequence_number: number, sent, arrival_micros, size });
        }
        summary.round_trip_time = newest_sent.map(|sent| now.saturating_duration_since(sent));
        let base = self.unwrapper.peek(feedback.base);
        let end = (base + u64::from(feedback.status_count)).min(newest + 1);
        let (from, to) = (base.saturating_sub(self.first), end.saturating_sub(self.first));
        let to = (to as usize).min(self.packets.len());
        let reported = self.packets.range((from as usize).min(to)..to);
        summary.missing = reported.filter(|packet| packet.sent.is_some() && !packet.arrived).count();
        summary
    }

    fn push(&mut self, packet: SentPacket) {
        if self.packets.len() >= self.max_packets {
            self.packets.pop_front();
            self.first += 1;
        }
        self.packets.push_back(packet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Ssrc;
    use crate::rtcp::TransportFeedbackBuilder;

    fn feedback(arrivals: &[(u16, u64)]) -> TransportFeedbackBuilder {
        let mut builder = TransportFeedbackBuilder::new(Ssrc(1), Ssrc(2), 0, 1200);
        for &(number, ms) in arrivals {
            builder.push(SequenceNumber(number), Duration::from_millis(ms)).unwrap();
        }
        builder
    }

    #[test]
    fn feedback_is_mapped_to_send_times() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut history = SendHistory::new(100);
        assert_eq!(
            history.on_feedback(start, &feedback(&[(1, 1)]).finish().unwrap(), |_| panic!()),
            FeedbackSummary::default()
        );
        for (index, number) in [65534, 65535, 0, 2, 3].into_iter().enumerate() {
            history.record(at(index as u64 * 10), SequenceNumber(number), 1000 + index);
        }
        history.record(at(99), SequenceNumber(2), 9);
        let mut told = Vec::new();
        let mut builder = feedback(&[(65534, 500), (0, 520), (3, 541)]);
        let summary = history.on_feedback(at(100), &builder.finish().unwrap(), |arrival| told.push(arrival));
        let told: Vec<_> = told
            .iter()
            .map(|arrival| {
                (arrival.sequence_number.0, arrival.sent - start, arrival.arrival_micros / 1000, arrival.size)
            })
            .collect();
        let ms = Duration::from_millis;
        assert_eq!(told, [(65534, ms(0), 500, 1000), (0, ms(20), 520, 1002), (3, ms(40), 541, 1004)]);
        // 65535 and 2 are missing; 1 was never sent.
        let round_trip_time = Some(ms(60));
        assert_eq!(summary, FeedbackSummary { arrived: 3, arrived_bytes: 3006, missing: 2, round_trip_time });
        let mut again = feedback(&[(65534, 500), (65535, 700), (0, 520)]);
        let summary = history.on_feedback(at(100), &again.finish().unwrap(), |arrival| {
            assert_eq!(arrival.sequence_number, SequenceNumber(65535));
        });
        assert_eq!((summary.arrived, summary.missing), (1, 0));
    }

    #[test]
    fn only_the_last_packets_are_kept() {
        let now = Instant::now();
        let mut history = SendHistory::new(4);
        for number in 0..10 {
            history.record(now, SequenceNumber(number), 1);
        }
        let mut builder = feedback(&[(5, 0), (6, 0), (40, 0)]);
        let summary = history.on_feedback(now, &builder.finish().unwrap(), |arrival| {
            assert_eq!(arrival.sequence_number, SequenceNumber(6));
        });
        assert_eq!((summary.arrived, summary.missing), (1, 3));
        history.record(now, SequenceNumber(1000), 1);
        assert_eq!(history.packets.len(), 1);
    }

    #[test]
    fn the_receivers_clock_is_made_continuous() {
        let now = Instant::now();
        let mut history = SendHistory::new(100);
        let mut micros = Vec::new();
        // The clock wraps from the highest positive reference to the lowest negative one.
        let half_cycle_ms = (1u64 << 23) * 64;
        for (number, ms) in [(0, half_cycle_ms - 30), (1, half_cycle_ms + 20)] {
            history.record(now, SequenceNumber(number), 1);
            let mut builder = feedback(&[(number, ms)]);
            let finished = builder.finish().unwrap();
            assert_eq!(finished.reference_time < 0, number == 1);
            history.on_feedback(now, &finished, |arrival| micros.push(arrival.arrival_micros));
        }
        assert_eq!(micros[1] - micros[0], 50_000);
    }
}
