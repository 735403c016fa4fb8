//! All streams of this side, and whose turn it is.

use std::time::Instant;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::departures::Departures;
use super::encoding::{Encoding, Written};
use super::encoding_id::EncodingId;
use super::packet::{MAX_HEADER, OutgoingRtp};
use super::queue::Turns;
use crate::crypto::SecureRandom;
use crate::layer::{
    Ecn, FiveTuple, NtpTimestamp, PayloadType, Rid, RtpTimestamp, Segments, SrtpError, SrtpTransport, Ssrc,
    Transmit, TransmitBatch,
};
use crate::media::{Pacer, PacketCacheConfig, PacketClass, SendHistory, Unpaced};
use crate::session::config::SessionConfig;
use crate::session::error::SessionError;
use crate::session::media::clock::Clock;
use crate::session::transceiver::{Transceiver, TransceiverId};

/// All streams of this side.
#[derive(Debug)]
pub(in crate::session::media) struct Sender<P = Unpaced> {
    /// On the heap, so that the table is small where there are few.
    pub(super) encodings: FxHashMap<EncodingId, Box<Encoding>>,
    pub(super) by_ssrc: FxHashMap<Ssrc, EncodingId>,
    pub(super) turns: Turns,
    /// Packets in the queues of all encodings.
    pub(super) queued: usize,
    pub(super) config: SenderConfig,
    departures: Departures<P>,
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
            departures: Departures::new(pacer, config.max_recorded.map(SendHistory::new), config.ecn),
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
            let places = EncodingId::all_of(transceiver.id());
            for (id, identity) in places.zip(transceiver.sender.encodings()) {
                let make = || Box::new(Encoding::new(transceiver.kind(), identity, config, random));
                self.encodings.entry(id).or_insert_with(make).follow(transceiver, mixed);
            }
        }
        let mut ended = Vec::new();
        // One that pauses goes on where it was: under its SSRC, SRTP does not protect a packet number twice.
        self.encodings.retain(|id, encoding| {
            let place = transceivers.binary_search_by_key(&id.transceiver, Transceiver::id);
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

    /// The encoding of a transceiver that has a RID, or the only one that there is.
    fn find(&self, transceiver: TransceiverId, rid: Option<&Rid>) -> Option<EncodingId> {
        let mut places = EncodingId::all_of(transceiver);
        match rid {
            None => places.next(),
            Some(rid) => places
                .map_while(|id| Some((id, self.encodings.get(&id)?)))
                .find(|(_, encoding)| encoding.rid.as_ref() == Some(rid))
                .map(|(id, _)| id),
        }
    }

    /// Queues a packet of an encoding, or of the only one that there is. It takes at most `limit` bytes before it is
    /// protected, also as a retransmission.
    pub(in crate::session::media) fn send(
        &mut self,
        now: Instant,
        transceiver: TransceiverId,
        rid: Option<&Rid>,
        mut packet: OutgoingRtp,
        limit: usize,
    ) -> Result<(), SessionError> {
        let Some(id) = self.find(transceiver, rid) else {
            return Err(SessionError::NotSending(transceiver));
        };
        let is_meant =
            |encoding: &&mut Box<Encoding>| encoding.is_active && (encoding.is_only || rid.is_some());
        let Some(encoding) = self.encodings.get_mut(&id).filter(is_meant) else {
            return Err(SessionError::NotSending(transceiver));
        };
        if let Some(refusal) = encoding.refusal.take() {
            return Err(refusal.into());
        }
        if encoding.format(packet.payload_type).is_none() {
            let payload_type = packet.payload_type.value();
            return Err(SessionError::PayloadType { payload_type, transceiver });
        }
        // Most are far from the limit, and need no exact look.
        if packet.payload.len() + MAX_HEADER + packet.raw_extensions.encoded_len() > limit {
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
        let bare = OutgoingRtp::new(payload_type, RtpTimestamp(0), false, Bytes::new());
        self.encodings_of(id)
            .filter(|encoding| encoding.is_active && encoding.format(payload_type).is_some())
            .map(|encoding| limit.saturating_sub(encoding.overhead_of(&bare)))
            .min()
    }

    /// Whether nothing waits to be sent.
    pub(in crate::session::media) fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// Packets that could not be sent: too long for the batch, refused by SRTP, or of a payload type that an exchange has
    /// taken away meanwhile.
    pub(in crate::session::media) fn dropped_packets(&self) -> u64 {
        self.dropped_packets
    }

    pub(in crate::session::media) fn history(&mut self) -> Option<&mut SendHistory> {
        self.departures.history.as_mut()
    }

    pub(in crate::session::media) fn by_ssrc(&mut self, ssrc: Ssrc) -> Option<(EncodingId, &mut Encoding)> {
        let id = *self.by_ssrc.get(&ssrc)?;
        Some((id, self.encodings.get_mut(&id)?))
    }

    /// Those of a transceiver.
    pub(in crate::session::media) fn encodings_of(
        &self,
        id: TransceiverId,
    ) -> impl Iterator<Item = &Encoding> {
        EncodingId::all_of(id).map_while(|id| self.encodings.get(&id)).map(|encoding| &**encoding)
    }

    /// Those that send now.
    pub(in crate::session::media) fn active(&mut self) -> impl Iterator<Item = &mut Encoding> {
        self.encodings.values_mut().map(|encoding| &mut **encoding).filter(|encoding| encoding.is_active)
    }

    /// When the pacer lets something leave that waits.
    pub(in crate::session::media) fn poll_timeout(&self) -> Option<Instant> {
        self.turns.next().filter_map(|(class, _)| self.departures.due(class)).min()
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
        let ntp = clock.ntp(now);
        let mut segments = out.segments(Some(path), self.departures.ecn);
        while segments.has_room()
            && let Some(turn) = self.turn(now)
            && self.take_turn(now, ntp, turn, srtp, &mut segments)
        {}
        segments.finish()
    }

    /// Whose packets may leave now.
    fn turn(&self, now: Instant) -> Option<(PacketClass, EncodingId)> {
        self.turns.next().find(|(class, _)| self.departures.may_leave(now, *class))
    }

    /// Writes what an encoding may send in a row. `false`: its next packet does not fit this run of segments.
    fn take_turn(
        &mut self,
        now: Instant,
        ntp: NtpTimestamp,
        (class, id): (PacketClass, EncodingId),
        srtp: &mut dyn SrtpTransport,
        segments: &mut Segments<'_>,
    ) -> bool {
        let Self { encodings, turns, queued, departures, dropped_packets, scratch, .. } = self;
        let Some(encoding) = encodings.get_mut(&id) else {
            turns.forget(id);
            return true;
        };
        let overhead = srtp.rtp_overhead();
        loop {
            let departure = departures.next(ntp, encoding.transport_feedback);
            let (limit, start) = (segments.max_datagram(), segments.datagram_start());
            let written =
                encoding.write(now, class, departure, (limit, overhead), scratch, segments.datagram());
            match written {
                Written::Nothing => {}
                Written::Outdated => *dropped_packets += 1,
                // The run of equal segments ends here, unless no datagram is long enough.
                Written::TooLong if !segments.is_empty() => return false,
                Written::TooLong => {
                    *dropped_packets += 1;
                    encoding.queue.pop(class);
                }
                Written::Protected => {
                    departures.left(now, class, segments.datagram().len() - start, None);
                    segments.end_datagram();
                }
                Written::Plain { keep, transport_number } => {
                    departures.take_number(transport_number);
                    match protect(srtp, start, overhead, segments.datagram()) {
                        Ok(size) => {
                            if let Some(number) = keep {
                                encoding.keep(now, number, &segments.datagram()[start..]);
                            }
                            departures.left(now, class, size, transport_number);
                            segments.end_datagram();
                        }
                        Err(error) => {
                            *dropped_packets += 1;
                            encoding.refused(error);
                            segments.abandon_datagram();
                        }
                    }
                }
            }
            *queued -= 1;
            let goes_on = turns.taken(class, &encoding.queue);
            if !goes_on || !segments.has_room() || !departures.may_leave(now, class) {
                return true;
            }
        }
    }
}

/// Protects what stands in the buffer from `start` on, and tells how long it is then.
fn protect(
    srtp: &mut dyn SrtpTransport,
    start: usize,
    overhead: usize,
    buffer: &mut Vec<u8>,
) -> Result<usize, SrtpError> {
    let len = buffer.len() - start;
    buffer.resize(start + len + overhead, 0);
    let protected = srtp.protect_rtp(&mut buffer[start..], len)?;
    buffer.truncate(start + protected);
    Ok(protected)
}
