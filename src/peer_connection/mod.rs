//! WebRTC connections with tokio: the W3C's `RTCPeerConnection` in Rust.
//!
//! A [`PeerConnection`] is a handle that is cheap to clone. Its methods lock the connection for a moment and
//! never wait; what takes time arrives as a [`PeerConnectionEvent`], from
//! [`next_event`](PeerConnection::next_event) or at a [`PeerConnectionHandler`]. An [`Endpoint`] is a UDP socket
//! and the task that moves datagrams for the connections on it: each has its own unless told to share one.
//! Every future of a connection that has failed or is closed resolves; errors carry the [`FailureReason`], and every
//! handle has a method `failure` that tells it.
//! When the last handle of a connection is gone (data channels and tracks count), it is closed, and what was sent right
//! before may be lost; [`PeerConnection::shutdown`] ends it in order.
//!
//! ```
//! use kaon_rtc::peer_connection::{PeerConnection, PeerConnectionEvent};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! // Without loopback, addresses that only this machine reaches are no candidates.
//! let alice = PeerConnection::builder().loopback(true).build().await?;
//! let bob = PeerConnection::builder().loopback(true).build().await?;
//! let chat = alice.create_data_channel("chat")?;
//!
//! // Signalling: here both are in one process.
//! alice.set_local_description(None)?;
//! alice.gathering_complete().await;
//! bob.set_remote_description(&alice.local_description().ok_or("no offer")?)?;
//! bob.set_local_description(None)?;
//! bob.gathering_complete().await;
//! alice.set_remote_description(&bob.local_description().ok_or("no answer")?)?;
//!
//! chat.send_text("hello").await?;
//! while let Some(event) = bob.next_event().await {
//!     if let PeerConnectionEvent::DataChannel(channel) = event {
//!         let message = channel.recv().await.ok_or("closed")?;
//!         assert_eq!(message.text(), Some("hello"));
//!         break;
//!     }
//! }
//! // Whatever was sent arrives first.
//! alice.shutdown().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod addresses;
mod attachment;
mod builder;
mod channel_stream;
mod configuration;
mod connection;
mod data_channel;
mod driver;
mod endpoint;
mod error;
mod event;
mod feeding;
mod frame_receiver;
mod handle;
mod handler;
mod ice_server;
mod inbox;
mod local_names;
mod message;
mod names;
mod reconfigure;
mod rtp_packet;
mod rtp_receiver;
mod rtp_sender;
mod shared;
mod shutdown;
mod stable_id;
mod sync;
mod track;

pub use builder::PeerConnectionBuilder;
pub use channel_stream::DataChannelStream;
pub use configuration::{BundlePolicy, Configuration, ConfigurationError};
pub use connection::PeerConnection;
pub use data_channel::DataChannel;
pub use endpoint::{Endpoint, EndpointBuilder};
pub use error::PeerConnectionError;
pub use event::PeerConnectionEvent;
pub use frame_receiver::FrameReceiver;
pub use handler::PeerConnectionHandler;
pub use ice_server::{IceServer, IceServerError};
pub use message::Message;
pub use rtp_packet::RtpPacket;
pub use rtp_receiver::RtpReceiver;
pub use rtp_sender::{FrameSender, RtpSender};
pub use stable_id::StableId;
pub use track::Track;

pub use crate::datachannel::{ChannelInit, ChannelState, MessageKind};
pub use crate::ice::TransportPolicy;
pub use crate::layer::IceCandidateError;
pub use crate::media::{Frame, FrameAssemblerStatistics};
pub use crate::session::{
    Codec, ConnectionState, Description, DescriptionKind, DroppedRtcp, EndpointEnded, FailureReason,
    GatheringState, IceCandidateInit, MediaConfig, NegotiatedCodec, OutgoingRtp, Repairs, RtcpConfig,
    RtcpDatagram, RtcpFeedback, SignalingState, Stats, StatsId, StatsReport, TrackKind, TransceiverId,
    TransceiverInit,
};

#[cfg(all(test, kaon_shuttle))]
mod interleavings;
#[cfg(test)]
mod tests;
