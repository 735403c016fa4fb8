//! What stands around the datagrams of a path.

use super::FiveTuple;

/// What stands around each datagram of a path: the header of a relay (TURN, RFC 8656), of a stream
/// that carries datagrams (RFC 4571), or of a record that protects them (RFC 6347 §4.1).
///
/// In front is a head, whose length fields count what follows. Behind the contents may be room for a tail, such as a
/// tag, which the lengths count, and padding, which each length counts or not.
///
/// ```
/// use kaon_rtc::layer::{Envelope, FiveTuple, LengthField, TransmitBatch};
///
/// // A channel of a TURN relay: two bytes of its number, two of the length of what follows.
/// let relay = FiveTuple::udp("192.0.2.1:5000".parse()?, "198.51.100.1:3478".parse()?);
/// let channel = Envelope::new(Some(relay), &[0x40, 0x01, 0, 0], &[LengthField::new(2, 4)])
///     .expect("the head is short and has the field");
///
/// let mut batch = TransmitBatch::new(1200);
/// let mut segments = batch.segments(None, None).within(&channel);
/// assert_eq!(segments.max_datagram(), 1196);
/// segments.datagram().extend_from_slice(b"hello");
/// segments.end_datagram();
/// let transmit = segments.finish().expect("a datagram was written");
/// assert_eq!(transmit.path, Some(relay));
/// assert_eq!(batch.bytes(&transmit), b"\x40\x01\x00\x05hello");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    path: Option<FiveTuple>,
    head: [u8; Self::MAX_HEAD],
    head_len: u8,
    lengths: [Option<LengthField>; Self::MAX_LENGTHS],
    tail: u8,
    alignment: u8,
}

/// A field of two bytes in network order that counts bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthField {
    offset: u8,
    from: u8,
    counts_padding: bool,
}

impl LengthField {
    /// The field at `offset` of the head, which counts from `from` of the head to the end of the contents with their
    /// tail, without padding.
    pub const fn new(offset: u8, from: u8) -> Self {
        Self { offset, from, counts_padding: false }
    }

    /// The same field, which counts padding as well.
    pub const fn with_padding(self) -> Self {
        Self { counts_padding: true, ..self }
    }

    fn range(self) -> std::ops::Range<usize> {
        usize::from(self.offset)..usize::from(self.offset) + 2
    }
}

impl Envelope {
    /// The longest head in bytes: more than that of a TURN Send indication to an IPv6 address.
    pub const MAX_HEAD: usize = 64;
    /// The most length fields: a Send indication has that of the message and that of its DATA attribute.
    pub const MAX_LENGTHS: usize = 2;

    /// An envelope for datagrams that go by `path` (`None`: the path of what is inside) with these bytes in front,
    /// in which `lengths` are filled in. `None` if they are more than [`MAX_HEAD`](Self::MAX_HEAD) and
    /// [`MAX_LENGTHS`](Self::MAX_LENGTHS), or if a length does not stand in the head or counts bytes in front of it.
    pub fn new(path: Option<FiveTuple>, head: &[u8], lengths: &[LengthField]) -> Option<Self> {
        let stands = |field: &LengthField| {
            let (end, from) = (field.range().end, usize::from(field.from));
            end <= head.len() && (end..=head.len()).contains(&from)
        };
        if lengths.len() > Self::MAX_LENGTHS || !lengths.iter().all(stands) {
            return None;
        }
        let mut envelope = Self { path, ..Self::room(head.len(), 0)? };
        envelope.head.get_mut(..head.len())?.copy_from_slice(head);
        for (place, field) in envelope.lengths.iter_mut().zip(lengths) {
            *place = Some(*field);
        }
        Some(envelope)
    }

