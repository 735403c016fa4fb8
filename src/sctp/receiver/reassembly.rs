//! Fragmented messages put together (RFC 9260 §6.9).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::layer::{PayloadProtocol, StreamId};
use crate::sctp::sequence::Ssn;
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
    /// By the position of their first TSN.
    runs: BTreeMap<u64, Run>,
    /// The one run that there is while nothing is missing, apart from the tree, with the position of its first TSN.
    growing: Option<(u64, Run)>,
    max_message: usize,
    /// The size of the last message, a guess at the next one's.
    last_size: usize,
    /// What the runs count for.
    charge: usize,
}

#[derive(Debug)]
struct Run {
    /// The position after the last TSN.
    next: u64,
    has_begin: bool,
    has_end: bool,
    stream: StreamId,
    ssn: Ssn,
    protocol: PayloadProtocol,
    unordered: bool,
    payload: Pieces,
}

/// The bytes of a run. What follows in order is appended to the last piece; what was joined out of order stays in
/// pieces until the message is complete, so that a byte is copied twice at most.
#[derive(Debug, Default)]
struct Pieces {
    before: VecDeque<Vec<u8>>,
    last: Vec<u8>,
    /// The bytes of all pieces before the last.
    before_len: usize,
    /// What there is room for in them.
    before_capacity: usize,
}

/// What a run counts for besides its bytes: its place in a tree that is half empty.
const RUN_OVERHEAD: usize = 256;
/// What a piece counts for besides its bytes: its place in a queue that is half empty.
const PIECE_OVERHEAD: usize = 48;

const BROKEN: &str = "fragments that do not follow each other";

impl Pieces {
    fn len(&self) -> usize {
        self.before_len + self.last.len()
    }

    /// What is held, with its overhead.
    fn charge(&self) -> usize {
        self.before_capacity + self.last.capacity() + PIECE_OVERHEAD * self.before.len()
    }

    /// Appends the pieces of another run; costs the number of pieces of the one that has fewer.
    fn append(&mut self, mut following: Self) {
        let last = std::mem::take(&mut self.last);
        self.before_len += last.len() + following.before_len;
        self.before_capacity += last.capacity() + following.before_capacity;
        if self.before.len() < following.before.len() {
            following.before.push_front(last);
            while let Some(piece) = self.before.pop_back() {
                following.before.push_front(piece);
            }
            self.before = following.before;
        } else {
            self.before.push_back(last);
            self.before.append(&mut following.before);
        }
        self.last = following.last;
    }

    fn into_bytes(self) -> Bytes {
        if self.before.is_empty() {
            let mut payload = self.last;
            if payload.capacity() > payload.len() + payload.len() / 4 {
                // A short message after a long one should not hold the long one's memory.
                payload.shrink_to_fit();
            }
            return payload.into();
        }
        let mut payload = Vec::with_capacity(self.len());
        self.before.iter().for_each(|piece| payload.extend_from_slice(piece));
        payload.extend_from_slice(&self.last);
        payload.into()
    }
}

impl Run {
    fn new(at: u64, data: &Data<'_>, capacity: usize) -> Self {
        let mut payload = Vec::with_capacity(capacity);
        payload.extend_from_slice(data.payload);
        Self {
            next: at + 1,
            has_begin: data.is_begin(),
            has_end: data.is_end(),
            stream: data.stream,
            ssn: data.ssn,
            protocol: data.protocol,
            unordered: data.is_unordered(),
            payload: Pieces { last: payload, ..Pieces::default() },
        }
    }

    fn continues(&self, data: &Data<'_>) -> bool {
        self.stream == data.stream
            && self.unordered == data.is_unordered()
            && (self.unordered || self.ssn == data.ssn)
    }

    fn charge(&self) -> usize {
        RUN_OVERHEAD + self.payload.charge()
    }
}

impl Reassembly {
    pub(super) fn new(max_message: usize) -> Self {
        Self { runs: BTreeMap::new(), growing: None, max_message, last_size: 0, charge: 0 }
    }

    /// What is held, with its overhead.
    pub(super) fn charge(&self) -> usize {
        self.charge
    }

