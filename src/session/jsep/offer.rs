//! Making offers, RFC 8829 §5.2.

use super::place::{Section, SectionContent, unused_mid};
use super::registry::Registry;
use super::section::{LocalExtension, LocalTransport, MediaSection, data_section, rejected_section};
use super::terms::{DATA_FORMAT, DATA_PROFILE, MEDIA_PROFILE, SectionTerms, SessionTerms};
use super::{CreatedOffer, Jsep};
use crate::ice::random_credentials;
use crate::layer::{Mid, TrackKind};
use crate::sdp::{MediaDescription, MediaKind, SessionDescription, Setup};
use crate::session::codec::NegotiatedCodec;
use crate::session::error::SessionError;
use crate::session::state::SignalingState;
use crate::session::transceiver::TransceiverId;

impl Jsep {
    /// An offer of all that this side wants now.
    pub(in crate::session) fn create_offer(&mut self) -> Result<SessionDescription, SessionError> {
        if !matches!(self.state, SignalingState::Stable | SignalingState::HaveLocalOffer) {
            return Err(self.invalid_state("creating an offer"));
        }
        let credentials = if self.credentials_to_replace.contains(&self.agreement.local_credentials) {
            random_credentials(&*self.random)
        } else {
            self.agreement.local_credentials.clone()
        };
        let sections = self.plan_offer()?;
        let mut registry = self.agreement.registry.clone();
        let mut media = Vec::with_capacity(sections.len());
        for section in &sections {
            let description = match &section.content {
                SectionContent::Media(id) => self.offer_media(section.mid, *id, &credentials, &mut registry),
                SectionContent::Data => Some(data_section(
                    section.mid,
                    self.config.sctp_port,
                    self.config.max_message_size,
                    &SectionTerms::offer(DATA_PROFILE),
                    &self.offer_transport(&credentials),
                )),
                SectionContent::Rejected { .. } => None,
            };
            media.push(description.unwrap_or_else(|| rejected(section)));
        }
        let bundle = sections
            .iter()
            .filter(|section| !matches!(section.content, SectionContent::Rejected { .. }))
            .map(|section| section.mid)
            .collect();
        let sdp = self.describe(media, bundle, SessionTerms::OFFER);
        self.created_offer = Some(CreatedOffer { sdp: sdp.clone(), sections, credentials, registry });
        Ok(sdp)
    }

    /// Which section holds what: those of before in their places, then what is new in places that were given
    /// up, then at the end (RFC 8829 §5.2.2).
    fn plan_offer(&self) -> Result<Vec<Section>, SessionError> {
        let mut sections = self.agreement.sections.clone();
        for section in &mut sections {
            if let SectionContent::Media(id) = section.content
                && let Some(transceiver) = self.transceiver(id).filter(|transceiver| transceiver.is_ending())
            {
                section.content = SectionContent::ended(transceiver.kind);
            }
        }
        let was_given_up = |section: &Section| {
            self.agreement.sections.iter().any(|before| {
                before.mid == section.mid && matches!(before.content, SectionContent::Rejected { .. })
            })
        };
        let mut mids: Vec<Mid> = sections.iter().map(|section| section.mid).collect();
        let is_new = |id: TransceiverId| {
            !self.agreement.sections.iter().any(|section| section.content == SectionContent::Media(id))
        };
        let media = self
            .transceivers
            .iter()
            .filter(|transceiver| !transceiver.is_ending() && is_new(transceiver.id))
            .map(|transceiver| SectionContent::Media(transceiver.id));
        let has_data = sections.iter().any(|section| section.content == SectionContent::Data);
        let data = (self.wants_data && !has_data).then_some(SectionContent::Data);
        for content in media.chain(data) {
            let mid = unused_mid(&mut mids.len(), |mid| mids.contains(mid));
            mids.push(mid);
            let section = Section { mid, content };
            match sections.iter().position(was_given_up) {
                Some(free) => sections[free] = section,
                None if sections.len() < self.config.max_sections => sections.push(section),
                None => {
                    let limit = self.config.max_sections;
                    return Err(SessionError::Limit { what: "media sections", limit });
                }
            }
        }
        Ok(sections)
    }

    fn offer_media(
        &self,
        mid: Mid,
        id: TransceiverId,
        credentials: &crate::layer::IceCredentials,
        registry: &mut Registry,
    ) -> Option<MediaDescription> {
        let transceiver = self.transceiver(id)?;
        let ours = self.codecs(transceiver);
        let kind = transceiver.kind;
        let codecs: Vec<NegotiatedCodec> =
            ours.iter().filter_map(|codec| registry.negotiate(codec)).collect();
        let extensions = self.offer_extensions(kind, registry);
        let section = MediaSection {
            mid,
            kind,
            direction: transceiver.direction,
            codecs: &codecs,
            extensions: &extensions,
            sender: &transceiver.sender,
            has_sent: transceiver.negotiated.has_sent,
            receive_rids: &transceiver.negotiated.remote.rids,
            terms: &SectionTerms::offer(MEDIA_PROFILE),
        };
        Some(section.describe(&self.offer_transport(credentials)))
    }

    fn offer_extensions(&self, kind: TrackKind, registry: &mut Registry) -> Vec<LocalExtension> {
        let mut extensions: Vec<LocalExtension> = Vec::new();
        for uri in self.config.media.all_extension_uris(kind) {
            if extensions.iter().all(|other| other.uri != uri)
                && let Some(id) = registry.extension_id(uri)
            {
                extensions.push(LocalExtension { id, uri: uri.to_owned(), direction: None });
            }
        }
        extensions
    }

    fn offer_transport<'a>(&'a self, credentials: &'a crate::layer::IceCredentials) -> LocalTransport<'a> {
        LocalTransport {
            credentials,
            fingerprints: &self.config.fingerprints,
            // RFC 8842 §5.5: in every offer. The answer goes on with the roles that there are.
            setup: Setup::ActPass,
            cname: &self.cname,
            renomination: self.config.ice_options.renomination,
        }
    }
}

impl SectionContent {
    /// What stands in the place of a transceiver that has ended.
    pub(super) fn ended(kind: TrackKind) -> Self {
        let kind = match kind {
            TrackKind::Audio => MediaKind::Audio,
            TrackKind::Video => MediaKind::Video,
        };
        SectionContent::Rejected { kind, protocol: MEDIA_PROFILE.to_owned(), formats: vec!["0".to_owned()] }
    }
}

pub(super) fn rejected(section: &Section) -> MediaDescription {
    match &section.content {
        SectionContent::Rejected { kind, protocol, formats } => {
            rejected_section(kind.clone(), protocol, formats.clone(), Some(section.mid))
        }
        SectionContent::Media(_) | SectionContent::Data => rejected_section(
            MediaKind::Application,
            DATA_PROFILE,
            vec![DATA_FORMAT.to_owned()],
            Some(section.mid),
        ),
    }
}
