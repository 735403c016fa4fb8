//! How many seeds a scenario runs with.

use std::ops::Range;

/// The usual number of seeds, or `KAON_SEED_FACTOR` times as many where that is set.
pub(super) fn seeds(usual: u64) -> Range<u64> {
    let factor = std::env::var("KAON_SEED_FACTOR").map_or(1, |value| value.parse().expect("a whole number"));
    0..usual * factor
}

/// The seeds of a test that takes seconds for each: one, or 20 times `KAON_SEED_FACTOR` where that is set.
pub(super) fn seeds_of_long_test() -> Range<u64> {
    match std::env::var_os("KAON_SEED_FACTOR") {
        Some(_) => seeds(20),
        None => seeds(1),
    }
}
