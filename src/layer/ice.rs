//! The seam for ICE.

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use thiserror::Error;
use zeroize::Zeroize;

use super::candidate_pair::{CandidatePair, CandidatePairState, CandidatePairStatus};
use super::host_address::{HostAddress, NetworkKind};
use super::ice_candidate_error::IceCandidateError;
use super::ice_failure::IceFailure;
use super::stream::RelayProtocol;
use super::{Candidate, CandidateKind, Datagram, Envelope, FiveTuple, Layer, ParseCandidateError};

/// An ICE agent for one data stream with one component: the seam for an ICE implementation.
pub trait IceTransport: Layer<Event = IceEvent, Error = IceError> + fmt::Debug + Send {
    /// The credentials of this side, to be signalled to the peer.
    fn local_credentials(&self) -> &IceCredentials;

    /// Takes the credentials of the peer. New credentials after the first begin a restart of the remote
    /// side: remote candidates are forgotten (RFC 8445 §9).
    ///
    /// # Errors
    /// [`IceError::Closed`].
    fn set_remote_credentials(&mut self, now: Instant, credentials: IceCredentials) -> Result<(), IceError>;

    /// Sets the role: the offerer controls, unless only the other side is lite (RFC 8445 §6.1.1).
    fn set_role(&mut self, role: IceRole);

    /// What the description of this side says of it. Nothing by default.
    fn options(&self) -> IceOptions {
        IceOptions::default()
    }

    /// What the description of the peer says of its agent. Without effect by default.
    fn set_remote_options(&mut self, options: IceOptions) {
        let _ = options;
    }

    /// The role, which a role conflict may have changed.
    fn role(&self) -> IceRole;

    /// Adds an address of this machine: a host candidate, and the base of server-reflexive ones.
    ///
    /// # Errors
    /// [`IceError::TooManyCandidates`] or [`IceError::Closed`].
    fn add_host_address(&mut self, now: Instant, address: SocketAddr) -> Result<(), IceError>;

    /// Adds an address of this machine at which streams of the peer are taken: a passive TCP candidate (RFC 6544 §4.1).
    ///
    /// # Errors
    /// As [`add_host_address`](Self::add_host_address), and [`IceError::UnsupportedCandidate`] of an agent that has no TCP.
    fn add_passive_address(&mut self, now: Instant, host: HostAddress) -> Result<(), IceError> {
        let _ = (now, host);
        Err(IceError::UnsupportedCandidate("this agent has no TCP candidates"))
    }

    /// Adds an address of this machine at which streams of the peer are taken, and from whose port they are opened: a
    /// simultaneous-open TCP candidate (RFC 6544 §4.1). No other kind of candidate has the same port.
    ///
    /// # Errors
    /// As [`add_passive_address`](Self::add_passive_address).
    fn add_simultaneous_open_address(&mut self, now: Instant, host: HostAddress) -> Result<(), IceError> {
        let _ = (now, host);
        Err(IceError::UnsupportedCandidate("this agent has no simultaneous-open TCP candidates"))
    }

    /// Adds an address of this machine with what is known of its network. By default nothing of that counts.
    ///
    /// # Errors
    /// As [`add_host_address`](Self::add_host_address).
    fn add_host(&mut self, now: Instant, host: HostAddress) -> Result<(), IceError> {
        self.add_host_address(now, host.address)
    }

    /// An address of this machine is gone: its candidates go with it, those that servers told of it and its pairs at once,
    /// and the best of the rest carries on, without a restart. One that comes later is
    /// [added](Self::add_host_address) as those at first, also after [`end_of_host_addresses`](Self::end_of_host_addresses).
    /// Without effect by default, for an agent that does not know how: its pairs die of silence.
    fn remove_host_address(&mut self, now: Instant, address: SocketAddr) {
        let _ = (now, address);
    }

    /// Says that no host address will follow; gathering is complete when the servers have answered, too.
    fn end_of_host_addresses(&mut self, now: Instant);

