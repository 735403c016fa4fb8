//! What a remote description says, checked before anything of it is applied.

use std::collections::{BTreeMap, BTreeSet};

use super::candidates::SignalledCandidates;
use super::place::{Section, SectionContent, unused_mid};
use super::terms::{DATA_FORMAT, SectionTerms, SessionTerms};

use crate::layer::{Fingerprint, IceCredentials, Mid, PayloadType, Rid, TrackKind};
use crate::rtp::{ExtensionId, ExtensionKind, ExtensionMap, ExtensionUri, ExtensionUris};
use crate::sdp::{
    Attribute, Direction, FeedbackKind, MediaDescription, MediaKind, Msid, RidDirection, SessionDescription,
    Setup,
};
use crate::session::codec::{Codec, MediaConfig, NegotiatedCodec, Repairs};
use crate::session::error::{SectionError, SessionError};
use crate::session::transceiver::{RemoteSources, Transceiver};

/// A remote description.
#[derive(Debug)]
pub(in crate::session) struct RemoteDescription {
    pub(super) sections: Vec<RemoteSection>,
    /// `None` when all sections are rejected.
    pub(super) transport: Option<RemoteTransport>,
    /// What the answer to it may say.
    pub(super) terms: SessionTerms,
}

/// How to reach the peer: from the section that stands for the BUNDLE group.
#[derive(Clone, Debug)]
pub(in crate::session) struct RemoteTransport {
    pub(in crate::session) credentials: IceCredentials,
    /// The fragment of this side that the description was made for: after a restart of ICE on this side, what the
    /// peer said before is of no use.
    pub(in crate::session) local_ufrag: String,
    pub(in crate::session) ice_lite: bool,
    /// It says that pairs may be nominated anew.
    pub(in crate::session) renomination: bool,
    pub(in crate::session) fingerprints: Vec<Fingerprint>,
    /// `None`: the peer left it to the default, which differs between offer and answer.
    pub(in crate::session) setup: Option<Setup>,
    pub(in crate::session) candidates: SignalledCandidates,
    pub(in crate::session) has_all_candidates: bool,
}

/// A media section.
#[derive(Debug)]
pub(super) struct RemoteSection {
    pub(super) mid: Mid,
    pub(super) content: RemoteContent,
    pub(super) kind: MediaKind,
    /// What the answer to it may say, and in which form.
    pub(super) terms: SectionTerms,
    pub(super) formats: Vec<String>,
    /// It has port 0, or cannot share the one transport.
    pub(super) rejected: bool,
    pub(super) direction: Direction,
    pub(super) codecs: Vec<RemoteCodec>,
    pub(super) extensions: Vec<RemoteExtension>,
    pub(super) sources: RemoteSources,
    pub(super) reduced_size: bool,
    pub(super) data: Option<RemoteData>,
}

/// What a media section carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RemoteContent {
    Media(TrackKind),
    Data,
    Unknown,
}

/// A header extension of the peer.
#[derive(Debug)]
pub(super) struct RemoteExtension {
    pub(super) id: u8,
    pub(super) uri: String,
    /// Who sends it, as the peer sees it; both if it does not say.
    pub(super) direction: Option<Direction>,
}

/// A codec of the peer.
#[derive(Debug)]
pub(super) struct RemoteCodec {
    pub(super) payload_type: PayloadType,
    pub(super) repairs: Repairs,
    codec: Codec,
}

/// What the peer says of its SCTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct RemoteData {
    pub(in crate::session) port: u16,
    /// 0 for no limit.
    pub(in crate::session) max_message_size: u64,
}

/// Whether a description proposes or accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Proposal {
    Offer,
    Answer,
}

