//! Streams that this side sends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::clock::Clock;
use crate::crypto::SecureRandom;
use crate::layer::{Mid, NtpTimestamp, PayloadType, RtpTimestamp, SequenceNumber, SrtpError, Ssrc};
use crate::media::{
    PacketCache, PacketCacheConfig, RepairBudget, Retransmission, RtxSender, SenderStatistics,
};
use crate::rtp::{
    AbsSendTime, AudioLevel, ExtensionForm, ExtensionKind, ExtensionMap, Header, Packet, PacketWriter,
    TransportSequenceNumber, VideoOrientation, WriteError,
};
use crate::sdp::FeedbackKind;
use crate::session::codec::NegotiatedCodec;
use crate::session::error::SessionError;
use crate::session::transceiver::{Transceiver, TransceiverId};

/// An RTP packet to send.
///
/// The session adds what belongs to the connection: SSRC, MID, times and numbers in header extensions. The
/// payload is shared with whoever else has it, and kept for a while to answer NACKs.
///
/// ```
/// use bytes::Bytes;
/// use kaon_rtc::layer::{PayloadType, RtpTimestamp, SequenceNumber};
/// use kaon_rtc::session::OutgoingRtp;
///
/// let payload = Bytes::from_static(b"a frame of Opus");
/// let mut packet = OutgoingRtp::new(PayloadType::from_low_bits(111), RtpTimestamp(960), false, payload);
/// // Of a stream that is forwarded, so that its gaps stay gaps.
/// packet.sequence_number = Some(SequenceNumber(4711));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OutgoingRtp {
    /// The payload type, one of the transceiver's
    /// [`send_codecs`](crate::session::Transceiver::send_codecs).
    pub payload_type: PayloadType,
    /// The marker bit: the end of a video frame, the start of a talk spurt.
    pub marker: bool,
    /// The timestamp in units of the codec's clock rate.
    pub timestamp: RtpTimestamp,
    /// The sequence number; the next one when `None`. A unit that forwards a stream gives it, so that gaps stay
    /// gaps.
    pub sequence_number: Option<SequenceNumber>,
    /// How loud it is.
    pub audio_level: Option<AudioLevel>,
    /// How the picture is turned.
    pub video_orientation: Option<VideoOrientation>,
    /// The payload.
    pub payload: Bytes,
}

impl OutgoingRtp {
    /// A packet with the next sequence number.
    pub fn new(payload_type: PayloadType, timestamp: RtpTimestamp, marker: bool, payload: Bytes) -> Self {
        Self {
            payload_type,
            marker,
            timestamp,
            sequence_number: None,
            audio_level: None,
            video_orientation: None,
            payload,
        }
    }
}

/// All streams of this side.
#[derive(Debug)]
pub(in crate::session) struct Outgoing {
    streams: FxHashMap<TransceiverId, OutgoingStream>,
    by_ssrc: FxHashMap<Ssrc, TransceiverId>,
    queue: VecDeque<Queued>,
    max_queued: usize,
    max_cached: usize,
    transport_number: SequenceNumber,
    /// A packet before it is wrapped for retransmission.
    scratch: Vec<u8>,
}

/// One stream.
#[derive(Debug)]
pub(in crate::session) struct OutgoingStream {
    ssrc: Ssrc,
    /// The negotiated direction includes sending.
    is_active: bool,
    rtx: RtxSender,
    mid: Option<Mid>,
    next: SequenceNumber,
    codecs: Vec<NegotiatedCodec>,
    extensions: ExtensionMap,
    /// The form of header extensions in every packet; `None` where it may change from packet to packet.
    extension_form: Option<ExtensionForm>,
    transport_feedback: bool,
    cache: PacketCache<Kept>,
    repair: RepairBudget,
    /// What SRTP refused the last packet for, until the application has learnt of it.
    refusal: Option<SrtpError>,
    pub(in crate::session) statistics: Option<SenderStatistics>,
    pub(in crate::session) counters: OutgoingCounters,
    pub(in crate::session) last_payload_type: Option<PayloadType>,
    /// The number of the last FIR, and when it came.
    pub(super) last_fir: Option<(u8, Instant)>,
}