    /// Adds a candidate of the peer. Candidates of another ICE generation are ignored.
    ///
    /// # Errors
    /// [`IceError::TooManyCandidates`] or [`IceError::Closed`].
    fn add_remote_candidate(&mut self, now: Instant, candidate: Candidate) -> Result<(), IceError>;

    /// Says that the peer has no further candidate (RFC 8838 §14).
    fn end_of_remote_candidates(&mut self, now: Instant);

    /// Answers [`IceEvent::ResolveName`]; `None` if the name is not known. Answers to unknown queries are
    /// ignored.
    fn resolve_name(&mut self, now: Instant, query: NameQuery, address: Option<IpAddr>);

    /// Begins an ICE restart with new credentials for this side (RFC 8445 §9); the selected pair serves on
    /// until a new one is nominated. What was told of the peer is forgotten, so restart before handing over its
    /// new credentials.
    ///
    /// # Errors
    /// [`IceError::Closed`].
    fn restart(&mut self, now: Instant, credentials: IceCredentials) -> Result<(), IceError>;

    /// The state, as the W3C defines it for `RTCIceTransport`.
    fn state(&self) -> IceConnectionState;

    /// The pair that data is sent on; `None` while there is none or consent is lost.
    fn selected_pair(&self) -> Option<&CandidatePair>;

    /// The pairs and what their checks have shown, for statistics. The selected pair alone unless an agent
    /// tells more.
    fn candidate_pairs(&self) -> Vec<CandidatePairStatus> {
        let selected = self.selected_pair().cloned();
        selected
            .map(|pair| CandidatePairStatus::new(pair, CandidatePairState::Succeeded))
            .into_iter()
            .collect()
    }

    /// Why the agent has failed, while its state is [`IceConnectionState::Failed`]: what it tried and what went wrong.
    /// `None` otherwise, and of an agent that does not tell.
    fn failure(&self) -> Option<&IceFailure> {
        None
    }

    /// Whether data that came by `path` may be taken: an authentic connectivity check came on it, or one that
    /// was sent on it was answered.
    fn is_validated(&self, path: &FiveTuple) -> bool;

    /// Whether an authentic check of the peer has come: it knows the credentials of this side, whose description has
    /// thus arrived, while an answer to a check shows its own only. An agent that does not tell takes a selected pair
    /// for it.
    fn has_peer_checked(&self) -> bool {
        self.selected_pair().is_some()
    }

    /// What the datagram that was handled last has shown of `path`, by which it came. Asked right after
    /// [`handle_datagram`](Layer::handle_datagram), before anything else is. An authentic answer of a relay shows as much of
    /// the path to it: by this whoever shares the socket learns whose that path is. An implementation that does not tell
    /// takes every validated path for shown.
    fn take_proof(&mut self, path: &FiveTuple) -> Option<PathProof> {
        self.is_validated(path).then_some(PathProof::Check)
    }

    /// Whether `path` is in use: it is that of the selected pair or of another one on which the peer has answered
    /// checks, and it has not failed to answer since, or one to a relay that serves this agent. The selected pair alone
    /// unless an agent tells more.
    fn owns_path(&self, now: Instant, path: &FiveTuple) -> bool {
        let _ = now;
        self.selected_pair().is_some_and(|pair| pair.path == *path)
    }

    /// When an authentic check or answer of the peer came by `path` last, where the agent tells.
    fn last_heard(&self, path: &FiveTuple) -> Option<Instant> {
        let _ = path;
        None
    }

    /// Asks at once whether the peer is still at the other end of `path`, if the agent [owns](Self::owns_path)
    /// it. When no answer comes within a few round trips, it owns the path no more. Without effect unless an
    /// agent has a way to ask.
    fn verify_path(&mut self, now: Instant, path: &FiveTuple) {
        let _ = (now, path);
    }

