//! VP9, RFC 9628.

mod descriptor;
mod frame_header;

pub use descriptor::{
    Descriptor, GroupPicture, LayerIndices, LayerSizes, PictureGroup, ReferenceList, ScalabilityStructure,
};
pub use frame_header::FrameHeader;

use super::format::append;
use super::{DEFAULT_MAX_FRAME_LEN, DepacketizeError, PacketizeError, Payload, PictureId, Piece, Probe};

/// Splits VP9 frames into payloads.
///
/// By itself it writes one layer outside of flexible mode, which not every receiver knows: the scalability structure of
/// a key frame tells the picture's size, and that each picture refers to the one before it. A sender of layers hands the
/// descriptor of each layer frame to [`set_descriptor`](Self::set_descriptor), and pushes the layer frames one
/// by one.
#[derive(Debug, Clone)]
pub struct Packetizer {
    picture_id: PictureId,
    /// The running number of pictures: all are of the base layer.
    tl0_pic_idx: u8,
    next: Option<NextFrame>,
}

#[derive(Debug, Clone)]
struct NextFrame {
    descriptor: Descriptor,
    ends_picture: bool,
}

impl Packetizer {
    /// A packetizer whose first picture has this number.
    pub fn new(first: PictureId) -> Self {
        Packetizer { picture_id: first, tl0_pic_idx: 0, next: None }
    }

    /// Gives the next layer frame this descriptor; its begin and end bits are set per packet.
    ///
    /// `ends_picture` tells whether it is the last layer frame of its picture, which sets the marker.
    pub fn set_descriptor(&mut self, descriptor: Descriptor, ends_picture: bool) {
        self.next = Some(NextFrame { descriptor, ends_picture });
    }

    // One layer, each picture of which refers to the one before it.
    fn describe(&self, frame: &[u8]) -> Result<NextFrame, PacketizeError> {
        let header = FrameHeader::parse(frame)
            .ok_or(PacketizeError::Malformed { codec: "VP9", reason: "no uncompressed header" })?;
        let mut descriptor = Descriptor { picture_id: Some(self.picture_id), ..Descriptor::default() };
        descriptor.layers =
            Some(LayerIndices { tl0_pic_idx: Some(self.tl0_pic_idx), ..LayerIndices::default() });
        if header.key_frame {
            descriptor.structure = header.dimensions.map(ScalabilityStructure::single_layer_group);
        } else if !header.intra_only {
            descriptor.inter_predicted = true;
        }
        Ok(NextFrame { descriptor, ends_picture: true })
    }
}

impl super::Packetizer for Packetizer {
    fn packetize(
        &mut self,
        frame: &[u8],
        max_payload_len: usize,
        emit: &mut dyn FnMut(Payload<'_>),
    ) -> Result<(), PacketizeError> {
        if frame.is_empty() {
            return Err(PacketizeError::EmptyFrame);
        }
        let NextFrame { mut descriptor, ends_picture } = match self.next.take() {
            Some(next) => next,
            None => self.describe(frame)?,
        };
        if descriptor.flexible && descriptor.inter_predicted && descriptor.references.as_slice().is_empty() {
            // RFC 9628 §4.2: at least one P_DIFF. Without P it would be taken for a key frame.
            let reason = "the descriptor predicts from no picture";
            return Err(PacketizeError::Malformed { codec: "VP9", reason });
        }
        descriptor.begins_frame = true;
        descriptor.ends_frame = false;
        let first_len = descriptor.encode().len();
        if max_payload_len <= first_len {
            return Err(PacketizeError::PayloadTooShort { need: first_len + 1, have: max_payload_len });
        }
        let mut rest = frame;
        while !rest.is_empty() {
            // The end bit does not change the descriptor's length.
            let room = max_payload_len - descriptor.encode().len();
            let (chunk, behind) = rest.split_at(room.min(rest.len()));
            rest = behind;
            descriptor.ends_frame = rest.is_empty();
            emit(Payload::new(&[&descriptor.encode(), chunk], rest.is_empty() && ends_picture));
            descriptor.begins_frame = false;
            // RFC 9628 §4.2: the structure belongs to the first packet of a key frame.
            descriptor.structure = None;
        }
        if ends_picture {
            self.picture_id = descriptor.picture_id.unwrap_or(self.picture_id).next();
            self.tl0_pic_idx = self.tl0_pic_idx.wrapping_add(1);
        }
        Ok(())
    }
}

/// Puts VP9 pictures together: the layer frames of a picture one behind the other.
#[derive(Debug, Clone)]
pub struct Depacketizer {
    state: State,
    last: Descriptor,
    max_frame_len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    BetweenPictures,
    // Within a picture, between two of its layer frames.
    BetweenFrames,
    InFrame,
}

impl Default for Depacketizer {
    fn default() -> Self {
        Depacketizer::new(DEFAULT_MAX_FRAME_LEN)
    }
}

impl Depacketizer {
    /// A depacketizer that refuses pictures of more than `max_frame_len` bytes.
    pub fn new(max_frame_len: usize) -> Self {
        Depacketizer { state: State::BetweenPictures, last: Descriptor::default(), max_frame_len }
    }

