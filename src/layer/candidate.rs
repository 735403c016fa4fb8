//! Candidates, RFC 8839 §5.1.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

use super::Protocol;

/// An ICE candidate as it is signalled: the value of a candidate attribute (RFC 8839 §5.1).
///
/// ```
/// use kaon_rtc::layer::{Candidate, CandidateKind};
///
/// let line = "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 10.0.0.5 rport 46154";
/// let candidate: Candidate = line.parse()?;
/// assert_eq!(candidate.kind, CandidateKind::ServerReflexive);
/// assert_eq!(candidate.to_string(), line);
/// # Ok::<(), kaon_rtc::layer::ParseCandidateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Candidate {
    /// Candidates of the same kind, base, server and protocol share it (RFC 8445 §5.1.1.3). 1 to 32
    /// characters of ALPHA, DIGIT, `+` and `/`.
    pub foundation: String,
    /// The component: 1 for RTP, and for everything under rtcp-mux; 1 to 256.
    pub component: u16,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The priority (RFC 8445 §5.1.2), 1 to 2³¹ − 1.
    pub priority: u32,
    /// Where the candidate is reached.
    pub address: CandidateAddress,
    /// How the candidate was found.
    pub kind: CandidateKind,
    /// The base of a reflexive candidate or the mapped address of a relayed one; for diagnosis only.
    pub related: Option<SocketAddr>,
    /// How a TCP candidate connects (RFC 6544 §4.5).
    pub tcp_kind: Option<TcpKind>,
    /// Further name-value pairs, such as `generation`, `ufrag` or `network-cost`, in order.
    pub extensions: Vec<(String, String)>,
}

impl Candidate {
    /// The most characters a candidate may have; a longer text is refused before it is looked at.
    pub const MAX_TEXT: usize = 1024;

    /// The value of an extension.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The user-name fragment of the ICE generation that the candidate belongs to, where it says so.
    pub fn ufrag(&self) -> Option<&str> {
        self.extension("ufrag")
    }
}

/// Where a candidate is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CandidateAddress {
    /// A transport address.
    Ip(SocketAddr),
    /// A name to be resolved, such as the `.local` names of browsers, and a port.
    Name(String, u16),
}

/// How a candidate was found (RFC 8445 §5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum CandidateKind {
    /// An address of an interface.
    Host,
    /// The address that a STUN server saw.
    #[cfg_attr(feature = "serde", serde(rename = "srflx"))]
    ServerReflexive,
    /// The address that the peer saw during a check.
    #[cfg_attr(feature = "serde", serde(rename = "prflx"))]
    PeerReflexive,
    /// An address of a TURN server.
    #[cfg_attr(feature = "serde", serde(rename = "relay"))]
    Relayed,
}

impl CandidateKind {
    const NAMES: [(Self, &'static str); 4] = [
        (Self::Host, "host"),
        (Self::ServerReflexive, "srflx"),
        (Self::PeerReflexive, "prflx"),
        (Self::Relayed, "relay"),
    ];

    /// The name in a candidate attribute.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        }
    }
}

/// How a TCP candidate connects (RFC 6544 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum TcpKind {
    /// Opens the connection.
    Active,
    /// Waits for it.
    Passive,
    /// Both at once.
    #[cfg_attr(feature = "serde", serde(rename = "so"))]
    SimultaneousOpen,
}

impl TcpKind {
    const NAMES: [(Self, &'static str); 3] =
        [(Self::Active, "active"), (Self::Passive, "passive"), (Self::SimultaneousOpen, "so")];

    /// The name in a candidate attribute.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::SimultaneousOpen => "so",
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Udp => "udp",
            Protocol::Tcp => "tcp",
            // No candidate is of DTLS.
            Protocol::Dtls => "dtls",
        };
        let Self { foundation, component, priority, .. } = self;
        write!(f, "candidate:{foundation} {component} {protocol} {priority} ")?;
        match &self.address {
            CandidateAddress::Ip(address) => write!(f, "{} {}", address.ip(), address.port())?,
            CandidateAddress::Name(name, port) => write!(f, "{name} {port}")?,
        }
        write!(f, " typ {}", self.kind.name())?;
        if let Some(related) = self.related {
            write!(f, " raddr {} rport {}", related.ip(), related.port())?;
        }
        if let Some(kind) = self.tcp_kind {
            write!(f, " tcptype {}", kind.name())?;
        }
        self.extensions.iter().try_for_each(|(name, value)| write!(f, " {name} {value}"))
    }
}

