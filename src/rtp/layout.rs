//! Where the parts of a packet begin and end.

use std::ops::Range;

use super::{ExtensionForm, ParseError};

pub(super) const FIXED_HEADER_LEN: usize = 12;

/// Byte offsets of a checked packet; every view of the packet slices by these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    csrcs_end: usize,
    extension: Option<ExtensionBlock>,
    payload_start: usize,
    payload_end: usize,
}

/// The header extension's profile and the place of its body, behind the four bytes that introduce it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ExtensionBlock {
    pub(super) profile: u16,
    start: usize,
    end: usize,
}

impl Layout {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let truncated = |part, need| ParseError::Truncated { part, need, have: bytes.len() };
        let Some(&[first, ..]) = bytes.first_chunk::<FIXED_HEADER_LEN>() else {
            return Err(truncated("fixed header", FIXED_HEADER_LEN));
        };
        if first >> 6 != 2 {
            return Err(ParseError::Version(first >> 6));
        }
        let csrcs_end = FIXED_HEADER_LEN + 4 * usize::from(first & 0x0f);
        if bytes.len() < csrcs_end {
            return Err(truncated("list of contributing sources", csrcs_end));
        }
        let mut payload_start = csrcs_end;
        let mut extension = None;
        if first & 0x10 != 0 {
            let start = csrcs_end + 4;
            let Some(&[p0, p1, l0, l1]) = bytes.get(csrcs_end..start) else {
                return Err(truncated("extension header", start));
            };
            let end = start + 4 * usize::from(u16::from_be_bytes([l0, l1]));
            if bytes.len() < end {
                return Err(truncated("header extension", end));
            }
            extension = Some(ExtensionBlock { profile: u16::from_be_bytes([p0, p1]), start, end });
            payload_start = end;
        }
        let available = bytes.len() - payload_start;
        let padding = match bytes.last() {
            Some(&padding) if first & 0x20 != 0 => {
                if padding == 0 || usize::from(padding) > available {
                    return Err(ParseError::Padding { padding, available });
                }
                usize::from(padding)
            }
            _ => 0,
        };
        Ok(Layout { csrcs_end, extension, payload_start, payload_end: bytes.len() - padding })
    }

    pub(super) fn csrcs(&self) -> Range<usize> {
        FIXED_HEADER_LEN..self.csrcs_end
    }

    pub(super) fn extension_block(&self) -> Option<ExtensionBlock> {
        self.extension
    }

    pub(super) fn payload(&self) -> Range<usize> {
        self.payload_start..self.payload_end
    }
}

impl ExtensionBlock {
    pub(super) fn body(&self) -> Range<usize> {
        self.start..self.end
    }

    pub(super) fn form(&self) -> Option<ExtensionForm> {
        ExtensionForm::from_profile(self.profile)
    }
}
