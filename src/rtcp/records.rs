//! Lists of records of one fixed length.

use std::fmt;
use std::marker::PhantomData;

use super::encode::Writer;
use crate::layer::Ssrc;

/// Something that takes the same number of bytes each time.
pub trait Record: Copy {
    /// How many bytes it takes.
    const LEN: usize;

    /// Reads it from exactly [`LEN`](Self::LEN) bytes.
    fn read(bytes: &[u8]) -> Self;

    /// Writes it to exactly [`LEN`](Self::LEN) bytes.
    fn write(&self, out: &mut [u8]);
}

impl Record for Ssrc {
    const LEN: usize = 4;

    fn read(bytes: &[u8]) -> Self {
        Ssrc(bytes.iter().fold(0, |value, &byte| (value << 8) | u32::from(byte)))
    }

    fn write(&self, out: &mut [u8]) {
        out.copy_from_slice(&self.0.to_be_bytes());
    }
}

/// A list of records: the bytes of a packet that was parsed, or the caller's slice of what shall be written.
///
/// Two lists are equal when their records are.
#[derive(Clone, Copy)]
pub struct Records<'a, T> {
    source: Source<'a, T>,
}

#[derive(Clone, Copy)]
enum Source<'a, T> {
    Wire(&'a [u8], PhantomData<T>),
    Slice(&'a [T]),
}

impl<'a, T: Record> Records<'a, T> {
    /// As many records as are whole in `bytes`.
    pub(super) fn from_wire(bytes: &'a [u8]) -> Self {
        let len = bytes.len() - bytes.len() % T::LEN;
        Records { source: Source::Wire(&bytes[..len], PhantomData) }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        match self.source {
            Source::Wire(bytes, _) => bytes.len() / T::LEN,
            Source::Slice(slice) => slice.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The records, in order.
    pub fn iter(&self) -> RecordsIter<'a, T> {
        RecordsIter { source: self.source }
    }

    pub(super) fn encoded_len(&self) -> usize {
        self.len() * T::LEN
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        match self.source {
            Source::Wire(bytes, _) => writer.put(bytes),
            Source::Slice(slice) => slice.iter().for_each(|record| record.write(writer.slot(T::LEN))),
        }
    }
}

impl<T> Default for Records<'_, T> {
    fn default() -> Self {
        Records { source: Source::Slice(&[]) }
    }
}

impl<'a, T> From<&'a [T]> for Records<'a, T> {
    fn from(slice: &'a [T]) -> Self {
        Records { source: Source::Slice(slice) }
    }
}

impl<T: Record + PartialEq> PartialEq for Records<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Record + Eq> Eq for Records<'_, T> {}

impl<T: Record + fmt::Debug> fmt::Debug for Records<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Record> IntoIterator for Records<'a, T> {
    type Item = T;
    type IntoIter = RecordsIter<'a, T>;

    fn into_iter(self) -> RecordsIter<'a, T> {
        self.iter()
    }
}

/// The records of a list, one after the other.
#[derive(Clone)]
pub struct RecordsIter<'a, T> {
    source: Source<'a, T>,
}

impl<T: Record> Iterator for RecordsIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.source {
            Source::Wire(bytes, _) => {
                let (record, rest) = bytes.split_at_checked(T::LEN)?;
                *bytes = rest;
                Some(T::read(record))
            }
            Source::Slice(slice) => {
                let (record, rest) = slice.split_first()?;
                *slice = rest;
                Some(*record)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = Records { source: self.source }.len();
        (len, Some(len))
    }
}

impl<T: Record> ExactSizeIterator for RecordsIter<'_, T> {}

impl<T> fmt::Debug for RecordsIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordsIter").finish_non_exhaustive()
    }
}
