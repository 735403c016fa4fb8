//! Records and their headers, RFC 6347 §4.1.

use crate::dtls::wire::{Malformed, Reader};

/// The length of the header of a DTLS 1.2 record.
pub(crate) const RECORD_HEADER_LEN: usize = 13;

/// A record in a datagram that arrived (RFC 6347 §4.1).
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) content_type: ContentType,
    pub(crate) version: ProtocolVersion,
    pub(crate) epoch: Epoch,
    pub(crate) sequence: SequenceNumber,
    /// What follows the header.
    pub(crate) fragment: &'a mut [u8],
}

impl<'a> Record<'a> {
    /// Takes the first record of a datagram and the rest of it.
    pub(crate) fn split(datagram: &'a mut [u8]) -> Result<(Self, &'a mut [u8]), Malformed> {
        let mut reader = Reader::new(datagram);
        let content_type = reader.u8("record content type")?;
        let version = ProtocolVersion(reader.u16("record version")?);
        let epoch = Epoch(reader.u16("record epoch")?);
        let [a, b, c, d, e, f] = reader.array("record sequence number")?;
        let sequence = SequenceNumber(u64::from_be_bytes([0, 0, a, b, c, d, e, f]));
        let length = usize::from(reader.u16("record length")?);
        let (_, body) = datagram.split_at_mut(RECORD_HEADER_LEN);
        let (fragment, rest) = body.split_at_mut_checked(length).ok_or(Malformed("record length"))?;
        let content_type = ContentType::from_id(content_type).ok_or(Malformed("record content type"))?;
        if version.major() != ProtocolVersion::DTLS_1_2.major() {
            return Err(Malformed("record version"));
        }
        Ok((Self { content_type, version, epoch, sequence, fragment }, rest))
    }
}

/// The header of a record whose fragment is `length` bytes long.
pub(crate) fn header(
    content_type: ContentType,
    version: ProtocolVersion,
    epoch: Epoch,
    sequence: SequenceNumber,
    length: u16,
) -> [u8; RECORD_HEADER_LEN] {
    let mut header = [content_type as u8; RECORD_HEADER_LEN];
    header[1..3].copy_from_slice(&version.0.to_be_bytes());
    header[3..11].copy_from_slice(&record_number(epoch, sequence));
    header[11..].copy_from_slice(&length.to_be_bytes());
    header
}

/// Epoch and sequence number as they stand in the header, in the additional data and in nonces.
pub(crate) fn record_number(epoch: Epoch, sequence: SequenceNumber) -> [u8; 8] {
    (u64::from(epoch.0) << 48 | sequence.0).to_be_bytes()
}

/// What a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentType {
    ChangeCipherSpec = 20,
    Alert = 21,
    Handshake = 22,
    ApplicationData = 23,
}

impl ContentType {
    fn from_id(id: u8) -> Option<Self> {
        match id {
            20 => Some(Self::ChangeCipherSpec),
            21 => Some(Self::Alert),
            22 => Some(Self::Handshake),
            23 => Some(Self::ApplicationData),
            _ => None,
        }
    }
}

/// A version as it stands on the wire: one's complement of major and minor, so later ones are smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProtocolVersion(pub(crate) u16);

impl ProtocolVersion {
    pub(crate) const DTLS_1_0: Self = Self(0xfeff);
    pub(crate) const DTLS_1_2: Self = Self(0xfefd);

    pub(crate) fn major(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// Whether a peer whose highest version is this one has `other` too.
    pub(crate) fn covers(self, other: Self) -> bool {
        self.major() == other.major() && self.0 <= other.0
    }
}

/// Which keys protect a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Epoch(pub(crate) u16);

impl Epoch {
    /// No protection.
    pub(crate) const PLAINTEXT: Self = Self(0);
    /// The keys of the handshake; there is no later epoch without renegotiation.
    pub(crate) const PROTECTED: Self = Self(1);
}

/// The number of a record in its epoch, 48 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SequenceNumber(pub(crate) u64);

impl SequenceNumber {
    pub(crate) const MAX: Self = Self((1 << 48) - 1);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn headers_round_trip(kind in 20u8..24, epoch: u16, sequence in 0..1u64 << 48, body: Vec<u8>, tail: Vec<u8>) {
            let kind = ContentType::from_id(kind).unwrap();
            let (epoch, sequence) = (Epoch(epoch), SequenceNumber(sequence));
            let mut bytes = Vec::new();
            bytes.extend_from_slice(&header(kind, ProtocolVersion::DTLS_1_2, epoch, sequence, body.len() as u16));
            bytes.extend_from_slice(&body);
            bytes.extend_from_slice(&tail);
            let (record, rest) = Record::split(&mut bytes).unwrap();
            prop_assert_eq!(record.content_type, kind);
            prop_assert_eq!((record.epoch, record.sequence), (epoch, sequence));
            prop_assert_eq!(&*record.fragment, &body[..]);
            prop_assert_eq!(&*rest, &tail[..]);
        }

        #[test]
        fn any_bytes_are_split_or_refused(mut bytes: Vec<u8>) {
            let len = bytes.len();
            if let Ok((record, rest)) = Record::split(&mut bytes) {
                prop_assert_eq!(record.fragment.len() + rest.len() + RECORD_HEADER_LEN, len);
            }
        }
    }

    #[test]
    fn later_versions_cover_earlier_ones() {
        assert!(ProtocolVersion::DTLS_1_2.covers(ProtocolVersion::DTLS_1_0));
        assert!(!ProtocolVersion::DTLS_1_0.covers(ProtocolVersion::DTLS_1_2));
        assert!(!ProtocolVersion(0x0303).covers(ProtocolVersion::DTLS_1_2), "TLS 1.2 is not DTLS");
    }
}
