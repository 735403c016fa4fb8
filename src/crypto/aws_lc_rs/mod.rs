//! Crypto by the crate `aws-lc-rs`.