impl FromStr for Candidate {
    type Err = ParseCandidateError;

    /// Parses a candidate with or without the leading `a=` and `candidate:`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > Self::MAX_TEXT {
            return Err(ParseCandidateError::TooLong { length: text.len() });
        }
        let text = text.trim();
        let text = text.strip_prefix("a=").unwrap_or(text);
        let mut fields = Fields(text.strip_prefix("candidate:").unwrap_or(text).split_ascii_whitespace());

        let foundation = fields.next("foundation")?;
        if foundation.len() > 32
            || !foundation.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
        {
            return Err(ParseCandidateError::invalid("foundation", foundation, "1 to 32 letters and digits"));
        }
        let component = fields.number("component", 1..=256)? as u16;
        let protocol = fields.next("transport")?;
        let protocol = match protocol {
            _ if protocol.eq_ignore_ascii_case("udp") => Protocol::Udp,
            _ if protocol.eq_ignore_ascii_case("tcp") => Protocol::Tcp,
            _ => return Err(ParseCandidateError::unsupported("transport", protocol, "udp or tcp")),
        };
        // RFC 8445 §5.1.2 ends at 2³¹ − 1; some peers use the whole 32 bits.
        let priority = fields.number("priority", 0..=u32::MAX)?;
        let address = fields.next("address")?;
        let port = fields.number("port", 0..=65535)? as u16;
        let address = match address.parse::<IpAddr>() {
            Ok(ip) => CandidateAddress::Ip(SocketAddr::new(ip, port)),
            Err(_) if is_host_name(address) => CandidateAddress::Name(address.to_owned(), port),
            Err(_) => {
                let expected = "an IP address or a host name";
                return Err(ParseCandidateError::unsupported("address", address, expected));
            }
        };
        let typ = fields.next("typ")?;
        if typ != "typ" {
            return Err(ParseCandidateError::invalid("typ", typ, "the word typ"));
        }
        let kind = fields.next("candidate type")?;
        let kind = named(&CandidateKind::NAMES, kind).ok_or_else(|| {
            ParseCandidateError::unsupported("candidate type", kind, "host, srflx, prflx or relay")
        })?;

        let mut candidate = Self {
            foundation: foundation.to_owned(),
            component,
            protocol,
            priority,
            address,
            kind,
            related: None,
            tcp_kind: None,
            extensions: Vec::new(),
        };
        let (mut related_ip, mut related_port) = (None, None);
        while let Some(name) = fields.0.next() {
            match name {
                "raddr" => {
                    let value = fields.next("raddr")?;
                    // An address that is hidden may be a name or empty of meaning: it is only for diagnosis.
                    related_ip = value.parse::<IpAddr>().ok();
                }
                "rport" => related_port = Some(fields.number("rport", 0..=65535)? as u16),
                "tcptype" => {
                    let value = fields.next("tcptype")?;
                    let kind = named(&TcpKind::NAMES, value).ok_or_else(|| {
                        ParseCandidateError::invalid("tcptype", value, "active, passive or so")
                    })?;
                    candidate.tcp_kind = Some(kind);
                }
                _ => {
                    // A name without a value ends the line: Firefox once sent such candidates.
                    let Some(value) = fields.0.next() else { break };
                    candidate.extensions.push((name.to_owned(), value.to_owned()));
                }
            }
        }
        candidate.related = related_ip.zip(related_port).map(|(ip, port)| SocketAddr::new(ip, port));
        Ok(candidate)
    }
}

struct Fields<'a>(std::str::SplitAsciiWhitespace<'a>);

