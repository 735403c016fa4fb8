//! RTP packets that arrived.

use std::time::Instant;

use crate::layer::{Ecn, PayloadType, Rid, Ssrc};
use crate::rtp::{ExtensionValues, OwnedPacket, Packet, RawExtensions};
use crate::session::{IncomingRtp, OutgoingRtp};

/// An RTP packet that arrived.
///
/// ```
/// use kaon_rtc::peer_connection::RtpReceiver;
///
/// async fn show(track: RtpReceiver) {
///     while let Some(packet) = track.recv_rtp().await {
///         let view = packet.as_packet();
///         println!("{:?} {:?}: {} bytes", view.ssrc(), view.sequence_number(), view.payload().len());
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RtpPacket {
    /// The packet.
    pub packet: OwnedPacket,
    /// Its header extensions.
    pub extensions: ExtensionValues,
    /// Elements of header extensions that this library does not know: those negotiated of what
    /// [`MediaConfig`](super::MediaConfig) names.
    pub raw_extensions: RawExtensions,
    /// The simulcast stream, of a peer that sends several.
    pub rid: Option<Rid>,
    /// When it arrived.
    pub arrival: Instant,
    /// The ECN mark that it arrived with, where the system tells.
    pub ecn: Option<Ecn>,
}

impl RtpPacket {
    /// The view of the packet.
    pub fn as_packet(&self) -> Packet<'_> {
        self.packet.as_packet()
    }

    /// The packet as it is forwarded, under the payload type of its codec where it goes: with the sequence number, so that
    /// gaps stay gaps, the timestamp, the marker, and what its header extensions say of its content. Everything else of
    /// its header belongs to the connection that it came by. The payload is shared, not copied, also by clones.
    pub fn to_outgoing(&self, payload_type: PayloadType) -> OutgoingRtp {
        let packet = self.as_packet();
        let payload = self.packet.payload();
        let mut out = OutgoingRtp::new(payload_type, packet.timestamp(), packet.marker(), payload);
        out.sequence_number = Some(packet.sequence_number());
        out.extensions = self.extensions.content();
        out.raw_extensions = self.raw_extensions.clone();
        out
    }

    /// Its source.
    pub fn ssrc(&self) -> Ssrc {
        self.as_packet().ssrc()
    }
}

/// The packet as it is forwarded by a [`Track`](super::Track), which gives it the payload type of each connection.
impl From<&RtpPacket> for OutgoingRtp {
    fn from(packet: &RtpPacket) -> Self {
        packet.to_outgoing(packet.as_packet().payload_type())
    }
}

impl From<IncomingRtp<'_>> for RtpPacket {
    fn from(rtp: IncomingRtp<'_>) -> Self {
        Self {
            raw_extensions: rtp.to_raw_extensions(),
            packet: OwnedPacket::from(rtp.packet),
            extensions: rtp.extensions,
            rid: rtp.rid,
            arrival: rtp.arrival,
            ecn: rtp.ecn,
        }
    }
}
