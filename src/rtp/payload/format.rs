//! What every payload format does.

use smallvec::SmallVec;

/// Splits frames into RTP payloads.
pub trait Packetizer {
    /// Splits `frame` into payloads of at most `max_payload_len` bytes and hands each to `emit`, in order.
    ///
    /// All payloads of a frame but the last (with H.264, of each NAL unit that is split) are as long as they can
    /// be, so that they can leave as one segmented send.
    ///
    /// # Errors
    /// When the frame is empty or not of the codec's form, or does not fit. Payloads emitted before the error
    /// was found do not make a frame; the checks that can be made in advance are.
    fn packetize(
        &mut self,
        frame: &[u8],
        max_payload_len: usize,
        emit: &mut dyn FnMut(Payload<'_>),
    ) -> Result<(), PacketizeError>;
}

/// Puts frames together from RTP payloads that arrive in sequence.
pub trait Depacketizer {
    /// Appends to `frame` what `payload` carries, in the form that a decoder takes.
    ///
    /// The caller empties `frame` after a piece that [ends](Piece::ends_frame) one, with
    /// [`reset`](Self::reset), and after an error other than [`DepacketizeError::EmptyPayload`]; between the
    /// pieces of one frame it leaves `frame` alone.
    ///
    /// # Errors
    /// When the payload is malformed, or the frame grows beyond the limit given at construction; the rest of
    /// the frame is then refused too, and `frame` may hold a part of what the payload carried. An empty
    /// payload is an error that changes nothing: the frame goes on with the next.
    fn push(&mut self, payload: &[u8], marker: bool, frame: &mut Vec<u8>) -> Result<Piece, DepacketizeError>;

    /// Forgets the frame under way. To be called when packets are missing before the next one.
    fn reset(&mut self);
}

/// One RTP payload, in parts that lie in different places.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a> {
    parts: &'a [&'a [u8]],
    /// What the RTP marker bit of the packet shall be.
    pub marker: bool,
}

impl<'a> Payload<'a> {
    pub(super) fn new(parts: &'a [&'a [u8]], marker: bool) -> Self {
        Payload { parts, marker }
    }

    /// The parts: descriptors and slices of the frame.
    pub fn parts(&self) -> &'a [&'a [u8]] {
        self.parts
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// Whether there is nothing in it; no payload that a packetizer emits is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the parts to the beginning of `out` and tells the length; `None` when `out` is too small.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let len = self.len();
        let mut rest = out.get_mut(..len)?;
        for part in self.parts {
            let (slot, behind) = rest.split_at_mut(part.len());
            slot.copy_from_slice(part);
            rest = behind;
        }
        Some(len)
    }
}

/// What a payload added to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Piece {
    /// It is the first of its frame.
    pub starts_frame: bool,
    /// It is the last of its frame.
    pub ends_frame: bool,
    /// It shows that the frame can be decoded without any before it. Later pieces of the frame need not
    /// repeat it.
    pub key_frame: bool,
    /// The picture's size, where the format tells it and this piece carries it.
    pub dimensions: Option<Dimensions>,
}

/// What a payload says by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Probe {
    /// It is the first of its frame, as far as it tells: an IDR picture of H.264 may have parameter sets before it.
    pub starts_frame: bool,
    /// It is of a frame that can be decoded without any before it. Of such a frame the first payload says so, and
    /// others may.
    pub key_frame: bool,
}

/// The size of a picture in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dimensions {
    /// Pixels from left to right.
    pub width: u16,
    /// Pixels from top to bottom.
    pub height: u16,
}