/// What is counted of a stream besides packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) struct OutgoingCounters {
    pub(in crate::session) retransmitted_packets: u64,
    pub(in crate::session) retransmitted_bytes: u64,
    pub(in crate::session) nacks: u64,
    pub(in crate::session) plis: u64,
    pub(in crate::session) firs: u64,
}

/// What is kept to answer a NACK.
#[derive(Clone, Debug)]
enum Kept {
    /// To be sent again in a stream of its own.
    Packet(OutgoingRtp),
    /// Without such a stream, to be sent again as it was: SRTP must not protect two packets with one index.
    Protected(Bytes),
}

impl Kept {
    /// The bytes that sending it again takes, or nearly.
    fn len(&self) -> usize {
        match self {
            Self::Packet(packet) => packet.payload.len() + MAX_HEADER / 4,
            Self::Protected(bytes) => bytes.len(),
        }
    }
}

#[derive(Debug)]
struct Queued {
    stream: TransceiverId,
    number: SequenceNumber,
    what: QueuedPacket,
}

#[derive(Debug)]
enum QueuedPacket {
    First(OutgoingRtp),
    Again(Kept),
}

/// What [`Outgoing::write_next`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// There is nothing to send.
    Nothing,
    /// The next packet is longer than the limit.
    TooLong,
    /// A packet of a stream, to be protected, and to be [kept](Outgoing::keep) then under the number.
    Plain {
        stream: TransceiverId,
        keep: Option<SequenceNumber>,
        /// The transport-wide number that it has.
        transport_number: Option<SequenceNumber>,
    },
    /// A packet that is protected already.
    Protected,
}

/// Enough for the fixed header and every extension at its longest.
const MAX_HEADER: usize = 256;

/// The original sequence number in a retransmission.
const OSN_LEN: usize = 2;

impl Outgoing {
    pub(super) fn new(max_queued: usize, max_cached: usize) -> Self {
        Self {
            streams: FxHashMap::default(),
            by_ssrc: FxHashMap::default(),
            queue: VecDeque::new(),
            max_queued,
            max_cached,
            transport_number: SequenceNumber(0),
            scratch: Vec::new(),
        }
    }

    /// Brings the streams to what was negotiated, and tells which sources have ended.
    /// `mixed`: header extensions of both forms may stand in one stream.
    pub(super) fn follow(
        &mut self,
        transceivers: &[Transceiver],
        mixed: bool,
        random: &dyn SecureRandom,
    ) -> Vec<Ssrc> {
        for transceiver in transceivers.iter().filter(|transceiver| transceiver.may_send()) {
            let config = PacketCacheConfig { max_packets: self.max_cached, ..PacketCacheConfig::default() };
            let stream = self.streams.entry(transceiver.id()).or_insert_with(|| {
                let mut numbers = [0; 4];
                random.fill(&mut numbers);
                let [a, b, c, d] = numbers;
                // RFC 3550 §5.1: random, and in the lower half, so that the rollover counter of SRTP is not
                // guessed wrong by a receiver that joins at the wrap (RFC 3711 §3.3.1).
                let first = |high: u8, low: u8| SequenceNumber(u16::from_be_bytes([high & 0x7f, low]));
                OutgoingStream {
                    ssrc: transceiver.sender.ssrc,
                    is_active: true,
                    rtx: RtxSender::new(transceiver.sender.rtx_ssrc, first(c, d)),
                    mid: None,
                    next: first(a, b),
                    codecs: Vec::new(),
                    extensions: ExtensionMap::new(),
                    extension_form: None,
                    transport_feedback: false,
                    cache: PacketCache::new(config),
                    repair: RepairBudget::default(),
                    refusal: None,
                    statistics: None,
                    counters: OutgoingCounters::default(),
                    last_payload_type: None,
                    last_fir: None,
                }
            });
            stream.is_active = true;
            stream.mid = transceiver.mid();
            stream.codecs = transceiver.send_codecs().to_vec();
            stream.extensions = transceiver.negotiated.extensions.clone();
            stream.extension_form = if mixed { None } else { Some(stream.one_extension_form()) };
            stream.transport_feedback =
                stream.codecs.iter().any(|codec| codec.codec.feedback.contains(&FeedbackKind::TransportCc));
        }
        let mut ended = Vec::new();
        // One that pauses goes on where it was: under its SSRC, SRTP does not protect a packet number twice.
        self.streams.retain(|id, stream| {
            let transceiver = transceivers.iter().find(|transceiver| transceiver.id() == *id);
            stream.is_active = transceiver.is_some_and(Transceiver::may_send);
            if !stream.is_active {
                stream.cache.clear();
            }
            let goes_on = transceiver.is_some_and(|transceiver| !transceiver.is_ending());
            if !goes_on {
                ended.extend(stream.sources());
            }
            goes_on
        });
        self.by_ssrc = self.streams.iter().map(|(id, stream)| (stream.ssrc, *id)).collect();
        ended
    }

