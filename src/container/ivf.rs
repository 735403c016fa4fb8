//! IVF: frames of VP8, VP9 or AV1 with timestamps, as libvpx and ffmpeg write them.

use std::io::{Read, Seek, SeekFrom, Write};

use super::input::Input;
use super::{ReadError, WriteError};
use crate::rtp::payload::DEFAULT_MAX_FRAME_LEN;

const SIGNATURE: [u8; 4] = *b"DKIF";
const HEADER_LEN: u16 = 32;
/// Where the header has the number of frames.
const FRAME_COUNT_OFFSET: u64 = 24;

/// The codec of an IVF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IvfCodec {
    /// `VP80`
    Vp8,
    /// `VP90`
    Vp9,
    /// `AV01`
    Av1,
    /// Another four characters.
    Other([u8; 4]),
}

impl IvfCodec {
    /// The codec that these four characters stand for.
    pub const fn from_fourcc(fourcc: [u8; 4]) -> Self {
        match &fourcc {
            b"VP80" => IvfCodec::Vp8,
            b"VP90" => IvfCodec::Vp9,
            b"AV01" => IvfCodec::Av1,
            _ => IvfCodec::Other(fourcc),
        }
    }

    /// The four characters.
    pub const fn fourcc(self) -> [u8; 4] {
        match self {
            IvfCodec::Vp8 => *b"VP80",
            IvfCodec::Vp9 => *b"VP90",
            IvfCodec::Av1 => *b"AV01",
            IvfCodec::Other(fourcc) => fourcc,
        }
    }
}

/// The header of an IVF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IvfHeader {
    /// The codec.
    pub codec: IvfCodec,
    /// Pixels from left to right.
    pub width: u16,
    /// Pixels from top to bottom.
    pub height: u16,
    /// A timestamp counts `time_base.0 / time_base.1` seconds. Neither should be zero; readers take what is
    /// there.
    pub time_base: (u32, u32),
    /// The number of frames; often zero, for writers that could not seek.
    pub frame_count: u32,
}

impl IvfHeader {
    /// A header whose timestamps count `1 / rate` seconds, the number of frames unknown.
    pub const fn new(codec: IvfCodec, width: u16, height: u16, rate: u32) -> Self {
        IvfHeader { codec, width, height, time_base: (1, rate), frame_count: 0 }
    }
}

/// A frame of an IVF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IvfFrame<'a> {
    /// Its timestamp, in units of the header's time base.
    pub timestamp: u64,
    /// The frame.
    pub data: &'a [u8],
}

/// Reads an IVF file frame by frame.
///
/// ```
/// use std::fs::File;
/// use std::io::BufReader;
///
/// use kaon_rtc::container::IvfReader;
///
/// fn play(path: &str, mut show: impl FnMut(u64, &[u8])) -> Result<(), Box<dyn std::error::Error>> {
///     let mut reader = IvfReader::new(BufReader::new(File::open(path)?))?;
///     println!("{:?}, {} x {}", reader.header().codec, reader.header().width, reader.header().height);
///     while let Some(frame) = reader.read_frame()? {
///         show(frame.timestamp, frame.data);
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct IvfReader<R> {
    input: Input<R>,
    header: IvfHeader,
    frame: Vec<u8>,
    max_frame_len: usize,
}

impl<R: Read> IvfReader<R> {
    /// Reads the header. Frames may have [`DEFAULT_MAX_FRAME_LEN`] bytes.
    ///
    /// # Errors
    /// When it is not the header of an IVF file of version 0.
    pub fn new(source: R) -> Result<Self, ReadError> {
        let mut input = Input::new(source);
        let header = read_header(&mut input)?;
        Ok(IvfReader { input, header, frame: Vec::new(), max_frame_len: DEFAULT_MAX_FRAME_LEN })
    }

    /// The same reader for frames of at most `max` bytes.
    #[must_use]
    pub fn with_max_frame_len(mut self, max: usize) -> Self {
        self.max_frame_len = max;
        self
    }

    /// The header.
    pub fn header(&self) -> &IvfHeader {
        &self.header
    }

