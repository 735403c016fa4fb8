//! VP8, RFC 7741.

use super::format::{DescriptorBytes, Reader, append};
use super::{
    DEFAULT_MAX_FRAME_LEN, DepacketizeError, Dimensions, PacketizeError, Payload, PictureId, Piece, Probe,
};

/// Splits VP8 frames into payloads.
///
/// The descriptor given at construction is that of the first frame; from frame to frame its picture id
/// advances. A sender of temporal layers sets the other fields before each frame with
/// [`set_descriptor`](Self::set_descriptor).
#[derive(Debug, Clone)]
pub struct Packetizer {
    next: Descriptor,
}

impl Packetizer {
    /// A packetizer whose first frame has this descriptor; the start bit and the partition are set per packet.
    pub fn new(first: Descriptor) -> Self {
        Packetizer { next: first }
    }

    /// The descriptor of the next frame.
    pub fn descriptor(&self) -> Descriptor {
        self.next
    }

    /// Sets the descriptor of the next frame.
    pub fn set_descriptor(&mut self, next: Descriptor) {
        self.next = next;
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
        let mut descriptor = Descriptor { start_of_partition: true, partition: 0, ..self.next };
        let mut head = descriptor.encode();
        let room = max_payload_len.saturating_sub(head.len());
        if room == 0 {
            return Err(PacketizeError::PayloadTooShort { need: head.len() + 1, have: max_payload_len });
        }
        // RFC 7741 §4.4: all partitions may be sent as if they were the first; a receiver needs no more.
        let mut chunks = frame.chunks(room).peekable();
        while let Some(chunk) = chunks.next() {
            emit(Payload::new(&[&head, chunk], chunks.peek().is_none()));
            if descriptor.start_of_partition {
                descriptor.start_of_partition = false;
                head = descriptor.encode();
            }
        }
        self.next.picture_id = self.next.picture_id.map(PictureId::next);
        Ok(())
    }
}

/// Puts VP8 frames together.
#[derive(Debug, Clone)]
pub struct Depacketizer {
    in_frame: bool,
    last: Descriptor,
    max_frame_len: usize,
}

impl Default for Depacketizer {
    fn default() -> Self {
        Depacketizer::new(DEFAULT_MAX_FRAME_LEN)
    }
}

impl Depacketizer {
    /// A depacketizer that refuses frames of more than `max_frame_len` bytes.
    pub fn new(max_frame_len: usize) -> Self {
        Depacketizer { in_frame: false, last: Descriptor::default(), max_frame_len }
    }

    /// The descriptor of the payload pushed last.
    pub fn descriptor(&self) -> Descriptor {
        self.last
    }
}

impl super::Depacketizer for Depacketizer {
    fn push(&mut self, payload: &[u8], marker: bool, frame: &mut Vec<u8>) -> Result<Piece, DepacketizeError> {
        if payload.is_empty() {
            return Err(DepacketizeError::EmptyPayload);
        }
        let was_in_frame = std::mem::take(&mut self.in_frame);
        let (descriptor, data) = Descriptor::parse(payload)?;
        self.last = descriptor;
        let starts_frame = descriptor.starts_frame();
        if !starts_frame && !was_in_frame {
            return Err(DepacketizeError::MissingStart);
        }
        append(frame, data, self.max_frame_len)?;
        self.in_frame = !marker;
        let mut piece = Piece { starts_frame, ends_frame: marker, ..Piece::default() };
        if starts_frame {
            piece.key_frame = is_key_frame(data);
            piece.dimensions = dimensions(data);
        }
        Ok(piece)
    }

    fn reset(&mut self) {
        self.in_frame = false;
    }
}

pub(super) fn packetizer<'a>(_parameter: &dyn Fn(&str) -> Option<&'a str>) -> Packetizer {
    Packetizer::new(Descriptor::default())
}

pub(super) fn depacketizer(max_frame_len: usize) -> Depacketizer {
    Depacketizer::new(max_frame_len)
}

pub(super) fn probe(payload: &[u8]) -> Option<Probe> {
    let (descriptor, data) = Descriptor::parse(payload).ok()?;
    let starts_frame = descriptor.starts_frame();
    Some(Probe { starts_frame, key_frame: starts_frame && is_key_frame(data) })
}

