//! Reports and feedback: RFC 3550 §6, RFC 4585 and RFC 5104.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::incoming::{Incoming, KeyFrameRequest};
use super::outgoing::Outgoing;
use crate::crypto::SecureRandom;
use crate::layer::{SequenceNumber, SrtpError, Ssrc};
use crate::media::{ReportSchedule, ReportScheduleConfig, TransportArrivals, TransportFeedbackConfig};
use crate::rtcp::{
    CompoundError, CompoundRules, CompoundWriter, Encode, Fir, Goodbye, Nack, Packet, Pli, ReceiverReport,
    Records, ReportBlock, SdesChunk, SdesItem, SdesItemType, SdesItems, SourceDescription, WriteError,
    check_compound, packets,
};
use crate::session::codec::TrackKind;
use crate::session::error::SessionError;
use crate::session::event::SessionEvent;
use crate::session::jsep::Jsep;

/// What of RTCP is sent when.
#[derive(Debug)]
pub(super) struct Reports {
    cname: String,
    /// The SSRC of packets that are about no stream of this side.
    local_ssrc: Option<Ssrc>,
    reduced_size: bool,
    schedule: Option<ReportSchedule>,
    /// The schedule is that of video.
    has_video: bool,
    arrivals: Option<TransportArrivals>,
    /// Datagrams that wait to be protected and sent.
    outbox: VecDeque<Outbound>,
    /// What SRTP refused a datagram of the application for, until the application has learnt of it.
    refusal: Option<SrtpError>,
    round_trip_time: Duration,
}

/// A datagram before it is protected.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) bytes: Vec<u8>,
    /// The application has made it.
    pub(super) by_application: bool,
}

/// The most datagrams that wait; a path that is gone loses the oldest.
const MAX_OUTBOX: usize = 64;
/// The longest datagram before it is protected.
const MAX_DATAGRAM: usize = 1100;
/// The most blocks or chunks of one packet: the count has five bits.
const MAX_COUNT: usize = 31;
/// The round-trip time until one was measured.
const INITIAL_ROUND_TRIP_TIME: Duration = Duration::from_millis(100);

impl Reports {
    pub(super) fn new() -> Self {
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
    pub(super) fn follow(&mut self, now: Instant, jsep: &Jsep, random: &dyn SecureRandom) {
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
    pub(super) fn arrived(&mut self, now: Instant, number: SequenceNumber, media: Ssrc) {
        let Some(local) = self.local_ssrc else { return };
        self.arrivals
            .get_or_insert_with(|| TransportArrivals::new(TransportFeedbackConfig::default(), local, media))
            .received(now, number);
    }

    pub(super) fn poll_timeout(&self, incoming: &Incoming) -> Option<Instant> {
        let schedule = self.schedule.as_ref().map(ReportSchedule::poll_timeout);
        let arrivals = self.arrivals.as_ref().and_then(TransportArrivals::poll_timeout);
        schedule.into_iter().chain(arrivals).chain(incoming.next_nack()).min()
    }

    /// Writes what is due.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        clock: &Clock,
        incoming: &mut Incoming,
        outgoing: &mut Outgoing,
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

    /// The next datagram to protect and send.
    pub(super) fn pop(&mut self, now: Instant, incoming: &mut Incoming) -> Option<Outbound> {
        while let Some(request) = incoming.take_key_frame_wanted(now) {
            let Some(sender) = self.local_ssrc else { continue };
            match request {
                KeyFrameRequest::Pli(media) => self.write_feedback(&Pli { sender, media }),
                KeyFrameRequest::Fir(entry) => {
                    // RFC 5104 §4.3.1.2: the header names no source, the entry does.
                    let entries = [entry];
                    let entries = Records::from(&entries[..]);
                    self.write_feedback(&Fir { sender, media: Ssrc(0), entries })
                }
            };
        }
        self.outbox.pop_front()
    }

    pub(super) fn has_datagrams(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Queues a datagram of the application, behind an empty report where the peer takes none without (RFC 5506 §3.4.2),
    /// or where SRTCP has no source to count it by (RFC 3711 §3.4).
    pub(super) fn send_for_application(&mut self, datagram: &[u8], limit: usize) -> Result<(), SessionError> {
        let (Some(ssrc), Some(_)) = (self.local_ssrc, &self.schedule) else {
            return Err(SessionError::NoMedia);
        };
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal.into());
        }
        let First { is_report, names_source } = check_outgoing(datagram)?;
        let mut bytes = Vec::new();
        if !names_source || !is_report && !self.reduced_size {
            bytes = Datagram::new(&self.cname).push_empty_report(ssrc);
        }
        bytes.extend_from_slice(datagram);
        let size = bytes.len();
        if size > limit {
            return Err(SessionError::PacketTooLong { size, limit });
        }
        // What this side has to say itself is not driven out.
        if self.outbox.len() >= MAX_OUTBOX / 2 {
            return Err(SessionError::TooMuchRtcp { limit: MAX_OUTBOX / 2 });
        }
        self.outbox.push_back(Outbound { bytes, by_application: true });
        Ok(())
    }

    /// SRTP has refused a datagram of the application: it is told when it sends the next.
    pub(super) fn refused(&mut self, error: SrtpError) {
        self.refusal = Some(error);
    }

    /// Tells the peer that sources have ended.
    pub(super) fn end(&mut self, sources: &[Ssrc]) {
        for sources in sources.chunks(MAX_COUNT) {
            self.write_compound(&Goodbye { sources: Records::from(sources), reason: None });
        }
    }

    /// All datagrams that wait.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Vec<u8>> + use<> {
        std::mem::take(&mut self.outbox).into_iter().map(|datagram| datagram.bytes)
    }

