//! Datagrams to send, in batches.

use std::ops::Range;

use super::{Ecn, FiveTuple};

/// Datagrams to send, in one buffer that the application owns and reuses.
///
/// A layer appends with [`segments`](Self::segments); the application reads with
/// [`bytes`](Self::bytes) or [`datagrams`](Self::datagrams) what a [`Transmit`] describes, sends it, and
/// [`clear`](Self::clear)s the batch. The buffer keeps its capacity, so a steady state allocates nothing.
///
/// ```
/// use kaon_rtc::layer::TransmitBatch;
///
/// let mut batch = TransmitBatch::new(1200);
/// let mut segments = batch.segments(None, None);
/// for payload in [[1u8; 100], [2; 100]] {
///     segments.datagram().extend_from_slice(&payload);
///     segments.end_datagram();
/// }
/// let transmit = segments.finish().expect("two datagrams were written");
/// assert_eq!(transmit.segment_size, 100);
/// assert_eq!(batch.datagrams(&transmit).count(), 2);
/// ```
#[derive(Debug)]
pub struct TransmitBatch {
    buffer: Vec<u8>,
    max_datagram: usize,
    max_segments: usize,
}

impl TransmitBatch {
    /// The number of segments that one [`Transmit`] holds at most unless told otherwise: what Linux takes in
    /// one UDP_SEGMENT send.
    pub const DEFAULT_MAX_SEGMENTS: usize = 64;

    /// The bytes that one [`Transmit`] holds at most: what one UDP_SEGMENT send carries over IPv4.
    const MAX_TRANSMIT: usize = 65_507;

    /// How many datagrams of `size` bytes one [`Transmit`] holds at most unless told otherwise: 1 to
    /// [`DEFAULT_MAX_SEGMENTS`](Self::DEFAULT_MAX_SEGMENTS).
    pub fn max_datagrams(size: usize) -> usize {
        (Self::MAX_TRANSMIT / size.max(1)).clamp(1, Self::DEFAULT_MAX_SEGMENTS)
    }

    /// A batch whose datagrams are at most `max_datagram` bytes of UDP payload. It bounds what a layer may split as it
    /// likes, such as the flights of a DTLS handshake. What has a size already, such as RTP, is dropped if it is
    /// longer; layers with a size of their own keep to that (`mtu` and `max_rtp_datagram` of a session, `mtu` of
    /// SCTP), and the batch should have room for it. A layer with path MTU discovery of its own may append larger
    /// probes.
    pub fn new(max_datagram: usize) -> Self {
        Self { buffer: Vec::new(), max_datagram, max_segments: Self::DEFAULT_MAX_SEGMENTS }
    }

    /// The same batch with at most `max_segments` datagrams to one [`Transmit`]; 1 where the socket has no
    /// segmentation offload.
    pub fn with_max_segments(mut self, max_segments: usize) -> Self {
        self.max_segments = max_segments.max(1);
        self
    }

    /// The size of the largest datagram, in bytes of UDP payload.
    pub fn max_datagram(&self) -> usize {
        self.max_datagram
    }

    /// Begins a run of datagrams for `path` (`None`: the one path of the layer below) marked with `ecn`.
    pub fn segments(&mut self, path: Option<FiveTuple>, ecn: Option<Ecn>) -> Segments<'_> {
        let start = self.buffer.len();
        Segments { batch: self, path, ecn, start, datagram: start, segment_size: 0, closed: false }
    }

    /// The bytes of all segments of `transmit`; empty if it is not of this batch.
    pub fn bytes(&self, transmit: &Transmit) -> &[u8] {
        self.buffer.get(transmit.range.clone()).unwrap_or_default()
    }

    /// Each datagram of `transmit`.
    pub fn datagrams(&self, transmit: &Transmit) -> impl ExactSizeIterator<Item = &[u8]> {
        self.bytes(transmit).chunks(transmit.segment_size.max(1))
    }

    /// Each datagram of `transmit`, to be changed in place.
    pub fn datagrams_mut(&mut self, transmit: &Transmit) -> impl ExactSizeIterator<Item = &mut [u8]> {
        self.buffer
            .get_mut(transmit.range.clone())
            .unwrap_or_default()
            .chunks_mut(transmit.segment_size.max(1))
    }

    /// The number of bytes in the batch.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether the batch holds no datagram.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Forgets all datagrams and keeps the memory.
    pub fn clear(&mut self) {
        self.buffer.clear();
    }
}

/// A run of datagrams in a [`TransmitBatch`] that go the same way: where they are and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The path to send on; `None` means the one path of the layer below.
    pub path: Option<FiveTuple>,
    /// The ECN mark to send with.
    pub ecn: Option<Ecn>,
    /// The size of each datagram but the last, which may be shorter.
    pub segment_size: usize,
    range: Range<usize>,
}

impl Transmit {
    /// The number of bytes of all segments.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there is nothing to send; never so for a transmit that a layer returned.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }
}

/// Writes a run of datagrams that one segmented send can carry: all of the size of the first, only the last
/// may be shorter.
///
/// What was begun and not ended when this is dropped or [finished](Self::finish) is taken back.
#[derive(Debug)]
pub struct Segments<'a> {
    batch: &'a mut TransmitBatch,
    path: Option<FiveTuple>,
    ecn: Option<Ecn>,
    start: usize,
    datagram: usize,
    segment_size: usize,
    closed: bool,
}

