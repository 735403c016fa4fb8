//! RTCP that the application sends.

use super::compound::Datagram;
use super::reports::{MAX_OUTBOX, Reports};
use crate::rtcp::{CompoundError, CompoundRules, Packet, check_compound, packets};
use crate::session::error::SessionError;

impl Reports {
    /// Queues a datagram of the application, behind an empty report where the peer takes none without (RFC 5506 §3.4.2).
    pub(in crate::session::media) fn send_for_application(
        &mut self,
        datagram: &[u8],
        limit: usize,
    ) -> Result<(), SessionError> {
        let (Some(ssrc), Some(_)) = (self.local_ssrc, &self.schedule) else {
            return Err(SessionError::NoMedia);
        };
        let begins_with_report = check_outgoing(datagram)?;
        let mut bytes = Vec::new();
        if !begins_with_report && !self.reduced_size {
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
        self.outbox.push_back(bytes);
        Ok(())
    }
}

/// Checks what the application wants to send, and says whether it begins with a report.
fn check_outgoing(datagram: &[u8]) -> Result<bool, SessionError> {
    check_compound(datagram, CompoundRules::ReducedSize)?;
    let mut begins_with_report = None;
    for packet in packets(datagram) {
        let packet = packet.map_err(CompoundError::from)?;
        let is_report = matches!(packet, Packet::SenderReport(_) | Packet::ReceiverReport(_));
        begins_with_report.get_or_insert(is_report);
        // RFC 5761 §4: with any other the peer would take it for RTP.
        if let Packet::Unknown(unknown) = packet
            && !(192..=223).contains(&unknown.packet_type.0)
        {
            return Err(CompoundError::PacketType(unknown.packet_type).into());
        }
    }
    Ok(begins_with_report.unwrap_or_default())
}
