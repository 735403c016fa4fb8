//! MESSAGE-INTEGRITY, RFC 8489 §14.5.

use std::fmt;

use crate::crypto::{CryptoProvider, Digest, HashAlgorithm, Hmac};

/// The key of MESSAGE-INTEGRITY, with its HMAC state prepared (RFC 8489 §9.1.1).
pub struct IntegrityKey {
    hmac: Box<dyn Hmac>,
}

impl IntegrityKey {
    /// The key of the short-term credential mechanism: the password.
    pub fn short_term(provider: &CryptoProvider, password: &str) -> Self {
        Self::from_bytes(provider, password.as_bytes())
    }

    /// A key of these bytes, such as the hash that the long-term mechanism uses (RFC 8489 §9.2.2).
    pub fn from_bytes(provider: &CryptoProvider, key: &[u8]) -> Self {
        Self { hmac: provider.digests.hmac(HashAlgorithm::Sha1, key) }
    }

    /// The tag over a message whose header is to say that `length` bytes follow it, and of which `covered`
    /// is all up to the attribute (RFC 8489 §14.5).
    pub(super) fn sign(&self, covered: &[u8], length: u16) -> Digest {
        self.hmac.sign(&[&covered[..2], &length.to_be_bytes(), &covered[4..]])
    }

    pub(super) fn verify(&self, covered: &[u8], length: u16, tag: &[u8]) -> bool {
        self.hmac.verify(&[&covered[..2], &length.to_be_bytes(), &covered[4..]], tag)
    }
}

impl fmt::Debug for IntegrityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntegrityKey").finish_non_exhaustive()
    }
}
