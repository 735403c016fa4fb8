//! Ogg pages, RFC 3533 §6.

use std::io::Read;

use crc::{Algorithm, Crc};

use crate::container::ReadError;
use crate::container::input::Input;

const CAPTURE_PATTERN: [u8; 4] = *b"OggS";
const FIXED_LEN: usize = 27;
/// Bytes of a packet that one lacing value stands for at most; a packet ends with the first that is less.
pub(super) const FULL_SEGMENT: u8 = 255;
/// Segments of a page.
pub(super) const MAX_SEGMENTS: usize = 255;
/// The granule position of a page on which no packet ends.
pub(super) const NO_GRANULE_POSITION: u64 = u64::MAX;

/// Begun with zero, neither reflected nor inverted.
const CHECKSUM: Crc<u32> = Crc::<u32>::new(&Algorithm {
    width: 32,
    poly: 0x04c1_1db7,
    init: 0,
    refin: false,
    refout: false,
    xorout: 0,
    check: 0x89a1_897f,
    residue: 0,
});

/// The header of a page and what it holds: at most 64 KiB.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    /// Its packet goes on from the page before.
    pub(super) continued: bool,
    /// It is the first of its stream.
    pub(super) begins_stream: bool,
    /// It is the last of its stream.
    pub(super) ends_stream: bool,
    pub(super) granule_position: u64,
    pub(super) serial: u32,
    pub(super) number: u32,
    /// The lacing values.
    pub(super) segments: Vec<u8>,
    pub(super) body: Vec<u8>,
    /// Where in the file it begins.
    pub(super) offset: u64,
}

impl Page {
    /// Reads the next page over this one; `false` at the end of the file.
    pub(super) fn read(&mut self, input: &mut Input<impl Read>) -> Result<bool, ReadError> {
        let offset = input.offset();
        let Some(head) = input.array_or_end::<FIXED_LEN>("page header")? else { return Ok(false) };
        let malformed = |reason| Err(ReadError::Malformed { offset, reason });
        if head[..4] != CAPTURE_PATTERN {
            return malformed("an Ogg page begins with OggS");
        }
        if head[4] != 0 {
            return malformed("the version of an Ogg page is 0");
        }
        let field = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        self.offset = offset;
        self.continued = head[5] & 0x01 != 0;
        self.begins_stream = head[5] & 0x02 != 0;
        self.ends_stream = head[5] & 0x04 != 0;
        self.granule_position = u64::from(field(6)) | (u64::from(field(10)) << 32);
        self.serial = field(14);
        self.number = field(18);
        self.segments.clear();
        input.append(&mut self.segments, usize::from(head[26]), "lacing values")?;
        let len = self.segments.iter().map(|&len| usize::from(len)).sum();
        self.body.clear();
        input.append(&mut self.body, len, "page")?;
        if checksum(&head, &self.segments, &self.body) != field(22) {
            return malformed("the checksum of an Ogg page is wrong");
        }
        Ok(true)
    }

    /// Appends the page to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut head = [0; FIXED_LEN];
        head[..4].copy_from_slice(&CAPTURE_PATTERN);
        head[5] = u8::from(self.continued)
            | (u8::from(self.begins_stream) << 1)
            | (u8::from(self.ends_stream) << 2);
        head[6..14].copy_from_slice(&self.granule_position.to_le_bytes());
        head[14..18].copy_from_slice(&self.serial.to_le_bytes());
        head[18..22].copy_from_slice(&self.number.to_le_bytes());
        head[26] = self.segments.len() as u8;
        let checksum = checksum(&head, &self.segments, &self.body);
        head[22..26].copy_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(&self.segments);
        out.extend_from_slice(&self.body);
    }
}

/// The checksum of a page, whose own field counts as zeros.
fn checksum(head: &[u8; FIXED_LEN], segments: &[u8], body: &[u8]) -> u32 {
    let mut digest = CHECKSUM.digest();
    digest.update(&head[..22]);
    digest.update(&[0; 4]);
    digest.update(&head[26..]);
    digest.update(segments);
    digest.update(body);
    digest.finalize()
}
