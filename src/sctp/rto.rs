//! The retransmission timeout, RFC 9260 §6.3.1.

use std::time::Duration;

use super::Config;

/// The retransmission timeout (RFC 9260 §6.3.1).
#[derive(Clone, Debug)]
pub(crate) struct Rto {
    smoothed: Option<Duration>,
    variation: Duration,
    current: Duration,
    initial: Duration,
    min: Duration,
    max: Duration,
}

impl Rto {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            smoothed: None,
            variation: Duration::ZERO,
            current: config.rto_initial,
            initial: config.rto_initial,
            min: config.rto_min,
            max: config.rto_max,
        }
    }

    /// The timeout now, with back-off.
    pub(crate) fn current(&self) -> Duration {
        self.current
    }

    /// The smoothed round-trip time.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// Takes a measured round-trip time.
    pub(crate) fn measure(&mut self, rtt: Duration) {
        let rtt = rtt.min(self.max);
        let smoothed = match self.smoothed {
            None => {
                self.variation = rtt / 2;
                rtt
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(rtt)) / 4;
                (smoothed * 7 + rtt) / 8
            }
        };
        self.smoothed = Some(smoothed);
        self.forgive();
    }

    /// Takes back the back-off: the peer acknowledged something, so it is there, even if what it acknowledged
    /// was sent twice and measures nothing.
    pub(crate) fn forgive(&mut self) {
        if let Some(smoothed) = self.smoothed {
            self.current = (smoothed + 4 * self.variation).clamp(self.min, self.max);
        }
    }

    /// Takes back the back-off because the path answers again. Says whether there was one.
    pub(crate) fn restart(&mut self) -> bool {
        let before = self.current;
        match self.smoothed {
            Some(_) => self.forgive(),
            None => self.current = self.initial,
        }
        self.current < before
    }

    /// Doubles the timeout after it expired (§6.3.3 E2).
    pub(crate) fn back_off(&mut self) {
        self.current = (self.current * 2).min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_round_trip_time() {
        let mut rto = Rto::new(&Config::default());
        assert_eq!(rto.current(), Duration::from_millis(500));
        rto.measure(Duration::from_millis(300));
        assert_eq!(rto.current(), Duration::from_millis(900), "R + 4 R/2");
        for _ in 0..50 {
            rto.measure(Duration::from_millis(300));
        }
        assert_eq!(rto.current(), Duration::from_millis(400), "not below the minimum");
        rto.back_off();
        assert_eq!(rto.current(), Duration::from_millis(800));
        (0..20).for_each(|_| rto.back_off());
        assert_eq!(rto.current(), Duration::from_secs(10));
        rto.forgive();
        assert_eq!(rto.current(), Duration::from_millis(400));
    }
}
