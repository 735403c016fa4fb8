//! Media sections, RFC 8866 §5.14.

use std::fmt;

use super::attribute::{
    Attribute, Direction, ExtMap, Fmtp, Msid, RidAttribute, RtcpFeedback, RtpMap, Setup, Simulcast,
    SsrcAttribute, SsrcGroup,
};
use super::fields::{Fields, number};
use super::{Line, Reason};
use crate::layer::{Candidate, Fingerprint, Mid};

/// A media section: its `m=` line and the lines behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaDescription {
    /// What is sent.
    pub kind: MediaKind,
    /// The port: 9 where WebRTC has none yet, 0 for a section that is rejected or bundled-only.
    pub port: u16,
    /// How many ports, where it is told.
    pub port_count: Option<u16>,
    /// The transport, such as `UDP/TLS/RTP/SAVPF` or `UDP/DTLS/SCTP`.
    pub protocol: String,
    /// The formats in order of preference: payload types, or `webrtc-datachannel`. Only a section with port 0 has none.
    pub formats: Vec<String>,
    /// The lines behind `m=`, in order.
    pub lines: Vec<Line>,
}

/// What a media section sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Data channels, among others.
    Application,
    /// Anything else, by name.
    Other(String),
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
            MediaKind::Application => "application",
            MediaKind::Other(name) => name,
        })
    }
}

