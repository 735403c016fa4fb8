//! Every attribute, by name.

use std::fmt;

use super::separated::separated;
use super::{
    CandidateAttribute, Direction, ExtMap, Fmtp, Group, Msid, RidAttribute, Rtcp, RtcpFeedback, RtpMap,
    Setup, Simulcast, SsrcAttribute, SsrcGroup,
};
use crate::layer::{Fingerprint, Mid, ParseCandidateError, ParseFingerprintError};
use crate::sdp::Reason;
use crate::sdp::fields::{Fields, number};

/// An attribute of the session or of a media section, RFC 8866 §5.13.
///
/// The rare large ones are boxed: a session keeps its descriptions, which have a hundred lines and more. `Debug` is
/// the text of the line, without what is secret: the ICE password, and the keys of `a=crypto` and `a=key-mgmt`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attribute {
    /// `a=group`, RFC 5888 and RFC 9143.
    Group(Box<Group>),
    /// `a=mid`, RFC 5888.
    Mid(Mid),
    /// `a=sendrecv` and its like, RFC 8866 §6.7.
    Direction(Direction),
    /// `a=ice-ufrag`, RFC 8839 §5.4.
    IceUfrag(String),
    /// `a=ice-pwd`, RFC 8839 §5.4.
    IcePwd(String),
    /// `a=ice-options`, RFC 8839 §5.6.
    IceOptions(Vec<String>),
    /// `a=ice-lite`, RFC 8839 §5.3.
    IceLite,
    /// `a=candidate`, RFC 8839 §5.1. With a transport, a type or an address that is not known it is kept as
    /// `Other`.
    Candidate(Box<CandidateAttribute>),
    /// `a=end-of-candidates`, RFC 8840 §8.2.
    EndOfCandidates,
    /// `a=fingerprint`, RFC 8122 §5. With a hash function that is not accepted it is kept as `Other`.
    Fingerprint(Box<Fingerprint>),
    /// `a=setup`, RFC 4145 §4.
    Setup(Setup),
    /// `a=tls-id`, RFC 8842 §5.2.
    TlsId(String),
    /// `a=rtcp`, RFC 3605.
    Rtcp(Box<Rtcp>),
    /// `a=rtcp-mux`, RFC 5761.
    RtcpMux,
    /// `a=rtcp-mux-only`, RFC 8858.
    RtcpMuxOnly,
    /// `a=rtcp-rsize`, RFC 5506.
    RtcpReducedSize,
    /// `a=rtpmap`, RFC 8866 §6.6.
    RtpMap(RtpMap),
    /// `a=fmtp`, RFC 8866 §6.15. For a format that is not a payload type it is kept as `Other`.
    Fmtp(Fmtp),
    /// `a=rtcp-fb`, RFC 4585 §4.2.
    RtcpFeedback(RtcpFeedback),
    /// `a=extmap`, RFC 8285 §5.
    ExtMap(Box<ExtMap>),
    /// `a=extmap-allow-mixed`, RFC 8285 §6.
    ExtMapAllowMixed,
    /// `a=msid`, RFC 8830.
    Msid(Box<Msid>),
    /// `a=ssrc`, RFC 5576 §4.1.
    Ssrc(Box<SsrcAttribute>),
    /// `a=ssrc-group`, RFC 5576 §4.2.
    SsrcGroup(Box<SsrcGroup>),
    /// `a=rid`, RFC 8851. A malformed one is kept as `Other`.
    Rid(Box<RidAttribute>),
    /// `a=simulcast`, RFC 8853.
    Simulcast(Box<Simulcast>),
    /// `a=sctp-port`, RFC 8841 §5.
    SctpPort(u16),
    /// `a=max-message-size` in bytes, 0 for no limit, RFC 8841 §6.
    MaxMessageSize(u64),
    /// `a=bundle-only`, RFC 9143 §6.
    BundleOnly,
    /// `a=ptime` in milliseconds, RFC 8866 §6.4. With a fraction it is kept as `Other`.
    Ptime(u32),
    /// `a=maxptime` in milliseconds, RFC 8866 §6.5. With a fraction it is kept as `Other`.
    MaxPtime(u32),
    /// Any other attribute.
    Other {
        /// What stands before the colon.
        name: Box<str>,
        /// What stands behind it; `None` when there is no colon.
        value: Option<Box<str>>,
    },
}

impl Attribute {
    /// An attribute without a type of its own.
    pub fn other(name: impl Into<Box<str>>, value: Option<&str>) -> Self {
        Attribute::Other { name: name.into(), value: value.map(Box::from) }
    }

