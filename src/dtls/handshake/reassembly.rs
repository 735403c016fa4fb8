//! Handshake messages from fragments, RFC 6347 §4.2.3.

use std::collections::VecDeque;
use std::fmt;

use super::message::{Fragment, HandshakeType, MessageSeq};

/// What reassembly may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReassemblyLimits {
    /// The longest message, in bytes.
    pub(crate) message: usize,
    /// How many messages, the awaited one included, are collected at once.
    pub(crate) messages: usize,
    /// The bytes held in all.
    pub(crate) bytes: usize,
    /// The separate pieces held in all; neighbours are joined.
    pub(crate) pieces: usize,
}

/// Puts the fragments of handshake messages together, in any order, overlapping or repeated
/// (RFC 6347 §4.2.3). Holds what arrived, never what a length field claims.
#[derive(Debug)]
pub(crate) struct Reassembler {
    limits: ReassemblyLimits,
    next: MessageSeq,
    /// The messages from `next` on of which a part is there.
    slots: VecDeque<Option<Slot>>,
    bytes: usize,
    pieces: usize,
}

impl Reassembler {
    pub(crate) fn new(limits: ReassemblyLimits, first: MessageSeq) -> Self {
        Self { limits, next: first, slots: VecDeque::new(), bytes: 0, pieces: 0 }
    }

    /// The number of the message that is awaited.
    pub(crate) fn next_seq(&self) -> MessageSeq {
        self.next
    }

    /// Takes a fragment.
    pub(crate) fn accept<'a>(&mut self, fragment: Fragment<'a>) -> Accepted<'a> {
        let header = fragment.header;
        let Some(ahead) = header.seq.0.checked_sub(self.next.0) else {
            return Accepted::Old;
        };
        let ahead = usize::from(ahead);
        if header.length as usize > self.limits.message {
            return Accepted::Refused("a handshake message longer than max_handshake_message");
        }
        if ahead == 0 && fragment.is_whole() {
            self.take_front();
            return Accepted::Whole { kind: header.kind, seq: header.seq, body: fragment.body };
        }
        if ahead >= self.limits.messages {
            return Accepted::Refused("a handshake message too far ahead");
        }
        // Counted before merging: never too much is held, whatever overlaps.
        if self.bytes + fragment.body.len() > self.limits.bytes || self.pieces >= self.limits.pieces {
            return Accepted::Refused("handshake fragments beyond max_reassembly");
        }
        while self.slots.len() <= ahead {
            self.slots.push_back(None);
        }
        let Some(slot) = self.slots.get_mut(ahead) else {
            return Accepted::Refused("a handshake message too far ahead");
        };
        let slot = slot.get_or_insert_with(|| Slot {
            kind: header.kind,
            length: header.length as usize,
            pieces: Vec::new(),
        });
        if slot.kind != header.kind || slot.length != header.length as usize {
            return Accepted::Refused("fragments of one handshake message disagree");
        }
        let before = (slot.bytes(), slot.pieces.len());
        slot.insert(header.fragment_offset as usize, fragment.body);
        self.bytes = self.bytes + slot.bytes() - before.0;
        self.pieces = self.pieces + slot.pieces.len() - before.1;
        Accepted::Stored
    }

    /// Takes the awaited message if it is complete.
    pub(crate) fn take_complete(&mut self) -> Option<Stored> {
        self.slots.front()?.as_ref()?.is_complete().then_some(())?;
        let seq = self.next;
        let slot = self.take_front()?;
        let body = slot.pieces.into_iter().next().map(|piece| piece.bytes).unwrap_or_default();
        Some(Stored { kind: slot.kind, seq, body })
    }

    /// Goes on to the next message.
    fn take_front(&mut self) -> Option<Slot> {
        self.next = self.next.next();
        let slot = self.slots.pop_front().flatten()?;
        self.bytes -= slot.bytes();
        self.pieces -= slot.pieces.len();
        Some(slot)
    }
}

/// What became of a fragment.
#[derive(Debug)]
pub(crate) enum Accepted<'a> {
    /// It is the whole message that was awaited.
    Whole {
        /// What it is.
        kind: HandshakeType,
        /// Its number.
        seq: MessageSeq,
        /// Its body.
        body: &'a [u8],
    },
    /// It was kept.
    Stored,
    /// It belongs to a message that was taken already: the peer repeats itself.
    Old,
    /// It was dropped.
    Refused(&'static str),
}

/// A message that was put together.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) kind: HandshakeType,
    pub(crate) seq: MessageSeq,
    pub(crate) body: Vec<u8>,
}

/// A message of which a part is there.
#[derive(Debug)]
struct Slot {
    kind: HandshakeType,
    length: usize,
    /// Sorted, neither overlapping nor touching.
    pieces: Vec<Piece>,
}

struct Piece {
    offset: usize,
    bytes: Vec<u8>,
}

impl Piece {
    fn end(&self) -> usize {
        self.offset + self.bytes.len()
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Piece").field(&(self.offset..self.end())).finish()
    }
}

