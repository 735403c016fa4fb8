//! The crypto provider: everything that the layers compute with.

use std::fmt;
use std::sync::Arc;

use super::{Ciphers, Digests, KeyExchanges, SecureRandom, Signatures};

/// All that the layers compute with, as factories of keyed objects. Cheap to clone.
///
/// One part is replaced by setting its field.
#[derive(Clone)]
#[non_exhaustive]
pub struct CryptoProvider {
    /// The name, for diagnosis.
    pub name: &'static str,
    /// Random bytes for keys, identifiers and cookies.
    pub random: Arc<dyn SecureRandom>,
    /// AEAD ciphers and AES in counter mode.
    pub ciphers: Arc<dyn Ciphers>,
    /// Hash functions and HMAC.
    pub digests: Arc<dyn Digests>,
    /// Ephemeral Diffie-Hellman.
    pub key_exchanges: Arc<dyn KeyExchanges>,
    /// Signing and verifying.
    pub signatures: Arc<dyn Signatures>,
}

impl CryptoProvider {
    /// The same with another source of random bytes, such as a seeded one for tests.
    #[must_use]
    pub fn with_random(mut self, random: Arc<dyn SecureRandom>) -> Self {
        self.random = random;
        self
    }
}

impl fmt::Debug for CryptoProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CryptoProvider").field("name", &self.name).finish_non_exhaustive()
    }
}
