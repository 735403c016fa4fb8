//! Crypto by the crates of the RustCrypto project: pure Rust, for targets without a C compiler.
//!
//! It has no RSA, so a peer with an RSA certificate needs the provider [`aws_lc_rs`](super::aws_lc_rs), and
//! no Ed25519 certificates.

use std::sync::Arc;

use super::{CryptoProvider, SecureRandom};

mod cipher;
mod digest;
mod key_exchange;
mod signature;

/// The provider on the RustCrypto crates.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        name: "rust-crypto",
        random: Arc::new(Random),
        ciphers: Arc::new(cipher::RustCryptoCiphers),
        digests: Arc::new(digest::RustCryptoDigests),
        key_exchanges: Arc::new(key_exchange::RustCryptoKeyExchanges),
        signatures: Arc::new(signature::RustCryptoSignatures),
    }
}

struct Random;

impl SecureRandom for Random {
    fn fill(&self, out: &mut [u8]) {
        // The operating system's source fails only before it is seeded; nothing safe can be done until then.
        while getrandom::fill(out).is_err() {}
    }
}
