//! The tests of this package compare Kaon with other implementations of the same protocols.

use std::ops::Range;

/// The usual number of seeds, or `KAON_SEED_FACTOR` times as many where that is set.
///
/// # Panics
/// Where it is set to anything but a whole number.
#[must_use]
pub fn seeds(usual: u64) -> Range<u64> {
    let factor = std::env::var("KAON_SEED_FACTOR").map_or(1, |value| value.parse().expect("a whole number"));
    0..usual * factor
}