    /// The next frame; `None` at the end of the file.
    ///
    /// # Errors
    /// When the file ends inside a frame, or the frame is too long. Nothing more can be read then.
    pub fn read_frame(&mut self) -> Result<Option<IvfFrame<'_>>, ReadError> {
        let offset = self.input.offset();
        let Some([l0, l1, l2, l3, timestamp @ ..]) = self.input.array_or_end::<12>("frame header")? else {
            return Ok(None);
        };
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if len > self.max_frame_len {
            return Err(ReadError::TooLong { offset, part: "frame", max: self.max_frame_len });
        }
        self.frame.clear();
        self.input.append(&mut self.frame, len, "frame")?;
        Ok(Some(IvfFrame { timestamp: u64::from_le_bytes(timestamp), data: &self.frame }))
    }
}

fn read_header(input: &mut Input<impl Read>) -> Result<IvfHeader, ReadError> {
    const PART: &str = "file header";
    if input.array(PART)? != SIGNATURE {
        return Err(ReadError::Malformed { offset: 0, reason: "an IVF file begins with DKIF" });
    }
    if u16::from_le_bytes(input.array(PART)?) != 0 {
        return Err(ReadError::Malformed { offset: 4, reason: "the version of an IVF file is 0" });
    }
    let len = u16::from_le_bytes(input.array(PART)?);
    let Some(more) = len.checked_sub(HEADER_LEN) else {
        return Err(ReadError::Malformed { offset: 6, reason: "the header of an IVF file has 32 bytes" });
    };
    let codec = IvfCodec::from_fourcc(input.array(PART)?);
    let (width, height) = (u16::from_le_bytes(input.array(PART)?), u16::from_le_bytes(input.array(PART)?));
    let denominator = u32::from_le_bytes(input.array(PART)?);
    let numerator = u32::from_le_bytes(input.array(PART)?);
    let frame_count = u32::from_le_bytes(input.array(PART)?);
    input.skip(4 + u64::from(more), PART)?;
    Ok(IvfHeader { codec, width, height, time_base: (numerator, denominator), frame_count })
}

/// Writes an IVF file.
///
/// ```
/// use std::io::Cursor;
///
/// use kaon_rtc::container::{IvfCodec, IvfHeader, IvfWriter};
///
/// let header = IvfHeader::new(IvfCodec::Vp8, 640, 480, 30);
/// let mut writer = IvfWriter::new(Cursor::new(Vec::new()), &header)?;
/// writer.write_frame(0, b"a frame")?;
/// let file = writer.finish()?.into_inner();
/// assert_eq!(&file[..4], b"DKIF");
/// # Ok::<(), kaon_rtc::container::WriteError>(())
/// ```
#[derive(Debug)]
pub struct IvfWriter<W> {
    sink: W,
    frames: u32,
}

impl<W: Write> IvfWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// When the sink fails.
    pub fn new(mut sink: W, header: &IvfHeader) -> Result<Self, WriteError> {
        let mut bytes = [0; HEADER_LEN as usize];
        bytes[..4].copy_from_slice(&SIGNATURE);
        bytes[6..8].copy_from_slice(&HEADER_LEN.to_le_bytes());
        bytes[8..12].copy_from_slice(&header.codec.fourcc());
        bytes[12..14].copy_from_slice(&header.width.to_le_bytes());
        bytes[14..16].copy_from_slice(&header.height.to_le_bytes());
        bytes[16..20].copy_from_slice(&header.time_base.1.to_le_bytes());
        bytes[20..24].copy_from_slice(&header.time_base.0.to_le_bytes());
        bytes[24..28].copy_from_slice(&header.frame_count.to_le_bytes());
        sink.write_all(&bytes)?;
        Ok(IvfWriter { sink, frames: 0 })
    }

    /// Writes a frame; timestamps are to rise.
    ///
    /// # Errors
    /// When the frame has 4 GiB or the sink fails.
    pub fn write_frame(&mut self, timestamp: u64, data: &[u8]) -> Result<(), WriteError> {
        let max = u32::MAX as usize;
        let len = u32::try_from(data.len()).map_err(|_| WriteError::TooLong {
            part: "frame",
            len: data.len(),
            max,
        })?;
        self.sink.write_all(&len.to_le_bytes())?;
        self.sink.write_all(&timestamp.to_le_bytes())?;
        self.sink.write_all(data)?;
        self.frames = self.frames.saturating_add(1);
        Ok(())
    }

    /// The sink, behind the last frame.
    pub fn into_inner(self) -> W {
        self.sink
    }
}

