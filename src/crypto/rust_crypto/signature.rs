//! Signatures by the RustCrypto crates.

use p256::ecdsa::signature::Signer;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use sha2::{Digest, Sha256, Sha384};

use super::key_exchange::random_scalar;
use crate::crypto::encoding::is_public_key;
use crate::crypto::{CryptoError, PrivateKey, PublicKey, SignatureScheme, Signatures, SigningKey};

pub(super) struct RustCryptoSignatures;

impl Signatures for RustCryptoSignatures {
    fn schemes(&self) -> &'static [SignatureScheme] {
        &[SignatureScheme::EcdsaSha256, SignatureScheme::EcdsaSha384]
    }

    fn generate_p256(&self) -> Result<PrivateKey, CryptoError> {
        let key = random_scalar(|bytes: &[u8; 32]| p256::SecretKey::from_slice(bytes).ok())?;
        let document = key.to_pkcs8_der().map_err(|_| CryptoError::Failed)?;
        Ok(PrivateKey::from_pkcs8(document.as_bytes()))
    }

    fn load(&self, key: &PrivateKey) -> Result<Box<dyn SigningKey>, CryptoError> {
        if let Ok(key) = p256::ecdsa::SigningKey::from_pkcs8_der(key.as_pkcs8()) {
            let public_key = key.verifying_key().to_sec1_point(false).as_bytes().into();
            return Ok(Box::new(P256Key { key, public_key }));
        }
        let key =
            p384::ecdsa::SigningKey::from_pkcs8_der(key.as_pkcs8()).map_err(|_| CryptoError::InvalidKey)?;
        let public_key = key.verifying_key().to_sec1_point(false).as_bytes().into();
        Ok(Box::new(P384Key { key, public_key }))
    }

    fn verify(
        &self,
        scheme: SignatureScheme,
        key: PublicKey<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        if !is_public_key(key) {
            return Err(CryptoError::InvalidKey);
        }
        let (sha256, sha384);
        let prehash: &[u8] = match scheme {
            SignatureScheme::EcdsaSha256 => {
                sha256 = Sha256::digest(message);
                &sha256
            }
            SignatureScheme::EcdsaSha384 => {
                sha384 = Sha384::digest(message);
                &sha384
            }
            _ => return Err(CryptoError::Unsupported("this signature scheme")),
        };
        let verified = match key {
            PublicKey::P256(key) => {
                let key =
                    p256::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| CryptoError::InvalidKey)?;
                p256::ecdsa::DerSignature::try_from(signature)
                    .and_then(|signature| key.verify_prehash(prehash, &signature))
            }
            PublicKey::P384(key) => {
                let key =
                    p384::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| CryptoError::InvalidKey)?;
                p384::ecdsa::DerSignature::try_from(signature).and_then(|signature| {
                    // ECDSA takes the leftmost bits of a hash as a number, so a shorter one is padded in front.
                    let mut padded = [0; 48];
                    padded[48 - prehash.len()..].copy_from_slice(prehash);
                    key.verify_prehash(&padded, &signature)
                })
            }
            _ => return Err(CryptoError::InvalidKey),
        };
        verified.map_err(|_| CryptoError::Signature)
    }
}

struct P256Key {
    key: p256::ecdsa::SigningKey,
    public_key: Box<[u8]>,
}

impl SigningKey for P256Key {
    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::EcdsaSha256
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let signature: p256::ecdsa::DerSignature =
            self.key.try_sign(message).map_err(|_| CryptoError::Failed)?;
        Ok(signature.as_bytes().to_vec())
    }
}

struct P384Key {
    key: p384::ecdsa::SigningKey,
    public_key: Box<[u8]>,
}

impl SigningKey for P384Key {
    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::EcdsaSha384
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let signature: p384::ecdsa::DerSignature =
            self.key.try_sign(message).map_err(|_| CryptoError::Failed)?;
        Ok(signature.as_bytes().to_vec())
    }
}
