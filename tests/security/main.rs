//! Each class of vulnerability that this field has seen, tried on the layer that it concerns.

#![allow(missing_docs, clippy::unwrap_used)]

#[cfg(feature = "dtls")]
mod dtls;
