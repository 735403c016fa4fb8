//! H.264 byte streams (H.264 Annex B) as files: split into access units, and written.

use std::io::{Read, Write};

use super::input::Input;
use super::{ReadError, WriteError};
use crate::rtp::payload::DEFAULT_MAX_FRAME_LEN;
use crate::rtp::payload::h264::{NalUnitType, NalUnits, StreamFormat};

/// How much is read at once.
const CHUNK_LEN: usize = 16 << 10;
/// A start code without the zero before it that a long one has.
const START_CODE: [u8; 3] = [0, 0, 1];
/// The start code and the two bytes behind it, which tell what a NAL unit is.
const HEAD_LEN: usize = START_CODE.len() + 2;

/// An access unit of a byte stream: the NAL units of one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessUnit<'a> {
    /// The NAL units with their start codes, as they are in the file.
    pub data: &'a [u8],
    /// It has a slice of a picture that needs no other (IDR).
    pub key_frame: bool,
    /// Where in the file it begins.
    pub offset: u64,
}

impl<'a> AccessUnit<'a> {
    /// The NAL units without start codes.
    pub fn units(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        NalUnits::new(self.data, StreamFormat::AnnexB).map_while(Result::ok)
    }
}

/// Reads an H.264 byte stream access unit by access unit.
///
/// An access unit begins where H.264 §7.4.1.2.3 says: with a delimiter, a parameter set, supplemental
/// information or a reserved unit behind the slices of a picture, or with the first slice of the next picture,
/// which has the picture's first macroblock. Arbitrary slice order, a tool of the baseline profile that the
/// constrained one of WebRTC forbids, is not understood.
///
/// ```
/// use kaon_rtc::container::AnnexBReader;
///
/// // Parameter sets and a key picture, then another picture.
/// let stream = b"\0\0\0\x01\x67sps\0\0\0\x01\x68pps\0\0\0\x01\x65\x88key\0\0\0\x01\x41\x9adelta";
/// let mut reader = AnnexBReader::new(&stream[..]);
/// let first = reader.read_access_unit()?.ok_or("two are there")?;
/// assert!(first.key_frame);
/// assert_eq!(first.units().count(), 3);
/// let second = reader.read_access_unit()?.ok_or("two are there")?;
/// assert!(!second.key_frame);
/// assert!(reader.read_access_unit()?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AnnexBReader<R> {
    input: Input<R>,
    max_access_unit_len: usize,
    // What was read, the access unit handed out last included.
    buffer: Vec<u8>,
    // The offset of the buffer's first byte in the file.
    buffer_offset: u64,
    handed_out: usize,
    scanned: usize,
    // Of the access unit under way.
    unit: UnderWay,
    at_end: bool,
}

/// What is known of the access unit under way.
#[derive(Debug, Clone, Copy, Default)]
struct UnderWay {
    has_units: bool,
    has_slices: bool,
    key_frame: bool,
}

impl<R: Read> AnnexBReader<R> {
    /// A reader whose access units may have [`DEFAULT_MAX_FRAME_LEN`] bytes.
    pub fn new(source: R) -> Self {
        AnnexBReader {
            input: Input::new(source),
            max_access_unit_len: DEFAULT_MAX_FRAME_LEN,
            buffer: Vec::new(),
            buffer_offset: 0,
            handed_out: 0,
            scanned: 0,
            unit: UnderWay::default(),
            at_end: false,
        }
    }

    /// The same reader for access units of at most `max` bytes.
    #[must_use]
    pub fn with_max_access_unit_len(mut self, max: usize) -> Self {
        self.max_access_unit_len = max;
        self
    }

