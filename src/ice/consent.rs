//! Consent freshness, RFC 7675.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::config::Config;
use crate::crypto::SecureRandom;
use crate::stun::TransactionId;

/// Whether the peer still wants to receive on the selected pair (RFC 7675 §5.1).
#[derive(Debug)]
pub(super) struct Consent {
    granted: Instant,
    next_check: Instant,
    /// Checks without an answer since consent was granted last, oldest first.
    unanswered: VecDeque<(TransactionId, Instant)>,
    /// Nothing is asked: the checks of the peer show it (RFC 8445 §2.5).
    is_lite: bool,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    interval: Duration,
    disconnected: Duration,
    expiry: Duration,
}

/// The time between checks while the last one is unanswered.
const REPEAT: Duration = Duration::from_secs(1);

impl Consent {
    /// Consent that a check gave when it succeeded at `granted` (RFC 7675 §5.1).
    pub(super) fn new(granted: Instant, config: &Config, random: &dyn SecureRandom) -> Self {
        let limits = Limits {
            interval: config.consent_interval,
            disconnected: config.disconnected_timeout,
            expiry: config.consent_timeout,
        };
        Self {
            granted,
            next_check: granted + vary(limits.interval, random),
            unanswered: VecDeque::new(),
            is_lite: config.lite,
            limits,
        }
    }

    /// When the peer consented last.
    pub(super) fn granted(&self) -> Instant {
        self.granted
    }

    /// Takes note of consent that another check of the pair has shown.
    pub(super) fn grant(&mut self, now: Instant, random: &dyn SecureRandom) {
        self.granted = now;
        self.unanswered.clear();
        self.next_check = now + vary(self.limits.interval, random);
    }

    /// Has the next check sent at once.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.next_check = self.next_check.min(now);
    }

    /// The identifier of a check to send now, if one is due.
    pub(super) fn check(&mut self, now: Instant, random: &dyn SecureRandom) -> Option<TransactionId> {
        if self.is_lite || now < self.next_check {
            return None;
        }
        // RFC 7675 §5.1: a new identifier for each check, none is repeated.
        let id = TransactionId::random(random);
        // As many as can be sent before consent expires.
        let most = (self.limits.expiry.as_secs() as usize).clamp(2, 64);
        if self.unanswered.len() >= most {
            // The oldest tells since when the peer is silent, the newest can still be answered.
            self.unanswered.remove(1);
        }
        self.unanswered.push_back((id, now));
        self.next_check = now + REPEAT.min(self.limits.interval);
        Some(id)
    }

    /// Notes an authentic response, and tells how long it took. `None` if it answers none of the checks.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        id: TransactionId,
        random: &dyn SecureRandom,
    ) -> Option<Duration> {
        let (_, sent) = *self.unanswered.iter().find(|(check, _)| *check == id)?;
        self.grant(now, random);
        Some(now.saturating_duration_since(sent))
    }

    /// Whether a check waits for its answer.
    pub(super) fn is_unanswered(&self) -> bool {
        !self.unanswered.is_empty()
    }

    pub(super) fn is_disconnected(&self, now: Instant) -> bool {
        self.disconnects().is_some_and(|at| now >= at)
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        now >= self.granted + self.limits.expiry
    }

    /// When something changes next.
    pub(super) fn timeout(&self, now: Instant) -> Instant {
        let expires = self.granted + self.limits.expiry;
        let disconnects = self.disconnects().filter(|at| *at > now).unwrap_or(expires);
        let next_check = if self.is_lite { expires } else { self.next_check };
        next_check.min(disconnects).min(expires)
    }

    fn disconnects(&self) -> Option<Instant> {
        if self.is_lite {
            // A peer checks as often as this side would.
            return Some(self.granted + self.limits.interval + self.limits.disconnected);
        }
        self.unanswered.front().map(|(_, sent)| *sent + self.limits.disconnected)
    }
}

/// RFC 7675 §5.1: the interval is varied from 0.8 to 1.2 times its length, so that peers do not fall into
/// step.
fn vary(interval: Duration, random: &dyn SecureRandom) -> Duration {
    let mut bytes = [0; 2];
    random.fill(&mut bytes);
    interval.mul_f64(0.8 + 0.4 * f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SeededRandom;

    #[test]
    fn the_newest_checks_count_however_many_are_unanswered() {
        let config = Config { consent_interval: Duration::from_millis(250), ..Config::default() };
        let random = SeededRandom::new(1);
        let mut now = Instant::now();
        let mut consent = Consent::new(now, &config, &random);
        let mut sent = Vec::new();
        while sent.len() < 100 {
            now = consent.timeout(now);
            sent.extend(consent.check(now, &random));
        }
        assert!(consent.is_disconnected(now));
        // The round trip takes longer than the time between two checks.
        assert!(consent.answer(now, sent[97], &random).is_some());
        assert!(!consent.is_disconnected(now));
    }
}
