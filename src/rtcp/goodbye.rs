//! Goodbye, RFC 3550 §6.6.

use super::encode::{Writer, count};
use super::header::{HEADER_LEN, PacketType, Reader};
use super::{Encode, ParseError, Record, Records, WriteError};
use crate::layer::Ssrc;

/// Sources that are no longer active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Goodbye<'a> {
    /// The sources; at most 31.
    pub sources: Records<'a, Ssrc>,
    /// Why they leave, UTF-8; at most 255 bytes.
    pub reason: Option<&'a [u8]>,
}

impl<'a> Goodbye<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new("goodbye", body);
        let sources = Records::from_wire(reader.bytes(Ssrc::LEN * usize::from(count), "list of sources")?);
        let rest = reader.rest();
        let mut reason = None;
        if !rest.is_empty() {
            let mut reader = Reader::new("goodbye", rest);
            let len = usize::from(reader.u8("reason")?);
            reason = Some(reader.bytes(len, "reason")?);
        }
        Ok(Goodbye { sources, reason })
    }
}

impl Encode for Goodbye<'_> {
    fn encoded_len(&self) -> usize {
        let reason = self.reason.map_or(0, |reason| (1 + reason.len()).next_multiple_of(4));
        HEADER_LEN + self.sources.encoded_len() + reason
    }

    fn encode(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        let len = self.encoded_len();
        let sources = count("sources", self.sources.len(), 31)?;
        let reason = self.reason.map(|text| Ok((count("bytes of the reason", text.len(), 255)?, text)));
        let reason = reason.transpose()?;
        let mut writer = Writer::new(out, PacketType::GOODBYE, sources, len)?;
        self.sources.write(&mut writer);
        if let Some((len, text)) = reason {
            writer.put(&[len]);
            writer.put(text);
        }
        writer.pad();
        Ok(len)
    }
}
