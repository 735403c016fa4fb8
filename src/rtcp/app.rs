//! Packets whose content is not ours to know.

use super::encode::{Writer, count};
use super::header::{HEADER_LEN, PacketType, Reader};
use super::{Encode, ParseError, WriteError};
use crate::layer::Ssrc;

/// An application-defined packet, RFC 3550 §6.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct App<'a> {
    /// Which of the application's kinds, 0 to 31.
    pub subtype: u8,
    /// Who sends it.
    pub ssrc: Ssrc,
    /// The application's name, four ASCII characters.
    pub name: [u8; 4],
    /// The application's data; a multiple of four bytes when it is written.
    pub data: &'a [u8],
}

impl<'a> App<'a> {
    pub(super) fn parse(subtype: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new("application-defined packet", body);
        let ssrc = Ssrc(reader.u32("SSRC")?);
        Ok(App { subtype, ssrc, name: reader.array("name")?, data: reader.rest() })
    }
}

impl Encode for App<'_> {
    fn encoded_len(&self) -> usize {
        HEADER_LEN + 8 + self.data.len()
    }

    fn encode(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        let len = self.encoded_len();
        let subtype = count("as subtype", usize::from(self.subtype), 31)?;
        aligned("application data", self.data)?;
        let mut writer = Writer::new(out, PacketType::APP, subtype, len)?;
        writer.u32(self.ssrc.0);
        writer.put(&self.name);
        writer.put(self.data);
        Ok(len)
    }
}

/// A packet of a type or feedback format that this library does not interpret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown<'a> {
    /// Its packet type.
    pub packet_type: PacketType,
    /// The five bits before the packet type: a count or, of feedback, the format.
    pub count: u8,
    /// What follows the header, without padding; a multiple of four bytes when it is written.
    pub body: &'a [u8],
}

impl Encode for Unknown<'_> {
    fn encoded_len(&self) -> usize {
        HEADER_LEN + self.body.len()
    }

    fn encode(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        let len = self.encoded_len();
        let count = count("as count", usize::from(self.count), 31)?;
        aligned("body", self.body)?;
        Writer::new(out, self.packet_type, count, len)?.put(self.body);
        Ok(len)
    }
}

fn aligned(what: &'static str, data: &[u8]) -> Result<(), WriteError> {
    if data.len().is_multiple_of(4) { Ok(()) } else { Err(WriteError::Unaligned { what, len: data.len() }) }
}
