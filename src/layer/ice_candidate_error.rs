//! Servers that give no candidate.

use std::net::SocketAddr;

/// A STUN or TURN server gives no candidate (W3C `RTCPeerConnectionIceErrorEvent`). The others are asked all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct IceCandidateError {
    /// The address of this side that asked; `None` if the server was not asked, because its name is not known.
    pub address: Option<SocketAddr>,
    /// The URL of the server.
    pub url: String,
    /// The STUN error code, 300 to 699, or
    /// [`CandidateError::UNREACHABLE`](crate::layer::CandidateError::UNREACHABLE), 701.
    pub error_code: u16,
    /// Why, and what to do.
    pub error_text: String,
}

impl IceCandidateError {
    /// One of a server that was asked from `address`, if it was.
    pub fn new(
        address: impl Into<Option<SocketAddr>>,
        url: impl Into<String>,
        error_code: u16,
        error_text: impl Into<String>,
    ) -> Self {
        Self { address: address.into(), url: url.into(), error_code, error_text: error_text.into() }
    }
}
