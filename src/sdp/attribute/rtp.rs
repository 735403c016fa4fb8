//! What RTP packets hold: payload formats, feedback and header extensions.

use std::fmt;

use crate::layer::PayloadType;
use crate::sdp::fields::{Fields, number};
use crate::sdp::{FormatParameters, Reason};

/// Who sends, RFC 8866 §6.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// Only the side that describes.
    SendOnly,
    /// Only the other side.
    RecvOnly,
    /// None.
    Inactive,
}

impl Direction {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "sendrecv" => Direction::SendRecv,
            "sendonly" => Direction::SendOnly,
            "recvonly" => Direction::RecvOnly,
            "inactive" => Direction::Inactive,
            _ => return None,
        })
    }

    /// The direction as the other side sees it.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Direction::SendOnly => Direction::RecvOnly,
            Direction::RecvOnly => Direction::SendOnly,
            both => both,
        }
    }

    /// Whether the side that describes sends.
    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether the side that describes receives.
    pub const fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        })
    }
}

/// What a payload type stands for, RFC 8866 §6.6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpMap {
    /// The payload type.
    pub payload_type: PayloadType,
    /// The codec's name; its case has no meaning.
    pub encoding: String,
    /// Ticks of the RTP timestamp per second.
    pub clock_rate: u32,
    /// Audio channels, where they are told.
    pub channels: Option<u16>,
}

impl RtpMap {
    pub(super) fn parse(value: &str) -> Result<Self, Reason> {
        let mut fields = Fields::new("a=rtpmap", value);
        let payload_type = payload_type(&mut fields)?;
        let encoding = fields.text("encoding")?;
        fields.clone().end()?;
        let mut parts = encoding.splitn(3, '/');
        let name = parts.next().unwrap_or("");
        let Some(clock_rate) = parts.next().filter(|_| !name.is_empty()) else {
            return Err(fields.invalid("encoding", encoding, "name/clock rate"));
        };
        let clock_rate = number("a=rtpmap", "clock rate", clock_rate, u64::from(u32::MAX))?;
        // Some end in a slash.
        let channels = parts.next().filter(|text| !text.is_empty());
        let channels = channels.map(|text| number("a=rtpmap", "channels", text, 65535)).transpose()?;
        Ok(RtpMap { payload_type, encoding: name.to_owned(), clock_rate, channels })
    }
}

impl fmt::Display for RtpMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.payload_type, self.encoding, self.clock_rate)?;
        self.channels.map_or(Ok(()), |channels| write!(f, "/{channels}"))
    }
}

/// Parameters of a payload type, RFC 8866 §6.15, in the words of the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fmtp {
    /// The payload type.
    pub payload_type: PayloadType,
    /// Its parameters.
    pub parameters: FormatParameters,
}

impl Fmtp {
    /// `None` when the format is not a payload type: outside of RTP it is any token, RFC 8866 §6.15.
    pub(super) fn parse(value: &str) -> Result<Option<Self>, Reason> {
        let mut fields = Fields::new("a=fmtp", value);
        fields.clone().text("format")?;
        let Ok(payload_type) = payload_type(&mut fields) else { return Ok(None) };
        Ok(Some(Fmtp { payload_type, parameters: FormatParameters::new(fields.rest()) }))
    }
}

impl fmt::Display for Fmtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.payload_type)?;
        if self.parameters.as_str().is_empty() { Ok(()) } else { write!(f, " {}", self.parameters) }
    }
}

/// Feedback that a payload type supports, RFC 4585 §4.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtcpFeedback {
    /// The payload type; `None` for all (`*`).
    pub payload_type: Option<PayloadType>,
    /// Which feedback.
    pub kind: FeedbackKind,
}

/// A kind of feedback.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FeedbackKind {
    /// `nack`
    Nack,
    /// `nack pli`
    NackPli,
    /// `ccm fir`
    CcmFir,
    /// `goog-remb`
    GoogRemb,
    /// `transport-cc`
    TransportCc,
    /// Any other, in the words of the peer.
    Other(String),
}

impl RtcpFeedback {
    pub(super) fn parse(value: &str) -> Result<Self, Reason> {
        let mut fields = Fields::new("a=rtcp-fb", value);
        let payload_type = match fields.clone().text("payload type")? {
            "*" => {
                fields.optional();
                None
            }
            _ => Some(payload_type(&mut fields)?),
        };
        let words = fields.rest().split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let kind = match words.as_str() {
            "" => return Err(Reason::Missing { line: "a=rtcp-fb", field: "kind" }),
            "nack" => FeedbackKind::Nack,
            "nack pli" => FeedbackKind::NackPli,
            "ccm fir" => FeedbackKind::CcmFir,
            "goog-remb" => FeedbackKind::GoogRemb,
            "transport-cc" => FeedbackKind::TransportCc,
            other => FeedbackKind::Other(other.to_owned()),
        };
        Ok(RtcpFeedback { payload_type, kind })
    }
}

impl fmt::Display for RtcpFeedback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.payload_type {
            Some(payload_type) => write!(f, "{payload_type} ")?,
            None => f.write_str("* ")?,
        }
        f.write_str(match &self.kind {
            FeedbackKind::Nack => "nack",
            FeedbackKind::NackPli => "nack pli",
            FeedbackKind::CcmFir => "ccm fir",
            FeedbackKind::GoogRemb => "goog-remb",
            FeedbackKind::TransportCc => "transport-cc",
            FeedbackKind::Other(other) => other,
        })
    }
}

/// What a header extension's id stands for, RFC 8285 §5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtMap {
    /// The id: 1 to 255, 256 for the "appbits" of the two-byte form (RFC 8285 §4.3), or 4096 to 4351 for one
    /// that is yet to be chosen.
    pub id: u16,
    /// Who sends the extension, where it is told.
    pub direction: Option<Direction>,
    /// What the extension is.
    pub uri: String,
    /// Its attributes; empty for none.
    pub attributes: String,
}

impl ExtMap {
    pub(super) fn parse(value: &str) -> Result<Self, Reason> {
        let mut fields = Fields::new("a=extmap", value);
        let first = fields.text("id")?;
        let (id, direction) = match first.split_once('/') {
            Some((id, name)) => {
                let direction = Direction::from_name(name).ok_or_else(|| {
                    fields.invalid("direction", name, "sendrecv, sendonly, recvonly or inactive")
                })?;
                (id, Some(direction))
            }
            None => (first, None),
        };
        let id = number("a=extmap", "id", id, 65535)?;
        if !matches!(id, 1..=256 | 4096..=4351) {
            return Err(fields.invalid("id", first, "1 to 256, or 4096 to 4351"));
        }
        let uri = fields.text("URI")?.to_owned();
        Ok(ExtMap { id, direction, uri, attributes: fields.rest().to_owned() })
    }
}

impl fmt::Display for ExtMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if let Some(direction) = self.direction {
            write!(f, "/{direction}")?;
        }
        write!(f, " {}", self.uri)?;
        if !self.attributes.is_empty() {
            write!(f, " {}", self.attributes)?;
        }
        Ok(())
    }
}

fn payload_type(fields: &mut Fields<'_>) -> Result<PayloadType, Reason> {
    Ok(PayloadType::from_low_bits(fields.number("payload type", 127)?))
}
