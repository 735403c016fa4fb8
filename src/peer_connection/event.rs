//! What a connection tells.

use crate::layer::{CandidatePair, Fingerprint, IceCandidateError, IceConnectionState};
use crate::session::{
    ConnectionState, FailureReason, GatheringState, IceCandidateInit, SignalingState, TransceiverId,
};

use super::data_channel::DataChannel;
use super::rtp_receiver::RtpReceiver;

/// What a connection tells (W3C: the events of `RTCPeerConnection`).
///
/// ```
/// use kaon_rtc::peer_connection::PeerConnectionEvent;
///
/// fn describe(event: &PeerConnectionEvent) -> String {
///     match event {
///         PeerConnectionEvent::NegotiationNeeded => "an offer is due".to_owned(),
///         PeerConnectionEvent::IceCandidate(init) => format!("signal {}", init.candidate),
///         PeerConnectionEvent::ConnectionState { state, reason: None } => format!("now {state}"),
///         PeerConnectionEvent::ConnectionState { state, reason: Some(reason) } => format!("{state}: {reason}"),
///         other => format!("{other:?}"),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PeerConnectionEvent {
    /// An offer is due: make one, unless the peer's comes first.
    NegotiationNeeded,
    /// The exchange of offer and answer went on.
    SignalingState(SignalingState),
    /// A local candidate was found; signal it to the peer. An empty one says that there is no further.
    IceCandidate(IceCandidateInit),
    /// A STUN or TURN server gives no candidate (W3C `icecandidateerror`). Others may.
    IceCandidateError(Box<IceCandidateError>),
    /// The gathering of local candidates went on.
    GatheringState(GatheringState),
    /// The state of ICE changed.
    IceConnectionState(IceConnectionState),
    /// Data and media take this pair from now on.
    SelectedPair(Box<CandidatePair>),
    /// The DTLS handshake is complete with a peer whose certificate nobody has verified; see
    /// [`SessionEvent::UnverifiedPeer`](crate::session::SessionEvent::UnverifiedPeer).
    UnverifiedPeer {
        /// The SHA-256 fingerprint of its certificate.
        fingerprint: Box<Fingerprint>,
    },
    /// The state of the whole changed.
    ConnectionState {
        /// The new state.
        state: ConnectionState,
        /// Why, if it has failed or is closed.
        reason: Option<FailureReason>,
    },
    /// The peer sends a track.
    Track(RtpReceiver),
    /// The peer does not send on this transceiver any more.
    TrackEnded(TransceiverId),
    /// The peer opened a data channel.
    DataChannel(DataChannel),
}
