//! Writing Ogg Opus.

use std::io::Write;

use super::header::{OpusHead, OpusTags};
use super::page::{FULL_SEGMENT, MAX_SEGMENTS, NO_GRANULE_POSITION, Page};
use crate::container::WriteError;
use crate::rtp::payload::opus::{CLOCK_RATE, Toc};

/// The longest packet that is written: one page.
const MAX_PACKET_LEN: usize = MAX_SEGMENTS * FULL_SEGMENT as usize - 1;

/// Writes an Ogg Opus file, in pages of about a second (RFC 7845 §6).
///
/// [`finish`](Self::finish) writes the last page; without it, up to a second is missing.
#[derive(Debug)]
pub struct OggOpusWriter<W> {
    sink: W,
    // Under construction.
    page: Page,
    bytes: Vec<u8>,
    // Samples up to the end of the packet written last, and up to the end of the page before.
    granule_position: u64,
    page_began: u64,
}

impl<W: Write> OggOpusWriter<W> {
    /// Writes the headers. `serial` should be random, RFC 3533 §4.
    ///
    /// # Errors
    /// When a header is not valid, or the sink fails.
    pub fn new(sink: W, serial: u32, head: &OpusHead, tags: &OpusTags) -> Result<Self, WriteError> {
        let head = head.encode().map_err(WriteError::Header)?;
        let page =
            Page { serial, begins_stream: true, granule_position: NO_GRANULE_POSITION, ..Page::default() };
        let mut writer = OggOpusWriter { sink, page, bytes: Vec::new(), granule_position: 0, page_began: 0 };
        // RFC 7845 §3: each header ends its page.
        writer.append(&head)?;
        writer.page.granule_position = 0;
        writer.end_page()?;
        writer.append(&tags.encode())?;
        writer.page.granule_position = 0;
        writer.end_page()?;
        Ok(writer)
    }

    /// Writes an Opus packet, which tells its own duration.
    ///
    /// # Errors
    /// When it is not an Opus packet, or longer than a page, or the sink fails.
    pub fn write_packet(&mut self, packet: &[u8]) -> Result<(), WriteError> {
        let duration = Toc::parse(packet)?.timestamp_step();
        if packet.len() > MAX_PACKET_LEN {
            return Err(WriteError::TooLong { part: "packet", len: packet.len(), max: MAX_PACKET_LEN });
        }
        let segments = packet.len() / usize::from(FULL_SEGMENT) + 1;
        let is_long = self.granule_position - self.page_began >= u64::from(CLOCK_RATE);
        if is_long || self.page.segments.len() + segments > MAX_SEGMENTS {
            self.end_page()?;
        }
        self.append(packet)?;
        self.granule_position += u64::from(duration);
        self.page.granule_position = self.granule_position;
        Ok(())
    }

    /// Writes the last page and gives the sink back.
    ///
    /// # Errors
    /// When the sink fails.
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.page.ends_stream = true;
        if self.page.segments.is_empty() {
            // An empty page ends the stream where the one before has ended.
            self.page.granule_position = self.granule_position;
        }
        self.end_page()?;
        self.sink.flush()?;
        Ok(self.sink)
    }

    /// Adds a packet to the page, and to further ones if it is longer.
    fn append(&mut self, packet: &[u8]) -> Result<(), WriteError> {
        let mut rest = packet;
        loop {
            if self.page.segments.len() == MAX_SEGMENTS {
                self.end_page()?;
                self.page.continued = true;
            }
            let (segment, behind) = rest.split_at(rest.len().min(usize::from(FULL_SEGMENT)));
            self.page.segments.push(segment.len() as u8);
            self.page.body.extend_from_slice(segment);
            rest = behind;
            if segment.len() < usize::from(FULL_SEGMENT) {
                return Ok(());
            }
        }
    }

    fn end_page(&mut self) -> Result<(), WriteError> {
        self.bytes.clear();
        self.page.write(&mut self.bytes);
        self.sink.write_all(&self.bytes)?;
        self.page.number = self.page.number.wrapping_add(1);
        self.page.begins_stream = false;
        self.page.continued = false;
        self.page.granule_position = NO_GRANULE_POSITION;
        self.page.segments.clear();
        self.page.body.clear();
        self.page_began = self.granule_position;
        Ok(())
    }
}
