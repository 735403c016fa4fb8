//! STUN, RFC 8489: messages, their integrity, transactions, credentials, framing over streams, and URLs of servers.
//!
//! [`Message`] reads a datagram without copying it, [`MessageBuilder`] appends a message to a buffer;
//! neither allocates. [`BindingClient`] asks a server for the address that it sees, [`BindingServer`] is such
//! a server. [`CredentialsClient`] and [`LongTermServer`] are the two sides of the long-term credential mechanism,
//! [`StreamFraming`] cuts what TCP and TLS deliver into messages, and [`ServerUrl`] reads `stun:`, `stuns:`, `turn:`
//! and `turns:` URLs. [`discovery`] finds out what NATs do (RFC 5780).
//!
#![cfg_attr(feature = "aws-lc-rs", doc = "```")]
#![cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
//! use kaon_rtc::crypto::aws_lc_rs;
//! use kaon_rtc::stun::{Class, IntegrityKey, Message, MessageBuilder, Method, TransactionId};
//!
//! let provider = aws_lc_rs::provider();
//! let key = IntegrityKey::short_term(&provider, "VOkJxbRl1RmTxUk/WvJxBt");
//! let id = TransactionId::random(&*provider.random);
//!
//! let mut datagram = Vec::new();
//! MessageBuilder::new(&mut datagram, Class::Request, Method::BINDING, id)
//!     .username("evtj:h6vY")
//!     .integrity(&key)
//!     .fingerprint()
//!     .finish()?;
//!
//! let message = Message::decode(&datagram)?;
//! assert_eq!(message.username(), Some("evtj:h6vY"));
//! assert!(message.verify(&key));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod attribute;
mod builder;
mod change_request;
mod client;
mod credentials_client;
pub mod discovery;
mod error;
mod error_code;
mod framing;
mod header;
mod integrity;
mod long_term;
mod long_term_server;
mod message;
mod nonce;
mod opaque_string;
mod redirection;
mod retransmission;
mod server;
mod server_url;
mod source_limit;

pub use attribute::{Attribute, AttributeType};
pub use builder::MessageBuilder;
pub use change_request::ChangeRequest;
pub use client::{BindingClient, BindingConfig, BindingEvent, BindingFailure};
pub use credentials_client::{ChallengeError, CredentialsClient, Proof};
pub use error::{DecodeError, EncodeError, StunError};
pub use error_code::ErrorCode;
#[cfg(any(feature = "net", feature = "turn"))]
pub(crate) use framing::message_length;
pub use framing::{StreamFraming, StreamFramingError};
pub use header::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId, is_stun, peek};
pub use integrity::{IntegrityAlgorithm, IntegrityKey};
pub use long_term::{InvalidCredentials, LongTermKey, MAX_REALM, MAX_USERNAME, PasswordAlgorithm, user_hash};
pub use long_term_server::{Authenticated, LongTermServer, Unauthenticated, User};
pub use message::{Attributes, Message};
pub use nonce::SecurityFeatures;
pub use redirection::{Redirection, RedirectionError};
pub use retransmission::{Retransmission, RetransmissionConfig, RetransmissionStep};
pub use server::BindingServer;
pub use server_url::{ServerHost, ServerTransport, ServerUrl, ServerUrlError};
#[cfg(feature = "turn-server")]
pub(crate) use source_limit::SourceLimit;

#[cfg(test)]
mod tests;
