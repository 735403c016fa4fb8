//! Reading Ogg Opus.

use std::io::Read;

use super::header::{OpusHead, OpusTags};
use super::page::{FULL_SEGMENT, NO_GRANULE_POSITION, Page};
use crate::container::ReadError;
use crate::container::input::Input;
use crate::rtp::payload::opus::DEFAULT_MAX_PACKET_LEN;

/// What is kept of the comment header; pictures in it may be large, and are passed over.
const MAX_TAGS_LEN: usize = 64 << 10;

/// An Opus packet of an Ogg file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OggOpusPacket<'a> {
    /// The packet.
    pub data: &'a [u8],
    /// Of the last packet that ends on its page: how many samples at 48 kHz the stream has up to its end, the
    /// pre-skip included, RFC 7845 §4. In the last packet of the stream it may tell that the packet's end is
    /// to be left out.
    pub granule_position: Option<u64>,
    /// It is the last packet of the stream.
    pub ends_stream: bool,
}

/// Reads the Opus packets of an Ogg file.
///
/// Of several streams in the file, the first of Opus is read, and of several that follow each other, the first.
/// A packet of which a page is missing is left out.
///
/// ```
/// use kaon_rtc::container::{OggOpusReader, OggOpusWriter, OpusHead, OpusTags};
///
/// let mut writer = OggOpusWriter::new(Vec::new(), 7, &OpusHead::new(2), &OpusTags::new("an example"))?;
/// // Twenty milliseconds of silence.
/// writer.write_packet(&[0xfc, 0xff, 0xfe])?;
/// let file = writer.finish()?;
///
/// let mut reader = OggOpusReader::new(&file[..])?;
/// assert_eq!(reader.head().channels, 2);
/// let packet = reader.read_packet()?.ok_or("there is one")?;
/// assert_eq!(packet.data, [0xfc, 0xff, 0xfe]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OggOpusReader<R> {
    pages: Pages<R>,
    head: OpusHead,
    tags: OpusTags,
    packet: Vec<u8>,
    max_packet_len: usize,
}

/// The pages of one stream, and the place in the one at hand.
#[derive(Debug)]
struct Pages<R> {
    input: Input<R>,
    page: Page,
    next_segment: usize,
    next_byte: usize,
    at_end: bool,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Packet { ends_page: bool },
    TooLong,
    EndOfStream,
}

impl<R: Read> OggOpusReader<R> {
    /// Reads the headers. Packets may have [`DEFAULT_MAX_PACKET_LEN`] bytes.
    ///
    /// # Errors
    /// When there is no stream of Opus, or a header is malformed.
    pub fn new(source: R) -> Result<Self, ReadError> {
        let mut pages = Pages {
            input: Input::new(source),
            page: Page::default(),
            next_segment: 0,
            next_byte: 0,
            at_end: false,
        };
        let mut packet = Vec::new();
        let head = pages.find_stream(&mut packet)?;
        let outcome = pages.read_packet(&mut packet, MAX_TAGS_LEN)?;
        if outcome == Outcome::EndOfStream {
            return Err(pages.input.malformed("the stream ends before OpusTags"));
        }
        let tags = OpusTags::parse(&packet).map_err(|reason| pages.malformed(reason))?;
        Ok(OggOpusReader { pages, head, tags, packet, max_packet_len: DEFAULT_MAX_PACKET_LEN })
    }

    /// The same reader for packets of at most `max` bytes.
    #[must_use]
    pub fn with_max_packet_len(mut self, max: usize) -> Self {
        self.max_packet_len = max;
        self
    }

    /// The identification header.
    pub fn head(&self) -> &OpusHead {
        &self.head
    }

    /// The comment header; comments beyond 64 KiB are not kept.
    pub fn tags(&self) -> &OpusTags {
        &self.tags
    }