    fn write_nacks(&mut self, now: Instant, incoming: &mut Incoming) {
        let Some(sender) = self.local_ssrc else { return };
        incoming.poll_nacks(now, |media, entries| {
            self.write_feedback(&Nack { sender, media, entries: Records::from(entries) })
        });
    }

    fn write_transport_feedback(&mut self, now: Instant) {
        // Taken out so that what it lends can be written.
        let Some(mut arrivals) = self.arrivals.take() else { return };
        while let Some(feedback) = arrivals.poll_feedback(now) {
            self.write_feedback(&feedback);
        }
        self.arrivals = Some(arrivals);
    }

    /// One feedback packet as a datagram of its own, where the peer takes that (RFC 5506 §3.4.2).
    fn write_feedback(&mut self, packet: &impl Encode) -> bool {
        if !self.reduced_size {
            return self.write_compound(packet);
        }
        self.write(|writer| writer.push(packet))
    }

    /// A packet behind an empty report, RFC 3550 §6.1.
    fn write_compound(&mut self, packet: &impl Encode) -> bool {
        let Some(ssrc) = self.local_ssrc else { return false };
        let cname = std::mem::take(&mut self.cname);
        let is_written = self.write(|writer| {
            writer.push(&ReceiverReport { ssrc, ..ReceiverReport::default() })?;
            push_cname(writer, &cname, &[ssrc])?;
            writer.push(packet)
        });
        self.cname = cname;
        is_written
    }

