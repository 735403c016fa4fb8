//! Writing a packet into the caller's buffer.

use super::extension::Element;
use super::layout::FIXED_HEADER_LEN;
use super::{ExtensionForm, ExtensionId, ExtensionMap, ExtensionValues, HeaderExtension, Packet, WriteError};
use crate::layer::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};

/// The fields that every RTP header has, RFC 3550 §5.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The marker bit.
    pub marker: bool,
    /// The payload type.
    pub payload_type: PayloadType,
    /// The sequence number.
    pub sequence_number: SequenceNumber,
    /// The timestamp in units of the payload's clock rate.
    pub timestamp: RtpTimestamp,
    /// The synchronisation source.
    pub ssrc: Ssrc,
}

impl From<Packet<'_>> for Header {
    fn from(packet: Packet<'_>) -> Self {
        Header {
            marker: packet.marker(),
            payload_type: packet.payload_type(),
            sequence_number: packet.sequence_number(),
            timestamp: packet.timestamp(),
            ssrc: packet.ssrc(),
        }
    }
}

/// Writes one packet: first the header, then extensions, then the payload, which finishes it.
///
/// Extensions are written in the one-byte form of RFC 8285 as long as every element fits it; the first that
/// does not (an id above 14, no data, or more than 16 bytes) turns what is there into the two-byte form.
/// [`one_byte_only`](Self::one_byte_only) forbids that, for peers without `a=extmap-allow-mixed`.
///
/// ```
/// use kaon_rtc::layer::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};
/// use kaon_rtc::rtp::{Header, Packet, PacketWriter};
///
/// let header = Header {
///     marker: false,
///     payload_type: PayloadType::from_low_bits(0),
///     sequence_number: SequenceNumber(1),
///     timestamp: RtpTimestamp(160),
///     ssrc: Ssrc(1),
/// };
/// let mut buffer = [0; 1200];
/// let len = PacketWriter::new(&mut buffer, &header, &[])?.payload(&[0xff; 160])?;
/// assert_eq!(len, 12 + 160);
/// assert_eq!(Header::from(Packet::parse(&buffer[..len])?), header);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PacketWriter<'a> {
    buffer: &'a mut [u8],
    len: usize,
    extensions: Option<OpenExtensions>,
    one_byte_only: bool,
    two_byte_only: bool,
}

#[derive(Debug, Clone, Copy)]
struct OpenExtensions {
    // Offset of the first element, four bytes behind the profile.
    start: usize,
    form: ExtensionForm,
    elements: usize,
}

impl<'a> PacketWriter<'a> {
    /// Writes the fixed header and the contributing sources to the beginning of `buffer`.
    ///
    /// # Errors
    /// When `buffer` is too small or there are more than 15 sources.
    pub fn new(buffer: &'a mut [u8], header: &Header, csrcs: &[Ssrc]) -> Result<Self, WriteError> {
        if csrcs.len() > 15 {
            return Err(WriteError::TooManyCsrcs(csrcs.len()));
        }
        let len = FIXED_HEADER_LEN + 4 * csrcs.len();
        let have = buffer.len();
        let out = buffer.get_mut(..len).ok_or(WriteError::BufferTooSmall { need: len, have })?;
        out[0] = 0x80 | csrcs.len() as u8;
        out[1] = (u8::from(header.marker) << 7) | header.payload_type.value();
        out[2..4].copy_from_slice(&header.sequence_number.0.to_be_bytes());
        out[4..8].copy_from_slice(&header.timestamp.0.to_be_bytes());
        out[8..12].copy_from_slice(&header.ssrc.0.to_be_bytes());
        for (slot, csrc) in out[FIXED_HEADER_LEN..].chunks_exact_mut(4).zip(csrcs) {
            slot.copy_from_slice(&csrc.0.to_be_bytes());
        }
        Ok(PacketWriter { buffer, len, extensions: None, one_byte_only: false, two_byte_only: false })
    }

    /// Refuses extension elements that would need the two-byte form.
    #[must_use]
    pub fn one_byte_only(mut self) -> Self {
        self.one_byte_only = true;
        self
    }

    /// Writes every extension element in the two-byte form, for streams of which some elements need it and peers
    /// without `a=extmap-allow-mixed`.
    #[must_use]
    pub fn two_byte_only(mut self) -> Self {
        self.two_byte_only = true;
        self
    }

    /// Adds a typed extension under its negotiated id; does nothing when it was not negotiated.
    ///
    /// # Errors
    /// As [`extension_data`](Self::extension_data).
    pub fn extension<E: HeaderExtension>(&mut self, map: &ExtensionMap, value: &E) -> Result<(), WriteError> {
        match map.id(E::KIND) {
            Some(id) => self.extension_data(id, value.encode().as_ref()),
            None => Ok(()),
        }
    }

