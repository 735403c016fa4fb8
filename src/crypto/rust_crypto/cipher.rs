//! Ciphers of the RustCrypto crates.

use aes::{Aes128, Aes256};
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;
use cipher::{BlockCipherEncrypt, InnerIvInit, StreamCipher};
use ctr::{Ctr128BE, CtrCore};

use crate::crypto::{Aead, AeadAlgorithm, Ciphers, CounterCipher, CryptoError, NONCE_LEN, TAG_LEN};

pub(super) struct RustCryptoCiphers;

impl Ciphers for RustCryptoCiphers {
    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn Aead>, CryptoError> {
        let wrong_length = |_| CryptoError::Length("AEAD key");
        Ok(match algorithm {
            AeadAlgorithm::Aes128Gcm => {
                Box::new(AeadKey(Aes128Gcm::new_from_slice(key).map_err(wrong_length)?))
            }
            AeadAlgorithm::Aes256Gcm => {
                Box::new(AeadKey(Aes256Gcm::new_from_slice(key).map_err(wrong_length)?))
            }
            AeadAlgorithm::ChaCha20Poly1305 => {
                Box::new(AeadKey(ChaCha20Poly1305::new_from_slice(key).map_err(wrong_length)?))
            }
        })
    }

    fn aes_ctr(&self, key: &[u8]) -> Result<Box<dyn CounterCipher>, CryptoError> {
        let wrong_length = |_| CryptoError::Length("AES key");
        Ok(match key.len() {
            16 => Box::new(CounterKey(Aes128::new_from_slice(key).map_err(wrong_length)?)),
            _ => Box::new(CounterKey(Aes256::new_from_slice(key).map_err(wrong_length)?)),
        })
    }
}

struct AeadKey<C>(C);

impl<C: AeadInOut + Send + Sync> Aead for AeadKey<C> {
    fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<[u8; TAG_LEN], CryptoError> {
        let nonce = nonce.as_slice().try_into().map_err(|_| CryptoError::Length("nonce"))?;
        let tag =
            self.0.encrypt_inout_detached(nonce, aad, in_out.into()).map_err(|_| CryptoError::Failed)?;
        tag.as_slice().try_into().map_err(|_| CryptoError::Failed)
    }

    fn open<'a>(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &'a mut [u8],
    ) -> Result<&'a mut [u8], CryptoError> {
        let nonce = nonce.as_slice().try_into().map_err(|_| CryptoError::Length("nonce"))?;
        let plaintext_len = in_out.len().checked_sub(TAG_LEN).ok_or(CryptoError::Authentication)?;
        let (plaintext, tag) = in_out.split_at_mut(plaintext_len);
        let tag = (&*tag).try_into().map_err(|_| CryptoError::Authentication)?;
        self.0
            .decrypt_inout_detached(nonce, aad, (&mut *plaintext).into(), tag)
            .map_err(|_| CryptoError::Authentication)?;
        Ok(plaintext)
    }
}

struct CounterKey<C>(C);

impl<C> CounterCipher for CounterKey<C>
where
    C: BlockCipherEncrypt<BlockSize = cipher::consts::U16> + Clone + Send + Sync,
{
    fn apply(&self, counter: &[u8; 16], in_out: &mut [u8]) {
        let core = CtrCore::inner_iv_init(self.0.clone(), counter.into());
        Ctr128BE::<C>::from_core(core).apply_keystream(in_out);
    }
}
