//! Retransmissions in a stream of their own, RFC 4588.

use crate::layer::{PayloadType, SequenceNumber, Ssrc};
use crate::rtp::{Header, Packet, PacketMut, PacketWriter, ParseError, RtxPayload, WriteError};

/// Length of the original sequence number (OSN) before the payload.
const OSN_LEN: usize = 2;

/// Sends packets of a stream again under an SSRC of its own, RFC 4588 §4.
#[derive(Debug, Clone)]
pub struct RtxSender {
    ssrc: Ssrc,
    next: SequenceNumber,
}

impl RtxSender {
    /// A retransmission stream; `first` should be random, RFC 3550 §5.1.
    pub fn new(ssrc: Ssrc, first: SequenceNumber) -> Self {
        RtxSender { ssrc, next: first }
    }

    /// The SSRC of the retransmissions.
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Writes a retransmission of `packet` to the beginning of `out` and tells its length, which is at most
    /// two bytes more than the packet's.
    ///
    /// `payload_type` is the one whose `apt` parameter is the packet's. Header extensions are copied as they
    /// are; where they have to be others in a retransmission (the repaired stream's identifier for the
    /// stream's, RFC 8852 §3.1; the number for transport-wide feedback) they have the same length, and are
    /// changed in place with [`PacketMut`]. Padding is left out, RFC 4588 §4.
    ///
    /// # Errors
    /// When `out` is too small; no sequence number is used then.
    pub fn wrap(
        &mut self,
        packet: &Packet<'_>,
        payload_type: PayloadType,
        out: &mut [u8],
    ) -> Result<usize, WriteError> {
        let (header_len, payload) = (packet.header_len(), packet.payload());
        let need = header_len + OSN_LEN + payload.len();
        let have = out.len();
        let out = out.get_mut(..need).ok_or(WriteError::BufferTooSmall { need, have })?;
        let (header, rest) = out.split_at_mut(header_len);
        header.copy_from_slice(&packet.as_bytes()[..header_len]);
        header[0] &= !PADDING;
        header[1] = (header[1] & MARKER) | payload_type.value();
        header[2..4].copy_from_slice(&self.take_number().0.to_be_bytes());
        header[8..12].copy_from_slice(&self.ssrc.0.to_be_bytes());
        crate::rtp::write_rtx_payload(packet.sequence_number(), payload, rest)?;
        Ok(need)
    }

    /// Begins a packet of nothing but padding, which probes the path and repairs nothing; to be finished with
    /// [`PacketWriter::padded_payload`] of no payload. `header.ssrc` and `header.sequence_number` are replaced.
    ///
    /// # Errors
    /// When `out` is too small; no sequence number is used then.
    pub fn probe<'a>(&mut self, header: &Header, out: &'a mut [u8]) -> Result<PacketWriter<'a>, WriteError> {
        let header = Header { ssrc: self.ssrc, sequence_number: self.next, ..*header };
        let writer = PacketWriter::new(out, &header, &[])?;
        self.take_number();
        Ok(writer)
    }

    fn take_number(&mut self) -> SequenceNumber {
        let number = self.next;
        self.next = number.wrapping_add(1);
        number
    }
}

const PADDING: u8 = 0x20;
const MARKER: u8 = 0x80;