    fn write(&mut self, packets: impl FnOnce(&mut CompoundWriter<'_>) -> Result<(), WriteError>) -> bool {
        let mut buffer = [0; MAX_DATAGRAM];
        let mut writer = CompoundWriter::new(&mut buffer);
        if packets(&mut writer).is_err() {
            return false;
        }
        let len = writer.finish();
        self.send(&buffer[..len]);
        true
    }

    /// A sender report for each stream of this side, and blocks on all of the peer's. Tells the size of the
    /// first datagram, for the schedule.
    fn write_reports(
        &mut self,
        now: Instant,
        clock: &Clock,
        incoming: &mut Incoming,
        outgoing: &mut Outgoing,
    ) -> usize {
        const UDP_IP_HEADERS: usize = 28;
        let Some(local) = self.local_ssrc else { return 0 };
        let blocks: Vec<ReportBlock> =
            incoming.media_mut().filter_map(|stream| stream.statistics.report_block(now)).collect();
        let ntp = clock.ntp(now);
        let senders: Vec<_> = outgoing
            .streams_mut()
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

    fn send(&mut self, datagram: &[u8]) {
        if self.outbox.len() >= MAX_OUTBOX {
            self.outbox.pop_front();
        }
        self.outbox.push_back(Outbound { bytes: datagram.to_vec(), by_application: false });
    }

    /// Takes what the peer reports and asks.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        clock: &Clock,
        datagram: &[u8],
        incoming: &mut Incoming,
        outgoing: &mut Outgoing,
        event: &mut dyn FnMut(SessionEvent),
    ) {
        // What is malformed is left out.
        for packet in packets(datagram).flatten() {
            match packet {
                Packet::SenderReport(report) => {
                    if let Some(stream) = incoming.by_ssrc(report.ssrc) {
                        stream.statistics.sender_report_received(now, &report);
                    }
                    self.take_blocks(now, clock, report.blocks.iter(), incoming, outgoing);
                }
                Packet::ReceiverReport(report) => {
                    self.take_blocks(now, clock, report.blocks.iter(), incoming, outgoing);
                }
                Packet::Nack(nack) => {
                    outgoing.retransmit(now, nack.media, nack.sequence_numbers(), self.round_trip_time);
                }
                Packet::Pli(Pli { media, .. }) => {
                    if let Some((transceiver, stream)) = outgoing.by_ssrc(media) {
                        stream.counters.plis += 1;
                        event(SessionEvent::KeyFrameRequested { transceiver, rid: None });
                    }
                }
                Packet::Fir(fir) => take_fir(now, &fir, outgoing, event),
                Packet::Goodbye(goodbye) => goodbye.sources.iter().for_each(|source| incoming.end(source)),
                _ => {}
            }
        }
    }

    fn take_blocks(
        &mut self,
        now: Instant,
        clock: &Clock,
        blocks: impl Iterator<Item = ReportBlock>,
        incoming: &mut Incoming,
        outgoing: &mut Outgoing,
    ) {
        for block in blocks {
            let Some((_, stream)) = outgoing.by_ssrc(block.ssrc) else { continue };
            let Some(statistics) = &mut stream.statistics else { continue };
            if let Some(round_trip_time) = statistics.report_received(now, clock.ntp(now), &block) {
                self.round_trip_time = round_trip_time;
                incoming.set_round_trip_time(round_trip_time);
            }
        }
    }
}

/// RFC 5104 §4.3.1. Some have no entry and name the source where other feedback does.
fn take_fir(now: Instant, fir: &Fir<'_>, outgoing: &mut Outgoing, event: &mut dyn FnMut(SessionEvent)) {
    let unnumbered = fir.entries.is_empty().then_some((fir.media, None));
    let entries = fir.entries.iter().map(|entry| (entry.ssrc, Some(entry.sequence_number)));
    for (ssrc, number) in entries.chain(unnumbered) {
        let Some((transceiver, stream)) = outgoing.by_ssrc(ssrc) else { continue };
        // §4.3.1.1: a request that is repeated has the number of the first. Some never count.
        let is_repeated = |(last, at): (u8, Instant)| {
            Some(last) == number && now.saturating_duration_since(at) < FIR_REPETITION
        };
        if stream.last_fir.is_some_and(is_repeated) {
            continue;
        }
        stream.last_fir = number.map(|number| (number, now)).or(stream.last_fir);
        stream.counters.firs += 1;
        event(SessionEvent::KeyFrameRequested { transceiver, rid: None });
    }
}

/// So long after a FIR another with its number repeats it: several round trips.
const FIR_REPETITION: Duration = Duration::from_secs(2);

/// Reports of several sources with their names, in as few datagrams as they fit into.
struct Datagram<'a> {
    cname: &'a str,
    bytes: Vec<u8>,
    sources: Vec<Ssrc>,
}

