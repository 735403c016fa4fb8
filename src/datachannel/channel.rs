//! Channels: what they are made as, what they count, and what they tell.

use super::channel_id::ChannelId;
use super::error::DcepError;
use crate::layer::{Reliability, StreamId};

/// What a channel is to be: the W3C's `RTCDataChannelInit`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelInit {
    /// A name, at most 65535 bytes; need not be unique.
    pub label: String,
    /// The name of the subprotocol, at most 65535 bytes.
    pub protocol: String,
    /// Whether messages arrive in order.
    pub ordered: bool,
    /// When the sender gives up on a message.
    pub reliability: Reliability,
    /// The priority told to the peer (RFC 8831 §6.4); 256 is normal.
    pub priority: u16,
    /// The stream, if both ends agreed on it elsewhere and no OPEN is to be sent.
    pub negotiated: Option<StreamId>,
}

impl ChannelInit {
    /// An ordered and reliable channel, announced to the peer.
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            protocol: String::new(),
            ordered: true,
            reliability: Reliability::Reliable,
            priority: 256,
            negotiated: None,
        }
    }
}

impl From<&str> for ChannelInit {
    fn from(label: &str) -> Self {
        Self::new(label)
    }
}

impl From<&String> for ChannelInit {
    fn from(label: &String) -> Self {
        Self::new(label)
    }
}

impl From<String> for ChannelInit {
    fn from(label: String) -> Self {
        Self::new(label)
    }
}

/// The state of a channel: the W3C's `RTCDataChannelState`, where closed is not to be found any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum ChannelState {
    /// Waits for the association.
    Connecting,
    /// Messages can be sent.
    Open,
    /// One side closed it; what was queued is still sent.
    Closing,
}

/// What went over a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelCounters {
    /// Messages that the association took.
    pub messages_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Messages that the application was given.
    pub messages_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8 text. It is not checked on arrival.
    Text,
    /// Bytes.
    Binary,
}

/// What a channel tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelEvent {
    /// The peer opened a channel; it is open.
    OpenedByPeer(ChannelId),
    /// A channel of this side is open.
    Open(ChannelId),
    /// A message waits for [`receive`](super::DataChannels::receive); told once until all were received.
    Readable(ChannelId),
    /// The buffered amount fell to the threshold.
    BufferedAmountLow(ChannelId),
    /// The peer closes the channel.
    Closing(ChannelId),
    /// The channel is closed in both directions and forgotten, save the messages of it that were not received.
    Closed(ChannelId),
    /// The peer broke the establishment protocol on this stream; the stream was reset and nothing else
    /// touched.
    Refused {
        /// The stream.
        stream: StreamId,
        /// What was wrong.
        error: DcepError,
    },
}
