//! What the assembler has to know of each payload format.

use super::access_unit::AccessUnits;
use super::boundary::Boundary;
use super::picture::Pictures;
use crate::layer::TrackKind;
use crate::rtp::payload::h264::ParameterSets;
use crate::rtp::payload::{AnyDepacketizer, DepacketizeError, Depacketizer, PayloadFormat, Piece};

#[derive(Debug)]
pub(super) struct Format {
    format: PayloadFormat,
    parts: Parts,
}

/// What frames are made of, and how their ends are known.
#[derive(Debug)]
enum Parts {
    Vp9(Box<Pictures>),
    H264(AccessUnits),
    /// Payloads say where frames begin, and markers where they end.
    Marked(Box<AnyDepacketizer>),
}

impl Format {
    pub(super) fn new(format: PayloadFormat, max_frame_len: usize) -> Self {
        let parts = match format {
            PayloadFormat::Vp9 => Parts::Vp9(Box::new(Pictures::new(max_frame_len))),
            PayloadFormat::H264 => Parts::H264(AccessUnits::new(max_frame_len)),
            _ => Parts::Marked(Box::new(format.depacketizer(max_frame_len))),
        };
        Self { format, parts }
    }

    /// Whether frames refer to others, so that a loss spoils what follows.
    pub(super) fn has_key_frames(&self) -> bool {
        self.format.kind() == TrackKind::Video
    }

    pub(super) fn push(
        &mut self,
        payload: &[u8],
        marker: bool,
        frame: &mut Vec<u8>,
    ) -> Result<Piece, DepacketizeError> {
        match &mut self.parts {
            Parts::Vp9(pictures) => pictures.push(payload, marker, frame),
            Parts::H264(units) => units.push(payload, marker, frame),
            Parts::Marked(depacketizer) => depacketizer.push(payload, marker, frame),
        }
    }

    pub(super) fn reset(&mut self) {
        match &mut self.parts {
            Parts::Vp9(pictures) => pictures.reset(),
            Parts::H264(units) => units.reset(),
            Parts::Marked(depacketizer) => depacketizer.reset(),
        }
    }

    /// What the next payload means for the frame under way.
    pub(super) fn boundary(&mut self, same_timestamp: bool, payload: &[u8]) -> Boundary {
        let format = self.format;
        match &mut self.parts {
            Parts::H264(units) => units.boundary(same_timestamp, payload),
            Parts::Vp9(pictures) => pictures.boundary(same_timestamp),
            Parts::Marked(_) if same_timestamp => Boundary::Inside,
            // Nothing is missing in between: the marker went on its way through a gateway.
            Parts::Marked(_) if starts_frame(format, payload) => Boundary::After,
            Parts::Marked(_) => Boundary::Broken,
        }
    }

    /// Whether a payload goes on with the frame that a marker has ended, which has the same timestamp.
    pub(super) fn continues_ended(&mut self, payload: &[u8]) -> bool {
        match &mut self.parts {
            Parts::H264(units) => units.continues_ended(payload),
            Parts::Vp9(pictures) => pictures.continues_ended(payload),
            Parts::Marked(_) => false,
        }
    }

    /// Whether what follows a marker is the first of a frame.
    pub(super) fn trusts_markers(&self) -> bool {
        !matches!(&self.parts, Parts::H264(units) if !units.trusts_markers())
    }

    /// Payloads with start codes, where RTP has none.
    pub(super) fn set_parameter_sets(&mut self, sets: ParameterSets) {
        if let Parts::H264(units) = &mut self.parts {
            units.set_parameter_sets(sets);
        }
    }

    pub(super) fn annex_b_payloads(&self) -> u64 {
        match &self.parts {
            Parts::H264(units) => units.annex_b_payloads(),
            Parts::Vp9(_) | Parts::Marked(_) => 0,
        }
    }

    /// Whether a payload is the first of a frame, of which the packets before are not known.
    pub(super) fn starts_frame(&self, payload: &[u8]) -> bool {
        match &self.parts {
            Parts::H264(units) => units.starts(payload),
            Parts::Vp9(_) | Parts::Marked(_) => starts_frame(self.format, payload),
        }
    }
}

fn starts_frame(format: PayloadFormat, payload: &[u8]) -> bool {
    format.probe(payload).is_some_and(|probe| probe.starts_frame)
}
