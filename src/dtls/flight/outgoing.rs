//! Flights of this side, RFC 6347 §4.2.4.

use std::fmt;

use crate::dtls::handshake::{HANDSHAKE_HEADER_LEN, HandshakeHeader, HandshakeType, MessageSeq};
use crate::dtls::record::{ContentType, Epoch, MAX_PLAINTEXT, SequenceExhausted, WriteEpochs};
use crate::layer::{Transmit, TransmitBatch};

/// The smallest datagram that flights are cut to: some room for content behind the headers of a fragment.
/// Smaller limits of a batch are exceeded.
const MIN_DATAGRAM: usize = 96;

/// A fragment is not begun behind other records when it would hold less than this of its message.
const MIN_FRAGMENT: usize = 32;

/// The messages that are sent together. Kept whole, and cut into fragments and records anew each time they
/// are sent: a record number is never used twice (RFC 6347 §4.2.4).
#[derive(Default)]
pub(crate) struct Flight {
    /// Messages with their headers, one after the other.
    bytes: Vec<u8>,
    items: Vec<Item>,
    expects_answer: bool,
    number: u32,
    /// Where handing out stands: an item, and an offset into its body.
    item: usize,
    offset: usize,
}

#[derive(Debug)]
enum Item {
    ChangeCipherSpec,
    Message { epoch: Epoch, header: HandshakeHeader, body: usize },
}

impl Flight {
    /// Begins a new flight in place of the old one.
    pub(crate) fn begin(&mut self, expects_answer: bool) {
        self.bytes.clear();
        self.items.clear();
        self.expects_answer = expects_answer;
        self.number += 1;
        self.rewind();
    }

