//! What is the same in the headers of most packets of a stream.

use super::departures::Departure;
use super::packet::OutgoingRtp;
use crate::layer::SequenceNumber;
use crate::rtp::{AbsSendTime, HeaderExtension, TransportSequenceNumber};

/// Whether a packet is sent for the first time, or again in a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    First,
    Again,
}

/// The header of a packet that says nothing more than all packets of its stream do, written once.
#[derive(Debug, Default)]
pub(super) struct HeaderTemplate {
    pub(super) bytes: Box<[u8]>,
    /// Where the data of the extensions lie that differ from packet to packet.
    pub(super) send_time: Option<usize>,
    pub(super) transport_number: Option<usize>,
}

impl HeaderTemplate {
    /// Appends the header of a packet to `out`; `false` where there is no template.
    pub(super) fn write(
        &self,
        departure: Departure,
        number: SequenceNumber,
        packet: &OutgoingRtp,
        out: &mut Vec<u8>,
    ) -> bool {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let Some([_, second, number_slot @ .., _, _, _, _]) = out[start..].first_chunk_mut::<12>() else {
            return false;
        };
        *second = (u8::from(packet.marker) << 7) | packet.payload_type.value();
        let [a, b] = number.0.to_be_bytes();
        let [c, d, e, f] = packet.timestamp.0.to_be_bytes();
        *number_slot = [a, b, c, d, e, f];
        if let Some(slot) = self.send_time.and_then(|at| out[start + at..].first_chunk_mut()) {
            *slot = AbsSendTime::from_ntp(departure.ntp).encode();
        }
        if let (Some(at), Some(number)) = (self.transport_number, departure.transport_number)
            && let Some(slot) = out[start + at..].first_chunk_mut()
        {
            *slot = TransportSequenceNumber(number).encode();
        }
        true
    }
}
