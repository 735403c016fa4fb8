//! MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256, RFC 8489 §14.5 and §14.6.

use std::fmt;

use super::attribute::AttributeType;
use crate::crypto::{CryptoProvider, Digest, HashAlgorithm, Hmac};

/// The shortest MESSAGE-INTEGRITY-SHA256 that there may be, in bytes (RFC 8489 §14.6).
pub(super) const SHORTEST_TAG: usize = 16;

/// Which of the two integrity attributes a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntegrityAlgorithm {
    /// MESSAGE-INTEGRITY, HMAC-SHA1 (RFC 8489 §14.5).
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256, HMAC-SHA256 (RFC 8489 §14.6).
    Sha256,
}

impl IntegrityAlgorithm {
    /// The attribute.
    pub const fn attribute(self) -> AttributeType {
        match self {
            Self::Sha1 => AttributeType::MESSAGE_INTEGRITY,
            Self::Sha256 => AttributeType::MESSAGE_INTEGRITY_SHA256,
        }
    }

    /// The length of its value that is not cut short, in bytes.
    pub const fn tag_len(self) -> usize {
        self.hash().digest_len()
    }

    const fn hash(self) -> HashAlgorithm {
        match self {
            Self::Sha1 => HashAlgorithm::Sha1,
            Self::Sha256 => HashAlgorithm::Sha256,
        }
    }
}

/// The key of one integrity attribute, with its HMAC state prepared (RFC 8489 §9.1.1).
pub struct IntegrityKey {
    hmac: Box<dyn Hmac>,
    algorithm: IntegrityAlgorithm,
}

impl IntegrityKey {
    /// The key of the short-term credential mechanism, for MESSAGE-INTEGRITY: the password.
    pub fn short_term(provider: &CryptoProvider, password: &str) -> Self {
        Self::from_bytes(provider, password.as_bytes())
    }

    /// A key of these bytes for MESSAGE-INTEGRITY, such as the hash that the long-term mechanism uses
    /// (RFC 8489 §9.2.2).
    pub fn from_bytes(provider: &CryptoProvider, key: &[u8]) -> Self {
        Self::new(provider, IntegrityAlgorithm::Sha1, key)
    }

    /// A key of these bytes for the attribute of `algorithm`.
    pub fn new(provider: &CryptoProvider, algorithm: IntegrityAlgorithm, key: &[u8]) -> Self {
        Self { hmac: provider.digests.hmac(algorithm.hash(), key), algorithm }
    }

    /// The attribute that the key makes.
    pub fn algorithm(&self) -> IntegrityAlgorithm {
        self.algorithm
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
        f.debug_struct("IntegrityKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
