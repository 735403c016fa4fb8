//! What a receiver knows of a source and reports on it, RFC 3550 §6.4.1 and appendix A.

use std::time::{Duration, Instant};

use crate::layer::{NtpTimestamp, RtpTimestamp, SequenceNumber, Ssrc};
use crate::rtcp::{CompactNtp, NtpInterval, ReportBlock, SenderReport};

/// How far a sequence number may jump ahead, RFC 3550 A.1.
const MAX_DROPOUT: u16 = 3000;
/// How far it may lag behind, RFC 3550 A.1.
const MAX_MISORDER: u16 = 100;

/// How one source is received.
///
/// There is no probation as in RFC 3550 A.1: that a packet is the source's is known by its SRTP tag.
#[derive(Debug, Clone)]
pub struct ReceiverStatistics {
    ssrc: Ssrc,
    clock_rate: u32,
    packets: u64,
    bytes: u64,
    sequence: Option<Sequence>,
    timing: Option<Timing>,
    sender_report: Option<ReceivedSenderReport>,
    sender_reports: u64,
}

/// The state that begins anew with each restart of the source, RFC 3550 A.1 and A.3.
#[derive(Debug, Clone, Copy)]
struct Sequence {
    base: u32,
    highest: u16,
    // Shifted up by sixteen bits.
    cycles: u32,
    // The number after a jump that was not believed, where the source goes on if it has restarted.
    after_jump: Option<SequenceNumber>,
    received: u32,
    expected_prior: u32,
    received_prior: u32,
}

/// Interarrival jitter, RFC 3550 A.8.
#[derive(Debug, Clone, Copy)]
struct Timing {
    epoch: Instant,
    transit: u32,
    // In sixteenths.
    jitter: u64,
}

/// What a packet was, by its sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SequenceCheck {
    /// It is newer than all before.
    Newer,
    /// It is late or a duplicate.
    Late,
    /// It is so far off that it was not counted. If the next one follows it, the source has restarted.
    Unlikely,
    /// The source has restarted with the packet before this one. Whoever follows sequence numbers of this
    /// source should begin anew.
    Restarted,
}

/// A sender report that came from the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedSenderReport {
    /// When it came.
    pub arrival: Instant,
    /// The sender's wall-clock time.
    pub ntp: NtpTimestamp,
    /// The same instant on the scale of the media's timestamps.
    pub rtp: RtpTimestamp,
    /// Packets that the sender has sent, wrapping.
    pub packet_count: u32,
    /// Bytes of payload that it has sent, wrapping.
    pub octet_count: u32,
}

impl ReceiverStatistics {
    /// Statistics of a source whose timestamps count `clock_rate` per second.
    pub fn new(ssrc: Ssrc, clock_rate: u32) -> Self {
        ReceiverStatistics {
            ssrc,
            clock_rate,
            packets: 0,
            bytes: 0,
            sequence: None,
            timing: None,
            sender_report: None,
            sender_reports: 0,
        }
    }

    /// Counts a packet that arrived `now` with `bytes` of payload.
    pub fn received(
        &mut self,
        now: Instant,
        number: SequenceNumber,
        timestamp: RtpTimestamp,
        bytes: usize,
    ) -> SequenceCheck {
        let check = match &mut self.sequence {
            Some(sequence) => sequence.update(number),
            None => {
                self.sequence = Some(Sequence::begin(number));
                SequenceCheck::Newer
            }
        };
        match check {
            SequenceCheck::Unlikely => return check,
            SequenceCheck::Restarted => self.timing = None,
            SequenceCheck::Newer | SequenceCheck::Late => {}
        }
        self.packets += 1;
        self.bytes += bytes as u64;
        if let Some(sequence) = &mut self.sequence {
            sequence.received = sequence.received.wrapping_add(1);
        }
        self.time(now, timestamp);
        check
    }

    /// Takes a report from the source.
    pub fn sender_report_received(&mut self, now: Instant, report: &SenderReport<'_>) {
        self.sender_reports += 1;
        self.sender_report = Some(ReceivedSenderReport {
            arrival: now,
            ntp: report.ntp,
            rtp: report.rtp,
            packet_count: report.packet_count,
            octet_count: report.octet_count,
        });
    }

