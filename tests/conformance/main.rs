//! The conformance kit, run over this library's layers, over layers with planted faults, and over other
//! implementations.

#![allow(unsafe_code, missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod faults;
mod heap;
mod native;
#[cfg(feature = "webrtc-rs")]
mod webrtc_rs;
