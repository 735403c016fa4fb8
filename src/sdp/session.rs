//! Whole descriptions.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use super::attribute::{Attribute, Direction, Group, Setup};
use super::error::excerpt;
use super::{Limits, Line, MediaDescription, Origin, ParseError, Reason};
use crate::layer::{Fingerprint, Mid};

/// A session description, RFC 8866 §5.
///
/// ```
/// use kaon_rtc::sdp::{Direction, SessionDescription};
///
/// let text = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
///             m=audio 9 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\na=sendonly\r\n";
/// let description: SessionDescription = text.parse()?;
/// let audio = &description.media[0];
/// assert_eq!(description.direction(audio), Direction::SendOnly);
/// // A static payload type, which needs no a=rtpmap.
/// assert!(audio.codecs().any(|codec| codec.is("PCMU")));
///
/// let error = "v=0\r\nm=audio".parse::<SessionDescription>().unwrap_err();
/// println!("{error}");
/// # Ok::<(), kaon_rtc::sdp::ParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDescription {
    /// Who made the session (`o=`).
    pub origin: Origin,
    /// Its name (`s=`); `-` in WebRTC.
    pub session_name: String,
    /// The lines between `s=` and the first media section, in order.
    pub lines: Vec<Line>,
    /// The media sections, in order.
    pub media: Vec<MediaDescription>,
}

/// The ICE credentials of a media section. Its `Debug` leaves the password out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IceParameters<'a> {
    /// The user-name fragment.
    pub ufrag: &'a str,
    /// The password.
    pub pwd: &'a str,
}

impl fmt::Debug for IceParameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceParameters").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

impl SessionDescription {
    /// Reads a description within the default limits. Lines may end in LF alone.
    ///
    /// # Errors
    /// When it is malformed; the error names the line.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::parse_with_limits(text, &Limits::default())
    }

    /// Reads a description within `limits`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and when a limit is exceeded.
    pub fn parse_with_limits(text: &str, limits: &Limits) -> Result<Self, ParseError> {
        if text.len() > limits.max_len {
            let reason =
                Reason::Limit { what: "bytes", limit: "max_len", max: limits.max_len, have: text.len() };
            return Err(ParseError { line: 1, reason });
        }
        let mut lines = Lines::new(text, limits.max_lines);
        if lines.required('v', "v=0 as the first line")?.trim_end_matches(' ') != "0" {
            return Err(lines.error(Reason::Expected("v=0 as the first line")));
        }
        let origin = lines.required('o', "o= behind v=")?;
        let origin = Origin::parse(origin).map_err(|reason| lines.error(reason))?;
        let session_name = lines.required('s', "s= behind o=")?.to_owned();
        let mut session = SessionDescription { origin, session_name, lines: Vec::new(), media: Vec::new() };
        while let Some((letter, value)) = lines.next()? {
            if letter == 'm' {
                if !session.has_timing() {
                    return Err(lines.error(Reason::Expected("t= before the first m=")));
                }
                if session.media.len() == limits.max_media {
                    let (max, have) = (limits.max_media, limits.max_media + 1);
                    return Err(lines.error(Reason::Limit {
                        what: "media sections",
                        limit: "max_media",
                        max,
                        have,
                    }));
                }
                let media = MediaDescription::parse(value, limits.max_formats);
                session.media.push(media.map_err(|reason| lines.error(reason))?);
                continue;
            }
            if matches!(letter, 'v' | 'o' | 's') {
                return Err(lines.error(Reason::Expected("v=, o= and s= once, at the beginning")));
            }
            let line = Line::parse(letter, value).map_err(|reason| lines.error(reason))?;
            match session.media.last_mut() {
                Some(media) => media.lines.push(line),
                None => session.lines.push(line),
            }
        }
        if !session.has_timing() {
            return Err(lines.error(Reason::Expected("t= behind s=")));
        }
        Ok(session)
    }

    fn has_timing(&self) -> bool {
        self.lines.iter().any(|line| matches!(line, Line::Timing(_)))
    }

    /// The attributes of the session part, in order.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.lines.iter().filter_map(Line::as_attribute)
    }

    /// Adds an attribute at the end of the session part.
    pub fn push(&mut self, attribute: Attribute) {
        self.lines.push(Line::Attribute(attribute));
    }

    /// The groups of media sections.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.attributes().filter_map(|attribute| match attribute {
            Attribute::Group(group) => Some(&**group),
            _ => None,
        })
    }

    /// The media sections that share a transport: the first `BUNDLE` group.
    pub fn bundle(&self) -> Option<&Group> {
        self.groups().find(|group| group.semantics == Group::BUNDLE)
    }

    /// The media section with this tag.
    pub fn media_by_mid(&self, mid: Mid) -> Option<&MediaDescription> {
        self.media.iter().find(|media| media.mid() == Some(mid))
    }

    /// Whether the side that describes only answers checks.
    pub fn is_ice_lite(&self) -> bool {
        self.attributes().any(|attribute| *attribute == Attribute::IceLite)
    }

    /// The direction of a media section: its own, that of the session, or the default.
    pub fn direction(&self, media: &MediaDescription) -> Direction {
        let session = || {
            self.attributes().find_map(|attribute| match attribute {
                Attribute::Direction(direction) => Some(*direction),
                _ => None,
            })
        };
        media.direction().or_else(session).unwrap_or_default()
    }

    /// The ICE credentials of a media section, its own or those of the session.
    pub fn ice_parameters<'a>(&'a self, media: &'a MediaDescription) -> Option<IceParameters<'a>> {
        let (mut ufrag, mut pwd) = (media.ice_ufrag(), media.ice_pwd());
        // RFC 8839 §5.4: both stand at the same level.
        if ufrag.is_none() && pwd.is_none() {
            for attribute in self.attributes() {
                match attribute {
                    Attribute::IceUfrag(value) => ufrag = Some(value),
                    Attribute::IcePwd(value) => pwd = Some(value),
                    _ => {}
                }
            }
        }
        Some(IceParameters { ufrag: ufrag?, pwd: pwd? })
    }

    /// The fingerprints of a media section's certificate: its own, or those of the session if it has none.
    pub fn fingerprints<'a>(
        &'a self,
        media: &'a MediaDescription,
    ) -> impl Iterator<Item = &'a Fingerprint> + 'a {
        let inherited = media.fingerprints().next().is_none();
        let session = self.attributes().filter(move |_| inherited).filter_map(|attribute| match attribute {
            Attribute::Fingerprint(fingerprint) => Some(&**fingerprint),
            _ => None,
        });
        media.fingerprints().chain(session)
    }

    /// The DTLS role of a media section, its own or that of the session.
    pub fn setup(&self, media: &MediaDescription) -> Option<Setup> {
        media.setup().or_else(|| {
            self.attributes().find_map(|attribute| match attribute {
                Attribute::Setup(setup) => Some(*setup),
                _ => None,
            })
        })
    }

    /// Whether there will be no further candidates for a media section, or for none at all, RFC 8840 §8.2.
    pub fn has_all_candidates(&self, media: &MediaDescription) -> bool {
        self.attributes().any(|attribute| *attribute == Attribute::EndOfCandidates)
            || media.has_all_candidates()
    }

    /// Whether the side that describes may tell of candidates later: the option `trickle`, RFC 8838 §3, at either
    /// level.
    pub fn trickles(&self, media: &MediaDescription) -> bool {
        self.has_ice_option(media, "trickle")
    }

    /// Whether an option is among those of `a=ice-options`, at either level (RFC 8839 §5.6).
    pub fn has_ice_option(&self, media: &MediaDescription, wanted: &str) -> bool {
        // Some separate the options by commas.
        let is_wanted = |option: &String| option.split(',').any(|option| option.eq_ignore_ascii_case(wanted));
        self.attributes().chain(media.attributes()).any(|attribute| match attribute {
            Attribute::IceOptions(options) => options.iter().any(is_wanted),
            _ => false,
        })
    }

    /// Whether both forms of header extensions may be mixed in a media section, RFC 8285 §6.
    pub fn allows_mixed_extensions(&self, media: &MediaDescription) -> bool {
        self.attributes().chain(media.attributes()).any(|attribute| *attribute == Attribute::ExtMapAllowMixed)
    }
}