macro_rules! accessors {
    ($($(#[$doc:meta])* $name:ident: $variant:ident($type:ty);)*) => {
        $(
            $(#[$doc])*
            pub fn $name(&self) -> impl Iterator<Item = &$type> {
                self.attributes().filter_map(|attribute| -> Option<&$type> {
                    match attribute {
                        Attribute::$variant(value) => Some(value),
                        _ => None,
                    }
                })
            }
        )*
    };
}

impl MediaDescription {
    pub(super) fn parse(value: &str, max_formats: usize) -> Result<Self, Reason> {
        let mut fields = Fields::new("m=", value);
        let kind = match fields.text("media")? {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            "application" => MediaKind::Application,
            other => MediaKind::Other(other.to_owned()),
        };
        let port = fields.text("port")?;
        let (port, port_count) = match port.split_once('/') {
            Some((port, count)) => (port, Some(number("m=", "number of ports", count, 65535)?)),
            None => (port, None),
        };
        let port = number("m=", "port", port, 65535)?;
        let protocol = fields.text("protocol")?.to_owned();
        let mut formats = Vec::new();
        // Some reject a section without naming any: it says as much as one that is looked at by nobody.
        if port != 0 {
            formats.push(fields.text("format")?.to_owned());
        }
        while let Some(format) = fields.optional() {
            formats.push(format.to_owned());
            if formats.len() > max_formats {
                let have = formats.len();
                return Err(Reason::Limit { what: "formats", limit: "max_formats", max: max_formats, have });
            }
        }
        Ok(MediaDescription { kind, port, port_count, protocol, formats, lines: Vec::new() })
    }

    /// Whether the section is rejected: port 0, and not only because it is bundled, RFC 9143 §6.
    pub fn is_rejected(&self) -> bool {
        self.port == 0 && !self.attributes().any(|attribute| *attribute == Attribute::BundleOnly)
    }

    /// The attributes, in order.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.lines.iter().filter_map(Line::as_attribute)
    }

    /// Adds an attribute at the end.
    pub fn push(&mut self, attribute: Attribute) {
        self.lines.push(Line::Attribute(attribute));
    }

    accessors! {
        /// What payload types stand for.
        rtp_maps: RtpMap(RtpMap);
        /// Parameters of payload types.
        fmtps: Fmtp(Fmtp);
        /// Feedback that payload types support.
        rtcp_feedback: RtcpFeedback(RtcpFeedback);
        /// What header extension ids stand for.
        ext_maps: ExtMap(ExtMap);
        /// The streams and tracks that the section belongs to.
        msids: Msid(Msid);
        /// Attributes of sources.
        ssrcs: Ssrc(SsrcAttribute);
        /// Groups of sources.
        ssrc_groups: SsrcGroup(SsrcGroup);
        /// Restricted streams.
        rids: Rid(RidAttribute);
        /// Fingerprints of the certificate, of this section alone.
        fingerprints: Fingerprint(Fingerprint);
    }

    /// The identification tag.
    pub fn mid(&self) -> Option<Mid> {
        self.attributes().find_map(|attribute| match attribute {
            Attribute::Mid(mid) => Some(*mid),
            _ => None,
        })
    }

    /// The direction of this section alone; see
    /// [`SessionDescription::direction`](super::SessionDescription::direction).
    pub fn direction(&self) -> Option<Direction> {
        self.attributes().find_map(|attribute| match attribute {
            Attribute::Direction(direction) => Some(*direction),
            _ => None,
        })
    }

    /// Replaces the direction in its place, or adds it.
    pub fn set_direction(&mut self, direction: Direction) {
        let new = Attribute::Direction(direction);
        for line in &mut self.lines {
            if let Line::Attribute(Attribute::Direction(old)) = line {
                *old = direction;
                return;
            }
        }
        self.push(new);
    }

    /// The DTLS role of this section alone.
    pub fn setup(&self) -> Option<Setup> {
        self.attributes().find_map(|attribute| match attribute {
            Attribute::Setup(setup) => Some(*setup),
            _ => None,
        })
    }

    /// The user-name fragment of this section alone.
    pub fn ice_ufrag(&self) -> Option<&str> {
        self.attributes().find_map(|attribute| match attribute {
            Attribute::IceUfrag(ufrag) => Some(ufrag.as_str()),
            _ => None,
        })
    }

    /// The ICE password of this section alone.
    pub fn ice_pwd(&self) -> Option<&str> {
        self.attributes().find_map(|attribute| match attribute {
            Attribute::IcePwd(pwd) => Some(pwd.as_str()),
            _ => None,
        })
    }

    /// The ICE candidates.
    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.attributes().filter_map(|attribute| match attribute {
            Attribute::Candidate(candidate) => Some(candidate.candidate()),
            _ => None,
        })
    }

    /// Whether this section itself says that there will be no further candidates; see
    /// [`SessionDescription::has_all_candidates`](super::SessionDescription::has_all_candidates).
    pub fn has_all_candidates(&self) -> bool {
        self.attributes().any(|attribute| *attribute == Attribute::EndOfCandidates)
    }

    /// The simulcast streams.
    pub fn simulcast(&self) -> Option<&Simulcast> {
        self.attributes().find_map(|attribute| match attribute {
            Attribute::Simulcast(simulcast) => Some(&**simulcast),
            _ => None,
        })
    }

    /// The SCTP port, of a data channel section.
    pub fn sctp_port(&self) -> Option<u16> {
        self.attributes().find_map(|attribute| match attribute {
            Attribute::SctpPort(port) => Some(*port),
            _ => None,
        })
    }

    /// The largest SCTP message that the side that describes accepts, in bytes; 65536 when it is not told
    /// (RFC 8841 §6.1), `None` when there is no limit.
    pub fn max_message_size(&self) -> Option<u64> {
        let told = self.attributes().find_map(|attribute| match attribute {
            Attribute::MaxMessageSize(size) => Some(*size),
            _ => None,
        });
        Some(told.unwrap_or(65_536)).filter(|&size| size != 0)
    }

    /// Whether RTP and RTCP share a port.
    pub fn rtcp_mux(&self) -> bool {
        self.attributes().any(|attribute| *attribute == Attribute::RtcpMux)
    }
}

impl fmt::Display for MediaDescription {
    /// The `m=` line alone, without `m=`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.port)?;
        if let Some(count) = self.port_count {
            write!(f, "/{count}")?;
        }
        write!(f, " {}", self.protocol)?;
        self.formats.iter().try_for_each(|format| write!(f, " {format}"))
    }
}