impl RemoteDescription {
    /// Reads what a peer proposes or accepts.
    pub(super) fn read(
        sdp: &SessionDescription,
        proposal: Proposal,
        context: &ReadContext<'_>,
    ) -> Result<Self, SessionError> {
        let limit = context.max_sections;
        if sdp.media.len() > limit {
            return Err(SessionError::Limit { what: "media sections", limit });
        }
        let mids = context.mids(sdp)?;
        let mut sections = Vec::with_capacity(sdp.media.len());
        for (index, (media, mid)) in sdp.media.iter().zip(mids).enumerate() {
            let error = |reason| SessionError::Section { index, reason };
            sections.push(RemoteSection::read(sdp, media, mid).map_err(error)?);
        }
        let group = Group::find(sdp, &sections, proposal);
        let is_usable = |section: &RemoteSection| match section.content {
            RemoteContent::Unknown => false,
            RemoteContent::Media(kind) if proposal == Proposal::Offer => context.has_codec(section, kind),
            RemoteContent::Media(_) | RemoteContent::Data => true,
        };
        let tagged = group.tagged(sdp, &sections, is_usable);
        let shared = tagged.map(|index| (sections[index].terms.rtcp_mux, sections[index].reduced_size));
        for (index, section) in sections.iter_mut().enumerate() {
            // Without BUNDLE every section would have a transport of its own; there is one, for the first of use.
            section.rejected |= match &group {
                Group::Bundle(mids) => !mids.contains(&section.mid),
                Group::None => Some(index) != tagged,
            };
            if section.rejected || !matches!(section.content, RemoteContent::Media(_)) {
                continue;
            }
            // RFC 9143 §7.1.3: what is one for the group need not be repeated.
            let (rtcp_mux, reduced_size) = shared.unwrap_or_default();
            section.reduced_size |= reduced_size;
            if !section.terms.rtcp_mux && !rtcp_mux {
                let reason = SectionError::Missing("a=rtcp-mux, which this side requires,");
                return Err(SessionError::Section { index, reason });
            }
        }
        let transport = tagged
            .map(|index| {
                let sharing = sections.iter().zip(&sdp.media).filter(|(section, _)| !section.rejected);
                let sharing: Vec<_> = sharing.map(|(_, media)| media).collect();
                RemoteTransport::read(sdp, &sdp.media[index], &sharing, proposal, context.max_candidates)
                    .map_err(|reason| SessionError::Section { index, reason })
            })
            .transpose()?;
        let terms = SessionTerms::read(sdp, matches!(group, Group::Bundle(_)));
        Ok(Self { sections, transport, terms })
    }

    /// Whether the peer takes streams whose packets have header extensions of either form, in all of its sections
    /// for media.
    pub(super) fn mixed_extensions(&self) -> bool {
        let mut media =
            self.sections.iter().filter(|section| !section.rejected && section.media_kind().is_some());
        self.terms.mixed_extensions || media.all(|section| section.terms.mixed_extensions)
    }
}

/// What a description is read with.
#[derive(Debug)]
pub(super) struct ReadContext<'a> {
    pub(super) max_sections: usize,
    pub(super) max_candidates: usize,
    /// The sections of before, or of the offer that is answered.
    pub(super) places: &'a [Section],
    pub(super) media: &'a MediaConfig,
    /// Some have codecs of their own.
    pub(super) transceivers: &'a [Transceiver],
}

impl ReadContext<'_> {
    /// The tag of each section: its own, that of its place, or a new one (RFC 8829 §5.10).
    fn mids(&self, sdp: &SessionDescription) -> Result<Vec<Mid>, SessionError> {
        let mut used: BTreeSet<Mid> = self.places.iter().map(|section| section.mid).collect();
        let mut told = BTreeSet::new();
        for (index, mid) in
            sdp.media.iter().enumerate().filter_map(|(index, media)| Some((index, media.mid()?)))
        {
            if !told.insert(mid) {
                let reason = SectionError::Invalid("a=mid has the value of an earlier section");
                return Err(SessionError::Section { index, reason });
            }
        }
        // Those that a group alone names are somebody's, too.
        used.extend(told.iter().chain(sdp.groups().flat_map(|group| &group.mids)));
        let mut next = 0;
        let tag = |(index, media): (usize, &MediaDescription)| {
            let of_place = || {
                let place = self.places.get(index)?;
                let is_over = matches!(place.content, SectionContent::Rejected { .. });
                let goes_on = !is_over || media.is_rejected();
                (goes_on && !told.contains(&place.mid)).then_some(place.mid)
            };
            media.mid().or_else(of_place).unwrap_or_else(|| {
                let mid = unused_mid(&mut next, |mid| used.contains(mid));
                used.insert(mid);
                mid
            })
        };
        Ok(sdp.media.iter().enumerate().map(tag).collect())
    }

    fn has_codec(&self, section: &RemoteSection, kind: TrackKind) -> bool {
        let own = self.transceivers.iter().map(|transceiver| transceiver.codecs.as_slice());
        let ours = || own.clone().chain([self.media.codecs(kind)]);
        section.codecs.iter().any(|codec| ours().any(|ours| codec.find(ours).is_some()))
    }
}

