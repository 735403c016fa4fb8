//! The sender's side: what was sent when, so that feedback can be understood.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::layer::{Ecn, SequenceNumber};
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
    packets: VecDeque<Kept>,
    first: u64,
    // No feedback has told anything of this number and those behind it.
    untold: u64,
    // The arrival told last, on the receiver's clock made continuous.
    last_arrival: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    // None for a number that was not used.
    sent: Option<SentPacket>,
    arrived: bool,
}

/// A packet as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentPacket {
    /// When it was sent.
    pub at: Instant,
    /// Its size in bytes, as it was [recorded](SendHistory::record).
    pub size: usize,
    /// The mark that it was sent with.
    pub ecn: Option<Ecn>,
}

impl SentPacket {
    /// A packet without a mark.
    pub fn new(at: Instant, size: usize) -> Self {
        Self { at, size, ecn: None }
    }

    /// The same with this mark.
    #[must_use]
    pub fn with_ecn(self, ecn: Option<Ecn>) -> Self {
        Self { ecn, ..self }
    }
}

/// What feedback says of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacketResult {
    /// Its transport-wide sequence number.
    pub sequence_number: SequenceNumber,
    /// The packet; `None` if the number is not among those that are remembered.
    pub sent: Option<SentPacket>,
    /// When it arrived: microseconds on the receiver's clock, whose epoch is unknown and which does not wrap. `None`
    /// if it was lost; should it arrive later after all, that is another result.
    pub arrival_micros: Option<i64>,
}

