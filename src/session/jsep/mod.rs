//! The exchange of offer and answer: RFC 8829 (JSEP), RFC 3264 and W3C WebRTC §4.4, without any transport.

mod answer;
mod apply;
mod candidates;
mod echo;
mod negotiation_needed;
mod offer;
mod place;
mod registry;
mod remote;
mod section;
mod terms;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::codec::{Codec, NegotiatedCodec, SharedMediaConfig};
use super::description::{Description, DescriptionKind};
use super::error::SessionError;
use super::failure::FailureReason;
use super::state::SignalingState;
use super::transceiver::{
    EncodingIdentity, Negotiated, SenderIdentity, Transceiver, TransceiverId, TransceiverInit,
};
use crate::crypto::SecureRandom;
use crate::layer::{Candidate, DtlsRole, Fingerprint, IceCredentials, IceOptions, Mid, Ssrc, TrackKind};
use crate::sdp::{
    Attribute, Connection, Direction, Group, Line, MediaDescription, Origin, SessionDescription, Timing,
};
use place::{Section, SectionContent};
use registry::Registry;
use remote::RemoteDescription;
use terms::SessionTerms;

pub(super) use remote::{RemoteData, RemoteTransport};

/// What a [`Jsep`] needs to know of the session.
#[derive(Debug)]
pub(super) struct JsepConfig {
    pub(super) media: SharedMediaConfig,
    pub(super) fingerprints: Vec<Fingerprint>,
    /// What descriptions say of the ICE agent.
    pub(super) ice_options: IceOptions,
    pub(super) sctp_port: u16,
    pub(super) max_message_size: usize,
    pub(super) max_sections: usize,
    pub(super) max_remote_candidates: usize,
}

/// The signalling of one session.
pub(super) struct Jsep {
    config: JsepConfig,
    random: Arc<dyn SecureRandom>,
    cname: String,
    session_id: String,
    session_version: u64,
    state: SignalingState,
    transceivers: Vec<Transceiver>,
    next_transceiver: u32,
    /// The channels of the application want a section.
    wants_data: bool,
    /// Credentials that an exchange is to replace (W3C `[[LocalIceCredentialsToReplace]]`).
    credentials_to_replace: Vec<IceCredentials>,
    negotiation_needed: bool,
    /// Credentials that are not random: the application gave them.
    given_credentials: Option<IceCredentials>,
    agreement: Agreement,
    /// Counts what may have changed the agreement.
    generation: u64,
    /// What a rollback goes back to, while an exchange is under way.
    rollback: Option<Box<RollbackPoint>>,
    current_local: Option<Description>,
    pending_local: Option<Description>,
    current_remote: Option<Description>,
    pending_remote: Option<Description>,
    created_offer: Option<CreatedOffer>,
    created_answer: Option<CreatedAnswer>,
    /// The offer under way, of the side that made it.
    remote_offer: Option<RemoteDescription>,
    /// Where the offer under way puts what.
    offered: Vec<Section>,
}

/// What both sides agree on, or what the exchange under way proposes.
#[derive(Clone, Debug)]
struct Agreement {
    sections: Vec<Section>,
    registry: Registry,
    local_credentials: IceCredentials,
    remote: Option<RemoteTransport>,
    dtls_role: Option<DtlsRole>,
    data: Option<RemoteData>,
    /// The peer takes RTCP packets without a report in front (RFC 5506).
    reduced_size: bool,
    /// Both sides take header extensions of both forms in one stream (RFC 8285 §6).
    mixed_extensions: bool,
    /// This side made the first offer.
    is_first_offerer: Option<bool>,
}

#[derive(Debug)]
struct RollbackPoint {
    agreement: Agreement,
    transceivers: Vec<(TransceiverId, Negotiated)>,
}

/// An offer that may be applied.
#[derive(Debug)]
struct CreatedOffer {
    sdp: SessionDescription,
    sections: Vec<Section>,
    credentials: IceCredentials,
    /// The agreement's, with the numbers that the offer gave out.
    registry: Registry,
}

/// An answer that may be applied.
#[derive(Debug)]
struct CreatedAnswer {
    sdp: SessionDescription,
    /// What it says of each media section that it accepts and that is not for data.
    media: Vec<Option<AnsweredMedia>>,
    credentials: IceCredentials,
    role: DtlsRole,
}

/// What an answer of this side agrees to in one media section.
#[derive(Clone, Debug)]
struct AnsweredMedia {
    direction: Direction,
    send_codecs: Vec<NegotiatedCodec>,
    receive_codecs: Vec<NegotiatedCodec>,
}

