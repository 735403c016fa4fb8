//! RTCP that the application sends.

use super::compound::Datagram;
use super::reports::{MAX_OUTBOX, Outbound, Reports};
use crate::layer::{SrtpError, Ssrc};
use crate::rtcp::{CompoundError, CompoundRules, Packet, check_compound, packets};
use crate::session::error::SessionError;

impl Reports {
    /// Queues a datagram of the application, behind an empty report where the peer takes none without (RFC 5506 §3.4.2),
    /// or where SRTCP has no source to count it by (RFC 3711 §3.4).
    pub(in crate::session::media) fn send_for_application(
        &mut self,
        datagram: &[u8],
        limit: usize,
    ) -> Result<(), SessionError> {
        let (Some(ssrc), Some(_)) = (self.local_ssrc, &self.schedule) else {
            return Err(SessionError::NoMedia);
        };
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal.into());
        }
        let First { is_report, names_source } = check_outgoing(datagram)?;
        let mut bytes = Vec::new();
        if !names_source || !is_report && !self.reduced_size {
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
        self.outbox.push_back(Outbound { bytes, by_application: true });
        Ok(())
    }

    /// SRTP has refused a datagram of the application: it is told when it sends the next.
    pub(in crate::session::media) fn refused(&mut self, error: SrtpError) {
        self.refusal = Some(error);
    }
}

/// What the first packet of a datagram is.
#[derive(Clone, Copy, Debug, Default)]
struct First {
    is_report: bool,
    names_source: bool,
}

/// Checks what the application wants to send, and says what it begins with.
fn check_outgoing(datagram: &[u8]) -> Result<First, SessionError> {
    check_compound(datagram, CompoundRules::ReducedSize)?;
    let mut first = None;
    for packet in packets(datagram) {
        let packet = packet.map_err(CompoundError::from)?;
        let is_report = matches!(packet, Packet::SenderReport(_) | Packet::ReceiverReport(_));
        let names_source = match packet {
            Packet::SourceDescription(description) => description.chunks.iter().next().is_some(),
            Packet::Goodbye(goodbye) => goodbye.sources.iter().next().is_some(),
            Packet::Unknown(unknown) => unknown.body.len() >= size_of::<Ssrc>(),
            _ => true,
        };
        first.get_or_insert(First { is_report, names_source });
        // RFC 5761 §4: with any other the peer would take it for RTP.
        if let Packet::Unknown(unknown) = packet
            && !(192..=223).contains(&unknown.packet_type.0)
        {
            return Err(CompoundError::PacketType(unknown.packet_type).into());
        }
    }
    Ok(first.unwrap_or_default())
}