    /// Takes a DATA chunk whose TSN is new and has position `at`. `cumulative` is the position of the cumulative
    /// TSN with this chunk counted.
    pub(super) fn insert(
        &mut self,
        data: &Data<'_>,
        at: u64,
        cumulative: u64,
    ) -> Result<Option<Complete>, &'static str> {
        if let Some((_, run)) = &mut self.growing {
            if run.next == at && !data.is_begin() {
                return self.grow(data, at);
            }
            // What follows may lie before it or behind it.
            self.put_back();
        }
        if data.is_begin() && data.is_end() {
            return self.insert_whole(data, at).map(Some);
        }
        if data.is_begin() && self.runs.is_empty() {
            let run = Run::new(at, data, self.last_size.max(data.payload.len()));
            self.charge += run.charge();
            self.growing = Some((at, run));
            return Ok(None);
        }
        let first = self.extend_or_begin(data, at, cumulative)?;
        let Some(first) = first else {
            // Its beginning was skipped by a FORWARD TSN, or never was; so that of what follows it.
            self.drop_headless(cumulative);
            return Ok(None);
        };
        self.join_following(first)?;
        self.drop_headless(cumulative);
        match self.runs.get(&first) {
            Some(run) if run.payload.len() > self.max_message => Err("message longer than the limit"),
            Some(run) if run.has_begin && run.has_end => Ok(self.take_complete(first)),
            _ => Ok(None),
        }
    }

    /// Appends the fragment to the one run.
    fn grow(&mut self, data: &Data<'_>, at: u64) -> Result<Option<Complete>, &'static str> {
        let Some((_, run)) = &mut self.growing else { return Ok(None) };
        if !run.continues(data) {
            return Err(BROKEN);
        }
        let before = run.charge();
        run.payload.last.extend_from_slice(data.payload);
        run.next = at + 1;
        run.has_end = data.is_end();
        self.charge = self.charge + run.charge() - before;
        if run.payload.len() > self.max_message {
            return Err("message longer than the limit");
        }
        match self.growing.take_if(|(_, run)| run.has_end) {
            Some((_, run)) => Ok(Some(self.complete(run))),
            None => Ok(None),
        }
    }

    /// Puts the one run among others.
    fn put_back(&mut self) {
        if let Some((first, run)) = self.growing.take() {
            self.runs.insert(first, run);
        }
    }

    /// Appends the fragment to the run that it continues, or begins one. Says where that run begins.
    fn extend_or_begin(
        &mut self,
        data: &Data<'_>,
        at: u64,
        cumulative: u64,
    ) -> Result<Option<u64>, &'static str> {
        if let Some((first, run)) = self.runs.range_mut(..at).next_back()
            && run.next == at
        {
            if run.has_end == data.is_begin() && !run.has_end {
                if !run.continues(data) {
                    return Err(BROKEN);
                }
                let before = run.charge();
                run.payload.last.extend_from_slice(data.payload);
                run.next = at + 1;
                run.has_end = data.is_end();
                self.charge = self.charge + run.charge() - before;
                return Ok(Some(*first));
            }
            if run.has_end != data.is_begin() {
                return Err(BROKEN);
            }
        }
        if !data.is_begin() && cumulative >= at - 1 {
            return Ok(None);
        }
        // The guess at the length is for the one message that arrives in sequence: were it for every run, a peer
        // could make many out of few bytes.
        let run = Run::new(at, data, data.payload.len());
        self.charge += run.charge();
        self.runs.insert(at, run);
        Ok(Some(at))
    }

    /// A message of one chunk leaves no trace, but may not lie in the middle of another.
    fn insert_whole(&mut self, data: &Data<'_>, at: u64) -> Result<Complete, &'static str> {
        if data.payload.len() > self.max_message {
            return Err("message longer than the limit");
        }
        if !self.runs.is_empty() {
            let before = self.runs.range(..at).next_back();
            if before.is_some_and(|(_, run)| run.next == at && !run.has_end) {
                return Err(BROKEN);
            }
            if self.runs.get(&(at + 1)).is_some_and(|run| !run.has_begin) {
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

    /// Unites a run with the one that it reached.
    fn join_following(&mut self, first: u64) -> Result<(), &'static str> {
        let Some(run) = self.runs.get(&first) else { return Ok(()) };
        let Some(following) = self.runs.get(&run.next) else { return Ok(()) };
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
        let next = run.next;
        if let Some(following) = self.runs.remove(&next)
            && let Some(run) = self.runs.get_mut(&first)
        {
            self.charge -= following.charge() + run.charge();
            run.next = following.next;
            run.has_end = following.has_end;
            run.payload.append(following.payload);
            self.charge += run.charge();
        }
        Ok(())
    }

    fn take_complete(&mut self, first: u64) -> Option<Complete> {
        let run = self.runs.remove(&first)?;
        Some(self.complete(run))
    }

    fn complete(&mut self, run: Run) -> Complete {
        self.charge -= run.charge();
        self.last_size = run.payload.len();
        Complete {
            stream: run.stream,
            ssn: run.ssn,
            protocol: run.protocol,
            unordered: run.unordered,
            payload: run.payload.into_bytes(),
        }
    }

    /// Drops runs whose beginning will never come, because everything before was received or skipped.
    pub(super) fn drop_headless(&mut self, cumulative: u64) {
        // One that grows has its beginning.
        while let Some(run) = self.runs.first_entry()
            && !run.get().has_begin
            && cumulative >= *run.key() - 1
        {
            self.charge -= run.remove().charge();
        }
    }

    /// Drops what a FORWARD TSN to the position `new_cumulative` skips.
    pub(super) fn skip_to(&mut self, new_cumulative: u64) {
        self.put_back();
        while let Some(run) = self.runs.first_entry()
            && *run.key() <= new_cumulative
        {
            self.charge -= run.remove().charge();
        }
    }

    pub(super) fn shrink(&mut self) {
        if self.runs.is_empty() {
            self.runs = BTreeMap::new();
        }
        self.last_size = 0;
    }
}
