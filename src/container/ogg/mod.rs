//! Ogg Opus: RFC 3533 and RFC 7845.

mod header;
mod page;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub use header::{OpusHead, OpusTags};
pub use reader::{OggOpusPacket, OggOpusReader};
pub use writer::OggOpusWriter;
