//! One stream that this side sends: an SSRC with its retransmissions.

use std::time::Instant;

use super::departures::Departure;
use super::format::{Repair, SendFormat};
use super::packet::OutgoingRtp;
use super::queue::{Kept, Queue};
use super::template::{HeaderTemplate, Sent};
use crate::crypto::SecureRandom;
use crate::layer::{Mid, PayloadType, Rid, RtpTimestamp, SequenceNumber, SrtpError, Ssrc, TrackKind};
use crate::media::{PacketCache, PacketCacheConfig, PacketClass, RepairBudget, RtxSender, SenderStatistics};
use crate::rtp::{ExtensionForm, ExtensionMap, ExtensionUris};
use crate::sdp::FeedbackKind;
use crate::session::transceiver::{EncodingIdentity, Transceiver};

/// One stream.
#[derive(Debug)]
pub(in crate::session) struct Encoding {
    pub(in crate::session) ssrc: Ssrc,
    /// Which of several of the transceiver it is (RFC 8852).
    pub(in crate::session) rid: Option<Rid>,
    /// There is no other of the transceiver.
    pub(super) is_only: bool,
    /// The negotiated direction includes sending.
    pub(super) is_active: bool,
    pub(in crate::session) rtx: RtxSender,
    pub(super) mid: Option<Mid>,
    /// What follows the newest packet.
    pub(super) next: SequenceNumber,
    /// The newest timestamp, and when it was handed over.
    newest: Option<(RtpTimestamp, Instant)>,
    formats: Vec<SendFormat>,
    pub(super) extensions: ExtensionMap,
    /// Those that this library does not know.
    pub(super) uris: ExtensionUris,
    /// The form of header extensions in every packet; `None` where it may change from packet to packet.
    pub(super) extension_form: Option<ExtensionForm>,
    pub(super) transport_feedback: bool,
    pub(super) template: HeaderTemplate,
    /// What of it is sent for the first time.
    pub(super) class: PacketClass,
    pub(super) queue: Queue,
    pub(super) cache: PacketCache<Kept>,
    pub(super) repair: RepairBudget,
    /// What SRTP refused the last packet for, until the application has learnt of it.
    pub(super) refusal: Option<SrtpError>,
    pub(in crate::session) statistics: Option<SenderStatistics>,
    pub(in crate::session) counters: EncodingCounters,
    pub(in crate::session) last_payload_type: Option<PayloadType>,
    /// The number of the last FIR, and when it came.
    pub(in crate::session::media) last_fir: Option<(u8, Instant)>,
}

/// What is counted of a stream besides packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) struct EncodingCounters {
    pub(in crate::session) retransmitted_packets: u64,
    pub(in crate::session) retransmitted_bytes: u64,
    pub(in crate::session) nacks: u64,
    pub(in crate::session) plis: u64,
    pub(in crate::session) firs: u64,
}

/// A packet that is behind by no more is late, and not the first of another stream.
const MAX_LATE: i16 = 3000;
/// The same for timestamps: 5.8 seconds of video.
const MAX_LATE_TICKS: i32 = 1 << 19;

/// What became of the next packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// There is nothing to write after all.
    Nothing,
    /// The next packet is of a payload type that the peer does not take any more. It is no longer queued.
    Outdated,
    /// The next packet is longer than the limit.
    TooLong,
    /// A packet to be protected.
    Plain {
        /// The number to keep its protected form under.
        keep: Option<SequenceNumber>,
        /// The transport-wide number that it has.
        transport_number: Option<SequenceNumber>,
    },
    /// A packet that is protected already.
    Protected,
}

impl Encoding {
    pub(super) fn new(
        kind: TrackKind,
        identity: &EncodingIdentity,
        config: PacketCacheConfig,
        random: &dyn SecureRandom,
    ) -> Self {
        let mut numbers = [0; 4];
        random.fill(&mut numbers);
        let [a, b, c, d] = numbers;
        // RFC 3550 §5.1: random, and in the lower half, so that the rollover counter of SRTP is not
        // guessed wrong by a receiver that joins at the wrap (RFC 3711 §3.3.1).
        let first = |high: u8, low: u8| SequenceNumber(u16::from_be_bytes([high & 0x7f, low]));
        Self {
            ssrc: identity.ssrc,
            rid: identity.rid,
            is_only: true,
            is_active: true,
            rtx: RtxSender::new(identity.rtx_ssrc, first(c, d)),
            mid: None,
            next: first(a, b),
            newest: None,
            formats: Vec::new(),
            extensions: ExtensionMap::new(),
            uris: ExtensionUris::default(),
            extension_form: None,
            transport_feedback: false,
            template: HeaderTemplate::default(),
            class: match kind {
                TrackKind::Audio => PacketClass::Audio,
                TrackKind::Video => PacketClass::Video,
            },
            queue: Queue::default(),
            cache: PacketCache::new(config),
            repair: RepairBudget::default(),
            refusal: None,
            statistics: None,
            counters: EncodingCounters::default(),
            last_payload_type: None,
            last_fir: None,
        }
    }

