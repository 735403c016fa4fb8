//! Applying descriptions, RFC 8829 §5.5 to §5.11. What can fail is checked before anything changes.

use super::answer::answer_direction;
use super::place::{Section, SectionContent};
use super::remote::{
    Proposal, ReadContext, RemoteContent, RemoteDescription, RemoteExtension, RemoteSection, RemoteTransport,
};
use super::{Agreement, AnsweredMedia, CreatedAnswer, Jsep, RollbackPoint};
use crate::layer::DtlsRole;
use crate::sdp::{Direction, SessionDescription, Setup};
use crate::session::codec::{Codec, NegotiatedCodec};
use crate::session::description::{Description, DescriptionKind};
use crate::session::error::{REMOTE_ANSWER, SectionError, SessionError};
use crate::session::state::SignalingState;
use crate::session::transceiver::{Negotiated, TransceiverId, TransceiverInit};

impl Jsep {
    /// Applies a description of this side; without content, the one that was last created.
    pub(in crate::session) fn set_local(
        &mut self,
        kind: DescriptionKind,
        sdp: Option<&SessionDescription>,
    ) -> Result<(), SessionError> {
        self.generation += 1;
        match kind {
            DescriptionKind::Offer => self.set_local_offer(sdp),
            DescriptionKind::Answer | DescriptionKind::PrAnswer => self.set_local_answer(kind, sdp),
            DescriptionKind::Rollback => match self.state {
                SignalingState::HaveLocalOffer => {
                    self.roll_back();
                    Ok(())
                }
                _ => Err(self.invalid_state("a rollback of a local offer")),
            },
        }
    }

    /// Applies a description of the peer.
    pub(in crate::session) fn set_remote(&mut self, description: &Description) -> Result<(), SessionError> {
        if let Some(sdp) = &description.sdp {
            self.check_is_of_peer(sdp)?;
        }
        self.generation += 1;
        match (description.kind, &description.sdp) {
            (DescriptionKind::Rollback, _) => match self.state {
                SignalingState::HaveRemoteOffer => {
                    self.roll_back();
                    Ok(())
                }
                _ => Err(self.invalid_state("a rollback of a remote offer")),
            },
            (DescriptionKind::Offer, Some(sdp)) => self.set_remote_offer(sdp),
            (kind, Some(sdp)) => self.set_remote_answer(kind, sdp),
            (_, None) => Err(SessionError::Description("the description is empty")),
        }
    }

    fn set_local_offer(&mut self, sdp: Option<&SessionDescription>) -> Result<(), SessionError> {
        if !matches!(self.state, SignalingState::Stable | SignalingState::HaveLocalOffer) {
            return Err(self.invalid_state("a local offer"));
        }
        let created = self
            .created_offer
            .take_if(|created| sdp.is_none_or(|sdp| *sdp == created.sdp))
            .ok_or(SessionError::ModifiedDescription(DescriptionKind::Offer))?;
        self.begin_exchange();
        for section in &created.sections {
            let id = match section.content {
                SectionContent::Media(id) => id,
                _ => continue,
            };
            // One that was stopped since the offer was made is ended by the next.
            if let Some(transceiver) = self.transceivers.iter_mut().find(|transceiver| transceiver.id == id) {
                transceiver.negotiated.mid = Some(section.mid);
            }
        }
        self.offered = created.sections;
        self.agreement.local_credentials = created.credentials;
        self.agreement.registry = created.registry;
        self.agreement.is_first_offerer.get_or_insert(true);
        self.pending_local = Some(Description { kind: DescriptionKind::Offer, sdp: Some(created.sdp) });
        self.state = SignalingState::HaveLocalOffer;
        Ok(())
    }

