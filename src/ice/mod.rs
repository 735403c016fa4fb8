//! Interactive Connectivity Establishment: RFC 8445, with trickle (RFC 8838), consent freshness (RFC 7675),
//! patience (RFC 8863) and fair dual-stack priorities (RFC 8421).
//!
//! An [`Agent`] is a full agent for one data stream with one component, which is all that WebRTC needs under
//! BUNDLE and rtcp-mux. The application owns the sockets: it tells the agent their addresses, and hands it
//! the STUN datagrams that arrive at them. See the example `ice_only`.

mod address_rewrite;
mod agent;
mod check_list;
mod config;
mod consent;
mod credentials;
mod gathering;
mod local;
mod message;
mod pair;
mod priority;
mod remote;
mod verification;

pub use crate::layer::{
    Candidate, CandidateAddress, CandidateKind, CandidatePair, IceConnectionState, IceCredentials, IceError,
    IceEvent, IceRole, IceTransport, NameQuery, ParseCandidateError, PathProof,
};
pub use address_rewrite::{AddressRewriteMode, AddressRewriteRule};
pub use agent::{Agent, AgentStats};
pub use config::Config;
pub use credentials::random_credentials;

#[cfg(test)]
mod tests;
