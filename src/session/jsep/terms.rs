//! What a description may say: in an offer everything, in an answer what the offer said (RFC 3264 §6).

use crate::sdp::{Attribute, MediaDescription, SessionDescription};

/// The profile of media sections that this side offers, RFC 8829 §5.1.2.
pub(super) const MEDIA_PROFILE: &str = "UDP/TLS/RTP/SAVPF";

/// The profile of data sections that this side offers.
pub(super) const DATA_PROFILE: &str = "UDP/DTLS/SCTP";

/// The format of data sections that this side offers, RFC 8841 §4.3.
pub(super) const DATA_FORMAT: &str = "webrtc-datachannel";

/// What the session part may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionTerms {
    /// `a=group:BUNDLE`
    pub(super) bundle: bool,
    /// `a=extmap-allow-mixed`, for all sections
    pub(super) mixed_extensions: bool,
    /// `a=msid-semantic`
    pub(super) msid_semantic: bool,
}

impl SessionTerms {
    /// Those of an offer of this side.
    pub(super) const OFFER: Self = Self { bundle: true, mixed_extensions: true, msid_semantic: true };

    /// Those of the answer to an offer. `bundle`: it has a group that counts.
    pub(super) fn read(sdp: &SessionDescription, bundle: bool) -> Self {
        let has = |wanted: &str| sdp.attributes().any(|attribute| is_other(attribute, wanted));
        Self {
            bundle,
            mixed_extensions: sdp.attributes().any(|attribute| *attribute == Attribute::ExtMapAllowMixed),
            msid_semantic: has("msid-semantic"),
        }
    }
}

/// What a media section may say, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SectionTerms {
    /// The profile, which an answer has exactly as the offer.
    pub(super) protocol: String,
    /// `a=mid`
    pub(super) mid: bool,
    /// `a=rtcp`
    pub(super) rtcp: bool,
    /// `a=rtcp-mux`
    pub(super) rtcp_mux: bool,
    /// `a=rtcp-rsize`
    pub(super) reduced_size: bool,
    /// `a=extmap-allow-mixed`, for this section
    pub(super) mixed_extensions: bool,
    /// `a=sctpmap` in place of `a=sctp-port`: the form before RFC 8841.
    pub(super) sctp_map: bool,
}

impl SectionTerms {
    /// Those of an offer of this side.
    pub(super) fn offer(protocol: &str) -> Self {
        Self {
            protocol: protocol.to_owned(),
            mid: true,
            rtcp: true,
            rtcp_mux: true,
            reduced_size: true,
            // The session says it for all.
            mixed_extensions: false,
            sctp_map: false,
        }
    }

    /// Those of the answer to a section of an offer.
    pub(super) fn read(media: &MediaDescription) -> Self {
        let mut terms = Self {
            protocol: media.protocol.clone(),
            mid: media.mid().is_some(),
            rtcp: false,
            rtcp_mux: false,
            reduced_size: false,
            mixed_extensions: false,
            sctp_map: false,
        };
        for attribute in media.attributes() {
            match attribute {
                Attribute::Rtcp(_) => terms.rtcp = true,
                Attribute::RtcpMux => terms.rtcp_mux = true,
                Attribute::RtcpReducedSize => terms.reduced_size = true,
                Attribute::ExtMapAllowMixed => terms.mixed_extensions = true,
                other => terms.sctp_map |= is_other(other, "sctpmap"),
            }
        }
        terms.sctp_map &= !media.formats.iter().any(|format| format == DATA_FORMAT);
        terms
    }
}

fn is_other(attribute: &Attribute, wanted: &str) -> bool {
    matches!(attribute, Attribute::Other { name, .. } if &**name == wanted)
}
