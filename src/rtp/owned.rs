//! A packet that owns its bytes.

use bytes::Bytes;

use super::layout::Layout;
use super::{Packet, ParseError};

/// An RTP packet with its bytes, for those who must keep it: a jitter buffer, a retransmission cache.
///
/// Cloning shares the bytes.
///
/// ```
/// use bytes::Bytes;
/// use kaon_rtc::rtp::OwnedPacket;
///
/// let bytes = Bytes::from_static(&[0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 1, b'h', b'i']);
/// let packet = OwnedPacket::parse(bytes)?;
/// let kept = packet.clone(); // the same memory
/// assert_eq!(kept.payload(), "hi");
/// # Ok::<(), kaon_rtc::rtp::ParseError>(())
/// ```
#[derive(Debug, Clone)]
pub struct OwnedPacket {
    bytes: Bytes,
    layout: Layout,
}

impl OwnedPacket {
    /// Checks that `bytes` hold one RTP packet, and keeps them.
    ///
    /// # Errors
    /// As [`Packet::parse`].
    pub fn parse(bytes: Bytes) -> Result<Self, ParseError> {
        let layout = Layout::parse(&bytes)?;
        Ok(OwnedPacket { bytes, layout })
    }

    /// The view of the packet; costs nothing.
    pub fn as_packet(&self) -> Packet<'_> {
        Packet::from_layout(&self.bytes, self.layout)
    }

    /// The payload without padding, sharing this packet's memory.
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(self.layout.payload())
    }

    /// The whole packet.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl From<Packet<'_>> for OwnedPacket {
    fn from(packet: Packet<'_>) -> Self {
        OwnedPacket { bytes: Bytes::copy_from_slice(packet.as_bytes()), layout: packet.layout() }
    }
}
