//! Lines, RFC 8866 §5.

use std::fmt;

use super::{Attribute, Bandwidth, Connection, Reason, Timing};

/// A line of the session part, behind `s=`, or of a media section, behind `m=`.
#[derive(Debug, Clone, PartialEq, Eq)]
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
            'b' => Line::Bandwidth(Bandwidth::parse(value)?),
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
