//! The clocks that scenarios run by.

use std::cell::Cell;
use std::time::Instant;

/// The time that scenarios run by.
pub trait Clock {
    /// The time.
    fn now(&self) -> Instant;

    /// Returns once the time is `instant` or later.
    fn wait_until(&self, instant: Instant);
}

/// A clock that goes as far as it is asked to wait, and takes no time for it.
#[derive(Debug)]
pub struct VirtualClock(Cell<Instant>);

impl VirtualClock {
    /// A clock that begins at `epoch`.
    pub fn new(epoch: Instant) -> Self {
        Self(Cell::new(epoch))
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        self.0.get()
    }

    fn wait_until(&self, instant: Instant) {
        self.0.set(self.0.get().max(instant));
    }
}
