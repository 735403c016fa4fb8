use std::collections::VecDeque;

use bytes::Bytes;

use crate::layer::{PayloadProtocol, StreamId};
use crate::sctp::sequence::{Ssn, Tsn};
use crate::sctp::wire::Data;

/// A message with all of its fragments.
#[derive(Debug)]
pub(super) struct Complete {
    pub(super) stream: StreamId,
    pub(super) ssn: Ssn,
    pub(super) protocol: PayloadProtocol,
    pub(super) unordered: bool,
    pub(super) payload: Bytes,
}

/// Puts fragmented messages together.
///
/// The fragments of a message have consecutive TSNs, so what was received of one is a list of runs without
/// holes, and a fragment is appended to its run when it arrives. Without loss there is one run, and a byte is
/// copied once. There are no more runs than holes in the sequence of TSNs, and one.
#[derive(Debug)]
pub(super) struct Reassembly {
    /// In the order of their TSNs.
    runs: VecDeque<Run>,
    max_message: usize,
    /// The size of the last message, a guess at the next one's.
    last_size: usize,
}

#[derive(Debug)]
struct Run {
    first: Tsn,
    next: Tsn,
    has_begin: bool,
    has_end: bool,
    stream: StreamId,
    ssn: Ssn,
    protocol: PayloadProtocol,
    unordered: bool,
    payload: Vec<u8>,
}

impl Run {
    fn continues(&self, data: &Data<'_>) -> bool {
        self.stream == data.stream
            && self.unordered == data.is_unordered()
            && (self.unordered || self.ssn == data.ssn)
    }
}

const BROKEN: &str = "fragments that do not follow each other";

impl Reassembly {
    pub(super) fn new(max_message: usize) -> Self {
        Self { runs: VecDeque::new(), max_message, last_size: 0 }
    }