impl Jsep {
    pub(super) fn new(
        config: JsepConfig,
        random: Arc<dyn SecureRandom>,
        local_credentials: IceCredentials,
    ) -> Self {
        // RFC 8829 §5.2.1: 63 random bits.
        let session_id = random_u64(&*random) >> 1;
        Self {
            config,
            cname: format!("{:016x}", random_u64(&*random)),
            session_id: session_id.to_string(),
            session_version: 0,
            random,
            state: SignalingState::Stable,
            transceivers: Vec::new(),
            next_transceiver: 0,
            wants_data: false,
            credentials_to_replace: Vec::new(),
            negotiation_needed: false,
            given_credentials: None,
            agreement: Agreement {
                sections: Vec::new(),
                registry: Registry::default(),
                local_credentials,
                remote: None,
                dtls_role: None,
                data: None,
                reduced_size: false,
                mixed_extensions: false,
                is_first_offerer: None,
            },
            generation: 0,
            rollback: None,
            current_local: None,
            pending_local: None,
            current_remote: None,
            pending_remote: None,
            created_offer: None,
            created_answer: None,
            remote_offer: None,
            offered: Vec::new(),
        }
    }

    /// The credentials of this side were given by the application, and may be those of the peer, too.
    pub(super) fn note_given_credentials(&mut self) {
        self.given_credentials = Some(self.agreement.local_credentials.clone());
    }

    pub(super) fn state(&self) -> SignalingState {
        self.state
    }

    pub(super) fn close(&mut self) {
        self.state = SignalingState::Closed;
        for transceiver in &mut self.transceivers {
            transceiver.stopped = true;
            transceiver.negotiated.current_direction = None;
        }
    }

    pub(super) fn cname(&self) -> &str {
        &self.cname
    }

    /// What was looked up in the agreement holds while this stays the same.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The credentials that this side's ICE agent is to have.
    pub(super) fn local_credentials(&self) -> &IceCredentials {
        &self.agreement.local_credentials
    }

    /// How to reach the peer, once both sides have described themselves for this generation of ICE.
    pub(super) fn remote_transport(&self) -> Option<&RemoteTransport> {
        let local_ufrag = self.agreement.local_credentials.ufrag();
        self.agreement.remote.as_ref().filter(|remote| remote.local_ufrag == local_ufrag)
    }

    pub(super) fn dtls_role(&self) -> Option<DtlsRole> {
        self.agreement.dtls_role
    }

    pub(super) fn is_first_offerer(&self) -> bool {
        self.agreement.is_first_offerer == Some(true)
    }

    /// What the peer says of its SCTP, if data channels are agreed on.
    pub(super) fn data(&self) -> Option<RemoteData> {
        self.agreement.data
    }

    pub(super) fn reduced_size_rtcp(&self) -> bool {
        self.agreement.reduced_size
    }

    /// Gives back room that nothing is in.
    pub(super) fn shrink_to_fit(&mut self) {
        self.agreement.registry.shrink_to_fit();
    }

    /// Whether one stream may have header extensions of both forms.
    pub(super) fn mixed_extensions(&self) -> bool {
        self.agreement.mixed_extensions
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.agreement.registry
    }

    /// Whether an offer is due and may be made.
    pub(super) fn is_negotiation_needed(&self) -> bool {
        self.state == SignalingState::Stable && self.negotiation_needed
    }

    /// Whether a local description was applied, so that candidates may be gathered.
    pub(super) fn has_local_description(&self) -> bool {
        self.current_local.is_some() || self.pending_local.is_some()
    }

    /// The section whose transport all share, for candidates of this side.
    pub(super) fn tagged_section(&self) -> Option<(usize, Mid)> {
        // While an exchange is under way, candidates belong to its sections.
        let sections = if self.offered.is_empty() { &self.agreement.sections } else { &self.offered };
        sections
            .iter()
            .enumerate()
            .find(|(_, section)| !matches!(section.content, SectionContent::Rejected { .. }))
            .map(|(index, section)| (index, section.mid))
    }

    pub(super) fn local_description(&self) -> Option<&Description> {
        self.pending_local.as_ref().or(self.current_local.as_ref())
    }

    pub(super) fn remote_description(&self) -> Option<&Description> {
        self.pending_remote.as_ref().or(self.current_remote.as_ref())
    }

    pub(super) fn current_descriptions(&self) -> (Option<&Description>, Option<&Description>) {
        (self.current_local.as_ref(), self.current_remote.as_ref())
    }

