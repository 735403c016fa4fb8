//! Sources and the tracks that they belong to, RFC 5576 and RFC 8830.

use std::fmt;

use super::separated::separated;
use crate::layer::Ssrc;
use crate::sdp::Reason;
use crate::sdp::fields::Fields;

/// The media stream and the track that a media section belongs to, RFC 8830 §2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Msid {
    /// The stream; `-` for none.
    pub stream: String,
    /// The track, where it is told.
    pub track: Option<String>,
}

impl Msid {
    pub(super) fn parse(value: &str) -> Result<Self, Reason> {
        let mut fields = Fields::new("a=msid", value);
        let stream = fields.text("stream")?.to_owned();
        let track = fields.optional().map(str::to_owned);
        fields.end()?;
        Ok(Msid { stream, track })
    }
}

impl fmt::Display for Msid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stream)?;
        self.track.as_ref().map_or(Ok(()), |track| write!(f, " {track}"))
    }
}

/// An attribute of one source, RFC 5576 §4.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrcAttribute {
    /// The source.
    pub ssrc: Ssrc,
    /// The attribute's name; empty when there is none.
    pub name: String,
    /// Its value, where it has one.
    pub value: Option<String>,
}

impl SsrcAttribute {
    pub(super) fn parse(value: &str) -> Result<Self, Reason> {
        let mut fields = Fields::new("a=ssrc", value);
        let ssrc = Ssrc(fields.number("SSRC", u64::from(u32::MAX))?);
        let attribute = fields.rest();
        let (name, value) = match attribute.split_once(':') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (attribute, None),
        };
        Ok(SsrcAttribute { ssrc, name: name.to_owned(), value })
    }
}

impl fmt::Display for SsrcAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ssrc)?;
        if !self.name.is_empty() || self.value.is_some() {
            write!(f, " {}", self.name)?;
        }
        self.value.as_ref().map_or(Ok(()), |value| write!(f, ":{value}"))
    }
}

/// Sources that belong together, RFC 5576 §4.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrcGroup {
    /// How: `FID` (a source and its retransmissions), `SIM`, `FEC-FR`, or another.
    pub semantics: String,
    /// The sources.
    pub sources: Vec<Ssrc>,
}

impl SsrcGroup {
    pub(super) fn parse(value: &str) -> Result<Self, Reason> {
        let mut fields = Fields::new("a=ssrc-group", value);
        let semantics = fields.text("semantics")?.to_owned();
        let mut sources = Vec::new();
        while let Some(text) = fields.optional() {
            let mut field = Fields::new("a=ssrc-group", text);
            sources.push(Ssrc(field.number("SSRC", u64::from(u32::MAX))?));
        }
        Ok(SsrcGroup { semantics, sources })
    }
}

impl fmt::Display for SsrcGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.semantics)?;
        if !self.sources.is_empty() {
            f.write_str(" ")?;
        }
        separated(f, &self.sources, " ")
    }
}
