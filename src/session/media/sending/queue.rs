//! What waits to be sent, and in which order it goes.

use std::collections::VecDeque;

use bytes::Bytes;

use super::encoding_id::EncodingId;
use super::packet::{MAX_HEADER, OutgoingRtp};
use crate::layer::SequenceNumber;
use crate::media::PacketClass;

/// What waits of one encoding.
#[derive(Debug, Default)]
pub(super) struct Queue {
    first: VecDeque<(SequenceNumber, OutgoingRtp)>,
    again: VecDeque<(SequenceNumber, Kept)>,
}

/// What is kept to answer a NACK.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    /// To be sent again in a stream of its own.
    Packet(OutgoingRtp),
    /// Without such a stream, to be sent again as it was: SRTP must not protect two packets with one index.
    Protected(Bytes),
}

impl Kept {
    /// The bytes that sending it again takes, or nearly.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Packet(packet) => packet.payload.len() + MAX_HEADER / 4,
            Self::Protected(bytes) => bytes.len(),
        }
    }
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.again.len()
    }

    /// Appends a packet, and says whether none of its class waited.
    pub(super) fn push_first(&mut self, number: SequenceNumber, packet: OutgoingRtp) -> bool {
        self.first.push_back((number, packet));
        self.first.len() == 1
    }

    /// Appends a retransmission, and says whether none waited.
    pub(super) fn push_again(&mut self, number: SequenceNumber, kept: Kept) -> bool {
        self.again.push_back((number, kept));
        self.again.len() == 1
    }

    pub(super) fn first(&self) -> Option<(SequenceNumber, &OutgoingRtp)> {
        self.first.front().map(|(number, packet)| (*number, packet))
    }

    pub(super) fn again(&self) -> Option<(SequenceNumber, &Kept)> {
        self.again.front().map(|(number, kept)| (*number, kept))
    }

    pub(super) fn pop_first(&mut self) -> Option<(SequenceNumber, OutgoingRtp)> {
        self.first.pop_front()
    }

    pub(super) fn pop_again(&mut self) -> Option<(SequenceNumber, Kept)> {
        self.again.pop_front()
    }

    /// Drops the next packet of a class.
    pub(super) fn pop(&mut self, class: PacketClass) {
        match class {
            PacketClass::Retransmission => drop(self.again.pop_front()),
            _ => drop(self.first.pop_front()),
        }
    }

    fn is_empty(&self, class: PacketClass) -> bool {
        match class {
            PacketClass::Retransmission => self.again.is_empty(),
            _ => self.first.is_empty(),
        }
    }
}

/// Whose turn it is, by class.
#[derive(Debug, Default)]
pub(super) struct Turns([Turn; PacketClass::ALL.len()]);

/// Whose turn it is in one class.
#[derive(Debug, Default)]
struct Turn {
    /// Encodings with packets of the class, each once.
    encodings: VecDeque<EncodingId>,
    /// Packets that the one in front has sent in a row.
    spent: usize,
}

/// Packets of one encoding in a row while others of its class wait: enough for a run of equal segments.
const MAX_IN_A_ROW: usize = 32;

impl Turns {
    /// The encoding has a packet of the class, and had none.
    pub(super) fn begin(&mut self, class: PacketClass, encoding: EncodingId) {
        self.0[class as usize].encodings.push_back(encoding);
    }

    /// Of each class that has packets, whose turn it is; the most urgent class first.
    pub(super) fn next(&self) -> impl Iterator<Item = (PacketClass, EncodingId)> {
        PacketClass::ALL
            .into_iter()
            .filter_map(|class| Some((class, *self.0[class as usize].encodings.front()?)))
    }

    /// A packet was taken from the queue of the encoding whose turn it is. Says whether it still is.
    pub(super) fn taken(&mut self, class: PacketClass, queue: &Queue) -> bool {
        let turn = &mut self.0[class as usize];
        turn.spent += 1;
        if queue.is_empty(class) {
            turn.encodings.pop_front();
            turn.spent = 0;
            return false;
        }
        if turn.spent >= MAX_IN_A_ROW {
            turn.encodings.rotate_left(1);
            turn.spent = 0;
            return false;
        }
        true
    }

    /// What was queued of an encoding is gone.
    pub(super) fn forget(&mut self, encoding: EncodingId) {
        for turn in &mut self.0 {
            turn.encodings.retain(|other| *other != encoding);
        }
    }
}