    pub(super) fn pending_descriptions(&self) -> (Option<&Description>, Option<&Description>) {
        (self.pending_local.as_ref(), self.pending_remote.as_ref())
    }

    pub(super) fn transceivers(&self) -> &[Transceiver] {
        &self.transceivers
    }

    pub(super) fn transceivers_mut(&mut self) -> &mut [Transceiver] {
        &mut self.transceivers
    }

    pub(super) fn transceiver(&self, id: TransceiverId) -> Option<&Transceiver> {
        // They stand in the order in which they were made.
        let place = self.transceivers.binary_search_by_key(&id, Transceiver::id).ok()?;
        self.transceivers.get(place)
    }

    /// A transceiver that was not stopped.
    pub(super) fn transceiver_mut(&mut self, id: TransceiverId) -> Result<&mut Transceiver, SessionError> {
        let place = self.transceivers.binary_search_by_key(&id, Transceiver::id);
        place
            .ok()
            .and_then(|place| self.transceivers.get_mut(place))
            .filter(|transceiver| !transceiver.is_ending())
            .ok_or(SessionError::NoTransceiver(id))
    }

    pub(super) fn add_transceiver(
        &mut self,
        kind: TrackKind,
        init: TransceiverInit,
    ) -> Result<TransceiverId, SessionError> {
        let in_use = self.transceivers.iter().filter(|transceiver| !transceiver.stopped).count();
        if in_use >= self.config.max_sections {
            return Err(SessionError::Limit { what: "transceivers", limit: self.config.max_sections });
        }
        let id = TransceiverId(self.next_transceiver);
        self.next_transceiver += 1;
        let track_id = match init.track_id {
            Some(track_id) => track_id,
            None => format!("{:016x}", random_u64(&*self.random)),
        };
        let ssrc = self.new_ssrc(None);
        let rtx_ssrc = self.new_ssrc(Some(ssrc));
        if self.transceivers.is_empty() {
            // Most sessions have one or two, and each is large.
            self.transceivers.reserve_exact(1);
        }
        self.transceivers.push(Transceiver {
            id,
            kind,
            direction: init.direction,
            codecs: init.codecs,
            sender: SenderIdentity {
                encoding: EncodingIdentity { ssrc, rtx_ssrc, rid: None },
                more_encodings: Vec::new(),
                streams: init.streams,
                track_id,
            },
            by_track: false,
            by_remote: false,
            stopping: false,
            stopped: false,
            negotiated: Negotiated::default(),
        });
        Ok(id)
    }

    /// RFC 3550 §8.1: random, and unlike those in use.
    fn new_ssrc(&self, other: Option<Ssrc>) -> Ssrc {
        loop {
            let ssrc = Ssrc((random_u64(&*self.random) >> 32) as u32);
            let in_use = self.transceivers.iter().any(|transceiver| {
                transceiver.sender.encodings().any(|own| own.ssrc == ssrc || own.rtx_ssrc == ssrc)
                    || transceiver.negotiated.remote.ssrcs.contains(&ssrc)
            });
            if !in_use && other != Some(ssrc) && ssrc.0 != 0 {
                return ssrc;
            }
        }
    }

    pub(super) fn stop(&mut self, id: TransceiverId) -> Result<(), SessionError> {
        let transceiver = self.transceiver_mut(id)?;
        transceiver.stopping = true;
        transceiver.direction = Direction::Inactive;
        let has_mid = transceiver.negotiated.mid.is_some();
        let is_offered = self.created_offer.as_ref().is_some_and(|created| {
            created.sections.iter().any(|section| section.content == SectionContent::Media(id))
        });
        if !has_mid && !is_offered {
            // The peer will never hear of it.
            self.transceivers.retain(|transceiver| transceiver.id != id);
        }
        Ok(())
    }

    /// Whether this side offers data channels; not after the peer has refused them.
    pub(super) fn wants_data(&self) -> bool {
        self.wants_data
    }

    pub(super) fn want_data(&mut self) {
        self.wants_data = true;
    }

    /// Has the next offer restart ICE. There is nothing to restart before the first description.
    pub(super) fn want_ice_restart(&mut self) {
        if self.has_local_description() {
            let before = self.rollback.as_ref().map(|point| &point.agreement.local_credentials);
            let in_use = before.into_iter().chain([&self.agreement.local_credentials]);
            self.credentials_to_replace = in_use.cloned().collect();
        }
    }

