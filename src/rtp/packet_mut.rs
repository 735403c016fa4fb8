//! Rewriting a packet's header in place.

use super::extension::Element;
use super::layout::Layout;
use super::{ExtensionForm, ExtensionId, Extensions, Packet, ParseError, WriteError};
use crate::layer::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};

/// An RTP packet whose header fields can be changed without moving a byte.
///
/// This is what a forwarding unit does per subscriber: the payload stays, the header is made the subscriber's.
///
/// ```
/// use kaon_rtc::layer::{SequenceNumber, Ssrc};
/// use kaon_rtc::rtp::PacketMut;
///
/// let mut bytes = *b"\x80\x6f\x00\x01\x00\x00\x03\xc0\x00\x00\x12\x34opus";
/// let mut packet = PacketMut::parse(&mut bytes)?;
/// packet.set_sequence_number(SequenceNumber(500));
/// packet.set_ssrc(Ssrc(0x9999));
/// assert_eq!(&bytes[..12], b"\x80\x6f\x01\xf4\x00\x00\x03\xc0\x00\x00\x99\x99");
/// # Ok::<(), kaon_rtc::rtp::ParseError>(())
/// ```
#[derive(Debug)]
pub struct PacketMut<'a> {
    bytes: &'a mut [u8],
    layout: Layout,
}

impl<'a> PacketMut<'a> {
    /// Checks that `bytes` hold one RTP packet.
    ///
    /// # Errors
    /// As [`Packet::parse`].
    pub fn parse(bytes: &'a mut [u8]) -> Result<Self, ParseError> {
        let layout = Layout::parse(bytes)?;
        Ok(PacketMut { bytes, layout })
    }

    /// The packet as it is now.
    pub fn as_packet(&self) -> Packet<'_> {
        Packet::from_layout(self.bytes, self.layout)
    }

    /// Sets the marker bit.
    pub fn set_marker(&mut self, marker: bool) {
        self.bytes[1] = (self.bytes[1] & 0x7f) | (u8::from(marker) << 7);
    }

    /// Sets the payload type.
    pub fn set_payload_type(&mut self, payload_type: PayloadType) {
        self.bytes[1] = (self.bytes[1] & 0x80) | payload_type.value();
    }

    /// Sets the sequence number.
    pub fn set_sequence_number(&mut self, number: SequenceNumber) {
        self.bytes[2..4].copy_from_slice(&number.0.to_be_bytes());
    }

    /// Sets the timestamp.
    pub fn set_timestamp(&mut self, timestamp: RtpTimestamp) {
        self.bytes[4..8].copy_from_slice(&timestamp.0.to_be_bytes());
    }

    /// Sets the synchronisation source.
    pub fn set_ssrc(&mut self, ssrc: Ssrc) {
        self.bytes[8..12].copy_from_slice(&ssrc.0.to_be_bytes());
    }

    /// The data of the first extension element with this id, to be changed in place (its length stays).
    pub fn extension_data_mut(&mut self, id: ExtensionId) -> Option<&mut [u8]> {
        let (form, body) = self.extension_body_mut()?;
        let element = elements(form, body).find(|element| element.id == id)?;
        body.get_mut(element.data)
    }

    /// Gives every extension element the id that `map` says; an element mapped to `None` becomes padding.
    ///
    /// # Errors
    /// [`WriteError::NeedsTwoByteForm`] when the packet is in the one-byte form and a new id is above 14; the
    /// packet is then as it was.
    pub fn rewrite_extension_ids(
        &mut self,
        map: impl Fn(ExtensionId) -> Option<ExtensionId>,
    ) -> Result<(), WriteError> {
        let Some((form, body)) = self.extension_body_mut() else { return Ok(()) };
        if form == ExtensionForm::OneByte {
            for element in elements(form, body) {
                if let Some(id) = map(element.id)
                    && !id.fits_one_byte()
                {
                    return Err(WriteError::NeedsTwoByteForm { id: id.value(), len: element.data.len() });
                }
            }
        }
        let mut at = 0;
        while let Some(element) = Element::next(form, body, at) {
            at = element.data.end;
            match map(element.id) {
                Some(id) if form == ExtensionForm::OneByte => {
                    body[element.start] = (id.value() << 4) | (body[element.start] & 0x0f);
                }
                Some(id) => body[element.start] = id.value(),
                None => body[element.start..element.data.end].fill(0),
            }
        }
        Ok(())
    }

    fn extension_body_mut(&mut self) -> Option<(ExtensionForm, &mut [u8])> {
        let block = self.layout.extension_block()?;
        Some((block.form()?, &mut self.bytes[block.body()]))
    }
}

fn elements(form: ExtensionForm, body: &[u8]) -> impl Iterator<Item = Element> {
    Extensions::new(form, body).elements()
}