    /// Reads what stands behind `a=`.
    ///
    /// # Errors
    /// When the attribute is known and its value is malformed.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if name.is_empty() {
            return Err(Reason::Missing { line: "a=", field: "name" });
        }
        let attribute = match value {
            Some(value) => Self::parse_value(name, value)?,
            None => Self::parse_flag(name.trim_end_matches(' ')),
        };
        Ok(attribute.unwrap_or_else(|| Attribute::other(name, value)))
    }

    fn parse_flag(name: &str) -> Option<Self> {
        Some(match name {
            "ice-lite" => Attribute::IceLite,
            "end-of-candidates" => Attribute::EndOfCandidates,
            "rtcp-mux" => Attribute::RtcpMux,
            "rtcp-mux-only" => Attribute::RtcpMuxOnly,
            "rtcp-rsize" => Attribute::RtcpReducedSize,
            "extmap-allow-mixed" => Attribute::ExtMapAllowMixed,
            "bundle-only" => Attribute::BundleOnly,
            _ => Attribute::Direction(Direction::from_name(name)?),
        })
    }

    fn parse_value(name: &str, value: &str) -> Result<Option<Self>, Reason> {
        Ok(Some(match name {
            "group" => Attribute::Group(Box::new(Group::parse(value)?)),
            "mid" => {
                let mut fields = Fields::new("a=mid", value);
                let mid = fields.typed("identifier", "a token of 1 to 39 characters")?;
                fields.end()?;
                Attribute::Mid(mid)
            }
            "ice-ufrag" => Attribute::IceUfrag(ice_chars("a=ice-ufrag", value, 4, "4 to 256 ice-chars")?),
            "ice-pwd" => Attribute::IcePwd(ice_chars("a=ice-pwd", value, 22, "22 to 256 ice-chars")?),
            "ice-options" => {
                let mut fields = Fields::new("a=ice-options", value);
                Attribute::IceOptions(std::iter::from_fn(|| fields.optional()).map(str::to_owned).collect())
            }
            "candidate" => match CandidateAttribute::parse(value) {
                Ok(candidate) => Attribute::Candidate(Box::new(candidate)),
                // RFC 8839 §5.1: to be ignored, since the others may do.
                Err(ParseCandidateError::Unsupported { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            },
            "fingerprint" => match value.parse::<Fingerprint>() {
                Ok(fingerprint) => Attribute::Fingerprint(Box::new(fingerprint)),
                // RFC 8122 §5: a peer may offer several, of which one will do.
                Err(ParseFingerprintError::UnknownAlgorithm(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            },
            "setup" => Attribute::Setup(Setup::parse(value)?),
            "tls-id" => Attribute::TlsId(value.to_owned()),
            "rtcp" => Attribute::Rtcp(Box::new(Rtcp::parse(value)?)),
            "rtpmap" => Attribute::RtpMap(RtpMap::parse(value)?),
            "fmtp" => match Fmtp::parse(value)? {
                Some(fmtp) => Attribute::Fmtp(fmtp),
                None => return Ok(None),
            },
            "rtcp-fb" => Attribute::RtcpFeedback(RtcpFeedback::parse(value)?),
            "extmap" => Attribute::ExtMap(Box::new(ExtMap::parse(value)?)),
            "msid" => Attribute::Msid(Box::new(Msid::parse(value)?)),
            "ssrc" => Attribute::Ssrc(Box::new(SsrcAttribute::parse(value)?)),
            "ssrc-group" => Attribute::SsrcGroup(Box::new(SsrcGroup::parse(value)?)),
            "rid" => match RidAttribute::parse(value) {
                Ok(rid) => Attribute::Rid(Box::new(rid)),
                // RFC 8851 §6.2.2: the line is discarded, and not the description.
                Err(_) => return Ok(None),
            },
            "simulcast" => match Simulcast::parse(value) {
                Ok(simulcast) => Attribute::Simulcast(Box::new(simulcast)),
                // The form of a draft before RFC 8853, of which nothing else would be known either.
                Err(_) if value.contains("rid=") => return Ok(None),
                Err(error) => return Err(error),
            },
            "sctp-port" => Attribute::SctpPort(number("a=sctp-port", "port", value.trim(), 65535)?),
            "max-message-size" => {
                Attribute::MaxMessageSize(number("a=max-message-size", "size", value.trim(), u64::MAX)?)
            }
            "ptime" | "maxptime" if is_fraction(value.trim()) => return Ok(None),
            "ptime" => Attribute::Ptime(number("a=ptime", "time", value.trim(), u64::from(u32::MAX))?),
            "maxptime" => {
                Attribute::MaxPtime(number("a=maxptime", "time", value.trim(), u64::from(u32::MAX))?)
            }
            _ => return Ok(None),
        }))
    }
}

/// What stands for a secret.
const SECRET: &str = "(secret)";

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attribute::IcePwd(_) => write!(f, "a=ice-pwd:{SECRET}"),
            Attribute::Other { name, .. } if is_secret(name) => write!(f, "a={name}:{SECRET}"),
            attribute => write!(f, "a={attribute}"),
        }
    }
}