/// What a feedback packet says in sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FeedbackSummary {
    /// Remembered packets that are told to have arrived for the first time.
    pub arrived: usize,
    /// Bytes of these packets.
    pub arrived_bytes: usize,
    /// Remembered packets that are told to be lost for the first time.
    pub lost: usize,
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
            untold: 0,
            last_arrival: None,
        }
    }

    /// Records a packet that has left. Numbers are to be used in order; a number that is not newer than the
    /// ones before is ignored.
    pub fn record(&mut self, number: SequenceNumber, packet: SentPacket) {
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
                self.push(Kept { sent: None, arrived: false });
            }
        }
        self.push(Kept { sent: Some(packet), arrived: false });
    }

    /// Takes feedback that came `now`, and hands what it says of each packet to `result`, in the order of their
    /// numbers. What was told before is not told again, so that the work is bounded by the length of the feedback and
    /// the packets that were sent, whatever number of packets it claims to report on.
    pub fn on_feedback(
        &mut self,
        now: Instant,
        feedback: &TransportFeedback<'_>,
        mut result: impl FnMut(PacketResult),
    ) -> FeedbackSummary {
        let mut summary = FeedbackSummary::default();
        let Some(newest) = self.unwrapper.newest() else { return summary };
        let cycles = self.clock_cycles(feedback);
        let mut newest_sent = None;
        let base = self.unwrapper.peek(feedback.base);
        for (number, time) in feedback.arrivals() {
            // Nothing of a packet that was never sent is believed, and nothing out of the order that numbers have.
            let extended = base + u64::from(number.0.wrapping_sub(feedback.base.0));
            if extended > newest {
                break;
            }
            self.tell_lost(base, extended, &mut summary, &mut result);
            let kept = extended.checked_sub(self.first).and_then(|at| self.packets.get_mut(at as usize));
            if let Some(kept) = kept
                && (kept.sent.is_none() || std::mem::replace(&mut kept.arrived, true))
            {
                continue;
            }
            self.untold = self.untold.max(extended + 1);
            let arrival_micros = time.as_micros().saturating_add(cycles.saturating_mul(CLOCK_CYCLE));
            let sent = self.sent(extended);
            if let Some(sent) = sent {
                summary.arrived += 1;
                summary.arrived_bytes += sent.size;
                newest_sent = newest_sent.max(Some(sent.at));
                self.last_arrival = Some(arrival_micros);
            }
            result(PacketResult { sequence_number: number, sent, arrival_micros: Some(arrival_micros) });
        }
        let end = (base + u64::from(feedback.status_count)).min(newest + 1);
        self.tell_lost(base, end, &mut summary, &mut result);
        summary.round_trip_time = newest_sent.map(|sent| now.saturating_duration_since(sent));
        summary
    }

    /// How often the receiver's clock has wrapped: so often that the reference is nearest to the arrival before.
    fn clock_cycles(&self, feedback: &TransportFeedback<'_>) -> i64 {
        let reference = i64::from(feedback.reference_time) * 64_000;
        self.last_arrival.map_or(0, |last| {
            last.saturating_sub(reference).saturating_add(CLOCK_CYCLE / 2).div_euclid(CLOCK_CYCLE)
        })
    }

    /// Tells of the remembered packets from `base` up to `end` that nothing was told of: they are lost.
    fn tell_lost(
        &mut self,
        base: u64,
        end: u64,
        summary: &mut FeedbackSummary,
        result: &mut impl FnMut(PacketResult),
    ) {
        for extended in self.untold.max(base).max(self.first)..end {
            if let Some(sent) = self.sent(extended) {
                summary.lost += 1;
                let sequence_number = SequenceNumber(extended as u16);
                result(PacketResult { sequence_number, sent: Some(sent), arrival_micros: None });
            }
        }
        self.untold = self.untold.max(end);
    }

    fn sent(&self, extended: u64) -> Option<SentPacket> {
        let at = usize::try_from(extended.checked_sub(self.first)?).ok()?;
        self.packets.get(at)?.sent
    }

    fn push(&mut self, packet: Kept) {
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
            history.record(SequenceNumber(number), SentPacket::new(at(index as u64 * 10), 1000 + index));
        }
        history.record(SequenceNumber(2), SentPacket::new(at(99), 9));
        let mut told = Vec::new();
        let mut builder = feedback(&[(65534, 500), (0, 520), (3, 541)]);
        let summary = history.on_feedback(at(100), &builder.finish().unwrap(), |arrival| told.push(arrival));
        let told: Vec<_> = told
            .iter()
            .map(|result: &PacketResult| {
                let sent = result.sent.unwrap();
                let arrival = result.arrival_micros.map(|micros| micros / 1000);
                (result.sequence_number.0, sent.at - start, arrival, sent.size)
            })
            .collect();
        let ms = Duration::from_millis;
        // 1 was never sent.
        let expected = [
            (65534, ms(0), Some(500), 1000),
            (65535, ms(10), None, 1001),
            (0, ms(20), Some(520), 1002),
            (2, ms(30), None, 1003),
            (3, ms(40), Some(541), 1004),
        ];
        assert_eq!(told, expected);
        let round_trip_time = Some(ms(60));
        assert_eq!(summary, FeedbackSummary { arrived: 3, arrived_bytes: 3006, lost: 2, round_trip_time });
        // What comes late is told once more, what is still lost is not.
        let mut again = feedback(&[(65534, 500), (65535, 700), (0, 520), (3, 541)]);
        let summary = history.on_feedback(at(100), &again.finish().unwrap(), |result| {
            assert_eq!(
                (result.sequence_number, result.arrival_micros),
                (SequenceNumber(65535), Some(700_000))
            );
        });
        assert_eq!((summary.arrived, summary.lost), (1, 0));
    }

    /// Feedback that is repeated or claims more than was sent costs what it is long, and says nothing new.
    #[test]
    fn each_packet_is_told_of_once() {
        let now = Instant::now();
        let mut history = SendHistory::new(1000);
        for number in 0..500 {
            history.record(SequenceNumber(number), SentPacket::new(now, 1));
        }
        let told = [(); 3].map(|()| {
            let (mut results, mut builder) = (0, feedback(&[(0, 0), (10, 1), (30_000, 2)]));
            let summary = history.on_feedback(now, &builder.finish().unwrap(), |_| results += 1);
            (results, summary.arrived, summary.lost)
        });
        assert_eq!(told, [(500, 2, 498), (0, 0, 0), (0, 0, 0)]);
        // A gap between two feedback packets is nobody's loss.
        for number in 500..600 {
            history.record(SequenceNumber(number), SentPacket::new(now, 1));
        }
        let mut told = Vec::new();
        let mut builder = feedback(&[(550, 0), (552, 1)]);
        history.on_feedback(now, &builder.finish().unwrap(), |result| told.push(result.sequence_number.0));
        assert_eq!(told, [550, 551, 552]);
    }

    #[test]
    fn only_the_last_packets_are_kept() {
        let now = Instant::now();
        let mut history = SendHistory::new(4);
        for number in 0..10 {
            history.record(SequenceNumber(number), SentPacket::new(now, 1));
        }
        let mut builder = feedback(&[(5, 0), (6, 0), (40, 0)]);
        let mut told = Vec::new();
        let summary = history.on_feedback(now, &builder.finish().unwrap(), |result| {
            told.push((result.sequence_number.0, result.sent.is_some(), result.arrival_micros.is_some()));
        });
        assert_eq!((summary.arrived, summary.lost), (1, 3));
        let lost = |number| (number, true, false);
        assert_eq!(told, [(5, false, true), (6, true, true), lost(7), lost(8), lost(9)]);
        history.record(SequenceNumber(1000), SentPacket::new(now, 1));
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
            history.record(SequenceNumber(number), SentPacket::new(now, 1));
            let mut builder = feedback(&[(number, ms)]);
            let finished = builder.finish().unwrap();
            assert_eq!(finished.reference_time < 0, number == 1);
            history.on_feedback(now, &finished, |result| micros.extend(result.arrival_micros));
        }
        assert_eq!(micros[1] - micros[0], 50_000);
    }

    /// A peer whose clock runs on by half a cycle with each feedback comes to the end of 64 bits.
    #[test]
    fn the_receivers_clock_may_be_anywhere() {
        let now = Instant::now();
        for last in [i64::MAX - 1, i64::MIN + 1] {
            let mut history = SendHistory::new(100);
            history.last_arrival = Some(last);
            for number in 0..10 {
                history.record(SequenceNumber(number), SentPacket::new(now, 1));
                let half_cycle_ms = (1u64 << 23) * 64;
                let mut builder = feedback(&[(number, half_cycle_ms * u64::from(number % 2))]);
                let summary = history.on_feedback(now, &builder.finish().unwrap(), |_| ());
                assert_eq!(summary.arrived, 1);
            }
        }
    }
}
