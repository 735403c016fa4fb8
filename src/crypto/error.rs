//! Errors of a crypto provider.

use thiserror::Error;

/// Why a provider refused an operation. Says nothing that an attacker could use.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CryptoError {
    /// The provider does not implement the algorithm.
    #[error("the crypto provider does not implement {0}")]
    Unsupported(&'static str),
    /// A key, nonce or output has a length that the algorithm does not have.
    #[error("wrong length of {0}")]
    Length(&'static str),
    /// A ciphertext does not authenticate.
    #[error("the ciphertext does not authenticate")]
    Authentication,
    /// A signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// A key is malformed, or not a valid point of its curve.
    #[error("the key is not valid")]
    InvalidKey,
    /// The operation failed inside the provider.
    #[error("the crypto provider failed")]
    Failed,
}
