//! Crypto by the crates of the RustCrypto project.
