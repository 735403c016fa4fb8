//! What was sent and is not acknowledged.

use std::collections::VecDeque;
use std::time::Instant;

use super::gaps::Gaps;
use super::queue::{Message, trim};
use super::skips::Skips;
use crate::layer::StreamId;
use crate::sctp::sequence::{Ssn, Tsn};
use crate::sctp::wire::Data;

/// What was sent and is not acknowledged: a ring of chunks, indexed by the distance of their TSN from the
/// first.
///
/// A chunk holds no payload but its place in a message, and since the chunks of one message follow each other,
/// the messages are a ring too. Nothing here is searched: a SACK touches the chunks that it acknowledges for
/// the first time, and nothing else.
#[derive(Debug)]
pub(super) struct Outstanding {
    /// The TSN of the first chunk; the one before is the cumulative acknowledgement.
    first: Tsn,
    /// The position of the first chunk: as its TSN, but without a wrap.
    position: u64,
    chunks: VecDeque<SentChunk>,
    messages: VecDeque<SentMessage>,
    /// The number of the first message; they are numbered in the order in which they were begun.
    first_message: u32,
    /// What SACKs acknowledged beyond the first chunk.
    gaps: Gaps,
    /// The chunks to send again, in order; may hold some that were acknowledged meanwhile.
    retransmit: VecDeque<Tsn>,
    /// The chunks sent again, with the TSN that was next then.
    resent: VecDeque<(Tsn, Tsn)>,
    in_flight: usize,
    /// What the messages count for.
    charge: usize,
    /// How many chunks at the front a FORWARD TSN skips: the last of them is abandoned.
    abandoned_front: usize,
    /// How many chunks at the front were looked at for it.
    scanned: usize,
    /// What a FORWARD TSN tells of them.
    skips: Skips,
    /// What was sent before this position and was in flight was lost, or is among those sent again since.
    lost_before: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SentChunk {
    message: u32,
    offset: u32,
    pub(super) len: u16,
    transmissions: u16,
    flags: u8,
    state: ChunkState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    InFlight,
    ToRetransmit,
    Acknowledged,
    Abandoned,
}

#[derive(Debug)]
struct SentMessage {
    stream: StreamId,
    ssn: Ssn,
    message: Message,
    first_tsn: Tsn,
    abandoned: bool,
}

impl SentMessage {
    fn is_exhausted(&self, transmissions: u16, now: Instant) -> bool {
        self.message.max_retransmits.is_some_and(|max| transmissions > max) || self.message.is_expired(now)
    }
}

/// What an acknowledgement changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NewlyAcknowledged {
    pub(super) bytes: usize,
    pub(super) highest: Option<Tsn>,
    /// The peer was told to skip some of what it covers.
    pub(super) skipped: bool,
}

impl Outstanding {
    pub(super) fn new(first: Tsn) -> Self {
        Self {
            first,
            position: 0,
            chunks: VecDeque::new(),
            messages: VecDeque::new(),
            first_message: 0,
            gaps: Gaps::default(),
            retransmit: VecDeque::new(),
            resent: VecDeque::new(),
            in_flight: 0,
            charge: 0,
            abandoned_front: 0,
            scanned: 0,
            skips: Skips::default(),
            lost_before: 0,
        }
    }

    pub(super) fn first(&self) -> Tsn {
        self.first
    }

