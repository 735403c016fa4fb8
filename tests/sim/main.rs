//! Whole layers on the virtual network. A scenario that fails prints its seed.

#[cfg(feature = "sctp")]
mod sctp;