/// Keys (RFC 4568, RFC 4567), and what only the case or spaces make another name than that of the password.
fn is_secret(name: &str) -> bool {
    ["ice-pwd", "crypto", "key-mgmt"].iter().any(|secret| name.trim().eq_ignore_ascii_case(secret))
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attribute::Group(group) => write!(f, "group:{group}"),
            Attribute::Mid(mid) => write!(f, "mid:{mid}"),
            Attribute::Direction(direction) => write!(f, "{direction}"),
            Attribute::IceUfrag(ufrag) => write!(f, "ice-ufrag:{ufrag}"),
            Attribute::IcePwd(pwd) => write!(f, "ice-pwd:{pwd}"),
            Attribute::IceOptions(options) => {
                f.write_str("ice-options:")?;
                separated(f, options, " ")
            }
            Attribute::IceLite => f.write_str("ice-lite"),
            Attribute::Candidate(candidate) => write!(f, "{candidate}"),
            Attribute::EndOfCandidates => f.write_str("end-of-candidates"),
            Attribute::Fingerprint(fingerprint) => write!(f, "fingerprint:{fingerprint}"),
            Attribute::Setup(setup) => write!(f, "setup:{setup}"),
            Attribute::TlsId(id) => write!(f, "tls-id:{id}"),
            Attribute::Rtcp(rtcp) => write!(f, "rtcp:{rtcp}"),
            Attribute::RtcpMux => f.write_str("rtcp-mux"),
            Attribute::RtcpMuxOnly => f.write_str("rtcp-mux-only"),
            Attribute::RtcpReducedSize => f.write_str("rtcp-rsize"),
            Attribute::RtpMap(map) => write!(f, "rtpmap:{map}"),
            Attribute::Fmtp(fmtp) => write!(f, "fmtp:{fmtp}"),
            Attribute::RtcpFeedback(feedback) => write!(f, "rtcp-fb:{feedback}"),
            Attribute::ExtMap(map) => write!(f, "extmap:{map}"),
            Attribute::ExtMapAllowMixed => f.write_str("extmap-allow-mixed"),
            Attribute::Msid(msid) => write!(f, "msid:{msid}"),
            Attribute::Ssrc(ssrc) => write!(f, "ssrc:{ssrc}"),
            Attribute::SsrcGroup(group) => write!(f, "ssrc-group:{group}"),
            Attribute::Rid(rid) => write!(f, "rid:{rid}"),
            Attribute::Simulcast(simulcast) => write!(f, "simulcast:{simulcast}"),
            Attribute::SctpPort(port) => write!(f, "sctp-port:{port}"),
            Attribute::MaxMessageSize(size) => write!(f, "max-message-size:{size}"),
            Attribute::BundleOnly => f.write_str("bundle-only"),
            Attribute::Ptime(time) => write!(f, "ptime:{time}"),
            Attribute::MaxPtime(time) => write!(f, "maxptime:{time}"),
            Attribute::Other { name, value: Some(value) } => write!(f, "{name}:{value}"),
            Attribute::Other { name, value: None } => f.write_str(name),
        }
    }
}

// RFC 8866 §9: non-zero-real.
fn is_fraction(value: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    value.split_once('.').is_some_and(|(whole, part)| digits(whole) && digits(part))
}

// RFC 8839 §5.4.
fn ice_chars(line: &'static str, value: &str, min: usize, expected: &'static str) -> Result<String, Reason> {
    let value = value.trim_matches(' ');
    // Some implementations use -, _ and = as well.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'=');
    if !(min..=256).contains(&value.len()) || !value.bytes().all(allowed) {
        let shown = if line == "a=ice-pwd" { SECRET } else { value };
        return Err(Fields::new(line, "").invalid("value", shown, expected));
    }
    Ok(value.to_owned())
}
