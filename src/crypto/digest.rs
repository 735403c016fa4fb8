//! Hash functions and HMAC.

use std::fmt;
use std::ops::Deref;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Makes hash functions and keyed HMAC objects.
pub trait Digests: Send + Sync {
    /// A hash function at its beginning.
    fn hasher(&self, algorithm: HashAlgorithm) -> Box<dyn Hasher>;

    /// The hash of `parts`, one after the other.
    fn hash(&self, algorithm: HashAlgorithm, parts: &[&[u8]]) -> Digest;

    /// HMAC (RFC 2104) under `key`, whose inner and outer state are prepared once.
    fn hmac(&self, algorithm: HashAlgorithm, key: &[u8]) -> Box<dyn Hmac>;
}

/// A running hash.
pub trait Hasher: Send + Sync {
    /// Takes more input.
    fn update(&mut self, data: &[u8]);

    /// The hash of the input so far; more input may follow.
    fn digest(&self) -> Digest;
}

/// HMAC under one key.
pub trait Hmac: Send + Sync {
    /// The tag of `parts`, one after the other.
    fn sign(&self, parts: &[&[u8]]) -> Digest;

    /// Whether `tag`, which may be cut short, is the tag of `parts`; compared in constant time. An empty tag
    /// never is.
    fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        let digest = self.sign(parts);
        match digest.get(..tag.len()) {
            Some(expected) if !tag.is_empty() => expected.ct_eq(tag).into(),
            _ => false,
        }
    }
}

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HashAlgorithm {
    /// MD5, for the long-term credentials of STUN only (RFC 8489 §9.2.2).
    Md5,
    /// SHA-1, for STUN and SRTP only.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// The length of a digest in bytes.
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// The output of a hash function or of HMAC. Erased when dropped, since it may be a secret.
#[derive(Clone)]
pub struct Digest {
    bytes: [u8; 64],
    len: u8,
}

impl Digest {
    /// A digest of at most 64 bytes; what is longer is cut.
    pub fn new(bytes: &[u8]) -> Self {
        let len = bytes.len().min(64);
        let mut digest = Self { bytes: [0; 64], len: len as u8 };
        digest.bytes[..len].copy_from_slice(&bytes[..len]);
        digest
    }
}

impl Deref for Digest {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Drop for Digest {
    fn drop(&mut self) {
        // What lies behind the digest was never written.
        self.bytes[..usize::from(self.len)].zeroize();
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest").field("len", &self.len).finish_non_exhaustive()
    }
}
