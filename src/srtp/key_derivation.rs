//! Session keys from master keys, RFC 3711 §4.3.

use zeroize::Zeroizing;

use super::{MasterKey, SrtpError};
use crate::crypto::{CounterCipher, CryptoProvider};

/// What a derived key is for (RFC 3711 §4.3.1).
#[derive(Clone, Copy, Debug)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// Derives session keys with AES in counter mode; the key derivation rate is zero (RFC 3711 §4.3.3, RFC
/// 6188 §3 for 256-bit keys, RFC 7714 §11 for the salt of 96 bits).
pub(super) struct KeyDerivation {
    cipher: Box<dyn CounterCipher>,
    salt: Zeroizing<[u8; 14]>,
}

impl KeyDerivation {
    pub(super) fn new(provider: &CryptoProvider, master: &MasterKey) -> Result<Self, SrtpError> {
        Self::from_parts(provider, master.key(), master.salt())
    }

    /// From a key and a salt of at most 112 bits, whatever the profile.
    pub(super) fn from_parts(provider: &CryptoProvider, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        let cipher = provider
            .ciphers
            .aes_ctr(key)
            .map_err(|_| SrtpError::Malformed("the crypto provider refuses the master key"))?;
        let mut padded = Zeroizing::new([0; 14]);
        padded[..salt.len()].copy_from_slice(salt);
        Ok(Self { cipher, salt: padded })
    }

    pub(super) fn derive<const N: usize>(&self, label: Label) -> Zeroizing<[u8; N]> {
        let mut counter = [0; 16];
        counter[..14].copy_from_slice(&*self.salt);
        counter[7] ^= label as u8;
        let mut key = Zeroizing::new([0; N]);
        self.cipher.apply(&counter, &mut *key);
        key
    }
}
