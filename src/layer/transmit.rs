//! Datagrams to send, in batches.

use std::ops::Range;

use super::envelope::Envelope;
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
    /// What stands around the datagrams that are written now, the outermost first.
    envelopes: Vec<Envelope>,
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
        Self {
            buffer: Vec::new(),
            max_datagram,
            max_segments: Self::DEFAULT_MAX_SEGMENTS,
            envelopes: Vec::new(),
        }
    }

    /// The same batch with at most `max_segments` datagrams to one [`Transmit`]; 1 where the socket has no
    /// segmentation offload.
    pub fn with_max_segments(mut self, max_segments: usize) -> Self {
        self.max_segments = max_segments.max(1);
        self
    }

    /// The size of the largest datagram, in bytes of UDP payload, or of the largest contents while it is written
    /// [`within`](Self::within) an envelope.
    pub fn max_datagram(&self) -> usize {
        self.max_contents(self.max_datagram)
    }

    /// Has `write` append runs of datagrams within an envelope: whatever [`segments`](Self::segments) it opens. For
    /// layers that know nothing of what stands around their datagrams; who does says so of the run,
    /// [`Segments::within`]. Envelopes stand in each other, the first one outermost.
    #[inline]
    pub fn within<T>(&mut self, envelope: &Envelope, write: impl FnOnce(&mut Self) -> T) -> T {
        self.envelopes.push(*envelope);
        let result = write(self);
        self.envelopes.pop();
        result
    }

    /// Has `write` append datagrams of at most `max_datagram` bytes, all envelopes included, in place of the size of the
    /// batch.
    #[inline]
    pub fn sized<T>(&mut self, max_datagram: usize, write: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.max_datagram, max_datagram);
        let result = write(self);
        self.max_datagram = before;
        result
    }

    /// The longest contents of a datagram of `size` bytes.
    #[inline]
    fn max_contents(&self, size: usize) -> usize {
        self.envelopes.iter().fold(size, |size, envelope| envelope.max_contents(size))
    }

    /// Begins a run of datagrams for `path` (`None`: the one path of the layer below) marked with `ecn`.
    pub fn segments(&mut self, path: Option<FiveTuple>, ecn: Option<Ecn>) -> Segments<'_> {
        let start = self.buffer.len();
        let mut segments = Segments {
            batch: self,
            path,
            ecn,
            start,
            datagram: start,
            segment_size: 0,
            closed: false,
            head: 0,
            own: 0,
        };
        segments.open_datagram();
        segments
    }

    /// Goes on with a run that was the last one written, for datagrams that go the same way and came later. To be tried
    /// with [`may_follow`](Self::may_follow) before; a run of which this is not so begins anew behind it.
    pub fn resume(&mut self, transmit: Transmit) -> Segments<'_> {
        debug_assert!(transmit.range.end == self.buffer.len() && self.envelopes.is_empty());
        let mut segments = self.segments(transmit.path, transmit.ecn);
        segments.start = transmit.range.start;
        segments.segment_size = transmit.segment_size;
        segments
    }

    /// Whether a datagram of `len` bytes may follow a run as one of its own: the run was the last one written, has room,
    /// and all of its datagrams are equal, none of them shorter.
    pub fn may_follow(&self, transmit: &Transmit, len: usize) -> bool {
        let (written, size) = (transmit.len(), transmit.segment_size);
        transmit.range.end == self.buffer.len()
            && self.envelopes.is_empty()
            && (1..=size).contains(&len)
            && written.is_multiple_of(size)
            && written / size < self.max_segments
            && written + size <= Self::MAX_TRANSMIT
    }

    /// Takes back a run that was the last one written.
    pub fn take_back(&mut self, transmit: &Transmit) {
        if transmit.range.end == self.buffer.len() {
            self.buffer.truncate(transmit.range.start);
        }
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
    /// One datagram without contents, which stands in no batch.
    pub fn empty_datagram(path: FiveTuple, ecn: Option<Ecn>) -> Self {
        Self { path: Some(path), ecn, segment_size: 0, range: 0..0 }
    }

    /// The number of bytes of all segments.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether it is one [datagram without contents](Self::empty_datagram): of layers, a relay alone returns such.
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
    /// The bytes in front of the contents of a datagram.
    head: usize,
    /// How many of the batch's envelopes, from the innermost on, are of this run.
    own: usize,
}

