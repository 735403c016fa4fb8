//! One host address and the crate's agent for it: the base of RFC 8445 §5.1.1.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::AbortHandle;
use webrtc_ice::agent::agent_config::AgentConfig;
use webrtc_ice::candidate::CandidateType;
use webrtc_ice::mdns::MulticastDnsMode;
use webrtc_ice::network_type::NetworkType;
use webrtc_ice::state::ConnectionState;
use webrtc_ice::udp_network::UDPNetwork;
use webrtc_util::vnet::interface::Interface;
use webrtc_util::vnet::net::Net;

use super::config::IceConfig;
use super::conn::{HostConn, HostMux, Incoming, Outgoing, Passed};
use super::message::{Class, Message};
use super::paths::Paths;
use super::stall::Progress;
use super::tasks::{self, Remote, Selected, Shared, Start};
use crate::layer::{Candidate, IceConnectionState, IceCredentials, IceError, IceRole};

/// What all bases of an adapter share.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) config: IceConfig,
    pub(super) runtime: Handle,
    pub(super) outbound: mpsc::Sender<Outgoing>,
    /// Set when an agent has told something.
    pub(super) changed: Arc<AtomicBool>,
}

#[derive(Debug)]
pub(super) struct Base {
    pub(super) address: SocketAddr,
    pub(super) candidate: Candidate,
    pub(super) paths: Paths,
    /// Of the agent, once it has sent a check.
    pub(super) tie_breaker: Option<u64>,
    /// As last looked at.
    pub(super) state: IceConnectionState,
    pub(super) selected: Option<Selected>,
    running: Option<Running>,
    passed: Arc<Passed>,
    dropped: u64,
}

#[derive(Debug)]
struct Running {
    inbound: mpsc::Sender<Incoming>,
    candidates: mpsc::Sender<Remote>,
    shared: Arc<Shared>,
    task: AbortHandle,
    /// Dropping it ends the agent.
    _stop: oneshot::Sender<()>,
    started: Instant,
    pushed: u64,
    taking: Progress,
    giving: Progress,
}

/// How a generation is to be run on a base.
#[derive(Debug)]
pub(super) struct Identity<'a> {
    pub(super) generation: u64,
    pub(super) role: IceRole,
    pub(super) local: &'a IceCredentials,
    pub(super) remote: &'a IceCredentials,
}

impl Base {
    pub(super) fn start(
        now: Instant,
        surroundings: &Surroundings,
        candidate: Candidate,
        address: SocketAddr,
        identity: &Identity<'_>,
    ) -> Result<Self, IceError> {
        let Surroundings { config, runtime, outbound, changed } = surroundings;
        let passed = Arc::new(Passed::default());
        let (inbound, to_crate) = mpsc::channel(config.max_queued_datagrams.max(1));
        let conn = Arc::new(HostConn {
            generation: identity.generation,
            address,
            inbound: Mutex::new(to_crate),
            outbound: outbound.clone(),
            passed: passed.clone(),
        });
        let shared = Arc::new(Shared::new(changed.clone()));
        let (candidates, to_add) = mpsc::channel(config.max_remote_candidates.max(1));
        let (stop, stopped) = oneshot::channel();
        let start = Start { role: identity.role, remote: identity.remote.clone() };
        let config_of_crate = agent_config(config, conn, identity)?;
        let run = tasks::run(config_of_crate, start, to_add, shared.clone(), stopped);
        let running = Running {
            inbound,
            candidates,
            shared,
            task: runtime.spawn(run).abort_handle(),
            _stop: stop,
            started: now,
            pushed: 0,
            taking: Progress::new(now),
            giving: Progress::new(now),
        };
        Ok(Self {
            address,
            candidate,
            paths: Paths::new(config.max_paths),
            tie_breaker: None,
            state: IceConnectionState::Checking,
            selected: None,
            running: Some(running),
            passed,
            dropped: 0,
        })
    }

    /// The crate checks the candidate from now on.
    pub(super) fn add_remote(&mut self, remote: Remote) {
        if let Some(running) = &self.running {
            // There is room for as many as a generation has.
            let _ = running.candidates.try_send(remote);
        }
    }

