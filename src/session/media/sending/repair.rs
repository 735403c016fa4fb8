//! What is sent again, RFC 4588 and RFC 4585 §6.2.1.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::departures::Departure;
use super::encoding::{Encoding, Written};
use super::format::Repair;
use super::packet::OSN_LEN;
use super::queue::Kept;
use super::sender::Sender;
use super::template::Sent;
use crate::layer::{PayloadType, SequenceNumber, Ssrc};
use crate::media::{Pacer, PacketClass, Retransmission};
use crate::rtp::Packet;

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
}

impl Encoding {
    /// Keeps the protected form of a packet.
    pub(super) fn keep(&mut self, now: Instant, number: SequenceNumber, bytes: &[u8]) {
        let kept = Kept::Protected(Bytes::copy_from_slice(bytes));
        self.cache.insert(now, number, bytes.len(), kept);
    }

    /// Appends the retransmission in front to `out`, unless it is longer than `limit`; protection adds `overhead`
    /// bytes. `scratch` takes the packet as it was.
    pub(super) fn write_again(
        &mut self,
        departure: Departure,
        limit: usize,
        overhead: usize,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Written {
        let written = match self.queue.again() {
            None => return Written::Nothing,
            Some((_, Kept::Protected(bytes))) if bytes.len() > limit => return Written::TooLong,
            Some((_, Kept::Protected(bytes))) if !self.takes(bytes) => Written::Outdated,
            Some((_, Kept::Protected(bytes))) => {
                out.extend_from_slice(bytes);
                self.counters.retransmitted_bytes += bytes.len() as u64;
                Written::Protected
            }
            Some((number, Kept::Packet(packet))) => {
                scratch.clear();
                let head_len = self.write_header(departure, number, packet, Sent::Again, scratch);
                let Ok(head_len) = head_len else { return Written::TooLong };
                let len = head_len + OSN_LEN + packet.payload.len();
                if len + overhead > limit {
                    return Written::TooLong;
                }
                scratch.extend_from_slice(&packet.payload);
                let (payload_type, payload_len) = (packet.payload_type, packet.payload.len());
                let start = out.len();
                out.resize(start + len, 0);
                if self.wrap(scratch, payload_type, &mut out[start..]) {
                    self.counters.retransmitted_bytes += payload_len as u64;
                    Written::Plain { keep: None, transport_number: departure.transport_number }
                } else {
                    out.truncate(start);
                    Written::Outdated
                }
            }
        };
        self.counters.retransmitted_packets += u64::from(written != Written::Outdated);
        self.queue.pop_again();
        written
    }

    /// Whether the peer takes the payload type of a packet.
    fn takes(&self, packet: &[u8]) -> bool {
        let second = packet.get(1).copied().unwrap_or_default();
        self.format(PayloadType::from_low_bits(second)).is_some()
    }

    /// Writes the retransmission of a packet.
    fn wrap(&mut self, packet: &[u8], payload_type: PayloadType, out: &mut [u8]) -> bool {
        let Some(Repair::Rtx(rtx)) = self.format(payload_type).map(|format| format.repair) else {
            return false;
        };
        Packet::parse(packet).is_ok_and(|packet| self.rtx.wrap(&packet, rtx, out).is_ok())
    }
}
