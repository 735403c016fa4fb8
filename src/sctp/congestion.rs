//! Congestion control, RFC 9260 §7.2.

use std::fmt;

/// Decides how many bytes may be in flight (RFC 9260 §7.2).
pub trait CongestionControl: fmt::Debug + Send {
    /// The congestion window in bytes.
    fn window(&self) -> usize;

    /// A SACK arrived that acknowledged something new.
    fn on_acknowledged(&mut self, ack: &Acknowledged);

    /// Chunks are reported missing for the first time since the last recovery ended (§7.2.4).
    fn on_loss(&mut self);

    /// The retransmission timer expired (§7.2.3).
    fn on_timeout(&mut self);

    /// Nothing was sent for a retransmission timeout, or for another one (§7.2.1).
    fn on_idle(&mut self);
}

/// What a SACK acknowledged.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Acknowledged {
    /// The bytes that are acknowledged for the first time.
    pub bytes: usize,
    /// The bytes that were in flight before.
    pub in_flight: usize,
    /// Whether the cumulative TSN moved.
    pub cumulative: bool,
    /// Whether lost chunks are being recovered.
    pub in_recovery: bool,
}

/// The controller of RFC 9260 §7.2: slow start and congestion avoidance with appropriate byte counting.
#[derive(Clone, Debug)]
pub struct NewReno {
    mtu: usize,
    window: usize,
    slow_start_threshold: usize,
    partial_bytes_acked: usize,
}

impl NewReno {
    /// How many packets one SACK may open the window for in slow start (L of RFC 9260 §7.2.1). A receiver that
    /// reads segments in batches, as this implementation does, acknowledges a whole batch with one SACK, and
    /// counting it as one packet would stretch slow start by as much.
    const BYTE_COUNTING_LIMIT: usize = 64;
    /// The smallest window after a loss, in packets.
    const MIN_WINDOW: usize = 4;

    /// A controller for packets of `mtu` bytes, in slow start.
    pub fn new(mtu: usize) -> Self {
        // RFC 9260 §7.2.1 begins with 4404 bytes; ten packets are what RFC 6928 found safe since.
        Self { mtu, window: 10 * mtu, slow_start_threshold: usize::MAX, partial_bytes_acked: 0 }
    }
}

impl CongestionControl for NewReno {
    fn window(&self) -> usize {
        self.window
    }

    fn on_acknowledged(&mut self, ack: &Acknowledged) {
        // A window that was not used is not proven to be safe, so it does not grow.
        let used = ack.in_flight + self.mtu > self.window;
        if self.window <= self.slow_start_threshold {
            if used && ack.cumulative && !ack.in_recovery {
                self.window = self.window.saturating_add(ack.bytes.min(Self::BYTE_COUNTING_LIMIT * self.mtu));
            }
            return;
        }
        if !ack.cumulative {
            return;
        }
        self.partial_bytes_acked = self.partial_bytes_acked.saturating_add(ack.bytes);
        if self.partial_bytes_acked >= self.window && used && !ack.in_recovery {
            self.partial_bytes_acked -= self.window;
            self.window += self.mtu;
        } else {
            // §7.2.2: credit does not pile up beyond one window.
            self.partial_bytes_acked = self.partial_bytes_acked.min(self.window);
        }
        if ack.bytes >= ack.in_flight {
            self.partial_bytes_acked = 0; // §7.2.2: nothing is left to be acknowledged.
        }
    }

    fn on_loss(&mut self) {
        self.slow_start_threshold = (self.window / 2).max(Self::MIN_WINDOW * self.mtu);
        self.window = self.slow_start_threshold;
        self.partial_bytes_acked = 0;
    }

    fn on_timeout(&mut self) {
        self.slow_start_threshold = (self.window / 2).max(Self::MIN_WINDOW * self.mtu);
        self.window = self.mtu;
        self.partial_bytes_acked = 0;
    }

    fn on_idle(&mut self) {
        self.slow_start_threshold = self.slow_start_threshold.max(self.window);
        self.window = (self.window / 2).max(Self::MIN_WINDOW * self.mtu).min(self.window);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACK: Acknowledged =
        Acknowledged { bytes: 2000, in_flight: 10_000, cumulative: true, in_recovery: false };

    #[test]
    fn slow_start_counts_bytes() {
        let mut reno = NewReno::new(1000);
        reno.on_acknowledged(&ACK);
        assert_eq!(reno.window(), 12_000);
        reno.on_acknowledged(&Acknowledged { in_flight: 3000, ..ACK });
        assert_eq!(reno.window(), 12_000, "an unused window does not grow");
        reno.on_acknowledged(&Acknowledged { in_flight: 12_000, in_recovery: true, ..ACK });
        assert_eq!(reno.window(), 12_000, "nor one in recovery");
    }

    #[test]
    fn avoidance_adds_a_packet_for_each_window() {
        let mut reno = NewReno::new(1000);
        reno.on_loss();
        assert_eq!(reno.window(), 5000);
        let ack = Acknowledged { in_flight: 5000, ..ACK };
        reno.on_acknowledged(&ack);
        assert_eq!(reno.window(), 7000, "the threshold itself still is slow start");
        for _ in 0..3 {
            reno.on_acknowledged(&Acknowledged { in_flight: 7000, ..ACK });
        }
        assert_eq!(reno.window(), 7000);
        reno.on_acknowledged(&Acknowledged { in_flight: 7000, ..ACK });
        assert_eq!(reno.window(), 8000);
    }

    #[test]
    fn credit_ends_when_everything_is_acknowledged() {
        let mut reno = NewReno { slow_start_threshold: 5000, ..NewReno::new(1000) };
        let ack = Acknowledged { in_flight: 10_000, ..ACK };
        reno.on_acknowledged(&Acknowledged { bytes: 4000, ..ack });
        reno.on_acknowledged(&Acknowledged { bytes: 3000, in_flight: 3000, ..ack });
        for _ in 0..4 {
            reno.on_acknowledged(&ack);
        }
        assert_eq!(reno.window(), 10_000);
        reno.on_acknowledged(&ack);
        assert_eq!(reno.window(), 11_000);
    }

    #[test]
    fn a_timeout_leaves_one_packet() {
        let mut reno = NewReno::new(1000);
        reno.on_timeout();
        assert_eq!(reno.window(), 1000);
        reno.on_idle();
        assert_eq!(reno.window(), 1000, "idleness never opens the window");
    }
}
