//! What the assembler has to know of each payload format.

use super::access_unit::AccessUnits;
use super::boundary::Boundary;
use super::picture::Pictures;
use crate::rtp::payload::h264::ParameterSets;
use crate::rtp::payload::{DepacketizeError, Depacketizer, Piece, opus, vp8};

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
    Vp9(Box<Pictures>),
    H264(AccessUnits),
    Opus(opus::Depacketizer),
}

impl Format {
    pub(super) fn new(format: FrameFormat, max_frame_len: usize) -> Self {
        match format {
            FrameFormat::Vp8 => Format::Vp8(vp8::Depacketizer::new(max_frame_len)),
            FrameFormat::Vp9 => Format::Vp9(Box::new(Pictures::new(max_frame_len))),
            FrameFormat::H264 => Format::H264(AccessUnits::new(max_frame_len)),
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
            Format::Vp9(pictures) => pictures.push(payload, marker, frame),
            Format::H264(units) => units.push(payload, marker, frame),
            Format::Opus(depacketizer) => depacketizer.push(payload, marker, frame),
        }
    }

    pub(super) fn reset(&mut self) {
        match self {
            Format::Vp8(depacketizer) => depacketizer.reset(),
            Format::Vp9(pictures) => pictures.reset(),
            Format::H264(units) => units.reset(),
            Format::Opus(depacketizer) => depacketizer.reset(),
        }
    }

    /// What the next payload means for the frame under way.
    pub(super) fn boundary(&mut self, same_timestamp: bool, payload: &[u8]) -> Boundary {
        match self {
            Format::H264(units) => units.boundary(same_timestamp, payload),
            Format::Vp9(pictures) => pictures.boundary(same_timestamp),
            Format::Vp8(_) | Format::Opus(_) if same_timestamp => Boundary::Inside,
            // Nothing is missing in between: the marker went on its way through a gateway.
            Format::Vp8(_) if self.starts_frame(payload) => Boundary::After,
            Format::Vp8(_) | Format::Opus(_) => Boundary::Broken,
        }
    }

    /// Whether a payload goes on with the frame that a marker has ended, which has the same timestamp.
    pub(super) fn continues_ended(&mut self, payload: &[u8]) -> bool {
        match self {
            Format::H264(units) => units.continues_ended(payload),
            Format::Vp9(pictures) => pictures.continues_ended(payload),
            Format::Vp8(_) | Format::Opus(_) => false,
        }
    }

    /// Whether what follows a marker is the first of a frame.
    pub(super) fn trusts_markers(&self) -> bool {
        !matches!(self, Format::H264(units) if !units.trusts_markers())
    }

    /// Payloads with start codes, where RTP has none.
    pub(super) fn set_parameter_sets(&mut self, sets: ParameterSets) {
        if let Format::H264(units) = self {
            units.set_parameter_sets(sets);
        }
    }

    pub(super) fn annex_b_payloads(&self) -> u64 {
        match self {
            Format::H264(units) => units.annex_b_payloads(),
            Format::Vp8(_) | Format::Vp9(_) | Format::Opus(_) => 0,
        }
    }

    /// Whether a payload is the first of a frame, of which the packets before are not known.
    pub(super) fn starts_frame(&self, payload: &[u8]) -> bool {
        match self {
            Format::Vp8(_) => vp8::Descriptor::parse(payload).is_ok_and(|(first, _)| first.starts_frame()),
            Format::Vp9(_) => Pictures::starts(payload),
            Format::H264(units) => units.starts(payload),
            Format::Opus(_) => true,
        }
    }
}