impl FromStr for SessionDescription {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl fmt::Display for SessionDescription {
    /// The text, each line ended by CRLF. Line ends inside of values are left out, so that a value cannot
    /// bring in lines of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = OneLine(f);
        write!(out, "v=0")?;
        out.end()?;
        write!(out, "o={}", self.origin)?;
        out.end()?;
        write!(out, "s={}", self.session_name)?;
        out.end()?;
        for line in &self.lines {
            write!(out, "{line}")?;
            out.end()?;
        }
        for media in &self.media {
            write!(out, "m={media}")?;
            out.end()?;
            for line in &media.lines {
                write!(out, "{line}")?;
                out.end()?;
            }
        }
        Ok(())
    }
}

struct OneLine<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl OneLine<'_, '_> {
    fn end(&mut self) -> fmt::Result {
        self.0.write_str("\r\n")
    }
}

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.split(['\r', '\n', '\0']).try_for_each(|part| self.0.write_str(part))
    }
}

struct Lines<'a> {
    rest: &'a str,
    number: usize,
    max: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str, max: usize) -> Self {
        Lines { rest: text.trim_end_matches(['\r', '\n']), number: 0, max }
    }

    fn next(&mut self) -> Result<Option<(char, &'a str)>, ParseError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if self.number > self.max {
            let reason =
                Reason::Limit { what: "lines", limit: "max_lines", max: self.max, have: self.number };
            return Err(self.error(reason));
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains(['\r', '\0']) {
            return Err(self.error(Reason::Character));
        }
        let mut chars = line.chars();
        match (chars.next(), chars.next()) {
            (Some(letter), Some('=')) if letter.is_ascii_alphabetic() => Ok(Some((letter, chars.as_str()))),
            _ => Err(self.error(Reason::Form(excerpt(line)))),
        }
    }

    fn required(&mut self, letter: char, expected: &'static str) -> Result<&'a str, ParseError> {
        match self.next()? {
            Some((found, value)) if found == letter => Ok(value),
            _ => Err(self.error(Reason::Expected(expected))),
        }
    }

    fn error(&self, reason: Reason) -> ParseError {
        ParseError { line: self.number.max(1), reason }
    }
}
