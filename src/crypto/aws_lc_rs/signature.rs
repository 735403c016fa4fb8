//! Signatures by AWS-LC.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey, VerificationAlgorithm,
};

use crate::crypto::encoding::is_public_key;
use crate::crypto::{CryptoError, PrivateKey, PublicKey, SignatureScheme, Signatures, SigningKey};

pub(super) struct AwsLcSignatures;

impl Signatures for AwsLcSignatures {
    fn schemes(&self) -> &'static [SignatureScheme] {
        &[
            SignatureScheme::EcdsaSha256,
            SignatureScheme::EcdsaSha384,
            SignatureScheme::Ed25519,
            SignatureScheme::RsaPssSha256,
            SignatureScheme::RsaPkcs1Sha256,
        ]
    }

    fn generate_p256(&self) -> Result<PrivateKey, CryptoError> {
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map(|document| PrivateKey::from_pkcs8(document.as_ref()))
            .map_err(|_| CryptoError::Failed)
    }

    fn load(&self, key: &PrivateKey) -> Result<Box<dyn SigningKey>, CryptoError> {
        let kinds = [
            (SignatureScheme::EcdsaSha256, &ECDSA_P256_SHA256_ASN1_SIGNING),
            (SignatureScheme::EcdsaSha384, &ECDSA_P384_SHA384_ASN1_SIGNING),
        ];
        kinds
            .into_iter()
            .find_map(|(scheme, algorithm)| {
                let key_pair = EcdsaKeyPair::from_pkcs8(algorithm, key.as_pkcs8()).ok()?;
                Some(Box::new(EcdsaKey { scheme, key_pair }) as Box<dyn SigningKey>)
            })
            .ok_or(CryptoError::InvalidKey)
    }

    fn verify(
        &self,
        scheme: SignatureScheme,
        key: PublicKey<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        use SignatureScheme::*;
        if !is_public_key(key) {
            return Err(CryptoError::InvalidKey);
        }
        let (algorithm, key): (&'static dyn VerificationAlgorithm, _) = match (scheme, key) {
            (EcdsaSha256, PublicKey::P256(key)) => (&signature::ECDSA_P256_SHA256_ASN1, key),
            (EcdsaSha256, PublicKey::P384(key)) => (&signature::ECDSA_P384_SHA256_ASN1, key),
            (EcdsaSha384, PublicKey::P256(key)) => (&signature::ECDSA_P256_SHA384_ASN1, key),
            (EcdsaSha384, PublicKey::P384(key)) => (&signature::ECDSA_P384_SHA384_ASN1, key),
            (Ed25519, PublicKey::Ed25519(key)) => (&signature::ED25519, key),
            (RsaPssSha256, PublicKey::Rsa(key)) => (&signature::RSA_PSS_2048_8192_SHA256, key),
            (RsaPkcs1Sha256, PublicKey::Rsa(key)) => (&signature::RSA_PKCS1_2048_8192_SHA256, key),
            _ => return Err(CryptoError::InvalidKey),
        };
        let key = UnparsedPublicKey::new(algorithm, key);
        // A failure does not say what it was; only then the key is read a second time.
        key.verify(message, signature).map_err(|_| match key.parse() {
            Ok(_) => CryptoError::Signature,
            Err(_) => CryptoError::InvalidKey,
        })
    }
}

struct EcdsaKey {
    scheme: SignatureScheme,
    key_pair: EcdsaKeyPair,
}

impl SigningKey for EcdsaKey {
    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }

    fn public_key(&self) -> &[u8] {
        self.key_pair.public_key().as_ref()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.key_pair
            .sign(&SystemRandom::new(), message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| CryptoError::Failed)
    }
}