impl<'a> Fields<'a> {
    fn next(&mut self, field: &'static str) -> Result<&'a str, ParseCandidateError> {
        self.0.next().ok_or(ParseCandidateError::Missing { field })
    }

    fn number(
        &mut self,
        field: &'static str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<u32, ParseCandidateError> {
        let text = self.next(field)?;
        match text.parse() {
            Ok(number) if range.contains(&number) && !text.starts_with('+') => Ok(number),
            _ => Err(ParseCandidateError::Number {
                field,
                value: excerpt(text),
                from: *range.start(),
                to: *range.end(),
            }),
        }
    }
}

fn named<T: Copy>(names: &[(T, &'static str)], value: &str) -> Option<T> {
    names.iter().find(|(_, name)| name.eq_ignore_ascii_case(value)).map(|(kind, _)| *kind)
}

fn is_host_name(text: &str) -> bool {
    text.len() <= 255
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Why a text is no candidate.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseCandidateError {
    /// The text ends before a field.
    #[error("candidate: {field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field is not a number in its range.
    #[error("candidate: {field} \"{value}\" is not a number; expected an integer from {from} to {to}")]
    Number {
        /// The field.
        field: &'static str,
        /// What stands there.
        value: String,
        /// The least that may stand there.
        from: u32,
        /// The most that may stand there.
        to: u32,
    },
    /// A field has a value that it cannot have.
    #[error("candidate: {field} \"{value}\" is not valid; expected {expected}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What stands there.
        value: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// The candidate may be right, but is of a kind that is not known here. RFC 8839 §5.1: such candidates are
    /// ignored.
    #[error("candidate: {field} \"{value}\" is not supported; expected {expected}")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// What stands there.
        value: String,
        /// What is supported.
        expected: &'static str,
    },
    /// The text is too long to be a candidate.
    #[error("candidate: {length} bytes are too long; at most {} are read", Candidate::MAX_TEXT)]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

impl ParseCandidateError {
    fn invalid(field: &'static str, value: &str, expected: &'static str) -> Self {
        Self::Invalid { field, value: excerpt(value), expected }
    }

    fn unsupported(field: &'static str, value: &str, expected: &'static str) -> Self {
        Self::Unsupported { field, value: excerpt(value), expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_of_browsers_round_trip() {
        for line in [
            "candidate:1467250027 1 udp 2122260223 192.168.0.196 46243 typ host generation 0 ufrag EEtu network-id 1",
            "candidate:3 2 udp 41885694 198.51.100.9 50260 typ relay raddr 0.0.0.0 rport 0",
            "candidate:0 1 tcp 2105524479 192.168.0.196 9 typ host tcptype active",
            "candidate:1 1 udp 2130706431 2001:db8::5 61665 typ host",
            "candidate:9 1 udp 2113937151 3f2a7c1e-5d6b-4b8a-9c7d-0e1f2a3b4c5d.local 51234 typ host generation 0",
        ] {
            assert_eq!(line.parse::<Candidate>().unwrap().to_string(), line);
        }
    }

    #[test]
    fn upper_case_transport_and_attribute_prefix_are_read() {
        let candidate: Candidate =
            "a=candidate:0 1 UDP 2122252543 192.168.1.5 54321 typ host".parse().unwrap();
        assert_eq!(candidate.protocol, Protocol::Udp);
        assert_eq!(candidate.address, CandidateAddress::Ip("192.168.1.5:54321".parse().unwrap()));
    }

    #[test]
    fn malformed_candidates_name_the_field() {
        let error = |line: &str| line.parse::<Candidate>().unwrap_err().to_string();
        assert_eq!(error(""), "candidate: foundation is missing");
        assert_eq!(
            error("candidate:1 1 udp x 1.2.3.4 5 typ host"),
            "candidate: priority \"x\" is not a number; expected an integer from 0 to 4294967295"
        );
        assert_eq!(
            error("candidate:1 1 udp 1 1.2.3.4 70000 typ host"),
            "candidate: port \"70000\" is not a number; expected an integer from 0 to 65535"
        );
        assert_eq!(
            error("candidate:1 1 sctp 1 1.2.3.4 7 typ host"),
            "candidate: transport \"sctp\" is not supported; expected udp or tcp"
        );
        assert_eq!(
            error("candidate:1 1 udp 1 a..b 7 typ host"),
            "candidate: address \"a..b\" is not supported; expected an IP address or a host name"
        );
        assert_eq!(error(&"x".repeat(2000)), "candidate: 2000 bytes are too long; at most 1024 are read");
    }
}