    /// Room for `head` bytes in front of the contents and `tail` bytes behind, which are zero until somebody fills
    /// them in. `None` for more than [`MAX_HEAD`](Self::MAX_HEAD) or 255 bytes.
    pub fn room(head: usize, tail: usize) -> Option<Self> {
        Some(Self {
            path: None,
            head: [0; Self::MAX_HEAD],
            head_len: u8::try_from(head).ok().filter(|_| head <= Self::MAX_HEAD)?,
            lengths: [None; Self::MAX_LENGTHS],
            tail: u8::try_from(tail).ok()?,
            alignment: 1,
        })
    }

    /// The same envelope with room for `tail` bytes behind the contents.
    pub const fn with_tail(self, tail: u8) -> Self {
        Self { tail, ..self }
    }

    /// The same envelope, whose contents with their tail are padded with zeros to a multiple of `alignment` bytes.
    pub const fn padded_to(self, alignment: u8) -> Self {
        Self { alignment: if alignment == 0 { 1 } else { alignment }, ..self }
    }

    /// The path that the datagrams take; `None` if it is that of what is inside.
    pub const fn path(&self) -> Option<FiveTuple> {
        self.path
    }

    /// The bytes in front of the contents, their length fields not filled in.
    pub fn head(&self) -> &[u8] {
        self.head.get(..self.head_len()).unwrap_or_default()
    }

    /// How many bytes a datagram is longer than what it holds, at most.
    pub const fn overhead(&self) -> usize {
        self.head_len() + self.tail as usize + self.alignment as usize - 1
    }

    /// The longest contents of a datagram of at most `size` bytes.
    pub const fn max_contents(&self, size: usize) -> usize {
        let alignment = self.alignment as usize;
        let padded = size.saturating_sub(self.head_len()) / alignment * alignment;
        padded.saturating_sub(self.tail as usize)
    }

    /// The contents of a datagram with such an envelope, their tail included.
    pub fn contents<'d>(&self, datagram: &'d [u8]) -> &'d [u8] {
        datagram.get(self.contents_range(datagram)).unwrap_or_default()
    }

    /// [`contents`](Self::contents), to be changed in place.
    pub fn contents_mut<'d>(&self, datagram: &'d mut [u8]) -> &'d mut [u8] {
        datagram.get_mut(self.contents_range(datagram)).unwrap_or_default()
    }

    /// One datagram around `contents`.
    pub fn enclose(&self, contents: &[u8]) -> Vec<u8> {
        let mut datagram = Vec::with_capacity(contents.len() + self.overhead());
        self.open(&mut datagram);
        datagram.extend_from_slice(contents);
        self.close(&mut datagram, 0);
        datagram
    }

    /// Where the contents are: up to the end, unless there is padding, which the length that does not count it tells.
    fn contents_range(&self, datagram: &[u8]) -> std::ops::Range<usize> {
        let exact = self.lengths.iter().flatten().find(|field| self.alignment > 1 && !field.counts_padding);
        let end = exact.and_then(|field| {
            let length = datagram.get(field.range())?.try_into().ok()?;
            Some(usize::from(field.from) + usize::from(u16::from_be_bytes(length)))
        });
        self.head_len()..end.unwrap_or(datagram.len())
    }

    pub(super) const fn head_len(&self) -> usize {
        self.head_len as usize
    }

    /// Begins a datagram.
    #[inline]
    pub(super) fn open(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(self.head());
    }

    /// Ends the datagram that stands in `buffer` from `start` on.
    #[inline]
    pub(super) fn close(&self, buffer: &mut Vec<u8>, start: usize) {
        let contents = buffer.len() - start - self.head_len() + usize::from(self.tail);
        let end = self.head_len() + contents;
        let padded = self.head_len() + contents.next_multiple_of(usize::from(self.alignment));
        buffer.resize(start + padded, 0);
        for field in self.lengths.iter().flatten() {
            let counted = if field.counts_padding { padded } else { end } - usize::from(field.from);
            let range = start + field.range().start..start + field.range().end;
            if let Some(place) = buffer.get_mut(range) {
                // No datagram is longer than two bytes can say.
                place.copy_from_slice(&(counted as u16).to_be_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests;