    /// The block for the next report, and the begin of the interval of the one after it; `None` when nothing
    /// came since the last, RFC 3550 §6.4.
    pub fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        let jitter = self.jitter();
        let sequence =
            self.sequence.as_mut().filter(|sequence| sequence.received != sequence.received_prior)?;
        let expected = sequence.expected();
        let expected_interval = expected.wrapping_sub(sequence.expected_prior);
        let received_interval = sequence.received.wrapping_sub(sequence.received_prior);
        sequence.expected_prior = expected;
        sequence.received_prior = sequence.received;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        // A fraction of one is not expressible, and nor is one of nothing.
        let fraction = (u64::from(lost_interval) << 8).checked_div(u64::from(expected_interval)).unwrap_or(0);
        let (last, delay) = match &self.sender_report {
            Some(report) => {
                let delay = now.saturating_duration_since(report.arrival);
                (CompactNtp::from(report.ntp), NtpInterval::from_duration(delay))
            }
            None => (CompactNtp(0), NtpInterval(0)),
        };
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: sequence.lost(),
            highest_sequence_number: sequence.extended_highest(),
            jitter,
            last_sender_report: last,
            delay_since_last_sender_report: delay,
        })
    }

    /// Packets that came, late and duplicate ones and those before a restart included.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes of payload that came.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets lost since the source has started; negative when duplicates outweigh losses, RFC 3550 A.3.
    pub fn cumulative_lost(&self) -> i32 {
        self.sequence.map_or(0, |sequence| sequence.lost())
    }

    /// The highest sequence number that came, with the count of its cycles in the upper half.
    pub fn extended_highest(&self) -> Option<u32> {
        self.sequence.map(|sequence| sequence.extended_highest())
    }

    /// Interarrival jitter in units of the media's timestamps.
    pub fn jitter(&self) -> u32 {
        self.timing.map_or(0, |timing| u32::try_from(timing.jitter >> 4).unwrap_or(u32::MAX))
    }

    /// Interarrival jitter as a duration.
    pub fn jitter_duration(&self) -> Duration {
        Duration::from_nanos(u64::from(self.jitter()) * 1_000_000_000 / u64::from(self.clock_rate.max(1)))
    }

    /// The last report from the source.
    pub fn last_sender_report(&self) -> Option<&ReceivedSenderReport> {
        self.sender_report.as_ref()
    }

    /// How many reports came from the source.
    pub fn sender_reports(&self) -> u64 {
        self.sender_reports
    }

    fn time(&mut self, now: Instant, timestamp: RtpTimestamp) {
        let epoch = self.timing.map_or(now, |timing| timing.epoch);
        let elapsed = now.saturating_duration_since(epoch).as_nanos();
        // Arrival and transit are wanted modulo 2³² only.
        let arrival = (elapsed * u128::from(self.clock_rate) / 1_000_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp.0);
        let jitter = match self.timing {
            None => 0,
            Some(Timing { transit: before, jitter, .. }) => {
                let difference = (transit.wrapping_sub(before) as i32).unsigned_abs();
                jitter + u64::from(difference) - ((jitter + 8) >> 4)
            }
        };
        self.timing = Some(Timing { epoch, transit, jitter });
    }
}

impl Sequence {
    fn begin(first: SequenceNumber) -> Self {
        Sequence {
            base: u32::from(first.0),
            highest: first.0,
            cycles: 0,
            after_jump: None,
            received: 0,
            expected_prior: 0,
            received_prior: 0,
        }
    }

    // RFC 3550 A.1: update_seq.
    fn update(&mut self, number: SequenceNumber) -> SequenceCheck {
        let ahead = number.0.wrapping_sub(self.highest);
        if ahead == 0 || ahead > u16::MAX - MAX_MISORDER {
            return SequenceCheck::Late;
        }
        if ahead < MAX_DROPOUT {
            if number.0 < self.highest {
                self.cycles = self.cycles.wrapping_add(1 << 16);
            }
            self.highest = number.0;
            self.after_jump = None;
            return SequenceCheck::Newer;
        }
        if self.after_jump == Some(number) {
            *self = Sequence::begin(number);
            return SequenceCheck::Restarted;
        }
        self.after_jump = Some(number.wrapping_add(1));
        SequenceCheck::Unlikely
    }

    fn extended_highest(&self) -> u32 {
        self.cycles.wrapping_add(u32::from(self.highest))
    }

    fn expected(&self) -> u32 {
        self.extended_highest().wrapping_sub(self.base).wrapping_add(1)
    }