    /// The sources of all streams that have sent.
    pub(super) fn sources(&self) -> Vec<Ssrc> {
        self.streams.values().flat_map(OutgoingStream::sources).collect()
    }

    /// Queues a packet, which takes at most `limit` bytes before it is protected, also as a retransmission.
    pub(super) fn send(
        &mut self,
        id: TransceiverId,
        mut packet: OutgoingRtp,
        limit: usize,
    ) -> Result<(), SessionError> {
        let stream = self.streams.get_mut(&id).filter(|stream| stream.is_active);
        let stream = stream.ok_or(SessionError::NotSending(id))?;
        if let Some(refusal) = stream.refusal.take() {
            return Err(refusal.into());
        }
        if !stream.codecs.iter().any(|codec| codec.payload_type == packet.payload_type) {
            let payload_type = packet.payload_type.value();
            return Err(SessionError::PayloadType { payload_type, transceiver: id });
        }
        // Most are far from the limit, and need no exact look.
        if packet.payload.len() + MAX_HEADER > limit {
            let size = stream.overhead_of(&packet) + packet.payload.len();
            if size > limit {
                return Err(SessionError::PacketTooLong { size, limit });
            }
        }
        if self.queue.len() >= self.max_queued {
            return Err(SessionError::Limit { what: "queued packets", limit: self.max_queued });
        }
        let number = packet.sequence_number.take().unwrap_or(stream.next);
        stream.next = number.wrapping_add(1);
        self.queue.push_back(Queued { stream: id, number, what: QueuedPacket::First(packet) });
        Ok(())
    }

    /// The longest payload that [`send`](Self::send) takes under a payload type, in a packet that says nothing more.
    pub(super) fn max_payload(
        &self,
        id: TransceiverId,
        payload_type: PayloadType,
        limit: usize,
    ) -> Option<usize> {
        let stream = self.streams.get(&id).filter(|stream| stream.is_active)?;
        stream.codec(payload_type)?;
        let bare = OutgoingRtp::new(payload_type, RtpTimestamp(0), false, Bytes::new());
        Some(limit.saturating_sub(stream.overhead_of(&bare)))
    }

