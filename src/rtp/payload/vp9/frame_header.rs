//! The beginning of a VP9 frame: its uncompressed header, VP9 bitstream specification §6.2.

use crate::rtp::payload::Dimensions;

/// What a sender has to know of a VP9 frame to describe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The frame needs no other frame.
    pub key_frame: bool,
    /// The frame is coded without references although it is not a key frame.
    pub intra_only: bool,
    /// The picture's size, of a key frame.
    pub dimensions: Option<Dimensions>,
}

impl FrameHeader {
    /// Reads the beginning of a frame; `None` when it is not VP9.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let mut bits = Bits { data: frame, at: 0 };
        if bits.take(2)? != 0b10 {
            return None;
        }
        let profile = bits.take(1)? | (bits.take(1)? << 1);
        if profile == 3 {
            bits.take(1)?;
        }
        let show_existing_frame = bits.take(1)? == 1;
        if show_existing_frame {
            return Some(FrameHeader { key_frame: false, intra_only: false, dimensions: None });
        }
        let key_frame = bits.take(1)? == 0;
        let show_frame = bits.take(1)? == 1;
        let _error_resilient = bits.take(1)?;
        if !key_frame {
            let intra_only = !show_frame && bits.take(1)? == 1;
            return Some(FrameHeader { key_frame, intra_only, dimensions: None });
        }
        if bits.take(24)? != 0x49_83_42 {
            return None;
        }
        if profile >= 2 {
            bits.take(1)?; // bit depth
        }
        const SRGB: u32 = 7;
        if bits.take(3)? != SRGB {
            bits.take(1)?; // colour range
            if profile & 1 == 1 {
                bits.take(3)?; // subsampling
            }
        } else if profile & 1 == 1 {
            bits.take(1)?;
        }
        // The coded size is one less, so that 65536 does not fit the type that a peer is told.
        let width = u16::try_from(bits.take(16)? + 1).ok()?;
        let height = u16::try_from(bits.take(16)? + 1).ok()?;
        Some(FrameHeader { key_frame, intra_only: false, dimensions: Some(Dimensions { width, height }) })
    }
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.data.get(self.at / 8)?;
            value = (value << 1) | u32::from((byte >> (7 - self.at % 8)) & 1);
            self.at += 1;
        }
        Some(value)
    }
}
