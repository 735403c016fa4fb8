//! The packets of a datagram.

use super::header::{PacketType, RawPacket};
use super::{
    App, Encode, Fir, Goodbye, Nack, ParseError, Pli, ReceiverReport, Remb, SenderReport, SourceDescription,
    TransportFeedback, Unknown, WriteError, feedback, remb, transport_feedback,
};

/// Walks over the packets of a compound (or reduced-size, RFC 5506) datagram.
///
/// A packet whose body is malformed is an error, after which the walk goes on with the next packet; when the
/// framing is malformed, that is the last error. [`check_compound`](super::check_compound) checks the rules
/// of composition.
pub fn packets(datagram: &[u8]) -> Packets<'_> {
    Packets { rest: datagram }
}

/// The packets of a datagram.
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match RawPacket::split(self.rest) {
            Ok((raw, rest)) => {
                self.rest = rest;
                Some(Packet::from_raw(raw))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

/// One RTCP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet<'a> {
    /// A sender report.
    SenderReport(SenderReport<'a>),
    /// A receiver report.
    ReceiverReport(ReceiverReport<'a>),
    /// A source description.
    SourceDescription(SourceDescription<'a>),
    /// A goodbye.
    Goodbye(Goodbye<'a>),
    /// An application-defined packet.
    App(App<'a>),
    /// Packets to be sent again.
    Nack(Nack<'a>),
    /// A picture was lost.
    Pli(Pli),
    /// Key frames are asked for.
    Fir(Fir<'a>),
    /// An estimate of what can be received.
    Remb(Remb<'a>),
    /// Arrivals of packets.
    TransportFeedback(TransportFeedback<'a>),
    /// Anything else.
    Unknown(Unknown<'a>),
}

impl<'a> Packet<'a> {
    fn from_raw(raw: RawPacket<'a>) -> Result<Self, ParseError> {
        let RawPacket { packet_type, count, body, .. } = raw;
        Ok(match (packet_type, count) {
            (PacketType::SENDER_REPORT, _) => Packet::SenderReport(SenderReport::parse(count, body)?),
            (PacketType::RECEIVER_REPORT, _) => Packet::ReceiverReport(ReceiverReport::parse(count, body)?),
            (PacketType::SOURCE_DESCRIPTION, _) => {
                Packet::SourceDescription(SourceDescription::parse(count, body)?)
            }
            (PacketType::GOODBYE, _) => Packet::Goodbye(Goodbye::parse(count, body)?),
            (PacketType::APP, _) => Packet::App(App::parse(count, body)?),
            (PacketType::TRANSPORT_FEEDBACK, feedback::NACK_FORMAT) => Packet::Nack(Nack::parse(body)?),
            (PacketType::TRANSPORT_FEEDBACK, transport_feedback::FORMAT) => {
                Packet::TransportFeedback(TransportFeedback::parse(body)?)
            }
            (PacketType::PAYLOAD_FEEDBACK, feedback::PLI_FORMAT) => Packet::Pli(Pli::parse(body)?),
            (PacketType::PAYLOAD_FEEDBACK, feedback::FIR_FORMAT) => Packet::Fir(Fir::parse(body)?),
            (PacketType::PAYLOAD_FEEDBACK, remb::FORMAT) if Remb::is_remb(body) => {
                Packet::Remb(Remb::parse(body)?)
            }
            _ => Packet::Unknown(Unknown { packet_type, count, body }),
        })
    }

    fn as_encode(&self) -> &dyn Encode {
        match self {
            Packet::SenderReport(packet) => packet,
            Packet::ReceiverReport(packet) => packet,
            Packet::SourceDescription(packet) => packet,
            Packet::Goodbye(packet) => packet,
            Packet::App(packet) => packet,
            Packet::Nack(packet) => packet,
            Packet::Pli(packet) => packet,
            Packet::Fir(packet) => packet,
            Packet::Remb(packet) => packet,
            Packet::TransportFeedback(packet) => packet,
            Packet::Unknown(packet) => packet,
        }
    }
}

impl Encode for Packet<'_> {
    fn encoded_len(&self) -> usize {
        self.as_encode().encoded_len()
    }

    fn encode(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        self.as_encode().encode(out)
    }
}