    pub(super) fn push(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        message: &Message,
        bytes: &[u8],
    ) -> Result<(), IceError> {
        let Some(running) = &mut self.running else {
            return Err(IceError::Ignored("the checks of this host address have ended"));
        };
        // An indication carries no proof of its sender, and the crate would take it for a sign of consent (RFC
        // 7675 §5.1).
        if message.class == Class::Indication || !self.paths.admits(remote, message) {
            return Err(IceError::Ignored("an indication, or nothing that was asked for"));
        }
        if running.inbound.try_send((remote, bytes.to_vec())).is_err() {
            self.dropped += 1;
            return Err(IceError::Ignored("the queue to webrtc-ice is full"));
        }
        running.pushed += 1;
        self.paths.received(now, remote, message);
        Ok(())
    }

    /// Takes over what the task has told.
    pub(super) fn look(&mut self) {
        let Some(running) = &self.running else { return };
        let told = running.shared.told().clone();
        if let Some(reason) = told.failure {
            return self.fail(reason);
        }
        self.selected = told.selected;
        match (told.state, &self.selected) {
            (ConnectionState::Failed | ConnectionState::Closed, _) => self.fail("no pair works"),
            (ConnectionState::Disconnected, Some(_)) => self.state = IceConnectionState::Disconnected,
            // The state is told apart from the pair, either may be first.
            (ConnectionState::Connected | ConnectionState::Completed, Some(_)) => {
                self.state = IceConnectionState::Connected;
            }
            _ => self.state = IceConnectionState::Checking,
        }
    }

    /// Gives the agent up if it does not come on.
    pub(super) fn look_for_stalls(&mut self, now: Instant, config: &IceConfig) {
        let Some(running) = &mut self.running else { return };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (taken, given) = (count(&self.passed.taken), count(&self.passed.given));
        let patience = config.stall_timeout;
        let takes_nothing = running.taking.is_stalled(now, taken, taken < running.pushed, patience);
        let is_connected = self.state == IceConnectionState::Connected;
        let gives_nothing =
            running.giving.is_stalled(now, given, is_connected, patience + config.consent_interval);
        let checks_for = now.saturating_duration_since(running.started);
        let never_ends =
            self.state == IceConnectionState::Checking && checks_for >= config.consent_timeout + patience;
        if takes_nothing || gives_nothing || never_ends || running.task.is_finished() {
            self.fail("webrtc-ice does not come on");
        }
    }

    fn fail(&mut self, reason: &'static str) {
        tracing::debug!(reason, "the checks of a host address have failed");
        self.end(IceConnectionState::Failed);
    }

    /// Ends the agent, and leaves the base in a state.
    pub(super) fn end(&mut self, state: IceConnectionState) {
        self.running = None;
        self.selected = None;
        self.state = state;
    }

    /// How many datagrams found no room in either direction.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped + self.passed.refused.load(Ordering::Relaxed)
    }
}

fn agent_config(
    config: &IceConfig,
    conn: Arc<HostConn>,
    identity: &Identity<'_>,
) -> Result<AgentConfig, IceError> {
    let address = Interface::convert(conn.address, None)
        .map_err(|_| IceError::UnsupportedCandidate("webrtc-ice does not take the host address"))?;
    Ok(AgentConfig {
        udp_network: UDPNetwork::Muxed(Arc::new(HostMux(conn))),
        local_ufrag: identity.local.ufrag().to_owned(),
        local_pwd: identity.local.password().to_owned(),
        multicast_dns_mode: MulticastDnsMode::Disabled,
        disconnected_timeout: Some(config.disconnected_timeout),
        failed_timeout: Some(config.time_to_failure()),
        keepalive_interval: Some(config.consent_interval),
        network_types: vec![NetworkType::Udp4, NetworkType::Udp6],
        candidate_types: vec![CandidateType::Host],
        check_interval: config.check_interval,
        max_binding_requests: Some(config.max_checks),
        is_controlling: identity.role == IceRole::Controlling,
        // The one interface that the crate finds.
        net: Some(Arc::new(Net::Ifs(vec![Interface::new(String::new(), vec![address])]))),
        include_loopback: true,
        ..AgentConfig::default()
    })
}
