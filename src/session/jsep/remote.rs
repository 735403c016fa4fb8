//! What a remote description says, checked before anything of it is applied.

use std::collections::BTreeSet;

use crate::layer::{Candidate, Fingerprint, IceCredentials, Mid, PayloadType, Rid};
use crate::rtp::{ExtensionId, ExtensionKind, ExtensionMap};
use crate::sdp::{
    Attribute, Direction, FeedbackKind, MediaDescription, MediaKind, RidDirection, SessionDescription, Setup,
};
use crate::session::codec::{Codec, NegotiatedCodec, TrackKind};
use crate::session::error::{SectionError, SessionError};
use crate::session::transceiver::RemoteSources;

/// A remote description.
#[derive(Debug)]
pub(in crate::session) struct RemoteDescription {
    pub(super) sections: Vec<RemoteSection>,
    /// `None` when all sections are rejected.
    pub(super) transport: Option<RemoteTransport>,
}

/// How to reach the peer: from the section that stands for the BUNDLE group.
#[derive(Clone, Debug)]
pub(in crate::session) struct RemoteTransport {
    pub(in crate::session) credentials: IceCredentials,
    /// The fragment of this side that the description was made for: after a restart of ICE on this side, what the
    /// peer said before is of no use.
    pub(in crate::session) local_ufrag: String,
    pub(in crate::session) ice_lite: bool,
    pub(in crate::session) fingerprints: Vec<Fingerprint>,
    pub(in crate::session) setup: Setup,
    pub(in crate::session) candidates: Vec<Candidate>,
    pub(in crate::session) has_all_candidates: bool,
}

/// A media section.
#[derive(Debug)]
pub(super) struct RemoteSection {
    pub(super) mid: Mid,
    pub(super) content: RemoteContent,
    pub(super) kind: MediaKind,
    pub(super) protocol: String,
    pub(super) formats: Vec<String>,
    /// It has port 0, or cannot share the one transport.
    pub(super) rejected: bool,
    pub(super) direction: Direction,
    pub(super) codecs: Vec<RemoteCodec>,
    pub(super) extensions: Vec<(u8, String)>,
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

/// A codec of the peer.
#[derive(Debug)]
pub(super) struct RemoteCodec {
    pub(super) payload_type: PayloadType,
    pub(super) rtx_payload_type: Option<PayloadType>,
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
    pub(in crate::session) fn read(
        sdp: &SessionDescription,
        proposal: Proposal,
        limit: usize,
    ) -> Result<Self, SessionError> {
        if sdp.media.len() > limit {
            return Err(SessionError::Limit { what: "media sections", limit });
        }
        let bundle = sdp.bundle().map(|group| group.mids.as_slice());
        let mut sections: Vec<RemoteSection> = Vec::with_capacity(sdp.media.len());
        for (index, media) in sdp.media.iter().enumerate() {
            let error = |reason| SessionError::Section { index, reason };
            let mut section = RemoteSection::read(sdp, media).map_err(error)?;
            if sections.iter().any(|other| other.mid == section.mid) {
                return Err(error(SectionError::Invalid("a=mid has the value of an earlier section")));
            }
            // Without BUNDLE every section would have a transport of its own; there is one, for the first.
            let is_first = sections.iter().all(|other| other.rejected);
            section.rejected |= match bundle {
                Some(mids) => !mids.contains(&section.mid),
                None => !is_first,
            };
            sections.push(section);
        }
        // RFC 9143 §7.2: the first of the group that is not rejected carries the attributes for all.
        let tagged = match bundle {
            Some(mids) => {
                mids.iter().find_map(|mid| sections.iter().position(|s| s.mid == *mid && !s.rejected))
            }
            None => sections.iter().position(|section| !section.rejected),
        };
        let transport = tagged
            .map(|index| {
                RemoteTransport::read(sdp, &sdp.media[index], proposal)
                    .map_err(|reason| SessionError::Section { index, reason })
            })
            .transpose()?;
        Ok(Self { sections, transport })
    }
}

impl RemoteTransport {
    fn read(
        sdp: &SessionDescription,
        media: &MediaDescription,
        proposal: Proposal,
    ) -> Result<Self, SectionError> {
        let ice = sdp.ice_parameters(media).ok_or(SectionError::Missing("a=ice-ufrag or a=ice-pwd"))?;
        let credentials = IceCredentials::new(ice.ufrag, ice.pwd)
            .map_err(|_| SectionError::Invalid("a=ice-ufrag or a=ice-pwd is malformed"))?;
        let fingerprints: Vec<_> = sdp.fingerprints(media).cloned().collect();
        if fingerprints.is_empty() {
            return Err(SectionError::Missing("a=fingerprint with sha-256, sha-384 or sha-512"));
        }
        let setup = sdp.setup(media).ok_or(SectionError::Missing("a=setup"))?;
        match (setup, proposal) {
            (Setup::HoldConn, _) => return Err(SectionError::Invalid("a=setup:holdconn is not supported")),
            (Setup::ActPass, Proposal::Answer) => {
                return Err(SectionError::Invalid("an answer has a=setup:active or a=setup:passive"));
            }
            _ => {}
        }
        Ok(Self {
            credentials,
            local_ufrag: String::new(),
            ice_lite: sdp.is_ice_lite(),
            fingerprints,
            setup,
            // Component 2 is RTCP, which has no transport of its own here.
            candidates: media.candidates().filter(|candidate| candidate.component == 1).cloned().collect(),
            has_all_candidates: sdp.has_all_candidates(media),
        })
    }
}

impl RemoteSection {
    fn read(sdp: &SessionDescription, media: &MediaDescription) -> Result<Self, SectionError> {
        let mid = media.mid().ok_or(SectionError::Missing("a=mid"))?;
        let is_rtp = media.protocol.ends_with("/TLS/RTP/SAVPF") || media.protocol.ends_with("/TLS/RTP/SAVP");
        let is_data = matches!(media.protocol.as_str(), "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP")
            && media.formats.iter().any(|format| format == "webrtc-datachannel");
        let content = match &media.kind {
            MediaKind::Audio if is_rtp => RemoteContent::Media(TrackKind::Audio),
            MediaKind::Video if is_rtp => RemoteContent::Media(TrackKind::Video),
            MediaKind::Application if is_data => RemoteContent::Data,
            _ => RemoteContent::Unknown,
        };
        let rejected = media.is_rejected();
        if !rejected && matches!(content, RemoteContent::Media(_)) && !media.rtcp_mux() {
            return Err(SectionError::Missing("a=rtcp-mux, which this side requires,"));
        }
        let data = (content == RemoteContent::Data && !rejected)
            .then(|| {
                let port = media.sctp_port().ok_or(SectionError::Missing("a=sctp-port"))?;
                Ok(RemoteData { port, max_message_size: media.max_message_size().unwrap_or(0) })
            })
            .transpose()?;
        let direction = sdp.direction(media);
        Ok(Self {
            mid,
            content,
            kind: media.kind.clone(),
            protocol: media.protocol.clone(),
            formats: media.formats.clone(),
            rejected,
            direction,
            codecs: RemoteCodec::read_all(media),
            extensions: media
                .ext_maps()
                .filter_map(|map| Some((ExtensionId::new(u8::try_from(map.id).ok()?)?, &map.uri)))
                .map(|(id, uri)| (id.value(), uri.clone()))
                .collect(),
            sources: remote_sources(media, direction),
            reduced_size: media.attributes().any(|attribute| *attribute == Attribute::RtcpReducedSize),
            data,
        })
    }