    pub(super) fn next(&self) -> Tsn {
        self.first.plus(self.chunks.len() as u32)
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Bytes sent and neither acknowledged nor thought lost.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// What messages that were begun and are not acknowledged cumulatively count for.
    pub(super) fn charge(&self) -> usize {
        self.charge
    }

    /// The bytes of the first chunk.
    pub(super) fn first_len(&self) -> Option<usize> {
        self.chunks.front().map(|chunk| usize::from(chunk.len))
    }

    /// Begins a message: its chunks follow with [`push_fragment`](Self::push_fragment).
    pub(super) fn begin_message(&mut self, stream: StreamId, ssn: Ssn, message: Message) {
        self.charge += Message::charge(message.payload.len());
        let first_tsn = self.next();
        self.messages.push_back(SentMessage { stream, ssn, message, first_tsn, abandoned: false });
    }

    /// The message begun last.
    pub(super) fn last_message(&self) -> Option<(StreamId, &Message)> {
        self.messages.back().map(|sent| (sent.stream, &sent.message))
    }

    /// Sends the next `len` bytes from `offset` of the message begun last.
    pub(super) fn push_fragment(&mut self, offset: usize, len: usize) -> Option<ChunkToSend<'_>> {
        let sent = self.messages.back()?;
        let payload = &sent.message.payload;
        let mut flags = if sent.message.unordered { Data::UNORDERED } else { 0 };
        if offset == 0 {
            flags |= Data::BEGIN;
        }
        if offset + len >= payload.len() {
            flags |= Data::END;
        }
        let tsn = self.first.plus(self.chunks.len() as u32);
        self.chunks.push_back(SentChunk {
            message: self.first_message.wrapping_add(self.messages.len() as u32 - 1),
            offset: offset as u32,
            len: len as u16,
            transmissions: 1,
            flags,
            state: ChunkState::InFlight,
        });
        self.in_flight += len;
        Some(ChunkToSend {
            flags,
            fields: Data::fields(tsn, sent.stream, sent.ssn, sent.message.protocol),
            payload: payload.get(offset..offset + len)?,
        })
    }

    /// The length of the next chunk to send again.
    pub(super) fn next_retransmission(&mut self) -> Option<usize> {
        loop {
            let tsn = *self.retransmit.front()?;
            match self.chunk(tsn) {
                Some(chunk) if chunk.state == ChunkState::ToRetransmit => {
                    return Some(usize::from(chunk.len));
                }
                _ => self.retransmit.pop_front(),
            };
        }
    }

    /// Whether the message of the next chunk to send again has become too old.
    pub(super) fn expired_retransmission(&self, now: Instant) -> Option<Tsn> {
        let tsn = *self.retransmit.front()?;
        let chunk = self.chunk(tsn)?;
        let message = self.messages.get(self.message_index(chunk.message))?;
        message.message.is_expired(now).then_some(tsn)
    }

    /// Whether the next chunk to send again is the first outstanding one.
    pub(super) fn retransmits_first(&self) -> bool {
        self.retransmit.front() == Some(&self.first)
    }