impl Slot {
    fn bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes.len()).sum()
    }

    fn is_complete(&self) -> bool {
        match &self.pieces[..] {
            [] => self.length == 0,
            [piece] => piece.bytes.len() == self.length,
            _ => false,
        }
    }

    /// Adds what is new of `bytes`; what is there already stays, so that an overlap cannot change it.
    fn insert(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        let first = self.pieces.partition_point(|piece| piece.end() < offset);
        let after = self.pieces.partition_point(|piece| piece.offset <= end);
        if first >= after {
            if !bytes.is_empty() {
                self.pieces.insert(first, Piece { offset, bytes: bytes.to_vec() });
            }
            return;
        }
        let mut joined = Piece { offset, bytes: Vec::new() };
        for piece in self.pieces.drain(first..after) {
            if joined.bytes.is_empty() && piece.offset <= offset {
                joined = piece;
                continue;
            }
            let gap = joined.end() - offset..piece.offset - offset;
            joined.bytes.extend_from_slice(bytes.get(gap).unwrap_or_default());
            joined.bytes.extend_from_slice(&piece.bytes);
        }
        if let Some(tail) = joined.end().checked_sub(offset).and_then(|from| bytes.get(from..)) {
            joined.bytes.extend_from_slice(tail);
        }
        self.pieces.insert(first, joined);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::message::HandshakeHeader;
    use super::*;

    const LIMITS: ReassemblyLimits = ReassemblyLimits { message: 1000, messages: 4, bytes: 2000, pieces: 16 };

    fn fragment<'a>(seq: u16, length: usize, offset: usize, body: &'a [u8]) -> Fragment<'a> {
        Fragment {
            header: HandshakeHeader {
                kind: HandshakeType::Certificate,
                length: length as u32,
                seq: MessageSeq(seq),
                fragment_offset: offset as u32,
                fragment_length: body.len() as u32,
            },
            body,
        }
    }

    proptest! {
        #[test]
        fn any_order_and_overlap_gives_the_message(
            cuts in prop::collection::vec((0usize..200, 0usize..80), 0..60),
        ) {
            let message: Vec<u8> = (0..200u8).collect();
            let mut reassembler = Reassembler::new(LIMITS, MessageSeq(0));
            let mut covered = [false; 200];
            for (offset, len) in cuts {
                let end = (offset + len).min(200);
                if let Accepted::Stored = reassembler.accept(fragment(0, 200, offset, &message[offset..end])) {
                    covered[offset..end].fill(true);
                }
                if covered.iter().all(|c| *c) {
                    break;
                }
                prop_assert!(reassembler.take_complete().is_none());
            }
            prop_assert_eq!(reassembler.bytes, covered.iter().filter(|c| **c).count());
            // Fill each gap as a retransmission does.
            for offset in (0..200).step_by(50) {
                if covered.iter().all(|c| *c) {
                    break;
                }
                let accepted = reassembler.accept(fragment(0, 200, offset, &message[offset..offset + 50]));
                if matches!(accepted, Accepted::Refused(_)) {
                    return Ok(());
                }
                covered[offset..offset + 50].fill(true);
            }
            prop_assert_eq!(reassembler.take_complete().unwrap().body, message);
            prop_assert_eq!((reassembler.bytes, reassembler.pieces), (0, 0));
        }
    }

    #[test]
    fn messages_come_out_in_order() {
        let mut reassembler = Reassembler::new(LIMITS, MessageSeq(0));
        assert!(matches!(reassembler.accept(fragment(1, 2, 0, b"bb")), Accepted::Stored));
        assert!(reassembler.take_complete().is_none());
        assert!(matches!(reassembler.accept(fragment(2, 0, 0, b"")), Accepted::Stored));
        assert!(matches!(reassembler.accept(fragment(0, 1, 0, b"a")), Accepted::Whole { body: b"a", .. }));
        assert_eq!(reassembler.take_complete().unwrap().body, b"bb");
        assert_eq!(reassembler.take_complete().unwrap().seq, MessageSeq(2));
        assert!(reassembler.take_complete().is_none());
        assert!(matches!(reassembler.accept(fragment(1, 2, 0, b"bb")), Accepted::Old));
    }

    #[test]
    fn limits_hold() {
        let mut reassembler = Reassembler::new(LIMITS, MessageSeq(0));
        assert!(matches!(reassembler.accept(fragment(0, 1001, 0, b"x")), Accepted::Refused(_)));
        assert!(matches!(reassembler.accept(fragment(4, 2, 0, b"x")), Accepted::Refused(_)));
        for piece in 0..100 {
            reassembler.accept(fragment(1, 1000, piece * 10, b"x"));
        }
        assert_eq!((reassembler.pieces, reassembler.bytes), (16, 16));
        let mut reassembler = Reassembler::new(LIMITS, MessageSeq(0));
        for seq in 0..4 {
            for piece in 0..10 {
                reassembler.accept(fragment(seq, 1000, piece * 99, &[0; 99]));
            }
        }
        assert!(reassembler.bytes <= 2000);
    }

    #[test]
    fn an_overlap_changes_nothing() {
        let mut reassembler = Reassembler::new(LIMITS, MessageSeq(0));
        reassembler.accept(fragment(0, 6, 1, b"good"));
        reassembler.accept(fragment(0, 6, 0, b"abadb"));
        reassembler.accept(fragment(0, 6, 5, b"z"));
        assert_eq!(reassembler.take_complete().unwrap().body, b"agoodz");
    }

    #[test]
    fn fragments_that_disagree_are_refused() {
        let mut reassembler = Reassembler::new(LIMITS, MessageSeq(0));
        reassembler.accept(fragment(0, 6, 1, b"good"));
        assert!(matches!(reassembler.accept(fragment(0, 7, 1, b"good")), Accepted::Refused(_)));
    }
}