impl<'a> Datagram<'a> {
    fn new(cname: &'a str) -> Self {
        Self { cname, bytes: Vec::new(), sources: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A report on nothing and the name of its source, which must stand in front of other packets.
    fn push_empty_report(self, ssrc: Ssrc) -> Vec<u8> {
        let mut done = Vec::new();
        self.push(&ReceiverReport { ssrc, ..ReceiverReport::default() }, ssrc, &mut done).finish(&mut done);
        done.pop().unwrap_or_default()
    }

    /// Adds a report, to the next datagram if this one is full.
    fn push(mut self, report: &impl Encode, source: Ssrc, done: &mut Vec<Vec<u8>>) -> Self {
        let chunk = 4 + (2 + self.cname.len() + 1).next_multiple_of(4);
        let names = 4 + chunk * (self.sources.len() + 1);
        let is_full =
            self.bytes.len() + report.encoded_len() + names > MAX_DATAGRAM || self.sources.len() == MAX_COUNT;
        if is_full && !self.is_empty() {
            let cname = self.cname;
            self.finish(done);
            self = Self::new(cname);
        }
        let start = self.bytes.len();
        self.bytes.resize(start + report.encoded_len(), 0);
        if report.encode(&mut self.bytes[start..]).is_err() {
            self.bytes.truncate(start);
            return self;
        }
        if !self.sources.contains(&source) {
            self.sources.push(source);
        }
        self
    }

    fn finish(mut self, done: &mut Vec<Vec<u8>>) {
        let start = self.bytes.len();
        self.bytes.resize(MAX_DATAGRAM.max(start), 0);
        let mut writer = CompoundWriter::new(&mut self.bytes[start..]);
        // Room for the names was left.
        let _ = push_cname(&mut writer, self.cname, &self.sources);
        let len = writer.finish();
        self.bytes.truncate(start + len);
        done.push(self.bytes);
    }
}

/// RFC 3550 §6.1: every compound packet has the name of its sources.
fn push_cname(writer: &mut CompoundWriter<'_>, cname: &str, sources: &[Ssrc]) -> Result<(), WriteError> {
    let items = [SdesItem { kind: SdesItemType::CNAME, value: cname.as_bytes() }];
    let chunks: Vec<SdesChunk<'_>> =
        sources.iter().map(|ssrc| SdesChunk { ssrc: *ssrc, items: SdesItems::from(&items[..]) }).collect();
    writer.push(&SourceDescription { chunks: (&chunks[..]).into() })
}

/// What the first packet of a datagram is.
#[derive(Clone, Copy, Debug, Default)]
struct First {
    is_report: bool,
    names_source: bool,
}

/// Checks what the application wants to send, and says what it begins with.
fn check_outgoing(datagram: &[u8]) -> Result<First, SessionError> {
    check_compound(datagram, CompoundRules::ReducedSize)?;
    let mut first = None;
    for packet in packets(datagram) {
        let packet = packet.map_err(CompoundError::from)?;
        let is_report = matches!(packet, Packet::SenderReport(_) | Packet::ReceiverReport(_));
        let names_source = match packet {
            Packet::SourceDescription(description) => description.chunks.iter().next().is_some(),
            Packet::Goodbye(goodbye) => goodbye.sources.iter().next().is_some(),
            Packet::Unknown(unknown) => unknown.body.len() >= size_of::<Ssrc>(),
            _ => true,
        };
        first.get_or_insert(First { is_report, names_source });
        // RFC 5761 §4: with any other the peer would take it for RTP.
        if let Packet::Unknown(unknown) = packet
            && !(192..=223).contains(&unknown.packet_type.0)
        {
            return Err(CompoundError::PacketType(unknown.packet_type).into());
        }
    }
    Ok(first.unwrap_or_default())
}

fn random_u32(random: &dyn SecureRandom) -> u32 {
    let mut bytes = [0; 4];
    random.fill(&mut bytes);
    u32::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SeededRandom;
    use crate::layer::NtpTimestamp;
    use crate::rtcp::FirEntry;
    use crate::sdp::Direction;
    use crate::session::transceiver::{Negotiated, SenderIdentity, Transceiver, TransceiverId};

    /// RFC 5104 §4.3.1.1: what has the number of the last request repeats it.
    #[test]
    fn a_repeated_fir_is_one_request() {
        let now = Instant::now();
        let ssrc = Ssrc(7);
        let transceiver = Transceiver {
            id: TransceiverId(0),
            kind: TrackKind::Video,
            direction: Direction::SendOnly,
            codecs: Vec::new(),
            sender: SenderIdentity { ssrc, rtx_ssrc: Ssrc(8), streams: Vec::new(), track_id: String::new() },
            by_track: true,
            by_remote: false,
            stopping: false,
            stopped: false,
            negotiated: Negotiated { current_direction: Some(Direction::SendOnly), ..Negotiated::default() },
        };
        let (mut incoming, mut outgoing) = (Incoming::new(8), Outgoing::new(8, 8));
        outgoing.follow(&[transceiver], true, &SeededRandom::new(1));
        let clock = Clock::new(now, NtpTimestamp(1 << 63));
        let mut reports = Reports::new();
        let mut requests = |(after, sequence_number)| {
            let now = now + Duration::from_millis(after);
            let entries = [FirEntry { ssrc, sequence_number }, FirEntry { ssrc: Ssrc(9), sequence_number }];
            let fir = Fir { sender: Ssrc(1), media: Ssrc(0), entries: Records::from(&entries[..]) };
            let mut datagram = vec![0; fir.encoded_len()];
            fir.encode(&mut datagram).unwrap();
            let mut count = 0;
            reports.receive(now, &clock, &datagram, &mut incoming, &mut outgoing, &mut |event| {
                assert!(matches!(event, SessionEvent::KeyFrameRequested { .. }), "{event:?}");
                count += 1;
            });
            count
        };
        let counts = [(0, 255), (0, 255), (0, 0), (0, 0), (0, 1), (0, 255)].map(&mut requests);
        assert_eq!(counts, [1, 0, 1, 0, 1, 1]);
        // Some never count.
        let counts = [(1900, 255), (2000, 255), (3900, 255), (9000, 255)].map(&mut requests);
        assert_eq!(counts, [0, 1, 0, 1]);
    }
}
