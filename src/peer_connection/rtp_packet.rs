use std::time::Instant;

use crate::layer::{Ecn, Rid, Ssrc};
use crate::rtp::{ExtensionValues, OwnedPacket, Packet};
use crate::session::IncomingRtp;

/// An RTP packet that arrived.
///
/// ```
/// use kaon_rtc::peer_connection::RemoteTrack;
///
/// async fn show(track: RemoteTrack) {
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

    /// Its source.
    pub fn ssrc(&self) -> Ssrc {
        self.as_packet().ssrc()
    }
}

impl From<IncomingRtp<'_>> for RtpPacket {
    fn from(rtp: IncomingRtp<'_>) -> Self {
        Self {
            packet: OwnedPacket::from(rtp.packet),
            extensions: rtp.extensions,
            rid: rtp.rid,
            arrival: rtp.arrival,
            ecn: rtp.ecn,
        }
    }
}
