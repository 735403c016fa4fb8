//! All streams of this side, and whose turn it is.

use std::time::Instant;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::encoding::{Encoding, Written};
use super::packet::{MAX_HEADER, OutgoingRtp};
use super::queue::Turns;
use crate::crypto::SecureRandom;
use crate::layer::{
    Ecn, FiveTuple, PayloadType, RtpTimestamp, SequenceNumber, SrtpError, SrtpTransport, Ssrc, Transmit,
    TransmitBatch,
};
use crate::media::{Pacer, PacketCacheConfig, PacketClass, SendHistory, SentPacket, Unpaced};
use crate::session::config::SessionConfig;
use crate::session::error::SessionError;
use crate::session::media::clock::Clock;
use crate::session::transceiver::{Transceiver, TransceiverId};

/// All streams of this side.
#[derive(Debug)]
pub(in crate::session::media) struct Sender<P = Unpaced> {
    /// On the heap, so that the table is small where there are few.
    pub(super) encodings: FxHashMap<TransceiverId, Box<Encoding>>,
    pub(super) by_ssrc: FxHashMap<Ssrc, TransceiverId>,
    pub(super) turns: Turns,
    /// Packets in the queues of all encodings.
    pub(super) queued: usize,
    pub(super) config: SenderConfig,
    pacer: P,
    transport_number: SequenceNumber,
    /// What has left, where feedback on it is read.
    history: Option<SendHistory>,
    dropped_packets: u64,
    /// A packet before it is wrapped for retransmission.
    scratch: Vec<u8>,
}

/// What of the session's configuration is for those who send.
#[derive(Clone, Copy, Debug)]
pub(in crate::session::media) struct SenderConfig {
    pub(in crate::session::media) max_queued: usize,
    pub(in crate::session::media) max_cached: usize,
    /// The most packets that are recorded; `None` where feedback is not read.
    pub(in crate::session::media) max_recorded: Option<usize>,
    /// The mark of all packets.
    pub(in crate::session::media) ecn: Option<Ecn>,
}

impl From<&SessionConfig> for SenderConfig {
    fn from(config: &SessionConfig) -> Self {
        let reads_feedback = config.rtcp.max_unread_feedback > 0;
        Self {
            max_queued: config.max_queued_packets,
            max_cached: config.max_cached_packets,
            max_recorded: reads_feedback.then_some(config.rtcp.max_sent_packets),
            ecn: config.media_ecn,
        }
    }
}

impl<P: Pacer> Sender<P> {
    pub(in crate::session::media) fn new(config: SenderConfig, pacer: P) -> Self {
        Self {
            encodings: FxHashMap::default(),
            by_ssrc: FxHashMap::default(),
            turns: Turns::default(),
            queued: 0,
            config,
            pacer,
            transport_number: SequenceNumber(0),
            history: config.max_recorded.map(SendHistory::new),
            dropped_packets: 0,
            scratch: Vec::new(),
        }
    }

    /// Brings the streams to what was negotiated, and tells which sources have ended.
    /// `mixed`: header extensions of both forms may stand in one stream.
    pub(in crate::session::media) fn follow(
        &mut self,
        transceivers: &[Transceiver],
        mixed: bool,
        random: &dyn SecureRandom,
    ) -> Vec<Ssrc> {
        for transceiver in transceivers.iter().filter(|transceiver| transceiver.may_send()) {
            let config =
                PacketCacheConfig { max_packets: self.config.max_cached, ..PacketCacheConfig::default() };
            let encoding = self
                .encodings
                .entry(transceiver.id())
                .or_insert_with(|| Box::new(Encoding::new(transceiver, config, random)));
            encoding.follow(transceiver, mixed);
        }
        let mut ended = Vec::new();
        // One that pauses goes on where it was: under its SSRC, SRTP does not protect a packet number twice.
        self.encodings.retain(|id, encoding| {
            let place = transceivers.binary_search_by_key(id, Transceiver::id);
            let transceiver = place.ok().map(|place| &transceivers[place]);
            encoding.is_active = transceiver.is_some_and(Transceiver::may_send);
            if !encoding.is_active {
                encoding.cache.clear();
                self.queued -= std::mem::take(&mut encoding.queue).len();
                self.turns.forget(*id);
            }
            let goes_on = transceiver.is_some_and(|transceiver| !transceiver.is_ending());
            if !goes_on {
                ended.extend(encoding.sources());
            }
            goes_on
        });
        self.by_ssrc = self.encodings.iter().map(|(id, encoding)| (encoding.ssrc, *id)).collect();
        ended
    }