    /// Authentic data of the peer has come by `path`: it is there, whatever this side has selected. A peer that has lost an
    /// address goes on by another, and its data may be the first to tell. A hint; by default nothing is done.
    fn note_data(&mut self, now: Instant, path: &FiveTuple) {
        let _ = (now, path);
    }

    /// What stands around the datagrams that leave by `path`, the path of a pair of this agent, and the path that they
    /// take then: to a relay, or in a stream. `None` for a path that they take as they are. What the agent itself
    /// sends is within it already.
    fn envelope(&self, path: &FiveTuple) -> Option<&Envelope> {
        let _ = path;
        None
    }

    /// Sorts a datagram that begins as STUN does (0 to 3), or as the data of a relay's channel (64 to 79, RFC 7983
    /// §7): one of the agent's own is to be [handled](Layer::handle_datagram), and what a relay brings is to be taken by
    /// its inner path, which is that of a pair, as if it had come by itself. By default a STUN message is the agent's own,
    /// and there are no relays.
    fn open<'a>(&mut self, now: Instant, datagram: Datagram<'a>) -> Opened<'a> {
        let _ = now;
        match datagram.bytes.first() {
            Some(0..=3) => Opened::Own(datagram),
            _ => Opened::Refused(IceError::Ignored("it is of no relay of this agent")),
        }
    }

    /// The URL of the server that a candidate of this side was found by, for statistics. `None` of a host candidate, and
    /// of an agent that does not tell.
    fn server_url(&self, candidate: &Candidate) -> Option<String> {
        let _ = candidate;
        None
    }

    /// What is spoken to the server of a relayed candidate of this side, for statistics. UDP unless an agent tells more.
    fn relay_protocol(&self, candidate: &Candidate) -> Option<RelayProtocol> {
        (candidate.kind == CandidateKind::Relayed).then_some(RelayProtocol::Udp)
    }

    /// The kind of network that a candidate of this side is of, for statistics. `None` where nothing is known, and of an
    /// agent that does not tell.
    fn network(&self, candidate: &Candidate) -> Option<NetworkKind> {
        let _ = candidate;
        None
    }

    /// The agent itself, for those who know its type. `None` of an agent that does not show itself.
    fn as_any_mut(&mut self) -> Option<&mut dyn Any> {
        None
    }

    /// Ends the agent: nothing is sent to the peer or accepted of it any more. What
    /// [`poll_transmit`](Layer::poll_transmit) still gives lets relays know.
    fn close(&mut self);

    /// Whether a relay is yet to answer to that, which it does within a round trip, and is given ten seconds for: who polls
    /// an agent that is closed as before until this is false leaves no allocation behind.
    fn is_leaving(&self) -> bool {
        false
    }
}

/// What a datagram is to an ICE agent: see [`IceTransport::open`].
#[derive(Debug)]
pub enum Opened<'a> {
    /// A message to the agent itself.
    Own(Datagram<'a>),
    /// What the peer has sent by way of a relay, on the path of its pair.
    Inner(Datagram<'a>),
    /// Neither, and nothing has changed.
    Refused(IceError),
}

/// What a description says of an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct IceOptions {
    /// It only answers checks, at an address that everybody reaches (RFC 8445 §2.5): `a=ice-lite`.
    pub lite: bool,
    /// A pair may be nominated after another (draft-thatcher-ice-renomination): `renomination` among `a=ice-options`. In
    /// force if both sides say so.
    pub renomination: bool,
}

impl IceOptions {
    /// Options to be set by their methods: none.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, of an agent that is lite or not.
    #[must_use]
    pub fn with_lite(self, lite: bool) -> Self {
        Self { lite, ..self }
    }

    /// The same, of an agent that takes and makes renominations or does not.
    #[must_use]
    pub fn with_renomination(self, renomination: bool) -> Self {
        Self { renomination, ..self }
    }
}

/// The user-name fragment and password of one side (RFC 8839 §5.4). The password is erased when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    ufrag: String,
    password: String,
}

