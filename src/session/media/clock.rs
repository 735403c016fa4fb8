//! The wall clock of a session, for reports and send times.

use std::time::{Duration, Instant};

use crate::layer::NtpTimestamp;

/// Turns instants into NTP times: the same distance from the same beginning.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Clock {
    epoch: Instant,
    ntp: Duration,
}

impl Clock {
    pub(in crate::session) fn new(epoch: Instant, ntp: NtpTimestamp) -> Self {
        Self { epoch, ntp: ntp.as_duration() }
    }

    pub(in crate::session) fn ntp(&self, now: Instant) -> NtpTimestamp {
        NtpTimestamp::from_duration(self.ntp + now.saturating_duration_since(self.epoch))
    }
}
