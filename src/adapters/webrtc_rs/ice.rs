//! The crate `webrtc-ice` behind the seam.

mod base;
mod config;
mod conn;
mod generation;
mod message;
mod paths;
mod stall;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use self::base::Surroundings;
pub use self::config::IceConfig;
use self::conn::Outgoing;
use self::generation::Generation;
use self::message::{Class, Message};
use crate::layer::{
    Candidate, CandidateAddress, CandidateKind, CandidatePair, CandidatePairStatus, Datagram, FiveTuple,
    IceConnectionState, IceCredentials, IceError, IceEvent, IceRole, IceTransport, Layer, NameQuery,
    Protocol, Transmit, TransmitBatch,
};

/// ICE by the crate `webrtc-ice`, whose tasks run on a tokio runtime.
///
/// The crate opens no socket: datagrams go in and out as with any [`Layer`]. Its mux has one connection for all
/// candidates, which cannot tell from which address a datagram leaves, so that each host address has an agent of
/// the crate of its own; the adapter lets one of them nominate at a time. A restart has new agents, and those of
/// before serve until a pair of the new ones is selected.
///
/// The crate keeps its own time, so **simulated time does not apply**, and it tells nobody when it has something
/// to send: the agent wants to be called every [`poll_interval`](IceConfig::poll_interval) while something
/// happens, every twenty of them while it checks, and every second while it is connected. Each
/// of the crate's agents wakes five times a second. Dropping it ends all its tasks.
///
/// What the crate cannot do, and this adapter neither:
///
/// * Server-reflexive and relayed candidates: the crate asks servers from sockets of its own.
///   [`new`](Self::new) refuses a configuration with servers. Those of the peer are used.
/// * A 487 is neither sent nor understood: the adapter repairs a role conflict by the peer's checks alone, and the
///   agents begin anew.
/// * Checks that come before the peer's credentials are lost, until the peer repeats them.
/// * ICE over TCP, ICE lite and more than one component.
/// * A pair that was selected is kept: neither a better one nor another nomination on the same host address
///   replaces it. In the controlling role the checks of the other host addresses end with the first selection.
/// * The checks of the peer count as consent as much as its answers (RFC 7675 §5.1 has answers only).
/// * It is never [`Completed`](IceConnectionState::Completed). Every agent that finds no pair within
///   [`consent_timeout`](IceConfig::consent_timeout) has failed, candidates or not, until a restart.
///
/// Paths that the peer has not checked are [validated](IceTransport::is_validated) once they are selected. A task
/// of the crate that panics or does not come on for [`stall_timeout`](IceConfig::stall_timeout) makes its host
/// address fail, and the agent if there is no other.
pub struct IceAgent {
    surroundings: Surroundings,
    outgoing: mpsc::Receiver<Outgoing>,
    role: IceRole,
    hosts: Vec<(SocketAddr, Candidate)>,
    hosts_ended: bool,
    current: Generation,
    /// The one before a restart, while it has the selected pair.
    previous: Option<Generation>,
    unresolved: Vec<(NameQuery, Candidate)>,
    next_query: u64,
    state: IceConnectionState,
    /// The pair, and the generation it is of.
    selected: Option<(u64, CandidatePair)>,
    events: VecDeque<IceEvent>,
    next_poll: Option<Instant>,
    pause: Duration,
    /// By generations that have ended.
    dropped: u64,
}

/// What the crate has room for (its `RECEIVE_MTU`).
const MAX_DATAGRAM: usize = 8192;
/// Events that wait for the application at most; beyond, the oldest are forgotten.
const MAX_EVENTS: usize = 1024;
/// The longest pause between calls while pairs are checked, in poll intervals.
const LONGEST_PAUSE: u32 = 20;
/// The first pause while connected, in poll intervals: only checks for consent wait for their answers.
const CONNECTED_HASTE: u32 = 10;
/// The longest pause while connected: how late a consent check may leave.
const CONNECTED_PAUSE: Duration = Duration::from_secs(1);

impl IceAgent {
    /// An agent with random credentials; its tasks will run on `runtime`, which must have its timers enabled.
    ///
    /// # Errors
    /// [`IceError::UnsupportedCandidate`] when STUN servers are configured.
    pub fn new(config: IceConfig, runtime: Handle) -> Result<Self, IceError> {
        if !config.stun_servers.is_empty() {
            return Err(IceError::UnsupportedCandidate(
                "webrtc-ice asks STUN servers from sockets of its own; configure none, or use ice::Agent",
            ));
        }
        let credentials =
            IceCredentials::new(webrtc_ice::rand::generate_ufrag(), webrtc_ice::rand::generate_pwd())?;
        let (outbound, outgoing) = mpsc::channel(config.max_queued_datagrams.max(1));
        let (role, pause) = (config.role, config.poll_interval);
        let changed = Arc::new(AtomicBool::new(false));
        Ok(Self {
            surroundings: Surroundings { config, runtime, outbound, changed },
            outgoing,
            role,
            hosts: Vec::new(),
            hosts_ended: false,
            current: Generation::new(0, credentials, role),
            previous: None,
            unresolved: Vec::new(),
            next_query: 0,
            state: IceConnectionState::New,
            selected: None,
            events: VecDeque::new(),
            next_poll: None,
            pause,
            dropped: 0,
        })
    }

