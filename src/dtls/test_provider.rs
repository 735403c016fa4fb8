//! A provider for unit tests, whichever is built in.

use crate::crypto::CryptoProvider;

/// The default provider if it is built in, with a random source of its own seed where that is only used for
/// hellos and serial numbers.
pub(crate) fn provider(seed: u64) -> CryptoProvider {
    use std::sync::Arc;

    use crate::crypto::SeededRandom;
    #[cfg(feature = "aws-lc-rs")]
    let provider = crate::crypto::aws_lc_rs::provider();
    #[cfg(not(feature = "aws-lc-rs"))]
    let provider = crate::crypto::rust_crypto::provider();
    provider.with_random(Arc::new(SeededRandom::new(seed)))
}