    /// The sources of all streams that have sent.
    pub(in crate::session::media) fn sources(&self) -> Vec<Ssrc> {
        self.encodings.values().flat_map(|encoding| encoding.sources()).collect()
    }

    /// Queues a packet, which takes at most `limit` bytes before it is protected, also as a retransmission.
    pub(in crate::session::media) fn send(
        &mut self,
        now: Instant,
        id: TransceiverId,
        mut packet: OutgoingRtp,
        limit: usize,
    ) -> Result<(), SessionError> {
        let Some(encoding) = self.encodings.get_mut(&id).filter(|encoding| encoding.is_active) else {
            return Err(SessionError::NotSending(id));
        };
        if let Some(refusal) = encoding.refusal.take() {
            return Err(refusal.into());
        }
        if !encoding.codecs.iter().any(|codec| codec.payload_type == packet.payload_type) {
            let payload_type = packet.payload_type.value();
            return Err(SessionError::PayloadType { payload_type, transceiver: id });
        }
        // Most are far from the limit, and need no exact look.
        if packet.payload.len() + MAX_HEADER > limit {
            let size = encoding.overhead_of(&packet) + packet.payload.len();
            if size > limit {
                return Err(SessionError::PacketTooLong { size, limit });
            }
        }
        if self.queued >= self.config.max_queued {
            return Err(SessionError::Limit { what: "queued packets", limit: self.config.max_queued });
        }
        let number = encoding.number(now, packet.sequence_number.take(), packet.timestamp);
        self.queued += 1;
        if encoding.queue.push_first(number, packet) {
            self.turns.begin(encoding.class, id);
        }
        Ok(())
    }

    /// The longest payload that [`send`](Self::send) takes under a payload type, in a packet that says nothing more.
    pub(in crate::session::media) fn max_payload(
        &self,
        id: TransceiverId,
        payload_type: PayloadType,
        limit: usize,
    ) -> Option<usize> {
        let encoding = self.encodings.get(&id).filter(|encoding| encoding.is_active)?;
        encoding.codec(payload_type)?;
        let bare = OutgoingRtp::new(payload_type, RtpTimestamp(0), false, Bytes::new());
        Some(limit.saturating_sub(encoding.overhead_of(&bare)))
    }

    /// Whether nothing waits to be sent.
    pub(in crate::session::media) fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// Packets that could not be sent: too long for the batch, or refused by SRTP.
    pub(in crate::session::media) fn dropped_packets(&self) -> u64 {
        self.dropped_packets
    }

    pub(in crate::session::media) fn history(&mut self) -> Option<&mut SendHistory> {
        self.history.as_mut()
    }

    pub(in crate::session::media) fn by_ssrc(
        &mut self,
        ssrc: Ssrc,
    ) -> Option<(TransceiverId, &mut Encoding)> {
        let id = *self.by_ssrc.get(&ssrc)?;
        Some((id, self.encodings.get_mut(&id)?))
    }

    pub(in crate::session::media) fn encoding(&self, id: TransceiverId) -> Option<&Encoding> {
        self.encodings.get(&id).map(|encoding| &**encoding)
    }

    /// Those that send now.
    pub(in crate::session::media) fn active(&mut self) -> impl Iterator<Item = &mut Encoding> {
        self.encodings.values_mut().map(|encoding| &mut **encoding).filter(|encoding| encoding.is_active)
    }

    /// When the pacer lets something leave that waits.
    pub(in crate::session::media) fn poll_timeout(&self) -> Option<Instant> {
        self.turns.next().filter_map(|(class, _)| self.pacer.due(class)).min()
    }

