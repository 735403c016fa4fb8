//! The distinguished encoding rules (X.690), as far as certificates go.

use crate::dtls::wire::Malformed;

pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// `[0] EXPLICIT`, constructed.
pub(super) const CONTEXT_0: u8 = 0xa0;

/// Reads values one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct DerReader<'a>(&'a [u8]);

impl<'a> DerReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether the next value has this tag.
    pub(super) fn next_is(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// The content of the next value, which must have this tag.
    pub(super) fn value(&mut self, tag: u8, field: &'static str) -> Result<&'a [u8], Malformed> {
        let malformed = || Malformed(field);
        let (&[found, short], rest) = self.0.split_first_chunk::<2>().ok_or_else(malformed)?;
        if found != tag {
            return Err(malformed());
        }
        let (len, rest) = match short {
            0..=0x7f => (usize::from(short), rest),
            0x81 => rest.split_first().map(|(&a, rest)| (usize::from(a), rest)).ok_or_else(malformed)?,
            0x82 => {
                let (&[a, b], rest) = rest.split_first_chunk().ok_or_else(malformed)?;
                (usize::from(u16::from_be_bytes([a, b])), rest)
            }
            // Handshake messages are shorter than what three bytes of length are for.
            _ => return Err(malformed()),
        };
        let (content, rest) = rest.split_at_checked(len).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(content)
    }

    /// The values inside the next one.
    pub(super) fn inside(&mut self, tag: u8, field: &'static str) -> Result<Self, Malformed> {
        self.value(tag, field).map(Self)
    }
}

/// Appends a value whose content `fill` writes.
pub(super) fn put(out: &mut Vec<u8>, tag: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    fill(&mut content);
    out.push(tag);
    let len = content.len();
    match len {
        ..0x80 => out.push(len as u8),
        0x80..0x100 => out.extend_from_slice(&[0x81, len as u8]),
        _ => {
            debug_assert!(len < 0x1_0000, "a certificate of ours is short");
            out.push(0x82);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&content);
}

/// Appends a value.
pub(super) fn put_bytes(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    put(out, tag, |out| out.extend_from_slice(content));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_round_trip(content in prop::collection::vec(any::<u8>(), 0..700)) {
            let mut out = Vec::new();
            put(&mut out, SEQUENCE, |out| put_bytes(out, BIT_STRING, &content));
            let mut inside = DerReader::new(&out).inside(SEQUENCE, "outer").unwrap();
            prop_assert_eq!(inside.value(BIT_STRING, "inner"), Ok(&content[..]));
        }
    }

    #[test]
    fn wrong_tags_and_lengths_are_refused() {
        for bytes in [&[][..], &[0x30], &[0x31, 0], &[0x30, 1], &[0x30, 0x80], &[0x30, 0x84, 0, 0, 0, 0]] {
            assert_eq!(DerReader::new(bytes).value(SEQUENCE, "x"), Err(Malformed("x")));
        }
    }
}
