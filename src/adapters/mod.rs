//! Other implementations of the transport traits.

pub mod webrtc_rs;