    /// Brings it to what was negotiated. `mixed`: header extensions of both forms may stand in one stream.
    pub(super) fn follow(&mut self, transceiver: &Transceiver, mixed: bool) {
        self.is_active = true;
        self.is_only = transceiver.sender.more_encodings.is_empty();
        self.mid = transceiver.mid();
        let codecs = transceiver.send_codecs();
        self.formats = codecs.iter().map(SendFormat::from).collect();
        self.extensions = transceiver.negotiated.extensions.clone();
        self.uris = transceiver.negotiated.send_uris.clone();
        self.extension_form = if mixed { None } else { Some(self.one_extension_form()) };
        self.transport_feedback =
            codecs.iter().any(|codec| codec.codec.feedback.contains(&FeedbackKind::TransportCc));
        self.template = self.make_template();
    }

    /// The number of a packet that is handed over: its own, if it has one, else the next.
    pub(super) fn number(
        &mut self,
        now: Instant,
        own: Option<SequenceNumber>,
        timestamp: RtpTimestamp,
    ) -> SequenceNumber {
        let number = own.unwrap_or(self.next);
        let after = number.wrapping_add(1);
        // What is forwarded late takes nothing back. What is behind by more is another stream.
        if self.newest.is_none() || !(-MAX_LATE..0).contains(&after.distance_from(self.next)) {
            self.next = after;
        }
        let is_late = |newest| (-MAX_LATE_TICKS..0).contains(&timestamp.distance_from(newest));
        if self.newest.is_none_or(|(newest, _)| !is_late(newest)) {
            self.newest = Some((timestamp, now));
        }
        number
    }

    /// The next number, and what the timestamp is by now on a clock of so many ticks a second, if there is one before.
    #[cfg(feature = "peer-connection")]
    pub(in crate::session) fn continuation(
        &self,
        now: Instant,
        clock_rate: u32,
    ) -> (SequenceNumber, Option<RtpTimestamp>) {
        let timestamp = self.newest.map(|(newest, at)| {
            let elapsed = now.saturating_duration_since(at).as_micros() * u128::from(clock_rate) / 1_000_000;
            // The clock wraps, and what comes later has a later time.
            newest.wrapping_add((elapsed as u32).max(1))
        });
        (self.next, timestamp)
    }

    /// What the peer knows it by: its SSRC, and that of its retransmissions.
    pub(super) fn sources(&self) -> impl Iterator<Item = Ssrc> + use<> {
        let media = self.statistics.is_some().then_some(self.ssrc);
        let rtx = (self.counters.retransmitted_packets > 0).then(|| self.rtx.ssrc());
        media.into_iter().chain(rtx)
    }

    pub(super) fn format(&self, payload_type: PayloadType) -> Option<&SendFormat> {
        self.formats.iter().find(|format| format.payload_type == payload_type)
    }

    /// Appends the next packet of a class to `out`, unless it is longer than the first of `limits` when protected,
    /// which adds the second of them.
    pub(super) fn write(
        &mut self,
        now: Instant,
        class: PacketClass,
        departure: Departure,
        (limit, overhead): (usize, usize),
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Written {
        match class {
            PacketClass::Retransmission => self.write_again(departure, limit, overhead, scratch, out),
            PacketClass::Audio | PacketClass::Video => {
                self.write_first(now, departure, limit.saturating_sub(overhead), out)
            }
        }
    }

    /// SRTP has refused a packet: the application is told when it sends the next. That one was sent twice, as those who
    /// forward get some twice, says nothing about the next.
    pub(super) fn refused(&mut self, error: SrtpError) {
        if !matches!(error, SrtpError::Replayed { .. }) {
            self.refusal = Some(error);
        }
    }

    /// Appends the packet in front to `out`, if it takes at most `limit` bytes.
    pub(super) fn write_first(
        &mut self,
        now: Instant,
        departure: Departure,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Written {
        let start = out.len();
        let Some((number, packet)) = self.queue.first() else { return Written::Nothing };
        if self.format(packet.payload_type).is_none() {
            self.queue.pop_first();
            return Written::Outdated;
        }
        let payload = &packet.payload;
        let fits = |head_len: &usize| head_len + payload.len() <= limit;
        let Some(head_len) = self.write_header(departure, number, packet, Sent::First, out).ok().filter(fits)
        else {
            out.truncate(start);
            return Written::TooLong;
        };
        out.extend_from_slice(payload);
        let Some((number, packet)) = self.queue.pop_first() else { return Written::Nothing };
        let keep = self.sent(now, head_len, number, packet).then_some(number);
        Written::Plain { keep, transport_number: departure.transport_number }
    }

    /// Counts a packet and keeps it if it may have to be sent again. Says whether its protected form is to be
    /// kept instead.
    fn sent(&mut self, now: Instant, head_len: usize, number: SequenceNumber, packet: OutgoingRtp) -> bool {
        let Some(&SendFormat { payload_type, clock_rate, repair }) = self.format(packet.payload_type) else {
            return false;
        };
        let (ssrc, payload_len) = (self.ssrc, packet.payload.len());
        self.repair.sent(head_len + payload_len);
        self.last_payload_type = Some(payload_type);
        self.statistics.get_or_insert_with(|| SenderStatistics::new(ssrc, clock_rate)).sent(
            now,
            packet.timestamp,
            payload_len,
            head_len,
        );
        if let Repair::Rtx(_) = repair {
            self.cache.insert(now, number, head_len + payload_len, Kept::Packet(packet));
        }
        repair == Repair::AsItWas
    }
}
