//! The public key in a certificate, RFC 5280 §4.1.

use der::asn1::AnyRef;
use der::oid::db::rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1};
use der::oid::db::rfc8410::ID_ED_25519;
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use x509_cert::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use crate::crypto::PublicKey;
use crate::dtls::cipher_suite::Authentication;
use crate::dtls::wire::Malformed;

/// The tag of the version, which version 1 leaves out (RFC 5280 §4.1).
const VERSION: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };

/// The public key of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertifiedKey {
    kind: KeyKind,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyKind {
    P256,
    P384,
    Rsa,
    Ed25519,
}

impl CertifiedKey {
    /// Finds the public key in a certificate (RFC 5280 §4.1). Names, dates, extensions and the signature
    /// are not looked at: the fingerprint over all of it is the authentication (RFC 8122 §5). So a serial
    /// number or a date that is against RFC 5280 keeps nobody out.
    pub(crate) fn of_certificate(der: &[u8]) -> Result<Self, Malformed> {
        let mut reader = SliceReader::new(der)?;
        let info = reader.sequence(|certificate| {
            let info = certificate.sequence(subject_public_key_info)?;
            skip_rest(certificate)?;
            Ok::<_, Malformed>(info)
        })?;
        reader.finish()?;
        let kind = KeyKind::of_algorithm(&info.algorithm)?;
        let bytes = info.subject_public_key.as_bytes().ok_or(Malformed("subjectPublicKey"))?;
        Ok(Self { kind, bytes: bytes.to_vec() })
    }

