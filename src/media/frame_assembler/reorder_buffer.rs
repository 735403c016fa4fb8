//! Packets that wait for those before them.

use std::collections::VecDeque;
use std::time::Instant;

use crate::layer::RtpTimestamp;
use crate::rtp::Packet;

/// Payloads in the order of their extended sequence numbers, from the next one expected on.
///
/// Payloads are copied into buffers that are used again and again.
#[derive(Debug)]
pub(super) struct ReorderBuffer {
    max_packets: usize,
    max_bytes: usize,
    // The number that is expected next, which is that of the first slot; the last slot is never empty.
    next: Option<u64>,
    slots: VecDeque<Option<Buffered>>,
    bytes: usize,
    // Since when a packet waits for the first slot, which is empty.
    waiting_since: Option<Instant>,
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
}

/// Memory of packets that is kept for others: what a stream without gaps uses over and over, and no more than that for a
/// stream that had a gap once.
const MAX_SPARE_BYTES: usize = 128 << 10;

/// What is needed of a packet.
#[derive(Debug)]
pub(super) struct Buffered {
    pub(super) payload: Vec<u8>,
    pub(super) timestamp: RtpTimestamp,
    pub(super) marker: bool,
    pub(super) arrival: Instant,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inserted {
    /// It is in the buffer, for which this many numbers before it were given up, missing and buffered ones.
    Kept { given_up: u64 },
    /// Its number has passed.
    Late,
    /// It is in the buffer already.
    Duplicate,
    /// It is larger than the buffer.
    TooLarge,
}

impl ReorderBuffer {
    pub(super) fn new(max_packets: usize, max_bytes: usize) -> Self {
        ReorderBuffer {
            max_packets: max_packets.max(1),
            max_bytes,
            next: None,
            slots: VecDeque::new(),
            bytes: 0,
            waiting_since: None,
            spare: Vec::new(),
            spare_bytes: 0,
        }
    }

    pub(super) fn insert(&mut self, now: Instant, number: u64, packet: &Packet<'_>) -> Inserted {
        let next = *self.next.get_or_insert(number);
        let payload = packet.payload();
        let Some(ahead) = number.checked_sub(next) else { return Inserted::Late };
        if usize::try_from(ahead).is_ok_and(|at| matches!(self.slots.get(at), Some(Some(_)))) {
            return Inserted::Duplicate;
        }
        if payload.len() > self.max_bytes {
            return Inserted::TooLarge;
        }
        let given_up = self.make_room(number, payload.len());
        let at = (number - self.next.unwrap_or(number)) as usize;
        while self.slots.len() <= at {
            self.slots.push_back(None);
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        self.spare_bytes -= buffer.capacity();
        buffer.clear();
        buffer.extend_from_slice(payload);
        self.bytes += buffer.len();
        self.slots[at] = Some(Buffered {
            payload: buffer,
            timestamp: packet.timestamp(),
            marker: packet.marker(),
            arrival: now,
        });
        match (at, self.waiting_since) {
            (0, _) => self.waiting_since = None,
            (_, None) => self.note_gap(),
            _ => {}
        }
        Inserted::Kept { given_up }
    }

    /// The next packet, if it is there.
    pub(super) fn front(&self) -> Option<&Buffered> {
        self.slots.front()?.as_ref()
    }

    /// Takes the next packet and its number, if it is there. It is to be given back to
    /// [`recycle`](Self::recycle).
    pub(super) fn pop(&mut self) -> Option<(u64, Buffered)> {
        let packet = self.slots.front_mut()?.take()?;
        let number = self.next?;
        self.slots.pop_front();
        self.next = Some(number + 1);
        self.bytes -= packet.payload.len();
        self.note_gap();
        Some((number, packet))
    }

    /// Takes back the memory of a packet.
    pub(super) fn recycle(&mut self, packet: Buffered) {
        let capacity = packet.payload.capacity();
        if self.spare_bytes + capacity <= MAX_SPARE_BYTES {
            self.spare_bytes += capacity;
            self.spare.push(packet.payload);
        }
    }

    /// The number that is expected next.
    pub(super) fn next(&self) -> Option<u64> {
        self.next
    }

    /// Since when a packet waits for one that is missing.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    /// Gives up the packets that are missing before the first that is there, and tells how many.
    pub(super) fn skip_gap(&mut self) -> u64 {
        let gap = self.slots.iter().take_while(|slot| slot.is_none()).count();
        self.slots.drain(..gap);
        self.next = self.next.map(|next| next + gap as u64);
        self.waiting_since = None;
        gap as u64
    }

    /// Forgets all packets and the number that is expected.
    pub(super) fn clear(&mut self) {
        while let Some(slot) = self.slots.pop_front() {
            if let Some(packet) = slot {
                self.recycle(packet);
            }
        }
        self.next = None;
        self.bytes = 0;
        self.waiting_since = None;
    }

    // Gives up packets from the front until there is room for `number`, and tells how many numbers that were.
    fn make_room(&mut self, number: u64, len: usize) -> u64 {
        let Some(next) = self.next else { return 0 };
        let before = number - next;
        let too_far = before.saturating_sub(self.max_packets as u64 - 1);
        let mut given_up = 0;
        while given_up < before && (given_up < too_far || self.bytes + len > self.max_bytes) {
            let Some(slot) = self.slots.pop_front() else {
                given_up = too_far.max(given_up);
                break;
            };
            self.release(slot);
            given_up += 1;
        }
        // With all before it gone, those behind it make room.
        while self.bytes + len > self.max_bytes
            && let Some(slot) = self.slots.pop_back()
        {
            self.release(slot);
        }
        while let Some(None) = self.slots.back() {
            self.slots.pop_back();
        }
        if given_up > 0 {
            self.next = Some(next + given_up);
            self.waiting_since = None;
        }
        given_up
    }

    fn release(&mut self, slot: Option<Buffered>) {
        if let Some(packet) = slot {
            self.bytes -= packet.payload.len();
            self.recycle(packet);
        }
    }

    fn note_gap(&mut self) {
        self.waiting_since = match self.slots.front() {
            Some(None) => self.slots.iter().flatten().map(|packet| packet.arrival).min(),
            _ => None,
        };
    }
}

#[cfg(test)]
impl ReorderBuffer {
    /// How many packets wait; checks the counts on the way.
    pub(super) fn len(&self) -> usize {
        let bytes: usize = self.slots.iter().flatten().map(|packet| packet.payload.len()).sum();
        assert_eq!(bytes, self.bytes);
        assert!(bytes <= self.max_bytes && self.slots.len() <= self.max_packets);
        assert!(!matches!(self.slots.back(), Some(None)));
        assert_eq!(self.waiting_since.is_some(), matches!(self.slots.front(), Some(None)));
        assert_eq!(self.spare.iter().map(Vec::capacity).sum::<usize>(), self.spare_bytes);
        self.slots.iter().flatten().count()
    }
}