/// Why a frame cannot be split into payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketizeError {
    /// There is nothing in the frame.
    #[error("the frame is empty")]
    EmptyFrame,
    /// Not even a descriptor and a byte fit.
    #[error("payloads of {have} bytes are too short; this frame needs at least {need}")]
    PayloadTooShort {
        /// Bytes needed.
        need: usize,
        /// Bytes allowed.
        have: usize,
    },
    /// The format cannot split this, and it is longer than a payload.
    #[error("a unit of {len} bytes cannot be split and exceeds the {max} bytes of a payload")]
    Unsplittable {
        /// Its length.
        len: usize,
        /// The longest payload allowed.
        max: usize,
    },
    /// The frame is not of the codec's form.
    #[error("the frame is not valid {codec}: {reason}")]
    Malformed {
        /// The codec.
        codec: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Why a payload cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DepacketizeError {
    /// There is nothing in the payload (a packet of padding only, sent as a probe).
    #[error("the payload is empty")]
    EmptyPayload,
    /// The payload ends inside the part named.
    #[error("the payload ends inside its {0}")]
    Truncated(&'static str),
    /// The payload breaks a rule of the format.
    #[error("the payload is malformed: {0}")]
    Malformed(&'static str),
    /// A valid payload of a kind that is not supported.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// The payload continues something whose beginning was not seen; wait for the next frame.
    #[error("the payload continues a frame whose beginning was not seen; wait for the next frame")]
    MissingStart,
    /// The frame grew beyond the limit.
    #[error("the frame exceeds the limit of {max} bytes")]
    FrameTooLong {
        /// The limit.
        max: usize,
    },
}

/// Default limit of the bytes of one frame under reassembly: 8 MiB.
pub const DEFAULT_MAX_FRAME_LEN: usize = 8 << 20;

/// Appends `data` to `frame` unless that would exceed `max`.
pub(super) fn append(frame: &mut Vec<u8>, data: &[u8], max: usize) -> Result<(), DepacketizeError> {
    if frame.len().saturating_add(data.len()) > max {
        return Err(DepacketizeError::FrameTooLong { max });
    }
    frame.extend_from_slice(data);
    Ok(())
}

/// A picture number of 7 or 15 bits, as VP8 (RFC 7741 §4.2) and VP9 (RFC 9628 §4.2) have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PictureId {
    /// Seven bits, in one byte.
    Short(u8),
    /// Fifteen bits, in two bytes.
    Long(u16),
}

impl PictureId {
    /// The number of the next picture, wrapping.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            PictureId::Short(id) => PictureId::Short(id.wrapping_add(1) & 0x7f),
            PictureId::Long(id) => PictureId::Long(id.wrapping_add(1) & 0x7fff),
        }
    }

    /// The number.
    pub const fn value(self) -> u16 {
        match self {
            PictureId::Short(id) => id as u16 & 0x7f,
            PictureId::Long(id) => id & 0x7fff,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DepacketizeError> {
        let first = reader.byte("picture id")?;
        if first & 0x80 == 0 {
            return Ok(PictureId::Short(first));
        }
        Ok(PictureId::Long(u16::from_be_bytes([first & 0x7f, reader.byte("picture id")?])))
    }

    pub(super) fn write(self, out: &mut DescriptorBytes) {
        match self {
            PictureId::Short(id) => out.push(id & 0x7f),
            PictureId::Long(id) => {
                let [high, low] = (id | 0x8000).to_be_bytes();
                out.push(high);
                out.push(low);
            }
        }
    }
}

/// Reads a payload descriptor from the front of a payload.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Reader { rest: payload }
    }

    pub(super) fn byte(&mut self, part: &'static str) -> Result<u8, DepacketizeError> {
        let (&first, rest) = self.rest.split_first().ok_or(DepacketizeError::Truncated(part))?;
        self.rest = rest;
        Ok(first)
    }

    pub(super) fn u16(&mut self, part: &'static str) -> Result<u16, DepacketizeError> {
        Ok(u16::from_be_bytes([self.byte(part)?, self.byte(part)?]))
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// The bytes of a payload descriptor; only a VP9 scalability structure of unusual size leaves the stack.
pub(super) type DescriptorBytes = SmallVec<[u8; 64]>;
