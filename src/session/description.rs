//! Descriptions as they are exchanged.

use std::fmt;
use std::str::FromStr;

use crate::sdp::{ParseError, SessionDescription};

/// What a description is in the exchange of offer and answer (W3C `RTCSdpType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum DescriptionKind {
    /// Proposes a session.
    Offer,
    /// Accepts an offer provisionally.
    PrAnswer,
    /// Accepts an offer.
    Answer,
    /// Takes the last offer back.
    Rollback,
}

impl DescriptionKind {
    /// The name that the W3C gives it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::PrAnswer => "pranswer",
            Self::Answer => "answer",
            Self::Rollback => "rollback",
        }
    }
}

impl fmt::Display for DescriptionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DescriptionKind {
    type Err = UnknownDescriptionKind;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Offer, Self::PrAnswer, Self::Answer, Self::Rollback]
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownDescriptionKind(name.chars().take(32).collect()))
    }
}

/// A text is not the name of a [`DescriptionKind`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("description type \"{0}\" is not known; expected offer, pranswer, answer or rollback")]
pub struct UnknownDescriptionKind(pub String);

/// A description and what it is (W3C `RTCSessionDescription`).
///
/// ```
/// use kaon_rtc::session::{Description, DescriptionKind};
///
/// let text = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
/// let offer = Description::offer(text)?;
/// assert_eq!((offer.kind, offer.text().as_str()), (DescriptionKind::Offer, text));
/// assert_eq!(Description::offer("v=1").unwrap_err().line, 1);
/// # Ok::<(), kaon_rtc::sdp::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// What it is.
    pub kind: DescriptionKind,
    /// Its content; `None` for a rollback.
    pub sdp: Option<SessionDescription>,
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// When the text is malformed; the error names the line.
    pub fn parse(kind: DescriptionKind, text: &str) -> Result<Self, ParseError> {
        let sdp = match kind {
            DescriptionKind::Rollback => None,
            _ => Some(SessionDescription::parse(text)?),
        };
        Ok(Self { kind, sdp })
    }

    /// Reads an offer.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn offer(text: &str) -> Result<Self, ParseError> {
        Self::parse(DescriptionKind::Offer, text)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn answer(text: &str) -> Result<Self, ParseError> {
        Self::parse(DescriptionKind::Answer, text)
    }

    /// Takes the last offer back.
    pub fn rollback() -> Self {
        Self { kind: DescriptionKind::Rollback, sdp: None }
    }

    /// The text to signal; empty for a rollback.
    pub fn text(&self) -> String {
        self.sdp.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

/// A candidate to signal, or one that was (W3C `RTCIceCandidateInit`). One that is not empty says of which media section
/// it is, by its tag or by its place; where they contradict each other, the tag counts.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct IceCandidateInit {
    /// `candidate:…`, or empty when there will be no further one.
    pub candidate: String,
    /// The media section, by its tag.
    pub sdp_mid: Option<String>,
    /// The media section, by its place.
    pub sdp_m_line_index: Option<u16>,
    /// The ICE generation that it belongs to.
    pub username_fragment: Option<String>,
}

impl IceCandidateInit {
    /// A candidate; [`sdp_mid`](Self::sdp_mid) or [`sdp_m_line_index`](Self::sdp_m_line_index) is to be set, unless it is
    /// the empty one.
    pub fn new(candidate: impl Into<String>) -> Self {
        Self { candidate: candidate.into(), ..Self::default() }
    }
}