    /// The codecs to negotiate for a transceiver, the preferred first.
    fn codecs(&self, transceiver: &Transceiver) -> Vec<Codec> {
        match transceiver.codecs.as_slice() {
            [] => self.config.media.codecs(transceiver.kind).to_vec(),
            preferred => preferred.to_vec(),
        }
    }

    /// Adds a candidate of the peer to its last description. `None`: there will be no further one.
    pub(super) fn add_remote_candidate(
        &mut self,
        candidate: Option<Candidate>,
        ufrag: Option<&str>,
    ) -> Result<(), SessionError> {
        let limit = self.config.max_remote_candidates;
        let pending = self.remote_offer.as_mut().and_then(|remote| remote.transport.as_mut());
        let remotes = pending.into_iter().chain(self.agreement.remote.as_mut());
        let (mut any, mut generation) = (false, None);
        for remote in remotes {
            any = true;
            // RFC 8838 §9: a candidate of another generation is not for this one. Without a word it is for the newest,
            // which a provisional answer has begun already.
            let is_other = ufrag.is_some_and(|ufrag| ufrag != remote.credentials.ufrag());
            if is_other || generation.as_ref().is_some_and(|of| *of != remote.credentials) {
                continue;
            }
            generation = Some(remote.credentials.clone());
            match &candidate {
                None => remote.has_all_candidates = true,
                Some(candidate) if remote.candidates.add(candidate, limit) => {}
                Some(_) => return Err(SessionError::Limit { what: "remote candidates", limit }),
            }
        }
        if any { Ok(()) } else { Err(SessionError::NoRemoteDescription) }
    }

    /// Whether a section of the remote description has this tag, which may be one that this side gave it, or this
    /// place.
    pub(super) fn has_remote_section(&self, mid: Option<&str>, index: Option<u16>) -> bool {
        let Some(sdp) = self.remote_description().and_then(|description| description.sdp.as_ref()) else {
            return false;
        };
        let given = if self.offered.is_empty() { &self.agreement.sections } else { &self.offered };
        let is_at = |place: usize, mid: &str| {
            let media = sdp.media.get(place)?;
            let own = media.mid().or_else(|| Some(given.get(place)?.mid))?;
            Some(own.as_str() == mid)
        };
        match (mid, index.map(usize::from)) {
            // Who says both is right as a rule, and need not be looked for among many.
            (Some(mid), Some(index)) if is_at(index, mid) == Some(true) => true,
            (Some(mid), _) => (0..sdp.media.len()).any(|place| is_at(place, mid) == Some(true)),
            (None, Some(index)) => index < sdp.media.len(),
            (None, None) => true,
        }
    }

    /// A description of this side around these sections.
    fn describe(
        &mut self,
        media: Vec<MediaDescription>,
        bundle: Vec<Mid>,
        terms: SessionTerms,
    ) -> SessionDescription {
        self.session_version += 1;
        let connection = Connection { address: "127.0.0.1".to_owned(), ..Connection::unspecified() };
        let mut sdp = SessionDescription {
            origin: Origin {
                username: "-".to_owned(),
                session_id: self.session_id.clone(),
                session_version: self.session_version.to_string(),
                connection,
            },
            session_name: "-".to_owned(),
            lines: vec![Line::Timing(Timing::default())],
            media,
        };
        if self.config.ice_options.lite {
            sdp.push(Attribute::IceLite);
        }
        if terms.bundle && !bundle.is_empty() {
            let semantics = Group::BUNDLE.to_owned();
            sdp.push(Attribute::Group(Box::new(Group { semantics, mids: bundle })));
        }
        if terms.mixed_extensions {
            sdp.push(Attribute::ExtMapAllowMixed);
        }
        if terms.msid_semantic {
            sdp.push(Attribute::other("msid-semantic", Some(" WMS *")));
        }
        sdp
    }

    fn invalid_state(&self, what: &'static str) -> SessionError {
        match self.state {
            SignalingState::Closed => SessionError::Ended(FailureReason::Closed),
            state => SessionError::InvalidState { what, state },
        }
    }
}

impl std::fmt::Debug for Jsep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jsep")
            .field("state", &self.state)
            .field("transceivers", &self.transceivers.len())
            .field("sections", &self.agreement.sections.len())
            .finish_non_exhaustive()
    }
}

fn random_u64(random: &dyn SecureRandom) -> u64 {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    u64::from_be_bytes(bytes)
}

/// What kind of description a side applies, apart from a rollback.
fn proposes(kind: DescriptionKind) -> bool {
    kind == DescriptionKind::Offer
}
