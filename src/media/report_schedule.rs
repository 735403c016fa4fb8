//! When to send reports, RFC 3550 §6.2 and §6.3, RFC 4585 §3.4.

use std::time::{Duration, Instant};

use crate::layer::Bitrate;

/// The shares and lengths that a [`ReportSchedule`] computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportScheduleConfig {
    /// The bandwidth of the session, of which RTCP may take 5 %, RFC 3550 §6.2. Default 2 Mbit/s for
    /// video and 64 kbit/s for audio.
    pub session_bandwidth: Bitrate,
    /// The least time between regular reports: T_rr_interval of RFC 4585 §3.4. Default 1 s for video, which has losses
    /// to repair and a bandwidth to find, and 5 s for audio.
    pub min_interval: Duration,
    /// How many SSRCs send RTCP in the session, the peer's included. Default 2.
    pub members: u32,
    /// What an RTCP datagram is expected to have at first, headers of UDP and IP included: RFC 3550 §6.3.2.
    /// Default 128 bytes.
    pub initial_packet_size: usize,
}

impl ReportScheduleConfig {
    /// For a session of video: 2 Mbit/s, reports about every second.
    pub const fn video() -> Self {
        ReportScheduleConfig {
            session_bandwidth: Bitrate::from_kbps(2000),
            min_interval: Duration::from_secs(1),
            members: 2,
            initial_packet_size: 128,
        }
    }

    /// For a session of audio: 64 kbit/s, reports about every five seconds.
    pub const fn audio() -> Self {
        ReportScheduleConfig {
            session_bandwidth: Bitrate::from_kbps(64),
            min_interval: Duration::from_secs(5),
            ..Self::video()
        }
    }
}

/// Says when the next regular report is due.
///
/// The interval is what keeps RTCP within its share of the bandwidth, and not less than the configured
/// minimum (the fixed five seconds of RFC 3550 §6.2 do not apply to feedback profiles), times a random factor
/// of 0.5 to 1.5. The members of a WebRTC session are two endpoints that know of each other, so that timer
/// reconsideration (RFC 3550 §6.3.3) and its compensation factor, which protect groups that grow suddenly, are
/// left out. Immediate feedback (RFC 4585 §3.5) does not wait for this schedule; it counts for the share.
#[derive(Debug, Clone)]
pub struct ReportSchedule {
    config: ReportScheduleConfig,
    // In sixteenths of bytes.
    average_size: u64,
    next: Instant,
}

impl ReportSchedule {
    /// A schedule whose first report is due after half an interval, RFC 3550 §6.2. `random` is a random number.
    pub fn new(config: ReportScheduleConfig, now: Instant, random: u32) -> Self {
        let average_size = 16 * config.initial_packet_size as u64;
        let mut schedule = ReportSchedule { config, average_size, next: now };
        schedule.next = now + schedule.interval(random) / 2;
        schedule
    }

    /// When the next report is due.
    pub fn poll_timeout(&self) -> Instant {
        self.next
    }

    /// Whether a report is due.
    pub fn is_due(&self, now: Instant) -> bool {
        self.next <= now
    }

    /// Takes notice of the regular report that was sent, a datagram of `size` bytes, headers of UDP and IP
    /// included, and sets the time of the next. `random` is a random number.
    pub fn report_sent(&mut self, now: Instant, size: usize, random: u32) {
        self.observe(size);
        self.next = now + self.interval(random);
    }

    /// Takes notice of another RTCP datagram, sent or received.
    pub fn observe(&mut self, size: usize) {
        // RFC 3550 §6.3.3: a sixteenth of each new size.
        self.average_size = self.average_size - self.average_size / 16 + size as u64;
    }

    /// Changes the bandwidth of the session; the report under way stays due when it is.
    pub fn set_session_bandwidth(&mut self, bandwidth: Bitrate) {
        self.config.session_bandwidth = bandwidth;
    }

    fn interval(&self, random: u32) -> Duration {
        const LONGEST: Duration = Duration::from_secs(3600);
        // RFC 3550 §6.2: members × average size / (5 % of the bandwidth in bytes per second).
        let bits = self.average_size.saturating_mul(8 * u64::from(self.config.members)) / 16;
        let nanos =
            u128::from(bits) * 20 * 1_000_000_000 / u128::from(self.config.session_bandwidth.bps().max(1));
        let by_bandwidth = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let interval = by_bandwidth.max(self.config.min_interval).min(LONGEST);
        // RFC 3550 §6.3.1: times 0.5 to 1.5, so that reports of several sources do not fall into step.
        interval / 2 + Duration::from_nanos(((interval.as_nanos() * u128::from(random)) >> 32) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_randomised_around_the_minimum() {
        let now = Instant::now();
        let interval = |random| {
            let mut schedule = ReportSchedule::new(ReportScheduleConfig::video(), now, random);
            schedule.report_sent(now, 128, random);
            schedule.poll_timeout() - now
        };
        assert_eq!(interval(0), Duration::from_millis(500));
        assert_eq!(interval(1 << 31), Duration::from_millis(1000));
        assert!(interval(u32::MAX) > Duration::from_millis(1499));
        assert!(interval(u32::MAX) <= Duration::from_millis(1500));
        let audio = ReportSchedule::new(ReportScheduleConfig::audio(), now, 1 << 31);
        assert_eq!(audio.poll_timeout() - now, Duration::from_millis(2500), "the first after half of it");
        assert!(!audio.is_due(now) && audio.is_due(now + Duration::from_millis(2500)));
    }

    #[test]
    fn reports_stay_within_their_share() {
        let now = Instant::now();
        let config = ReportScheduleConfig {
            session_bandwidth: Bitrate::from_kbps(16),
            ..ReportScheduleConfig::video()
        };
        let mut schedule = ReportSchedule::new(config, now, 0);
        for _ in 0..1000 {
            schedule.observe(500);
        }
        schedule.report_sent(now, 500, 1 << 31);
        // Two members of 500 bytes, at 100 bytes per second.
        let interval = schedule.poll_timeout() - now;
        assert!(interval.abs_diff(Duration::from_secs(10)) < Duration::from_millis(500), "{interval:?}");
        schedule.set_session_bandwidth(Bitrate::ZERO);
        schedule.report_sent(now, usize::from(u16::MAX), u32::MAX);
        assert!(schedule.poll_timeout() - now <= Duration::from_secs(5400));
    }
}
