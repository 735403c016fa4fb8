//! What can be wrong with a description.

use crate::layer::{ParseCandidateError, ParseFingerprintError};

/// Why a text is not a session description, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ParseError {
    /// The line, counted from 1; the last one when something is missing at the end.
    pub line: usize,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// A limit of [`Limits`](super::Limits) is exceeded.
    #[error("{have} {what}; at most {max} are accepted (Limits::{limit})")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit's name.
        limit: &'static str,
        /// The limit.
        max: usize,
        /// How much there is.
        have: usize,
    },
    /// The line is not a letter, an equals sign and a value.
    #[error("\"{0}\" is not of the form x=value")]
    Form(String),
    /// The line holds a character that no line may hold.
    #[error("a line may hold neither NUL nor a lone carriage return")]
    Character,
    /// A line that has to be there, in this place, is not.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A field is missing.
    #[error("{line}: {field} is missing")]
    Missing {
        /// The kind of line, such as `a=rtpmap`.
        line: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A field has a value that it cannot have.
    #[error("{line}: {field} \"{value}\" is not valid; expected {expected}")]
    Invalid {
        /// The kind of line.
        line: &'static str,
        /// The field.
        field: &'static str,
        /// What stands there, its beginning if it is long.
        value: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// A field is not a number in its range.
    #[error("{line}: {field} \"{value}\" is not a number; expected an integer from 0 to {max}")]
    Number {
        /// The kind of line.
        line: &'static str,
        /// The field.
        field: &'static str,
        /// What stands there, its beginning if it is long.
        value: String,
        /// The most that may stand there.
        max: u64,
    },
    /// A candidate is malformed.
    #[error("a={0}")]
    Candidate(#[from] ParseCandidateError),
    /// A fingerprint is malformed.
    #[error("a=fingerprint: {0}")]
    Fingerprint(#[from] ParseFingerprintError),
}

/// The beginning of a text, for an error message.
pub(super) fn excerpt(text: &str) -> String {
    // A line that is not one may hold the password of one that is.
    let shown = ["ice-pwd", "crypto:"].iter().filter_map(|secret| text.find(secret)).min();
    text[..shown.unwrap_or(text.len())].chars().take(64).collect()
}