    fn set_remote_offer(&mut self, sdp: &SessionDescription) -> Result<(), SessionError> {
        if !matches!(
            self.state,
            SignalingState::Stable | SignalingState::HaveLocalOffer | SignalingState::HaveRemoteOffer
        ) {
            return Err(self.invalid_state("a remote offer"));
        }
        // Of an offer of this side that collides, nothing is agreed on.
        let before = self.rollback.as_ref().map_or(&self.agreement, |point| &point.agreement);
        let offer = RemoteDescription::read(sdp, Proposal::Offer, &self.read_context(&before.sections))?;
        self.check_remote_offer(before, &offer)?;
        // W3C WebRTC §4.4.1.5: an offer takes back the own one that it collides with; a newer offer replaces
        // the one before.
        if self.state != SignalingState::Stable {
            self.roll_back();
        }
        self.begin_exchange();
        self.offered = offer.sections.iter().map(|section| self.take_section(section)).collect();
        // RFC 8841 §10: there is one association, and no second section for it.
        let is_data = |(ours, _): &(&mut Section, _)| ours.content == SectionContent::Data;
        for (ours, theirs) in self.offered.iter_mut().zip(&offer.sections).filter(is_data).skip(1) {
            ours.content = SectionContent::rejected(theirs);
        }
        self.agreement.is_first_offerer.get_or_insert(false);
        self.pending_remote = Some(Description { kind: DescriptionKind::Offer, sdp: Some(sdp.clone()) });
        self.remote_offer = Some(offer);
        self.created_answer = None;
        self.state = SignalingState::HaveRemoteOffer;
        Ok(())
    }

    fn read_context<'a>(&'a self, places: &'a [Section]) -> ReadContext<'a> {
        ReadContext {
            max_sections: self.config.max_sections,
            max_candidates: self.config.max_remote_candidates,
            places,
            media: &self.config.media,
            transceivers: &self.transceivers,
        }
    }

    /// RFC 8829 §5.8: sections keep their places and are not taken away.
    fn check_remote_offer(&self, before: &Agreement, offer: &RemoteDescription) -> Result<(), SessionError> {
        if offer.sections.len() < before.sections.len() {
            return Err(SessionError::Description(
                "the offer has fewer media sections than were agreed on; a section that has ended keeps its \
                 place with port 0",
            ));
        }
        for (index, (section, known)) in offer.sections.iter().zip(&before.sections).enumerate() {
            let is_reused = matches!(known.content, SectionContent::Rejected { .. });
            if section.mid != known.mid && !is_reused {
                let found = section.mid.to_string();
                let reason = SectionError::Mismatch { expected: known.mid, found };
                return Err(SessionError::Section { index, reason });
            }
            let is_same_content = match &known.content {
                SectionContent::Media(id) => {
                    section.media_kind().is_some()
                        && section.media_kind() == self.transceiver(*id).map(|transceiver| transceiver.kind)
                }
                SectionContent::Data => section.content == RemoteContent::Data,
                SectionContent::Rejected { .. } => true,
            };
            if !is_same_content && !section.rejected {
                let reason = SectionError::Invalid(
                    "the kind of media differs from the one agreed on; only a section that has ended may change",
                );
                return Err(SessionError::Section { index, reason });
            }
        }
        // RFC 8842 §5.3: other roles would need a new DTLS association.
        let setup = offer.transport.as_ref().and_then(|transport| transport.setup);
        let turns = matches!(
            (before.dtls_role, setup),
            (Some(DtlsRole::Client), Some(Setup::Active)) | (Some(DtlsRole::Server), Some(Setup::Passive))
        );
        if turns {
            return Err(SessionError::Description(DTLS_ROLES_TURNED));
        }
        self.check_fingerprints(before.remote.as_ref(), offer.transport.as_ref())
    }

    /// A DTLS association lives as long as the session; RFC 8842 §5.1 would have a new one for a new
    /// fingerprint.
    fn check_fingerprints(
        &self,
        before: Option<&RemoteTransport>,
        now: Option<&RemoteTransport>,
    ) -> Result<(), SessionError> {
        match (before, now) {
            (Some(before), Some(now)) if !shares_fingerprint(before, now) => Err(SessionError::Description(
                "the fingerprint differs from the one agreed on; a new certificate needs a new connection",
            )),
            _ => Ok(()),
        }
    }