    /// The next access unit; `None` at the end of the file.
    ///
    /// # Errors
    /// When the file does not begin with a start code, or the access unit is too long. Nothing more can be
    /// read then.
    pub fn read_access_unit(&mut self) -> Result<Option<AccessUnit<'_>>, ReadError> {
        self.buffer.drain(..self.handed_out);
        self.buffer_offset += self.handed_out as u64;
        self.scanned -= self.handed_out;
        self.handed_out = 0;
        let len = loop {
            if let Some(len) = self.scan()? {
                break len;
            }
            if self.buffer.len() > self.max_access_unit_len {
                return Err(self.too_long());
            }
            if self.at_end {
                break self.buffer.len();
            }
            self.fill()?;
        };
        if len > self.max_access_unit_len {
            return Err(self.too_long());
        }
        let unit = std::mem::take(&mut self.unit);
        if !unit.has_units {
            return match self.buffer.iter().all(|&byte| byte == 0) {
                true => Ok(None),
                false => Err(self.no_start_code()),
            };
        }
        self.handed_out = len;
        self.scanned = self.scanned.max(len);
        let UnderWay { key_frame, .. } = unit;
        Ok(Some(AccessUnit { data: &self.buffer[..len], key_frame, offset: self.buffer_offset }))
    }

    /// Looks at the NAL units that were read, and tells where the next access unit begins if one does.
    fn scan(&mut self) -> Result<Option<usize>, ReadError> {
        while let Some(found) = find_start_code(&self.buffer[self.scanned..]) {
            let at = self.scanned + found;
            if !self.unit.has_units && self.buffer[..at].iter().any(|&byte| byte != 0) {
                return Err(self.no_start_code());
            }
            let head = &self.buffer[at + START_CODE.len()..];
            if head.len() < HEAD_LEN - START_CODE.len() && !self.at_end {
                // Not before what it is can be seen.
                self.scanned = at;
                return Ok(None);
            }
            let kind = NalUnitType::of(head);
            let is_slice = matches!(kind, Some(NalUnitType::Slice | NalUnitType::Idr)) || is_partition(head);
            if self.unit.has_slices && begins_access_unit(head) {
                self.scanned = at;
                // The zero before a start code is of it.
                return Ok(Some(if self.buffer[at - 1] == 0 { at - 1 } else { at }));
            }
            self.unit.has_units = true;
            self.unit.has_slices |= is_slice;
            self.unit.key_frame |= kind == Some(NalUnitType::Idr);
            self.scanned = at + START_CODE.len();
        }
        // The last two bytes may be the beginning of a start code.
        self.scanned = self.scanned.max((self.buffer.len() + 1).saturating_sub(START_CODE.len()));
        Ok(None)
    }

    fn fill(&mut self) -> Result<(), ReadError> {
        let len = self.buffer.len();
        self.buffer.resize(len + CHUNK_LEN, 0);
        let read = self.input.some(&mut self.buffer[len..]);
        self.buffer.truncate(len + *read.as_ref().unwrap_or(&0));
        self.at_end = read? == 0;
        Ok(())
    }

    fn no_start_code(&self) -> ReadError {
        ReadError::Malformed {
            offset: self.buffer_offset,
            reason: "an H.264 byte stream begins with a start code",
        }
    }

    fn too_long(&self) -> ReadError {
        let max = self.max_access_unit_len;
        ReadError::TooLong { offset: self.buffer_offset, part: "access unit", max }
    }
}

fn find_start_code(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            1 if bytes[at - 2..at] == [0, 0] => return Some(at - 2),
            0 => at += 1,
            // No start code has this byte but at its end, so that the next ends three bytes on.
            _ => at += 3,
        }
    }
    None
}

// Slice data partition A, which has the slice header.
fn is_partition(unit: &[u8]) -> bool {
    unit.first().is_some_and(|header| header & 0x1f == 2)
}

// H.264 §7.4.1.2.3, for a NAL unit behind the slices of a picture.
fn begins_access_unit(unit: &[u8]) -> bool {
    match unit.first().map_or(0, |header| header & 0x1f) {
        // first_mb_in_slice is an Exp-Golomb code, whose zero is a single bit that is set.
        1 | 2 | 5 => unit.get(1).is_some_and(|byte| byte & 0x80 != 0),
        6..=9 | 14..=18 => true,
        _ => false,
    }
}

/// Writes an H.264 byte stream.
#[derive(Debug)]
pub struct AnnexBWriter<W> {
    sink: W,
    format: StreamFormat,
}

impl<W: Write> AnnexBWriter<W> {
    /// A writer that is given access units in this format.
    pub fn new(sink: W, format: StreamFormat) -> Self {
        AnnexBWriter { sink, format }
    }

    /// Writes an access unit, each NAL unit behind a start code of four bytes.
    ///
    /// # Errors
    /// When the access unit is not of the format, or the sink fails. The units before the error are written.
    pub fn write_access_unit(&mut self, access_unit: &[u8]) -> Result<(), WriteError> {
        for unit in NalUnits::new(access_unit, self.format) {
            self.sink.write_all(&[0])?;
            self.sink.write_all(&START_CODE)?;
            self.sink.write_all(unit?)?;
        }
        Ok(())
    }

