//! What the comparisons share: CPU time, medians, and whole connections of several implementations.

use std::time::Duration;

pub mod child;
pub mod clients;
pub mod clock;
pub mod pair;
pub mod server;

/// The CPU time that this process has used.
pub fn cpu_time() -> Duration {
    clock::read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// The CPU time that `work` uses.
pub fn cpu_time_of(work: impl FnOnce()) -> Duration {
    let before = cpu_time();
    work();
    cpu_time() - before
}

/// The middle of `values`.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value that `share` of `values` lie below.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
