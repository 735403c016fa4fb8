use super::der::{
    BIT_STRING, CONTEXT_0, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, SEQUENCE, SET, UTC_TIME,
    UTF8_STRING, put, put_bytes,
};
use super::public_key::{EC_PUBLIC_KEY, SECP256R1, SECP384R1};
use crate::crypto::{CryptoError, SecureRandom, SignatureScheme, SigningKey};

/// ecdsa-with-SHA256, RFC 5758 §3.2.
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// ecdsa-with-SHA384.
const ECDSA_WITH_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
/// id-at-commonName, RFC 5280 §A.1.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

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
) -> Result<Vec<u8>, CryptoError> {
    let (signature_oid, curve) = match key.scheme() {
        SignatureScheme::EcdsaSha256 => (ECDSA_WITH_SHA256, SECP256R1),
        SignatureScheme::EcdsaSha384 => (ECDSA_WITH_SHA384, SECP384R1),
        _ => return Err(CryptoError::Unsupported("a self-signed certificate without an ECDSA key")),
    };
    // RFC 5280 §4.1.2.2: a positive number of at most 20 bytes.
    let mut serial = [0; 16];
    random.fill(&mut serial);
    serial[0] = serial[0] & 0x7f | 0x40;

    let algorithm = |out: &mut Vec<u8>| {
        put(out, SEQUENCE, |out| put_bytes(out, OBJECT_IDENTIFIER, signature_oid));
    };
    let name = |out: &mut Vec<u8>| put_name(out, &params.common_name);
    let mut tbs = Vec::with_capacity(300);
    put(&mut tbs, SEQUENCE, |out| {
        put(out, CONTEXT_0, |out| put_bytes(out, INTEGER, &[2]));
        put_bytes(out, INTEGER, &serial);
        algorithm(out);
        name(out);
        put(out, SEQUENCE, |out| {
            put_time(out, params.validity.not_before);
            put_time(out, params.validity.not_after);
        });
        name(out);
        put(out, SEQUENCE, |out| {
            put(out, SEQUENCE, |out| {
                put_bytes(out, OBJECT_IDENTIFIER, EC_PUBLIC_KEY);
                put_bytes(out, OBJECT_IDENTIFIER, curve);
            });
            put_bit_string(out, key.public_key());
        });
    });
    let signature = key.sign(&tbs)?;
    let mut certificate = Vec::with_capacity(tbs.len() + 100);
    put(&mut certificate, SEQUENCE, |out| {
        out.extend_from_slice(&tbs);
        algorithm(out);
        put_bit_string(out, &signature);
    });
    Ok(certificate)
}

fn put_name(out: &mut Vec<u8>, common_name: &str) {
    let end = (0..=common_name.len().min(64)).rev().find(|end| common_name.is_char_boundary(*end));
    let common_name = common_name.get(..end.unwrap_or(0)).unwrap_or_default();
    put(out, SEQUENCE, |out| {
        put(out, SET, |out| {
            put(out, SEQUENCE, |out| {
                put_bytes(out, OBJECT_IDENTIFIER, COMMON_NAME);
                put_bytes(out, UTF8_STRING, common_name.as_bytes());
            });
        });
    });
}

fn put_bit_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, BIT_STRING, |out| {
        out.push(0);
        out.extend_from_slice(bytes);
    });
}

/// RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050.
fn put_time(out: &mut Vec<u8>, seconds: u64) {
    let seconds = seconds.min(Validity::UNBOUNDED.not_after);
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if year < 2050 {
        put_bytes(out, UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes());
    } else {
        put_bytes(out, GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes());
    }
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted from 0000-03-01, so that the leap day ends the year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtls::certificate::CertifiedKey;
    use crate::dtls::test_provider::provider;
    use crate::dtls::wire::Malformed;

    #[test]
    fn dates_are_right() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(19_723), (2024, 1, 1));
        assert_eq!(date(19_723 + 59), (2024, 2, 29));
        assert_eq!(date(Validity::UNBOUNDED.not_after / 86_400), (9999, 12, 31));
        let time = |seconds| {
            let mut out = Vec::new();
            put_time(&mut out, seconds);
            out
        };
        assert_eq!(time(Validity::UNBOUNDED.not_before), b"\x17\x0d240101000000Z");
        assert_eq!(time(u64::MAX), b"\x18\x0f99991231235959Z");
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

    #[test]
    fn other_keys_are_named() {
        let provider = provider(3);
        let key = provider.signatures.load(&provider.signatures.generate_p256().unwrap()).unwrap();
        let mut certificate = self_signed(&*provider.random, &*key, &CertificateParams::default()).unwrap();
        let at = certificate.windows(SECP256R1.len()).position(|bytes| bytes == SECP256R1).unwrap();
        certificate[at + SECP256R1.len() - 1] = 6;
        let refused = CertifiedKey::of_certificate(&certificate).unwrap_err();
        assert_eq!(refused, Malformed("the curve of the certificate's key is not supported"));
    }
}
