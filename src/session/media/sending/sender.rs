//! All streams of this side, and whose turn it is.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::encoding::Encoding;
use super::packet::{MAX_HEADER, OSN_LEN, OutgoingRtp};
use super::queue::{Kept, Queued, QueuedPacket};
use crate::crypto::SecureRandom;
use crate::layer::{PayloadType, RtpTimestamp, SequenceNumber, SrtpError, Ssrc};
use crate::media::PacketCacheConfig;
use crate::session::error::SessionError;
use crate::session::media::clock::Clock;
use crate::session::transceiver::{Transceiver, TransceiverId};

/// All streams of this side.
#[derive(Debug)]
pub(in crate::session::media) struct Sender {
    pub(super) streams: FxHashMap<TransceiverId, Encoding>,
    pub(super) by_ssrc: FxHashMap<Ssrc, TransceiverId>,
    pub(super) queue: VecDeque<Queued>,
    pub(super) max_queued: usize,
    max_cached: usize,
    transport_number: SequenceNumber,
    /// A packet before it is wrapped for retransmission.
    scratch: Vec<u8>,
}

/// What [`Sender::write_next`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session::media) enum Written {
    /// There is nothing to send.
    Nothing,
    /// The next packet is longer than the limit.
    TooLong,
    /// A packet of a stream, to be protected, and to be [kept](Sender::keep) then under the number.
    Plain {
        stream: TransceiverId,
        keep: Option<SequenceNumber>,
        /// The transport-wide number that it has.
        transport_number: Option<SequenceNumber>,
    },
    /// A packet that is protected already.
    Protected,
}

impl Sender {
    pub(in crate::session::media) fn new(max_queued: usize, max_cached: usize) -> Self {
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
    pub(in crate::session::media) fn follow(
        &mut self,
        transceivers: &[Transceiver],
        mixed: bool,
        random: &dyn SecureRandom,
    ) -> Vec<Ssrc> {
        for transceiver in transceivers.iter().filter(|transceiver| transceiver.may_send()) {
            let config = PacketCacheConfig { max_packets: self.max_cached, ..PacketCacheConfig::default() };
            let stream = self
                .streams
                .entry(transceiver.id())
                .or_insert_with(|| Encoding::new(transceiver, config, random));
            stream.follow(transceiver, mixed);
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
    pub(in crate::session::media) fn sources(&self) -> Vec<Ssrc> {
        self.streams.values().flat_map(Encoding::sources).collect()
    }

    /// Queues a packet, which takes at most `limit` bytes before it is protected, also as a retransmission.
    pub(in crate::session::media) fn send(
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
    pub(in crate::session::media) fn max_payload(
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

    pub(in crate::session::media) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(in crate::session::media) fn by_ssrc(
        &mut self,
        ssrc: Ssrc,
    ) -> Option<(TransceiverId, &mut Encoding)> {
        let id = *self.by_ssrc.get(&ssrc)?;
        Some((id, self.streams.get_mut(&id)?))
    }

    pub(in crate::session) fn stream(&self, id: TransceiverId) -> Option<&Encoding> {
        self.streams.get(&id)
    }

    /// Those that send now.
    pub(in crate::session::media) fn streams_mut(&mut self) -> impl Iterator<Item = &mut Encoding> {
        self.streams.values_mut().filter(|stream| stream.is_active)
    }

    /// Appends the next packet to `out`, unless it is longer than `limit`; protection adds `overhead` bytes.
    pub(in crate::session::media) fn write_next(
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

    /// SRTP has refused a packet of a stream: the application is told when it sends the next. That one was sent twice,
    /// as those who forward get some twice, says nothing about the next.
    pub(in crate::session::media) fn refused(&mut self, id: TransceiverId, error: SrtpError) {
        if matches!(error, SrtpError::Replayed { .. }) {
            return;
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.refusal = Some(error);
        }
    }

    /// Drops the packet in front, which no datagram can carry.
    pub(in crate::session::media) fn drop_next(&mut self) {
        self.queue.pop_front();
    }
}