    /// Adds every extension that `values` holds and `map` knows an id for.
    ///
    /// # Errors
    /// As [`extension_data`](Self::extension_data).
    pub fn extensions(&mut self, map: &ExtensionMap, values: &ExtensionValues) -> Result<(), WriteError> {
        values.encode_each(map, |id, data| self.extension_data(id, data))
    }

    /// Adds an extension element.
    ///
    /// # Errors
    /// When the buffer is too small, `data` has more than 255 bytes, or the element needs the two-byte form
    /// and that is forbidden. What was written before stays.
    pub fn extension_data(&mut self, id: ExtensionId, data: &[u8]) -> Result<(), WriteError> {
        if data.len() > 255 {
            return Err(WriteError::ExtensionTooLong(data.len()));
        }
        let needs_two = self.two_byte_only || !id.fits_one_byte() || !(1..=16).contains(&data.len());
        if needs_two && self.one_byte_only {
            return Err(WriteError::NeedsTwoByteForm { id: id.value(), len: data.len() });
        }
        let mut open = match self.extensions {
            Some(open) => open,
            None => {
                self.need(self.len + 4)?;
                OpenExtensions { start: self.len + 4, form: ExtensionForm::OneByte, elements: 0 }
            }
        };
        let mut at = self.len.max(open.start);
        let upgrade = needs_two && open.form == ExtensionForm::OneByte;
        let grown = if upgrade { open.elements } else { 0 };
        let form = if upgrade { ExtensionForm::TwoByte } else { open.form };
        // Leave room for the alignment that finishing the header will add.
        let end = at + grown + form.element_header_len() + data.len();
        let aligned = open.start + (end - open.start).next_multiple_of(4);
        if (aligned - open.start) / 4 > usize::from(u16::MAX) {
            return Err(WriteError::ExtensionsTooLong);
        }
        self.need(aligned)?;
        if upgrade {
            self.widen(open.start, at, open.elements);
            at += grown;
            open.form = form;
        }
        match form {
            ExtensionForm::OneByte => self.buffer[at] = (id.value() << 4) | (data.len() - 1) as u8,
            ExtensionForm::TwoByte => {
                self.buffer[at] = id.value();
                self.buffer[at + 1] = data.len() as u8;
            }
        }
        self.buffer[end - data.len()..end].copy_from_slice(data);
        open.elements += 1;
        self.len = end;
        self.extensions = Some(open);
        Ok(())
    }

    /// Finishes the header only and returns its length; the payload is then written behind it by the caller.
    pub fn finish_header(mut self) -> usize {
        self.close_extensions();
        self.len
    }

    /// Finishes the packet with `payload` and returns the packet's length.
    ///
    /// # Errors
    /// When the buffer is too small.
    pub fn payload(mut self, payload: &[u8]) -> Result<usize, WriteError> {
        self.append(payload)
    }

    /// Finishes the packet with `payload` and `padding` bytes behind it, and returns the packet's length.
    ///
    /// # Errors
    /// When the buffer is too small or `padding` is zero.
    pub fn padded_payload(mut self, payload: &[u8], padding: u8) -> Result<usize, WriteError> {
        if padding == 0 {
            return Err(WriteError::EmptyPadding);
        }
        let start = self.append(payload)?;
        let end = start + usize::from(padding);
        self.need(end)?;
        self.buffer[0] |= 0x20;
        self.buffer[start..end].fill(0);
        self.buffer[end - 1] = padding;
        Ok(end)
    }

    fn append(&mut self, payload: &[u8]) -> Result<usize, WriteError> {
        self.close_extensions();
        let end = self.len + payload.len();
        self.need(end)?;
        self.buffer[self.len..end].copy_from_slice(payload);
        self.len = end;
        Ok(end)
    }

    fn close_extensions(&mut self) {
        let Some(open) = self.extensions.take() else { return };
        let words = (self.len - open.start).div_ceil(4);
        let end = open.start + 4 * words;
        self.buffer[self.len..end].fill(0);
        self.buffer[0] |= 0x10;
        self.buffer[open.start - 4..open.start - 2].copy_from_slice(&open.form.profile().to_be_bytes());
        self.buffer[open.start - 2..open.start].copy_from_slice(&(words as u16).to_be_bytes());
        self.len = end;
    }

    // Turns `count` one-byte elements in start..end into two-byte ones; they grow by a byte each.
    fn widen(&mut self, start: usize, end: usize, count: usize) {
        self.buffer.copy_within(start..end, start + count);
        let mut write = start;
        let mut read = start + count;
        while let Some(element) = Element::next(ExtensionForm::OneByte, &self.buffer[..end + count], read) {
            let len = element.data.len();
            self.buffer[write] = element.id.value();
            self.buffer[write + 1] = len as u8;
            self.buffer.copy_within(element.data.clone(), write + 2);
            write += 2 + len;
            read = element.data.end;
        }
    }

    fn need(&self, need: usize) -> Result<(), WriteError> {
        if need > self.buffer.len() {
            return Err(WriteError::BufferTooSmall { need, have: self.buffer.len() });
        }
        Ok(())
    }
}
