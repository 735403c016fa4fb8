//! rtpdump: RTP and RTCP packets with the times of their arrival, as rtptools and Wireshark write them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::input::Input;
use super::{ReadError, WriteError};

const MAGIC: &[u8] = b"#!rtpplay1.0 ";
/// The longest first line: the magic, an address, a slash, a port.
const MAX_LINE_LEN: usize = 128;
/// What precedes each packet.
const PACKET_HEADER_LEN: usize = 8;

/// The header of an rtpdump file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpdumpHeader {
    /// When the recording began, since 1970-01-01 00:00 UTC.
    pub start: Duration,
    /// Where the packets came from, or went to: the format does not say.
    pub source: SocketAddrV4,
}

/// What a packet of an rtpdump file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RtpdumpKind {
    /// RTP, which had this length in bytes when it was recorded; the file may have the beginning only.
    Rtp {
        /// The length, not zero.
        original_len: u16,
    },
    /// RTCP.
    Rtcp,
}

/// A packet of an rtpdump file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpdumpPacket<'a> {
    /// When it came, since the recording began; in milliseconds.
    pub offset: Duration,
    /// What it is.
    pub kind: RtpdumpKind,
    /// The packet.
    pub data: &'a [u8],
}

/// Reads an rtpdump file packet by packet.
///
/// ```
/// use std::time::Duration;
///
/// use kaon_rtc::container::{RtpdumpHeader, RtpdumpKind, RtpdumpPacket, RtpdumpReader, RtpdumpWriter};
///
/// let header = RtpdumpHeader { start: Duration::ZERO, source: "192.0.2.1:5004".parse()? };
/// let data = &[0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 1][..];
/// let kind = RtpdumpKind::Rtp { original_len: 12 };
/// let packet = RtpdumpPacket { offset: Duration::from_millis(20), kind, data };
/// let mut writer = RtpdumpWriter::new(Vec::new(), &header)?;
/// writer.write_packet(&packet)?;
/// let file = writer.into_inner();
///
/// let mut reader = RtpdumpReader::new(&file[..])?;
/// assert_eq!(reader.read_packet()?, Some(packet));
/// assert_eq!(reader.read_packet()?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RtpdumpReader<R> {
    input: Input<R>,
    header: RtpdumpHeader,
    // At most 64 KiB: a length of the file has two bytes.
    packet: Vec<u8>,
}

impl<R: Read> RtpdumpReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is not that of an rtpdump file.
    pub fn new(source: R) -> Result<Self, ReadError> {
        let mut input = Input::new(source);
        let header = read_header(&mut input)?;
        Ok(RtpdumpReader { input, header, packet: Vec::new() })
    }

    /// The header.
    pub fn header(&self) -> &RtpdumpHeader {
        &self.header
    }

    /// The next packet; `None` at the end of the file.
    ///
    /// # Errors
    /// When the file ends inside a packet, or a length cannot be. Nothing more can be read then.
    pub fn read_packet(&mut self) -> Result<Option<RtpdumpPacket<'_>>, ReadError> {
        let offset = self.input.offset();
        let head = self.input.array_or_end::<PACKET_HEADER_LEN>("packet header")?;
        let Some([l0, l1, o0, o1, t0, t1, t2, t3]) = head else { return Ok(None) };
        let Some(len) = usize::from(u16::from_be_bytes([l0, l1])).checked_sub(PACKET_HEADER_LEN) else {
            return Err(ReadError::Malformed { offset, reason: "a packet is shorter than its header" });
        };
        self.packet.clear();
        self.input.append(&mut self.packet, len, "packet")?;
        let kind = match u16::from_be_bytes([o0, o1]) {
            0 => RtpdumpKind::Rtcp,
            original_len => RtpdumpKind::Rtp { original_len },
        };
        let offset = Duration::from_millis(u64::from(u32::from_be_bytes([t0, t1, t2, t3])));
        Ok(Some(RtpdumpPacket { offset, kind, data: &self.packet }))
    }
}

