//! STUN, RFC 8489: messages, their integrity, and transactions over UDP.
//!
//! [`Message`] reads a datagram without copying it, [`MessageBuilder`] appends a message to a buffer;
//! neither allocates. [`BindingClient`] asks a server for the address that it sees, [`BindingServer`] is such
//! a server.
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
mod client;
mod error;
mod error_code;
mod header;
mod integrity;
mod message;
mod retransmission;
mod server;

pub use attribute::{Attribute, AttributeType};
pub use builder::MessageBuilder;
pub use client::{BindingClient, BindingConfig, BindingEvent, BindingFailure};
pub use error::{DecodeError, EncodeError, StunError};
pub use error_code::ErrorCode;
pub use header::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId, is_stun, peek};
pub use integrity::IntegrityKey;
pub use message::{Attributes, Message};
pub use retransmission::{Retransmission, RetransmissionConfig, RetransmissionStep};
pub use server::BindingServer;

#[cfg(test)]
mod tests;
