//! Each class of vulnerability that this field has seen, tried on the layer that it concerns.

#![allow(missing_docs)]

#[cfg(feature = "dtls")]
mod dtls;
