//! How much of the wall a viewer's connection carries.

use std::collections::HashMap;
use std::time::Duration;

use kaon_rtc::layer::Ssrc;
use kaon_rtc::peer_connection::{Stats, StatsReport, TrackKind};
use tokio::time::Instant;

/// How much of a camera is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All frames.
    Full,
    /// Key frames and sound.
    KeyFrames,
    Nothing,
}

/// What a viewer is sent, as its receiver reports (RFC 3550 §6.4) allow: with losses the half of what it was, and
/// step by step more when nothing is lost. It counts in key frames and in full pictures: the first cameras of the
/// wall come first, each gets its key frames before one gets more, and the first always does. A path that has carried
/// everything for a while and chokes once is tried with all of it at once: it may only have stood still.
#[derive(Debug)]
pub struct Allowance {
    carried: usize,
    /// What was carried before the step that is on trial.
    trial: Option<usize>,
    /// What a path carried that had been good for a while, and has choked once since.
    proven: Option<usize>,
    /// How long nothing may be lost before more is tried. It doubles with each trial that fails.
    patience: Duration,
    /// Reports from before are of what was sent earlier.
    settled: Instant,
    /// Next to nothing was lost since.
    clean_since: Instant,
    /// The first packet that no report has followed was sent before this.
    unreported_since: Option<Instant>,
    packets_sent: u64,
    shortest_round_trip: Option<Duration>,
    streams: HashMap<Ssrc, Reported>,
}

/// A stream of pictures at its last report.
#[derive(Clone, Copy, Debug, Default)]
struct Reported {
    reports: u64,
    packets_sent: u64,
}

/// What the reports since the last look say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reception {
    /// The share of packets that were lost, 0 to 1.
    pub fraction_lost: f64,
    pub round_trip_time: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Congested,
    Clean,
    Unclear,
}

/// Losses above it are those of a path that is full.
const MAX_LOSS: f64 = 0.1;
/// Losses up to it are those of any path.
const CLEAN_LOSS: f64 = 0.02;
/// A round trip that is so much longer than the shortest is spent in a queue before a path that is full.
const MAX_QUEUE: Duration = Duration::from_millis(750);
/// Receivers of video report about every second.
const SILENCE: Duration = Duration::from_secs(5);
/// What is sent now shows in reports after so long.
const SETTLING: Duration = Duration::from_secs(2);
const MIN_PATIENCE: Duration = Duration::from_secs(2);
const MAX_PATIENCE: Duration = Duration::from_secs(15);
/// A path that has carried all for so long can do so.
const PROVEN: Duration = Duration::from_secs(5);

impl Allowance {
    pub fn new(now: Instant) -> Self {
        Self {
            carried: usize::MAX,
            trial: None,
            proven: None,
            patience: MIN_PATIENCE,
            settled: now + SETTLING,
            clean_since: now,
            unreported_since: None,
            packets_sent: 0,
            shortest_round_trip: None,
            streams: HashMap::new(),
        }
    }

    /// How much of a camera is sent to a wall of which `rank` others stand before it.
    pub fn share(&self, rank: usize, cameras: usize) -> Share {
        if rank.saturating_add(cameras) < self.carried {
            Share::Full
        } else if rank < self.carried {
            Share::KeyFrames
        } else {
            Share::Nothing
        }
    }

    /// Takes what a connection counts, while so many cameras are in sight.
    pub fn look(&mut self, now: Instant, report: &StatsReport, cameras: usize) {
        let sent: HashMap<Ssrc, u64> = report.iter().filter_map(pictures_sent).collect();
        let reception = self.reception(report, &sent);
        let packets_sent = sent.values().sum();
        let is_sending = std::mem::replace(&mut self.packets_sent, packets_sent) < packets_sent;
        self.judge(now, reception, is_sending, cameras);
    }