fn read_header(input: &mut Input<impl Read>) -> Result<RtpdumpHeader, ReadError> {
    let mut line = [0; MAX_LINE_LEN];
    let mut len = 0;
    loop {
        let [byte] = input.array("first line")?;
        if byte == b'\n' {
            break;
        }
        *line.get_mut(len).ok_or_else(|| input.malformed("the first line is too long"))? = byte;
        len += 1;
        if !MAGIC.starts_with(&line[..len.min(MAGIC.len())]) {
            return Err(ReadError::Malformed {
                offset: 0,
                reason: "an rtpdump file begins with #!rtpplay1.0",
            });
        }
    }
    if len < MAGIC.len() {
        return Err(ReadError::Malformed { offset: 0, reason: "an rtpdump file begins with #!rtpplay1.0" });
    }
    // The line has the address and port as text, which the binary header says again.
    const PART: &str = "file header";
    let seconds = u32::from_be_bytes(input.array(PART)?);
    let micros = u32::from_be_bytes(input.array(PART)?);
    let address = Ipv4Addr::from(input.array::<4>(PART)?);
    let port = u16::from_be_bytes(input.array(PART)?);
    input.skip(2, PART)?;
    let start = Duration::from_secs(seconds.into()) + Duration::from_micros(micros.into());
    Ok(RtpdumpHeader { start, source: SocketAddrV4::new(address, port) })
}

/// Writes an rtpdump file.
#[derive(Debug)]
pub struct RtpdumpWriter<W> {
    sink: W,
}

