//! Interactive Connectivity Establishment: RFC 8445, with trickle (RFC 8838), consent freshness (RFC 7675),
//! patience (RFC 8863) and fair dual-stack priorities (RFC 8421).
//!
//! An [`Agent`] is a full agent for one data stream with one component, which is all that WebRTC needs under
//! BUNDLE and rtcp-mux. The application owns the sockets: it tells the agent their addresses, and hands it
//! the STUN datagrams that arrive at them. See the example `ice_only`.
//!
//! Two agents that find each other on a virtual network:
//!
#![cfg_attr(all(feature = "aws-lc-rs", feature = "sim"), doc = "```")]
#![cfg_attr(not(all(feature = "aws-lc-rs", feature = "sim")), doc = "```ignore")]
//! use std::net::SocketAddr;
//! use std::time::{Duration, Instant};
//!
//! use kaon_rtc::crypto::aws_lc_rs;
//! use kaon_rtc::ice::{Agent, Config, IceRole, IceTransport};
//! use kaon_rtc::sim::{Network, Simulation};
//!
//! let now = Instant::now();
//! let new_agent = |address: SocketAddr, role: IceRole| {
//!     let mut agent = Agent::new(now, aws_lc_rs::provider(), Config::default());
//!     agent.set_role(role);
//!     agent.add_host_address(now, address)?;
//!     agent.end_of_host_addresses(now);
//!     Ok::<_, kaon_rtc::ice::IceError>(agent)
//! };
//! let (here, there) = ("192.0.2.1:5000".parse()?, "198.51.100.1:5000".parse()?);
//! let mut alice = new_agent(here, IceRole::Controlling)?;
//! let mut bob = new_agent(there, IceRole::Controlled)?;
//!
//! // Signalling: credentials and candidates, as they are in a description.
//! let introduce = |from: &Agent, to: &mut Agent| {
//!     to.set_remote_credentials(now, from.local_credentials().clone())?;
//!     from.local_candidates().try_for_each(|candidate| to.add_remote_candidate(now, candidate.clone()))?;
//!     to.end_of_remote_candidates(now);
//!     Ok::<_, kaon_rtc::ice::IceError>(())
//! };
//! introduce(&alice, &mut bob)?;
//! introduce(&bob, &mut alice)?;
//!
//! // Sockets would do as well; this is the virtual network.
//! let mut network = Simulation::new(Network::new(1, now));
//! let alice = network.add_peer(here, there, alice);
//! network.add_peer(there, here, bob);
//! assert!(network.run_until(Duration::from_secs(5), |network| network.layer(alice).selected_pair().is_some()));
//! let pair = network.layer(alice).selected_pair().ok_or("it was there")?;
//! assert_eq!(pair.path.remote, there);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address_filter;
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
mod selected;
mod streams;
mod verification;

pub use crate::layer::{
    Candidate, CandidateAddress, CandidateKind, CandidatePair, HostAddress, IceConnectionState,
    IceCredentials, IceError, IceEvent, IceOptions, IceRole, IceTransport, NameQuery, NetworkKind,
    ParseCandidateError, PathProof,
};
pub use crate::stun::ServerTransport;
pub use crate::turn::Families;
pub use address_filter::AddressFilter;
pub use address_rewrite::{AddressRewriteMode, AddressRewriteRule};
pub use agent::{Agent, AgentStats};
pub use config::{Config, StunServer, TransportPolicy, TurnServer};
pub use credentials::random_credentials;

#[cfg(test)]
mod tests;
