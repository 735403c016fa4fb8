//! The heap, where an allocator counts.

/// What a counting allocator tells; without one, scenarios about memory are not run.
pub trait Heap {
    /// Bytes in use by the whole process.
    fn in_use(&self) -> usize;

    /// How often this thread has asked for memory.
    fn allocations(&self) -> u64;
}