/// The VP8 payload descriptor, RFC 7741 §4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// No other frame refers to this one, so it can be dropped (N).
    pub non_reference: bool,
    /// The payload begins a partition (S).
    pub start_of_partition: bool,
    /// Which partition, 0 to 7 (PID).
    pub partition: u8,
    /// The number of the picture (I, M).
    pub picture_id: Option<PictureId>,
    /// The running number of base-layer frames (L). Needs `temporal` too.
    pub tl0_pic_idx: Option<u8>,
    /// The temporal layer (T).
    pub temporal: Option<TemporalLayer>,
    /// The number of the key frame that this frame depends on, 0 to 31 (K).
    pub key_index: Option<u8>,
}

/// The temporal layer of a VP8 frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TemporalLayer {
    /// Which layer, 0 to 3 (TID).
    pub id: u8,
    /// The frame refers to the base layer only, so that a receiver may step up to this layer here (Y).
    pub layer_sync: bool,
}

impl Descriptor {
    /// Splits a payload into its descriptor and the VP8 data behind it.
    ///
    /// # Errors
    /// When the payload is empty, or ends before the VP8 data begin.
    pub fn parse(payload: &[u8]) -> Result<(Self, &[u8]), DepacketizeError> {
        if payload.is_empty() {
            return Err(DepacketizeError::EmptyPayload);
        }
        let mut reader = Reader::new(payload);
        let first = reader.byte("VP8 descriptor")?;
        let mut descriptor = Descriptor {
            non_reference: first & 0x20 != 0,
            start_of_partition: first & 0x10 != 0,
            // The fourth bit is reserved and ignored, RFC 7741 §4.2.
            partition: first & 0x07,
            ..Descriptor::default()
        };
        if first & 0x80 != 0 {
            let fields = reader.byte("extended control bits")?;
            if fields & 0x80 != 0 {
                descriptor.picture_id = Some(PictureId::read(&mut reader)?);
            }
            if fields & 0x40 != 0 {
                descriptor.tl0_pic_idx = Some(reader.byte("TL0PICIDX")?);
            }
            if fields & 0x30 != 0 {
                let byte = reader.byte("TID and KEYIDX")?;
                if fields & 0x20 != 0 {
                    descriptor.temporal = Some(TemporalLayer { id: byte >> 6, layer_sync: byte & 0x20 != 0 });
                }
                if fields & 0x10 != 0 {
                    descriptor.key_index = Some(byte & 0x1f);
                }
            }
        }
        let data = reader.rest();
        if data.is_empty() {
            return Err(DepacketizeError::Truncated("VP8 descriptor"));
        }
        Ok((descriptor, data))
    }

    /// Whether the payload is the first of a frame.
    pub const fn starts_frame(&self) -> bool {
        self.start_of_partition && self.partition == 0
    }

    fn encode(&self) -> DescriptorBytes {
        let mut out = DescriptorBytes::new();
        let fields = (u8::from(self.picture_id.is_some()) << 7)
            | (u8::from(self.tl0_pic_idx.is_some()) << 6)
            | (u8::from(self.temporal.is_some()) << 5)
            | (u8::from(self.key_index.is_some()) << 4);
        out.push(
            (u8::from(fields != 0) << 7)
                | (u8::from(self.non_reference) << 5)
                | (u8::from(self.start_of_partition) << 4)
                | (self.partition & 0x07),
        );
        if fields == 0 {
            return out;
        }
        out.push(fields);
        if let Some(id) = self.picture_id {
            id.write(&mut out);
        }
        out.extend(self.tl0_pic_idx);
        if self.temporal.is_some() || self.key_index.is_some() {
            let layer = self.temporal.unwrap_or_default();
            out.push(
                ((layer.id & 0x03) << 6)
                    | (u8::from(layer.layer_sync) << 5)
                    | (self.key_index.unwrap_or(0) & 0x1f),
            );
        }
        out
    }
}

/// Whether a VP8 frame is a key frame: the first bit of its frame tag is clear, RFC 6386 §9.1.
pub fn is_key_frame(frame: &[u8]) -> bool {
    frame.first().is_some_and(|tag| tag & 0x01 == 0)
}

/// The size of the picture that a VP8 key frame begins with, RFC 6386 §9.1.
pub fn dimensions(frame: &[u8]) -> Option<Dimensions> {
    let &[tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1] = frame.first_chunk::<10>()? else { return None };
    // The two bits above the size scale the picture for display; they do not change what is coded.
    let size = |low, high| u16::from_le_bytes([low, high]) & 0x3fff;
    (tag & 0x01 == 0).then_some(Dimensions { width: size(w0, w1), height: size(h0, h1) })
}