    /// Takes a DATA chunk whose TSN is new. `cumulative` is the cumulative TSN with this chunk counted.
    /// Says how many bytes were thrown away, besides.
    pub(super) fn insert(
        &mut self,
        data: &Data<'_>,
        cumulative: Tsn,
    ) -> Result<(Option<Complete>, usize), &'static str> {
        if data.is_begin() && data.is_end() {
            return self.insert_whole(data).map(|complete| (Some(complete), 0));
        }
        // The run that this fragment appends to is the last one, unless something is missing.
        let at_end = self.runs.back().is_some_and(|run| run.next == data.tsn);
        let index = if at_end {
            self.runs.len()
        } else {
            self.runs.partition_point(|run| data.tsn.is_at_or_after(run.first))
        };
        let previous = index.checked_sub(1).and_then(|previous| self.runs.get_mut(previous));
        let at = match previous {
            Some(run) if run.next == data.tsn && !run.has_end => {
                if data.is_begin() || !run.continues(data) {
                    return Err(BROKEN);
                }
                run.payload.extend_from_slice(data.payload);
                run.next = data.tsn.next();
                run.has_end = data.is_end();
                index - 1
            }
            Some(run) if run.next == data.tsn && !data.is_begin() => return Err(BROKEN),
            _ => {
                if !data.is_begin() && cumulative.is_at_or_after(data.tsn.previous()) {
                    // Its beginning was skipped by a FORWARD TSN, or never was; so that of what follows it.
                    return Ok((None, data.payload.len() + self.drop_headless(cumulative)));
                }
                self.insert_run(index, data);
                index
            }
        };
        self.join_following(at)?;
        let runs = self.runs.len();
        let dropped = self.drop_headless(cumulative);
        let Some(at) = at.checked_sub(runs - self.runs.len()) else { return Ok((None, dropped)) };
        if self.runs.get(at).is_some_and(|run| run.payload.len() > self.max_message) {
            return Err("message longer than the limit");
        }
        Ok((self.take_complete(at), dropped))
    }

    /// A message of one chunk leaves no trace, but may not lie in the middle of another.
    fn insert_whole(&mut self, data: &Data<'_>) -> Result<Complete, &'static str> {
        if data.payload.len() > self.max_message {
            return Err("message longer than the limit");
        }
        if !self.runs.is_empty() {
            let index = self.runs.partition_point(|run| data.tsn.is_at_or_after(run.first));
            let previous = index.checked_sub(1).and_then(|previous| self.runs.get(previous));
            if previous.is_some_and(|run| run.next == data.tsn && !run.has_end) {
                return Err(BROKEN);
            }
            if self.runs.get(index).is_some_and(|run| run.first == data.tsn.next() && !run.has_begin) {
                return Err(BROKEN);
            }
        }
        Ok(Complete {
            stream: data.stream,
            ssn: data.ssn,
            protocol: data.protocol,
            unordered: data.is_unordered(),
            payload: Bytes::copy_from_slice(data.payload),
        })
    }

    fn insert_run(&mut self, index: usize, data: &Data<'_>) {
        // The guess is for the one message that arrives in sequence: were it for every run, a peer could make
        // many out of few bytes.
        let expected = if self.runs.is_empty() && data.is_begin() { self.last_size } else { 0 };
        let mut payload = Vec::with_capacity(expected.max(2 * data.payload.len()));
        payload.extend_from_slice(data.payload);
        self.runs.insert(
            index,
            Run {
                first: data.tsn,
                next: data.tsn.next(),
                has_begin: data.is_begin(),
                has_end: data.is_end(),
                stream: data.stream,
                ssn: data.ssn,
                protocol: data.protocol,
                unordered: data.is_unordered(),
                payload,
            },
        );
    }

    /// Unites a run with the one that it reached.
    fn join_following(&mut self, at: usize) -> Result<(), &'static str> {
        let (Some(run), Some(following)) = (self.runs.get(at), self.runs.get(at + 1)) else { return Ok(()) };
        if run.next != following.first {
            return Ok(());
        }
        if run.has_end != following.has_begin {
            return Err(BROKEN);
        }
        if run.has_end {
            return Ok(());
        }
        let same = run.stream == following.stream
            && run.unordered == following.unordered
            && (run.unordered || run.ssn == following.ssn);
        if !same {
            return Err(BROKEN);
        }
        if let Some(following) = self.runs.remove(at + 1)
            && let Some(run) = self.runs.get_mut(at)
        {
            run.payload.extend_from_slice(&following.payload);
            run.next = following.next;
            run.has_end = following.has_end;
        }
        Ok(())
    }

    fn take_complete(&mut self, at: usize) -> Option<Complete> {
        self.runs.get(at).filter(|run| run.has_begin && run.has_end)?;
        let run = self.runs.remove(at)?;
        let mut payload = run.payload;
        self.last_size = payload.len();
        if payload.capacity() > 2 * payload.len() {
            // A short message after a long one should not hold the long one's memory.
            payload.shrink_to_fit();
        }
        Some(Complete {
            stream: run.stream,
            ssn: run.ssn,
            protocol: run.protocol,
            unordered: run.unordered,
            payload: Bytes::from(payload),
        })
    }

    /// Drops runs whose beginning will never come, because everything before was received or skipped. Says
    /// how many bytes that were.
    pub(super) fn drop_headless(&mut self, cumulative: Tsn) -> usize {
        let mut dropped = 0;
        while self
            .runs
            .front()
            .is_some_and(|run| !run.has_begin && cumulative.is_at_or_after(run.first.previous()))
        {
            dropped += self.runs.pop_front().map_or(0, |run| run.payload.len());
        }
        dropped
    }

    /// Drops what a FORWARD TSN to `new_cumulative` skips. Says how many bytes that were.
    pub(super) fn skip_to(&mut self, new_cumulative: Tsn) -> usize {
        let mut dropped = 0;
        while self.runs.front().is_some_and(|run| new_cumulative.is_at_or_after(run.first)) {
            dropped += self.runs.pop_front().map_or(0, |run| run.payload.len());
        }
        dropped
    }

    pub(super) fn shrink(&mut self) {
        self.runs.shrink_to_fit();
        self.last_size = 0;
    }
}
