//! A whole WebRTC connection without sockets: the layers put together, and the exchange of offer and answer.
//!
//! A [`Session`] is what an application drives that brings its own event loop (an SFU, a game server, a test):
//! it is handed datagrams and the time, and asked for datagrams, deadlines and events, like any other
//! [`Layer`](crate::layer::Layer). Everything shares one transport (BUNDLE and rtcp-mux), and a peer that cannot
//! do so gets its first media section only.
//!
//! ```
//! # use std::time::Instant;
//! use kaon_rtc::crypto::aws_lc_rs;
//! use kaon_rtc::datachannel::ChannelInit;
//! use kaon_rtc::session::{Description, Session, SessionConfig};
//!
//! let now = Instant::now();
//! let config = SessionConfig::generate(aws_lc_rs::provider())?;
//! let (mut alice, mut bob) = (Session::new(now, config.clone()), Session::new(now, config));
//!
//! alice.create_data_channel(now, ChannelInit::new("chat"))?;
//! let offer = alice.create_offer()?;
//! alice.set_local_description(now, Some(&offer))?;
//! bob.set_remote_description(now, &Description::offer(&offer.text())?)?;
//! let answer = bob.create_answer()?;
//! bob.set_local_description(now, Some(&answer))?;
//! alice.set_remote_description(now, &Description::answer(&answer.text())?)?;
//! // Now each is told its addresses, and datagrams go back and forth: see the example `sans_io`.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod association;
mod codec;
mod config;
mod connection;
mod description;
mod error;
mod event;
mod events;
mod failure;
mod gathering;
mod jsep;
mod media;
#[cfg(feature = "serde")]
mod serialize;
mod state;
mod stats;
mod transceiver;
mod transport;
mod transports;

pub use crate::layer::TrackKind;
pub use codec::{Codec, MediaConfig, NegotiatedCodec, Repairs, SharedMediaConfig};
pub use config::{RtcpConfig, SessionConfig};
pub use connection::Session;
pub use description::{Description, DescriptionKind, IceCandidateInit, UnknownDescriptionKind};
pub use error::{SectionError, SessionError};
pub use event::SessionEvent;
pub use failure::{EndpointEnded, FailureReason};
pub use media::{DroppedRtcp, IncomingRtp, OutgoingRtp, RtcpDatagram, RtcpFeedback};
pub use state::{ConnectionState, GatheringState, SignalingState};
pub use stats::{
    CandidatePairStats, CandidateStats, CertificateStats, CodecStats, DataChannelStats, DtlsState,
    InboundRtpStats, OutboundRtpStats, RemoteInboundRtpStats, RemoteOutboundRtpStats, Stats, StatsId,
    StatsReport, TransportStats,
};
pub use transceiver::{Transceiver, TransceiverId, TransceiverInit};
pub use transports::{MakeDtls, MakeIce, MakeSctp, MakeSrtp, Transports};