/// Which sections share a transport.
#[derive(Debug)]
enum Group {
    Bundle(BTreeSet<Mid>),
    /// There is no group, or one that names none of the sections.
    None,
}

impl Group {
    /// An answer may name the sections in the group alone, by the tags of the offer.
    fn find(sdp: &SessionDescription, sections: &[RemoteSection], proposal: Proposal) -> Self {
        let mids: BTreeSet<Mid> =
            sdp.bundle().map(|group| group.mids.iter().copied().collect()).unwrap_or_default();
        let is_named = |section: &RemoteSection| section.terms.mid || proposal == Proposal::Answer;
        if sections.iter().any(|section| is_named(section) && mids.contains(&section.mid)) {
            Self::Bundle(mids)
        } else {
            Self::None
        }
    }

    /// The section that carries the transport for all: the first in the order of the group (RFC 9143 §7.2) that is
    /// of use and tells one, else the first that tells one.
    fn tagged(
        &self,
        sdp: &SessionDescription,
        sections: &[RemoteSection],
        is_usable: impl Fn(&RemoteSection) -> bool,
    ) -> Option<usize> {
        let order: Vec<usize> = match self {
            Self::Bundle(_) => {
                let places: BTreeMap<Mid, usize> =
                    sections.iter().enumerate().map(|(index, section)| (section.mid, index)).collect();
                let mids = sdp.bundle().map(|group| group.mids.as_slice()).unwrap_or_default();
                mids.iter().filter_map(|mid| places.get(mid).copied()).collect()
            }
            Self::None => (0..sections.len()).collect(),
        };
        let open = || order.iter().copied().filter(|index| !sections[*index].rejected);
        let is_told = |index: &usize| sdp.ice_parameters(&sdp.media[*index]).is_some();
        let usable = || open().filter(|index| is_usable(&sections[*index]));
        match self {
            Self::Bundle(_) => usable().find(is_told).or_else(|| open().find(is_told)),
            Self::None => None,
        }
        .or_else(|| usable().next())
        .or_else(|| open().find(is_told))
    }
}

impl RemoteTransport {
    /// `sharing`: the sections that have the same transport.
    fn read(
        sdp: &SessionDescription,
        media: &MediaDescription,
        sharing: &[&MediaDescription],
        proposal: Proposal,
        max_candidates: usize,
    ) -> Result<Self, SectionError> {
        let ice = sdp.ice_parameters(media).ok_or(SectionError::Missing("a=ice-ufrag or a=ice-pwd"))?;
        let credentials = IceCredentials::new(ice.ufrag, ice.pwd)
            .map_err(|_| SectionError::Invalid("a=ice-ufrag or a=ice-pwd is malformed"))?;
        let fingerprints: Vec<_> = sdp.fingerprints(media).take(MAX_FINGERPRINTS).cloned().collect();
        if fingerprints.is_empty() {
            return Err(SectionError::Missing("a=fingerprint with sha-256, sha-384 or sha-512"));
        }
        let setup = sdp.setup(media);
        match (setup, proposal) {
            (Some(Setup::HoldConn), _) => {
                return Err(SectionError::Invalid("a=setup:holdconn is not supported"));
            }
            (Some(Setup::ActPass), Proposal::Answer) => {
                return Err(SectionError::Invalid("an answer has a=setup:active or a=setup:passive"));
            }
            _ => {}
        }
        // RFC 9143 §10 has the candidates in this section; some write them in another that shares the transport.
        let has_some = |media: &MediaDescription| media.attributes().any(is_candidate);
        let is_same =
            |other: &&&MediaDescription| sdp.ice_parameters(other).is_none_or(|parameters| parameters == ice);
        let mut others = sharing.iter().filter(|other| has_some(other)).filter(is_same);
        let media = if has_some(media) { media } else { others.next().copied().unwrap_or(media) };
        let mut candidates = SignalledCandidates::default();
        // Component 2 is RTCP, which has no transport of its own here.
        candidates.extend(media.candidates().filter(|candidate| candidate.component == 1), max_candidates);
        // RFC 8838 §5: who does not trickle has told all. Some trickle without a word, and may still do so.
        let has_told_all = !sdp.trickles(media) && has_some(media);
        Ok(Self {
            credentials,
            local_ufrag: String::new(),
            ice_lite: sdp.is_ice_lite(),
            renomination: sdp.has_ice_option(media, "renomination"),
            fingerprints,
            setup,
            candidates,
            has_all_candidates: sdp.has_all_candidates(media) || has_told_all,
        })
    }
}

