//! What is sent again, RFC 4588 and RFC 4585 §6.2.1.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::encoding::{Encoding, Written};
use super::packet::{MAX_HEADER, OSN_LEN};
use super::queue::Kept;
use super::sender::Sender;
use crate::layer::{NtpTimestamp, PayloadType, SequenceNumber, Ssrc};
use crate::media::{Pacer, PacketClass, Retransmission};
use crate::rtp::Packet;
use crate::session::codec::NegotiatedCodec;
use crate::session::transceiver::TransceiverId;

impl<P: Pacer> Sender<P> {
    /// Answers a NACK.
    pub(in crate::session::media) fn retransmit(
        &mut self,
        now: Instant,
        ssrc: Ssrc,
        numbers: impl Iterator<Item = SequenceNumber>,
        round_trip_time: Duration,
    ) {
        let Some(id) = self.by_ssrc.get(&ssrc).copied() else { return };
        let Some(encoding) = self.encodings.get_mut(&id) else { return };
        encoding.counters.nacks += 1;
        for number in numbers {
            if self.queued >= self.config.max_queued {
                return;
            }
            if let Retransmission::Packet(kept) = encoding.cache.retransmit(now, number, round_trip_time) {
                if !encoding.repair.take(kept.len()) {
                    return;
                }
                self.queued += 1;
                if encoding.queue.push_again(number, kept.clone()) {
                    self.turns.begin(PacketClass::Retransmission, id);
                }
            }
        }
    }

    /// Keeps the protected form of a packet.
    pub(super) fn keep(&mut self, now: Instant, id: TransceiverId, number: SequenceNumber, bytes: &[u8]) {
        if let Some(encoding) = self.encodings.get_mut(&id) {
            let kept = Kept::Protected(Bytes::copy_from_slice(bytes));
            encoding.cache.insert(now, number, bytes.len(), kept);
        }
    }
}

impl Encoding {
    /// Appends the retransmission in front to `out`, unless it is longer than `limit`; protection adds `overhead`
    /// bytes. `scratch` takes the packet as it was.
    pub(super) fn write_again(
        &mut self,
        sent: NtpTimestamp,
        transport_number: Option<SequenceNumber>,
        limit: usize,
        overhead: usize,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Written {
        let written = match self.queue.again() {
            None => return Written::Nothing,
            Some((_, Kept::Protected(bytes))) if bytes.len() > limit => return Written::TooLong,
            Some((_, Kept::Protected(bytes))) => {
                out.extend_from_slice(bytes);
                self.counters.retransmitted_bytes += bytes.len() as u64;
                Written::Protected
            }
            Some((number, Kept::Packet(packet))) => {
                let mut head = [0; MAX_HEADER];
                let head_len = self.write_header(sent, number, packet, transport_number, &mut head);
                let Ok(head_len) = head_len else { return Written::TooLong };
                let len = head_len + OSN_LEN + packet.payload.len();
                if len + overhead > limit {
                    return Written::TooLong;
                }
                scratch.clear();
                scratch.extend_from_slice(&head[..head_len]);
                scratch.extend_from_slice(&packet.payload);
                let (payload_type, payload_len) = (packet.payload_type, packet.payload.len());
                let start = out.len();
                out.resize(start + len, 0);
                if self.wrap(scratch, payload_type, &mut out[start..]) {
                    self.counters.retransmitted_bytes += payload_len as u64;
                    Written::Plain { keep: None, transport_number }
                } else {
                    out.truncate(start);
                    Written::Nothing
                }
            }
        };
        self.counters.retransmitted_packets += u64::from(written != Written::Nothing);
        self.queue.pop_again();
        written
    }

    /// Writes the retransmission of a packet.
    fn wrap(&mut self, packet: &[u8], payload_type: PayloadType, out: &mut [u8]) -> bool {
        let rtx = self.codec(payload_type).and_then(NegotiatedCodec::rtx_payload_type);
        let (Some(rtx), Ok(packet)) = (rtx, Packet::parse(packet)) else { return false };
        self.rtx.wrap(&packet, rtx, out).is_ok()
    }
}
