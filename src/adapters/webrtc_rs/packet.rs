//! Packets as the crate `rtp` has them, and as this one does.

use bytes::Bytes;
use rtp::header as webrtc;

use crate::layer::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};
use crate::rtp::{ExtensionForm, ExtensionId, Header, OwnedPacket};

/// The packet as the crate `rtp` has it. The payload is shared; padding is left out.
pub fn to_webrtc(packet: &OwnedPacket) -> rtp::packet::Packet {
    let view = packet.as_packet();
    let elements = view.extensions();
    let extension = |id, data| webrtc::Extension { id, payload: Bytes::copy_from_slice(data) };
    // A profile of which nothing is known is one extension to the crate.
    let (extension_profile, extensions) = match view.extension_profile() {
        None => (0, Vec::new()),
        Some(profile) if profile == webrtc::EXTENSION_PROFILE_ONE_BYTE || profile >> 4 == 0x100 => {
            let profile = match elements.form() {
                ExtensionForm::OneByte => webrtc::EXTENSION_PROFILE_ONE_BYTE,
                ExtensionForm::TwoByte => webrtc::EXTENSION_PROFILE_TWO_BYTE,
            };
            (profile, elements.map(|element| extension(element.id.value(), element.data)).collect())
        }
        Some(profile) => (profile, vec![extension(0, view.extension_body())]),
    };
    rtp::packet::Packet {
        header: webrtc::Header {
            version: 2,
            padding: false,
            extension: view.extension_profile().is_some(),
            marker: view.marker(),
            payload_type: view.payload_type().value(),
            sequence_number: view.sequence_number().0,
            timestamp: view.timestamp().0,
            ssrc: view.ssrc().0,
            csrc: view.csrcs().map(|csrc| csrc.0).collect(),
            extension_profile,
            extensions,
            extensions_padding: 0,
        },
        payload: packet.payload(),
    }
}

/// What a packet of the crate `rtp` is made of, for [`PacketWriter`](crate::rtp::PacketWriter) or a sender that
/// writes the header itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacketParts {
    /// The fields of the fixed header.
    pub header: Header,
    /// The contributing sources.
    pub csrcs: Vec<Ssrc>,
    /// The header extensions of RFC 8285; those of other profiles are left out.
    pub extensions: Vec<(ExtensionId, Bytes)>,
    /// The payload, shared with the packet.
    pub payload: Bytes,
}

impl TryFrom<&rtp::packet::Packet> for PacketParts {
    type Error = InvalidPayloadType;

    /// # Errors
    /// When the payload type does not fit seven bits.
    fn try_from(packet: &rtp::packet::Packet) -> Result<Self, InvalidPayloadType> {
        let header = &packet.header;
        let payload_type =
            PayloadType::new(header.payload_type).ok_or(InvalidPayloadType(header.payload_type))?;
        let extensions =
            header.extensions.iter().filter_map(|e| Some((ExtensionId::new(e.id)?, e.payload.clone())));
        Ok(Self {
            header: Header {
                marker: header.marker,
                payload_type,
                sequence_number: SequenceNumber(header.sequence_number),
                timestamp: RtpTimestamp(header.timestamp),
                ssrc: Ssrc(header.ssrc),
            },
            csrcs: header.csrc.iter().copied().map(Ssrc).collect(),
            extensions: extensions.collect(),
            payload: packet.payload.clone(),
        })
    }
}

/// A payload type of more than seven bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("payload type {0} does not fit seven bits; expected 0 to 127")]
pub struct InvalidPayloadType(u8);

#[cfg(test)]
mod tests {
    use rtp::packet::Packet as WebrtcPacket;

    use super::*;

    const PACKET: [u8; 30] = [
        0x91, 0xe0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 5, 1, 2, 3, 4, // one contributing source
        0xbe, 0xde, 0, 2, 0x10, 0xaa, 0x51, 1, 2, 0, 0, 0, // two extensions
        b'h', b'i',
    ];

    #[test]
    fn the_same_packet_by_either_library() {
        let header = to_webrtc(&OwnedPacket::parse(Bytes::from_static(&PACKET)).unwrap()).header;
        assert_eq!((header.version, header.marker, header.payload_type), (2, true, 96));
        assert_eq!((header.sequence_number, header.timestamp, header.ssrc), (7, 9, 5));
        assert_eq!(header.csrc, [0x0102_0304]);
        assert!(header.extension);
        assert_eq!(header.extension_profile, 0xbede);
        assert_eq!(header.get_extension(1).as_deref(), Some(&[0xaa][..]));
        assert_eq!(header.get_extension(5).as_deref(), Some(&[1, 2][..]));
    }

    #[test]
    fn the_payload_is_shared() {
        let ours = OwnedPacket::parse(Bytes::from(PACKET.to_vec())).unwrap();
        let theirs = to_webrtc(&ours);
        assert_eq!(theirs.payload.as_ptr(), ours.payload().as_ptr());
        let parts = PacketParts::try_from(&theirs).unwrap();
        assert_eq!(parts.payload.as_ptr(), theirs.payload.as_ptr());
        assert_eq!(parts.header, Header::from(ours.as_packet()));
        assert_eq!(parts.csrcs, [Ssrc(0x0102_0304)]);
        let ids: Vec<_> = parts.extensions.iter().map(|(id, data)| (id.value(), data.len())).collect();
        assert_eq!(ids, [(1, 1), (5, 2)]);
    }

    #[test]
    fn a_payload_type_of_eight_bits_is_refused() {
        let mut packet = WebrtcPacket::default();
        packet.header.payload_type = 200;
        assert_eq!(PacketParts::try_from(&packet), Err(InvalidPayloadType(200)));
    }
}
