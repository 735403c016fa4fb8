//! A packet that owns its bytes.

use bytes::Bytes;

use super::layout::Layout;
use super::{Packet, ParseError};

/// An RTP packet with its bytes, for those who must keep it: a jitter buffer, a retransmission cache.
///
/// Cloning shares the bytes.
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