    /// The extensions of `wanted` that the peer has, too, under the ids of the description.
    pub(super) fn extension_map(&self, wanted: &[ExtensionKind]) -> ExtensionMap {
        let mut map = ExtensionMap::new();
        for (id, uri) in &self.extensions {
            if let (Some(id), Some(kind)) = (ExtensionId::new(*id), ExtensionKind::from_uri(uri))
                && wanted.contains(&kind)
            {
                map.insert(id, kind);
            }
        }
        map
    }

    /// The codecs of `ours` that the peer has, too, in the peer's order and under its payload types, as this
    /// side receives them.
    pub(super) fn receive_codecs(&self, ours: &[Codec]) -> Vec<NegotiatedCodec> {
        self.codecs.iter().filter_map(|theirs| theirs.negotiate(ours)).collect()
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

impl RemoteCodec {
    fn read_all(media: &MediaDescription) -> Vec<Self> {
        media
            .codecs()
            .filter_map(|described| {
                let map = described.rtp_map()?;
                let codec = Codec {
                    name: map.encoding.clone(),
                    clock_rate: map.clock_rate,
                    channels: map.channels,
                    parameters: described.parameters().clone(),
                    feedback: described.feedback().take(MAX_FEEDBACK).cloned().collect(),
                    retransmission: false,
                    preferred_payload_type: described.payload_type(),
                };
                Some(Self {
                    payload_type: described.payload_type(),
                    rtx_payload_type: described.retransmission(),
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
            rtx_payload_type: self.rtx_payload_type.filter(|_| codec.retransmission),
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
    RemoteSources {
        sends: direction.sends() && !media.is_rejected(),
        msids: media.msids().cloned().collect(),
        ssrcs,
        groups: media.ssrc_groups().take(MAX_SSRCS).cloned().collect(),
        rids: rids.into_iter().filter(|rid| declared.contains(rid)).take(MAX_RIDS).collect(),
    }
}

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
        RemoteSection::read(&sdp, &sdp.media[0]).unwrap()
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
        let remote = RemoteDescription::read(&sdp, Proposal::Offer, 1).unwrap();
        assert!(remote.transport.unwrap().has_all_candidates);
    }

    #[test]
    fn a_stream_among_many_is_found_by_its_rid() {
        let streams = "x;".repeat(100_000);
        let lines = format!("a=simulcast:send {streams}y\n{}", "a=rid:y send\n".repeat(10_000));
        assert_eq!(section("96", &lines).sources.rids.len(), 1);
    }
}
