//! What connections are held to.

use std::time::Duration;

/// What connections are held to. Times are taken as 10 ms where they are shorter, and as a day where they are longer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConnectionLimits {
    /// How many there may be. 10 000 by default.
    pub total: usize,
    /// How many of one source, an IPv4 address or a /64 of IPv6. 128 by default.
    pub per_source: usize,
    /// How long a message may take from its first byte to its last, and how long one takes to be sent. Ten seconds by
    /// default.
    pub message: Duration,
    /// How long a connection may be without an allocation. One minute by default.
    pub idle: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total: 10_000,
            per_source: 128,
            message: Duration::from_secs(10),
            idle: Duration::from_secs(60),
        }
    }
}

impl ConnectionLimits {
    const SHORTEST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

    /// With times that clocks can count.
    pub(super) fn bounded(mut self) -> Self {
        for time in [&mut self.message, &mut self.idle] {
            *time = (*time).clamp(Self::SHORTEST, Self::LONGEST);
        }
        self
    }
}
