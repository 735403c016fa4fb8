//! What is sent again, RFC 4588 and RFC 4585 §6.2.1.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::encoding::Encoding;
use super::queue::{Kept, Queued, QueuedPacket};
use super::sender::Sender;
use crate::layer::{PayloadType, SequenceNumber, Ssrc};
use crate::media::Retransmission;
use crate::rtp::Packet;
use crate::session::transceiver::TransceiverId;

impl Sender {
    /// Answers a NACK.
    pub(in crate::session::media) fn retransmit(
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

    /// Keeps the protected form of a packet.
    pub(in crate::session::media) fn keep(
        &mut self,
        now: Instant,
        id: TransceiverId,
        number: SequenceNumber,
        bytes: &[u8],
    ) {
        if let Some(stream) = self.streams.get_mut(&id) {
            let kept = Kept::Protected(Bytes::copy_from_slice(bytes));
            stream.cache.insert(now, number, bytes.len(), kept);
        }
    }
}

impl Encoding {
    /// Writes the retransmission of a packet.
    pub(super) fn wrap(&mut self, packet: &[u8], payload_type: PayloadType, out: &mut [u8]) -> bool {
        let rtx = self.codec(payload_type).and_then(|codec| codec.rtx_payload_type);
        let (Some(rtx), Ok(packet)) = (rtx, Packet::parse(packet)) else { return false };
        self.rtx.wrap(&packet, rtx, out).is_ok()
    }
}
