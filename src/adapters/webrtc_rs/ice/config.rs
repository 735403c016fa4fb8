//! The configuration of agents.

use std::net::SocketAddr;
use std::time::Duration;

use crate::layer::IceRole;

/// How an [`IceAgent`](super::IceAgent) is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IceConfig {
    /// The role at first. Controlling by default.
    pub role: IceRole,
    /// STUN servers, which this agent cannot ask: anything but none is refused.
    pub stun_servers: Vec<SocketAddr>,
    /// The time between two checks of a pair. 200 ms by default.
    pub check_interval: Duration,
    /// How many checks of a pair are sent at most before it has failed. 30 by default.
    pub max_checks: u16,
    /// The time between two consent checks (RFC 7675 §5.1). 2 s by default.
    pub consent_interval: Duration,
    /// The time without an answer after which the agent is disconnected. 5 s by default.
    pub disconnected_timeout: Duration,
    /// The time without an answer after which consent has expired: the agent has failed (RFC 7675 §5.1). 30 s by
    /// default.
    pub consent_timeout: Duration,
    /// How many host addresses there are at most. 16 by default.
    pub max_host_addresses: usize,
    /// How many remote candidates there are at most. 64 by default.
    pub max_remote_candidates: usize,
    /// How many addresses of the peer a host address exchanges checks with at most. 128 by default.
    pub max_paths: usize,
    /// The datagrams that wait for the crate on each host address, and for the caller in all. 64 by default.
    pub max_queued_datagrams: usize,
    /// How soon the agent wants to be called while something happens. 1 ms by default.
    pub poll_interval: Duration,
    /// After which time without progress the crate is given up. 10 s by default.
    pub stall_timeout: Duration,
}

impl Default for IceConfig {
    fn default() -> Self {
        Self {
            role: IceRole::Controlling,
            stun_servers: Vec::new(),
            check_interval: Duration::from_millis(200),
            max_checks: 30,
            consent_interval: Duration::from_secs(2),
            disconnected_timeout: Duration::from_secs(5),
            consent_timeout: Duration::from_secs(30),
            max_host_addresses: 16,
            max_remote_candidates: 64,
            max_paths: 128,
            max_queued_datagrams: 64,
            poll_interval: Duration::from_millis(1),
            stall_timeout: Duration::from_secs(10),
        }
    }
}

impl IceConfig {
    /// From disconnected to failed; for the crate, zero is never.
    pub(super) fn time_to_failure(&self) -> Duration {
        self.consent_timeout.saturating_sub(self.disconnected_timeout).max(Duration::from_millis(1))
    }
}