    /// A run of packets.
    pub(in crate::session::media) fn poll_transmit(
        &mut self,
        now: Instant,
        clock: &Clock,
        srtp: &mut dyn SrtpTransport,
        path: FiveTuple,
        out: &mut TransmitBatch,
    ) -> Option<Transmit> {
        if self.is_empty() {
            return None;
        }
        let overhead = srtp.rtp_overhead();
        let mut segments = out.segments(Some(path), self.config.ecn);
        while segments.has_room()
            && let Some((class, id)) = self.turn(now)
        {
            let limit = segments.max_datagram();
            let start = segments.datagram_start();
            match self.write(now, clock, (class, id), limit, overhead, segments.datagram()) {
                Written::Nothing => {}
                // The run of equal segments ends here, unless no datagram is long enough.
                Written::TooLong if !segments.is_empty() => break,
                Written::TooLong => {
                    self.dropped_packets += 1;
                    self.drop_next(class, id);
                }
                Written::Protected => {
                    self.pacer.sent(now, class, segments.datagram().len() - start);
                    segments.end_datagram();
                }
                Written::Plain { keep, transport_number } => {
                    let protected = protect(srtp, start, overhead, segments.datagram());
                    match protected {
                        Ok(()) => {
                            let bytes = &segments.datagram()[start..];
                            if let Some(number) = keep {
                                self.keep(now, id, number, bytes);
                            }
                            self.record(now, class, bytes.len(), transport_number);
                            segments.end_datagram();
                        }
                        Err(error) => {
                            self.dropped_packets += 1;
                            self.refused(id, error);
                            segments.abandon_datagram();
                        }
                    }
                }
            }
        }
        segments.finish()
    }

    /// Whose packet may leave now.
    fn turn(&self, now: Instant) -> Option<(PacketClass, TransceiverId)> {
        self.turns.next().find(|(class, _)| self.pacer.due(*class).is_none_or(|due| due <= now))
    }

    /// Appends the packet of an encoding whose turn it is to `out`, unless it is longer than `limit`; protection adds
    /// `overhead` bytes.
    fn write(
        &mut self,
        now: Instant,
        clock: &Clock,
        (class, id): (PacketClass, TransceiverId),
        limit: usize,
        overhead: usize,
        out: &mut Vec<u8>,
    ) -> Written {
        let Some(encoding) = self.encodings.get_mut(&id) else { return Written::Nothing };
        let transport_number = encoding.transport_feedback.then_some(self.transport_number);
        let sent = clock.ntp(now);
        let written = match class {
            PacketClass::Retransmission => {
                encoding.write_again(sent, transport_number, limit, overhead, &mut self.scratch, out)
            }
            _ => encoding.write_first(now, sent, transport_number, limit.saturating_sub(overhead), out),
        };
        if written == Written::TooLong {
            return written;
        }
        if matches!(written, Written::Plain { transport_number: Some(_), .. }) {
            self.transport_number = self.transport_number.wrapping_add(1);
        }
        self.queued -= 1;
        self.turns.taken(class, &encoding.queue);
        written
    }

    /// A packet is on its way, in `size` bytes of UDP payload.
    fn record(&mut self, now: Instant, class: PacketClass, size: usize, number: Option<SequenceNumber>) {
        self.pacer.sent(now, class, size);
        if let (Some(history), Some(number)) = (&mut self.history, number) {
            history.record(number, SentPacket::new(now, size).with_ecn(self.config.ecn));
        }
    }

    /// Takes the packet from its queue, which no datagram can carry.
    fn drop_next(&mut self, class: PacketClass, id: TransceiverId) {
        if let Some(encoding) = self.encodings.get_mut(&id) {
            encoding.queue.pop(class);
            self.queued -= 1;
            self.turns.taken(class, &encoding.queue);
        }
    }

    /// SRTP has refused a packet of a stream: the application is told when it sends the next. That one was sent twice,
    /// as those who forward get some twice, says nothing about the next.
    fn refused(&mut self, id: TransceiverId, error: SrtpError) {
        if matches!(error, SrtpError::Replayed { .. }) {
            return;
        }
        if let Some(encoding) = self.encodings.get_mut(&id) {
            encoding.refusal = Some(error);
        }
    }
}

/// Protects what stands in the buffer from `start` on.
fn protect(
    srtp: &mut dyn SrtpTransport,
    start: usize,
    overhead: usize,
    buffer: &mut Vec<u8>,
) -> Result<(), SrtpError> {
    let len = buffer.len() - start;
    buffer.resize(start + len + overhead, 0);
    let protected = srtp.protect_rtp(&mut buffer[start..], len)?;
    buffer.truncate(start + protected);
    Ok(())
}
