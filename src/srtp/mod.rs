//! SRTP and SRTCP, RFC 3711, with the AEAD profiles of RFC 7714.
//!
//! A [`Context`] protects and unprotects packets in the caller's buffers; it takes keying material as bytes,
//! from DTLS or from anywhere else. Nothing on the way of a packet allocates.
//!
#![cfg_attr(feature = "aws-lc-rs", doc = "```")]
#![cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
//! use kaon_rtc::crypto::aws_lc_rs;
//! use kaon_rtc::srtp::{Config, Context, MasterKey, SrtpProfile, SrtpTransport};
//!
//! let provider = aws_lc_rs::provider();
//! let profile = SrtpProfile::AeadAes128Gcm;
//! let alices = MasterKey::new(profile, &[1; 16], &[2; 12]).expect("the lengths of the profile");
//! let bobs = MasterKey::new(profile, &[3; 16], &[4; 12]).expect("the lengths of the profile");
//! let mut alice = Context::new(&provider, &alices, &bobs, Config::default())?;
//! let mut bob = Context::new(&provider, &bobs, &alices, Config::default())?;
//!
//! let packet = [0x80, 96, 0, 1, 0, 0, 0, 1, 0xca, 0xfe, 0xba, 0xbe, b'h', b'i'];
//! let mut buffer = [0; 64];
//! buffer[..packet.len()].copy_from_slice(&packet);
//! let len = alice.protect_rtp(&mut buffer, packet.len())?;
//! assert_ne!(&buffer[12..14], b"hi");
//! let len = bob.unprotect_rtp(&mut buffer[..len])?;
//! assert_eq!(buffer[..len], packet);
//! # Ok::<(), kaon_rtc::srtp::SrtpError>(())
//! ```

mod config;
mod context;
mod inbound;
mod index;
mod key_derivation;
mod outbound;
mod packet;
mod replay;
mod session_keys;
mod streams;

pub use crate::layer::{MasterKey, PacketSlot, SrtpError, SrtpKeyingMaterial, SrtpProfile, SrtpTransport};
pub use config::{Config, RepeatedIndex};
pub use context::Context;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
