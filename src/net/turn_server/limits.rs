//! What connections are held to.

use std::time::Duration;

/// What connections are held to.
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
