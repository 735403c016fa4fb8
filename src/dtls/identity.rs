//! A certificate with its private key.

use std::fmt;
use std::sync::Arc;

use super::certificate::{CertificateParams, CertifiedKey, self_signed};
use crate::crypto::{
    CryptoError, CryptoProvider, Digests, HashAlgorithm, PrivateKey, SignatureScheme, SigningKey,
};
use crate::layer::{DtlsError, Fingerprint, FingerprintAlgorithm};

/// A certificate and its private key. Cheap to clone, and meant to be shared by many connections.
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::dtls::{FingerprintAlgorithm, Identity};
///
/// let identity = Identity::generate(&aws_lc_rs::provider())?;
/// let line = format!("a=fingerprint:{}", identity.fingerprint(FingerprintAlgorithm::Sha256));
/// assert!(line.starts_with("a=fingerprint:sha-256 "));
/// # Ok::<(), kaon_rtc::dtls::DtlsError>(())
/// ```
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    chain: Vec<Vec<u8>>,
    key: Box<dyn SigningKey>,
    sha256: Fingerprint,
    sha384: Fingerprint,
    sha512: Fingerprint,
}

impl Identity {
    /// A new ECDSA key on P-256 and a self-signed certificate for it, as RFC 8827 §6.5 asks.
    ///
    /// # Errors
    /// [`DtlsError::Crypto`] if the provider fails.
    pub fn generate(provider: &CryptoProvider) -> Result<Self, DtlsError> {
        let key = provider.signatures.generate_p256().map_err(|_| DtlsError::Crypto("generating a key"))?;
        Self::self_signed(provider, &key, &CertificateParams::default())
    }

    /// A self-signed certificate for an ECDSA key. With a key that was kept, the identity differs from the
    /// earlier one all the same: its serial number is random. To have the same fingerprint again, keep
    /// [`certificate`](Self::certificate) too and use [`from_der`](Self::from_der).
    ///
    /// # Errors
    /// [`DtlsError::Crypto`] if the provider does not take the key.
    pub fn self_signed(
        provider: &CryptoProvider,
        key: &PrivateKey,
        params: &CertificateParams,
    ) -> Result<Self, DtlsError> {
        let key = provider.signatures.load(key).map_err(|_| DtlsError::Crypto("loading the private key"))?;
        let certificate = self_signed(&*provider.random, &*key, params)?;
        Self::new(provider, vec![certificate], key)
    }

    /// An identity from parts that were kept: certificates in DER, the own one first, and its private key.
    ///
    /// # Errors
    /// [`DtlsError::Config`] if the certificate cannot be read or is not the key's, [`DtlsError::Crypto`]
    /// if the provider does not take the key.
    pub fn from_der(
        provider: &CryptoProvider,
        chain: Vec<Vec<u8>>,
        key: &PrivateKey,
    ) -> Result<Self, DtlsError> {
        let key = provider.signatures.load(key).map_err(|_| DtlsError::Crypto("loading the private key"))?;
        let certificate = chain.first().ok_or(DtlsError::Config("an identity without a certificate"))?;
        let certified = CertifiedKey::of_certificate(certificate)
            .map_err(|_| DtlsError::Config("the certificate is not X.509 with a supported key"))?;
        if certified.bytes() != key.public_key() {
            return Err(DtlsError::Config("the private key is not the certificate's"));
        }
        Self::new(provider, chain, key)
    }

    fn new(
        provider: &CryptoProvider,
        chain: Vec<Vec<u8>>,
        key: Box<dyn SigningKey>,
    ) -> Result<Self, DtlsError> {
        let certificate = chain.first().map(Vec::as_slice).unwrap_or_default();
        let digest = |algorithm| {
            fingerprint(&*provider.digests, algorithm, certificate)
                .ok_or(DtlsError::Crypto("hashing the certificate"))
        };
        let sha256 = digest(FingerprintAlgorithm::Sha256)?;
        let sha384 = digest(FingerprintAlgorithm::Sha384)?;
        let sha512 = digest(FingerprintAlgorithm::Sha512)?;
        Ok(Self(Arc::new(Inner { chain, key, sha256, sha384, sha512 })))
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
        self.0.chain.first().map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.0.chain.iter().map(Vec::as_slice)
    }

    pub(crate) fn scheme(&self) -> SignatureScheme {
        self.0.key.scheme()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.0.key.sign(message)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.0.sha256).finish_non_exhaustive()
    }
}

/// The fingerprint of a certificate in DER (RFC 8122 §5).
pub(crate) fn fingerprint(
    digests: &dyn Digests,
    algorithm: FingerprintAlgorithm,
    certificate: &[u8],
) -> Option<Fingerprint> {
    let hash = match algorithm {
        FingerprintAlgorithm::Sha256 => HashAlgorithm::Sha256,
        FingerprintAlgorithm::Sha384 => HashAlgorithm::Sha384,
        FingerprintAlgorithm::Sha512 => HashAlgorithm::Sha512,
    };
    Fingerprint::new(algorithm, &digests.hash(hash, &[certificate]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtls::test_provider::provider;

    #[test]
    fn identities_are_kept_as_der() {
        let provider = provider(1);
        let key = provider.signatures.generate_p256().unwrap();
        let identity = Identity::self_signed(&provider, &key, &CertificateParams::default()).unwrap();
        let again = Identity::from_der(&provider, vec![identity.certificate().to_vec()], &key).unwrap();
        for algorithm in
            [FingerprintAlgorithm::Sha256, FingerprintAlgorithm::Sha384, FingerprintAlgorithm::Sha512]
        {
            assert_eq!(identity.fingerprint(algorithm), again.fingerprint(algorithm));
            assert_eq!(identity.fingerprint(algorithm).algorithm(), algorithm);
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let provider = provider(1);
        let identity = Identity::generate(&provider).unwrap();
        let other = provider.signatures.generate_p256().unwrap();
        let refused = Identity::from_der(&provider, vec![identity.certificate().to_vec()], &other);
        assert_eq!(refused.unwrap_err(), DtlsError::Config("the private key is not the certificate's"));
        assert!(matches!(Identity::from_der(&provider, Vec::new(), &other), Err(DtlsError::Config(_))));
        assert!(matches!(Identity::from_der(&provider, vec![vec![1, 2]], &other), Err(DtlsError::Config(_))));
    }
}