    /// Sends the chunk of [`next_retransmission`](Self::next_retransmission).
    pub(super) fn retransmit(&mut self) -> Option<ChunkToSend<'_>> {
        let tsn = self.retransmit.pop_front()?;
        let next = self.next();
        let index = self.index(tsn)?;
        let chunk = self.chunks.get_mut(index)?;
        chunk.state = ChunkState::InFlight;
        chunk.transmissions = chunk.transmissions.saturating_add(1);
        let chunk = *chunk;
        self.in_flight += usize::from(chunk.len);
        self.resent.push_back((tsn, next));
        let sent = self.messages.get(self.message_index(chunk.message))?;
        let start = chunk.offset as usize;
        Some(ChunkToSend {
            flags: chunk.flags,
            fields: Data::fields(tsn, sent.stream, sent.ssn, sent.message.protocol),
            payload: sent.message.payload.get(start..start + usize::from(chunk.len))?,
        })
    }

    /// Forgets everything up to `cumulative`, which is not beyond what was sent.
    pub(super) fn acknowledge_cumulative(&mut self, cumulative: Tsn) -> NewlyAcknowledged {
        let count = cumulative.next().since(self.first) as usize;
        let mut newly = NewlyAcknowledged::default();
        for chunk in self.chunks.drain(..count.min(self.chunks.len())) {
            let len = usize::from(chunk.len);
            match chunk.state {
                ChunkState::InFlight => {
                    self.in_flight -= len;
                    newly.bytes += len;
                }
                ChunkState::ToRetransmit => newly.bytes += len,
                ChunkState::Acknowledged => {}
                ChunkState::Abandoned => newly.skipped = true,
            }
            if chunk.flags & Data::END != 0
                && let Some(sent) = self.messages.pop_front()
            {
                self.first_message = self.first_message.wrapping_add(1);
                self.charge -= Message::charge(sent.message.payload.len());
            }
        }
        if newly.bytes > 0 {
            newly.highest = Some(cumulative);
        }
        self.first = cumulative.next();
        self.position += count as u64;
        self.abandoned_front = self.abandoned_front.saturating_sub(count);
        self.scanned = self.scanned.saturating_sub(count);
        self.gaps.forget_before(self.position);
        self.skips.forget_before(self.position, self.first_message);
        trim(&mut self.chunks);
        trim(&mut self.messages);
        newly
    }

    /// Notes the blocks of a SACK, given as distances from the cumulative TSN.
    ///
    /// Costs the number of blocks plus the chunks that are acknowledged for the first time. What was
    /// acknowledged once stays so until a timeout: a SACK that comes late does not take it back.
    pub(super) fn acknowledge_gaps(&mut self, blocks: impl Iterator<Item = (u16, u16)>) -> NewlyAcknowledged {
        let mut newly = NewlyAcknowledged::default();
        let mut gaps = std::mem::take(&mut self.gaps);
        let cumulative = self.position.wrapping_sub(1);
        let last = self.chunks.len() as u64;
        let mut previous_end = 0;
        for (start, end) in blocks {
            let (start, end) = (u64::from(start), u64::from(end).min(last));
            // Blocks that are empty, out of order or beyond what was sent are no blocks.
            if start <= previous_end || end < start {
                continue;
            }
            previous_end = end;
            gaps.add(cumulative.wrapping_add(start), cumulative.wrapping_add(end), |from, to| {
                self.acknowledge_range(from, to, &mut newly);
            });
        }
        self.gaps = gaps;
        newly
    }

    /// Notes the chunks at the positions `from` to `to`, both included.
    fn acknowledge_range(&mut self, from: u64, to: u64, newly: &mut NewlyAcknowledged) {
        for position in from..=to {
            let Some(index) = position.checked_sub(self.position) else { continue };
            let Some(chunk) = self.chunks.get_mut(index as usize) else { return };
            let len = usize::from(chunk.len);
            match chunk.state {
                ChunkState::InFlight => self.in_flight -= len,
                ChunkState::ToRetransmit => {}
                ChunkState::Acknowledged | ChunkState::Abandoned => continue,
            }
            chunk.state = ChunkState::Acknowledged;
            newly.bytes += len;
            newly.highest = Some(self.first.plus(index as u32));
        }
    }

    /// The highest TSN acknowledged by a block.
    pub(super) fn highest_gap(&self) -> Option<Tsn> {
        self.gaps.highest().map(|highest| self.first.plus((highest - self.position) as u32))
    }

    /// Marks as lost what was sent once, is in the range (the end excluded) and is not acknowledged. Says
    /// whether something was.
    pub(super) fn lose_range(&mut self, from: Tsn, to: Tsn, now: Instant) -> bool {
        let mut lost = false;
        let count = to.since(from);
        for step in 0..count {
            let tsn = from.plus(step);
            if self.chunk(tsn).is_some_and(|c| c.state == ChunkState::InFlight && c.transmissions == 1) {
                self.lose(tsn, now);
                lost = true;
            }
        }
        lost
    }

    /// Marks as lost again what was sent again when the next TSN was before `lost_before`: three SACKs since
    /// acknowledged something that was sent later still.
    pub(super) fn lose_resent(&mut self, lost_before: Tsn, now: Instant) -> bool {
        let mut lost = false;
        while let Some(&(tsn, next_then)) = self.resent.front() {
            let in_flight = self.chunk(tsn).is_some_and(|chunk| chunk.state == ChunkState::InFlight);
            if in_flight && !lost_before.is_after(next_then) {
                break;
            }
            self.resent.pop_front();
            if in_flight {
                self.lose(tsn, now);
                lost = true;
            }
        }
        lost
    }

    /// Marks everything in flight as lost, and what blocks acknowledged as not acknowledged: had the peer
    /// thrown it away again (RFC 9260 §6.2.1), the timeout would be the only sign.
    pub(super) fn lose_all(&mut self, now: Instant) {
        self.retransmit.clear();
        self.resent.clear();
        self.gaps.clear();
        self.scanned = self.abandoned_front;
        self.lost_before = self.position + self.chunks.len() as u64;
        for index in 0..self.chunks.len() {
            let tsn = self.first.plus(index as u32);
            let Some(chunk) = self.chunks.get_mut(index) else { return };
            match chunk.state {
                ChunkState::InFlight => self.lose(tsn, now),
                ChunkState::Acknowledged => {
                    let len = chunk.len;
                    chunk.state = ChunkState::InFlight;
                    self.in_flight += usize::from(len);
                    self.lose(tsn, now);
                }
                ChunkState::ToRetransmit => self.retransmit.push_back(tsn),
                ChunkState::Abandoned => {}
            }
        }
    }

    /// Marks what is in flight as lost, and costs what was sent since the last time.
    pub(super) fn lose_in_flight(&mut self, now: Instant) {
        // What was sent again comes before what was not yet.
        let waiting = std::mem::take(&mut self.retransmit);
        for (tsn, _) in std::mem::take(&mut self.resent) {
            self.lose(tsn, now);
        }
        let again = std::mem::replace(&mut self.retransmit, waiting);
        again.into_iter().rev().for_each(|tsn| self.retransmit.push_front(tsn));
        let next = self.position + self.chunks.len() as u64;
        for position in self.lost_before.max(self.position)..next {
            self.lose(self.first.plus((position - self.position) as u32), now);
        }
        self.lost_before = next;
    }

    /// Marks a chunk as lost, if it is in flight.
    fn lose(&mut self, tsn: Tsn, now: Instant) {
        let Some(index) = self.index(tsn) else { return };
        let Some(chunk) = self.chunks.get_mut(index) else { return };
        if chunk.state != ChunkState::InFlight {
            return;
        }
        chunk.state = ChunkState::ToRetransmit;
        self.in_flight -= usize::from(chunk.len);
        let (message, transmissions) = (chunk.message, chunk.transmissions);
        let exhausted = self
            .messages
            .get(self.message_index(message))
            .is_some_and(|sent| sent.is_exhausted(transmissions, now));
        if exhausted {
            self.abandon(tsn);
        } else {
            self.retransmit.push_back(tsn);
        }
    }

    /// Gives up the message that the chunk belongs to (RFC 3758 §3.5).
    pub(super) fn abandon(&mut self, tsn: Tsn) {
        let Some(chunk) = self.chunk(tsn) else { return };
        let message = self.message_index(chunk.message);
        let Some(sent) = self.messages.get_mut(message) else { return };
        sent.abandoned = true;
        let first = if sent.first_tsn.is_after(self.first) { sent.first_tsn } else { self.first };
        let end = self.messages.get(message + 1).map_or(self.next(), |following| following.first_tsn);
        for step in 0..end.since(first) {
            let Some(index) = self.index(first.plus(step)) else { return };
            let Some(chunk) = self.chunks.get_mut(index) else { return };
            if chunk.state == ChunkState::InFlight {
                self.in_flight -= usize::from(chunk.len);
            }
            chunk.state = ChunkState::Abandoned;
        }
    }

    /// Gives up the message begun last; [`close_abandoned`](Self::close_abandoned) is to follow.
    pub(super) fn mark_last_abandoned(&mut self) {
        if let Some(sent) = self.messages.back_mut() {
            sent.abandoned = true;
        }
    }

    /// Ends the message begun last, which was given up before everything of it was sent. A TSN of its own
    /// stands for the rest: without it, a peer that has all that was sent could not be told that nothing
    /// follows.
    pub(super) fn close_abandoned(&mut self) {
        let Some(sent) = self.messages.back() else { return };
        let flags = Data::END | if sent.message.unordered { Data::UNORDERED } else { 0 };
        let tsn = self.next();
        self.chunks.push_back(SentChunk {
            message: self.first_message.wrapping_add(self.messages.len() as u32 - 1),
            offset: 0,
            len: 0,
            transmissions: 0,
            flags,
            state: ChunkState::Abandoned,
        });
        self.abandon(tsn);
    }

    /// Whether the message begun last was given up.
    pub(super) fn is_last_abandoned(&self) -> bool {
        self.messages.back().is_some_and(|sent| sent.abandoned)
    }

    /// How many chunks at the front FORWARD TSN lets the peer skip (RFC 3758 §3.5 C2): those that are abandoned, and
    /// what the peer has between them. Without that, each hole would take a round trip of its own. Only messages
    /// that may be lost are passed over: a receiver may throw away what a gap acknowledged (RFC 9260 §6.2.1).
    pub(super) fn abandoned_front(&mut self) -> usize {
        while let Some(chunk) = self.chunks.get(self.scanned).copied()
            && let Some(sent) = self.messages.get(self.message_index(chunk.message))
        {
            match chunk.state {
                ChunkState::Abandoned => {
                    if chunk.flags & Data::UNORDERED == 0 {
                        let position = self.position + self.scanned as u64;
                        self.skips.note(position, chunk.message, sent.stream, sent.ssn);
                    }
                    self.abandoned_front = self.scanned + 1;
                }
                ChunkState::Acknowledged if sent.message.may_be_lost() => {}
                _ => break,
            }
            self.scanned += 1;
        }
        self.abandoned_front
    }

    /// The last ordered message among the abandoned chunks of each stream that was not reset since: the index of
    /// its last chunk, stream and sequence number.
    pub(super) fn skipped(&self) -> impl Iterator<Item = (usize, StreamId, Ssn)> {
        self.skips.iter().map(|(position, stream, ssn)| ((position - self.position) as usize, stream, ssn))
    }

    /// The peer confirmed the reset of a stream on which nothing was begun since it was asked for. Its messages
    /// may wait to be acknowledged still, but their sequence numbers mean nothing any more.
    pub(super) fn note_stream_reset(&mut self, stream: StreamId) {
        let next = self.first_message.wrapping_add(self.messages.len() as u32);
        self.skips.note_reset(stream, self.first_message, next);
    }

    pub(super) fn was_sent_once(&self, tsn: Tsn) -> bool {
        self.chunk(tsn).is_some_and(|chunk| chunk.transmissions == 1)
    }

    /// Gives back memory that only a busy association needs.
    pub(super) fn shrink(&mut self) {
        self.chunks.shrink_to_fit();
        self.messages.shrink_to_fit();
        self.skips.shrink();
        self.retransmit.shrink_to_fit();
        self.resent.shrink_to_fit();
    }

    fn index(&self, tsn: Tsn) -> Option<usize> {
        let index = tsn.since(self.first) as usize;
        (index < self.chunks.len()).then_some(index)
    }

    fn chunk(&self, tsn: Tsn) -> Option<&SentChunk> {
        self.chunks.get(tsn.since(self.first) as usize)
    }

    fn message_index(&self, number: u32) -> usize {
        number.wrapping_sub(self.first_message) as usize
    }
}

/// A chunk to be written into a packet.
#[derive(Debug)]
pub(super) struct ChunkToSend<'a> {
    pub(super) flags: u8,
    pub(super) fields: [u8; 12],
    pub(super) payload: &'a [u8],
}
