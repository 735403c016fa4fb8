//! Handshake messages and their fragments.

use crate::dtls::wire::{Malformed, Reader, put_u16, put_u24};

/// The length of the header of a handshake message or of a fragment of one.
pub(crate) const HANDSHAKE_HEADER_LEN: usize = 12;

/// What a handshake message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandshakeType {
    HelloRequest = 0,
    ClientHello = 1,
    ServerHello = 2,
    HelloVerifyRequest = 3,
    NewSessionTicket = 4,
    Certificate = 11,
    ServerKeyExchange = 12,
    CertificateRequest = 13,
    ServerHelloDone = 14,
    CertificateVerify = 15,
    ClientKeyExchange = 16,
    Finished = 20,
}

impl HandshakeType {
    fn from_id(id: u8) -> Option<Self> {
        Some(match id {
            0 => Self::HelloRequest,
            1 => Self::ClientHello,
            2 => Self::ServerHello,
            3 => Self::HelloVerifyRequest,
            4 => Self::NewSessionTicket,
            11 => Self::Certificate,
            12 => Self::ServerKeyExchange,
            13 => Self::CertificateRequest,
            14 => Self::ServerHelloDone,
            15 => Self::CertificateVerify,
            16 => Self::ClientKeyExchange,
            20 => Self::Finished,
            _ => return None,
        })
    }
}

/// The number of a handshake message; each side counts its own from 0 (RFC 6347 §4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MessageSeq(pub(crate) u16);

impl MessageSeq {
    pub(crate) fn next(self) -> Self {
        // A handshake has about ten messages; the saturated number can never be answered.
        Self(self.0.saturating_add(1))
    }
}

/// The header of a handshake message (RFC 6347 §4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HandshakeHeader {
    pub(crate) kind: HandshakeType,
    /// The length of the whole message.
    pub(crate) length: u32,
    pub(crate) seq: MessageSeq,
    pub(crate) fragment_offset: u32,
    pub(crate) fragment_length: u32,
}

impl HandshakeHeader {
    /// The header of a message that is not fragmented; as such it enters the transcript.
    pub(crate) fn whole(kind: HandshakeType, seq: MessageSeq, length: u32) -> Self {
        Self { kind, length, seq, fragment_offset: 0, fragment_length: length }
    }

    pub(crate) fn put(self, out: &mut Vec<u8>) {
        out.push(self.kind as u8);
        put_u24(out, self.length);
        put_u16(out, self.seq.0);
        put_u24(out, self.fragment_offset);
        put_u24(out, self.fragment_length);
    }
}

/// A fragment of a handshake message, or a whole one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment<'a> {
    pub(crate) header: HandshakeHeader,
    pub(crate) body: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Takes the next fragment of a record.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let kind = HandshakeType::from_id(reader.u8("handshake type")?).ok_or(Malformed("handshake type"))?;
        let length = reader.u24("handshake length")?;
        let seq = MessageSeq(reader.u16("message_seq")?);
        let fragment_offset = reader.u24("fragment_offset")?;
        let fragment_length = reader.u24("fragment_length")?;
        // Both are 24 bits wide, so the sum fits.
        if fragment_offset + fragment_length > length {
            return Err(Malformed("handshake fragment beyond its message"));
        }
        let body = reader.take(fragment_length as usize, "fragment_length")?;
        Ok(Self { header: HandshakeHeader { kind, length, seq, fragment_offset, fragment_length }, body })
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.header.fragment_length == self.header.length
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn headers_round_trip(seq: u16, offset in 0u32..1 << 20, body: Vec<u8>, beyond in 0u32..100) {
            let header = HandshakeHeader {
                kind: HandshakeType::Certificate,
                length: offset + body.len() as u32 + beyond,
                seq: MessageSeq(seq),
                fragment_offset: offset,
                fragment_length: body.len() as u32,
            };
            let mut bytes = Vec::new();
            header.put(&mut bytes);
            prop_assert_eq!(bytes.len(), HANDSHAKE_HEADER_LEN);
            bytes.extend_from_slice(&body);
            let mut reader = Reader::new(&bytes);
            let fragment = Fragment::read(&mut reader).unwrap();
            prop_assert_eq!(fragment.header, header);
            prop_assert_eq!(fragment.body, &body[..]);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Fragment::read(&mut Reader::new(&bytes));
        }
    }

    #[test]
    fn a_fragment_beyond_its_message_is_refused() {
        let header = HandshakeHeader {
            kind: HandshakeType::Finished,
            length: 0xff_ffff,
            seq: MessageSeq(0),
            fragment_offset: 0xff_ffff,
            fragment_length: 1,
        };
        let mut bytes = Vec::new();
        header.put(&mut bytes);
        bytes.push(0);
        assert!(Fragment::read(&mut Reader::new(&bytes)).is_err());
    }
}