impl Segments<'_> {
    /// The buffer to append the current datagram to. Bytes before [`datagram_start`](Self::datagram_start)
    /// belong to earlier datagrams.
    pub fn datagram(&mut self) -> &mut Vec<u8> {
        &mut self.batch.buffer
    }

    /// Where the current datagram begins in the buffer.
    pub fn datagram_start(&self) -> usize {
        self.datagram
    }

    /// The largest size that the next datagram may have: the batch's maximum at first, then the size of the
    /// first datagram.
    pub fn max_datagram(&self) -> usize {
        if self.segment_size == 0 { self.batch.max_datagram } else { self.segment_size }
    }

    /// Whether no datagram was ended yet.
    pub fn is_empty(&self) -> bool {
        self.datagram == self.start
    }

    /// Whether another datagram may be appended.
    pub fn has_room(&self) -> bool {
        let written = self.datagram - self.start;
        !self.closed
            && (self.segment_size == 0
                || (written / self.segment_size < self.batch.max_segments
                    && written + self.segment_size <= TransmitBatch::MAX_TRANSMIT))
    }

    /// Ends the current datagram and says whether another may follow. An empty one is no datagram. One that
    /// may not follow the earlier ones, because it is longer than the first or because one before it was
    /// shorter, is taken back.
    pub fn end_datagram(&mut self) -> bool {
        let size = self.batch.buffer.len() - self.datagram;
        if size == 0 {
            return self.has_room();
        }
        if self.closed || (self.segment_size != 0 && size > self.segment_size) {
            self.batch.buffer.truncate(self.datagram);
            self.closed = true;
            return false;
        }
        if self.segment_size == 0 {
            self.segment_size = size;
        }
        self.closed = size < self.segment_size;
        self.datagram = self.batch.buffer.len();
        self.has_room()
    }

    /// Takes back what was written of the current datagram.
    pub fn abandon_datagram(&mut self) {
        self.batch.buffer.truncate(self.datagram);
    }

    /// The transmit that describes the datagrams; `None` if there are none.
    pub fn finish(self) -> Option<Transmit> {
        (self.datagram > self.start).then_some(Transmit {
            path: self.path,
            ecn: self.ecn,
            segment_size: self.segment_size,
            range: self.start..self.datagram,
        })
    }
}

impl Drop for Segments<'_> {
    fn drop(&mut self) {
        self.batch.buffer.truncate(self.datagram);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(segments: &mut Segments<'_>, size: usize) -> bool {
        let end = segments.datagram().len() + size;
        segments.datagram().resize(end, 7);
        segments.end_datagram()
    }

    #[test]
    fn segments_are_equal_but_the_last() {
        let mut batch = TransmitBatch::new(1200);
        let mut segments = batch.segments(None, Some(Ecn::Ect0));
        assert!(write(&mut segments, 10));
        assert_eq!(segments.max_datagram(), 10);
        assert!(write(&mut segments, 10));
        assert!(!write(&mut segments, 4), "a shorter datagram is the last");
        assert!(!write(&mut segments, 4), "and nothing follows it");
        let transmit = segments.finish().unwrap();
        assert_eq!(batch.datagrams(&transmit).map(<[u8]>::len).collect::<Vec<_>>(), [10, 10, 4]);
        assert_eq!(batch.len(), 24);
    }

    #[test]
    fn a_longer_datagram_is_taken_back() {
        let mut batch = TransmitBatch::new(1200);
        let mut segments = batch.segments(None, None);
        assert!(write(&mut segments, 10));
        assert!(!write(&mut segments, 11));
        assert_eq!(segments.finish().unwrap().len(), 10);
        assert_eq!(batch.len(), 10);
    }

    #[test]
    fn unfinished_datagrams_are_taken_back() {
        let mut batch = TransmitBatch::new(1200);
        let mut segments = batch.segments(None, None);
        segments.datagram().extend_from_slice(b"begun");
        assert_eq!(segments.finish(), None);
        assert!(batch.is_empty());
    }

    #[test]
    fn a_run_ends_at_the_segment_limit() {
        let mut batch = TransmitBatch::new(1200).with_max_segments(3);
        let mut segments = batch.segments(None, None);
        assert!(write(&mut segments, 5));
        assert!(write(&mut segments, 5));
        assert!(!write(&mut segments, 5));
    }

    #[test]
    fn a_run_fits_one_udp_send() {
        let mut batch = TransmitBatch::new(9000);
        let mut segments = batch.segments(None, None);
        while write(&mut segments, 9000) {}
        assert_eq!(segments.finish().unwrap().len(), 63_000);
    }

    #[test]
    fn a_transmit_of_another_batch_reads_as_nothing() {
        let mut batch = TransmitBatch::new(1200);
        let mut segments = batch.segments(None, None);
        write(&mut segments, 5);
        let transmit = segments.finish().unwrap();
        assert!(TransmitBatch::new(1200).bytes(&transmit).is_empty());
    }
}
