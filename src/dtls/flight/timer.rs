//! The retransmission timer of flights, RFC 6347 §4.2.4.1.

use std::time::{Duration, Instant};

/// After how many retransmissions without an answer a flight is taken to be too large for the path (RFC 6347
/// §4.1.1.1: "2-3 seems appropriate").
const RETRANSMISSIONS_OF_FULL_SIZE: u32 = 2;

/// What any path carries: the 576 bytes of RFC 791 without the headers of IP, UDP and TURN.
const REDUCED_DATAGRAM: usize = 512;

/// When a flight is sent again (RFC 6347 §4.2.4.1).
#[derive(Debug)]
pub(crate) struct RetransmissionTimer {
    initial: Duration,
    max: Duration,
    max_retransmissions: u32,
    current: Duration,
    retransmissions: u32,
    deadline: Option<Instant>,
    last_sent: Option<Instant>,
}

impl RetransmissionTimer {
    pub(crate) fn new(initial: Duration, max: Duration, max_retransmissions: u32) -> Self {
        Self {
            initial,
            max: max.max(initial),
            max_retransmissions,
            current: initial,
            retransmissions: 0,
            deadline: None,
            last_sent: None,
        }
    }

    /// A new flight: its first answer is awaited as long as that of the first.
    pub(crate) fn reset(&mut self) {
        self.current = self.initial;
        self.retransmissions = 0;
        self.deadline = None;
        self.last_sent = None;
    }

    /// The last datagram of the flight was handed out.
    pub(crate) fn flight_sent(&mut self, now: Instant, expects_answer: bool) {
        self.last_sent = Some(now);
        self.deadline = if expects_answer { now.checked_add(self.current) } else { None };
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Looks whether the answer is overdue.
    pub(crate) fn expire(&mut self, now: Instant) -> Expiry {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return Expiry::NotDue;
        }
        if self.retransmissions >= self.max_retransmissions {
            return Expiry::GiveUp;
        }
        self.retransmissions += 1;
        self.current = self.current.saturating_mul(2).min(self.max);
        // Runs again once the flight was handed out again.
        self.deadline = None;
        Expiry::Retransmit
    }

    /// The longest datagram that the flight should be sent in.
    pub(crate) fn max_datagram(&self) -> usize {
        if self.retransmissions > RETRANSMISSIONS_OF_FULL_SIZE { REDUCED_DATAGRAM } else { usize::MAX }
    }

    /// Whether the flight may be sent again because the peer seems to lack it. Not at once after it was sent:
    /// what seems a repetition may only have been duplicated by the network, or be an attacker's, and
    /// neither shall multiply what is sent.
    pub(crate) fn may_retransmit_early(&self, now: Instant) -> bool {
        self.last_sent.is_some_and(|sent| now.saturating_duration_since(sent) >= self.initial / 4)
    }
}

/// What an expired timer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    NotDue,
    Retransmit,
    GiveUp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_the_limit() {
        let start = Instant::now();
        let mut timer = RetransmissionTimer::new(Duration::from_secs(1), Duration::from_secs(5), 5);
        let mut now = start;
        timer.flight_sent(now, true);
        for wait in [1, 2, 4, 5, 5] {
            assert_eq!(timer.expire(now), Expiry::NotDue);
            assert_eq!(timer.deadline(), Some(now + Duration::from_secs(wait)));
            now += Duration::from_secs(wait);
            assert_eq!(timer.expire(now), Expiry::Retransmit);
            assert_eq!(timer.deadline(), None);
            timer.flight_sent(now, true);
        }
        now += Duration::from_secs(5);
        assert_eq!(timer.expire(now), Expiry::GiveUp);
    }

    #[test]
    fn nothing_is_sent_again_at_once() {
        let now = Instant::now();
        let mut timer = RetransmissionTimer::new(Duration::from_secs(1), Duration::from_secs(5), 5);
        assert!(!timer.may_retransmit_early(now));
        timer.flight_sent(now, true);
        assert!(!timer.may_retransmit_early(now + Duration::from_millis(249)));
        assert!(timer.may_retransmit_early(now + Duration::from_millis(250)));
    }
}
