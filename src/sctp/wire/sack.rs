//! SACK.

use super::{ChunkType, PacketWriter, WireError};
use crate::sctp::sequence::Tsn;

/// A SACK chunk (RFC 9260 §3.3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sack<'a> {
    /// Everything up to this TSN was received.
    pub cumulative_tsn: Tsn,
    /// The bytes that the receiver still takes.
    pub receive_window: u32,
    gaps: &'a [u8],
    duplicates: &'a [u8],
}

impl<'a> Sack<'a> {
    /// The bytes of a SACK chunk without blocks and duplicates.
    pub const MIN_LEN: usize = 16;

    /// Reads the value of a SACK chunk.
    ///
    /// # Errors
    /// [`WireError::TooShort`] if the fixed fields or the lists do not fit.
    pub fn parse(value: &'a [u8]) -> Result<Self, WireError> {
        let Some((&[t0, t1, t2, t3, w0, w1, w2, w3, g0, g1, d0, d1], lists)) = value.split_first_chunk()
        else {
            return Err(WireError::TooShort { what: "SACK", needed: 12, length: value.len() });
        };
        let gaps = 4 * usize::from(u16::from_be_bytes([g0, g1]));
        let duplicates = 4 * usize::from(u16::from_be_bytes([d0, d1]));
        let too_short =
            WireError::TooShort { what: "SACK", needed: 12 + gaps + duplicates, length: value.len() };
        let (gaps, rest) = lists.split_at_checked(gaps).ok_or(too_short)?;
        let duplicates = rest.get(..duplicates).ok_or(too_short)?;
        Ok(Self {
            cumulative_tsn: Tsn(u32::from_be_bytes([t0, t1, t2, t3])),
            receive_window: u32::from_be_bytes([w0, w1, w2, w3]),
            gaps,
            duplicates,
        })
    }

    /// The blocks received beyond the cumulative TSN, as distances from it, both ends included.
    pub fn gaps(&self) -> impl Iterator<Item = (u16, u16)> + 'a {
        self.gaps
            .as_chunks()
            .0
            .iter()
            .map(|&[s0, s1, e0, e1]| (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([e0, e1])))
    }

    /// The TSNs that were received more than once since the last SACK.
    pub fn duplicates(&self) -> impl Iterator<Item = Tsn> + 'a {
        self.duplicates.as_chunks().0.iter().map(|bytes| Tsn(u32::from_be_bytes(*bytes)))
    }

    /// Writes a SACK chunk with as many of the blocks and duplicates as fit.
    pub fn write(
        packet: &mut PacketWriter<'_>,
        cumulative_tsn: Tsn,
        receive_window: u32,
        gaps: impl ExactSizeIterator<Item = (u16, u16)>,
        duplicates: &[Tsn],
    ) -> bool {
        let entries = packet.room().saturating_sub(Self::MIN_LEN) / 4;
        let gap_count = gaps.len().min(entries).min(usize::from(u16::MAX));
        let duplicates = &duplicates[..duplicates.len().min(entries - gap_count)];
        packet.chunk(ChunkType::SACK, 0, |out| {
            out.extend_from_slice(&cumulative_tsn.0.to_be_bytes());
            out.extend_from_slice(&receive_window.to_be_bytes());
            out.extend_from_slice(&(gap_count as u16).to_be_bytes());
            out.extend_from_slice(&(duplicates.len() as u16).to_be_bytes());
            for (start, end) in gaps.take(gap_count) {
                out.extend_from_slice(&start.to_be_bytes());
                out.extend_from_slice(&end.to_be_bytes());
            }
            for tsn in duplicates {
                out.extend_from_slice(&tsn.0.to_be_bytes());
            }
        })
    }
}
