//! Limits of a rate.

use std::time::{Duration, Instant};

/// Lets so many units of something pass per second, and what a tenth of a second has at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenBucket {
    /// Units per second; `None` is no limit.
    rate: Option<u64>,
    burst: u64,
    /// In billionths of a unit.
    level: u128,
    at: Instant,
}

const NANOS: u128 = 1_000_000_000;

impl TokenBucket {
    /// Full at first.
    pub(super) fn new(now: Instant, rate: Option<u64>, burst: u64) -> Self {
        Self { rate, burst, level: u128::from(burst) * NANOS, at: now }
    }

    /// For bytes: what is a tenth of a second's at once, and two large datagrams in any case.
    pub(super) fn bytes(now: Instant, rate: Option<u64>) -> Self {
        Self::new(now, rate, rate.map_or(0, |rate| (rate / 10).max(131_072)))
    }

    fn fill(&mut self, now: Instant) {
        let Some(rate) = self.rate else { return };
        let passed = now.saturating_duration_since(self.at).min(Duration::from_secs(3600)).as_nanos();
        self.level = (self.level + passed * u128::from(rate)).min(u128::from(self.burst) * NANOS);
        self.at = self.at.max(now);
    }

    /// Whether so many may pass now.
    pub(super) fn has(&mut self, now: Instant, amount: u64) -> bool {
        self.fill(now);
        self.rate.is_none() || self.level >= u128::from(amount) * NANOS
    }

    /// So many pass.
    pub(super) fn take(&mut self, amount: u64) {
        if self.rate.is_some() {
            self.level = self.level.saturating_sub(u128::from(amount) * NANOS);
        }
    }

    /// Whether so many may pass now, which they do then.
    pub(super) fn try_take(&mut self, now: Instant, amount: u64) -> bool {
        let has = self.has(now, amount);
        if has {
            self.take(amount);
        }
        has
    }

    /// When it is full again; `None` if it never limits.
    pub(super) fn full_at(&mut self, now: Instant) -> Option<Instant> {
        self.fill(now);
        let rate = self.rate.filter(|rate| *rate > 0)?;
        let missing = (u128::from(self.burst) * NANOS).saturating_sub(self.level);
        let nanos = u64::try_from(missing / u128::from(rate)).unwrap_or(u64::MAX);
        now.checked_add(Duration::from_nanos(nanos).min(Duration::from_secs(60)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_over_any_time() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(start, Some(1000), 100);
        let mut passed = 0;
        for step in 0..10_000u64 {
            let now = start + Duration::from_millis(step);
            passed += (0..3).filter(|_| bucket.try_take(now, 7)).count() * 7;
        }
        assert!((9_900..=10_100).contains(&passed), "{passed} in ten seconds");
        assert!(!TokenBucket::new(start, Some(0), 0).try_take(start, 1));
        assert!(TokenBucket::new(start, None, 0).try_take(start, u64::MAX));
    }
}
