//! The configuration of an agent.

use std::net::SocketAddr;
use std::time::Duration;

use super::address_rewrite::AddressRewriteRule;
use crate::layer::IceRole;
use crate::stun::RetransmissionConfig;

/// What an [`Agent`](super::Agent) does, when, and how much of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The role at first. Controlling by default.
    pub role: IceRole,
    /// STUN servers that are asked for server-reflexive candidates. None by default.
    pub stun_servers: Vec<SocketAddr>,
    /// What host addresses are told to the peer as, such as the public address of a machine behind a static NAT. The
    /// first rule that is for an address decides. None by default: addresses are told as they are.
    pub address_rewrite_rules: Vec<AddressRewriteRule>,
    /// Ta: the time between two checks or two questions to servers (RFC 8445 §14.2). 50 ms by default, 5 ms
    /// at least.
    pub pacing: Duration,
    /// How checks are repeated. The initial timeout is lengthened when many checks are under way (RFC 8445
    /// §14.3).
    pub check_retransmission: RetransmissionConfig,
    /// How questions to STUN servers are repeated. The last is given up after 5.5 s by default.
    pub server_retransmission: RetransmissionConfig,
    /// How long a controlling agent waits for a better pair after the first one worked, while better ones
    /// are still being checked. 500 ms by default.
    pub nomination_delay: Duration,
    /// The time between two consent checks, varied by a fifth (RFC 7675 §5.1). 5 s by default.
    pub consent_interval: Duration,
    /// The time without an answer after which consent has expired: the agent has failed (RFC 7675 §5.1).
    /// 30 s by default.
    pub consent_timeout: Duration,
    /// The time without an answer to a consent check after which the agent is disconnected. 5 s by default.
    pub disconnected_timeout: Duration,
    /// How long the agent waits for a pair to work, counted from when the last candidate came, before it has
    /// failed (RFC 8863 §4): even when all its pairs have failed before, since the peer's checks may still come,
    /// and no longer when there are so many that their checks are not over. 39.5 s by default.
    pub patience: Duration,
    /// The same while the peer has not said that it has no further candidate: after [`patience`](Self::patience)
    /// the agent is disconnected, and has failed only after this time. 5 minutes by default: a person may carry
    /// what is signalled.
    pub candidate_patience: Duration,
    /// How long the agent waits for [`resolve_name`](crate::layer::IceTransport::resolve_name) before it takes the
    /// name of a candidate for unknown. 10 s by default.
    pub name_resolution_timeout: Duration,
    /// The time between two questions to a STUN server that keep a candidate alive (RFC 8445 §5.1.1.4). 15 s
    /// by default.
    pub server_keepalive: Duration,
    /// How many local candidates there are at most. 64 by default. A quarter of them is kept for reflexive ones, and
    /// for host addresses on the link of a remote candidate or of a family that has no other.
    pub max_local_candidates: usize,
    /// How many remote candidates are kept that the peer signalled, names among them. 64 by default. Of more, those
    /// are left out that failed, then those of the commonest kind with the lowest priority.
    pub max_remote_candidates: usize,
    /// How many remote candidates are kept that were found by authentic checks of the peer, beside those that it
    /// signalled (RFC 8445 §7.3.1.3). 32 by default, one at least; a new one takes the place of the oldest that has
    /// not answered.
    pub max_peer_reflexive_candidates: usize,
    /// How many pairs are checked at most; those of the lowest priority are left out (RFC 8445 §6.1.2.5).
    /// 100 by default.
    pub max_pairs: usize,
    /// How many responses wait to be sent at most; further requests are ignored until then. 64 by default.
    pub max_queued_responses: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            role: IceRole::Controlling,
            stun_servers: Vec::new(),
            address_rewrite_rules: Vec::new(),
            pacing: Duration::from_millis(50),
            check_retransmission: RetransmissionConfig::default(),
            server_retransmission: RetransmissionConfig {
                max_sent: 4,
                final_factor: 4,
                ..RetransmissionConfig::default()
            },
            nomination_delay: Duration::from_millis(500),
            consent_interval: Duration::from_secs(5),
            consent_timeout: Duration::from_secs(30),
            disconnected_timeout: Duration::from_secs(5),
            patience: Duration::from_millis(39_500),
            candidate_patience: Duration::from_secs(300),
            name_resolution_timeout: Duration::from_secs(10),
            server_keepalive: Duration::from_secs(15),
            max_local_candidates: 64,
            max_remote_candidates: 64,
            max_peer_reflexive_candidates: 32,
            max_pairs: 100,
            max_queued_responses: 64,
        }
    }
}

impl Config {
    /// RFC 8445 §14.2 forbids a shorter time between checks.
    const LEAST_PACING: Duration = Duration::from_millis(5);

    /// The longest time that is waited for anything.
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

    /// The same configuration with times that cannot work moved to the nearest that can.
    pub(super) fn sanitized(mut self) -> Self {
        self.pacing = self.pacing.max(Self::LEAST_PACING);
        for time in [
            &mut self.pacing,
            &mut self.nomination_delay,
            &mut self.consent_interval,
            &mut self.consent_timeout,
            &mut self.disconnected_timeout,
            &mut self.patience,
            &mut self.candidate_patience,
            &mut self.name_resolution_timeout,
            &mut self.server_keepalive,
        ] {
            // A clock can be asked for a time so far ahead, not for any.
            *time = (*time).min(Self::LONGEST);
        }
        self
    }
}
