//! The presentation language of TLS (RFC 5246 §4): reading and writing integers and vectors.

/// A message that is not what its format says: which field was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Reads from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed(field))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed(field))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, Malformed> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, Malformed> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self, field: &'static str) -> Result<u32, Malformed> {
        self.array(field).map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// A vector whose length is written in one byte.
    pub(crate) fn vector8(&mut self, field: &'static str) -> Result<&'a [u8], Malformed> {
        let len = self.u8(field)?;
        self.take(len.into(), field)
    }

    /// A vector whose length is written in two bytes.
    pub(crate) fn vector16(&mut self, field: &'static str) -> Result<&'a [u8], Malformed> {
        let len = self.u16(field)?;
        self.take(len.into(), field)
    }

    /// A vector whose length is written in three bytes.
    pub(crate) fn vector24(&mut self, field: &'static str) -> Result<&'a [u8], Malformed> {
        let len = self.u24(field)?;
        self.take(len as usize, field)
    }

    /// Ends the reading: nothing may be left.
    pub(crate) fn end(self, field: &'static str) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed(field)) }
    }
}

/// A vector of 16-bit numbers: suites, groups, schemes, versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct U16List<'a>(&'a [u8]);

impl<'a> U16List<'a> {
    pub(crate) fn new(bytes: &'a [u8], field: &'static str) -> Result<Self, Malformed> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(2) {
            Err(Malformed(field))
        } else {
            Ok(Self(bytes))
        }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u16> + 'a {
        self.0.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair))
    }

    pub(crate) fn contains(self, number: u16) -> bool {
        self.iter().any(|n| n == number)
    }
}

pub(crate) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_u24(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes()[1..]);
}

/// A vector whose length is written in one byte; `fill` writes at most 255 bytes.
pub(crate) fn put_vector8(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    put_vector::<1>(out, fill);
}

/// A vector whose length is written in two bytes; `fill` writes at most 65,535 bytes.
pub(crate) fn put_vector16(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    put_vector::<2>(out, fill);
}

/// A vector whose length is written in three bytes; `fill` writes less than 16 MiB.
pub(crate) fn put_vector24(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    put_vector::<3>(out, fill);
}

fn put_vector<const WIDTH: usize>(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; WIDTH]);
    fill(out);
    let len = out.len() - start - WIDTH;
    debug_assert!(len >> (8 * WIDTH) == 0, "a vector longer than its length field can say");
    let bytes = (len as u32).to_be_bytes();
    out[start..start + WIDTH].copy_from_slice(&bytes[4 - WIDTH..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_round_trip() {
        let mut out = Vec::new();
        put_vector8(&mut out, |out| out.extend_from_slice(b"a"));
        put_vector16(&mut out, |out| put_vector24(out, |out| out.extend_from_slice(b"bcd")));
        let mut reader = Reader::new(&out);
        assert_eq!(reader.vector8("a"), Ok(&b"a"[..]));
        let mut inner = Reader::new(reader.vector16("b").unwrap());
        assert_eq!(inner.vector24("c"), Ok(&b"bcd"[..]));
        assert_eq!(inner.end("c"), Ok(()));
        assert!(reader.is_empty());
    }

    #[test]
    fn a_length_beyond_the_input_names_the_field() {
        assert_eq!(Reader::new(&[5, 1]).vector8("cookie"), Err(Malformed("cookie")));
        assert_eq!(Reader::new(&[1]).u16("suite"), Err(Malformed("suite")));
        assert_eq!(Reader::new(&[1]).end("end"), Err(Malformed("end")));
        assert_eq!(U16List::new(&[1, 2, 3], "list"), Err(Malformed("list")));
        assert_eq!(U16List::new(&[], "list"), Err(Malformed("list")));
    }
}
