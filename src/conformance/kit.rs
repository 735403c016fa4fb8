//! The run of all scenarios.

use std::fmt;

use super::clock::Clock;
use super::heap::Heap;

/// Runs implementations through the scenarios of their trait.
#[derive(Clone, Copy)]
pub struct Kit<'a> {
    pub(super) clock: &'a dyn Clock,
    pub(super) heap: Option<&'a dyn Heap>,
    pub(super) seeds: u64,
    pub(super) only: &'a str,
}

impl<'a> Kit<'a> {
    /// A kit on `clock`, whose scenarios with chance in them run with 20 seeds.
    pub fn new(clock: &'a dyn Clock) -> Self {
        Self { clock, heap: None, seeds: 20, only: "" }
    }

    /// The same kit with a heap to look at. Nothing else should run in the process meanwhile.
    pub fn with_heap(self, heap: &'a dyn Heap) -> Self {
        Self { heap: Some(heap), ..self }
    }

    /// The same kit with this many seeds, at least one; fewer where the clock really waits.
    pub fn with_seeds(self, seeds: u64) -> Self {
        Self { seeds: seeds.max(1), ..self }
    }

    /// The same kit, which runs only scenarios whose names begin so.
    pub fn only(self, prefix: &'a str) -> Self {
        Self { only: prefix, ..self }
    }
}

impl fmt::Debug for Kit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kit").field("seeds", &self.seeds).finish_non_exhaustive()
    }
}
