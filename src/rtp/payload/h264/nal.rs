//! NAL units and the two ways in which a stream separates them.

use crate::rtp::payload::PacketizeError;

/// What kind of NAL unit it is, H.264 table 7-1 and RFC 6184 table 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
#[allow(missing_docs)]
pub enum NalUnitType {
    Slice = 1,
    Idr = 5,
    Sei = 6,
    Sps = 7,
    Pps = 8,
    AccessUnitDelimiter = 9,
    StapA = 24,
    StapB = 25,
    Mtap16 = 26,
    Mtap24 = 27,
    FuA = 28,
    FuB = 29,
    /// Any other type that a codec makes: 2 to 4 and 10 to 23.
    OtherCoded,
    /// 0, 30 and 31.
    Reserved,
}

impl NalUnitType {
    /// The type in the first byte of a NAL unit.
    pub const fn from_header(header: u8) -> Self {
        match header & 0x1f {
            1 => NalUnitType::Slice,
            5 => NalUnitType::Idr,
            6 => NalUnitType::Sei,
            7 => NalUnitType::Sps,
            8 => NalUnitType::Pps,
            9 => NalUnitType::AccessUnitDelimiter,
            24 => NalUnitType::StapA,
            25 => NalUnitType::StapB,
            26 => NalUnitType::Mtap16,
            27 => NalUnitType::Mtap24,
            28 => NalUnitType::FuA,
            29 => NalUnitType::FuB,
            0 | 30 | 31 => NalUnitType::Reserved,
            _ => NalUnitType::OtherCoded,
        }
    }

    /// The type of a NAL unit; `None` when it is empty.
    pub fn of(unit: &[u8]) -> Option<Self> {
        unit.first().map(|&header| NalUnitType::from_header(header))
    }

    /// Whether a codec makes such units, types 1 to 23, and not RTP.
    pub const fn is_coded_unit(self) -> bool {
        !matches!(
            self,
            NalUnitType::StapA
                | NalUnitType::StapB
                | NalUnitType::Mtap16
                | NalUnitType::Mtap24
                | NalUnitType::FuA
                | NalUnitType::FuB
                | NalUnitType::Reserved
        )
    }
}

/// How NAL units follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StreamFormat {
    /// Each behind a start code, as in files and most encoders' output: H.264 Annex B.
    #[default]
    AnnexB,
    /// Each behind its length in four bytes, as in MP4: ISO/IEC 14496-15.
    Avc,
}

impl StreamFormat {
    pub(super) const PREFIX_LEN: usize = 4;

    pub(super) fn prefix(self, unit_len: usize) -> [u8; StreamFormat::PREFIX_LEN] {
        match self {
            StreamFormat::AnnexB => [0, 0, 0, 1],
            // A frame under reassembly is far below 4 GiB: the depacketizer's limit is checked first.
            StreamFormat::Avc => u32::try_from(unit_len).unwrap_or(u32::MAX).to_be_bytes(),
        }
    }
}

/// The NAL units of an access unit.
#[derive(Debug, Clone)]
pub struct NalUnits<'a> {
    rest: &'a [u8],
    format: StreamFormat,
    started: bool,
}

impl<'a> NalUnits<'a> {
    /// Iterates over the NAL units of `frame`; empty ones are left out.
    pub fn new(frame: &'a [u8], format: StreamFormat) -> Self {
        NalUnits { rest: frame, format, started: false }
    }

    fn next_annex_b(&mut self) -> Option<Result<&'a [u8], PacketizeError>> {
        if !self.started {
            self.started = true;
            let (leading, rest) = split_at_start_code(self.rest)?;
            if leading.iter().any(|&b| b != 0) {
                self.rest = &[];
                return Some(Err(malformed("the access unit does not begin with a start code")));
            }
            let Some(rest) = rest else {
                self.rest = &[];
                return Some(Err(malformed("the access unit has no start code")));
            };
            self.rest = rest;
        }
        loop {
            let (unit, rest) = split_at_start_code(self.rest)?;
            self.rest = rest.unwrap_or(&[]);
            // H.264 Annex B: zeros behind a unit (the first byte of a long start code too) are not of it.
            let unit = without_trailing_zeros(unit);
            if !unit.is_empty() {
                return Some(Ok(unit));
            }
        }
    }

    fn next_avc(&mut self) -> Option<Result<&'a [u8], PacketizeError>> {
        while !self.rest.is_empty() {
            let unit = self.rest.split_first_chunk::<4>().and_then(|(len, rest)| {
                rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)
            });
            let Some((unit, rest)) = unit else {
                self.rest = &[];
                return Some(Err(malformed("a NAL unit is longer than the rest of the access unit")));
            };
            self.rest = rest;
            if !unit.is_empty() {
                return Some(Ok(unit));
            }
        }
        None
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = Result<&'a [u8], PacketizeError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.format {
            StreamFormat::AnnexB => self.next_annex_b(),
            StreamFormat::Avc => self.next_avc(),
        }
    }
}

fn malformed(reason: &'static str) -> PacketizeError {
    PacketizeError::Malformed { codec: "H.264", reason }
}

pub(super) fn without_trailing_zeros(unit: &[u8]) -> &[u8] {
    let len = unit.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    &unit[..len]
}

/// What follows the start code that `data` begins with, or all of it if it begins with none.
pub(super) fn without_start_code(data: &[u8]) -> &[u8] {
    let zeros = data.iter().take_while(|byte| **byte == 0).count();
    match data.get(zeros) {
        Some(1) if zeros >= 2 => &data[zeros + 1..],
        _ => data,
    }
}

// What is before the next 00 00 01, and what is behind it; `None` when there is nothing left.
pub(super) fn split_at_start_code(data: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if data.is_empty() {
        return None;
    }
    let mut at = 2;
    while let Some(&byte) = data.get(at) {
        match byte {
            // A byte above 1 is in no start code, so that the next can end three bytes on.
            2.. => at += 3,
            1 if data[at - 2..at] == [0, 0] => return Some((&data[..at - 2], Some(&data[at + 1..]))),
            1 => at += 3,
            0 => at += 1,
        }
    }
    Some((data, None))
}