/// Also one of a kind that is not known.
fn is_candidate(attribute: &Attribute) -> bool {
    match attribute {
        Attribute::Candidate(_) => true,
        Attribute::Other { name, .. } => &**name == "candidate",
        _ => false,
    }
}

impl RemoteSection {
    fn read(sdp: &SessionDescription, media: &MediaDescription, mid: Mid) -> Result<Self, SectionError> {
        let is_rtp = is_rtp_profile(&media.protocol);
        let data = RemoteData::read(media);
        let content = match &media.kind {
            MediaKind::Audio if is_rtp => RemoteContent::Media(TrackKind::Audio),
            MediaKind::Video if is_rtp => RemoteContent::Media(TrackKind::Video),
            MediaKind::Application if data.is_some() => RemoteContent::Data,
            _ => RemoteContent::Unknown,
        };
        let rejected = media.is_rejected();
        let direction = sdp.direction(media);
        let terms = SectionTerms::read(media);
        Ok(Self {
            mid,
            content,
            kind: media.kind.clone(),
            formats: media.formats.clone(),
            rejected,
            direction,
            codecs: RemoteCodec::read_all(media),
            extensions: RemoteExtension::read_all(media),
            sources: remote_sources(media, direction),
            reduced_size: terms.reduced_size,
            terms,
            data: data.filter(|_| !rejected),
        })
    }

    /// The extensions of `wanted` that the peer receives, under the ids of the description.
    pub(super) fn extension_map(&self, wanted: &[ExtensionKind]) -> ExtensionMap {
        let mut map = ExtensionMap::new();
        for RemoteExtension { id, uri, direction } in &self.extensions {
            if let (Some(id), Some(kind)) = (ExtensionId::new(*id), ExtensionKind::from_uri(uri))
                && wanted.contains(&kind)
                && direction.is_none_or(Direction::receives)
            {
                map.insert(id, kind);
            }
        }
        map
    }

    /// Of `wanted`, which this library does not know, the extensions that the peer receives, and those that it may send.
    pub(super) fn extension_uris(&self, wanted: &[ExtensionUri]) -> (ExtensionUris, ExtensionUris) {
        let (mut send, mut receive) = (ExtensionUris::default(), ExtensionUris::default());
        for RemoteExtension { id, uri, direction } in &self.extensions {
            let wanted = wanted.iter().find(|wanted| wanted.as_str() == uri);
            let (Some(id), Some(uri)) = (ExtensionId::new(*id), wanted) else { continue };
            if direction.is_none_or(Direction::receives) {
                send.insert(id, uri.clone());
            }
            if direction.is_none_or(Direction::sends) {
                receive.insert(id, uri.clone());
            }
        }
        (send, receive)
    }

    /// The codecs of `ours` that the peer has, too, in the peer's order and under its payload types, as this
    /// side receives them.
    pub(super) fn receive_codecs(&self, ours: &[Codec]) -> Vec<NegotiatedCodec> {
        let receive = |theirs: &RemoteCodec| {
            let mut negotiated = theirs.negotiate(ours)?;
            let Codec { name, parameters, .. } = &mut negotiated.codec;
            *parameters = parameters.answer_to(name, &theirs.codec.parameters);
            Some(negotiated)
        };
        self.codecs.iter().filter_map(receive).collect()
    }

    /// The same codecs as the peer receives them.
    pub(super) fn send_codecs(&self, ours: &[Codec]) -> Vec<NegotiatedCodec> {
        let send = |theirs: &RemoteCodec| {
            let mut negotiated = theirs.negotiate(ours)?;
            negotiated.codec.parameters = theirs.codec.parameters.clone();
            Some(negotiated)
        };
        self.codecs.iter().filter_map(send).collect()
    }
}

/// RFC 8829 §5.1.2: the eight that are accepted, and those over other transports that end alike. None says more than
/// the attributes do.
fn is_rtp_profile(protocol: &str) -> bool {
    const PROFILES: [&str; 4] = ["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF"];
    let over = ["UDP/TLS/", "TCP/DTLS/", "TCP/TLS/", "DCCP/TLS/"];
    match over.iter().find_map(|over| protocol.strip_prefix(over)) {
        Some(profile) => PROFILES[2..].contains(&profile),
        None => PROFILES.contains(&protocol),
    }
}

