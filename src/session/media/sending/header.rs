//! The header of a packet, with the extensions that belong to the connection.

use bytes::Bytes;

use super::departures::Departure;
use super::encoding::Encoding;
use super::format::Repair;
use super::packet::{MAX_HEADER, OSN_LEN, OutgoingRtp};
use super::template::{HeaderTemplate, Sent};
use crate::layer::{Mid, NtpTimestamp, PayloadType, Rid, RtpTimestamp, SequenceNumber};
use crate::rtp::{
    AbsSendTime, ExtensionForm, ExtensionKind, Header, Packet, PacketWriter, RawExtensions, RepairedRid,
    TransportSequenceNumber, WriteError,
};

impl Encoding {
    /// The header that most of its packets have.
    pub(super) fn make_template(&self) -> HeaderTemplate {
        let transport_number = self.transport_feedback.then_some(SequenceNumber(0));
        let departure = Departure { ntp: NtpTimestamp(0), transport_number };
        let bare = OutgoingRtp::new(PayloadType::from_low_bits(0), RtpTimestamp(0), false, Bytes::new());
        let mut head = [0; MAX_HEADER];
        // What is too long for one is too long for each packet, whose sender is told.
        let len =
            self.write_whole_header(departure, SequenceNumber(0), &bare, Sent::First, &mut head).unwrap_or(0);
        let Ok(packet) = Packet::parse(&head[..len]) else { return HeaderTemplate::default() };
        let offset = |kind| Some(packet.extension_data_range(self.extensions.id(kind)?)?.start);
        HeaderTemplate {
            send_time: offset(ExtensionKind::AbsSendTime),
            transport_number: offset(ExtensionKind::TransportSequenceNumber),
            bytes: head[..len].into(),
        }
    }

    /// What a packet takes besides its payload, also when it is sent again.
    pub(super) fn overhead_of(&self, packet: &OutgoingRtp) -> usize {
        let transport_number = self.transport_feedback.then_some(SequenceNumber(0));
        let departure = Departure { ntp: NtpTimestamp(0), transport_number };
        let mut head = [0; MAX_HEADER + RawExtensions::MAX_LEN];
        let room = MAX_HEADER + packet.raw_extensions.encoded_len();
        let mut len_of = |sent| {
            let written =
                self.write_whole_header(departure, SequenceNumber(0), packet, sent, &mut head[..room]);
            written.unwrap_or(room)
        };
        let mut len = len_of(Sent::First);
        if self.rid.is_some() {
            len = len.max(len_of(Sent::Again));
        }
        let is_wrapped =
            self.format(packet.payload_type).is_some_and(|format| matches!(format.repair, Repair::Rtx(_)));
        len + if is_wrapped { OSN_LEN } else { 0 }
    }

    /// Appends the header of a packet to `out`, and tells how long it is.
    pub(super) fn write_header(
        &self,
        departure: Departure,
        number: SequenceNumber,
        packet: &OutgoingRtp,
        sent: Sent,
        out: &mut Vec<u8>,
    ) -> Result<usize, WriteError> {
        let start = out.len();
        let is_bare = !packet.has_extensions() && (sent == Sent::First || self.rid.is_none());
        if is_bare && self.template.write(departure, number, packet, out) {
            return Ok(out.len() - start);
        }
        out.resize(start + MAX_HEADER + packet.raw_extensions.encoded_len(), 0);
        let written = self.write_whole_header(departure, number, packet, sent, &mut out[start..]);
        out.truncate(start + written.unwrap_or(0));
        written
    }

    fn write_whole_header(
        &self,
        departure: Departure,
        number: SequenceNumber,
        packet: &OutgoingRtp,
        sent: Sent,
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
        writer.extension(map, &AbsSendTime::from_ntp(departure.ntp))?;
        if let Some(number) = departure.transport_number {
            writer.extension(map, &TransportSequenceNumber(number))?;
        }
        if let Some(mid) = &self.mid {
            writer.extension(map, mid)?;
        }
        match (&self.rid, sent) {
            (None, _) => {}
            (Some(rid), Sent::First) => writer.extension(map, rid)?,
            // RFC 8852 §3.2: a stream of retransmissions names what it repairs.
            (Some(rid), Sent::Again) => writer.extension(map, &RepairedRid(*rid))?,
        }
        packet.extensions.encode_each(map, |id, data| writer.extension_data(id, data))?;
        for (uri, data) in packet.raw_extensions.iter() {
            if let Some(id) = self.uris.id(uri.as_str()) {
                writer.extension_data(id, data)?;
            }
        }
        Ok(writer.finish_header())
    }

    /// RFC 8285 §4.1.2: the form that every extension of the stream fits.
    pub(super) fn one_extension_form(&self) -> ExtensionForm {
        let fits = self.extensions.iter().all(|(id, _)| id.fits_one_byte());
        let is_short = |kind, text: Option<&[u8]>| {
            text.is_none_or(|text| text.len() <= 16) || self.extensions.id(kind).is_none()
        };
        let rid = self.rid.as_ref().map(Rid::as_bytes);
        let are_short = is_short(ExtensionKind::Mid, self.mid.as_ref().map(Mid::as_bytes))
            && is_short(ExtensionKind::Rid, rid)
            && is_short(ExtensionKind::RepairedRid, rid);
        // How long others are, nobody knows before they are sent.
        if fits && are_short && self.uris.is_empty() {
            ExtensionForm::OneByte
        } else {
            ExtensionForm::TwoByte
        }
    }
}
