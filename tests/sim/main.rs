//! Layers on the virtual network: whole connections under loss, reordering, duplication, corruption and
//! delay, for thousands of seeds. A seed that fails prints itself.

#![allow(missing_docs, clippy::unwrap_used)]

#[cfg(feature = "dtls")]
mod dtls;
