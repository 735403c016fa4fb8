//! Lines that say whose the session is, where, when, and how much it takes, RFC 8866 §5.

use std::fmt;

use super::Reason;
use super::fields::{Fields, number};

/// Who made the session, RFC 8866 §5.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The user's name; `-` for none.
    pub username: String,
    /// A number that, with the other fields, names the session.
    pub session_id: String,
    /// A number that grows with each description of the session. It has no meaning in WebRTC, and peers write
    /// numbers of any form, and what is no number: both are kept as they are.
    pub session_version: String,
    /// Where the session was made; has no meaning in WebRTC.
    pub connection: Connection,
}

impl Origin {
    pub(super) fn parse(value: &str) -> Result<Self, Reason> {
        let mut fields = Fields::new("o=", value);
        let username = fields.text("username")?.to_owned();
        let session_id = fields.text("session id")?.to_owned();
        let session_version = fields.text("session version")?.to_owned();
        let connection = Connection::read(&mut fields)?;
        fields.end()?;
        Ok(Origin { username, session_id, session_version, connection })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { username, session_id, session_version, connection } = self;
        write!(f, "{username} {session_id} {session_version} {connection}")
    }
}

/// An address, RFC 8866 §5.7.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// `IN`
    pub network_type: String,
    /// `IP4` or `IP6`
    pub address_type: String,
    /// An address or a name, with a TTL and a count if it is for multicast.
    pub address: String,
}

impl Connection {
    /// The address that WebRTC writes where it has none yet, RFC 8829 §5.2.1.
    pub fn unspecified() -> Self {
        Connection { network_type: "IN".into(), address_type: "IP4".into(), address: "0.0.0.0".into() }
    }

    pub(super) fn parse(value: &str) -> Result<Self, Reason> {
        let mut fields = Fields::new("c=", value);
        let connection = Connection::read(&mut fields)?;
        fields.end()?;
        Ok(connection)
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, Reason> {
        Ok(Connection {
            network_type: fields.text("network type")?.to_owned(),
            address_type: fields.text("address type")?.to_owned(),
            address: fields.text("address")?.to_owned(),
        })
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.network_type, self.address_type, self.address)
    }
}

/// How much a session or a media section may take, RFC 8866 §5.8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bandwidth {
    /// `AS` (kilobits per second), `TIAS` (bits per second), `CT`, or another.
    pub kind: String,
    /// In the unit of the kind.
    pub value: u64,
}

impl Bandwidth {
    pub(super) fn parse(value: &str) -> Result<Self, Reason> {
        let (kind, value) =
            value.split_once(':').ok_or(Reason::Missing { line: "b=", field: "bandwidth" })?;
        Ok(Bandwidth {
            kind: kind.to_owned(),
            value: number("b=", "bandwidth", value.trim_matches(' '), u64::MAX)?,
        })
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.value)
    }
}

/// When the session takes place, RFC 8866 §5.9; always `0 0` in WebRTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// Seconds since 1900, or 0.
    pub start: u64,
    /// Seconds since 1900, or 0.
    pub stop: u64,
}

impl Timing {
    pub(super) fn parse(value: &str) -> Result<Self, Reason> {
        let mut fields = Fields::new("t=", value);
        let start = fields.number("start time", u64::MAX)?;
        let stop = fields.number("stop time", u64::MAX)?;
        fields.end()?;
        Ok(Timing { start, stop })
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.start, self.stop)
    }
}
