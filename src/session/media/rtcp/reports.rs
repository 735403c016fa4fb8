//! When what is reported: RFC 3550 §6.2 to §6.4.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::compound::{Datagram, MAX_COUNT};
use crate::crypto::SecureRandom;
use crate::layer::{SequenceNumber, SrtpError, Ssrc, TrackKind};
use crate::media::{ReportSchedule, ReportScheduleConfig, TransportArrivals, TransportFeedbackConfig};
use crate::rtcp::{ReceiverReport, Records, ReportBlock};
use crate::session::jsep::Jsep;
use crate::session::media::clock::Clock;
use crate::session::media::incoming::Incoming;
use crate::session::media::sending::Sender;

/// What of RTCP is sent when.
#[derive(Debug)]
pub(in crate::session::media) struct Reports {
    pub(super) cname: String,
    /// The SSRC of packets that are about no stream of this side.
    pub(super) local_ssrc: Option<Ssrc>,
    pub(super) reduced_size: bool,
    pub(super) schedule: Option<ReportSchedule>,
    /// The schedule is that of video.
    has_video: bool,
    pub(super) arrivals: Option<TransportArrivals>,
    /// Datagrams that wait to be protected and sent.
    pub(super) outbox: VecDeque<Outbound>,
    /// What SRTP refused a datagram of the application for, until the application has learnt of it.
    pub(super) refusal: Option<SrtpError>,
    pub(super) round_trip_time: Duration,
}

/// A datagram before it is protected.
#[derive(Debug)]
pub(in crate::session::media) struct Outbound {
    pub(in crate::session::media) bytes: Vec<u8>,
    /// The application has made it.
    pub(in crate::session::media) by_application: bool,
}

/// The most datagrams that wait; a path that is gone loses the oldest.
pub(super) const MAX_OUTBOX: usize = 64;
/// The round-trip time until one was measured.
const INITIAL_ROUND_TRIP_TIME: Duration = Duration::from_millis(100);

impl Reports {
    pub(in crate::session::media) fn new() -> Self {
        Self {
            cname: String::new(),
            local_ssrc: None,
            reduced_size: false,
            schedule: None,
            has_video: false,
            arrivals: None,
            outbox: VecDeque::new(),
            refusal: None,
            round_trip_time: INITIAL_ROUND_TRIP_TIME,
        }
    }

    /// Brings the reports to what the signalling agreed on.
    pub(in crate::session::media) fn follow(&mut self, now: Instant, jsep: &Jsep, random: &dyn SecureRandom) {
        let mut agreed = jsep
            .transceivers()
            .iter()
            .filter(|transceiver| !transceiver.is_stopped() && transceiver.current_direction().is_some())
            .peekable();
        let Some(first) = agreed.peek() else {
            // Nothing is left to report on.
            self.schedule = None;
            self.arrivals = None;
            self.outbox.clear();
            return;
        };
        self.local_ssrc = Some(first.ssrc());
        self.cname.clear();
        self.cname.push_str(jsep.cname());
        self.reduced_size = jsep.reduced_size_rtcp();
        let has_video = agreed.any(|transceiver| transceiver.kind() == TrackKind::Video);
        if self.schedule.is_none() || has_video != self.has_video {
            let config =
                if has_video { ReportScheduleConfig::video() } else { ReportScheduleConfig::audio() };
            self.has_video = has_video;
            self.schedule = Some(ReportSchedule::new(config, now, random_u32(random)));
        }
    }

    /// A packet with a transport-wide number arrived.
    pub(in crate::session::media) fn arrived(&mut self, now: Instant, number: SequenceNumber, media: Ssrc) {
        let Some(local) = self.local_ssrc else { return };
        self.arrivals
            .get_or_insert_with(|| TransportArrivals::new(TransportFeedbackConfig::default(), local, media))
            .received(now, number);
    }

    pub(in crate::session::media) fn poll_timeout(&self, incoming: &Incoming) -> Option<Instant> {
        let schedule = self.schedule.as_ref().map(ReportSchedule::poll_timeout);
        let arrivals = self.arrivals.as_ref().and_then(TransportArrivals::poll_timeout);
        schedule.into_iter().chain(arrivals).chain(incoming.next_nack()).min()
    }

    /// Writes what is due.
    pub(in crate::session::media) fn handle_timeout(
        &mut self,
        now: Instant,
        clock: &Clock,
        incoming: &mut Incoming,
        outgoing: &mut Sender,
        random: &dyn SecureRandom,
    ) {
        if incoming.next_nack().is_some_and(|due| due <= now) {
            self.write_nacks(now, incoming);
        }
        self.write_transport_feedback(now);
        if self.schedule.as_ref().is_some_and(|schedule| schedule.is_due(now)) {
            let size = self.write_reports(now, clock, incoming, outgoing);
            if let Some(schedule) = &mut self.schedule {
                schedule.report_sent(now, size, random_u32(random));
            }
        }
    }

    pub(in crate::session::media) fn has_datagrams(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// All datagrams that wait.
    pub(in crate::session::media) fn take_all(&mut self) -> impl Iterator<Item = Vec<u8>> + use<> {
        std::mem::take(&mut self.outbox).into_iter().map(|datagram| datagram.bytes)
    }

    /// A sender report for each stream of this side, and blocks on all of the peer's. Tells the size of the
    /// first datagram, for the schedule.
    fn write_reports(
        &mut self,
        now: Instant,
        clock: &Clock,
        incoming: &mut Incoming,
        outgoing: &mut Sender,
    ) -> usize {
        const UDP_IP_HEADERS: usize = 28;
        let Some(local) = self.local_ssrc else { return 0 };
        let blocks: Vec<ReportBlock> =
            incoming.media_mut().filter_map(|stream| stream.statistics.report_block(now)).collect();
        let ntp = clock.ntp(now);
        let senders: Vec<_> = outgoing
            .active()
            .filter_map(|stream| stream.statistics.as_ref()?.sender_report(now, ntp))
            .collect();
        let mut blocks = blocks.chunks(MAX_COUNT);
        let mut datagram = Datagram::new(&self.cname);
        let mut datagrams = Vec::new();
        for mut report in senders {
            report.blocks = Records::from(blocks.next().unwrap_or_default());
            datagram = datagram.push(&report, report.ssrc, &mut datagrams);
        }
        let mut rest = blocks.next();
        // RFC 3550 §6.1: every datagram begins with a report, an empty one if there is nothing to report.
        while rest.is_some() || datagram.is_empty() && datagrams.is_empty() {
            let report = ReceiverReport {
                ssrc: local,
                blocks: Records::from(rest.unwrap_or_default()),
                ..ReceiverReport::default()
            };
            datagram = datagram.push(&report, local, &mut datagrams);
            rest = blocks.next();
        }
        datagram.finish(&mut datagrams);
        let size = datagrams.first().map_or(0, Vec::len) + UDP_IP_HEADERS;
        for datagram in datagrams {
            self.send(&datagram);
        }
        size
    }

    pub(super) fn send(&mut self, datagram: &[u8]) {
        if self.outbox.len() >= MAX_OUTBOX {
            self.outbox.pop_front();
        }
        self.outbox.push_back(Outbound { bytes: datagram.to_vec(), by_application: false });
    }
}

fn random_u32(random: &dyn SecureRandom) -> u32 {
    let mut bytes = [0; 4];
    random.fill(&mut bytes);
    u32::from_be_bytes(bytes)
}