impl RemoteData {
    /// `None` if the section is not for data channels.
    fn read(media: &MediaDescription) -> Option<Self> {
        // RFC 8829 §5.1.2: the third is for peers of before RFC 8841.
        if !["UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP"].contains(&media.protocol.as_str()) {
            return None;
        }
        let max_message_size = media.max_message_size().unwrap_or(0);
        if media.formats.iter().any(|format| format == DATA_FORMAT) {
            return Some(Self { port: media.sctp_port().unwrap_or(DEFAULT_SCTP_PORT), max_message_size });
        }
        // Before, the port was the format, and `a=sctpmap` said what it carries; some name another port there.
        let format = media.formats.first()?;
        let is_mapped = media.attributes().any(|attribute| match attribute {
            Attribute::Other { name, value: Some(value) } if &**name == "sctpmap" => {
                value.split_ascii_whitespace().nth(1) == Some(DATA_FORMAT)
            }
            _ => false,
        });
        let port = format.parse().ok().filter(|_| is_mapped)?;
        Some(Self { port, max_message_size })
    }
}

impl RemoteExtension {
    /// Those with an id that packets can have. An id or an extension that comes again is left out.
    fn read_all(media: &MediaDescription) -> Vec<Self> {
        let mut extensions: Vec<Self> = Vec::new();
        for map in media.ext_maps() {
            let Some(id) = u8::try_from(map.id).ok().and_then(ExtensionId::new) else { continue };
            let id = id.value();
            if extensions.len() < MAX_EXTENSIONS
                && !extensions.iter().any(|other| other.id == id || other.uri == map.uri)
            {
                extensions.push(Self { id, uri: map.uri.clone(), direction: map.direction });
            }
        }
        extensions
    }
}

impl RemoteCodec {
    fn read_all(media: &MediaDescription) -> Vec<Self> {
        let mut seen = [false; 128];
        media
            .codecs()
            .filter(|described| !looks_like_rtcp(described.payload_type()))
            .filter(|described| {
                !std::mem::replace(&mut seen[usize::from(described.payload_type().value())], true)
            })
            .filter_map(|described| {
                let codec = Codec {
                    name: described.encoding()?.to_owned(),
                    clock_rate: described.clock_rate()?,
                    channels: described.channels(),
                    parameters: described.parameters().clone(),
                    feedback: described.feedback().take(MAX_FEEDBACK).cloned().collect(),
                    retransmission: false,
                    preferred_payload_type: described.payload_type(),
                };
                Some(Self {
                    payload_type: described.payload_type(),
                    repairs: Repairs { rtx: described.retransmission().filter(|rtx| !looks_like_rtcp(*rtx)) },
                    codec,
                })
            })
            .collect()
    }

    /// The codec of `ours` that this is, if any.
    pub(super) fn find<'a>(&self, ours: &'a [Codec]) -> Option<&'a Codec> {
        ours.iter().find(|codec| codec.is_compatible(&self.codec))
    }

    fn negotiate(&self, ours: &[Codec]) -> Option<NegotiatedCodec> {
        let codec = self.find(ours)?;
        let feedback: Vec<FeedbackKind> =
            codec.feedback.iter().filter(|kind| self.codec.feedback.contains(kind)).cloned().collect();
        Some(NegotiatedCodec {
            codec: Codec { feedback, ..codec.clone() },
            payload_type: self.payload_type,
            repairs: Repairs { rtx: self.repairs.rtx.filter(|_| codec.retransmission) },
        })
    }
}

fn remote_sources(media: &MediaDescription, direction: Direction) -> RemoteSources {
    let mut ssrcs = Vec::new();
    for attribute in media.ssrcs() {
        if !ssrcs.contains(&attribute.ssrc) && ssrcs.len() < MAX_SSRCS {
            ssrcs.push(attribute.ssrc);
        }
    }
    let rids: Vec<Rid> = match media.simulcast() {
        Some(simulcast) => {
            simulcast.send().iter().filter_map(|stream| stream.first()).map(|stream| stream.rid).collect()
        }
        None => Vec::new(),
    };
    let declared: BTreeSet<Rid> =
        media.rids().filter(|rid| rid.direction == RidDirection::Send).map(|rid| rid.id).collect();
    let mut msids: Vec<Msid> = media.msids().cloned().collect();
    if msids.is_empty() {
        msids = source_msids(media);
    }
    RemoteSources {
        sends: direction.sends() && !media.is_rejected(),
        msids,
        ssrcs,
        groups: media.ssrc_groups().take(MAX_SSRCS).cloned().collect(),
        rids: rids.into_iter().filter(|rid| declared.contains(rid)).take(MAX_RIDS).collect(),
    }
}

