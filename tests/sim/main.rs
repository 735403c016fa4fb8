//! Layers on the virtual network: thousands of seeds of loss, reordering, duplication, corruption and delay.

#![allow(clippy::unwrap_used)]

#[cfg(feature = "ice")]
mod ice;
