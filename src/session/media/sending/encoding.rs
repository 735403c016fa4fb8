//! One stream that this side sends: an SSRC with its retransmissions.

use std::time::Instant;

use super::packet::{MAX_HEADER, OutgoingRtp};
use super::queue::{Kept, Queue};
use crate::crypto::SecureRandom;
use crate::layer::{
    Mid, NtpTimestamp, PayloadType, RtpTimestamp, SequenceNumber, SrtpError, Ssrc, TrackKind,
};
use crate::media::{PacketCache, PacketCacheConfig, PacketClass, RepairBudget, RtxSender, SenderStatistics};
use crate::rtp::{ExtensionForm, ExtensionMap};
use crate::sdp::FeedbackKind;
use crate::session::codec::NegotiatedCodec;
use crate::session::transceiver::Transceiver;

/// One stream.
#[derive(Debug)]
pub(in crate::session) struct Encoding {
    pub(super) ssrc: Ssrc,
    /// The negotiated direction includes sending.
    pub(super) is_active: bool,
    pub(super) rtx: RtxSender,
    pub(super) mid: Option<Mid>,
    /// What follows the newest packet.
    pub(super) next: SequenceNumber,
    /// The newest timestamp, and when it was handed over.
    newest: Option<(RtpTimestamp, Instant)>,
    pub(super) codecs: Vec<NegotiatedCodec>,
    pub(super) extensions: ExtensionMap,
    /// The form of header extensions in every packet; `None` where it may change from packet to packet.
    pub(super) extension_form: Option<ExtensionForm>,
    pub(super) transport_feedback: bool,
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
        transceiver: &Transceiver,
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
            ssrc: transceiver.sender.ssrc,
            is_active: true,
            rtx: RtxSender::new(transceiver.sender.rtx_ssrc, first(c, d)),
            mid: None,
            next: first(a, b),
            newest: None,
            codecs: Vec::new(),
            extensions: ExtensionMap::new(),
            extension_form: None,
            transport_feedback: false,
            class: match transceiver.kind() {
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
        self.mid = transceiver.mid();
        self.codecs = transceiver.send_codecs().to_vec();
        self.extensions = transceiver.negotiated.extensions.clone();
        self.extension_form = if mixed { None } else { Some(self.one_extension_form()) };
        self.transport_feedback =
            self.codecs.iter().any(|codec| codec.codec.feedback.contains(&FeedbackKind::TransportCc));
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

    pub(super) fn codec(&self, payload_type: PayloadType) -> Option<&NegotiatedCodec> {
        self.codecs.iter().find(|codec| codec.payload_type == payload_type)
    }

    /// Appends the packet in front to `out`, if it takes at most `limit` bytes.
    pub(super) fn write_first(
        &mut self,
        now: Instant,
        sent: NtpTimestamp,
        transport_number: Option<SequenceNumber>,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Written {
        let Some((number, packet)) = self.queue.first() else { return Written::Nothing };
        let mut head = [0; MAX_HEADER];
        let Ok(head_len) = self.write_header(sent, number, packet, transport_number, &mut head) else {
            return Written::TooLong;
        };
        if head_len + packet.payload.len() > limit {
            return Written::TooLong;
        }
        let Some((number, packet)) = self.queue.pop_first() else { return Written::Nothing };
        out.extend_from_slice(&head[..head_len]);
        out.extend_from_slice(&packet.payload);
        let keep = self.sent(now, head_len, number, packet).then_some(number);
        Written::Plain { keep, transport_number }
    }

    /// Counts a packet and keeps it if it may have to be sent again. Says whether its protected form is to be
    /// kept instead.
    fn sent(&mut self, now: Instant, head_len: usize, number: SequenceNumber, packet: OutgoingRtp) -> bool {
        let Some(codec) = self.codec(packet.payload_type) else { return false };
        let clock_rate = codec.codec.clock_rate;
        let payload_type = packet.payload_type;
        let is_repaired = codec.codec.feedback.contains(&FeedbackKind::Nack);
        let has_rtx = codec.rtx_payload_type().is_some();
        let (ssrc, payload_len) = (self.ssrc, packet.payload.len());
        self.repair.sent(head_len + payload_len);
        self.last_payload_type = Some(payload_type);
        self.statistics.get_or_insert_with(|| SenderStatistics::new(ssrc, clock_rate)).sent(
            now,
            packet.timestamp,
            payload_len,
            head_len,
        );
        if is_repaired && has_rtx {
            self.cache.insert(now, number, head_len + payload_len, Kept::Packet(packet));
        }
        is_repaired && !has_rtx
    }
}