    /// Answers a NACK.
    pub(super) fn retransmit(
        &mut self,
        now: Instant,
        ssrc: Ssrc,
        numbers: impl Iterator<Item = SequenceNumber>,
        round_trip_time: Duration,
    ) {
        let Some(id) = self.by_ssrc.get(&ssrc).copied() else { return };
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.counters.nacks += 1;
        for number in numbers {
            if self.queue.len() >= self.max_queued {
                return;
            }
            if let Retransmission::Packet(kept) = stream.cache.retransmit(now, number, round_trip_time) {
                if !stream.repair.take(kept.len()) {
                    return;
                }
                let what = QueuedPacket::Again(kept.clone());
                self.queue.push_back(Queued { stream: id, number, what });
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn by_ssrc(&mut self, ssrc: Ssrc) -> Option<(TransceiverId, &mut OutgoingStream)> {
        let id = *self.by_ssrc.get(&ssrc)?;
        Some((id, self.streams.get_mut(&id)?))
    }

    pub(in crate::session) fn stream(&self, id: TransceiverId) -> Option<&OutgoingStream> {
        self.streams.get(&id)
    }

    /// Those that send now.
    pub(super) fn streams_mut(&mut self) -> impl Iterator<Item = &mut OutgoingStream> {
        self.streams.values_mut().filter(|stream| stream.is_active)
    }

    /// Appends the next packet to `out`, unless it is longer than `limit`; protection adds `overhead` bytes.
    pub(super) fn write_next(
        &mut self,
        now: Instant,
        clock: &Clock,
        limit: usize,
        overhead: usize,
        out: &mut Vec<u8>,
    ) -> Written {
        loop {
            let Some(queued) = self.queue.front() else { return Written::Nothing };
            let Some(stream) = self.streams.get_mut(&queued.stream).filter(|stream| stream.is_active) else {
                // Its transceiver was stopped or turned around meanwhile.
                self.queue.pop_front();
                continue;
            };
            let packet = match &queued.what {
                QueuedPacket::First(packet) | QueuedPacket::Again(Kept::Packet(packet)) => packet,
                QueuedPacket::Again(Kept::Protected(bytes)) => {
                    if bytes.len() > limit {
                        return Written::TooLong;
                    }
                    out.extend_from_slice(bytes);
                    stream.counters.retransmitted_packets += 1;
                    stream.counters.retransmitted_bytes += bytes.len() as u64;
                    self.queue.pop_front();
                    return Written::Protected;
                }
            };
            let transport_number = stream.transport_feedback.then_some(self.transport_number);
            let mut head = [0; MAX_HEADER];
            let sent = clock.ntp(now);
            let header = stream.write_header(sent, queued.number, packet, transport_number, &mut head);
            let Ok(head_len) = header else { return Written::TooLong };
            let is_again = matches!(queued.what, QueuedPacket::Again(_));
            let osn_len = if is_again { OSN_LEN } else { 0 };
            let len = head_len + osn_len + packet.payload.len();
            if len + overhead > limit {
                return Written::TooLong;
            }
            if transport_number.is_some() {
                self.transport_number = self.transport_number.wrapping_add(1);
            }
            let Some(Queued { stream: id, number, what }) = self.queue.pop_front() else {
                return Written::Nothing;
            };
            return match what {
                QueuedPacket::First(packet) => {
                    out.extend_from_slice(&head[..head_len]);
                    out.extend_from_slice(&packet.payload);
                    let keep = stream.sent(now, head_len, number, packet);
                    Written::Plain { stream: id, keep: keep.then_some(number), transport_number }
                }
                QueuedPacket::Again(kept) => {
                    if let Kept::Packet(packet) = kept {
                        self.scratch.clear();
                        self.scratch.extend_from_slice(&head[..head_len]);
                        self.scratch.extend_from_slice(&packet.payload);
                        let start = out.len();
                        out.resize(start + len, 0);
                        if !stream.wrap(&self.scratch, packet.payload_type, &mut out[start..]) {
                            out.truncate(start);
                            continue;
                        }
                        stream.counters.retransmitted_packets += 1;
                        stream.counters.retransmitted_bytes += packet.payload.len() as u64;
                    }
                    Written::Plain { stream: id, keep: None, transport_number }
                }
            };
        }
    }

    /// Keeps the protected form of a packet.
    pub(super) fn keep(&mut self, now: Instant, id: TransceiverId, number: SequenceNumber, bytes: &[u8]) {
        if let Some(stream) = self.streams.get_mut(&id) {
            let kept = Kept::Protected(Bytes::copy_from_slice(bytes));
            stream.cache.insert(now, number, bytes.len(), kept);
        }
    }

    /// SRTP has refused a packet of a stream: the application is told when it sends the next. That one was sent twice,
    /// as those who forward get some twice, says nothing about the next.
    pub(super) fn refused(&mut self, id: TransceiverId, error: SrtpError) {
        if matches!(error, SrtpError::Replayed { .. }) {
            return;
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.refusal = Some(error);
        }
    }

    /// Drops the packet in front, which no datagram can carry.
    pub(super) fn drop_next(&mut self) {
        self.queue.pop_front();
    }
}

impl OutgoingStream {
    /// What the peer knows it by: its SSRC, and that of its retransmissions.
    fn sources(&self) -> impl Iterator<Item = Ssrc> + use<> {
        let media = self.statistics.is_some().then_some(self.ssrc);
        let rtx = (self.counters.retransmitted_packets > 0).then(|| self.rtx.ssrc());
        media.into_iter().chain(rtx)
    }

    /// What a packet takes besides its payload, also when it is sent again.
    fn overhead_of(&self, packet: &OutgoingRtp) -> usize {
        let transport_number = self.transport_feedback.then_some(SequenceNumber(0));
        let mut head = [0; MAX_HEADER];
        let head = self.write_header(NtpTimestamp(0), SequenceNumber(0), packet, transport_number, &mut head);
        let has_rtx = self.codec(packet.payload_type).is_some_and(|codec| codec.rtx_payload_type.is_some());
        head.unwrap_or(MAX_HEADER) + if has_rtx { OSN_LEN } else { 0 }
    }

    fn write_header(
        &self,
        sent: NtpTimestamp,
        number: SequenceNumber,
        packet: &OutgoingRtp,
        transport_number: Option<SequenceNumber>,
        out: &mut [u8],
    ) -> Result<usize, WriteError> {
        let header = Header {
            marker: packet.marker,
            payload_type: packet.payload_type,
            sequence_number: number,
            timestamp: packet.timestamp,
            ssrc: self.ssrc,
        };
        let map = &self.extensions;
        let writer = PacketWriter::new(out, &header, &[])?;
        let mut writer = match self.extension_form {
            None => writer,
            Some(ExtensionForm::OneByte) => writer.one_byte_only(),
            Some(ExtensionForm::TwoByte) => writer.two_byte_only(),
        };
        writer.extension(map, &AbsSendTime::from_ntp(sent))?;
        if let Some(number) = transport_number {
            writer.extension(map, &TransportSequenceNumber(number))?;
        }
        if let Some(mid) = &self.mid {
            writer.extension(map, mid)?;
        }
        if let Some(level) = &packet.audio_level {
            writer.extension(map, level)?;
        }
        if let Some(orientation) = &packet.video_orientation {
            writer.extension(map, orientation)?;
        }
        Ok(writer.finish_header())
    }

    /// RFC 8285 §4.1.2: the form that every extension of the stream fits.
    fn one_extension_form(&self) -> ExtensionForm {
        let fits = self.extensions.iter().all(|(id, _)| id.fits_one_byte());
        let is_short = self.mid.is_none_or(|mid| mid.as_bytes().len() <= 16);
        let has_mid = self.extensions.id(ExtensionKind::Mid).is_some();
        if fits && (is_short || !has_mid) { ExtensionForm::OneByte } else { ExtensionForm::TwoByte }
    }

    fn codec(&self, payload_type: PayloadType) -> Option<&NegotiatedCodec> {
        self.codecs.iter().find(|codec| codec.payload_type == payload_type)
    }

    /// Writes the retransmission of a packet.
    fn wrap(&mut self, packet: &[u8], payload_type: PayloadType, out: &mut [u8]) -> bool {
        let rtx = self.codec(payload_type).and_then(|codec| codec.rtx_payload_type);
        let (Some(rtx), Ok(packet)) = (rtx, Packet::parse(packet)) else { return false };
        self.rtx.wrap(&packet, rtx, out).is_ok()
    }

    /// Counts a packet and keeps it if it may have to be sent again. Says whether its protected form is to be
    /// kept instead.
    fn sent(&mut self, now: Instant, head_len: usize, number: SequenceNumber, packet: OutgoingRtp) -> bool {
        let Some(codec) = self.codec(packet.payload_type) else { return false };
        let clock_rate = codec.codec.clock_rate;
        let payload_type = packet.payload_type;
        let is_repaired = codec.codec.feedback.contains(&FeedbackKind::Nack);
        let has_rtx = codec.rtx_payload_type.is_some();
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