impl Segments<'_> {
    /// The same run with an envelope around each datagram: [`datagram`](Self::datagram) opens behind its head, and
    /// [`end_datagram`](Self::end_datagram) fills in its lengths and its padding. It is inside of those that were there
    /// before. To be said before the first datagram is written.
    pub fn within(mut self, envelope: &Envelope) -> Self {
        self.batch.buffer.truncate(self.datagram);
        self.batch.envelopes.push(*envelope);
        self.own += 1;
        self.open_datagram();
        self
    }

    #[inline]
    fn open_datagram(&mut self) {
        let TransmitBatch { buffer, envelopes, .. } = &mut *self.batch;
        envelopes.iter().for_each(|envelope| envelope.open(buffer));
        self.head = buffer.len() - self.datagram;
    }

    #[inline]
    fn close_datagram(&mut self) {
        let TransmitBatch { buffer, envelopes, .. } = &mut *self.batch;
        let mut start = self.datagram + self.head;
        for envelope in envelopes.iter().rev() {
            start -= envelope.head_len();
            envelope.close(buffer, start);
        }
    }

    /// The buffer to append the current datagram to. Bytes before [`datagram_start`](Self::datagram_start)
    /// belong to earlier datagrams.
    pub fn datagram(&mut self) -> &mut Vec<u8> {
        &mut self.batch.buffer
    }

    /// Where the current datagram begins in the buffer, behind the heads of its envelopes.
    pub fn datagram_start(&self) -> usize {
        self.datagram + self.head
    }

    /// The largest size that the next datagram may have, without what stands around it: the batch's maximum at first,
    /// then the size of the first datagram.
    pub fn max_datagram(&self) -> usize {
        let size = if self.segment_size == 0 { self.batch.max_datagram } else { self.segment_size };
        self.batch.max_contents(size)
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
    /// shorter, is taken back, and so is one that no UDP datagram can be, of more than 65507 bytes.
    pub fn end_datagram(&mut self) -> bool {
        if self.batch.buffer.len() == self.datagram + self.head {
            return self.has_room();
        }
        self.close_datagram();
        let size = self.batch.buffer.len() - self.datagram;
        // What no datagram can be, no length field can say either.
        if self.closed
            || size > TransmitBatch::MAX_TRANSMIT
            || (self.segment_size != 0 && size > self.segment_size)
        {
            self.closed = true;
            self.abandon_datagram();
            return false;
        }
        if self.segment_size == 0 {
            self.segment_size = size;
        }
        self.closed = size < self.segment_size;
        self.datagram = self.batch.buffer.len();
        self.open_datagram();
        self.has_room()
    }

    /// Takes back what was written of the current datagram.
    pub fn abandon_datagram(&mut self) {
        self.batch.buffer.truncate(self.datagram);
        self.open_datagram();
    }

    /// The transmit that describes the datagrams; `None` if there are none.
    pub fn finish(self) -> Option<Transmit> {
        (self.datagram > self.start).then_some(Transmit {
            path: self.batch.envelopes.iter().find_map(Envelope::path).or(self.path),
            ecn: self.ecn,
            segment_size: self.segment_size,
            range: self.start..self.datagram,
        })
    }
}

impl Drop for Segments<'_> {
    fn drop(&mut self) {
        self.batch.buffer.truncate(self.datagram);
        let outer = self.batch.envelopes.len() - self.own;
        self.batch.envelopes.truncate(outer);
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
    fn a_run_goes_on_with_what_may_follow() {
        let mut batch = TransmitBatch::new(1200).with_max_segments(4);
        let mut segments = batch.segments(None, None);
        write(&mut segments, 10);
        let mut run = segments.finish().unwrap();
        for (len, may_follow) in [(0, false), (11, false), (10, true), (10, true), (4, true), (4, false)] {
            assert_eq!(batch.may_follow(&run, len), may_follow, "{len} behind {run:?}");
            if may_follow {
                let mut segments = batch.resume(run);
                write(&mut segments, len);
                run = segments.finish().unwrap();
            }
        }
        assert_eq!(batch.datagrams(&run).map(<[u8]>::len).collect::<Vec<_>>(), [10, 10, 10, 4]);
        let mut segments = batch.segments(None, None);
        write(&mut segments, 10);
        drop(segments);
        assert!(!batch.may_follow(&run, 4), "another run stands behind it");
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
