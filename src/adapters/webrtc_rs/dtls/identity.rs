//! A certificate with its private key.

use std::fmt;
use std::sync::Arc;

use ::dtls::crypto::{Certificate, CryptoPrivateKey, CryptoPrivateKeyKind};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

use crate::layer::{DtlsError, Fingerprint, FingerprintAlgorithm};

/// A certificate and its private key as the crate `dtls` has them: ECDSA on P-256. Cheap to clone, and meant to be
/// shared by many connections.
#[derive(Clone)]
pub struct DtlsIdentity(Arc<Inner>);

struct Inner {
    certificate: Certificate,
    sha256: Fingerprint,
    sha384: Fingerprint,
    sha512: Fingerprint,
}

impl DtlsIdentity {
    /// A new key and a self-signed certificate for it, by the crate.
    ///
    /// # Errors
    /// [`DtlsError::Crypto`] if the crate fails.
    pub fn generate() -> Result<Self, DtlsError> {
        let names = Vec::new();
        let certificate = Certificate::generate_self_signed(names)
            .map_err(|_| DtlsError::Crypto("generating a certificate"))?;
        Self::new(certificate)
    }

    /// An identity from certificates in DER, the own one first, and its private key in PKCS#8. This library's
    /// `dtls::Identity` becomes one by the certificate and the key that it was made from, and keeps its
    /// fingerprint.
    ///
    /// # Errors
    /// [`DtlsError::Config`] if the key is not on P-256, which is all that the crate signs with, or is not the
    /// certificate's.
    pub fn from_der(chain: Vec<Vec<u8>>, key: &[u8]) -> Result<Self, DtlsError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key, &SystemRandom::new())
            .map_err(|_| DtlsError::Config("the private key is not PKCS#8 of an ECDSA key on P-256"))?;
        let own = chain.first().ok_or(DtlsError::Config("an identity without a certificate"))?;
        // The point stands in the certificate as it is (RFC 5480 §2.2).
        let point = pair.public_key().as_ref();
        if !own.windows(point.len()).any(|window| window == point) {
            return Err(DtlsError::Config("the private key is not the certificate's"));
        }
        let private_key =
            CryptoPrivateKey { kind: CryptoPrivateKeyKind::Ecdsa256(pair), serialized_der: key.to_vec() };
        let certificate = chain.into_iter().map(Into::into).collect();
        Self::new(Certificate { certificate, private_key })
    }

    fn new(certificate: Certificate) -> Result<Self, DtlsError> {
        let own = certificate.certificate.first().map(AsRef::as_ref).unwrap_or_default();
        let digest =
            |algorithm| fingerprint(algorithm, own).ok_or(DtlsError::Crypto("hashing the certificate"));
        let sha256 = digest(FingerprintAlgorithm::Sha256)?;
        let sha384 = digest(FingerprintAlgorithm::Sha384)?;
        let sha512 = digest(FingerprintAlgorithm::Sha512)?;
        Ok(Self(Arc::new(Inner { certificate, sha256, sha384, sha512 })))
    }

    /// The fingerprint to announce.
    pub fn fingerprint(&self, algorithm: FingerprintAlgorithm) -> &Fingerprint {
        match algorithm {
            FingerprintAlgorithm::Sha256 => &self.0.sha256,
            FingerprintAlgorithm::Sha384 => &self.0.sha384,
            FingerprintAlgorithm::Sha512 => &self.0.sha512,
        }
    }

    /// The certificate in DER.
    pub fn certificate(&self) -> &[u8] {
        self.0.certificate.certificate.first().map(AsRef::as_ref).unwrap_or_default()
    }

    pub(super) fn for_crate(&self) -> Certificate {
        self.0.certificate.clone()
    }
}

impl fmt::Debug for DtlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsIdentity").field("fingerprint", &self.0.sha256).finish_non_exhaustive()
    }
}