/// Turns a retransmission into the original packet where it lies, RFC 4588 §4: the returned part of `packet`
/// has the original's sequence number, and the SSRC and payload type given, which signalling associates with
/// the retransmission's.
///
/// Header extensions stay, padding is taken off. `None` when the packet is all padding: a probe, which
/// carries nothing.
///
/// # Errors
/// When `packet` is not an RTP packet, or too short for an original sequence number.
pub fn unwrap_rtx(
    packet: &mut [u8],
    ssrc: Ssrc,
    payload_type: PayloadType,
) -> Result<Option<&mut [u8]>, ParseError> {
    let parsed = Packet::parse(packet)?;
    let (header_len, payload) = (parsed.header_len(), parsed.payload());
    if payload.is_empty() {
        return Ok(None);
    }
    let Some(RtxPayload { original, .. }) = RtxPayload::parse(payload) else {
        let (need, have) = (header_len + OSN_LEN, header_len + payload.len());
        return Err(ParseError::Truncated { part: "original sequence number", need, have });
    };
    let end = header_len + payload.len();
    packet[0] &= !PADDING;
    // The header is shorter than the payload, as a rule.
    packet.copy_within(..header_len, OSN_LEN);
    let unwrapped = &mut packet[OSN_LEN..end];
    let mut rewritten = PacketMut::parse(unwrapped)?;
    rewritten.set_ssrc(ssrc);
    rewritten.set_payload_type(payload_type);
    rewritten.set_sequence_number(original);
    Ok(Some(unwrapped))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layer::RtpTimestamp;
    use crate::rtp::ExtensionId;

    fn header(number: u16) -> Header {
        Header {
            marker: true,
            payload_type: PayloadType::from_low_bits(96),
            sequence_number: SequenceNumber(number),
            timestamp: RtpTimestamp(90_000),
            ssrc: Ssrc(0x1111),
        }
    }

    const RTX: PayloadType = PayloadType::from_low_bits(97);

    #[test]
    fn a_retransmission_as_rfc_4588_has_it() {
        let mut buffer = [0; 100];
        let mut writer = PacketWriter::new(&mut buffer, &header(0x0102), &[]).unwrap();
        writer.extension_data(ExtensionId::new(3).unwrap(), &[0xaa, 0xbb]).unwrap();
        let len = writer.padded_payload(b"data", 4).unwrap();
        let packet = Packet::parse(&buffer[..len]).unwrap();

        let mut sender = RtxSender::new(Ssrc(0x2222), SequenceNumber(0xffff));
        let mut out = [0xee; 100];
        let len = sender.wrap(&packet, RTX, &mut out).unwrap();
        assert_eq!(
            out[..len],
            *b"\x90\xe1\xff\xff\x00\x01\x5f\x90\x00\x00\x22\x22\xbe\xde\x00\x01\x31\xaa\xbb\x00\x01\x02data"
        );
        assert_eq!(sender.probe(&header(9), &mut [0; 40]).unwrap().padded_payload(&[], 20), Ok(32));
        assert_eq!(sender.next, SequenceNumber(1));
        let too_small = sender.wrap(&packet, RTX, &mut out[..len - 1]);
        assert_eq!(too_small, Err(WriteError::BufferTooSmall { need: len, have: len - 1 }));
        assert_eq!(sender.next, SequenceNumber(1));
    }

    #[test]
    fn probes_and_cut_packets() {
        let mut sender = RtxSender::new(Ssrc(0x2222), SequenceNumber(4));
        let mut out = [0; 100];
        let len = sender.probe(&header(9), &mut out).unwrap().padded_payload(&[], 50).unwrap();
        assert_eq!(unwrap_rtx(&mut out[..len], Ssrc(1), RTX), Ok(None));
        let len = PacketWriter::new(&mut out, &header(9), &[]).unwrap().payload(&[1]).unwrap();
        let cut = unwrap_rtx(&mut out[..len], Ssrc(1), RTX);
        assert_eq!(cut, Err(ParseError::Truncated { part: "original sequence number", need: 14, have: 13 }));
        assert!(unwrap_rtx(&mut [], Ssrc(1), RTX).is_err());
    }

    proptest! {
        #[test]
        fn what_is_wrapped_is_unwrapped(
            number in any::<u16>(),
            csrcs in proptest::collection::vec(any::<u32>().prop_map(Ssrc), 0..15),
            extension in proptest::collection::vec(any::<u8>(), 0..40),
            payload in proptest::collection::vec(any::<u8>(), 0..200),
            padding in 0u8..20,
        ) {
            let mut buffer = [0; 500];
            let mut writer = PacketWriter::new(&mut buffer, &header(number), &csrcs).unwrap();
            if !extension.is_empty() {
                writer.extension_data(ExtensionId::new(1).unwrap(), &extension).unwrap();
            }
            let len = match padding {
                0 => writer.payload(&payload).unwrap(),
                padding => writer.padded_payload(&payload, padding).unwrap(),
            };
            let packet = Packet::parse(&buffer[..len]).unwrap();
            let mut out = [0; 500];
            let len = RtxSender::new(Ssrc(5), SequenceNumber(6)).wrap(&packet, RTX, &mut out).unwrap();
            let unwrapped = unwrap_rtx(&mut out[..len], packet.ssrc(), packet.payload_type());
            let unwrapped = Packet::parse(unwrapped.unwrap().unwrap()).unwrap();
            prop_assert_eq!(Header::from(unwrapped), Header::from(packet));
            prop_assert!(unwrapped.csrcs().eq(csrcs));
            prop_assert!(unwrapped.extensions().eq(packet.extensions()));
            prop_assert_eq!(unwrapped.payload(), packet.payload());
            prop_assert_eq!(unwrapped.padding_len(), 0);
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(first) = bytes.first_mut() {
                *first = (*first & 0x3f) | 0x80;
            }
            if let Ok(Some(unwrapped)) = unwrap_rtx(&mut bytes, Ssrc(1), RTX) {
                prop_assert!(Packet::parse(unwrapped).is_ok());
            }
        }
    }
}
