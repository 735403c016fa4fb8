use super::der::{BIT_STRING, CONTEXT_0, DerReader, INTEGER, OBJECT_IDENTIFIER, SEQUENCE};
use crate::crypto::PublicKey;
use crate::dtls::cipher_suite::Authentication;
use crate::dtls::wire::Malformed;

/// id-ecPublicKey, RFC 5480 §2.1.1.
pub(super) const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// secp256r1, RFC 5480 §2.1.1.1.
pub(super) const SECP256R1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// secp384r1.
pub(super) const SECP384R1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// rsaEncryption, RFC 3279 §2.3.1.
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// id-Ed25519, RFC 8410 §3.
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

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
    /// are not looked at: the fingerprint over all of it is the authentication (RFC 8122 §5).
    pub(crate) fn of_certificate(der: &[u8]) -> Result<Self, Malformed> {
        let mut certificate = DerReader::new(der).inside(SEQUENCE, "Certificate")?;
        let mut tbs = certificate.inside(SEQUENCE, "TBSCertificate")?;
        if tbs.next_is(CONTEXT_0) {
            tbs.value(CONTEXT_0, "certificate version")?;
        }
        tbs.value(INTEGER, "certificate serialNumber")?;
        for field in ["certificate signature", "certificate issuer", "certificate validity"] {
            tbs.value(SEQUENCE, field)?;
        }
        tbs.value(SEQUENCE, "certificate subject")?;
        let mut info = tbs.inside(SEQUENCE, "subjectPublicKeyInfo")?;
        let mut algorithm = info.inside(SEQUENCE, "public key algorithm")?;
        let oid = algorithm.value(OBJECT_IDENTIFIER, "public key algorithm")?;
        let kind = if oid == EC_PUBLIC_KEY {
            match algorithm.value(OBJECT_IDENTIFIER, "public key curve")? {
                SECP256R1 => KeyKind::P256,
                SECP384R1 => KeyKind::P384,
                _ => return Err(Malformed("the curve of the certificate's key is not supported")),
            }
        } else if oid == RSA_ENCRYPTION {
            KeyKind::Rsa
        } else if oid == ED25519 {
            KeyKind::Ed25519
        } else {
            return Err(Malformed("the kind of the certificate's key is not supported"));
        };
        match info.value(BIT_STRING, "subjectPublicKey")?.split_first() {
            Some((0, bytes)) => Ok(Self { kind, bytes: bytes.to_vec() }),
            _ => Err(Malformed("subjectPublicKey")),
        }
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