/// Whether the certificate has one of the fingerprints that were announced; those of the strongest hash function
/// count (RFC 8122 §5.1).
///
/// # Errors
/// [`DtlsError::WrongFingerprint`].
pub(super) fn verify(announced: &[Fingerprint], certificate: &[u8]) -> Result<(), DtlsError> {
    use FingerprintAlgorithm::{Sha256, Sha384, Sha512};
    let strongest = [Sha512, Sha384, Sha256]
        .into_iter()
        .find(|algorithm| announced.iter().any(|fingerprint| fingerprint.algorithm() == *algorithm))
        .unwrap_or(Sha256);
    let actual = fingerprint(strongest, certificate);
    if actual.as_ref().is_some_and(|actual| announced.contains(actual)) {
        return Ok(());
    }
    let expected: Vec<String> = announced.iter().map(Fingerprint::to_string).collect();
    let actual = actual.map(|actual| actual.to_string()).unwrap_or_default();
    Err(DtlsError::WrongFingerprint { expected: expected.join(", "), actual })
}

fn fingerprint(algorithm: FingerprintAlgorithm, certificate: &[u8]) -> Option<Fingerprint> {
    let hash = match algorithm {
        FingerprintAlgorithm::Sha256 => &digest::SHA256,
        FingerprintAlgorithm::Sha384 => &digest::SHA384,
        FingerprintAlgorithm::Sha512 => &digest::SHA512,
    };
    Fingerprint::new(algorithm, digest::digest(hash, certificate).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_kept_as_der() {
        let identity = DtlsIdentity::generate().unwrap();
        let key = identity.for_crate().private_key.serialized_der;
        let chain = || vec![identity.certificate().to_vec()];
        let again = DtlsIdentity::from_der(chain(), &key).unwrap();
        for algorithm in
            [FingerprintAlgorithm::Sha256, FingerprintAlgorithm::Sha384, FingerprintAlgorithm::Sha512]
        {
            assert_eq!(identity.fingerprint(algorithm), again.fingerprint(algorithm));
        }
        let other = DtlsIdentity::generate().unwrap().for_crate().private_key.serialized_der;
        let refused = DtlsIdentity::from_der(chain(), &other);
        assert_eq!(refused.unwrap_err(), DtlsError::Config("the private key is not the certificate's"));
        assert!(matches!(DtlsIdentity::from_der(chain(), b"no key"), Err(DtlsError::Config(_))));
        assert!(matches!(DtlsIdentity::from_der(Vec::new(), &key), Err(DtlsError::Config(_))));
    }

    /// One certificate for connections of either make.
    #[test]
    #[cfg(all(feature = "dtls", feature = "aws-lc-rs"))]
    fn this_librarys_identity_keeps_its_fingerprint() {
        use crate::crypto::aws_lc_rs::provider;
        use crate::dtls::{CertificateParams, Identity};
        let provider = provider();
        let key = provider.signatures.generate_p256().unwrap();
        let native = Identity::self_signed(&provider, &key, &CertificateParams::default()).unwrap();
        let foreign = DtlsIdentity::from_der(vec![native.certificate().to_vec()], key.as_pkcs8()).unwrap();
        let sha256 = FingerprintAlgorithm::Sha256;
        assert_eq!(foreign.fingerprint(sha256), native.fingerprint(sha256));
    }

    #[test]
    fn the_strongest_hash_counts() {
        let (identity, other) = (DtlsIdentity::generate().unwrap(), DtlsIdentity::generate().unwrap());
        let right = |algorithm| identity.fingerprint(algorithm).clone();
        let wrong = |algorithm| other.fingerprint(algorithm).clone();
        let judge = |announced: &[Fingerprint]| verify(announced, identity.certificate());
        use FingerprintAlgorithm::{Sha256, Sha384, Sha512};
        assert_eq!(judge(&[wrong(Sha256), right(Sha256)]), Ok(()));
        assert_eq!(judge(&[wrong(Sha256), right(Sha384)]), Ok(()));
        let expected = format!("{}, {}", right(Sha256), wrong(Sha512));
        let actual = right(Sha512).to_string();
        assert_eq!(
            judge(&[right(Sha256), wrong(Sha512)]),
            Err(DtlsError::WrongFingerprint { expected, actual })
        );
        assert!(judge(&[]).is_err(), "no fingerprint matches nothing");
    }
}
