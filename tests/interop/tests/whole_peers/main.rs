//! Whole connections with Pion, libwebrtc, libdatachannel and aiortc, each as the one that offers and as the one
//! that answers. `peer.rs` says what is not tested with whom, and why.

mod data;
mod media;
mod negotiation;
mod peer;
