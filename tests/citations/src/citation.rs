//! What a comment cites: documents, and sections of them.

use std::fmt;

use crate::sections::Sections;

/// A document that has sections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Document {
    Rfc(u32),
    /// A draft, or a document of somebody else, by the name that it has in comments.
    Other(String),
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rfc(number) => write!(f, "RFC {number}"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// The number of a section, `6.1.2` or `A.3`. Its order is that of the document: appendices come last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Section(Vec<Part>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u32),
    Letter(char),
}

impl Section {
    /// Reads the number of a section off the beginning of `text`, and says how long it is.
    pub(crate) fn read(text: &str) -> Option<(Self, usize)> {
        let mut parts = Vec::new();
        let mut len = 0;
        loop {
            let rest = &text[len..];
            let rest = if parts.is_empty() { rest } else { rest.strip_prefix('.').unwrap_or_default() };
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let letter = rest.chars().next().filter(char::is_ascii_uppercase);
            let (part, part_len) = match (digits, letter) {
                (1.., _) => (Part::Number(rest[..digits].parse().ok()?), digits),
                (0, Some(letter)) if parts.is_empty() => (Part::Letter(letter), 1),
                _ => break,
            };
            len += part_len + usize::from(!parts.is_empty());
            parts.push(part);
        }
        (!parts.is_empty()).then_some((Self(parts), len))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::read(text).filter(|(_, len)| *len == text.len()).map(|(section, _)| section)
    }

    pub(crate) fn is_appendix(&self) -> bool {
        matches!(self.0[0], Part::Letter(_))
    }

    /// Whether it is `other` or a part of it.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Whether it stands beside `other`, in the same section.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0[..self.0.len() - 1] == other.0[..other.0.len() - 1]
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            match part {
                Part::Number(number) => write!(f, "{dot}{number}")?,
                Part::Letter(letter) => write!(f, "{dot}{letter}")?,
            }
        }
        Ok(())
    }
}

/// What a text names, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mention {
    Document(Document),
    Section(Section),
    /// The last section of a range that the one before begins.
    UpTo(Section),
}

/// Documents that are no RFCs, as comments write them in front of a section, and the names that they have here.
const OTHERS: [(&str, &str); 10] = [
    ("fips 180-2", "FIPS 180-2"),
    ("w3c webrtc-stats", "W3C webrtc-stats"),
    ("webrtc-stats", "W3C webrtc-stats"),
    ("w3c webrtc", "W3C WebRTC"),
    ("h.264", "H.264"),
    ("3gpp ts 26.114", "3GPP TS 26.114"),
    ("vp9 bitstream specification", "VP9 bitstream specification"),
    ("draft-holmer-rmcat-transport-wide-cc-extensions-01", TRANSPORT_WIDE),
    ("draft-holmer-rmcat-transport-wide-cc-01", TRANSPORT_WIDE),
    ("transport-wide-cc-01", TRANSPORT_WIDE),
];

const TRANSPORT_WIDE: &str = "draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// How a text writes RFCs: comments say `RFC 8445`, the tables of docs/conformance.md `8445` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Comment,
    Table,
}

/// Reads what `text` names.
pub(crate) fn mentions(text: &str, style: Style) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut before = ' ';
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let is_word = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
        let read = if is_word(before) { None } else { mention(rest, style, found.last()) };
        let len = match read {
            Some((mention, len)) => {
                found.push(mention);
                len
            }
            None => first.len_utf8(),
        };
        before = text[at..at + len].chars().next_back().unwrap_or(first);
        at += len;
    }
    found
}

/// What `text` begins with, and its length.
fn mention(text: &str, style: Style, last: Option<&Mention>) -> Option<(Mention, usize)> {
    if let Some((document, len)) = document(text, style) {
        return Some((Mention::Document(document), len));
    }
    for marker in ["§", "appendix ", "Appendix "] {
        let Some(rest) = text.strip_prefix(marker) else { continue };
        let (section, len) = Section::read(rest)?;
        return (marker == "§" || section.is_appendix())
            .then_some((Mention::Section(section), marker.len() + len));
    }
    let section = matches!(last, Some(Mention::Section(_)));
    if let Some(rest) = text.strip_prefix("to ").filter(|_| section) {
        let rest_of_section = rest.strip_prefix('§').unwrap_or(rest);
        let (to, len) = Section::read(rest_of_section)?;
        // `to 3` without the sign is a number of something, `to C` an appendix.
        let is_one = rest.starts_with('§') || (to.is_appendix() && !continues_a_word(&rest[len..]));
        return is_one.then_some((Mention::UpTo(to), text.len() - rest_of_section.len() + len));
    }
    // `RFC 3550 A.1 and A.3`: the section of an appendix needs no sign. No appendix has a hundred sections, so that
    // `G.711` is none.
    let (section, len) = Section::read(text).filter(|(section, len)| section.is_appendix() && *len > 1)?;
    let is_small = text[..len].split('.').skip(1).all(|part| part.len() <= 2);
    (last.is_some() && is_small && !continues_a_word(&text[len..]))
        .then_some((Mention::Section(section), len))
}

fn document(text: &str, style: Style) -> Option<(Document, usize)> {
    let number = match text.strip_prefix("RFC ") {
        Some(number) => Some(number),
        None if style == Style::Table => Some(text),
        None => None,
    };
    if let Some(number) = number {
        let digits = number.len() - number.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let is_one = digits == 4 || (digits > 0 && text.len() != number.len());
        if is_one && !continues_a_word(&number[digits..]) {
            return Some((Document::Rfc(number[..digits].parse().ok()?), text.len() - number.len() + digits));
        }
    }
    OTHERS.into_iter().find_map(|(written, name)| {
        let (start, rest) = text.split_at_checked(written.len())?;
        let rest = rest.trim_start_matches([' ', ',']);
        let is_followed = rest.starts_with('§') || rest.starts_with("appendix ");
        let is_it = start.eq_ignore_ascii_case(written) && is_followed;
        is_it.then(|| (Document::Other(name.to_owned()), written.len()))
    })
}

fn continues_a_word(rest: &str) -> bool {
    let mut characters = rest.chars();
    match characters.next() {
        Some('.') => characters.next().is_some_and(|c| c.is_ascii_digit()),
        Some(c) => c.is_alphanumeric() || c == '-',
        None => false,
    }
}

/// What a text cites: a document, and the section or, without one, the whole.
pub(crate) type Citation = (Document, Option<Section>);

/// Turns what a text names into what it cites. Sections before the first document belong to `context`.
///
/// # Errors
/// The first section that belongs to nothing.
pub(crate) fn citations(
    mentions: &[Mention],
    context: Option<&Document>,
    sections: &Sections,
) -> Result<Vec<Citation>, Section> {
    let mut document = context.cloned();
    let mut found: Vec<Citation> = Vec::new();
    for (at, mention) in mentions.iter().enumerate() {
        match mention {
            Mention::Document(named) => {
                document = Some(named.clone());
                let is_whole = !matches!(mentions.get(at + 1), Some(Mention::Section(_)));
                if is_whole && matches!(named, Document::Rfc(_)) {
                    found.push((named.clone(), None));
                }
            }
            Mention::Section(section) => {
                let document = document.clone().ok_or_else(|| section.clone())?;
                found.push((document, Some(section.clone())));
            }
            Mention::UpTo(last) => {
                let Some((document, Some(first))) = found.last().cloned() else { continue };
                let between = sections.between(&document, &first, last);
                found.extend(between.into_iter().map(|section| (document.clone(), Some(section))));
                found.push((document, Some(last.clone())));
            }
        }
    }
    Ok(found)
}