    /// The next packet; `None` at the end of the stream.
    ///
    /// # Errors
    /// When a page is malformed or the packet is too long. After a packet that is too long, the next can be
    /// read; behind a malformed page, nothing.
    pub fn read_packet(&mut self) -> Result<Option<OggOpusPacket<'_>>, ReadError> {
        match self.pages.read_packet(&mut self.packet, self.max_packet_len)? {
            Outcome::EndOfStream => Ok(None),
            Outcome::TooLong => {
                let (offset, max) = (self.pages.page.offset, self.max_packet_len);
                Err(ReadError::TooLong { offset, part: "packet", max })
            }
            Outcome::Packet { ends_page } => {
                let page = &self.pages.page;
                let granule_position = page.granule_position;
                Ok(Some(OggOpusPacket {
                    data: &self.packet,
                    granule_position: (ends_page && granule_position != NO_GRANULE_POSITION)
                        .then_some(granule_position),
                    ends_stream: ends_page && page.ends_stream,
                }))
            }
        }
    }
}

impl<R: Read> Pages<R> {
    /// Finds the first stream of Opus and reads its identification header.
    fn find_stream(&mut self, packet: &mut Vec<u8>) -> Result<OpusHead, ReadError> {
        while self.page.read(&mut self.input)? {
            if self.page.begins_stream && OpusHead::begins(&self.page.body) {
                let head = OpusHead::parse(&self.page.body).map_err(|reason| self.malformed(reason))?;
                // RFC 7845 §3: the header is alone on its page.
                self.next_segment = self.page.segments.len();
                packet.clear();
                return Ok(head);
            }
        }
        Err(self.input.malformed("the file has no stream of Opus"))
    }

    /// Reads a packet into `packet`. Of one that is longer than `max`, the beginning.
    fn read_packet(&mut self, packet: &mut Vec<u8>, max: usize) -> Result<Outcome, ReadError> {
        packet.clear();
        let mut in_packet = false;
        let mut too_long = false;
        loop {
            while let Some(&len) = self.page.segments.get(self.next_segment) {
                let end = self.next_byte + usize::from(len);
                let room = max - packet.len();
                let segment = &self.page.body[self.next_byte..end];
                too_long |= segment.len() > room;
                packet.extend_from_slice(&segment[..segment.len().min(room)]);
                self.next_segment += 1;
                self.next_byte = end;
                in_packet = true;
                if len < FULL_SEGMENT {
                    // Whether no other packet ends on this page.
                    let rest = &self.page.segments[self.next_segment..];
                    let ends_page = rest.iter().all(|&len| len == FULL_SEGMENT);
                    return Ok(if too_long { Outcome::TooLong } else { Outcome::Packet { ends_page } });
                }
            }
            if !self.next_page(in_packet)? {
                return Ok(Outcome::EndOfStream);
            }
            if in_packet && !self.page.continued {
                // Its end is on a page that is missing.
                packet.clear();
                (in_packet, too_long) = (false, false);
            }
        }
    }

    /// Goes to the next page of the stream, and there to what belongs to the packet under way or to the first
    /// that begins on the page; `false` at the end of the stream.
    fn next_page(&mut self, in_packet: bool) -> Result<bool, ReadError> {
        if self.at_end || self.page.ends_stream {
            self.at_end = true;
            return Ok(false);
        }
        let (serial, number) = (self.page.serial, self.page.number);
        loop {
            match self.page.read(&mut self.input) {
                Ok(true) if self.page.serial == serial => break,
                Ok(true) => {}
                Ok(false) => {
                    self.at_end = true;
                    return Ok(false);
                }
                Err(error) => {
                    // Of a page that was refused a part may be there, and the place is that of the page before.
                    self.page.segments.clear();
                    self.at_end = true;
                    return Err(error);
                }
            }
        }
        self.next_segment = 0;
        self.next_byte = 0;
        let follows = self.page.number == number.wrapping_add(1);
        if self.page.continued && !(follows && in_packet) {
            self.pass_over_rest();
            // For the caller: the packet under way does not go on here.
            self.page.continued = false;
        }
        Ok(true)
    }

    /// Passes over the rest of a packet whose beginning is missing.
    fn pass_over_rest(&mut self) {
        while let Some(&len) = self.page.segments.get(self.next_segment) {
            self.next_segment += 1;
            self.next_byte += usize::from(len);
            if len < FULL_SEGMENT {
                break;
            }
        }
    }

    fn malformed(&self, reason: &'static str) -> ReadError {
        ReadError::Malformed { offset: self.page.offset, reason }
    }
}
