//! Receiver estimated maximum bitrate, draft-alvestrand-rmcat-remb-03.

use super::encode::{Writer, count};
use super::feedback::sources;
use super::header::{HEADER_LEN, PacketType, Reader};
use super::{Encode, ParseError, Record, Records, WriteError};
use crate::layer::{Bitrate, Ssrc};

/// The feedback format of application-layer feedback, RFC 4585 §6.4.
pub(super) const FORMAT: u8 = 15;

const IDENTIFIER: [u8; 4] = *b"REMB";
const MANTISSA_BITS: u32 = 18;
/// The highest rate of 64 bits that has 18 significant ones; what is higher is read as this.
const MAX_BPS: u64 = 0x3_ffff << (u64::BITS - MANTISSA_BITS);

/// How much a receiver believes that it can receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Remb<'a> {
    /// Who believes.
    pub sender: Ssrc,
    /// Unused, zero. What a peer sends here is kept.
    pub media: Ssrc,
    /// The estimate for all `sources` together. Written with 18 significant bits, rounded down.
    pub bitrate: Bitrate,
    /// The sources that share it; at most 255.
    pub sources: Records<'a, Ssrc>,
}

impl<'a> Remb<'a> {
    /// Whether a body of application-layer feedback is of this kind.
    pub(super) fn is_remb(body: &[u8]) -> bool {
        body.get(8..12) == Some(&IDENTIFIER)
    }

    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let (sender, media, rest) = sources("REMB", body)?;
        let mut reader = Reader::new("REMB", rest);
        reader.array::<4>("identifier")?;
        let word = reader.u32("bitrate")?;
        let (count, exponent, mantissa) = (word >> 24, (word >> MANTISSA_BITS) & 0x3f, word & 0x3_ffff);
        // An exponent of up to 63 can claim more than 64 bits hold.
        let bps = (u128::from(mantissa) << exponent).min(u128::from(MAX_BPS));
        Ok(Remb {
            sender,
            media,
            bitrate: Bitrate::from_bps(bps as u64),
            sources: Records::from_wire(reader.bytes(Ssrc::LEN * count as usize, "list of sources")?),
        })
    }
}

impl Encode for Remb<'_> {
    fn encoded_len(&self) -> usize {
        HEADER_LEN + 16 + self.sources.encoded_len()
    }

    fn encode(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        let len = self.encoded_len();
        let count = count("sources", self.sources.len(), 255)?;
        let bps = self.bitrate.bps();
        let exponent = (u64::BITS - bps.leading_zeros()).saturating_sub(MANTISSA_BITS);
        let mantissa = (bps >> exponent) as u32;
        let mut writer = Writer::new(out, PacketType::PAYLOAD_FEEDBACK, FORMAT, len)?;
        writer.u32(self.sender.0);
        writer.u32(self.media.0);
        writer.put(&IDENTIFIER);
        writer.u32((u32::from(count) << 24) | (exponent << MANTISSA_BITS) | mantissa);
        self.sources.write(&mut writer);
        Ok(len)
    }
}
