//! Reading the fields of a line.

use std::str::FromStr;

use super::Reason;
use super::error::excerpt;

/// The fields of a line, separated by spaces.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    line: &'static str,
    rest: &'a str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(line: &'static str, value: &'a str) -> Self {
        Fields { line, rest: value.trim_matches(' ') }
    }

    pub(super) fn text(&mut self, field: &'static str) -> Result<&'a str, Reason> {
        self.optional().ok_or(Reason::Missing { line: self.line, field })
    }

    pub(super) fn optional(&mut self) -> Option<&'a str> {
        let (field, rest) = self.rest.split_once(' ').unwrap_or((self.rest, ""));
        self.rest = rest.trim_start_matches(' ');
        (!field.is_empty()).then_some(field)
    }

    pub(super) fn number<T: TryFrom<u64>>(&mut self, field: &'static str, max: u64) -> Result<T, Reason> {
        let text = self.text(field)?;
        number(self.line, field, text, max)
    }

    pub(super) fn typed<T: FromStr>(
        &mut self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<T, Reason> {
        let text = self.text(field)?;
        text.parse().map_err(|_| self.invalid(field, text, expected))
    }

    /// Everything that was not read.
    pub(super) fn rest(&mut self) -> &'a str {
        std::mem::take(&mut self.rest)
    }

    pub(super) fn end(mut self) -> Result<(), Reason> {
        match self.optional() {
            None => Ok(()),
            Some(more) => Err(self.invalid("end", more, "no further field")),
        }
    }

    pub(super) fn invalid(&self, field: &'static str, value: &str, expected: &'static str) -> Reason {
        Reason::Invalid { line: self.line, field, value: excerpt(value), expected }
    }
}

/// A decimal number from 0 to `max`.
pub(super) fn number<T: TryFrom<u64>>(
    line: &'static str,
    field: &'static str,
    text: &str,
    max: u64,
) -> Result<T, Reason> {
    let value = if text.bytes().all(|b| b.is_ascii_digit()) { text.parse::<u64>().ok() } else { None };
    value
        .filter(|&value| value <= max)
        .and_then(|value| T::try_from(value).ok())
        .ok_or_else(|| Reason::Number { line, field, value: excerpt(text), max })
}