/// Streams and tracks that only the sources name: by `msid` (RFC 5576 form of the drafts before RFC 8830), or in two
/// lines, as before that.
fn source_msids(media: &MediaDescription) -> Vec<Msid> {
    let mut msids: Vec<Msid> = Vec::new();
    let mut add = |msid: Msid| {
        if !msids.contains(&msid) && msids.len() < MAX_SOURCE_MSIDS {
            msids.push(msid);
        }
    };
    let (mut stream, mut track) = (None, None);
    for attribute in media.ssrcs() {
        let Some(value) = attribute.value.as_deref().map(str::trim).filter(|value| !value.is_empty()) else {
            continue;
        };
        match attribute.name.as_str() {
            "msid" => {
                let mut names = value.split_ascii_whitespace().map(str::to_owned);
                if let Some(stream) = names.next() {
                    add(Msid { stream, track: names.next() });
                }
            }
            "mslabel" => stream = stream.or(Some(value)),
            "label" => track = track.or(Some(value)),
            _ => {}
        }
    }
    if msids.is_empty()
        && let Some(stream) = stream
    {
        msids.push(Msid { stream: stream.to_owned(), track: track.map(str::to_owned) });
    }
    msids
}

/// RFC 5761 §4: with the marker bit, packets of these types cannot be told from RTCP.
fn looks_like_rtcp(payload_type: PayloadType) -> bool {
    (64..=95).contains(&payload_type.value())
}

/// The port of a peer that does not say one.
const DEFAULT_SCTP_PORT: u16 = 5000;

/// The most fingerprints that are kept: one of each hash function for each certificate that the peer may have.
const MAX_FINGERPRINTS: usize = 32;

/// The most header extensions of one media section that are kept.
const MAX_EXTENSIONS: usize = 255;

/// The most tracks that the sources of one media section name.
const MAX_SOURCE_MSIDS: usize = 8;

/// The most sources of one media section that are remembered: a simulcast of several layers with its
/// retransmissions, or several tracks of a peer without MID.
const MAX_SSRCS: usize = 64;

/// The most simulcast streams of one media section that are taken.
const MAX_RIDS: usize = 8;

/// The most kinds of feedback of one codec that are kept.
const MAX_FEEDBACK: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn section(formats: &str, lines: &str) -> RemoteSection {
        let text = format!(
            "v=0\no=- 1 2 IN IP4 h\ns=-\nt=0 0\nm=video 9 UDP/TLS/RTP/SAVPF {formats}\na=mid:0\na=rtcp-mux\n{lines}"
        );
        let sdp: SessionDescription = text.parse().unwrap();
        RemoteSection::read(&sdp, &sdp.media[0], Mid::new(b"0").unwrap()).unwrap()
    }

    /// What each of many codecs has in common is not kept for each.
    #[test]
    fn feedback_of_a_codec_is_bounded() {
        let lines = format!("a=rtpmap:96 VP8/90000\n{}", "a=rtcp-fb:* x\n".repeat(10_000));
        let section = section(&"96 ".repeat(256), &lines);
        let kept: usize = section.codecs.iter().map(|codec| codec.codec.feedback.len()).sum();
        assert!(kept <= 256 * MAX_FEEDBACK, "{kept}");
    }

    #[test]
    fn the_end_of_candidates_of_the_session_is_that_of_its_transport() {
        let digest = ["00"; 32].join(":");
        let text = format!(
            "v=0\no=- 1 2 IN IP4 h\ns=-\nt=0 0\na=end-of-candidates\na=setup:actpass\na=fingerprint:sha-256 {digest}\n\
             a=ice-ufrag:abcd\na=ice-pwd:0123456789012345678901\nm=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:0\na=rtcp-mux\n"
        );
        let sdp: SessionDescription = text.parse().unwrap();
        let media = MediaConfig::default();
        let context =
            ReadContext { max_sections: 1, max_candidates: 1, places: &[], media: &media, transceivers: &[] };
        let remote = RemoteDescription::read(&sdp, Proposal::Offer, &context).unwrap();
        assert!(remote.transport.unwrap().has_all_candidates);
    }

    #[test]
    fn a_stream_among_many_is_found_by_its_rid() {
        let streams = "x;".repeat(100_000);
        let lines = format!("a=simulcast:send {streams}y\n{}", "a=rid:y send\n".repeat(10_000));
        assert_eq!(section("96", &lines).sources.rids.len(), 1);
    }
}