    /// How many datagrams found no room in the queues from and to the crate.
    pub fn dropped(&self) -> u64 {
        let previous = self.previous.as_ref().map_or(0, Generation::dropped);
        self.dropped + self.current.dropped() + previous
    }

    fn check_open(&self) -> Result<(), IceError> {
        if self.state == IceConnectionState::Closed { Err(IceError::Closed) } else { Ok(()) }
    }

    /// Leaves the generation for another; it serves on if it has a pair.
    fn begin_generation(&mut self, credentials: IceCredentials) {
        let next = Generation::new(self.current.number + 1, credentials, self.role);
        let ended = std::mem::replace(&mut self.current, next);
        self.unresolved.clear();
        if ended.selected_pair().is_some() {
            self.forget_previous();
            self.previous = Some(ended);
        } else {
            self.dropped += ended.dropped();
        }
    }

    /// The crate knows its role from the beginning: checks that have begun in the other one begin anew.
    fn change_role(&mut self, now: Instant, role: IceRole) {
        self.role = role;
        let Generation { number, ref credentials, .. } = self.current;
        let next = Generation::new(number + 1, credentials.clone(), role);
        let ended = std::mem::replace(&mut self.current, next);
        self.dropped += ended.dropped();
        let limit = self.surroundings.config.max_remote_candidates;
        for (address, candidate) in ended.remotes() {
            // They were admitted before.
            let _ = self.current.add_remote(*address, candidate.clone(), limit);
        }
        if let Some(remote) = ended.remote {
            // So were the host addresses.
            let _ = self.start(now, remote);
        }
    }

    fn forget_previous(&mut self) {
        self.dropped += self.previous.take().map_or(0, |previous| previous.dropped());
    }

    fn start(&mut self, now: Instant, remote: IceCredentials) -> Result<(), IceError> {
        self.current.start(now, &self.surroundings, remote, &self.hosts)?;
        self.soon(now);
        self.update();
        Ok(())
    }

    fn tell(&mut self, event: IceEvent) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Signals the candidate of a host address, for the current credentials.
    fn tell_host(&mut self, index: usize) {
        let ufrag = self.current.credentials.ufrag().to_owned();
        let candidate = &mut self.hosts[index].1;
        candidate.extensions = vec![("ufrag".to_owned(), ufrag)];
        let candidate = candidate.clone();
        self.tell(IceEvent::LocalCandidate(candidate));
    }

    fn admit(&mut self, candidate: Candidate) -> Result<(), IceError> {
        let limit = self.surroundings.config.max_remote_candidates;
        match candidate.address.clone() {
            CandidateAddress::Ip(address) => self.current.add_remote(address, candidate, limit),
            CandidateAddress::Name(name, _) => {
                if self.current.remote_count() + self.unresolved.len() >= limit {
                    return Err(IceError::TooManyCandidates { limit });
                }
                let query = NameQuery(self.next_query);
                self.next_query += 1;
                self.unresolved.push((query, candidate));
                self.tell(IceEvent::ResolveName { query, name });
                Ok(())
            }
        }
    }

    /// Something happens: the crate may answer at any moment.
    fn soon(&mut self, now: Instant) {
        let intervals = if self.is_connected() { CONNECTED_HASTE } else { 1 };
        self.pause = self.surroundings.config.poll_interval * intervals;
        self.schedule(now);
    }

    fn schedule(&mut self, now: Instant) {
        let is_busy = self.current.is_started() && self.current.state() != IceConnectionState::Failed
            || self.previous.is_some();
        self.next_poll = is_busy.then(|| now + self.pause);
    }

    fn is_connected(&self) -> bool {
        self.state == IceConnectionState::Connected
    }