impl<W: Write> RtpdumpWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// When the recording begins after 2106, or the sink fails.
    pub fn new(mut sink: W, header: &RtpdumpHeader) -> Result<Self, WriteError> {
        let seconds = u32::try_from(header.start.as_secs())
            .map_err(|_| WriteError::Header("the recording begins after 2106"))?;
        sink.write_all(MAGIC)?;
        writeln!(sink, "{}/{}", header.source.ip(), header.source.port())?;
        sink.write_all(&seconds.to_be_bytes())?;
        sink.write_all(&header.start.subsec_micros().to_be_bytes())?;
        sink.write_all(&header.source.ip().octets())?;
        sink.write_all(&header.source.port().to_be_bytes())?;
        sink.write_all(&[0; 2])?;
        Ok(RtpdumpWriter { sink })
    }

    /// Writes a packet; the time is cut to milliseconds, of which 49 days fit.
    ///
    /// # Errors
    /// When it has more than 65527 bytes, or the sink fails.
    pub fn write_packet(&mut self, packet: &RtpdumpPacket<'_>) -> Result<(), WriteError> {
        let data = packet.data;
        let max = usize::from(u16::MAX) - PACKET_HEADER_LEN;
        if data.len() > max {
            return Err(WriteError::TooLong { part: "packet", len: data.len(), max });
        }
        let original_len = match packet.kind {
            RtpdumpKind::Rtp { original_len } => original_len,
            RtpdumpKind::Rtcp => 0,
        };
        let millis = u32::try_from(packet.offset.as_millis()).unwrap_or(u32::MAX);
        self.sink.write_all(&((data.len() + PACKET_HEADER_LEN) as u16).to_be_bytes())?;
        self.sink.write_all(&original_len.to_be_bytes())?;
        self.sink.write_all(&millis.to_be_bytes())?;
        self.sink.write_all(data)?;
        Ok(())
    }

    /// The sink, behind the last packet.
    pub fn into_inner(self) -> W {
        self.sink
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> RtpdumpHeader {
        RtpdumpHeader {
            start: Duration::from_micros(1_700_000_000_250_000),
            source: SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 7), 5004),
        }
    }

    #[test]
    fn the_file_lies_as_rtptools_have_it() {
        let mut writer = RtpdumpWriter::new(Vec::new(), &header()).unwrap();
        let offset = Duration::from_millis(258);
        let kind = RtpdumpKind::Rtp { original_len: 3 };
        writer.write_packet(&RtpdumpPacket { offset, kind, data: b"rtp" }).unwrap();
        writer.write_packet(&RtpdumpPacket { offset, kind: RtpdumpKind::Rtcp, data: b"" }).unwrap();
        assert_eq!(
            writer.into_inner(),
            b"#!rtpplay1.0 192.0.2.7/5004\n\x65\x53\xf1\x00\x00\x03\xd0\x90\xc0\x00\x02\x07\x13\x8c\0\0\
              \0\x0b\0\x03\0\0\x01\x02rtp\0\x08\0\0\0\0\x01\x02"
        );
        let long = [0; 65528];
        let mut writer = RtpdumpWriter::new(Vec::new(), &header()).unwrap();
        let packet = RtpdumpPacket { offset, kind, data: &long };
        assert!(matches!(writer.write_packet(&packet), Err(WriteError::TooLong { max: 65527, .. })));
    }

    #[test]
    fn malformed_files() {
        let mut writer = RtpdumpWriter::new(Vec::new(), &header()).unwrap();
        let kind = RtpdumpKind::Rtp { original_len: 3 };
        writer.write_packet(&RtpdumpPacket { offset: Duration::ZERO, kind, data: b"rtp" }).unwrap();
        let file = writer.into_inner();
        let header_len = file.len() - 11;
        for len in (0..file.len()).filter(|&len| len != header_len) {
            let result =
                RtpdumpReader::new(&file[..len]).and_then(|mut reader| reader.read_packet().map(drop));
            assert!(
                matches!(result, Err(ReadError::Truncated { offset, .. }) if offset == len as u64),
                "{len}"
            );
        }
        let mut short = file.clone();
        short[header_len + 1] = 7;
        let result = RtpdumpReader::new(&short[..]).unwrap().read_packet().map(drop);
        assert!(matches!(result, Err(ReadError::Malformed { offset, .. }) if offset == header_len as u64));
        assert!(matches!(RtpdumpReader::new(&b"#!rtp\n"[..]), Err(ReadError::Malformed { offset: 0, .. })));
        assert!(matches!(RtpdumpReader::new(&b"#!/bin"[..]), Err(ReadError::Malformed { offset: 0, .. })));
        let long = [MAGIC, &[b'1'; 200]].concat();
        assert!(matches!(RtpdumpReader::new(&long[..]), Err(ReadError::Malformed { .. })));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            seconds in any::<u32>(), micros in 0u64..1_000_000, address in any::<[u8; 4]>(), port in any::<u16>(),
            packets in proptest::collection::vec(
                (any::<u32>(), any::<u16>(), proptest::collection::vec(any::<u8>(), 0..50)), 0..20),
        ) {
            let start = Duration::from_secs(seconds.into()) + Duration::from_micros(micros);
            let header = RtpdumpHeader { start, source: SocketAddrV4::new(address.into(), port) };
            let mut writer = RtpdumpWriter::new(Vec::new(), &header).unwrap();
            let packets: Vec<_> = packets.iter().map(|(millis, original_len, data)| RtpdumpPacket {
                offset: Duration::from_millis(u64::from(*millis)),
                kind: match *original_len {
                    0 => RtpdumpKind::Rtcp,
                    original_len => RtpdumpKind::Rtp { original_len },
                },
                data,
            }).collect();
            packets.iter().for_each(|packet| writer.write_packet(packet).unwrap());
            let file = writer.into_inner();
            let mut reader = RtpdumpReader::new(&file[..]).unwrap();
            prop_assert_eq!(reader.header(), &header);
            for packet in packets {
                prop_assert_eq!(reader.read_packet().unwrap(), Some(packet));
            }
            prop_assert_eq!(reader.read_packet().unwrap(), None);
        }
    }
}