    /// What the reports on pictures since the last look say; `None` if none came. Those on sound are seldom.
    fn reception(&mut self, report: &StatsReport, sent: &HashMap<Ssrc, u64>) -> Option<Reception> {
        let (mut lost, mut expected, mut round_trip_time) = (0.0, 0, None);
        for entry in report {
            let Stats::RemoteInboundRtp(remote) = entry else { continue };
            let Some(&packets_sent) = sent.get(&remote.ssrc) else { continue };
            let reports = remote.round_trip_time_measurements;
            let stream = self.streams.entry(remote.ssrc).or_default();
            if reports == stream.reports {
                continue;
            }
            let packets = packets_sent.saturating_sub(stream.packets_sent);
            *stream = Reported { reports, packets_sent };
            lost += remote.fraction_lost * packets as f64;
            expected += packets;
            round_trip_time = round_trip_time.max(remote.round_trip_time);
        }
        (expected > 0).then(|| Reception { fraction_lost: lost / expected as f64, round_trip_time })
    }

    fn judge(&mut self, now: Instant, reception: Option<Reception>, is_sending: bool, cameras: usize) {
        if reception.is_some() {
            self.unreported_since = None;
        } else if is_sending {
            self.unreported_since.get_or_insert(now);
        }
        let verdict = self.verdict(now, reception);
        if now < self.settled || verdict == Verdict::Unclear {
            return;
        }
        let all = 2 * cameras;
        if verdict == Verdict::Congested {
            let was_good = now.saturating_duration_since(self.clean_since) >= PROVEN;
            self.proven = (self.trial.is_none() && self.carried >= all && was_good).then_some(all);
            (self.carried, self.patience) = match self.trial.take() {
                Some(before) => (before, MAX_PATIENCE.min(2 * self.patience)),
                None => ((self.carried.min(all) / 2).max(1), self.patience),
            };
            self.settled = now + SETTLING;
            self.clean_since = self.settled;
            self.unreported_since = None;
            return;
        }
        if let Some(proven) = self.proven.take() {
            self.trial = Some(std::mem::replace(&mut self.carried, proven));
            self.settled = now + SETTLING;
            self.clean_since = now;
            return;
        }
        if now.saturating_duration_since(self.clean_since) < self.patience {
            return;
        }
        if self.trial.take().is_some() {
            self.patience = MIN_PATIENCE;
        }
        if self.carried < all {
            self.trial = Some(self.carried);
            self.carried += (self.carried / 4).max(1);
            self.settled = now + SETTLING;
            self.clean_since = now;
        }
    }

    fn verdict(&mut self, now: Instant, reception: Option<Reception>) -> Verdict {
        let Some(reception) = reception else {
            let is_silent =
                self.unreported_since.is_some_and(|since| now.saturating_duration_since(since) >= SILENCE);
            return if is_silent { Verdict::Congested } else { Verdict::Unclear };
        };
        let mut queue = Duration::ZERO;
        if let Some(round_trip) = reception.round_trip_time {
            let shortest = self.shortest_round_trip.map_or(round_trip, |shortest| shortest.min(round_trip));
            self.shortest_round_trip = Some(shortest);
            queue = round_trip - shortest;
        }
        if reception.fraction_lost > MAX_LOSS || queue > MAX_QUEUE {
            return Verdict::Congested;
        }
        if reception.fraction_lost > CLEAN_LOSS {
            self.clean_since = now;
            return Verdict::Unclear;
        }
        Verdict::Clean
    }
}

