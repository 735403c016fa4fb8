use std::fmt;
use std::sync::Arc;

use super::{Ciphers, Digests, KeyExchanges, SecureRandom, Signatures};

/// All that the layers compute with, as factories of keyed objects. Cheap to clone.
#[derive(Clone)]
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

impl fmt::Debug for CryptoProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CryptoProvider").field("name", &self.name).finish_non_exhaustive()
    }
}