    /// What a section of a remote offer is for, RFC 8829 §5.10.
    fn take_section(&mut self, section: &RemoteSection) -> Section {
        for codec in &section.codecs {
            let ours = section.media_kind().map(|kind| self.config.media.codecs(kind)).unwrap_or_default();
            let known = codec.find(ours).cloned();
            self.agreement.registry.learn(codec.payload_type, known.as_ref());
        }
        // Retransmissions stand among the codecs themselves, as something unknown.
        for codec in &section.codecs {
            if let Some(rtx) = codec.repairs.rtx {
                self.agreement.registry.learn_retransmission(rtx, codec.payload_type);
            }
        }
        for RemoteExtension { id, uri, .. } in &section.extensions {
            self.agreement.registry.learn_extension(*id, uri);
        }
        let content = match section.content {
            RemoteContent::Media(_) if section.rejected => SectionContent::rejected(section),
            RemoteContent::Media(kind) => match self.transceiver_for(section, kind) {
                Some(id) => SectionContent::Media(id),
                None => SectionContent::rejected(section),
            },
            RemoteContent::Data if !section.rejected => SectionContent::Data,
            RemoteContent::Data | RemoteContent::Unknown => SectionContent::rejected(section),
        };
        Section { mid: section.mid, content }
    }

    fn transceiver_for(
        &mut self,
        section: &RemoteSection,
        kind: crate::layer::TrackKind,
    ) -> Option<TransceiverId> {
        let known = self.transceivers.iter().position(|transceiver| {
            transceiver.negotiated.mid == Some(section.mid) && transceiver.kind == kind
        });
        // RFC 8829 §5.10: only where the peer is ready to receive.
        let waiting = || {
            let index = self.transceivers.iter().position(|transceiver| {
                transceiver.by_track
                    && transceiver.negotiated.mid.is_none()
                    && !transceiver.is_ending()
                    && transceiver.kind == kind
            });
            index.filter(|_| section.direction.receives())
        };
        let index = match known.or_else(waiting) {
            Some(index) => index,
            None => {
                self.add_transceiver(kind, TransceiverInit::new(Direction::RecvOnly)).ok()?;
                let index = self.transceivers.len() - 1;
                self.transceivers[index].by_remote = true;
                index
            }
        };
        let transceiver = &mut self.transceivers[index];
        transceiver.negotiated.mid = Some(section.mid);
        transceiver.negotiated.remote = section.sources.clone();
        Some(transceiver.id)
    }

    fn set_local_answer(
        &mut self,
        kind: DescriptionKind,
        sdp: Option<&SessionDescription>,
    ) -> Result<(), SessionError> {
        if !matches!(self.state, SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPrAnswer) {
            return Err(self.invalid_state("a local answer"));
        }
        let is_last_created = |created: &mut CreatedAnswer| sdp.is_none_or(|sdp| *sdp == created.sdp);
        let Some(created) = self.created_answer.take_if(is_last_created) else {
            return Err(SessionError::ModifiedDescription(kind));
        };
        let Some(offer) = self.remote_offer.take() else {
            return Err(self.invalid_state("a local answer"));
        };
        let sections = self.offered.clone();
        let mut agreed = Vec::with_capacity(sections.len());
        let answers = created.sdp.media.iter().zip(&created.media);
        for ((section, ours), (answer, media)) in offer.sections.iter().zip(&sections).zip(answers) {
            let rejected = answer.is_rejected();
            if let SectionContent::Media(id) = ours.content
                && let Some(AnsweredMedia { direction, send_codecs, receive_codecs }) = media.clone()
            {
                self.agree_on(id, section, send_codecs, receive_codecs, direction, direction);
            }
            if ours.content == SectionContent::Data && !rejected {
                self.agreement.data = section.data;
            }
            agreed.push(self.settle(ours, section, rejected));
        }
        self.agreement.reduced_size = accepts_reduced_size(&offer);
        self.agreement.mixed_extensions = offer.mixed_extensions();
        self.agreement.local_credentials = created.credentials.clone();
        if offer.transport.is_some() {
            self.agreement.dtls_role = Some(created.role);
        }
        self.take_transport(offer.transport.clone());
        let description = Description { kind, sdp: Some(created.sdp.clone()) };
        if kind == DescriptionKind::PrAnswer {
            self.pending_local = Some(description);
            self.created_answer = Some(created);
            self.remote_offer = Some(offer);
            self.state = SignalingState::HaveLocalPrAnswer;
        } else {
            self.agreement.sections = agreed;
            self.current_remote = self.pending_remote.take();
            self.current_local = Some(description);
            self.end_exchange();
        }
        Ok(())
    }

