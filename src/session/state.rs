//! The states that an application sees.

use std::fmt;

/// Where the exchange of offer and answer is (W3C WebRTC §4.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum SignalingState {
    /// No exchange is under way.
    #[default]
    Stable,
    /// An offer was made.
    HaveLocalOffer,
    /// An offer came.
    HaveRemoteOffer,
    /// An offer came, and was accepted provisionally.
    #[cfg_attr(feature = "serde", serde(rename = "have-local-pranswer"))]
    HaveLocalPrAnswer,
    /// An offer was made, and was accepted provisionally.
    #[cfg_attr(feature = "serde", serde(rename = "have-remote-pranswer"))]
    HaveRemotePrAnswer,
    /// The session was closed.
    Closed,
}

impl fmt::Display for SignalingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stable => "stable",
            Self::HaveLocalOffer => "have-local-offer",
            Self::HaveRemoteOffer => "have-remote-offer",
            Self::HaveLocalPrAnswer => "have-local-pranswer",
            Self::HaveRemotePrAnswer => "have-remote-pranswer",
            Self::Closed => "closed",
        })
    }
}

/// The state of the whole connection (W3C WebRTC §4.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum ConnectionState {
    /// Nothing has begun.
    #[default]
    New,
    /// ICE or DTLS is under way.
    Connecting,
    /// Data and media pass.
    Connected,
    /// What worked does not answer now; it may recover by itself.
    Disconnected,
    /// It does not work. An ICE restart may help if ICE failed.
    Failed,
    /// This side or the peer closed it.
    Closed,
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Failed => "failed",
            Self::Closed => "closed",
        })
    }
}

/// Where the gathering of local candidates is (W3C WebRTC §4.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum GatheringState {
    /// It has not begun.
    #[default]
    New,
    /// Candidates are being found.
    Gathering,
    /// All are found.
    Complete,
}
