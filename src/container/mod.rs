//! Files of media: readers and writers of IVF, Ogg Opus, H.264 byte streams and rtpdump.
//!
//! Readers take any [`std::io::Read`], a slice of bytes too, and hold one frame at a time in memory that they
//! use again; what they hold is limited whatever a file claims. Many small reads are made: wrap a file in
//! [`std::io::BufReader`]. Writers take any [`std::io::Write`].
//!
//! | file | reader | writer |
//! |---|---|---|
//! | IVF: VP8, VP9, AV1 | [`IvfReader`] | [`IvfWriter`] |
//! | Ogg Opus, RFC 7845 | [`OggOpusReader`] | [`OggOpusWriter`] |
//! | H.264 Annex B | [`AnnexBReader`] | [`AnnexBWriter`] |
//! | rtpdump | [`RtpdumpReader`] | [`RtpdumpWriter`] |
//!
//! ```
//! use kaon_rtc::container::{IvfCodec, IvfHeader, IvfReader, IvfWriter};
//!
//! let header = IvfHeader::new(IvfCodec::Vp8, 640, 480, 30);
//! let mut file = Vec::new();
//! let mut writer = IvfWriter::new(&mut file, &header)?;
//! writer.write_frame(0, b"first")?;
//! writer.write_frame(1, b"second")?;
//!
//! let mut reader = IvfReader::new(&file[..])?;
//! assert_eq!(reader.header().codec, IvfCodec::Vp8);
//! while let Some(frame) = reader.read_frame()? {
//!     println!("{} {} bytes", frame.timestamp, frame.data.len());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod annex_b;
mod error;
mod input;
mod ivf;
mod ogg;
mod rtpdump;

pub use annex_b::{AccessUnit, AnnexBReader, AnnexBWriter};
pub use error::{ReadError, WriteError};
pub use ivf::{IvfCodec, IvfFrame, IvfHeader, IvfReader, IvfWriter};
pub use ogg::{OggOpusPacket, OggOpusReader, OggOpusWriter, OpusHead, OpusTags};
pub use rtpdump::{RtpdumpHeader, RtpdumpKind, RtpdumpPacket, RtpdumpReader, RtpdumpWriter};
