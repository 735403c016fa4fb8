//! A read-only view of a packet.

use std::ops::Range;

use super::layout::Layout;
use super::{
    ExtensionForm, ExtensionId, ExtensionMap, ExtensionValues, Extensions, HeaderExtension, ParseError,
};
use crate::layer::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};

/// An RTP packet in the caller's buffer, RFC 3550 §5.1.
///
/// [`Packet::parse`] checks the framing once; the accessors only slice.
///
/// ```
/// use kaon_rtc::layer::{SequenceNumber, Ssrc};
/// use kaon_rtc::rtp::Packet;
///
/// let datagram = [0x80, 0x80 | 96, 0, 7, 0, 0, 3, 192, 0, 0, 0x12, 0x34, b'h', b'i'];
/// let packet = Packet::parse(&datagram)?;
/// assert_eq!((packet.sequence_number(), packet.ssrc()), (SequenceNumber(7), Ssrc(0x1234)));
/// assert!(packet.marker());
/// assert_eq!(packet.payload(), b"hi");
/// assert!(Packet::parse(&datagram[..10]).is_err());
/// # Ok::<(), kaon_rtc::rtp::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    layout: Layout,
}

impl<'a> Packet<'a> {
    /// Checks that `bytes` hold one RTP packet.
    ///
    /// With SRTP, call this after the packet was decrypted: the padding count is part of the ciphertext.
    ///
    /// # Errors
    /// When the packet is cut short, is not of version 2, or has a padding count that cannot be.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Ok(Packet { bytes, layout: Layout::parse(bytes)? })
    }

    pub(super) fn from_layout(bytes: &'a [u8], layout: Layout) -> Self {
        Packet { bytes, layout }
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// The marker bit; its meaning is the payload format's (end of a video frame, start of a talk spurt).
    pub fn marker(&self) -> bool {
        self.bytes[1] & 0x80 != 0
    }

    /// The payload type.
    pub fn payload_type(&self) -> PayloadType {
        PayloadType::from_low_bits(self.bytes[1])
    }

    /// The sequence number.
    pub fn sequence_number(&self) -> SequenceNumber {
        SequenceNumber(u16::from_be_bytes([self.bytes[2], self.bytes[3]]))
    }

    /// The timestamp in units of the payload's clock rate.
    pub fn timestamp(&self) -> RtpTimestamp {
        RtpTimestamp(u32::from_be_bytes([self.bytes[4], self.bytes[5], self.bytes[6], self.bytes[7]]))
    }

    /// The synchronisation source.
    pub fn ssrc(&self) -> Ssrc {
        Ssrc(u32::from_be_bytes([self.bytes[8], self.bytes[9], self.bytes[10], self.bytes[11]]))
    }

    /// The contributing sources, at most 15.
    pub fn csrcs(&self) -> Csrcs<'a> {
        Csrcs { bytes: &self.bytes[self.layout.csrcs()] }
    }

    /// The "defined by profile" number of the header extension, if there is one.
    pub fn extension_profile(&self) -> Option<u16> {
        self.layout.extension_block().map(|block| block.profile)
    }

    /// The body of the header extension whatever its profile; empty when there is none.
    pub fn extension_body(&self) -> &'a [u8] {
        self.layout.extension_block().map_or(&[], |block| &self.bytes[block.body()])
    }

    /// The elements of an RFC 8285 header extension of either form; none for other profiles.
    pub fn extensions(&self) -> Extensions<'a> {
        match self.layout.extension_block() {
            Some(block) => match block.form() {
                Some(form) => Extensions::new(form, &self.bytes[block.body()]),
                None => Extensions::new(ExtensionForm::OneByte, &[]),
            },
            None => Extensions::new(ExtensionForm::OneByte, &[]),
        }
    }

    /// The data of the first element with this id.
    pub fn extension_data(&self, id: ExtensionId) -> Option<&'a [u8]> {
        self.extensions().find(|element| element.id == id).map(|element| element.data)
    }

    /// Where in the packet the data of the first element with this id lie.
    pub fn extension_data_range(&self, id: ExtensionId) -> Option<Range<usize>> {
        let body = self.layout.extension_block()?.body().start;
        let data = self.extensions().elements().find(|element| element.id == id)?.data;
        Some(body + data.start..body + data.end)
    }

    /// The typed extension `E`, when it was negotiated, is present, and is well-formed.
    pub fn extension<E: HeaderExtension>(&self, map: &ExtensionMap) -> Option<E> {
        E::parse(self.extension_data(map.id(E::KIND)?)?)
    }

    /// All negotiated extensions that this library knows, in one pass.
    pub fn extension_values(&self, map: &ExtensionMap) -> ExtensionValues {
        ExtensionValues::read(self.extensions(), map)
    }

    /// The payload, without padding.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.layout.payload()]
    }

    /// How many bytes of padding follow the payload, the count itself included.
    pub fn padding_len(&self) -> usize {
        self.bytes.len() - self.layout.payload().end
    }

    /// Length of everything before the payload.
    pub fn header_len(&self) -> usize {
        self.layout.payload().start
    }

    /// The whole packet.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// The contributing sources of a packet.
#[derive(Debug, Clone)]
pub struct Csrcs<'a> {
    bytes: &'a [u8],
}

impl Iterator for Csrcs<'_> {
    type Item = Ssrc;

    fn next(&mut self) -> Option<Ssrc> {
        let (first, rest) = self.bytes.split_first_chunk::<4>()?;
        self.bytes = rest;
        Some(Ssrc(u32::from_be_bytes(*first)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.bytes.len() / 4, Some(self.bytes.len() / 4))
    }
}

impl ExactSizeIterator for Csrcs<'_> {}
