//! Layers on the virtual network: thousands of seeds of loss, reordering, duplication, corruption and delay. A
//! seed that fails prints itself. `KAON_SEED_FACTOR` multiplies their number.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

#[cfg(feature = "peer-connection")]
mod adversary;
#[cfg(feature = "datachannel")]
mod datachannel;
#[cfg(feature = "dtls")]
mod dtls;
#[cfg(feature = "session")]
mod endpoint;
#[cfg(feature = "ice")]
mod ice;
#[cfg(all(feature = "stun", feature = "aws-lc-rs"))]
mod nat_behavior;
#[cfg(feature = "sctp")]
mod sctp;
#[cfg(feature = "sctp")]
mod sctp_window;
#[cfg(any(
    feature = "dtls",
    feature = "ice",
    feature = "sctp",
    all(feature = "stun", feature = "aws-lc-rs")
))]
mod seeds;
#[cfg(feature = "session")]
mod session;
#[cfg(feature = "ice")]
mod turn_server;