    fn set_remote_answer(
        &mut self,
        kind: DescriptionKind,
        sdp: &SessionDescription,
    ) -> Result<(), SessionError> {
        if !matches!(self.state, SignalingState::HaveLocalOffer | SignalingState::HaveRemotePrAnswer) {
            return Err(self.invalid_state(REMOTE_ANSWER));
        }
        let answer = RemoteDescription::read(sdp, Proposal::Answer, &self.read_context(&self.offered))?;
        self.check_remote_answer(&answer)?;
        let sections = self.offered.clone();
        let mut agreed = Vec::with_capacity(sections.len());
        for (section, ours) in answer.sections.iter().zip(&sections) {
            let mut rejected = section.rejected;
            if let SectionContent::Media(id) = ours.content
                && !rejected
                && let Some(transceiver) = self.transceiver(id)
            {
                let codecs = self.codecs(transceiver);
                let offered = self.offered_direction(section).unwrap_or(transceiver.direction);
                let send = section.send_codecs(&codecs);
                let receive = self.received_codecs(&codecs, &send);
                let direction = answer_direction(offered, section.direction);
                rejected = send.is_empty();
                self.agree_on(id, section, send, receive, direction, offered);
            }
            if ours.content == SectionContent::Data && !rejected {
                self.agreement.data = section.data;
            }
            agreed.push(self.settle(ours, section, rejected));
        }
        self.agreement.reduced_size = accepts_reduced_size(&answer);
        self.agreement.mixed_extensions = answer.mixed_extensions();
        if let Some(transport) = &answer.transport {
            // The association lives as long as the session, and so do its roles, whatever a later answer says:
            // Firefox says "active" to every offer that restarts ICE.
            self.agreement.dtls_role.get_or_insert(match transport.setup {
                Some(Setup::Active) => DtlsRole::Server,
                // RFC 4145 §4.1: the default of an answer is passive.
                _ => DtlsRole::Client,
            });
        }
        self.take_transport(answer.transport);
        let description = Description { kind, sdp: Some(sdp.clone()) };
        if kind == DescriptionKind::PrAnswer {
            self.pending_remote = Some(description);
            self.state = SignalingState::HaveRemotePrAnswer;
        } else {
            self.agreement.sections = agreed;
            self.current_local = self.pending_local.take();
            self.current_remote = Some(description);
            self.end_exchange();
        }
        Ok(())
    }

    /// RFC 3264 §6: an answer has the sections of the offer.
    fn check_remote_answer(&self, answer: &RemoteDescription) -> Result<(), SessionError> {
        if answer.sections.len() != self.offered.len() {
            return Err(SessionError::Description(
                "the answer has another number of media sections than the offer",
            ));
        }
        for (index, (section, ours)) in answer.sections.iter().zip(&self.offered).enumerate() {
            let error = |reason| Err(SessionError::Section { index, reason });
            if section.mid != ours.mid {
                let found = section.mid.to_string();
                return error(SectionError::Mismatch { expected: ours.mid, found });
            }
            let fits = match &ours.content {
                SectionContent::Media(id) => {
                    section.media_kind().is_some()
                        && section.media_kind() == self.transceiver(*id).map(|t| t.kind)
                }
                SectionContent::Data => section.content == RemoteContent::Data,
                // RFC 3264 §6 has the answer reject it, too. libdatachannel does not; nothing comes of it.
                SectionContent::Rejected { .. } => true,
            };
            if !fits && !section.rejected {
                return error(SectionError::Invalid("the kind of media or the protocol is not the offer's"));
            }
        }
        self.check_fingerprints(self.agreement.remote.as_ref(), answer.transport.as_ref())
    }

