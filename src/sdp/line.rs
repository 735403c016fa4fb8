//! Lines, RFC 8866 §5.

use std::fmt;

use super::{Attribute, Bandwidth, Connection, Reason, Timing};

/// A line of the session part, behind `s=`, or of a media section, behind `m=`.
///
/// Its `Debug` is its text, without what is secret: see [`Attribute`].
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Line {
    /// `c=`
    Connection(Box<Connection>),
    /// `b=`
    Bandwidth(Bandwidth),
    /// `t=`
    Timing(Timing),
    /// `a=`
    Attribute(Attribute),
    /// Any other line: its letter and its value.
    Other(char, String),
}

impl Line {
    pub(super) fn parse(letter: char, value: &str) -> Result<Self, Reason> {
        Ok(match letter {
            'c' => Line::Connection(Box::new(Connection::parse(value)?)),
            'b' => match Bandwidth::parse(value) {
                Ok(bandwidth) => Line::Bandwidth(bandwidth),
                // Some write -1 for no limit, and some fractions: RFC 8866 §5.8 has what is not understood ignored.
                Err(Reason::Number { .. }) => Line::Other(letter, value.to_owned()),
                Err(error) => return Err(error),
            },
            't' => Line::Timing(Timing::parse(value)?),
            'a' => Line::Attribute(Attribute::parse(value)?),
            _ => Line::Other(letter, value.to_owned()),
        })
    }

    /// The attribute, if the line is one.
    pub fn as_attribute(&self) -> Option<&Attribute> {
        match self {
            Line::Attribute(attribute) => Some(attribute),
            _ => None,
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Attribute(attribute) => fmt::Debug::fmt(attribute, f),
            // RFC 4566 §5.12: a key.
            Line::Other('k', _) => f.write_str("k=(secret)"),
            line => write!(f, "{line}"),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Connection(connection) => write!(f, "c={connection}"),
            Line::Bandwidth(bandwidth) => write!(f, "b={bandwidth}"),
            Line::Timing(timing) => write!(f, "t={timing}"),
            Line::Attribute(attribute) => write!(f, "a={attribute}"),
            Line::Other(letter, value) => write!(f, "{letter}={value}"),
        }
    }
}
