//! Multicast DNS (RFC 6762) as ICE needs it: browsers hide their addresses behind random `.local` names
//! (draft-ietf-mmusic-mdns-ice-candidates), which only hosts on the same link can resolve.
//!
//! [`Resolver`] finds the address behind a name; [`Responder`] answers for names of our own. [`Querier`] and
//! [`Answerer`] are the same without sockets, as [layers](crate::layer::Layer).

mod answerer;
mod local_name;
mod message;
mod querier;
mod resolver;
mod responder;
mod sockets;

pub use answerer::{Answerer, AnswererConfig, TooManyNames};
pub use local_name::{InvalidLocalName, LocalName};
pub use message::MessageError;
pub use querier::{Querier, QuerierConfig, Resolution, ResolveError};
pub use resolver::{Resolver, ResolverConfig};
pub use responder::{Responder, ResponderConfig};

#[cfg(test)]
mod tests;