    /// Takes over what the agents have told.
    fn update(&mut self) {
        if self.state == IceConnectionState::Closed {
            return;
        }
        self.surroundings.changed.store(false, Ordering::Release);
        self.current.look();
        if let Some(previous) = &mut self.previous {
            previous.look();
        }
        let failed = self.current.state() == IceConnectionState::Failed;
        let selected = self.current.selected_pair();
        let previous = self.previous.as_ref().and_then(Generation::selected_pair);
        if failed || selected.is_some() || previous.is_none() {
            self.forget_previous();
        }
        let state = match (self.current.state(), &self.previous) {
            (IceConnectionState::New, Some(previous)) if !self.current.is_started() => previous.state(),
            (IceConnectionState::New, Some(_)) => IceConnectionState::Checking,
            (state, _) => state,
        };
        let selected = match (selected, &self.previous) {
            (Some(pair), _) => Some((self.current.number, pair)),
            (None, Some(generation)) => previous.map(|pair| (generation.number, pair)),
            (None, None) => None,
        };
        if selected != self.selected {
            if let Some((_, pair)) = &selected {
                self.tell(IceEvent::SelectedPair(Box::new(pair.clone())));
            }
            self.selected = selected;
        }
        if state != self.state {
            self.state = state;
            self.tell(IceEvent::ConnectionState(state));
        }
    }
}

