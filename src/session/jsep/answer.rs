//! Making answers, RFC 8829 §5.3.

use super::place::SectionContent;
use super::remote::{RemoteContent, RemoteExtension, RemoteSection};
use super::section::{LocalExtension, LocalTransport, MediaSection, data_section, rejected_section};
use super::{AnsweredMedia, CreatedAnswer, Jsep};
use crate::ice::random_credentials;
use crate::layer::{DtlsRole, TrackKind};
use crate::rtp::ExtensionKind;
use crate::sdp::{Direction, MediaDescription, SessionDescription, Setup};
use crate::session::codec::NegotiatedCodec;
use crate::session::error::SessionError;
use crate::session::state::SignalingState;

impl Jsep {
    /// An answer that accepts of the offer what this side can and wants.
    pub(in crate::session) fn create_answer(&mut self) -> Result<SessionDescription, SessionError> {
        let state = self.state;
        let (SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPrAnswer, Some(offer)) =
            (state, self.remote_offer.take())
        else {
            return Err(self.invalid_state("creating an answer"));
        };
        // RFC 8839 §4.4.2.1: a restart is the offerer's to begin, and answered by one.
        let restarts = match (&self.agreement.remote, &offer.transport) {
            (Some(before), Some(now)) => before.credentials != now.credentials,
            _ => false,
        };
        let credentials = match &self.created_answer {
            Some(created) => created.credentials.clone(),
            None if restarts => random_credentials(&*self.random),
            None => self.agreement.local_credentials.clone(),
        };
        let role = self.answer_role(offer.transport.as_ref().and_then(|transport| transport.setup));
        let setup = match role {
            DtlsRole::Client => Setup::Active,
            DtlsRole::Server => Setup::Passive,
        };
        let offers_renomination = offer.transport.as_ref().is_some_and(|transport| transport.renomination);
        let mut media = Vec::with_capacity(offer.sections.len());
        let mut answered = Vec::with_capacity(offer.sections.len());
        let mut bundle = Vec::new();
        for (section, ours) in offer.sections.iter().zip(self.offered.clone()) {
            let transport = LocalTransport {
                credentials: &credentials,
                fingerprints: &self.config.fingerprints,
                setup,
                cname: &self.cname,
                renomination: self.config.ice_options.renomination && offers_renomination,
            };
            let of_media = match ours.content {
                SectionContent::Media(id) if !section.rejected => self.answer_media(section, id, &transport),
                _ => None,
            };
            let (agreed, described) = of_media.unzip();
            answered.push(agreed);
            let accepted = described.or_else(|| match ours.content {
                SectionContent::Data if !section.rejected => Some(data_section(
                    section.mid,
                    self.config.sctp_port,
                    self.config.max_message_size,
                    &section.terms,
                    &transport,
                )),
                _ => None,
            });
            match accepted {
                Some(accepted) => {
                    bundle.extend(accepted.mid());
                    media.push(accepted);
                }
                None => media.push(rejected_section(
                    section.kind.clone(),
                    &section.terms.protocol,
                    section.formats.clone(),
                    section.terms.mid.then_some(section.mid),
                )),
            }
        }
        let terms = offer.terms;
        self.remote_offer = Some(offer);
        let sdp = self.describe(media, bundle, terms);
        self.created_answer = Some(CreatedAnswer { sdp: sdp.clone(), media: answered, credentials, role });
        Ok(sdp)
    }

    /// RFC 8842 §5.3: the role of before, since the DTLS association goes on; else the client's if there is a
    /// choice, which saves a round trip.
    fn answer_role(&self, offered: Option<Setup>) -> DtlsRole {
        // RFC 4145 §4.1.
        const DEFAULT: Setup = Setup::Active;
        match (self.agreement.dtls_role, offered.unwrap_or(DEFAULT)) {
            (Some(role), _) => role,
            (None, Setup::Active) => DtlsRole::Server,
            (None, _) => DtlsRole::Client,
        }
    }

    fn answer_media(
        &self,
        section: &RemoteSection,
        id: crate::session::TransceiverId,
        transport: &LocalTransport<'_>,
    ) -> Option<(AnsweredMedia, MediaDescription)> {
        let transceiver = self.transceiver(id).filter(|transceiver| !transceiver.is_ending())?;
        let ours = self.codecs(transceiver);
        let mut agreed = AnsweredMedia {
            direction: answer_direction(transceiver.direction, section.direction),
            send_codecs: section.send_codecs(&ours),
            receive_codecs: section.receive_codecs(&ours),
        };
        if agreed.receive_codecs.is_empty() {
            return None;
        }
        if !transceiver.codecs.is_empty() {
            // RFC 8829 §5.3.1: preferences of this side outweigh the order of the offer.
            let rank = |codec: &NegotiatedCodec| ours.iter().position(|own| own.is_compatible(&codec.codec));
            agreed.send_codecs.sort_by_key(rank);
            agreed.receive_codecs.sort_by_key(rank);
        }
        let extensions = self.common_extensions(section, transceiver.kind);
        // RFC 8853 §5.5: without the extension nothing would tell the streams apart, and browsers refuse such an answer.
        let tells_streams_apart =
            extensions.iter().any(|extension| extension.uri == ExtensionKind::Rid.uri());
        let media = MediaSection {
            mid: section.mid,
            kind: transceiver.kind,
            direction: agreed.direction,
            codecs: &agreed.receive_codecs,
            extensions: &extensions,
            sender: &transceiver.sender,
            has_sent: transceiver.negotiated.has_sent,
            receive_rids: if tells_streams_apart { &section.sources.rids } else { &[] },
            terms: &section.terms,
        };
        let described = media.describe(transport);
        Some((agreed, described))
    }

    /// The extensions of the offer that this side knows, under the offer's ids and in the direction that is left
    /// (RFC 8285 §6).
    fn common_extensions(&self, section: &RemoteSection, kind: TrackKind) -> Vec<LocalExtension> {
        let common = |RemoteExtension { id, uri, direction }: &RemoteExtension| {
            let is_wanted = self.config.media.all_extension_uris(kind).any(|wanted| wanted == uri);
            // What would name the section by a tag that the peer does not know.
            let is_of_use = is_wanted && (uri != ExtensionKind::Mid.uri() || section.terms.mid);
            let direction = direction.map(Direction::reversed);
            is_of_use.then(|| LocalExtension { id: *id, uri: uri.clone(), direction })
        };
        section.extensions.iter().filter_map(common).collect()
    }
}

/// What is possible of what this side wants, RFC 8829 §5.3.1.
pub(super) fn answer_direction(wanted: Direction, offered: Direction) -> Direction {
    let offered = offered.reversed();
    match (wanted.sends() && offered.sends(), wanted.receives() && offered.receives()) {
        (true, true) => Direction::SendRecv,
        (true, false) => Direction::SendOnly,
        (false, true) => Direction::RecvOnly,
        (false, false) => Direction::Inactive,
    }
}

impl RemoteSection {
    /// What this side would make of the section.
    pub(super) fn media_kind(&self) -> Option<TrackKind> {
        match self.content {
            RemoteContent::Media(kind) => Some(kind),
            RemoteContent::Data | RemoteContent::Unknown => None,
        }
    }
}
