//! What a session refuses.

use crate::datachannel::DataChannelError;
use crate::layer::{DtlsError, IceError, Mid, ParseCandidateError, SctpError, SrtpError};
use crate::{rtcp, sdp};

use super::description::DescriptionKind;
use super::failure::FailureReason;
use super::state::SignalingState;
use super::transceiver::TransceiverId;

/// Why a session refused something. Unless it says that the session has ended, nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The session has failed or was closed, or what it was asked for has ended.
    #[error(transparent)]
    Ended(#[from] FailureReason),
    /// The signalling state does not allow it (W3C `InvalidStateError`).
    #[error("{what} is not possible in the signalling state {state}{}", collision_hint(.what, *.state))]
    InvalidState {
        /// What was tried.
        what: &'static str,
        /// The state.
        state: SignalingState,
    },
    /// A local description is not what was last made (W3C `InvalidModificationError`).
    #[error("the local {0} is not the one that was last created; descriptions must not be changed")]
    ModifiedDescription(DescriptionKind),
    /// A description is malformed.
    #[error(transparent)]
    Sdp(#[from] sdp::ParseError),
    /// A description cannot be used.
    #[error("media section {index}: {reason}")]
    Section {
        /// The place of the media section, counted from 0.
        index: usize,
        /// What is wrong, and what was expected.
        reason: SectionError,
    },
    /// A description as a whole cannot be used.
    #[error("{0}")]
    Description(&'static str),
    /// The description is one of this side: signalling has sent it back.
    #[error(
        "the description is one that this side made itself; signalling has to carry it to the peer, and not back"
    )]
    OwnDescription,
    /// There is no transceiver of this id, or it was stopped.
    #[error("{0} does not exist or was stopped")]
    NoTransceiver(TransceiverId),
    /// The transceiver may not send now: it is negotiated with a direction that does not send, or was stopped.
    #[error(
        "{0} may not send: it was stopped, or its negotiated direction does not include sending, by the wish of this \
         side (set_direction) or of the peer"
    )]
    NotSending(TransceiverId),
    /// The transceiver may not send yet: nothing is agreed on with the peer.
    #[error("{0} may not send yet: it is not negotiated; that takes an exchange of offer and answer")]
    NotNegotiated(TransceiverId),
    /// The payload type is not negotiated for sending.
    #[error("payload type {payload_type} is not negotiated for {transceiver}")]
    PayloadType {
        /// The payload type.
        payload_type: u8,
        /// The transceiver.
        transceiver: TransceiverId,
    },
    /// An RTP or RTCP packet is longer than a datagram may be.
    #[error(
        "a packet of {size} bytes, and {limit} fit a datagram: for RTP, send less at once or raise \
         max_rtp_datagram of the configuration; for RTCP, mtu"
    )]
    PacketTooLong {
        /// Its size before it is protected; of RTP with all headers that it gets, those of a retransmission, too.
        size: usize,
        /// What a datagram has room for besides the protection.
        limit: usize,
    },
    /// RTCP of the application is malformed.
    #[error("RTCP: {0}")]
    Rtcp(#[from] rtcp::CompoundError),
    /// No media is negotiated that RTCP could be about.
    #[error("no media is negotiated, and so no RTCP")]
    NoMedia,
    /// RTCP waits to be sent and must go first.
    #[error("{limit} RTCP datagrams wait to be sent already")]
    TooMuchRtcp {
        /// So many wait at most when one of the application is added.
        limit: usize,
    },
    /// A limit of the configuration is reached.
    #[error("more than {limit} {what}; raise the limit of the configuration")]
    Limit {
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A candidate is malformed.
    #[error(transparent)]
    Candidate(#[from] ParseCandidateError),
    /// A candidate says nothing of its media section (W3C `TypeError`).
    #[error("the candidate says of which media section it is neither by its sdpMid nor by its sdpMLineIndex")]
    UnnamedSection,
    /// A candidate is of a media section that there is not.
    #[error("the candidate is of a media section that the remote description does not have")]
    UnknownSection,
    /// There is no remote description yet that a candidate could belong to.
    #[error("a candidate came before the remote description; keep it until set_remote_description")]
    NoRemoteDescription,
    /// ICE refused.
    #[error(transparent)]
    Ice(#[from] IceError),
    /// DTLS refused.
    #[error(transparent)]
    Dtls(#[from] DtlsError),
    /// SRTP refused.
    #[error(transparent)]
    Srtp(#[from] SrtpError),
    /// SCTP refused.
    #[error(transparent)]
    Sctp(#[from] SctpError),
    /// A data channel refused.
    #[error(transparent)]
    DataChannel(#[from] DataChannelError),
    /// A datagram was not understood and changed nothing.
    #[error("datagram ignored: {0}")]
    Ignored(&'static str),
}

/// What is wrong with a media section of a description.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SectionError {
    /// Something is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Something has a value that it cannot have here.
    #[error("{0}")]
    Invalid(&'static str),
    /// The section is not that of the offer in the same place.
    #[error("expected the section of the offer with a=mid:{expected}, but found {found}")]
    Mismatch {
        /// The tag in the offer.
        expected: Mid,
        /// What stands there.
        found: String,
    },
}

/// What an answer that nobody waits for mostly comes of.
fn collision_hint(what: &str, state: SignalingState) -> &'static str {
    match state {
        SignalingState::Stable | SignalingState::HaveRemoteOffer if what == REMOTE_ANSWER => {
            "; if both sides have made an offer at the same time, see the example perfect_negotiation"
        }
        _ => "",
    }
}

/// What was tried, if it was to apply an answer of the peer.
pub(super) const REMOTE_ANSWER: &str = "a remote answer";
