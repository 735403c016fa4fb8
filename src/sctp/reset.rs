//! Re-configuration of streams, RFC 6525.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::sequence::Tsn;
use super::wire::{ChunkType, PacketWriter, ReconfigParameter, ReconfigResult, ResetRequest};
use crate::layer::StreamId;

/// Re-configuration of streams (RFC 6525): one request at a time in each direction.
#[derive(Debug)]
pub(crate) struct Reconfiguration {
    /// Streams to reset of which everything has been sent, not yet asked for.
    queued: VecDeque<StreamId>,
    /// Streams of which everything has been sent, to a peer that resets none, and the last TSN of each: the reset is
    /// refused, though not before the peer has everything, as with a peer that performs it.
    unsupported: VecDeque<(StreamId, Tsn)>,
    /// The request that the peer has not answered.
    outgoing: Option<OutgoingRequest>,
    next_request: u32,
    /// The number of the peer's next request.
    expected: u32,
    /// The answers to the peer's last two requests, as many as one RE-CONFIG holds, the last first. They are
    /// repeated if the peer asks again (§5.2.1).
    last_results: [ReconfigResult; 2],
    /// The peer's request that waits for data still on its way (§5.2.2 E).
    deferred: Option<DeferredReset>,
    /// The request that had waited, until the peer makes another.
    performed: Option<DeferredReset>,
    /// Answers to send: number and result.
    responses: SmallVec<[(u32, ReconfigResult); 2]>,
}

#[derive(Debug)]
struct OutgoingRequest {
    request: u32,
    response: u32,
    last_tsn: Tsn,
    streams: SmallVec<[StreamId; 8]>,
    to_send: bool,
}

/// A peer's reset that has to wait.
#[derive(Debug)]
pub(crate) struct DeferredReset {
    request: u32,
    pub(crate) last_tsn: Tsn,
    pub(crate) streams: SmallVec<[StreamId; 8]>,
}

/// What the peer's answer means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It answers nothing that was asked.
    None,
    /// The streams were reset.
    Performed(SmallVec<[StreamId; 8]>),
    /// The streams were not reset, and will not be.
    Refused(SmallVec<[StreamId; 8]>),
    /// To be asked again later.
    InProgress,
}

impl Reconfiguration {
    /// The most streams in one request, so that it fits a packet of any size.
    const MAX_STREAMS: usize = 200;
    /// The most answers that wait to be sent.
    const MAX_RESPONSES: usize = 8;

    pub(crate) fn new(local_initial_tsn: Tsn, peer_initial_tsn: Tsn) -> Self {
        Self {
            queued: VecDeque::new(),
            unsupported: VecDeque::new(),
            outgoing: None,
            next_request: local_initial_tsn.0,
            expected: peer_initial_tsn.0,
            last_results: [ReconfigResult::BAD_SEQUENCE_NUMBER; 2],
            deferred: None,
            performed: None,
            responses: SmallVec::new(),
        }
    }

    /// Queues the reset of a stream.
    pub(crate) fn queue(&mut self, stream: StreamId) {
        self.queued.push_back(stream);
    }

    /// Queues the reset of a stream that the peer will not perform; `last` was sent on it at the latest.
    pub(crate) fn queue_unsupported(&mut self, stream: StreamId, last: Tsn) {
        self.unsupported.push_back((stream, last));
    }

    /// The next of these streams of which the peer has everything; `first` is the first TSN that it has not acknowledged.
    pub(crate) fn pop_unsupported(&mut self, first: Tsn) -> Option<StreamId> {
        let (stream, last) = *self.unsupported.front()?;
        first.is_after(last).then(|| self.unsupported.pop_front())?;
        Some(stream)
    }

    /// Makes a request of the queued streams, if none is under way. Says whether it did.
    #[inline]
    pub(crate) fn begin(&mut self, last_tsn: Tsn) -> bool {
        let begins = self.outgoing.is_none() && !self.queued.is_empty();
        if begins {
            self.begin_request(last_tsn);
        }
        begins
    }

    fn begin_request(&mut self, last_tsn: Tsn) {
        let count = self.queued.len().min(Self::MAX_STREAMS);
        let streams = self.queued.drain(..count).collect();
        if self.queued.is_empty() {
            self.queued = VecDeque::new();
        }
        let request = self.next_request;
        self.next_request = request.wrapping_add(1);
        let response = self.expected.wrapping_sub(1);
        self.outgoing = Some(OutgoingRequest { request, response, last_tsn, streams, to_send: true });
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.outgoing.is_some()
    }

