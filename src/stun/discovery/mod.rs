//! What the network address translators do between this side and a server, RFC 5780.
//!
//! [`DiscoveryClient`] asks a server that has two addresses and two ports, and ends with a [`NatReport`]: the mapped
//! address, how mappings are made, what is filtered, and whether hosts inside reach each other by the addresses outside.
//! [`DiscoveryServer`] is such a server.
//!
//! What is found holds for this path at this time: translators change their ways under load, and there may be others on
//! the way to other servers (RFC 5780 §2). It is for diagnosis; ICE decides by checks. The lifetime of mappings and the
//! treatment of fragments are not asked for, although the server knows RESPONSE-PORT and PADDING.

mod addresses;
mod client;
mod question;
mod report;
mod server;

pub use addresses::InvalidAddresses;
pub use client::{DiscoveryClient, DiscoveryConfig, DiscoveryEvent};
pub use report::{FilteringBehavior, MappingBehavior, NatReport, Undetermined};
pub use server::{DiscoveryServer, DiscoveryServerConfig};

#[cfg(test)]
mod tests;