    /// Adds a message whose body `fill` writes, and returns it with its header.
    pub(crate) fn push(
        &mut self,
        epoch: Epoch,
        kind: HandshakeType,
        seq: MessageSeq,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> &[u8] {
        let start = self.bytes.len();
        let body = start + HANDSHAKE_HEADER_LEN;
        HandshakeHeader::whole(kind, seq, 0).put(&mut self.bytes);
        fill(&mut self.bytes);
        let length = (self.bytes.len() - body) as u32;
        let header = HandshakeHeader::whole(kind, seq, length);
        let mut encoded = Vec::with_capacity(HANDSHAKE_HEADER_LEN);
        header.put(&mut encoded);
        self.bytes[start..body].copy_from_slice(&encoded);
        self.items.push(Item::Message { epoch, header, body });
        &self.bytes[start..]
    }

    pub(crate) fn push_change_cipher_spec(&mut self) {
        self.items.push(Item::ChangeCipherSpec);
    }

    /// How many flights were begun.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Hands all of it out again.
    pub(crate) fn rewind(&mut self) {
        self.item = 0;
        self.offset = 0;
    }

    /// Whether all of it was handed out.
    pub(crate) fn is_sent(&self) -> bool {
        self.item >= self.items.len()
    }

    /// Whether there is a flight, and the peer has to answer it.
    pub(crate) fn expects_answer(&self) -> bool {
        self.expects_answer && !self.items.is_empty()
    }

    /// Appends the next datagrams, as few as `max_datagram` and the batch's own size allow.
    pub(crate) fn write(
        &mut self,
        epochs: &mut WriteEpochs,
        max_datagram: usize,
        out: &mut TransmitBatch,
    ) -> Result<Option<Transmit>, SequenceExhausted> {
        if self.is_sent() {
            return Ok(None);
        }
        let mut segments = out.segments(None, None);
        let mut limit = segments.max_datagram().min(max_datagram).max(MIN_DATAGRAM);
        loop {
            let start = segments.datagram_start();
            self.write_datagram(epochs, segments.datagram(), start, limit)?;
            // What is left may need a longer datagram than the first, and begins the next run then.
            let is_empty = segments.datagram().len() == start;
            if is_empty || !segments.end_datagram() || self.is_sent() {
                break;
            }
            limit = segments.max_datagram();
        }
        Ok(segments.finish())
    }

    fn write_datagram(
        &mut self,
        epochs: &mut WriteEpochs,
        out: &mut Vec<u8>,
        start: usize,
        limit: usize,
    ) -> Result<(), SequenceExhausted> {
        while let Some(item) = self.items.get(self.item) {
            let room = limit.saturating_sub(out.len() - start);
            match *item {
                Item::ChangeCipherSpec => {
                    if room < epochs.overhead(Epoch::PLAINTEXT) + 1 {
                        return Ok(());
                    }
                    epochs.write(Epoch::PLAINTEXT, ContentType::ChangeCipherSpec, out, |out| out.push(1))?;
                    self.item += 1;
                }
                Item::Message { epoch, header, body } => {
                    let length = header.length as usize;
                    let left = length - self.offset;
                    let headers = epochs.overhead(epoch) + HANDSHAKE_HEADER_LEN;
                    let Some(fits) = room.checked_sub(headers) else { return Ok(()) };
                    // RFC 6347 §4.1: whatever a datagram holds, a record holds no more than this.
                    let fits = fits.min(MAX_PLAINTEXT - HANDSHAKE_HEADER_LEN);
                    if fits < left && fits < MIN_FRAGMENT {
                        return Ok(());
                    }
                    let fragment_length = left.min(fits);
                    let begin = body + self.offset;
                    let bytes = &self.bytes[begin..begin + fragment_length];
                    let header = HandshakeHeader {
                        fragment_offset: self.offset as u32,
                        fragment_length: fragment_length as u32,
                        ..header
                    };
                    epochs.write(epoch, ContentType::Handshake, out, |out| {
                        header.put(out);
                        out.extend_from_slice(bytes);
                    })?;
                    self.offset += fragment_length;
                    if self.offset == length {
                        self.item += 1;
                        self.offset = 0;
                    }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Flight {
    // Without the bytes, which hold the content of a protected Finished.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight")
            .field("items", &self.items)
            .field("expects_answer", &self.expects_answer)
            .field("item", &self.item)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dtls::handshake::{Accepted, Fragment, Reassembler, ReassemblyLimits};
    use crate::dtls::record::{Record, SequenceNumber};
    use crate::dtls::wire::Reader;

    const LIMITS: ReassemblyLimits =
        ReassemblyLimits { message: 1 << 16, messages: 20, bytes: 1 << 20, pieces: 1000 };

    fn send(flight: &mut Flight, epochs: &mut WriteEpochs, max_datagram: usize) -> Vec<Vec<u8>> {
        let mut batch = TransmitBatch::new(max_datagram);
        let mut datagrams = Vec::new();
        while let Some(transmit) = flight.write(epochs, usize::MAX, &mut batch).unwrap() {
            datagrams.extend(batch.datagrams(&transmit).map(<[u8]>::to_vec));
        }
        datagrams
    }

    proptest! {
        #[test]
        fn any_sizes_arrive_whole(
            lengths in prop::collection::vec(0usize..3000, 1..6),
            max_datagram in 1usize..2000,
        ) {
            let mut epochs = WriteEpochs::new(SequenceNumber(0));
            let mut flight = Flight::default();
            flight.begin(true);
            for (seq, length) in lengths.iter().enumerate() {
                let seq = MessageSeq(seq as u16);
                flight.push(Epoch::PLAINTEXT, HandshakeType::Certificate, seq, |out| {
                    out.extend((0..*length).map(|i| i as u8));
                });
                if seq.0 == 1 {
                    flight.push_change_cipher_spec();
                }
            }
            let mut last = None;
            for _ in 0..2 {
                let mut reassembler = Reassembler::new(LIMITS, MessageSeq(0));
                let mut received = Vec::new();
                for mut datagram in send(&mut flight, &mut epochs, max_datagram) {
                    prop_assert!(datagram.len() <= max_datagram.max(MIN_DATAGRAM));
                    let mut rest = &mut datagram[..];
                    while !rest.is_empty() {
                        let (record, tail) = Record::split(rest).unwrap();
                        prop_assert!(last.is_none_or(|last| record.sequence > last), "a number used twice");
                        last = Some(record.sequence);
                        if record.content_type == ContentType::Handshake {
                            let fragment = Fragment::read(&mut Reader::new(record.fragment)).unwrap();
                            match reassembler.accept(fragment) {
                                Accepted::Whole { body, .. } => received.push(body.to_vec()),
                                Accepted::Stored => {}
                                other => panic!("{other:?}"),
                            }
                            while let Some(stored) = reassembler.take_complete() {
                                received.push(stored.body);
                            }
                        }
                        rest = tail;
                    }
                }
                let expected: Vec<Vec<u8>> =
                    lengths.iter().map(|length| (0..*length).map(|i| i as u8).collect()).collect();
                prop_assert_eq!(received, expected);
                flight.rewind();
            }
        }
    }

    #[test]
    fn what_does_not_fit_behind_a_short_datagram_begins_the_next_run() {
        let mut epochs = WriteEpochs::new(SequenceNumber(0));
        let mut flight = Flight::default();
        flight.begin(true);
        for (seq, length) in [21, 2000].into_iter().enumerate() {
            flight.push(Epoch::PLAINTEXT, HandshakeType::Certificate, MessageSeq(seq as u16), |out| {
                out.extend((0..length).map(|i| i as u8));
            });
        }
        // The first message leaves too little of the first datagram for a fragment of the second.
        for max_datagram in MIN_DATAGRAM..200 {
            flight.rewind();
            assert!(send(&mut flight, &mut epochs, max_datagram).len() > 1);
        }
    }

    #[test]
    fn no_record_is_longer_than_a_record_may_be() {
        let mut epochs = WriteEpochs::new(SequenceNumber(0));
        let mut flight = Flight::default();
        flight.begin(true);
        flight.push(Epoch::PLAINTEXT, HandshakeType::Certificate, MessageSeq(0), |out| {
            out.extend_from_slice(&[7; 40_000]);
        });
        let (mut records, mut content) = (0, 0);
        for mut datagram in send(&mut flight, &mut epochs, 65_000) {
            let mut rest = &mut datagram[..];
            while !rest.is_empty() {
                let (record, tail) = Record::split(rest).unwrap();
                assert!(record.fragment.len() <= MAX_PLAINTEXT);
                records += 1;
                content += record.fragment.len() - HANDSHAKE_HEADER_LEN;
                rest = tail;
            }
        }
        assert_eq!((records, content), (3, 40_000));
    }

    #[test]
    fn a_flight_that_fits_is_one_datagram() {
        let mut epochs = WriteEpochs::new(SequenceNumber(0));
        let mut flight = Flight::default();
        flight.begin(true);
        for seq in 0..5 {
            flight.push(Epoch::PLAINTEXT, HandshakeType::Certificate, MessageSeq(seq), |out| {
                out.extend_from_slice(&[0; 100]);
            });
        }
        assert_eq!(send(&mut flight, &mut epochs, 1200).len(), 1);
        assert!(flight.is_sent());
    }
}
