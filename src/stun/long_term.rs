//! The long-term credential mechanism, RFC 8489 §9.2: what both sides compute.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

use super::integrity::{IntegrityAlgorithm, IntegrityKey};
use super::opaque_string::enforce;
use crate::crypto::{CryptoProvider, Digest, HashAlgorithm};

/// The longest USERNAME in bytes (RFC 8489 §14.3).
pub const MAX_USERNAME: usize = 508;

/// The longest REALM and the longest NONCE in bytes (RFC 8489 §14.9, §14.10).
pub const MAX_REALM: usize = 763;

/// How many bytes of PASSWORD-ALGORITHMS are kept: 16 algorithms without parameters.
pub(super) const MAX_ALGORITHMS: usize = 64;

/// How user name, realm and password become a key (RFC 8489 §18.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PasswordAlgorithm {
    /// MD5, which every server and client knows.
    Md5,
    /// SHA-256.
    Sha256,
}

impl PasswordAlgorithm {
    /// The number in PASSWORD-ALGORITHM.
    pub const fn number(self) -> u16 {
        match self {
            Self::Md5 => 1,
            Self::Sha256 => 2,
        }
    }

    /// The algorithm of a number; `None` if it is not known here.
    pub const fn from_number(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Md5),
            2 => Some(Self::Sha256),
            _ => None,
        }
    }

    /// The key of a user (RFC 8489 §9.2.2): the hash of `username:realm:password`.
    ///
    /// # Errors
    /// [`InvalidCredentials`] for what is no OpaqueString (RFC 8265 §4), or too long.
    pub fn key(
        self,
        provider: &CryptoProvider,
        username: &str,
        realm: &str,
        password: &str,
    ) -> Result<LongTermKey, InvalidCredentials> {
        let (username, realm) = (checked_username(username)?, checked_realm(realm)?);
        let password = enforce(password).ok_or(InvalidCredentials::Password)?;
        let hash = match self {
            Self::Md5 => HashAlgorithm::Md5,
            Self::Sha256 => HashAlgorithm::Sha256,
        };
        let parts = [username.as_bytes(), b":", realm.as_bytes(), b":", password.as_bytes()];
        Ok(LongTermKey(provider.digests.hash(hash, &parts)))
    }

    /// The value of PASSWORD-ALGORITHM.
    pub(super) fn encode(self) -> [u8; 4] {
        let [high, low] = self.number().to_be_bytes();
        [high, low, 0, 0]
    }
}

/// The algorithms of PASSWORD-ALGORITHM or PASSWORD-ALGORITHMS that are known here, in order. `None` if it is
/// malformed.
pub(super) fn decode_algorithms(mut value: &[u8]) -> Option<SmallVec<[PasswordAlgorithm; 4]>> {
    let mut algorithms = SmallVec::new();
    while !value.is_empty() {
        let (header, rest) = value.split_first_chunk::<4>()?;
        let parameters = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let known = PasswordAlgorithm::from_number(u16::from_be_bytes([header[0], header[1]]));
        // RFC 8489 §18.5: neither MD5 nor SHA-256 has parameters.
        algorithms.extend(known.filter(|_| parameters == 0));
        value = rest.get(parameters.next_multiple_of(4)..)?;
    }
    Some(algorithms)
}

/// The key of a user in a realm, all that a server needs to keep of a password. Erased when dropped.
#[derive(Clone)]
pub struct LongTermKey(Digest);

impl LongTermKey {
    /// A key that was computed before.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Digest::new(bytes))
    }

    /// The same key with its HMAC prepared.
    pub fn integrity(&self, provider: &CryptoProvider, algorithm: IntegrityAlgorithm) -> IntegrityKey {
        IntegrityKey::new(provider, algorithm, &self.0)
    }
}

impl Deref for LongTermKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for LongTermKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongTermKey").finish_non_exhaustive()
    }
}

/// The value of USERHASH: SHA-256 of `username:realm` (RFC 8489 §14.4).
///
/// # Errors
/// [`InvalidCredentials`] for what is no OpaqueString (RFC 8265 §4), or too long.
pub fn user_hash(
    provider: &CryptoProvider,
    username: &str,
    realm: &str,
) -> Result<[u8; 32], InvalidCredentials> {
    let (username, realm) = (checked_username(username)?, checked_realm(realm)?);
    let digest = provider.digests.hash(HashAlgorithm::Sha256, &[username.as_bytes(), b":", realm.as_bytes()]);
    let mut hash = [0; 32];
    hash.copy_from_slice(&digest);
    Ok(hash)
}

pub(super) fn checked_username(username: &str) -> Result<std::borrow::Cow<'_, str>, InvalidCredentials> {
    enforce(username).filter(|name| name.len() <= MAX_USERNAME).ok_or(InvalidCredentials::Username)
}

pub(super) fn checked_realm(realm: &str) -> Result<std::borrow::Cow<'_, str>, InvalidCredentials> {
    enforce(realm).filter(|realm| realm.len() <= MAX_REALM).ok_or(InvalidCredentials::Realm)
}

/// Why a user name, realm or password cannot be one.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidCredentials {
    /// The user name.
    #[error(
        "the user name is empty, longer than 508 bytes or has control characters; give the one the server's operator issued"
    )]
    Username,
    /// The realm.
    #[error("the realm is empty, longer than 763 bytes or has control characters")]
    Realm,
    /// The password.
    #[error("the password is empty or has control characters; give the one the server's operator issued")]
    Password,
}