    /// Sends the request again.
    pub(crate) fn repeat(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.to_send = true;
        }
    }

    /// Whether a RE-CONFIG waits to be written.
    pub(crate) fn has_chunk(&self) -> bool {
        !self.responses.is_empty() || self.outgoing.as_ref().is_some_and(|outgoing| outgoing.to_send)
    }

    /// Writes a RE-CONFIG: the request alone, or up to two answers (RFC 6525 §3.1).
    pub(crate) fn write(&mut self, packet: &mut PacketWriter<'_>) -> bool {
        if !self.responses.is_empty() {
            let count = self.responses.len().min(2);
            let answers = &self.responses[..count];
            let written = packet.room() >= 4 + 12 * count
                && packet.chunk(ChunkType::RE_CONFIG, 0, |out| {
                    for (request, result) in answers {
                        ReconfigParameter::write_response(out, *request, *result);
                    }
                });
            if written {
                self.responses.drain(..count);
            }
            return written;
        }
        let Some(outgoing) = self.outgoing.as_mut().filter(|outgoing| outgoing.to_send) else { return false };
        let written = packet.chunk(ChunkType::RE_CONFIG, 0, |out| {
            let OutgoingRequest { request, response, last_tsn, streams, .. } = &*outgoing;
            ReconfigParameter::write_outgoing_reset(out, *request, *response, *last_tsn, streams);
        });
        outgoing.to_send = !written;
        written
    }

    pub(crate) fn handle_response(&mut self, request: u32, result: ReconfigResult) -> Answer {
        let Some(outgoing) = self.outgoing.take_if(|outgoing| outgoing.request == request) else {
            return Answer::None;
        };
        match result {
            ReconfigResult::NOTHING_TO_DO | ReconfigResult::PERFORMED => Answer::Performed(outgoing.streams),
            ReconfigResult::IN_PROGRESS | ReconfigResult::REQUEST_IN_PROGRESS => {
                self.outgoing = Some(outgoing);
                Answer::InProgress
            }
            _ => Answer::Refused(outgoing.streams),
        }
    }

    /// Checks the number of a request (§5.2.1); answers it here unless it is a new one.
    pub(crate) fn is_new_request(&mut self, request: u32) -> bool {
        if request == self.expected {
            return true;
        }
        let result = self.last_result(request).map_or(ReconfigResult::BAD_SEQUENCE_NUMBER, |result| *result);
        self.respond(request, result);
        false
    }

    fn last_result(&mut self, request: u32) -> Option<&mut ReconfigResult> {
        self.last_results.get_mut(self.expected.wrapping_sub(request).wrapping_sub(1) as usize)
    }

    /// Answers a new request.
    pub(crate) fn answer(&mut self, request: u32, result: ReconfigResult) {
        self.expected = request.wrapping_add(1);
        self.last_results = [result, self.last_results[0]];
        self.respond(request, result);
    }

    /// Whether a new request is one that waited and was performed, under another number: some peers ask so when
    /// the answer was "in progress". Performing it twice would reset what the peer has begun since.
    pub(crate) fn repeats_performed(&mut self, reset: &ResetRequest<'_>) -> bool {
        self.performed.take().is_some_and(|performed| {
            performed.last_tsn == reset.last_tsn && performed.streams.iter().copied().eq(reset.streams.iter())
        })
    }

    /// Answers a new request that has to wait for data. One that waits already is superseded: a peer has one
    /// request under way at a time (RFC 6525 §5.1.1), so it has given up that one's number.
    pub(crate) fn defer(&mut self, reset: &ResetRequest<'_>) {
        let streams = reset.streams.iter().collect();
        self.deferred = Some(DeferredReset { request: reset.request, last_tsn: reset.last_tsn, streams });
        self.answer(reset.request, ReconfigResult::IN_PROGRESS);
    }

    /// The deferred reset, if all of its data has arrived.
    pub(crate) fn take_deferred(&mut self, cumulative: Tsn) -> Option<DeferredReset> {
        self.deferred.take_if(|deferred| cumulative.is_at_or_after(deferred.last_tsn))
    }

    pub(crate) fn has_deferred(&self) -> bool {
        self.deferred.is_some()
    }

    /// The deferred reset was performed: the peer, which waits, is told.
    pub(crate) fn finish_deferred(&mut self, deferred: DeferredReset, result: ReconfigResult) {
        if let Some(last) = self.last_result(deferred.request) {
            *last = result;
        }
        self.respond(deferred.request, result);
        self.performed = Some(deferred);
    }

    fn respond(&mut self, request: u32, result: ReconfigResult) {
        if self.responses.len() < Self::MAX_RESPONSES {
            self.responses.push((request, result));
        }
    }
}