    /// The direction that this side offered for a section.
    fn offered_direction(&self, section: &RemoteSection) -> Option<Direction> {
        let sdp = self.pending_local.as_ref()?.sdp.as_ref()?;
        sdp.media_by_mid(section.mid)?.direction()
    }

    /// What the peer may send, under the payload types that this side offered: first what it answered, then the
    /// rest of `ours`, which Chromium sends of all the same if it stood first in the offer.
    fn received_codecs(&mut self, ours: &[Codec], answered: &[NegotiatedCodec]) -> Vec<NegotiatedCodec> {
        let registry = &mut self.agreement.registry;
        let answer_to = |ours: &Codec| answered.iter().find(|answer| ours.is_compatible(&answer.codec));
        let mut codecs = Vec::with_capacity(ours.len());
        for codec in ours {
            let Some(mut negotiated) = registry.negotiate(codec) else { continue };
            if let Some(answer) = answer_to(codec) {
                negotiated.codec.feedback.clone_from(&answer.codec.feedback);
                negotiated.repairs = negotiated.repairs.shared_with(&answer.repairs);
            }
            codecs.push(negotiated);
        }
        let place = |codec: &NegotiatedCodec| {
            answered
                .iter()
                .position(|answer| codec.codec.is_compatible(&answer.codec))
                .unwrap_or(answered.len())
        };
        codecs.sort_by_key(place);
        // RFC 3264 §6.1: an answer may have numbers of its own for what it receives. Some send under them as well.
        for answer in answered {
            let has_number = |codec: &&NegotiatedCodec| codec.payload_type == answer.payload_type;
            let ours = codecs.iter().find(|ours| ours.codec.is_compatible(&answer.codec));
            if let Some(NegotiatedCodec { codec, .. }) =
                ours.filter(|_| !codecs.iter().any(|c| has_number(&c)))
            {
                codecs.extend(registry.adopt(NegotiatedCodec { codec: codec.clone(), ..answer.clone() }));
            }
        }
        codecs
    }

    fn agree_on(
        &mut self,
        id: TransceiverId,
        section: &RemoteSection,
        send_codecs: Vec<NegotiatedCodec>,
        receive_codecs: Vec<NegotiatedCodec>,
        direction: Direction,
        local_direction: Direction,
    ) {
        let Some(transceiver) = self.transceivers.iter_mut().find(|transceiver| transceiver.id == id) else {
            return;
        };
        let wanted = self.config.media.extensions(transceiver.kind);
        let wanted_uris = self.config.media.extension_uris(transceiver.kind);
        let negotiated = &mut transceiver.negotiated;
        negotiated.current_direction = Some(direction);
        negotiated.has_sent |= direction.sends();
        negotiated.local_direction = local_direction;
        negotiated.remote_direction = section.direction;
        negotiated.send_codecs = send_codecs;
        negotiated.receive_codecs = receive_codecs;
        negotiated.extensions = section.extension_map(wanted);
        (negotiated.send_uris, negotiated.receive_uris) = section.extension_uris(wanted_uris);
        negotiated.remote = section.sources.clone();
    }

    /// What becomes of a section when its answer is there.
    fn settle(&self, ours: &Section, theirs: &RemoteSection, rejected: bool) -> Section {
        let content = match &ours.content {
            SectionContent::Media(_) | SectionContent::Data if rejected => SectionContent::rejected(theirs),
            content => content.clone(),
        };
        Section { mid: ours.mid, content }
    }

    /// The peer's transport as the last description has it. Without an ICE restart, candidates add up.
    fn take_transport(&mut self, transport: Option<RemoteTransport>) {
        let Some(mut transport) = transport else { return };
        if let Some(before) = self.agreement.remote.take()
            && before.credentials == transport.credentials
        {
            let new = std::mem::replace(&mut transport.candidates, before.candidates);
            transport.candidates.extend(new.since(0), self.config.max_remote_candidates);
            transport.has_all_candidates |= before.has_all_candidates;
        }
        transport.local_ufrag = self.agreement.local_credentials.ufrag().to_owned();
        self.agreement.remote = Some(transport);
    }

