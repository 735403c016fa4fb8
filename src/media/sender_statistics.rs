//! What a sender knows of a stream: what it has sent, and what receivers report, RFC 3550 §6.4.1.

use std::time::{Duration, Instant};

use crate::layer::{NtpTimestamp, RtpTimestamp, SequenceNumber, Ssrc};
use crate::rtcp::{CompactNtp, ReportBlock, SenderReport};

/// A longer round-trip time than this is not believed: the reporter echoes a report that was never sent.
pub const MAX_ROUND_TRIP_TIME: Duration = Duration::from_secs(60);

/// What one stream has sent, and how it is received.
#[derive(Debug, Clone)]
pub struct SenderStatistics {
    ssrc: Ssrc,
    clock_rate: u32,
    packets: u64,
    octets: u64,
    overhead: u64,
    reference: Option<Reference>,
    remote: Option<RemoteReception>,
}

/// An instant on both clocks, for the sender report.
#[derive(Debug, Clone, Copy)]
struct Reference {
    timestamp: RtpTimestamp,
    captured: Instant,
}

/// How a stream is received, as its receiver says.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RemoteReception {
    /// When the last report came.
    pub arrival: Instant,
    /// Share of packets lost between the last two reports, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost so far; negative when duplicates outweigh losses.
    pub cumulative_lost: i32,
    /// The last packet that was received.
    pub highest_sequence_number: SequenceNumber,
    /// Interarrival jitter.
    pub jitter: Duration,
    /// The last round-trip time that a report told.
    pub round_trip_time: Option<Duration>,
    /// The sum of all round-trip times.
    pub total_round_trip_time: Duration,
    /// How many round-trip times are in the sum.
    pub round_trip_time_measurements: u64,
    /// How many reports came.
    pub reports: u64,
}

impl SenderStatistics {
    /// Statistics of a stream whose timestamps count `clock_rate` per second.
    pub fn new(ssrc: Ssrc, clock_rate: u32) -> Self {
        SenderStatistics {
            ssrc,
            clock_rate,
            packets: 0,
            octets: 0,
            overhead: 0,
            reference: None,
            remote: None,
        }
    }

    /// Counts a packet of `payload` bytes behind and before `overhead` bytes of header and padding.
    ///
    /// `captured` is when what has this timestamp was captured, or when the first packet of it is sent; sender
    /// reports tell receivers that, so that they can play streams in step.
    pub fn sent(&mut self, captured: Instant, timestamp: RtpTimestamp, payload: usize, overhead: usize) {
        self.packets += 1;
        self.octets += payload as u64;
        self.overhead += overhead as u64;
        if self.reference.is_none_or(|reference| timestamp.is_newer_than(reference.timestamp)) {
            self.reference = Some(Reference { timestamp, captured });
        }
    }

