//! Self-signed certificates.

use std::time::Duration;

use der::asn1::{Any, BitString, BitStringRef};
use der::oid::ObjectIdentifier;
use der::oid::db::rfc4519::COMMON_NAME;
use der::oid::db::rfc5912::{
    ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ID_EC_PUBLIC_KEY, SECP_256_R_1, SECP_384_R_1,
};
use der::{DateTime, Encode, Sequence, Tag};
use x509_cert::Version;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::{RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{
    AlgorithmIdentifier, AlgorithmIdentifierOwned, SubjectPublicKeyInfo, SubjectPublicKeyInfoOwned,
};
use x509_cert::time::{self, Time};

use crate::crypto::{SecureRandom, SignatureScheme, SigningKey};
use crate::layer::DtlsError;

/// What a self-signed certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateParams {
    /// The common name of subject and issuer, 1 to 64 bytes of UTF-8; longer ones are cut. It is sent in
    /// the clear, so the default says nothing about anybody: `WebRTC`.
    pub common_name: String,
    /// When the certificate is valid.
    pub validity: Validity,
}

impl Default for CertificateParams {
    fn default() -> Self {
        Self { common_name: "WebRTC".to_owned(), validity: Validity::UNBOUNDED }
    }
}

/// When a certificate is valid, in seconds since 1970-01-01 UTC.
///
/// Peers that check fingerprints do not look at it, and nothing here reads a clock; an application that
/// knows the time may bound it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: u64,
    /// The last second; at most the end of the year 9999.
    pub not_after: u64,
}

impl Validity {
    /// From the beginning of 2024, and without end: 9999-12-31 23:59:59 (RFC 5280 §4.1.2.5).
    pub const UNBOUNDED: Self = Self { not_before: 1_704_067_200, not_after: 253_402_300_799 };
}

/// Writes and signs an X.509 version 3 certificate for `key`.
pub(crate) fn self_signed(
    random: &dyn SecureRandom,
    key: &dyn SigningKey,
    params: &CertificateParams,
) -> Result<Vec<u8>, DtlsError> {
    let (signature_oid, curve) = match key.scheme() {
        SignatureScheme::EcdsaSha256 => (ECDSA_WITH_SHA_256, SECP_256_R_1),
        SignatureScheme::EcdsaSha384 => (ECDSA_WITH_SHA_384, SECP_384_R_1),
        _ => return Err(DtlsError::Crypto("a self-signed certificate needs an ECDSA key")),
    };
    // RFC 5280 §4.1.2.2: a positive number of at most 20 bytes.
    let mut serial = [0; 16];
    random.fill(&mut serial);
    serial[0] = serial[0] & 0x7f | 0x40;

    let not_encoded = |_: der::Error| DtlsError::Crypto("encoding the certificate");
    let tbs_certificate =
        TbsCertificate::new(&serial, signature_oid, curve, key.public_key(), params).map_err(not_encoded)?;
    let signed = tbs_certificate.to_der().map_err(not_encoded)?;
    let signature = key.sign(&signed).map_err(|_| DtlsError::Crypto("signing the certificate"))?;
    let certificate = Certificate {
        signature_algorithm: tbs_certificate.signature.clone(),
        signature: BitStringRef::from_bytes(&signature).map_err(not_encoded)?,
        tbs_certificate,
    };
    certificate.to_der().map_err(not_encoded)
}

/// RFC 5280 §4.1. The type of x509-cert can be read, but only its builder writes it, and that makes a
/// certificate without extensions one of version 1, which not every peer takes.
#[derive(Sequence)]
struct Certificate<'a> {
    tbs_certificate: TbsCertificate,
    signature_algorithm: AlgorithmIdentifierOwned,
    signature: BitStringRef<'a>,
}

/// RFC 5280 §4.1.
#[derive(Sequence)]
struct TbsCertificate {
    #[asn1(context_specific = "0", default = "Default::default")]
    version: Version,
    serial_number: SerialNumber,
    signature: AlgorithmIdentifierOwned,
    issuer: RdnSequence,
    validity: time::Validity,
    subject: RdnSequence,
    subject_public_key_info: SubjectPublicKeyInfoOwned,
}

