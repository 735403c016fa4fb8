//! Errors of connections.

use std::io;

use super::configuration::ConfigurationError;
use super::ice_server::IceServerError;
use crate::datachannel::DataChannelError;
use crate::dtls::DtlsError;
use crate::net::BindError;
use crate::rtp::payload::PacketizeError;
use crate::sdp;
use crate::session::{EndpointEnded, FailureReason, SessionError, TrackKind};

/// Why a connection refused something.
///
/// ```
/// use kaon_rtc::peer_connection::{DataChannel, PeerConnectionError};
///
/// async fn say(channel: &DataChannel, text: &str) {
///     match channel.send_text(text).await {
///         Ok(()) => {}
///         Err(PeerConnectionError::Ended(reason)) => println!("the connection has ended: {reason}"),
///         Err(PeerConnectionError::ChannelClosed) => println!("the peer does not want to talk"),
///         Err(error) => println!("not said: {error}"),
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerConnectionError {
    /// The connection has failed or was closed, or its data channels have ended; the reason is the one that
    /// [`PeerConnection::failure`](super::PeerConnection::failure) and its like tell.
    #[error(transparent)]
    Ended(FailureReason),
    /// The data channel was closed, by this side or by the peer, while the connection goes on.
    #[error("the data channel is closed")]
    ChannelClosed,
    /// The data channel is not open yet.
    #[error("the data channel is not open yet; wait with `opened`, or send with `send`, which waits")]
    NotOpen,
    /// Nothing can be sent on the data channel before what was sent is on its way.
    #[error("the send buffer is full; send with `send`, which waits")]
    SendBufferFull,
    /// Nothing has arrived that could be received now.
    #[error("nothing has arrived yet")]
    WouldBlock,
    /// The session refused.
    #[error(transparent)]
    Session(SessionError),
    /// A description is malformed.
    #[error(transparent)]
    Sdp(#[from] sdp::ParseError),
    /// A data channel refused.
    #[error(transparent)]
    DataChannel(#[from] DataChannelError),
    /// The socket could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] DtlsError),
    /// The interfaces of this machine could not be listed.
    #[error("the interfaces of this machine cannot be listed: {0}")]
    Interfaces(#[source] io::Error),
    /// Nobody can answer for the names of mDNS that addresses are to be told by.
    #[error("names of mDNS cannot be answered for: {0}")]
    LocalNames(#[source] io::Error),
    /// A server's URL is malformed.
    #[error("\"{0}\" is not the URL of a STUN server; expected stun:HOST or stun:HOST:PORT")]
    ServerUrl(String),
    /// A STUN or TURN server cannot be used.
    #[error(transparent)]
    IceServer(#[from] IceServerError),
    /// A configuration cannot be set in the place of the one that there is.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// A frame cannot be split into packets.
    #[error(transparent)]
    Frame(#[from] PacketizeError),
    /// Frames of this codec cannot be split into packets here; send packets instead.
    #[error("frames of {0} cannot be split into packets; send RTP packets instead")]
    UnsupportedCodec(String),
    /// A sender of one kind cannot have a track of the other (W3C `TypeError`).
    #[error("a sender of {} cannot have a track of {}", plain(*.sender), plain(*.track))]
    TrackKind {
        /// The kind of the track.
        track: TrackKind,
        /// The kind of the sender.
        sender: TrackKind,
    },
    /// The peer does not take the codec of the track, and the sender sends already (W3C `InvalidModificationError`).
    #[error("the codec of the track, {0}, is not negotiated for the sender")]
    TrackCodec(String),
}

impl PeerConnectionError {
    /// Why the connection has ended, if that is what the error says.
    pub fn failure(&self) -> Option<&FailureReason> {
        match self {
            Self::Ended(reason) => Some(reason),
            _ => None,
        }
    }
}

fn plain(kind: TrackKind) -> &'static str {
    match kind {
        TrackKind::Audio => "audio",
        TrackKind::Video => "video",
    }
}

impl From<SessionError> for PeerConnectionError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Ended(reason) => Self::Ended(reason),
            error => Self::Session(error),
        }
    }
}

impl From<FailureReason> for PeerConnectionError {
    fn from(reason: FailureReason) -> Self {
        Self::Ended(reason)
    }
}

impl From<EndpointEnded> for PeerConnectionError {
    fn from(end: EndpointEnded) -> Self {
        Self::Ended(end.into())
    }
}
