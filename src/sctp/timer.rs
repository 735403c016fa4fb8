//! The timers of an association, RFC 9260 §16.

use std::time::Instant;

/// The timers of an association (RFC 9260 §16 and RFC 6525 §5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// T1-init and T1-cookie, which never run together.
    Handshake,
    /// T2-shutdown.
    Shutdown,
    /// T3-rtx.
    Retransmission,
    /// T5-shutdown-guard.
    ShutdownGuard,
    /// The delay of an acknowledgement.
    Sack,
    /// The time to the next HEARTBEAT.
    Heartbeat,
    /// The re-configuration timer.
    Reconfiguration,
}

impl Timer {
    pub(crate) const ALL: [Self; 7] = [
        Self::Handshake,
        Self::Shutdown,
        Self::Retransmission,
        Self::ShutdownGuard,
        Self::Sack,
        Self::Heartbeat,
        Self::Reconfiguration,
    ];
}

/// When each timer expires.
#[derive(Debug, Default)]
pub(crate) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    pub(crate) fn start(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub(crate) fn stop_all(&mut self) {
        self.0 = Default::default();
    }

    pub(crate) fn is_running(&self, timer: Timer) -> bool {
        self.0[timer as usize].is_some()
    }

    /// Stops the timer if it expired, and says so.
    pub(crate) fn take_expired(&mut self, timer: Timer, now: Instant) -> bool {
        self.0[timer as usize].take_if(|at| *at <= now).is_some()
    }

    /// When the next timer expires.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }
}
