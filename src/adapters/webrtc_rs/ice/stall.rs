//! Noticing that what should come on does not.

use std::time::{Duration, Instant};

/// A count that must rise as long as something is due.
#[derive(Debug)]
pub(super) struct Progress {
    count: u64,
    since: Instant,
    looked: Instant,
}

impl Progress {
    pub(super) fn new(now: Instant) -> Self {
        Self { count: 0, since: now, looked: now }
    }

    /// Whether something has been due for `patience`, and the count has not risen.
    pub(super) fn is_stalled(&mut self, now: Instant, count: u64, is_due: bool, patience: Duration) -> bool {
        // Where nobody looked for long, the machine may have slept.
        let has_slept = now.saturating_duration_since(self.looked) >= patience;
        if !is_due || count != self.count || has_slept {
            self.since = now;
        }
        self.count = count;
        self.looked = now;
        now.saturating_duration_since(self.since) >= patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn only_what_is_due_and_watched_stalls() {
        let mut now = Instant::now();
        let mut progress = Progress::new(now);
        let mut after = |seconds, count, is_due| {
            now += Duration::from_secs(seconds);
            progress.is_stalled(now, count, is_due, PATIENCE)
        };
        assert!(!after(6, 0, true));
        assert!(!after(6, 1, true), "it has come on");
        assert!(!after(6, 1, true));
        assert!(after(6, 1, true));
        assert!(!after(1, 1, false), "nothing is due");
        assert!(!after(20, 1, true), "nobody has looked");
        assert!(!after(6, 1, true));
        assert!(after(6, 1, true));
    }
}
