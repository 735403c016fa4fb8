//! The header of a packet, with the extensions that belong to the connection.

use super::encoding::Encoding;
use super::packet::{MAX_HEADER, OSN_LEN, OutgoingRtp};
use crate::layer::{NtpTimestamp, SequenceNumber};
use crate::rtp::{
    AbsSendTime, ExtensionForm, ExtensionKind, Header, PacketWriter, TransportSequenceNumber, WriteError,
};

impl Encoding {
    /// What a packet takes besides its payload, also when it is sent again.
    pub(super) fn overhead_of(&self, packet: &OutgoingRtp) -> usize {
        let transport_number = self.transport_feedback.then_some(SequenceNumber(0));
        let mut head = [0; MAX_HEADER];
        let head = self.write_header(NtpTimestamp(0), SequenceNumber(0), packet, transport_number, &mut head);
        let has_rtx = self.codec(packet.payload_type).is_some_and(|codec| codec.rtx_payload_type().is_some());
        head.unwrap_or(MAX_HEADER) + if has_rtx { OSN_LEN } else { 0 }
    }

    pub(super) fn write_header(
        &self,
        sent: NtpTimestamp,
        number: SequenceNumber,
        packet: &OutgoingRtp,
        transport_number: Option<SequenceNumber>,
        out: &mut [u8],
    ) -> Result<usize, WriteError> {
        let header = Header {
            marker: packet.marker,
            payload_type: packet.payload_type,
            sequence_number: number,
            timestamp: packet.timestamp,
            ssrc: self.ssrc,
        };
        let map = &self.extensions;
        let writer = PacketWriter::new(out, &header, &[])?;
        let mut writer = match self.extension_form {
            None => writer,
            Some(ExtensionForm::OneByte) => writer.one_byte_only(),
            Some(ExtensionForm::TwoByte) => writer.two_byte_only(),
        };
        writer.extension(map, &AbsSendTime::from_ntp(sent))?;
        if let Some(number) = transport_number {
            writer.extension(map, &TransportSequenceNumber(number))?;
        }
        if let Some(mid) = &self.mid {
            writer.extension(map, mid)?;
        }
        if let Some(level) = &packet.audio_level {
            writer.extension(map, level)?;
        }
        if let Some(orientation) = &packet.video_orientation {
            writer.extension(map, orientation)?;
        }
        Ok(writer.finish_header())
    }

    /// RFC 8285 §4.1.2: the form that every extension of the stream fits.
    pub(super) fn one_extension_form(&self) -> ExtensionForm {
        let fits = self.extensions.iter().all(|(id, _)| id.fits_one_byte());
        let is_short = self.mid.is_none_or(|mid| mid.as_bytes().len() <= 16);
        let has_mid = self.extensions.id(ExtensionKind::Mid).is_some();
        if fits && (is_short || !has_mid) { ExtensionForm::OneByte } else { ExtensionForm::TwoByte }
    }
}
