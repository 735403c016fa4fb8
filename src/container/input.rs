//! A source of bytes that knows where it is.

use std::io::{self, Read};

use super::ReadError;

/// Reads parts of a file and counts the offset.
#[derive(Debug)]
pub(super) struct Input<R> {
    source: R,
    offset: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R) -> Self {
        Input { source, offset: 0 }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// What is wrong, at the place reached.
    pub(super) fn malformed(&self, reason: &'static str) -> ReadError {
        ReadError::Malformed { offset: self.offset, reason }
    }

    /// Some bytes at the beginning of `out`, as many as the source has at hand; 0 at the end of the file.
    pub(super) fn some(&mut self, out: &mut [u8]) -> Result<usize, ReadError> {
        loop {
            match self.source.read(out) {
                Ok(read) => {
                    self.offset += read as u64;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(ReadError::Io { offset: self.offset, source }),
            }
        }
    }

    /// `N` bytes, or `None` when the file ends before the first.
    pub(super) fn array_or_end<const N: usize>(
        &mut self,
        part: &'static str,
    ) -> Result<Option<[u8; N]>, ReadError> {
        let mut out = [0; N];
        let mut filled = 0;
        while filled < N {
            match self.some(&mut out[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(self.truncated(part)),
                read => filled += read,
            }
        }
        Ok(Some(out))
    }

    /// `N` bytes.
    pub(super) fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], ReadError> {
        self.array_or_end(part)?.ok_or_else(|| self.truncated(part))
    }

    /// Appends `len` bytes to `out`, whose memory grows as bytes come and not as they are claimed.
    pub(super) fn append(
        &mut self,
        out: &mut Vec<u8>,
        len: usize,
        part: &'static str,
    ) -> Result<(), ReadError> {
        let offset = self.offset;
        let read = (&mut self.source).take(len as u64).read_to_end(out);
        let read = read.map_err(|source| ReadError::Io { offset, source })?;
        self.offset += read as u64;
        if read < len { Err(self.truncated(part)) } else { Ok(()) }
    }

    /// Passes over `len` bytes.
    pub(super) fn skip(&mut self, len: u64, part: &'static str) -> Result<(), ReadError> {
        let offset = self.offset;
        let skipped = io::copy(&mut (&mut self.source).take(len), &mut io::sink());
        let skipped = skipped.map_err(|source| ReadError::Io { offset, source })?;
        self.offset += skipped;
        if skipped < len { Err(self.truncated(part)) } else { Ok(()) }
    }

    fn truncated(&self, part: &'static str) -> ReadError {
        ReadError::Truncated { offset: self.offset, part }
    }
}
