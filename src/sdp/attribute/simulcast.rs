//! Restriction identifiers and simulcast, RFC 8851 and RFC 8853.

use std::fmt;

use super::separated::separated;
use crate::layer::{PayloadType, Rid};
use crate::sdp::Reason;
use crate::sdp::fields::Fields;

/// A stream of a media section and what it is restricted to, RFC 8851 §4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RidAttribute {
    /// Its identifier.
    pub id: Rid,
    /// Whether the side that describes sends or receives it.
    pub direction: RidDirection,
    /// Names and values of its restrictions, `pt` among them, in order.
    pub restrictions: Vec<(String, Option<String>)>,
}

/// The direction of a restricted stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RidDirection {
    /// The side that describes sends.
    Send,
    /// The side that describes receives.
    Recv,
}

impl RidDirection {
    /// The direction as the other side sees it.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            RidDirection::Send => RidDirection::Recv,
            RidDirection::Recv => RidDirection::Send,
        }
    }

    fn read(fields: &Fields<'_>, text: &str) -> Result<Self, Reason> {
        match text {
            "send" => Ok(RidDirection::Send),
            "recv" => Ok(RidDirection::Recv),
            _ => Err(fields.invalid("direction", text, "send or recv")),
        }
    }
}

impl fmt::Display for RidDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RidDirection::Send => "send",
            RidDirection::Recv => "recv",
        })
    }
}

impl RidAttribute {
    pub(super) fn parse(value: &str) -> Result<Self, Reason> {
        let mut fields = Fields::new("a=rid", value);
        let id = fields.typed("identifier", "1 to 39 letters, digits, - and _")?;
        let direction = fields.text("direction")?;
        let direction = RidDirection::read(&fields, direction)?;
        let restrictions = fields
            .rest()
            .split(';')
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(|text| match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (text.to_owned(), None),
            })
            .collect();
        Ok(RidAttribute { id, direction, restrictions })
    }

    /// The payload types that the stream is restricted to; none for any.
    pub fn payload_types(&self) -> impl Iterator<Item = PayloadType> + '_ {
        self.restrictions
            .iter()
            .filter(|(name, _)| name == "pt")
            .flat_map(|(_, value)| value.as_deref().unwrap_or("").split(','))
            .filter_map(|text| PayloadType::new(text.trim().parse().ok()?))
    }
}

impl fmt::Display for RidAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.direction)?;
        for (index, (name, value)) in self.restrictions.iter().enumerate() {
            f.write_str(if index == 0 { " " } else { ";" })?;
            f.write_str(name)?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

/// Streams that carry the same source in several versions, RFC 8853 §5.1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulcast {
    /// One list per direction, at most two, in the order of the text.
    pub lists: Vec<SimulcastStreams>,
}

/// The simulcast streams of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulcastStreams {
    /// The direction.
    pub direction: RidDirection,
    /// The streams; of each, the alternatives in order of preference.
    pub streams: Vec<Vec<SimulcastRid>>,
}

/// A version of a simulcast stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimulcastRid {
    /// Its identifier.
    pub rid: Rid,
    /// It begins paused (`~`).
    pub paused: bool,
}

impl Simulcast {
    pub(super) fn parse(value: &str) -> Result<Self, Reason> {
        let mut fields = Fields::new("a=simulcast", value);
        let mut lists: Vec<SimulcastStreams> = Vec::new();
        while let Some(name) = fields.optional() {
            let direction = RidDirection::read(&fields, name)?;
            if lists.iter().any(|list| list.direction == direction) {
                return Err(fields.invalid("direction", name, "each direction once"));
            }
            let text = fields.text("list of streams")?;
            let streams =
                text.split(';').map(|text| alternatives(&fields, text)).collect::<Result<_, _>>()?;
            lists.push(SimulcastStreams { direction, streams });
        }
        if lists.is_empty() {
            return Err(Reason::Missing { line: "a=simulcast", field: "direction" });
        }
        Ok(Simulcast { lists })
    }

    /// The streams that the side that describes sends.
    pub fn send(&self) -> &[Vec<SimulcastRid>] {
        self.streams(RidDirection::Send)
    }

    /// The streams that the side that describes receives.
    pub fn recv(&self) -> &[Vec<SimulcastRid>] {
        self.streams(RidDirection::Recv)
    }

    fn streams(&self, direction: RidDirection) -> &[Vec<SimulcastRid>] {
        self.lists.iter().find(|list| list.direction == direction).map_or(&[], |list| &list.streams)
    }
}

// Most often it is one: a list with room for four would make the most of a hostile text.
fn alternatives(fields: &Fields<'_>, text: &str) -> Result<Vec<SimulcastRid>, Reason> {
    let mut alternatives = Vec::with_capacity(text.split(',').count());
    for text in text.split(',') {
        alternatives.push(SimulcastRid::read(fields, text)?);
    }
    Ok(alternatives)
}

impl SimulcastRid {
    fn read(fields: &Fields<'_>, text: &str) -> Result<Self, Reason> {
        let (paused, id) = match text.strip_prefix('~') {
            Some(id) => (true, id),
            None => (false, text),
        };
        let rid =
            id.parse().map_err(|_| fields.invalid("stream", text, "1 to 39 letters, digits, - and _"))?;
        Ok(SimulcastRid { rid, paused })
    }
}

impl fmt::Display for Simulcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, list) in self.lists.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{} ", list.direction)?;
            for (index, alternatives) in list.streams.iter().enumerate() {
                if index > 0 {
                    f.write_str(";")?;
                }
                separated(f, alternatives, ",")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for SimulcastRid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.paused { "~" } else { "" }, self.rid)
    }
}
