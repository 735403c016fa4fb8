//! Payload formats: how a codec's frames travel in RTP packets.
//!
//! A [`Packetizer`] splits a frame into payloads; a [`Depacketizer`] puts payloads, in sequence, together
//! again. Each codec is one file that implements both, and a row of [`PayloadFormat`], which knows them by name. Neither reorders nor waits: that is the work of a
//! jitter buffer.
//!
//! ```
//! use kaon_rtc::rtp::payload::{Depacketizer, Packetizer, vp8};
//!
//! let frame = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01, 7, 7, 7, 7]; // a key frame, 640x480
//! let mut sender = vp8::Packetizer::new(vp8::Descriptor::default());
//! let mut receiver = vp8::Depacketizer::default();
//! let mut received = Vec::new();
//! let mut ended = false;
//! sender.packetize(&frame, 10, &mut |payload| {
//!     let mut buffer = [0; 10];
//!     let len = payload.write(&mut buffer).unwrap();
//!     let piece = receiver.push(&buffer[..len], payload.marker, &mut received).unwrap();
//!     ended = piece.ends_frame;
//! })?;
//! assert!(ended);
//! assert_eq!(received, frame);
//! # Ok::<(), kaon_rtc::rtp::payload::PacketizeError>(())
//! ```

mod format;
pub mod h264;
pub mod opus;
mod registry;
pub mod vp8;
pub mod vp9;

#[cfg(test)]
mod tests;

pub use format::{
    DEFAULT_MAX_FRAME_LEN, DepacketizeError, Depacketizer, Dimensions, PacketizeError, Packetizer, Payload,
    PictureId, Piece, Probe,
};
pub use registry::{AnyDepacketizer, AnyPacketizer, PayloadFormat};