    /// Whether the last layer frame is whole, and its picture not known to be: it may have had a layer more, with the
    /// marker, that was dropped on the way.
    pub fn is_between_frames(&self) -> bool {
        self.state == State::BetweenFrames
    }

    /// The descriptor of the payload pushed last; its end bit tells where layer frames end.
    pub fn descriptor(&self) -> &Descriptor {
        &self.last
    }
}

impl super::Depacketizer for Depacketizer {
    fn push(&mut self, payload: &[u8], marker: bool, frame: &mut Vec<u8>) -> Result<Piece, DepacketizeError> {
        if payload.is_empty() {
            return Err(DepacketizeError::EmptyPayload);
        }
        let state = std::mem::replace(&mut self.state, State::BetweenPictures);
        let (descriptor, data) = Descriptor::parse(payload)?;
        self.last = descriptor;
        let descriptor = &self.last;
        if descriptor.begins_frame == (state == State::InFrame) {
            return Err(if descriptor.begins_frame {
                DepacketizeError::Malformed("a layer frame begins before the one before it has ended")
            } else {
                DepacketizeError::MissingStart
            });
        }
        let needs_lower_layer = descriptor.layers.is_some_and(|layers| layers.inter_layer_predicted);
        if state == State::BetweenPictures && needs_lower_layer {
            return Err(DepacketizeError::MissingStart);
        }
        append(frame, data, self.max_frame_len)?;
        if !marker {
            self.state = if descriptor.ends_frame { State::BetweenFrames } else { State::InFrame };
        }
        let starts_frame = state == State::BetweenPictures;
        Ok(Piece {
            starts_frame,
            ends_frame: marker,
            // RFC 9628 §4.2: without inter-picture prediction, and in the base layer.
            key_frame: starts_frame && descriptor.is_key_frame(),
            dimensions: match &descriptor.structure {
                Some(structure) => structure.dimensions.last().copied(),
                None if starts_frame => FrameHeader::parse(data).and_then(|header| header.dimensions),
                None => None,
            },
        })
    }

    fn reset(&mut self) {
        self.state = State::BetweenPictures;
    }
}

pub(super) fn packetizer<'a>(_parameter: &dyn Fn(&str) -> Option<&'a str>) -> Packetizer {
    Packetizer::new(PictureId::Long(0))
}

pub(super) fn depacketizer(max_frame_len: usize) -> Depacketizer {
    Depacketizer::new(max_frame_len)
}

/// Of a picture of several spatial layers, the layer frame of the lowest is the first.
pub(super) fn probe(payload: &[u8]) -> Option<Probe> {
    let (descriptor, _) = Descriptor::parse(payload).ok()?;
    let is_lowest = descriptor.layers.is_none_or(|layers| layers.spatial == 0);
    Some(Probe { starts_frame: descriptor.begins_frame && is_lowest, key_frame: descriptor.is_key_frame() })
}
