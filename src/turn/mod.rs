//! TURN, RFC 8656: a relay for those whom no direct path reaches.
//!
//! [`Client`] asks a server for a relayed address, keeps it alive, lets peers send to it and binds channels. It is
//! sans-IO as every [`Layer`](crate::layer::Layer): over UDP its datagrams go out as they are; over TCP and TLS its
//! messages are written one after the other, and what arrives goes through
//! [`StreamFraming`](crate::stun::StreamFraming).
#![cfg_attr(feature = "turn-server", doc = "[`server::Server`] is the other side.")]
//!
#![cfg_attr(feature = "aws-lc-rs", doc = "```")]
#![cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
//! use std::time::Instant;
//!
//! use kaon_rtc::crypto::aws_lc_rs;
//! use kaon_rtc::layer::{FiveTuple, Layer, TransmitBatch};
//! use kaon_rtc::stun::{Message, Method};
//! use kaon_rtc::turn::{Client, Config};
//!
//! let path = FiveTuple::udp("192.0.2.1:5000".parse()?, "198.51.100.1:3478".parse()?);
//! let now = Instant::now();
//! let mut client = Client::new(now, &aws_lc_rs::provider(), path, Config::new("alice", "secret"))?;
//!
//! // To be sent to the server; what it answers goes to `client.open`.
//! let mut batch = TransmitBatch::new(1200);
//! let transmit = client.poll_transmit(now, &mut batch).ok_or("it asks at once")?;
//! assert_eq!(transmit.path, Some(path));
//! assert_eq!(Message::decode(batch.bytes(&transmit))?.method(), Method::ALLOCATE);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod allocation;
mod attribute;
mod channel;
mod channel_data;
mod client;
mod permission;
#[cfg(feature = "turn-server")]
pub mod server;

pub use allocation::{Allocation, RelayedAddresses};
pub use attribute::{
    AddressFamily, ConnectionId, EvenPort, Icmp, Lifetime, RequestedTransport, ReservationToken,
    decode_address_error, encode_address_error,
};
pub use channel::{CHANNEL_COOLDOWN, CHANNEL_LIFETIME, ChannelNumber};
pub use channel_data::{CHANNEL_DATA_HEADER_LEN, ChannelData, ChannelDataError};
pub use client::{
    Client, ClientError, Config, ConfigError, ConnectionFailure, Event, Failure, FailureCause, Families,
    Opened, PathReason, Refusal, RelayHead,
};
pub use permission::PERMISSION_LIFETIME;