impl TbsCertificate {
    fn new(
        serial: &[u8],
        signature: ObjectIdentifier,
        curve: ObjectIdentifier,
        public_key: &[u8],
        params: &CertificateParams,
    ) -> der::Result<Self> {
        let name = name(&params.common_name)?;
        let Validity { not_before, not_after } = params.validity;
        Ok(Self {
            version: Version::V3,
            serial_number: SerialNumber::new(serial)?,
            signature: AlgorithmIdentifier { oid: signature, parameters: None },
            issuer: name.clone(),
            validity: time::Validity::new(time(not_before)?, time(not_after)?),
            subject: name,
            subject_public_key_info: SubjectPublicKeyInfo {
                algorithm: AlgorithmIdentifier {
                    oid: ID_EC_PUBLIC_KEY,
                    parameters: Some(Any::encode_from(&curve)?),
                },
                subject_public_key: BitString::from_bytes(public_key)?,
            },
        })
    }
}

fn name(common_name: &str) -> der::Result<RdnSequence> {
    let end = (0..=common_name.len().min(64)).rev().find(|end| common_name.is_char_boundary(*end));
    let common_name = common_name.get(..end.unwrap_or(0)).unwrap_or_default();
    let value = Any::new(Tag::Utf8String, common_name.as_bytes())?;
    let attribute = AttributeTypeAndValue { oid: COMMON_NAME, value };
    Ok(vec![RelativeDistinguishedName::try_from(vec![attribute])?].into())
}

/// RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050.
fn time(seconds: u64) -> der::Result<Time> {
    let seconds = seconds.min(Validity::UNBOUNDED.not_after);
    DateTime::from_unix_duration(Duration::from_secs(seconds)).map(Time::from)
}

#[cfg(test)]
mod tests {
    use der::Decode;

    use super::*;
    use crate::crypto::PublicKey;
    use crate::dtls::certificate::CertifiedKey;
    use crate::dtls::test_provider::provider;

    #[test]
    fn dates_are_right() {
        let time = |seconds| time(seconds).unwrap().to_der().unwrap();
        assert_eq!(time(0), b"\x17\x0d700101000000Z");
        assert_eq!(time(Validity::UNBOUNDED.not_before), b"\x17\x0d240101000000Z");
        assert_eq!(time(Validity::UNBOUNDED.not_before + 59 * 86_400 + 1), b"\x17\x0d240229000001Z");
        assert_eq!(time(2_524_607_999), b"\x17\x0d491231235959Z");
        assert_eq!(time(2_524_608_000), b"\x18\x0f20500101000000Z");
        assert_eq!(time(u64::MAX), b"\x18\x0f99991231235959Z");
    }

    #[test]
    fn a_strict_reader_takes_what_is_written() {
        let provider = provider(3);
        let key = provider.signatures.load(&provider.signatures.generate_p256().unwrap()).unwrap();
        let params = CertificateParams { common_name: "a,b=\"ä\" + c".to_owned(), ..Default::default() };
        let der = self_signed(&*provider.random, &*key, &params).unwrap();
        let certificate = x509_cert::Certificate::from_der(&der).unwrap();
        let tbs = certificate.tbs_certificate();
        assert_eq!(certificate.to_der().unwrap(), der);
        assert_eq!(tbs.version(), Version::V3);
        assert_eq!(tbs.subject().common_name().unwrap().unwrap().value(), params.common_name);
        assert_eq!(tbs.subject(), tbs.issuer());
        assert_eq!(tbs.signature(), certificate.signature_algorithm());
        assert_eq!(tbs.validity().not_after.to_unix_duration().as_secs(), Validity::UNBOUNDED.not_after);
        let (scheme, public_key) = (SignatureScheme::EcdsaSha256, PublicKey::P256(key.public_key()));
        let signature = certificate.signature().as_bytes().unwrap();
        provider.signatures.verify(scheme, public_key, &tbs.to_der().unwrap(), signature).unwrap();
    }

    #[test]
    fn the_key_is_found_again() {
        let provider = provider(3);
        let key = provider.signatures.load(&provider.signatures.generate_p256().unwrap()).unwrap();
        let params = CertificateParams { common_name: "ä".repeat(60), ..CertificateParams::default() };
        let certificate = self_signed(&*provider.random, &*key, &params).unwrap();
        let found = CertifiedKey::of_certificate(&certificate).unwrap();
        assert_eq!(found.bytes(), key.public_key());
        for len in 0..certificate.len() {
            assert!(CertifiedKey::of_certificate(&certificate[..len]).is_err(), "{len}");
        }
    }
}
