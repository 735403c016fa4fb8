//! RTP packets, header extensions and payload formats: RFC 3550, RFC 8285 and the codecs' own RFCs.
//!
//! [`Packet`] is a view of a packet in the caller's buffer, [`PacketMut`] rewrites a header in place (what an
//! SFU does per subscriber), [`PacketWriter`] writes a packet into the caller's buffer, and [`OwnedPacket`]
//! keeps one. None of the first three allocates. [`payload`] splits frames into packets and back.
//!
//! ```
//! use kaon_rtc::layer::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};
//! use kaon_rtc::rtp::{AudioLevel, ExtensionId, ExtensionKind, ExtensionMap, Header, Packet, PacketWriter};
//!
//! // As negotiated by a=extmap.
//! let mut map = ExtensionMap::new();
//! map.insert(ExtensionId::new(1).ok_or("id 0 is padding")?, ExtensionKind::AudioLevel);
//!
//! let header = Header {
//!     marker: true,
//!     payload_type: PayloadType::from_low_bits(111),
//!     sequence_number: SequenceNumber(7),
//!     timestamp: RtpTimestamp(960),
//!     ssrc: Ssrc(0x1234),
//! };
//! let mut buffer = [0; 1200];
//! let mut writer = PacketWriter::new(&mut buffer, &header, &[])?;
//! writer.extension(&map, &AudioLevel { voice: true, dbov: 30 })?;
//! let len = writer.payload(b"opus")?;
//!
//! let packet = Packet::parse(&buffer[..len])?;
//! assert_eq!(packet.sequence_number(), SequenceNumber(7));
//! assert_eq!(packet.extension(&map), Some(AudioLevel { voice: true, dbov: 30 }));
//! assert_eq!(packet.payload(), b"opus");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
pub mod extension;
mod layout;
mod owned;
mod packet;
mod packet_mut;
pub mod payload;
mod rtx;
mod unwrap;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{ParseError, WriteError};
pub use extension::{
    AbsSendTime, AudioLevel, ContentExtensions, Extension, ExtensionForm, ExtensionId, ExtensionKind,
    ExtensionMap, ExtensionTooLong, ExtensionUri, ExtensionUriError, ExtensionUris, ExtensionValues,
    Extensions, HeaderExtension, RawExtensions, RepairedRid, Rotation, TransportSequenceNumber,
    VideoOrientation,
};
pub use owned::OwnedPacket;
pub use packet::{Csrcs, Packet};
pub use packet_mut::PacketMut;
pub use rtx::{RtxPayload, write_rtx_payload};
pub use unwrap::SequenceUnwrapper;
pub use writer::{Header, PacketWriter};