impl<W: Write + Seek> IvfWriter<W> {
    /// Writes the number of frames into the header, and gives the sink back, behind the last frame.
    ///
    /// # Errors
    /// When the sink fails. It has to begin with the header.
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.sink.seek(SeekFrom::Start(FRAME_COUNT_OFFSET))?;
        self.sink.write_all(&self.frames.to_le_bytes())?;
        self.sink.seek(SeekFrom::End(0))?;
        self.sink.flush()?;
        Ok(self.sink)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn write(header: &IvfHeader, frames: &[(u64, Vec<u8>)]) -> Vec<u8> {
        let mut writer = IvfWriter::new(Cursor::new(Vec::new()), header).unwrap();
        for (timestamp, data) in frames {
            writer.write_frame(*timestamp, data).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn the_header_lies_as_libvpx_has_it() {
        let file = write(&IvfHeader::new(IvfCodec::Vp9, 640, 480, 30), &[(5, vec![1, 2])]);
        assert_eq!(
            file,
            *b"DKIF\0\0\x20\0VP90\x80\x02\xe0\x01\x1e\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\
               \x02\0\0\0\x05\0\0\0\0\0\0\0\x01\x02"
        );
    }

    #[test]
    fn longer_headers_are_passed_over() {
        let mut file = write(&IvfHeader::new(IvfCodec::Other(*b"H263"), 1, 2, 3), &[(5, vec![1, 2])]);
        file[6] = 35;
        file.splice(32..32, [9, 9, 9]);
        let mut reader = IvfReader::new(&file[..]).unwrap();
        assert_eq!(reader.header().codec, IvfCodec::Other(*b"H263"));
        assert_eq!(reader.read_frame().unwrap(), Some(IvfFrame { timestamp: 5, data: &[1, 2] }));
    }

    #[test]
    fn malformed_files() {
        let file = write(&IvfHeader::new(IvfCodec::Vp8, 1, 2, 3), &[(5, vec![7; 20])]);
        for len in (0..file.len()).filter(|&len| len != 32) {
            let result = IvfReader::new(&file[..len]).and_then(|mut reader| reader.read_frame().map(drop));
            assert!(matches!(result, Err(ReadError::Truncated { offset, .. }) if offset == len as u64));
        }
        for (at, value) in [(0, b'd'), (4, 1), (6, 31)] {
            let mut file = file.clone();
            file[at] = value;
            let result = IvfReader::new(&file[..]);
            assert!(matches!(result, Err(ReadError::Malformed { offset, .. }) if offset == at as u64));
        }
        let mut reader = IvfReader::new(&file[..]).unwrap().with_max_frame_len(19);
        assert!(matches!(reader.read_frame(), Err(ReadError::TooLong { offset: 32, max: 19, .. })));
        let mut claims = file.clone();
        claims[32..36].copy_from_slice(&(DEFAULT_MAX_FRAME_LEN as u32).to_le_bytes());
        let mut reader = IvfReader::new(&claims[..]).unwrap();
        assert!(reader.read_frame().is_err());
        assert!(reader.frame.capacity() < 1000, "memory grows with what is there");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            fourcc in any::<[u8; 4]>(), width in any::<u16>(), height in any::<u16>(),
            time_base in any::<(u32, u32)>(),
            frames in proptest::collection::vec((any::<u64>(), proptest::collection::vec(any::<u8>(), 0..50)), 0..20),
        ) {
            let frame_count = frames.len() as u32;
            let header = IvfHeader { codec: IvfCodec::from_fourcc(fourcc), width, height, time_base, frame_count };
            let file = write(&header, &frames);
            let mut reader = IvfReader::new(&file[..]).unwrap();
            prop_assert_eq!(reader.header(), &header);
            for (timestamp, data) in &frames {
                let frame = IvfFrame { timestamp: *timestamp, data };
                prop_assert_eq!(reader.read_frame().unwrap(), Some(frame));
            }
            prop_assert_eq!(reader.read_frame().unwrap(), None);
        }
    }
}