    pub(crate) fn as_public_key(&self) -> PublicKey<'_> {
        match self.kind {
            KeyKind::P256 => PublicKey::P256(&self.bytes),
            KeyKind::P384 => PublicKey::P384(&self.bytes),
            KeyKind::Rsa => PublicKey::Rsa(&self.bytes),
            KeyKind::Ed25519 => PublicKey::Ed25519(&self.bytes),
        }
    }

    /// Which suites the key serves.
    pub(crate) fn authentication(&self) -> Authentication {
        match self.kind {
            KeyKind::Rsa => Authentication::Rsa,
            KeyKind::P256 | KeyKind::P384 | KeyKind::Ed25519 => Authentication::Ecdsa,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl KeyKind {
    fn of_algorithm(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<Self, Malformed> {
        match algorithm.oid {
            ID_EC_PUBLIC_KEY => match algorithm.parameters_oid() {
                Ok(SECP_256_R_1) => Ok(Self::P256),
                Ok(SECP_384_R_1) => Ok(Self::P384),
                Ok(_) => Err(Malformed("the curve of the certificate's key is not supported")),
                Err(_) => Err(Malformed("public key curve")),
            },
            RSA_ENCRYPTION => Ok(Self::Rsa),
            ID_ED_25519 => Ok(Self::Ed25519),
            _ => Err(Malformed("the kind of the certificate's key is not supported")),
        }
    }
}

/// Reads a TBSCertificate as far as the public key, without a copy, and passes over the rest.
fn subject_public_key_info<'a>(tbs: &mut SliceReader<'a>) -> Result<SubjectPublicKeyInfoRef<'a>, Malformed> {
    if Tag::peek(tbs)? == VERSION {
        skip(tbs, VERSION, "certificate version")?;
    }
    skip(tbs, Tag::Integer, "certificate serialNumber")?;
    skip(tbs, Tag::Sequence, "certificate signature")?;
    skip(tbs, Tag::Sequence, "certificate issuer")?;
    skip(tbs, Tag::Sequence, "certificate validity")?;
    skip(tbs, Tag::Sequence, "certificate subject")?;
    let info = SubjectPublicKeyInfoRef::decode(tbs).map_err(|_| Malformed("subjectPublicKeyInfo"))?;
    skip_rest(tbs)?;
    Ok(info)
}

fn skip(reader: &mut SliceReader<'_>, tag: Tag, field: &'static str) -> Result<(), Malformed> {
    match AnyRef::decode(reader) {
        Ok(value) if value.tag() == tag => Ok(()),
        _ => Err(Malformed(field)),
    }
}

fn skip_rest(reader: &mut SliceReader<'_>) -> Result<(), Malformed> {
    reader.read_slice(reader.remaining_len())?;
    Ok(())
}

impl From<der::Error> for Malformed {
    fn from(_: der::Error) -> Self {
        Self("the certificate is not DER")
    }
}

#[cfg(test)]
mod tests {
    use der::asn1::{Any, BitString};
    use der::oid::ObjectIdentifier;
    use der::{Decode, Encode};
    use proptest::prelude::*;
    use x509_cert::spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};

    use super::*;

    fn sequence(fields: &[Vec<u8>]) -> Vec<u8> {
        Any::new(Tag::Sequence, fields.concat()).unwrap().to_der().unwrap()
    }

    fn primitive(tag: Tag, content: &[u8]) -> Vec<u8> {
        Any::new(tag, content).unwrap().to_der().unwrap()
    }

    fn info(oid: ObjectIdentifier, parameters: Option<Any>, key: &[u8]) -> Vec<u8> {
        let algorithm = AlgorithmIdentifier { oid, parameters };
        let subject_public_key = BitString::from_bytes(key).unwrap();
        SubjectPublicKeyInfo { algorithm, subject_public_key }.to_der().unwrap()
    }

    fn p256_info() -> Vec<u8> {
        info(ID_EC_PUBLIC_KEY, Some(Any::encode_from(&SECP_256_R_1).unwrap()), b"key")
    }

    /// A certificate of version 1 with a negative serial number, a time without seconds and names in
    /// the wrong order, as devices in the field have them.
    fn sloppy(info: Vec<u8>) -> Vec<u8> {
        let algorithm = || sequence(&[primitive(Tag::ObjectIdentifier, &[0x2a, 3])]);
        let name = sequence(&[primitive(Tag::Set, b"\x30\x03b=1"), primitive(Tag::Set, b"\x30\x03a=1")]);
        let time = sequence(&[primitive(Tag::UtcTime, b"2401010000Z"), primitive(Tag::UtcTime, b"")]);
        let tbs = [primitive(Tag::Integer, &[0xff; 30]), algorithm(), name.clone(), time, name, info];
        sequence(&[sequence(&tbs), algorithm(), primitive(Tag::BitString, &[0])])
    }

    #[test]
    fn sloppy_certificates_are_read() {
        let certificate = sloppy(p256_info());
        assert!(x509_cert::Certificate::from_der(&certificate).is_err());
        let key = CertifiedKey::of_certificate(&certificate).unwrap();
        assert!(matches!(key.as_public_key(), PublicKey::P256(b"key")));
    }

    #[test]
    fn each_kind_of_key_is_known() {
        let curve = |oid: ObjectIdentifier| Some(Any::encode_from(&oid).unwrap());
        let null = Some(Any::null());
        let kind = |oid, parameters| {
            CertifiedKey::of_certificate(&sloppy(info(oid, parameters, b"key"))).map(|key| key.kind)
        };
        assert_eq!(kind(ID_EC_PUBLIC_KEY, curve(SECP_256_R_1)), Ok(KeyKind::P256));
        assert_eq!(kind(ID_EC_PUBLIC_KEY, curve(SECP_384_R_1)), Ok(KeyKind::P384));
        assert_eq!(kind(RSA_ENCRYPTION, null.clone()), Ok(KeyKind::Rsa));
        assert_eq!(kind(RSA_ENCRYPTION, None), Ok(KeyKind::Rsa));
        assert_eq!(kind(ID_ED_25519, None), Ok(KeyKind::Ed25519));
        let unknown_curve = Malformed("the curve of the certificate's key is not supported");
        assert_eq!(kind(ID_EC_PUBLIC_KEY, curve(ID_ED_25519)), Err(unknown_curve));
        assert_eq!(kind(ID_EC_PUBLIC_KEY, null), Err(Malformed("public key curve")));
        let unknown_kind = Malformed("the kind of the certificate's key is not supported");
        assert_eq!(kind(SECP_256_R_1, None), Err(unknown_kind));
    }

    #[test]
    fn what_is_not_a_certificate_is_refused() {
        let whole = sloppy(p256_info());
        for len in 0..whole.len() {
            assert!(CertifiedKey::of_certificate(&whole[..len]).is_err(), "{len}");
        }
        let trailing = [&whole[..], &[0]].concat();
        assert_eq!(CertifiedKey::of_certificate(&trailing), Err(Malformed("the certificate is not DER")));
        let no_serial = sequence(&[sequence(&[p256_info()])]);
        assert_eq!(CertifiedKey::of_certificate(&no_serial), Err(Malformed("certificate serialNumber")));
        let huge_length = [0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x30];
        assert!(CertifiedKey::of_certificate(&huge_length).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = CertifiedKey::of_certificate(&bytes);
        }

        #[test]
        fn any_damage_is_read_or_refused(at: prop::sample::Index, byte: u8) {
            let mut certificate = sloppy(p256_info());
            let at = at.index(certificate.len());
            certificate[at] = byte;
            let _ = CertifiedKey::of_certificate(&certificate);
        }
    }
}