impl Layer for IceAgent {
    type Event = IceEvent;
    type Error = IceError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), IceError> {
        self.check_open()?;
        let Datagram { path, bytes, .. } = datagram;
        let message = Message::read(bytes).map_err(IceError::Ignored)?;
        if path.protocol != Protocol::Udp || bytes.len() > MAX_DATAGRAM {
            return Err(IceError::Ignored("not by UDP, or longer than webrtc-ice takes"));
        }
        // Who it is for, the credentials tell: the crate looks at them, of either generation.
        let for_previous = self.previous.as_mut().map(|previous| previous.push(now, &path, &message, bytes));
        if self.current.loses_role(&message, bytes) {
            // The peer repeats the check, and finds us in the other role.
            self.change_role(
                now,
                match self.role {
                    IceRole::Controlling => IceRole::Controlled,
                    IceRole::Controlled => IceRole::Controlling,
                },
            );
            return Ok(());
        }
        let for_current = self.current.push(now, &path, &message, bytes);
        if !self.is_connected() || message.class == Class::Request {
            self.soon(now);
        }
        match for_previous {
            Some(Ok(())) => Ok(()),
            _ => for_current,
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.next_poll.is_none_or(|next| next > now) {
            return;
        }
        let config = &self.surroundings.config;
        self.current.look_for_stalls(now, config);
        if let Some(previous) = &mut self.previous {
            previous.look_for_stalls(now, config);
        }
        let longest = match self.is_connected() {
            true => CONNECTED_PAUSE,
            false => config.poll_interval * LONGEST_PAUSE,
        };
        self.pause = (self.pause * 2).min(longest);
        self.update();
        self.schedule(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next_poll
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        loop {
            let Outgoing { generation, path, bytes } = self.outgoing.try_recv().ok()?;
            let of_generation = |known: &&mut Generation| known.number == generation;
            let mut generations = std::iter::once(&mut self.current).chain(&mut self.previous);
            // What a generation that has ended left behind goes nowhere.
            if !generations.find(of_generation).is_some_and(|known| known.sends(now, &path, &bytes)) {
                continue;
            }
            if self.is_connected() {
                self.pause = CONNECTED_PAUSE;
                self.schedule(now);
            } else {
                self.soon(now);
            }
            let mut segments = out.segments(Some(path), None);
            segments.datagram().extend_from_slice(&bytes);
            segments.end_datagram();
            return segments.finish();
        }
    }

    fn poll_event(&mut self) -> Option<IceEvent> {
        if self.surroundings.changed.load(Ordering::Acquire) {
            self.update();
        }
        self.events.pop_front()
    }
}

impl IceTransport for IceAgent {
    fn local_credentials(&self) -> &IceCredentials {
        &self.current.credentials
    }

    fn set_remote_credentials(&mut self, now: Instant, credentials: IceCredentials) -> Result<(), IceError> {
        self.check_open()?;
        match &self.current.remote {
            Some(known) if *known == credentials => return Ok(()),
            Some(_) => self.begin_generation(self.current.credentials.clone()),
            None => {}
        }
        self.start(now, credentials)
    }

    fn set_role(&mut self, role: IceRole) {
        if self.role != role && self.state != IceConnectionState::Closed {
            self.change_role(Instant::now(), role);
        }
    }

    fn role(&self) -> IceRole {
        self.role
    }

    fn add_host_address(&mut self, now: Instant, address: SocketAddr) -> Result<(), IceError> {
        self.check_open()?;
        if address.port() == 0 || address.ip().is_unspecified() {
            return Err(IceError::UnsupportedCandidate(
                "a host address has an IP address and a port; bind the socket and give its address",
            ));
        }
        if self.hosts.iter().any(|(known, _)| *known == address) {
            return Ok(());
        }
        let limit = self.surroundings.config.max_host_addresses;
        if self.hosts.len() >= limit {
            return Err(IceError::TooManyCandidates { limit });
        }
        let candidate = host_candidate(address, &self.hosts);
        self.hosts.push((address, candidate));
        self.tell_host(self.hosts.len() - 1);
        let (address, candidate) = &self.hosts[self.hosts.len() - 1];
        self.current.add_base(now, &self.surroundings, *address, candidate)?;
        self.update();
        self.schedule(now);
        Ok(())
    }

    fn end_of_host_addresses(&mut self, _: Instant) {
        if !self.hosts_ended && self.state != IceConnectionState::Closed {
            self.hosts_ended = true;
            self.tell(IceEvent::GatheringComplete);
        }
    }

    fn add_remote_candidate(&mut self, now: Instant, candidate: Candidate) -> Result<(), IceError> {
        self.check_open()?;
        let ufrag = self.current.remote.as_ref().map(IceCredentials::ufrag);
        let is_foreign = ufrag.zip(candidate.ufrag()).is_some_and(|(ours, its)| ours != its);
        // Component 2 belongs to RTCP without rtcp-mux, TCP candidates to RFC 6544.
        if is_foreign || candidate.component != 1 || candidate.protocol != Protocol::Udp {
            return Ok(());
        }
        self.admit(candidate)?;
        self.update();
        self.soon(now);
        Ok(())
    }

    /// The crate waits for the peer as long as it has pairs to check, end or not.
    fn end_of_remote_candidates(&mut self, _: Instant) {}

    fn resolve_name(&mut self, now: Instant, query: NameQuery, address: Option<IpAddr>) {
        let Some(position) = self.unresolved.iter().position(|(unresolved, _)| *unresolved == query) else {
            return;
        };
        let (_, mut candidate) = self.unresolved.swap_remove(position);
        if let (Some(ip), CandidateAddress::Name(_, port)) = (address, &candidate.address) {
            candidate.address = CandidateAddress::Ip(SocketAddr::new(ip, *port));
            // It has kept its place, so that the limit does not refuse it.
            let _ = self.add_remote_candidate(now, candidate);
        }
    }

    fn restart(&mut self, now: Instant, credentials: IceCredentials) -> Result<(), IceError> {
        self.check_open()?;
        self.begin_generation(credentials);
        // What was not yet told of the generation before must not be taken for part of this one.
        self.events
            .retain(|event| !matches!(event, IceEvent::LocalCandidate(_) | IceEvent::GatheringComplete));
        for index in 0..self.hosts.len() {
            self.tell_host(index);
        }
        if self.hosts_ended {
            self.tell(IceEvent::GatheringComplete);
        }
        self.update();
        self.schedule(now);
        Ok(())
    }

    fn state(&self) -> IceConnectionState {
        self.state
    }

    fn selected_pair(&self) -> Option<&CandidatePair> {
        self.selected.as_ref().map(|(_, pair)| pair)
    }

    fn candidate_pairs(&self) -> Vec<CandidatePairStatus> {
        match &self.previous {
            Some(previous) if !self.current.is_started() => previous.describe(),
            _ => self.current.describe(),
        }
    }

    fn is_validated(&self, path: &FiveTuple) -> bool {
        self.selected_pair().is_some_and(|pair| pair.path == *path)
            || self.current.is_validated(path)
            || self.previous.as_ref().is_some_and(|previous| previous.is_validated(path))
    }

    fn close(&mut self) {
        if self.state == IceConnectionState::Closed {
            return;
        }
        self.begin_generation(self.current.credentials.clone());
        self.forget_previous();
        self.unresolved.clear();
        self.selected = None;
        self.next_poll = None;
        self.state = IceConnectionState::Closed;
        self.tell(IceEvent::ConnectionState(IceConnectionState::Closed));
    }
}

/// The candidate of an address that follows those that are there (RFC 8445 §5.1.2.1, §5.1.1.3).
fn host_candidate(address: SocketAddr, before: &[(SocketAddr, Candidate)]) -> Candidate {
    const TYPE_PREFERENCE: u32 = 126;
    const COMPONENT: u16 = 1;
    let local_preference = u32::from(u16::MAX) - before.len() as u32;
    let same_base = before.iter().position(|(known, _)| known.ip() == address.ip());
    Candidate {
        foundation: (same_base.unwrap_or(before.len()) + 1).to_string(),
        component: COMPONENT,
        protocol: Protocol::Udp,
        priority: (TYPE_PREFERENCE << 24) + (local_preference << 8) + 256 - u32::from(COMPONENT),
        address: CandidateAddress::Ip(address),
        kind: CandidateKind::Host,
        related: None,
        tcp_kind: None,
        extensions: Vec::new(),
    }
}

impl fmt::Debug for IceAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceAgent")
            .field("role", &self.role)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
