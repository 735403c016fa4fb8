//! Whether memory is left behind.

use std::time::Duration;

use super::kit::Kit;
use super::scenario::{Trouble, ensure};

/// Fails if every one of some rounds of `cycle` leaves memory behind. Other threads may allocate meanwhile, and
/// tables may still grow: only what is left each time is a leak.
pub(super) fn leaves_nothing(
    kit: &Kit<'_>,
    mut cycle: impl FnMut() -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    const ROUNDS: usize = 4;
    /// What tasks of the implementation's own may take to end.
    const SETTLED: Duration = Duration::from_millis(200);
    let cycles = kit.seeds.clamp(2, 10) as usize;
    // Less than the smallest object that could be left of each cycle.
    let slack = cycles * 8;
    let settle = || kit.clock.wait_until(kit.clock.now() + SETTLED);
    let heap = kit.heap.ok_or(Trouble::NotRun("no heap to look at was given to the kit"))?;
    for _ in 0..cycles {
        cycle()?;
    }
    settle();
    let mut least = usize::MAX;
    for _ in 0..ROUNDS {
        let before = heap.in_use();
        for _ in 0..cycles {
            cycle()?;
        }
        settle();
        least = least.min(heap.in_use().saturating_sub(before));
    }
    ensure!(least < slack, "{cycles} cycles leave at least {least} bytes behind each time");
    Ok(())
}