    /// A report for `now`, which the wall clock calls `ntp`; report blocks are the caller's to add. `None` when
    /// nothing was sent yet: then a receiver report is due, RFC 3550 §6.4.
    pub fn sender_report(&self, now: Instant, ntp: NtpTimestamp) -> Option<SenderReport<'static>> {
        Some(SenderReport {
            ssrc: self.ssrc,
            ntp,
            rtp: self.timestamp_at(now)?,
            // Both counts wrap on the wire.
            packet_count: self.packets as u32,
            octet_count: self.octets as u32,
            ..SenderReport::default()
        })
    }

    /// The timestamp of what is captured at `at`; `None` when nothing was sent yet.
    pub fn timestamp_at(&self, at: Instant) -> Option<RtpTimestamp> {
        let Reference { timestamp, captured } = self.reference?;
        let units = |time: Duration| (time.as_nanos() * u128::from(self.clock_rate) / 1_000_000_000) as u32;
        Some(match at.checked_duration_since(captured) {
            Some(after) => timestamp.wrapping_add(units(after)),
            None => timestamp.wrapping_sub(units(captured.saturating_duration_since(at))),
        })
    }

    /// Takes what a receiver reports on this stream, in a report that arrived `now`, which the wall clock
    /// calls `ntp`, and tells the round-trip time if the block does. Blocks on other streams are ignored.
    pub fn report_received(
        &mut self,
        now: Instant,
        ntp: NtpTimestamp,
        block: &ReportBlock,
    ) -> Option<Duration> {
        if block.ssrc != self.ssrc {
            return None;
        }
        let round_trip_time =
            block.round_trip_time(CompactNtp::from(ntp)).filter(|&time| time <= MAX_ROUND_TRIP_TIME);
        let before = self.remote;
        let total = before.map_or(Duration::ZERO, |remote| remote.total_round_trip_time);
        let jitter = u64::from(block.jitter) * 1_000_000_000 / u64::from(self.clock_rate.max(1));
        self.remote = Some(RemoteReception {
            arrival: now,
            fraction_lost: block.fraction_lost,
            cumulative_lost: block.cumulative_lost,
            highest_sequence_number: SequenceNumber(block.highest_sequence_number as u16),
            jitter: Duration::from_nanos(jitter),
            round_trip_time: round_trip_time.or(before.and_then(|remote| remote.round_trip_time)),
            total_round_trip_time: total.saturating_add(round_trip_time.unwrap_or_default()),
            round_trip_time_measurements: before.map_or(0, |remote| remote.round_trip_time_measurements)
                + u64::from(round_trip_time.is_some()),
            reports: before.map_or(0, |remote| remote.reports) + 1,
        });
        round_trip_time
    }

    /// What the receiver has reported; `None` before its first report.
    pub fn remote(&self) -> Option<&RemoteReception> {
        self.remote.as_ref()
    }

    /// Packets sent.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes of payload sent.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Bytes of headers and padding sent.
    pub fn overhead(&self) -> u64 {
        self.overhead
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::NtpInterval;

    fn ntp(at: Duration) -> NtpTimestamp {
        NtpTimestamp::from_duration(Duration::from_secs(3_900_000_000) + at)
    }

    #[test]
    fn the_report_maps_clocks() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut statistics = SenderStatistics::new(Ssrc(9), 90_000);
        assert_eq!(statistics.sender_report(start, ntp(Duration::ZERO)), None);
        statistics.sent(start, RtpTimestamp(u32::MAX - 89), 1000, 12);
        // A later packet of the same frame, held up by the pacer, and one of a frame before.
        statistics.sent(at(7), RtpTimestamp(u32::MAX - 89), 500, 20);
        statistics.sent(at(8), RtpTimestamp(u32::MAX - 3000), 1, 12);
        let report = statistics.sender_report(at(101), ntp(Duration::from_millis(101))).unwrap();
        assert_eq!(report.rtp, RtpTimestamp(9000));
        assert_eq!((report.packet_count, report.octet_count), (3, 1501));
        assert_eq!(report.ntp, ntp(Duration::from_millis(101)));
        assert_eq!((statistics.packets(), statistics.octets(), statistics.overhead()), (3, 1501, 44));
        statistics.sent(at(50), RtpTimestamp(4500), 1, 12);
        assert_eq!(statistics.timestamp_at(at(40)), Some(RtpTimestamp(3600)));
    }

    #[test]
    fn reports_tell_the_round_trip_time() {
        let start = Instant::now();
        let mut statistics = SenderStatistics::new(Ssrc(9), 90_000);
        let sent = ntp(Duration::ZERO);
        let block = ReportBlock {
            ssrc: Ssrc(9),
            fraction_lost: 64,
            cumulative_lost: 5,
            highest_sequence_number: 0x3_0007,
            jitter: 900,
            last_sender_report: CompactNtp::from(sent),
            delay_since_last_sender_report: NtpInterval::from_duration(Duration::from_millis(500)),
        };
        let arrival = Duration::from_millis(625);
        let measured = statistics.report_received(start + arrival, ntp(arrival), &block).unwrap();
        assert!(measured.abs_diff(Duration::from_millis(125)) < Duration::from_micros(50));
        let without = ReportBlock { last_sender_report: CompactNtp(0), ..block };
        assert_eq!(statistics.report_received(start, ntp(arrival), &without), None);
        let never_sent = ReportBlock { last_sender_report: CompactNtp(1), ..block };
        assert_eq!(statistics.report_received(start, ntp(arrival), &never_sent), None);
        let other = ReportBlock { ssrc: Ssrc(8), ..block };
        assert_eq!(statistics.report_received(start, ntp(arrival), &other), None);
        let remote = statistics.remote().unwrap();
        assert_eq!(remote.round_trip_time, Some(measured));
        assert_eq!((remote.round_trip_time_measurements, remote.reports), (1, 3));
        assert_eq!(remote.total_round_trip_time, measured);
        assert_eq!((remote.fraction_lost, remote.cumulative_lost), (64, 5));
        assert_eq!(remote.highest_sequence_number, SequenceNumber(7));
        assert_eq!(remote.jitter, Duration::from_millis(10));
    }
}
