//! The candidates of one ICE generation, and how far they were signalled.

use super::state::GatheringState;
use crate::layer::Candidate;

/// The candidates of one ICE generation.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    state: GatheringState,
    candidates: Vec<Candidate>,
    /// How many of them the application was told.
    told: usize,
    /// There will be no further one.
    is_complete: bool,
    told_end: bool,
}

impl Gathering {
    pub(super) fn add(&mut self, candidate: Candidate) {
        // They are few, and kept.
        self.candidates.reserve_exact(1);
        self.candidates.push(candidate);
    }

    /// One is of no use any more.
    pub(super) fn remove(&mut self, gone: &Candidate) {
        if let Some(place) = self.candidates.iter().position(|candidate| candidate == gone) {
            self.candidates.remove(place);
            self.told -= usize::from(place < self.told);
        }
    }

    pub(super) fn complete(&mut self) {
        self.is_complete = true;
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Begins a new generation.
    pub(super) fn restart(&mut self) {
        *self = Gathering { state: self.state, ..Gathering::default() };
    }

    /// Goes to a state, and tells whether that is another one.
    pub(super) fn enter(&mut self, state: GatheringState) -> bool {
        std::mem::replace(&mut self.state, state) != state
    }

    pub(super) fn state(&self) -> GatheringState {
        self.state
    }

    pub(super) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Frees the candidates of a session that has ended.
    pub(super) fn close(&mut self) {
        self.candidates = Vec::new();
    }

    /// What the application is to be told next: a candidate, or an empty line when there will be no further.
    pub(super) fn next_to_tell(&mut self) -> Option<String> {
        if let Some(candidate) = self.candidates.get(self.told) {
            self.told += 1;
            return Some(candidate.to_string());
        }
        let is_due = self.is_complete && !std::mem::replace(&mut self.told_end, self.is_complete);
        is_due.then(String::new)
    }
}