    // RFC 3550 A.3: clamped to 24 bits with a sign.
    fn lost(&self) -> i32 {
        (self.expected().wrapping_sub(self.received) as i32).clamp(-0x80_0000, 0x7f_ffff)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLOCK: u32 = 90_000;

    fn statistics() -> ReceiverStatistics {
        ReceiverStatistics::new(Ssrc(7), CLOCK)
    }

    fn receive(statistics: &mut ReceiverStatistics, now: Instant, number: u16) -> SequenceCheck {
        statistics.received(now, SequenceNumber(number), RtpTimestamp(0), 10)
    }

    #[test]
    fn losses_are_reported_per_interval_and_in_sum() {
        let now = Instant::now();
        let mut statistics = statistics();
        assert_eq!(statistics.report_block(now), None);
        for number in [65534, 65535, 1, 2] {
            assert_eq!(receive(&mut statistics, now, number), SequenceCheck::Newer);
        }
        let block = statistics.report_block(now).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (51, 1));
        assert_eq!(block.highest_sequence_number, 0x1_0002);
        assert_eq!(statistics.report_block(now), None, "nothing came since");
        assert_eq!(receive(&mut statistics, now, 0), SequenceCheck::Late);
        receive(&mut statistics, now, 2);
        let block = statistics.report_block(now).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, -1));
        assert_eq!((statistics.packets(), statistics.bytes()), (6, 60));
    }

    #[test]
    fn a_restart_needs_two_packets_in_sequence() {
        let now = Instant::now();
        let mut statistics = statistics();
        receive(&mut statistics, now, 10);
        assert_eq!(receive(&mut statistics, now, 40_000), SequenceCheck::Unlikely);
        assert_eq!(receive(&mut statistics, now, 11), SequenceCheck::Newer);
        assert_eq!(receive(&mut statistics, now, 40_001), SequenceCheck::Unlikely);
        assert_eq!(receive(&mut statistics, now, 40_002), SequenceCheck::Restarted);
        assert_eq!(statistics.extended_highest(), Some(40_002));
        assert_eq!((statistics.cumulative_lost(), statistics.packets()), (0, 3));
    }

    #[test]
    fn the_last_sender_report_is_echoed() {
        let now = Instant::now();
        let mut statistics = statistics();
        receive(&mut statistics, now, 1);
        let report = SenderReport {
            ssrc: Ssrc(7),
            ntp: NtpTimestamp(0x1234_5678_9abc_def0),
            packet_count: 3,
            ..SenderReport::default()
        };
        statistics.sender_report_received(now, &report);
        let block = statistics.report_block(now + Duration::from_millis(1500)).unwrap();
        assert_eq!(block.last_sender_report, CompactNtp(0x5678_9abc));
        assert_eq!(block.delay_since_last_sender_report, NtpInterval(0x1_8000));
        assert_eq!(statistics.last_sender_report().map(|report| report.packet_count), Some(3));
        assert_eq!(statistics.sender_reports(), 1);
    }

    #[test]
    fn even_arrivals_have_no_jitter() {
        let start = Instant::now();
        let mut statistics = statistics();
        for index in 0..100u16 {
            let now = start + Duration::from_millis(20) * u32::from(index);
            let timestamp = RtpTimestamp(u32::MAX - 5000).wrapping_add(1800 * u32::from(index));
            statistics.received(now, SequenceNumber(index), timestamp, 1);
        }
        assert_eq!(statistics.jitter(), 0);
        let late = start + Duration::from_millis(2000 + 160);
        statistics.received(late, SequenceNumber(100), RtpTimestamp(u32::MAX - 5000), 1);
        assert!(statistics.jitter() > 0);
    }

    proptest! {
        // The reference keeps everything and computes by definition.
        #[test]
        fn as_a_naive_reference_says(
            first in any::<u16>(),
            steps in proptest::collection::vec((1u64..20, any::<bool>(), 0u64..50, any::<u16>()), 1..200),
            report_every in 1usize..40,
        ) {
            let start = Instant::now();
            let mut statistics = statistics();
            let mut all: Vec<u64> = Vec::new();
            let (mut prior_expected, mut prior_received) = (0, 0);
            let (mut jitter, mut transit_before) = (0.0f64, None);
            let (mut newest, mut elapsed) = (u64::from(first), 0);
            for (index, (step, late, wait, timestamp)) in steps.into_iter().enumerate() {
                // Late packets are fewer than MAX_MISORDER behind, and not before the first.
                let number = if late && index > 0 {
                    newest.saturating_sub(step).max(u64::from(first))
                } else {
                    if index > 0 {
                        newest += step;
                    }
                    newest
                };
                all.push(number);
                elapsed += wait;
                let now = start + Duration::from_millis(elapsed);
                let timestamp = u32::from(timestamp);
                statistics.received(now, SequenceNumber(number as u16), RtpTimestamp(timestamp), 1);

                let transit = (elapsed * 90) as f64 - f64::from(timestamp);
                if let Some(before) = transit_before {
                    jitter += (f64::abs(transit - before) - jitter) / 16.0;
                }
                transit_before = Some(transit);
                prop_assert!((f64::from(statistics.jitter()) - jitter).abs() < 2.0);

                if index % report_every == 0 {
                    let highest = *all.iter().max().unwrap();
                    let expected = (highest - u64::from(first) + 1) as i64;
                    let received = all.len() as i64;
                    let block = statistics.report_block(now).unwrap();
                    prop_assert_eq!(u64::from(block.highest_sequence_number), highest);
                    prop_assert_eq!(i64::from(block.cumulative_lost), expected - received);
                    let (expected_interval, lost) =
                        (expected - prior_expected, expected - prior_expected - (received - prior_received));
                    let fraction =
                        if lost <= 0 { 0 } else { (256 * lost / expected_interval).min(255) };
                    prop_assert_eq!(i64::from(block.fraction_lost), fraction);
                    (prior_expected, prior_received) = (expected, received);
                }
            }
            prop_assert_eq!(statistics.packets(), all.len() as u64);
        }
    }
}