    /// The sink, behind the last access unit.
    pub fn into_inner(self) -> W {
        self.sink
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads one byte at a time.
    #[derive(Debug)]
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let len = self.0.len().min(out.len()).min(1);
            out[..len].copy_from_slice(&self.0[..len]);
            self.0 = &self.0[len..];
            Ok(len)
        }
    }

    fn read(source: impl Read) -> Vec<(Vec<u8>, bool, u64)> {
        let mut reader = AnnexBReader::new(source);
        let mut units = Vec::new();
        while let Some(unit) = reader.read_access_unit().unwrap() {
            units.push((unit.data.to_vec(), unit.key_frame, unit.offset));
        }
        units
    }

    #[test]
    fn access_units_begin_as_h264_says() {
        let units: [(bool, &[u8]); 9] = [
            // A delimiter, parameter sets, supplemental information and two slices of a key frame.
            (true, b"\0\0\0\x01\x09\x10\0\0\0\x01\x67\x42\0\0\x01\x68\x01\0\0\x01\x06\x05\0\0\x01\x65\x88\0\0\x01\x65\x40"),
            (false, b"\0\0\0\x01\x41\x9a"),
            (false, b"\0\0\x01\x41\x9a\0\0\x01\x41\x40"),
            // A data-partitioned picture.
            (false, b"\0\0\x01\x42\x9a\0\0\x01\x43\x9a\0\0\x01\x44\x9a"),
            (false, b"\0\0\x01\x06\x05\0\0\x01\x41\x9a\0\0\x01\x0a"),
            (true, b"\0\0\0\x01\x67\x42\0\0\x01\x65\x88"),
            (true, b"\0\0\0\x01\x68\x42\0\0\x01\x65\x88"),
            (false, b"\0\0\x01\x0e\x42\0\0\x01\x41\xff\xff"),
            (false, b"\0\0\0\x01\x09\x30"),
        ];
        let file: Vec<u8> = units.iter().flat_map(|(_, unit)| unit.iter().copied()).collect();
        for read in [read(&file[..]), read(Trickle(&file))] {
            assert_eq!(read.len(), units.len());
            let mut expected_offset = 0;
            for ((key_frame, unit), (read, read_key_frame, offset)) in units.iter().zip(read) {
                assert_eq!((&read[..], read_key_frame, offset), (*unit, *key_frame, expected_offset));
                expected_offset += unit.len() as u64;
            }
        }
    }

    #[test]
    fn malformed_files_and_limits() {
        assert_eq!(read(&[][..]), []);
        assert_eq!(read(&[0; 50_000][..]), []);
        for bytes in [&b"x"[..], b"x\0\0\x01\x65\x88", b"\0\0\x02"] {
            let result = AnnexBReader::new(bytes).read_access_unit().map(drop);
            assert!(matches!(result, Err(ReadError::Malformed { offset: 0, .. })));
        }
        let file = [&b"\0\0\x01\x65\x88\0\0\x01\x41\x9a"[..], &[7; 100_000]].concat();
        let mut reader = AnnexBReader::new(&file[..]).with_max_access_unit_len(100);
        assert_eq!(reader.read_access_unit().unwrap().unwrap().data.len(), 5);
        assert!(matches!(reader.read_access_unit(), Err(ReadError::TooLong { offset: 5, max: 100, .. })));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            pictures in proptest::collection::vec(
                (any::<bool>(), proptest::collection::vec(proptest::collection::vec(2u8.., 0..40_000), 1..3)), 1..10),
        ) {
            let mut writer = AnnexBWriter::new(Vec::new(), StreamFormat::Avc);
            let mut expected = Vec::new();
            for (key_frame, slices) in &pictures {
                let mut units = Vec::new();
                for (index, slice) in slices.iter().enumerate() {
                    let head = [if *key_frame { 0x65 } else { 0x41 }, if index == 0 { 0x88 } else { 0x44 }];
                    units.push([&head[..], slice].concat());
                }
                let avc: Vec<u8> = units
                    .iter()
                    .flat_map(|unit| (unit.len() as u32).to_be_bytes().into_iter().chain(unit.iter().copied()))
                    .collect();
                writer.write_access_unit(&avc).unwrap();
                expected.push((units, *key_frame));
            }
            let file = writer.into_inner();
            let mut reader = AnnexBReader::new(&file[..]);
            for (units, key_frame) in expected {
                let read = reader.read_access_unit().unwrap().unwrap();
                prop_assert!(read.units().eq(units.iter().map(Vec::as_slice)));
                prop_assert_eq!(read.key_frame, key_frame);
            }
            prop_assert!(reader.read_access_unit().unwrap().is_none());
        }

        #[test]
        fn any_bytes_come_out_whole(
            bytes in proptest::collection::vec(prop_oneof![3 => Just(0u8), 2 => Just(1), 1 => any::<u8>()], 0..200),
        ) {
            let mut reader = AnnexBReader::new(Trickle(&bytes));
            let mut joined = Vec::new();
            while let Ok(Some(unit)) = reader.read_access_unit() {
                prop_assert_eq!(unit.offset, joined.len() as u64);
                joined.extend_from_slice(unit.data);
            }
            if !joined.is_empty() {
                prop_assert_eq!(joined, bytes);
            }
        }
    }
}
