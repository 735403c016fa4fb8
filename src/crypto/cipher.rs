//! Ciphers: AEAD, AES in counter mode, and single blocks.

use super::CryptoError;

/// The length of the nonce of every AEAD algorithm here, in bytes.
pub const NONCE_LEN: usize = 12;

/// The length of the tag of every AEAD algorithm here, in bytes.
pub const TAG_LEN: usize = 16;

/// Makes keyed ciphers. The key schedule is prepared once per key.
pub trait Ciphers: Send + Sync {
    /// An AEAD cipher under `key`.
    ///
    /// # Errors
    /// [`CryptoError::Length`] if the key is not [`AeadAlgorithm::key_len`] bytes long.
    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn Aead>, CryptoError>;

    /// AES in counter mode under a key of 16 or 32 bytes.
    ///
    /// # Errors
    /// [`CryptoError::Length`] for any other length.
    fn aes_ctr(&self, key: &[u8]) -> Result<Box<dyn CounterCipher>, CryptoError>;
}

/// A cipher with authentication, under one key.
pub trait Aead: Send + Sync {
    /// Encrypts `in_out` in place and returns the tag.
    ///
    /// # Errors
    /// [`CryptoError::Failed`] if the input is longer than the algorithm allows.
    fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<[u8; TAG_LEN], CryptoError>;

    /// Decrypts `in_out`, a ciphertext with its tag behind it, in place. The plaintext is [`TAG_LEN`] bytes
    /// shorter and stands at the beginning.
    ///
    /// # Errors
    /// [`CryptoError::Authentication`] if it does not authenticate; the content of `in_out` is unspecified
    /// then.
    fn open<'a>(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        in_out: &'a mut [u8],
    ) -> Result<&'a mut [u8], CryptoError>;
}

/// A stream cipher made of a block cipher in counter mode, under one key.
pub trait CounterCipher: Send + Sync {
    /// Encrypts or decrypts `in_out` in place with the key stream that begins at `counter`, a big-endian
    /// number of 128 bits.
    fn apply(&self, counter: &[u8; 16], in_out: &mut [u8]);
}

/// An AEAD algorithm, RFC 5116 and RFC 8439.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AeadAlgorithm {
    /// AES-128 in Galois/Counter mode.
    Aes128Gcm,
    /// AES-256 in Galois/Counter mode.
    Aes256Gcm,
    /// ChaCha20 with Poly1305.
    ChaCha20Poly1305,
}

impl AeadAlgorithm {
    /// The length of a key in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
        }
    }
}
