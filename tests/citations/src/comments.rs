//! The comments of a file, which a parser of Rust throws away.

/// Comments on lines that follow each other, as one text without their markers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Comment {
    pub(crate) kind: Kind,
    /// Counted from one.
    pub(crate) first_line: usize,
    pub(crate) last_line: usize,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `//!`
    Head,
    /// `///`
    Documentation,
    /// `//` on lines of its own, and `/* */`
    Plain,
    /// `//` behind code.
    Trailing,
}

/// All comments of `text`, in order.
pub(crate) fn comments(text: &str) -> Vec<Comment> {
    let mut found: Vec<Comment> = Vec::new();
    let mut lexer = Lexer { rest: text, line: 1, is_code_before: false };
    while let Some(comment) = lexer.next_comment() {
        match found.last_mut() {
            Some(last) if continues(last, &comment) => {
                last.last_line = comment.last_line;
                last.text.push(' ');
                last.text += &comment.text;
            }
            _ => found.push(comment),
        }
    }
    found
}

fn continues(last: &Comment, next: &Comment) -> bool {
    last.kind == next.kind && last.kind != Kind::Trailing && last.last_line + 1 == next.first_line
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    /// Whether something stands before the rest on its line.
    is_code_before: bool,
}

impl Lexer<'_> {
    fn next_comment(&mut self) -> Option<Comment> {
        while let Some(first) = self.rest.chars().next() {
            if self.rest.starts_with("//") {
                return Some(self.line_comment());
            } else if self.rest.starts_with("/*") {
                return Some(self.block_comment());
            } else if let Some(hashes) = raw_string(self.rest) {
                let end = format!("\"{}", "#".repeat(hashes));
                let opening = self.rest.find('"').unwrap_or_default() + 1;
                let len =
                    self.rest[opening..].find(&end).map_or(self.rest.len(), |at| opening + at + end.len());
                self.code(len);
            } else if first == '"' {
                self.code(quoted(self.rest, '"'));
            } else if first == '\'' && is_character(self.rest) {
                self.code(quoted(self.rest, '\''));
            } else if first.is_alphanumeric() || first == '_' {
                let word = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                self.code(word.unwrap_or(self.rest.len()));
            } else {
                self.code(first.len_utf8());
            }
        }
        None
    }

    fn line_comment(&mut self) -> Comment {
        let line = self.rest.split('\n').next().unwrap_or_default();
        let (marker, kind) = match self.is_code_before {
            true => ("//", Kind::Trailing),
            false if line.starts_with("//!") => ("//!", Kind::Head),
            false if line.starts_with("///") && !line.starts_with("////") => ("///", Kind::Documentation),
            false => ("//", Kind::Plain),
        };
        let text = line[marker.len()..].trim().to_owned();
        let comment = Comment { kind, first_line: self.line, last_line: self.line, text };
        self.code(line.len());
        comment
    }

    fn block_comment(&mut self) -> Comment {
        let mut depth = 0;
        let mut len = 0;
        loop {
            let rest = &self.rest[len..];
            if rest.starts_with("/*") {
                (depth, len) = (depth + 1, len + 2);
            } else if rest.starts_with("*/") {
                (depth, len) = (depth - 1, len + 2);
            } else {
                len += rest.chars().next().map_or(0, char::len_utf8);
            }
            if depth == 0 || len == self.rest.len() {
                break;
            }
        }
        let text = self.rest[..len].trim_matches(['/', '*', ' ', '\n']).to_owned();
        let first_line = self.line;
        self.code(len);
        Comment { kind: Kind::Plain, first_line, last_line: self.line, text }
    }

    /// Goes on behind `len` bytes.
    fn code(&mut self, len: usize) {
        let (passed, rest) = self.rest.split_at(len);
        self.line += passed.matches('\n').count();
        let on_line = passed.rsplit('\n').next().unwrap_or_default();
        self.is_code_before = !on_line.trim().is_empty() || (self.is_code_before && !passed.contains('\n'));
        self.rest = rest;
    }
}

/// How many `#` a raw string has that `text` begins with.
fn raw_string(text: &str) -> Option<usize> {
    let text = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = text.len() - text.trim_start_matches('#').len();
    text[hashes..].starts_with('"').then_some(hashes)
}

/// The length of what begins with the mark `mark` and ends with the next one that is not escaped.
fn quoted(text: &str, mark: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if !is_escaped && character == mark {
            return at + character.len_utf8();
        }
        is_escaped = !is_escaped && character == '\\';
    }
    text.len()
}

/// Whether an apostrophe begins a character, not a lifetime.
fn is_character(text: &str) -> bool {
    let mut characters = text.chars().skip(1);
    matches!((characters.next(), characters.next()), (Some('\\'), _) | (Some(_), Some('\'')))
}
