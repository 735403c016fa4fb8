//! SCTP, RFC 9260, with partial reliability (RFC 3758, RFC 7496), stream reset (RFC 6525) and, over DTLS,
//! zero checksums (RFC 9653).
//!
//! An [`Association`] is a sans-IO [`Layer`](crate::layer::Layer) and the native [`SctpTransport`]. Its
//! datagrams are SCTP packets: over DTLS the content of a record (RFC 8261), alone the payload of a UDP
//! datagram (RFC 6951).
//!
#![cfg_attr(feature = "aws-lc-rs", doc = "```")]
#![cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
//! use std::time::Instant;
//!
//! use bytes::Bytes;
//! use kaon_rtc::crypto::aws_lc_rs;
//! use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
//! use kaon_rtc::sctp::{Association, Config, PayloadProtocol, SctpTransport, SendOptions, StreamId};
//!
//! # fn main() -> Result<(), kaon_rtc::sctp::SctpError> {
//! let now = Instant::now();
//! let mut client = Association::new(Config::default(), &aws_lc_rs::provider());
//! let mut server = Association::new(Config::default(), &aws_lc_rs::provider());
//! client.connect(now);
//!
//! // The network: whatever one sends, the other receives.
//! let path = FiveTuple::udp(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
//! let mut batch = TransmitBatch::new(1200);
//! let mut exchange = |from: &mut Association, to: &mut Association| {
//!     while let Some(transmit) = from.poll_transmit(now, &mut batch) {
//!         for datagram in batch.datagrams_mut(&transmit) {
//!             to.handle_datagram(now, Datagram::new(path, datagram)).expect("nothing disturbs it");
//!         }
//!         batch.clear();
//!     }
//! };
//! for _ in 0..2 {
//!     exchange(&mut client, &mut server);
//!     exchange(&mut server, &mut client);
//! }
//!
//! client.send(now, StreamId(0), PayloadProtocol::STRING, Bytes::from("hello"), SendOptions::default())?;
//! exchange(&mut client, &mut server);
//! assert_eq!(server.receive().expect("it arrived").payload, "hello");
//! # Ok(())
//! # }
//! ```

mod association;
mod config;
mod congestion;
mod cookie;
mod receiver;
mod reset;
mod rto;
mod sender;
mod sequence;
mod timer;
pub mod wire;

pub use crate::layer::{
    Held, HeldOutcome, PayloadProtocol, Received, Reliability, SctpClose, SctpError, SctpEvent,
    SctpTransport, SendOptions, StreamId,
};
pub use association::{Association, Statistics};
pub use config::Config;
pub use congestion::{Acknowledged, CongestionControl, NewReno};
pub use sequence::{Ssn, Tsn};
