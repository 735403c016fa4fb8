//! Crypto by the crate `aws-lc-rs`; HMAC-SHA1, which it does slowly on short input, by `hmac` and `sha1`, and MD5,
//! which it has not, by `md-5`.

use std::sync::Arc;

use super::{CryptoProvider, SecureRandom};

mod cipher;
mod digest;
mod key_exchange;
mod rust_digest;
mod signature;

/// The provider on AWS-LC.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        name: "aws-lc-rs",
        random: Arc::new(Random),
        ciphers: Arc::new(cipher::AwsLcCiphers),
        digests: Arc::new(digest::AwsLcDigests),
        key_exchanges: Arc::new(key_exchange::AwsLcKeyExchanges),
        signatures: Arc::new(signature::AwsLcSignatures),
    }
}

struct Random;

impl SecureRandom for Random {
    fn fill(&self, out: &mut [u8]) {
        // AWS-LC ends the process itself when the system has no entropy, so it never reports a failure; to
        // retry is the only safe answer if it did.
        while aws_lc_rs::rand::fill(out).is_err() {}
    }
}
