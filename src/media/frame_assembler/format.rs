//! What the assembler has to know of each payload format.

use crate::rtp::payload::h264::{self, NalUnitType, StreamFormat};
use crate::rtp::payload::{DepacketizeError, Depacketizer, Piece, opus, vp8, vp9};

/// The payload formats that a [`FrameAssembler`](super::FrameAssembler) can put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FrameFormat {
    /// VP8, RFC 7741.
    Vp8,
    /// VP9, RFC 9628.
    Vp9,
    /// H.264, RFC 6184; frames come out as Annex B.
    H264,
    /// Opus, RFC 7587; each packet is a frame.
    Opus,
}

#[derive(Debug)]
pub(super) enum Format {
    Vp8(vp8::Depacketizer),
    Vp9(Box<vp9::Depacketizer>),
    H264(H264),
    Opus(opus::Depacketizer),
}

#[derive(Debug)]
pub(super) struct H264 {
    depacketizer: h264::Depacketizer,
    // Pictures that need no other bring their parameter sets with them.
    sets_in_band: bool,
}

impl Format {
    pub(super) fn new(format: FrameFormat, max_frame_len: usize) -> Self {
        match format {
            FrameFormat::Vp8 => Format::Vp8(vp8::Depacketizer::new(max_frame_len)),
            FrameFormat::Vp9 => Format::Vp9(Box::new(vp9::Depacketizer::new(max_frame_len))),
            FrameFormat::H264 => Format::H264(H264 {
                depacketizer: h264::Depacketizer::new(StreamFormat::AnnexB, max_frame_len),
                sets_in_band: false,
            }),
            FrameFormat::Opus => Format::Opus(opus::Depacketizer::new(max_frame_len)),
        }
    }

    /// Whether frames refer to others, so that a loss spoils what follows.
    pub(super) fn has_key_frames(&self) -> bool {
        !matches!(self, Format::Opus(_))
    }

    pub(super) fn push(
        &mut self,
        payload: &[u8],
        marker: bool,
        frame: &mut Vec<u8>,
    ) -> Result<Piece, DepacketizeError> {
        match self {
            Format::Vp8(depacketizer) => depacketizer.push(payload, marker, frame),
            Format::Vp9(depacketizer) => depacketizer.push(payload, marker, frame),
            Format::H264(h264) => {
                let piece = h264.depacketizer.push(payload, marker, frame)?;
                h264.sets_in_band |= h264.depacketizer.units().sps;
                Ok(piece)
            }
            Format::Opus(depacketizer) => depacketizer.push(payload, marker, frame),
        }
    }

    pub(super) fn reset(&mut self) {
        match self {
            Format::Vp8(depacketizer) => depacketizer.reset(),
            Format::Vp9(depacketizer) => depacketizer.reset(),
            Format::H264(h264) => h264.depacketizer.reset(),
            Format::Opus(depacketizer) => depacketizer.reset(),
        }
    }

    /// Whether a payload with another timestamp shows that the frame under way is whole: not all senders of
    /// H.264 set the marker, RFC 6184 §5.1.
    pub(super) fn ends_with_timestamp(&self) -> bool {
        matches!(self, Format::H264(h264) if !h264.depacketizer.has_open_fragment())
    }

    /// Whether a payload is the first of a frame, of which the packets before are not known.
    pub(super) fn starts_frame(&self, payload: &[u8]) -> bool {
        match self {
            Format::Vp8(_) => vp8::Descriptor::parse(payload).is_ok_and(|(first, _)| first.starts_frame()),
            Format::Vp9(_) => vp9::Descriptor::parse(payload).is_ok_and(|(first, _)| {
                first.begins_frame && first.layers.is_none_or(|layers| layers.spatial == 0)
            }),
            Format::H264(h264) => starts_access_unit(payload, h264.sets_in_band),
            Format::Opus(_) => true,
        }
    }
}

// H.264 §7.4.1.2.3: which NAL units come first in an access unit. A picture parameter set or supplemental
// information may come first too, but behind a sequence parameter set that is lost it may not be told.
fn starts_access_unit(payload: &[u8], sets_in_band: bool) -> bool {
    // An aggregate inside of an aggregate is malformed, RFC 6184 §5.7: only one is opened.
    let unit = match payload {
        [header, _, _, unit @ ..] if NalUnitType::from_header(*header) == NalUnitType::StapA => unit,
        _ => payload,
    };
    let Some((&header, body)) = unit.split_first() else { return false };
    let (kind, slice) = match (NalUnitType::from_header(header), body) {
        (NalUnitType::FuA, [fu, slice @ ..]) if fu & 0x80 != 0 => {
            (NalUnitType::from_header(fu & 0x1f), slice)
        }
        (kind, slice) => (kind, slice),
    };
    // first_mb_in_slice is an Exp-Golomb code, whose zero is a single bit that is set.
    let is_first_slice = slice.first().is_some_and(|byte| byte & 0x80 != 0);
    match kind {
        NalUnitType::AccessUnitDelimiter | NalUnitType::Sps => true,
        NalUnitType::Slice => is_first_slice,
        NalUnitType::Idr => is_first_slice && !sets_in_band,
        _ => false,
    }
}