impl IceCredentials {
    /// Credentials as signalled: a user-name fragment of 4 to 256 and a password of 22 to 256 letters,
    /// digits, `+` and `/`.
    ///
    /// # Errors
    /// [`IceError::Credentials`] names what is wrong.
    pub fn new(ufrag: impl Into<String>, password: impl Into<String>) -> Result<Self, IceError> {
        let credentials = Self { ufrag: ufrag.into(), password: password.into() };
        // Browsers and other stacks also use `-` and `_` (base64url); both are harmless.
        let is_ice_char = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'=');
        if !(4..=256).contains(&credentials.ufrag.len()) || !credentials.ufrag.bytes().all(is_ice_char) {
            return Err(IceError::Credentials("the ufrag must be 4 to 256 letters, digits, + and /"));
        }
        if !(22..=256).contains(&credentials.password.len()) || !credentials.password.bytes().all(is_ice_char)
        {
            return Err(IceError::Credentials("the password must be 22 to 256 letters, digits, + and /"));
        }
        Ok(credentials)
    }

    /// The user-name fragment.
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// The password.
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl Drop for IceCredentials {
    fn drop(&mut self) {
        self.password.zeroize();
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCredentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// Who nominates (RFC 8445 §6.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum IceRole {
    /// Nominates the pair to use.
    Controlling,
    /// Follows the nomination.
    Controlled,
}

/// The state of the transport (W3C WebRTC §5.6.3, `RTCIceTransportState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum IceConnectionState {
    /// Waiting for remote candidates.
    New,
    /// Checking pairs; none works yet.
    Checking,
    /// A usable pair is there; others may still be checked.
    Connected,
    /// A pair is there and all checks are done.
    Completed,
    /// What worked does not answer now; it may recover by itself.
    Disconnected,
    /// No pair works: only a restart helps.
    Failed,
    /// The agent was closed.
    Closed,
}

/// What an authentic message of the peer has shown of the path that it came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathProof {
    /// A connectivity check of the peer came by it: the peer sends from there.
    Check,
    /// The answer to a check of this side came by it: the peer receives there, too.
    Answer,
}

/// Names a question of [`IceEvent::ResolveName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NameQuery(pub u64);

/// What an ICE agent tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IceEvent {
    /// A local candidate was found; signal it to the peer.
    LocalCandidate(Candidate),
    /// A local candidate is of no use any more: its address is gone, or the relay that gave it. No line of signalling says
    /// so to the peer; what is described from now on has it no more.
    LocalCandidateGone(Candidate),
    /// All local candidates of this generation are found. One that a TURN server gives in place of a lost one comes later,
    /// and so do those of an address that comes later.
    GatheringComplete,
    /// A server gives no candidate.
    CandidateError(Box<IceCandidateError>),
    /// A remote candidate has a name: resolve it (RFC 8828, mDNS) and call
    /// [`resolve_name`](IceTransport::resolve_name).
    ResolveName {
        /// To be handed back.
        query: NameQuery,
        /// The name.
        name: String,
    },
    /// The state changed.
    ConnectionState(IceConnectionState),
    /// Data is sent on this pair from now on.
    SelectedPair(Box<CandidatePair>),
}

/// Why ICE refused something.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum IceError {
    /// The agent was closed.
    #[error("the ICE agent is closed")]
    Closed,
    /// A limit of candidates is reached.
    #[error("more than {limit} candidates; raise the limit of the configuration")]
    TooManyCandidates {
        /// The limit.
        limit: usize,
    },
    /// A candidate is malformed.
    #[error(transparent)]
    Candidate(#[from] ParseCandidateError),
    /// A candidate of a kind that the agent cannot use.
    #[error("candidate: {0}")]
    UnsupportedCandidate(&'static str),
    /// Credentials are malformed.
    #[error("ICE credentials: {0}")]
    Credentials(&'static str),
    /// The datagram was not understood, or not authentic, and changed nothing.
    #[error("datagram ignored: {0}")]
    Ignored(&'static str),
}
