use super::scenario::{Trouble, ensure};

/// What a counting allocator tells; without one, scenarios about memory are not run.
pub trait Heap {
    /// Bytes in use by the whole process.
    fn in_use(&self) -> usize;

    /// How often this thread has asked for memory.
    fn allocations(&self) -> u64;
}

/// Fails if every one of some rounds of `cycle` leaves memory behind. Other threads may allocate meanwhile, and
/// tables may still grow: only what is left each time is a leak.
pub(super) fn leaves_nothing(
    heap: Option<&dyn Heap>,
    mut cycle: impl FnMut() -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    const CYCLES: usize = 10;
    const ROUNDS: usize = 4;
    /// Less than the smallest object that could be left of each cycle.
    const SLACK: usize = CYCLES * 8;
    let heap = heap.ok_or(Trouble::NotRun("no heap to look at was given to the kit"))?;
    for _ in 0..CYCLES {
        cycle()?;
    }
    let mut least = usize::MAX;
    for _ in 0..ROUNDS {
        let before = heap.in_use();
        for _ in 0..CYCLES {
            cycle()?;
        }
        least = least.min(heap.in_use().saturating_sub(before));
    }
    ensure!(least < SLACK, "{CYCLES} cycles leave at least {least} bytes behind each time");
    Ok(())
}