    fn begin_exchange(&mut self) {
        if self.rollback.is_none() {
            self.rollback = Some(Box::new(RollbackPoint {
                agreement: self.agreement.clone(),
                transceivers: self
                    .transceivers
                    .iter()
                    .map(|transceiver| (transceiver.id, transceiver.negotiated.clone()))
                    .collect(),
            }));
        }
    }

    /// Goes back to what was agreed on before the exchange began, RFC 8829 §4.1.10.2.
    fn roll_back(&mut self) {
        let Some(point) = self.rollback.take() else { return };
        let remote = self.agreement.remote.take();
        self.agreement = point.agreement;
        if let (Some(before), Some(now)) = (&mut self.agreement.remote, remote)
            && before.credentials == now.credentials
        {
            // Candidates that came meanwhile are no part of what is taken back.
            before.candidates = now.candidates;
            before.has_all_candidates = now.has_all_candidates;
        }
        self.transceivers.retain_mut(|transceiver| {
            let before = point.transceivers.iter().find(|(id, _)| *id == transceiver.id);
            let announced = transceiver.negotiated.announced;
            match before {
                Some((_, negotiated)) => transceiver.negotiated = negotiated.clone(),
                // RFC 8829 §5.7: what a remote offer made goes with it, unless the application sends on it.
                None if transceiver.by_remote && !transceiver.by_track => return false,
                None => transceiver.negotiated = Negotiated::default(),
            }
            transceiver.negotiated.announced = announced;
            true
        });
        self.pending_local = None;
        self.pending_remote = None;
        self.remote_offer = None;
        self.created_answer = None;
        self.offered.clear();
        self.state = SignalingState::Stable;
        self.negotiation_needed = false;
    }

    /// Offer and answer are complete.
    fn end_exchange(&mut self) {
        self.pending_local = None;
        self.pending_remote = None;
        if !self.credentials_to_replace.contains(&self.agreement.local_credentials) {
            self.credentials_to_replace.clear();
        }
        let is_data = |section: &Section| section.content == SectionContent::Data;
        if self.offered.iter().any(is_data) && !self.agreement.sections.iter().any(is_data) {
            // To offer again what the peer has refused would never end.
            self.wants_data = false;
        }
        self.rollback = None;
        self.remote_offer = None;
        self.created_offer = None;
        self.created_answer = None;
        self.offered.clear();
        self.state = SignalingState::Stable;
        self.negotiation_needed = false;
        let sections = &self.agreement.sections;
        for transceiver in &mut self.transceivers {
            let has_section =
                sections.iter().any(|section| section.content == SectionContent::Media(transceiver.id));
            if (transceiver.negotiated.mid.is_some() || transceiver.stopping) && !has_section {
                transceiver.stopped = true;
                transceiver.direction = Direction::Inactive;
                transceiver.negotiated.current_direction = None;
                transceiver.negotiated.remote.sends = false;
            }
        }
    }

    /// Forgets transceivers that have ended and of which the application knows.
    pub(in crate::session) fn forget_stopped(&mut self) {
        self.transceivers.retain(|transceiver| !transceiver.stopped || transceiver.negotiated.announced);
    }
}

/// A certificate may have digests of several hash functions, of which not all are told each time (RFC 8122 §5).
fn shares_fingerprint(before: &RemoteTransport, now: &RemoteTransport) -> bool {
    now.fingerprints.iter().any(|fingerprint| before.fingerprints.contains(fingerprint))
}

pub(super) const DTLS_ROLES_TURNED: &str =
    "a=setup would turn the DTLS roles around; they stay for the life of the connection";

impl SectionContent {
    fn rejected(section: &RemoteSection) -> Self {
        SectionContent::Rejected {
            kind: section.kind.clone(),
            protocol: section.terms.protocol.clone(),
            formats: section.formats.clone(),
        }
    }
}

/// Whether every section for media takes RTCP of reduced size; all share one transport.
fn accepts_reduced_size(description: &RemoteDescription) -> bool {
    description
        .sections
        .iter()
        .filter(|section| !section.rejected && section.media_kind().is_some())
        .all(|section| section.reduced_size)
}
