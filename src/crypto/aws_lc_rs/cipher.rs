//! Ciphers of AWS-LC.

use aws_lc_rs::aead::{self, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

use crate::crypto::{Aead, AeadAlgorithm, Ciphers, CounterCipher, CryptoError, NONCE_LEN, TAG_LEN};

pub(super) struct AwsLcCiphers;

impl Ciphers for AwsLcCiphers {
    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn Aead>, CryptoError> {
        let algorithm = match algorithm {
            AeadAlgorithm::Aes128Gcm => &aead::AES_128_GCM,
            AeadAlgorithm::Aes256Gcm => &aead::AES_256_GCM,
            AeadAlgorithm::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        };
        let key = UnboundKey::new(algorithm, key).map_err(|_| CryptoError::Length("AEAD key"))?;
        Ok(Box::new(AeadKey(LessSafeKey::new(key))))
    }

    fn aes_ctr(&self, key: &[u8]) -> Result<Box<dyn CounterCipher>, CryptoError> {
        let algorithm = match key.len() {
            16 => &AES_128,
            32 => &AES_256,
            _ => return Err(CryptoError::Length("AES key")),
        };
        UnboundCipherKey::new(algorithm, key)
            .and_then(EncryptingKey::ctr)
            .map(|key| Box::new(CounterKey(key)) as Box<dyn CounterCipher>)
            .map_err(|_| CryptoError::Failed)
    }
}

struct AeadKey(LessSafeKey);

impl Aead for AeadKey {
    fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<[u8; TAG_LEN], CryptoError> {
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(*nonce), aead::Aad::from(aad), in_out)
            .map_err(|_| CryptoError::Failed)?;
        tag.as_ref().try_into().map_err(|_| CryptoError::Failed)
    }

    fn open<'a>(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &'a mut [u8],
    ) -> Result<&'a mut [u8], CryptoError> {
        self.0
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aead::Aad::from(aad), in_out)
            .map_err(|_| CryptoError::Authentication)
    }
}

struct CounterKey(EncryptingKey);

impl CounterCipher for CounterKey {
    fn apply(&self, counter: &[u8; 16], in_out: &mut [u8]) {
        let counter = EncryptionContext::Iv128(FixedLength::from(counter));
        let outcome = self.0.less_safe_encrypt(in_out, counter);
        debug_assert!(outcome.is_ok(), "counter mode takes any input under a 128-bit counter");
    }
}
