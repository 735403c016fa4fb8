//! Repetition of requests over UDP, RFC 8489 §6.2.1.

use std::time::{Duration, Instant};

/// How a request is repeated over UDP (RFC 8489 §6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetransmissionConfig {
    /// RTO: the time to the first repetition, doubled after each. 500 ms by default.
    pub initial_timeout: Duration,
    /// Rc: how often the request is sent at most. 7 by default.
    pub max_sent: u32,
    /// Rm: so many initial timeouts after the last sending the transaction has failed. 16 by default.
    pub final_factor: u32,
}

impl RetransmissionConfig {
    /// Over TCP and TLS: sent once, and given up after Ti, 39.5 s (RFC 8489 §6.2.2).
    pub const fn reliable() -> Self {
        Self { initial_timeout: Duration::from_millis(500), max_sent: 1, final_factor: 79 }
    }

    /// The same with another wait after the last sending, of so many initial timeouts.
    #[cfg(feature = "ice")]
    pub(crate) const fn lasting(self, final_factor: u32) -> Self {
        Self { final_factor, ..self }
    }
}

impl Default for RetransmissionConfig {
    fn default() -> Self {
        Self { initial_timeout: Duration::from_millis(500), max_sent: 7, final_factor: 16 }
    }
}

/// The clock of one transaction.
#[derive(Clone, Debug)]
pub struct Retransmission {
    config: RetransmissionConfig,
    sent: u32,
    due: Instant,
}

/// What a transaction wants at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetransmissionStep {
    /// Wait for the response or for [`Retransmission::due`].
    Wait,
    /// Send the request, for the first time or again.
    Send,
    /// No response will come.
    TimedOut,
}

impl Retransmission {
    /// A transaction whose request is to be sent at `now` for the first time.
    pub fn new(now: Instant, config: RetransmissionConfig) -> Self {
        Self { config, sent: 0, due: now }
    }

    /// The same with all of its time from `now` on.
    #[must_use]
    pub fn restarted(&self, now: Instant) -> Self {
        Self::new(now, self.config)
    }

    /// When the transaction wants something next.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// How often the request was sent.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// What to do at `now`; the caller does it.
    pub fn step(&mut self, now: Instant) -> RetransmissionStep {
        if now < self.due {
            return RetransmissionStep::Wait;
        }
        if self.sent >= self.config.max_sent {
            return RetransmissionStep::TimedOut;
        }
        self.sent += 1;
        let factor = if self.sent == self.config.max_sent {
            self.config.final_factor
        } else {
            1u32.checked_shl(self.sent - 1).unwrap_or(u32::MAX)
        };
        self.due = now + self.config.initial_timeout.saturating_mul(factor).min(LONGEST_WAIT);
        RetransmissionStep::Send
    }
}

/// Keeps the sum of an instant and a wait within what an instant can hold, whatever the configuration says.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
