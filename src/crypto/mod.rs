//! The crypto provider: keyed objects for everything that the layers compute.
//!
//! A [`CryptoProvider`] is a plain struct of factories that the application hands to each layer at
//! construction. There is no global one. Two are built in, each behind a feature of its name:
#![cfg_attr(feature = "aws-lc-rs", doc = "[`aws_lc_rs::provider`] (default)")]
#![cfg_attr(not(feature = "aws-lc-rs"), doc = "`aws_lc_rs::provider` (default)")]
//! and
#![cfg_attr(feature = "rust-crypto", doc = "[`rust_crypto::provider`].")]
#![cfg_attr(not(feature = "rust-crypto"), doc = "`rust_crypto::provider`.")]
//! A part of a provider can be replaced, for instance the random source by a seeded one in a test:
//!
#![cfg_attr(feature = "aws-lc-rs", doc = "```")]
#![cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
//! use std::sync::Arc;
//! use kaon_rtc::crypto::{SeededRandom, aws_lc_rs};
//!
//! let provider = aws_lc_rs::provider().with_random(Arc::new(SeededRandom::new(7)));
//! let mut bytes = [0; 16];
//! provider.random.fill(&mut bytes);
//! ```

mod cipher;
mod digest;
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod encoding;
mod error;
mod key_exchange;
mod provider;
mod random;
mod signature;

#[cfg(feature = "aws-lc-rs")]
pub mod aws_lc_rs;
#[cfg(feature = "rust-crypto")]
pub mod rust_crypto;

pub use cipher::{Aead, AeadAlgorithm, Ciphers, CounterCipher, NONCE_LEN, TAG_LEN};
pub use digest::{Digest, Digests, HashAlgorithm, Hasher, Hmac};
pub use error::CryptoError;
pub use key_exchange::{KeyExchange, KeyExchanges, NamedGroup, SharedSecret};
pub use provider::CryptoProvider;
pub use random::{SecureRandom, SeededRandom};
pub use signature::{PrivateKey, PublicKey, SignatureScheme, Signatures, SigningKey};

/// The provider of the features that are enabled: AWS-LC if there are both; `None` if there is neither, and an
/// application has to bring its own.
pub fn default_provider() -> Option<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    return Some(aws_lc_rs::provider());
    #[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
    return Some(rust_crypto::provider());
    #[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
    return None;
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod vectors;
