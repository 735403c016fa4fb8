//! Certificate, CertificateRequest and CertificateVerify.

use smallvec::SmallVec;

use crate::crypto::SignatureScheme;
use crate::dtls::wire::{Malformed, Reader, U16List, put_u16, put_vector8, put_vector16, put_vector24};

/// The certificate types that a CertificateRequest names (RFC 5246 §7.4.4, RFC 8422 §5.5).
const RSA_SIGN: u8 = 1;
const ECDSA_SIGN: u8 = 64;

/// A Certificate message (RFC 5246 §7.4.2). Where the fingerprint is the authentication only the first certificate matters;
/// chains are judged by who wants them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateMessage<'a> {
    /// The DER of the peer's certificates, its own first; none if it has none.
    pub(crate) chain: SmallVec<[&'a [u8]; 4]>,
}

/// Certificates beyond these are left out: a chain has three, and rarely four.
const MAX_CHAIN: usize = 16;

impl<'a> CertificateMessage<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let mut list = Reader::new(reader.vector24("certificate_list")?);
        reader.end("certificate_list")?;
        let mut chain = SmallVec::new();
        while !list.is_empty() {
            let certificate = list.vector24("certificate")?;
            if certificate.is_empty() {
                return Err(Malformed("certificate"));
            }
            if chain.len() < MAX_CHAIN {
                chain.push(certificate);
            }
        }
        Ok(Self { chain })
    }
}

pub(crate) fn put_certificate<'a>(out: &mut Vec<u8>, chain: impl Iterator<Item = &'a [u8]>) {
    put_vector24(out, |out| {
        chain.for_each(|certificate| put_vector24(out, |out| out.extend_from_slice(certificate)));
    });
}

/// A CertificateRequest (RFC 5246 §7.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CertificateRequest<'a> {
    pub(crate) certificate_types: &'a [u8],
    pub(crate) schemes: U16List<'a>,
}

impl<'a> CertificateRequest<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let certificate_types = reader.vector8("certificate_types")?;
        let schemes = U16List::new(
            reader.vector16("supported_signature_algorithms")?,
            "supported_signature_algorithms",
        )?;
        // Authorities mean nothing to a self-signed certificate.
        reader.vector16("certificate_authorities")?;
        reader.end("CertificateRequest")?;
        Ok(Self { certificate_types, schemes })
    }

    /// Whether an ECDSA certificate that signs by `scheme` will do.
    pub(crate) fn accepts(&self, scheme: SignatureScheme) -> bool {
        self.certificate_types.contains(&ECDSA_SIGN) && self.schemes.contains(scheme.id())
    }
}

pub(crate) fn put_certificate_request(out: &mut Vec<u8>, schemes: &[SignatureScheme]) {
    put_vector8(out, |out| out.extend_from_slice(&[ECDSA_SIGN, RSA_SIGN]));
    put_vector16(out, |out| schemes.iter().for_each(|scheme| put_u16(out, scheme.id())));
    put_vector16(out, |_| {});
}

/// A CertificateVerify (RFC 5246 §7.4.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CertificateVerify<'a> {
    pub(crate) scheme: u16,
    pub(crate) signature: &'a [u8],
}

impl<'a> CertificateVerify<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let scheme = reader.u16("signature algorithm")?;
        let signature = reader.vector16("signature")?;
        reader.end("CertificateVerify")?;
        Ok(Self { scheme, signature })
    }
}

pub(crate) fn put_certificate_verify(out: &mut Vec<u8>, scheme: SignatureScheme, signature: &[u8]) {
    put_u16(out, scheme.id());
    put_vector16(out, |out| out.extend_from_slice(signature));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chains_round_trip(chain in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..4)) {
            let mut out = Vec::new();
            put_certificate(&mut out, chain.iter().map(Vec::as_slice));
            let message = CertificateMessage::decode(&out).unwrap();
            let expected: Vec<_> = chain.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(message.chain.as_slice(), expected);
        }

        #[test]
        fn signatures_round_trip(signature in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut out = Vec::new();
            put_certificate_verify(&mut out, SignatureScheme::EcdsaSha256, &signature);
            let decoded = CertificateVerify::decode(&out).unwrap();
            prop_assert_eq!(decoded, CertificateVerify { scheme: 0x0403, signature: &signature });
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            let _ = CertificateMessage::decode(&bytes);
            let _ = CertificateRequest::decode(&bytes);
            let _ = CertificateVerify::decode(&bytes);
        }
    }

    #[test]
    fn requests_round_trip() {
        let mut out = Vec::new();
        put_certificate_request(&mut out, &[SignatureScheme::EcdsaSha256, SignatureScheme::RsaPkcs1Sha256]);
        let request = CertificateRequest::decode(&out).unwrap();
        assert!(request.accepts(SignatureScheme::EcdsaSha256));
        assert!(!request.accepts(SignatureScheme::EcdsaSha384));
    }
}
