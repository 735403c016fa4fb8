//! What a session tells.

use crate::datachannel::ChannelEvent;
use crate::layer::{CandidatePair, Fingerprint, IceCandidateError, IceConnectionState, NameQuery, Rid};

use super::description::IceCandidateInit;
use super::failure::FailureReason;
use super::state::{ConnectionState, GatheringState, SignalingState};
use super::transceiver::TransceiverId;

/// What a session tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// An offer is due: make one, unless the peer's comes first.
    NegotiationNeeded,
    /// The exchange of offer and answer went on.
    SignalingState(SignalingState),
    /// A local candidate was found; signal it to the peer. An empty one says that there is no further.
    IceCandidate(IceCandidateInit),
    /// A STUN or TURN server gives no candidate. Others may.
    IceCandidateError(Box<IceCandidateError>),
    /// The gathering of local candidates went on.
    GatheringState(GatheringState),
    /// A remote candidate has a name: resolve it and call
    /// [`resolve_name`](super::Session::resolve_name).
    ResolveName {
        /// To be handed back.
        query: NameQuery,
        /// The name, such as a UUID with `.local`.
        name: String,
    },
    /// The state of ICE changed.
    IceConnectionState(IceConnectionState),
    /// Data and media take this pair from now on.
    SelectedPair(Box<CandidatePair>),
    /// The DTLS handshake is complete with a peer whose certificate nobody has verified, because the session was told to
    /// accept any ([`dangerously_accept_any_certificate`](super::Transports::dangerously_accept_any_certificate)). Comes
    /// before the connection is connected: from now on the application has to find out whose this is.
    UnverifiedPeer {
        /// The SHA-256 fingerprint of its certificate, for which it has the key.
        fingerprint: Box<Fingerprint>,
    },
    /// The state of the whole changed.
    ConnectionState {
        /// The new state.
        state: ConnectionState,
        /// Why, if it has failed or is closed.
        reason: Option<FailureReason>,
    },
    /// The peer sends on this transceiver from now on.
    Track(TransceiverId),
    /// The peer does not send on this transceiver any more.
    TrackEnded(TransceiverId),
    /// The peer asks for a key frame of what this side sends.
    KeyFrameRequested {
        /// The transceiver.
        transceiver: TransceiverId,
        /// The simulcast stream.
        rid: Option<Rid>,
    },
    /// The send buffer of data channels has room again after it was full.
    SendBufferAvailable,
    /// Something of a data channel.
    DataChannel(ChannelEvent),
}