/// How many packets of a stream of pictures were sent, without those that were sent again.
fn pictures_sent(entry: &Stats) -> Option<(Ssrc, u64)> {
    match entry {
        Stats::OutboundRtp(stream) if stream.kind == TrackKind::Video => {
            Some((stream.ssrc, stream.packets_sent.saturating_sub(stream.retransmitted_packets_sent)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A receiver that reports every second.
    struct Receiver {
        now: Instant,
        allowance: Allowance,
    }

    impl Receiver {
        fn new() -> Self {
            let now = Instant::now();
            Self { now, allowance: Allowance::new(now) }
        }

        fn report(&mut self, seconds: usize, reception: impl Fn(&Allowance) -> Option<Reception>) {
            for _ in 0..seconds {
                self.now += Duration::from_secs(1);
                let reception = reception(&self.allowance);
                self.allowance.judge(self.now, reception, true, 4);
            }
        }

        fn shares(&self) -> [Share; 4] {
            [0, 1, 2, 3].map(|rank| self.allowance.share(rank, 4))
        }
    }

    fn loses(fraction_lost: f64) -> Option<Reception> {
        Some(Reception { fraction_lost, round_trip_time: Some(Duration::from_millis(20)) })
    }

    use Share::{Full, KeyFrames, Nothing};

    #[test]
    fn losses_halve_what_is_sent_down_to_the_key_frames_of_one() {
        let mut receiver = Receiver::new();
        receiver.report(10, |_| loses(0.01));
        assert_eq!(receiver.shares(), [Full; 4]);
        receiver.report(1, |_| loses(0.3));
        assert_eq!(receiver.shares(), [KeyFrames; 4]);
        receiver.report(2, |_| loses(0.3));
        assert_eq!(receiver.shares(), [KeyFrames, KeyFrames, Nothing, Nothing]);
        receiver.report(60, |_| loses(0.3));
        assert_eq!(receiver.shares(), [KeyFrames, Nothing, Nothing, Nothing]);
        // Neither more nor less.
        receiver.report(60, |_| loses(0.05));
        assert_eq!(receiver.shares(), [KeyFrames, Nothing, Nothing, Nothing]);
        receiver.report(40, |_| loses(0.0));
        assert_eq!(receiver.shares(), [Full; 4]);
    }

    #[test]
    fn more_is_tried_less_and_less_often_where_it_fails() {
        let mut receiver = Receiver::new();
        let path = |allowance: &Allowance| loses(if allowance.carried > 6 { 0.2 } else { 0.0 });
        receiver.report(30, path);
        let mut overloaded = 0;
        for _ in 0..300 {
            receiver.report(1, path);
            overloaded += usize::from(receiver.allowance.carried > 6);
            assert!(receiver.allowance.carried >= 6, "a trial takes back itself alone");
        }
        assert!((1..45).contains(&overloaded), "{overloaded} of 300 seconds");
        assert_eq!(receiver.shares(), [Full, Full, KeyFrames, KeyFrames]);
    }

    #[test]
    fn silence_and_a_growing_queue_are_overload() {
        let mut receiver = Receiver::new();
        receiver.report(5, |_| loses(0.0));
        receiver.report(60, |_| None);
        assert_eq!(receiver.shares(), [KeyFrames, Nothing, Nothing, Nothing]);
        let mut receiver = Receiver::new();
        receiver.report(5, |_| loses(0.0));
        let round_trip_time = Some(Duration::from_secs(2));
        receiver.report(1, |_| Some(Reception { fraction_lost: 0.0, round_trip_time }));
        assert_eq!(receiver.shares(), [KeyFrames; 4]);
    }

    #[test]
    fn a_path_that_stood_still_carries_all_again_at_once() {
        let stalled =
            || Some(Reception { fraction_lost: 0.4, round_trip_time: Some(Duration::from_secs(4)) });
        let mut receiver = Receiver::new();
        receiver.report(30, |_| loses(0.0));
        receiver.report(4, |_| None);
        receiver.report(1, |_| stalled());
        assert_eq!(receiver.shares(), [KeyFrames; 4]);
        receiver.report(3, |_| loses(0.0));
        assert_eq!(receiver.shares(), [Full; 4]);
        // And again, later.
        receiver.report(10, |_| loses(0.0));
        receiver.report(1, |_| stalled());
        receiver.report(3, |_| loses(0.0));
        assert_eq!(receiver.shares(), [Full; 4]);
    }

    #[test]
    fn a_path_that_has_become_narrow_is_overloaded_once_more() {
        let mut receiver = Receiver::new();
        receiver.report(30, |_| loses(0.0));
        let narrow = |allowance: &Allowance| loses(if allowance.carried > 4 { 0.3 } else { 0.0 });
        let mut overloaded = 0;
        for _ in 0..30 {
            receiver.report(1, narrow);
            overloaded += usize::from(receiver.allowance.carried > 4);
        }
        assert!(overloaded <= 9, "{overloaded} of 30 seconds");
        // One that never carried all is not tried with it.
        let mut receiver = Receiver::new();
        receiver.report(3, narrow);
        receiver.report(60, |allowance| {
            assert!(allowance.carried <= 5, "{}", allowance.carried);
            narrow(allowance)
        });
    }

    #[test]
    fn who_is_sent_nothing_may_be_silent() {
        let mut receiver = Receiver::new();
        for _ in 0..60 {
            receiver.now += Duration::from_secs(1);
            receiver.allowance.judge(receiver.now, None, false, 4);
        }
        assert_eq!(receiver.shares(), [Full; 4]);
    }
}
