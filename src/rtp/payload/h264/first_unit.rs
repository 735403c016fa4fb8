//! What the beginning of a payload says.

use super::nal::{NalUnitType, without_start_code};

/// The first NAL unit of a payload, or the fragment of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FirstUnit {
    pub(crate) kind: NalUnitType,
    /// The first slice of a picture: first_mb_in_slice is an Exp-Golomb code, whose zero is a single bit that is set.
    pub(crate) is_first_slice: bool,
}

impl FirstUnit {
    /// `None` for fragments but the first, and for what is empty.
    pub(crate) fn of(payload: &[u8]) -> Option<Self> {
        let payload = without_start_code(payload);
        // An aggregate inside of an aggregate is malformed, RFC 6184 §5.7: only one is opened.
        let unit = match payload {
            [header, _, _, unit @ ..] if NalUnitType::from_header(*header) == NalUnitType::StapA => unit,
            _ => payload,
        };
        let (&header, body) = unit.split_first()?;
        let (kind, slice) = match (NalUnitType::from_header(header), body) {
            (NalUnitType::FuA, [fu, slice @ ..]) if fu & 0x80 != 0 => {
                (NalUnitType::from_header(fu & 0x1f), slice)
            }
            (NalUnitType::FuA, _) => return None,
            (kind, slice) => (kind, slice),
        };
        Some(Self { kind, is_first_slice: slice.first().is_some_and(|byte| byte & 0x80 != 0) })
    }

    /// Whether an access unit begins with it, of which what came before is not known. A picture parameter set or
    /// supplemental information may come first too, but behind a sequence parameter set that is lost it may not be told.
    pub(crate) fn begins_access_unit(self) -> bool {
        match self.kind {
            NalUnitType::AccessUnitDelimiter | NalUnitType::Sps => true,
            NalUnitType::Slice | NalUnitType::Idr => self.is_first_slice,
            _ => false,
        }
    }

    /// H.264 §7.4.1.2.3: which NAL units begin another access unit behind a primary coded picture.
    #[cfg(feature = "media")]
    pub(crate) fn begins_behind_picture(self) -> bool {
        match self.kind {
            NalUnitType::AccessUnitDelimiter | NalUnitType::Sps | NalUnitType::Pps | NalUnitType::Sei => true,
            NalUnitType::Slice | NalUnitType::Idr => self.is_first_slice,
            _ => false,
        }
    }

    #[cfg(feature = "media")]
    pub(crate) fn is_later_slice(self) -> bool {
        matches!(self.kind, NalUnitType::Slice | NalUnitType::Idr) && !self.is_first_slice
    }
}
