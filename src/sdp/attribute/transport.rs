//! How a media section is transported.

use std::fmt;

use super::separated::separated;
use crate::layer::{Candidate, Mid, ParseCandidateError};
use crate::sdp::fields::Fields;
use crate::sdp::{Connection, Reason};

/// Media sections that belong together, RFC 5888 §5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// How: `BUNDLE`, `LS`, or another.
    pub semantics: String,
    /// The media sections.
    pub mids: Vec<Mid>,
}

impl Group {
    /// The semantics of media sections that share a transport, RFC 9143.
    pub const BUNDLE: &'static str = "BUNDLE";

    pub(super) fn parse(value: &str) -> Result<Self, Reason> {
        let mut fields = Fields::new("a=group", value);
        let semantics = fields.text("semantics")?.to_owned();
        let mut mids = Vec::new();
        while let Some(text) = fields.optional() {
            let mid = text
                .parse()
                .map_err(|_| fields.invalid("identifier", text, "a token of 1 to 39 characters"))?;
            mids.push(mid);
        }
        Ok(Group { semantics, mids })
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.semantics)?;
        if !self.mids.is_empty() {
            f.write_str(" ")?;
        }
        separated(f, &self.mids, " ")
    }
}

/// Who opens the DTLS connection, RFC 4145 §4 and RFC 5763 §5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setup {
    /// The side that describes.
    Active,
    /// The other side.
    Passive,
    /// Either; the answer says which.
    ActPass,
    /// None for now.
    HoldConn,
}

impl Setup {
    pub(super) fn parse(value: &str) -> Result<Self, Reason> {
        Ok(match value.trim_matches(' ') {
            "active" => Setup::Active,
            "passive" => Setup::Passive,
            "actpass" => Setup::ActPass,
            "holdconn" => Setup::HoldConn,
            other => {
                let expected = "active, passive, actpass or holdconn";
                return Err(Fields::new("a=setup", "").invalid("role", other, expected));
            }
        })
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::ActPass => "actpass",
            Setup::HoldConn => "holdconn",
        })
    }
}

/// Where RTCP goes when it is not multiplexed, RFC 3605.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rtcp {
    /// The port.
    pub port: u16,
    /// The address, where it differs from that of the media.
    pub connection: Option<Connection>,
}

impl Rtcp {
    pub(super) fn parse(value: &str) -> Result<Self, Reason> {
        let mut fields = Fields::new("a=rtcp", value);
        let port = fields.number("port", 65535)?;
        let connection = match fields.clone().optional() {
            Some(_) => Some(Connection::read(&mut fields)?),
            None => None,
        };
        fields.end()?;
        Ok(Rtcp { port, connection })
    }
}

impl fmt::Display for Rtcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.port)?;
        self.connection.as_ref().map_or(Ok(()), |connection| write!(f, " {connection}"))
    }
}

/// A candidate in a description, RFC 8839 §5.1.
///
/// Implementations differ in how they write one (`UDP` or `udp`), so the text of a parsed one is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateAttribute {
    candidate: Candidate,
    // Behind `a=`, when it is not what the candidate itself would write.
    text: Option<String>,
}

impl CandidateAttribute {
    pub(super) fn parse(value: &str) -> Result<Self, ParseCandidateError> {
        let candidate: Candidate = value.parse()?;
        let text = format!("candidate:{value}");
        let text = (text != candidate.to_string()).then_some(text);
        Ok(CandidateAttribute { candidate, text })
    }

    /// The candidate.
    pub fn candidate(&self) -> &Candidate {
        &self.candidate
    }
}

impl From<Candidate> for CandidateAttribute {
    fn from(candidate: Candidate) -> Self {
        CandidateAttribute { candidate, text: None }
    }
}

impl From<CandidateAttribute> for Candidate {
    fn from(attribute: CandidateAttribute) -> Self {
        attribute.candidate
    }
}

impl fmt::Display for CandidateAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => f.write_str(text),
            None => write!(f, "{}", self.candidate),
        }
    }
}
