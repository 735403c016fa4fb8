//! The ICE agent, RFC 8445.

mod handover;
mod places;
mod receive;
mod reconfigure;
mod relay;
mod renomination;
mod schedule;
mod select;
mod send;
mod streams;
mod verify;

use std::any::Any;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::crypto::CryptoProvider;
use crate::ice::check_list::CheckList;
use crate::ice::config::Config;
use crate::ice::credentials::{KeyedCredentials, random_credentials};
use crate::ice::gathering::Gathering;
use crate::ice::local::{Added, LocalCandidates};
use crate::ice::message::{Generation, Outgoing, random_tie_breaker};
use crate::ice::pair::PairId;
use crate::ice::remote::{Admitted, RemoteCandidates, belongs};
use crate::ice::selected::Selected;
use crate::ice::streams::{PairStreams, StreamQueue};
use crate::ice::verification::Verification;
use crate::layer::{
    Candidate, CandidateAddress, CandidatePair, CandidatePairStatus, Datagram, Envelope, FiveTuple,
    HostAddress, IceConnectionState, IceCredentials, IceError, IceEvent, IceFailure, IceOptions, IceRole,
    IceTransport, Layer, NameQuery, NetworkKind, Opened, PathProof, RelayProtocol, StreamReport,
    StreamRequest, Transmit, TransmitBatch,
};
use crate::stun::{Message, Method};

/// A full ICE agent for one data stream with one component (RFC 8445).
///
/// It begins with random credentials. Give it the addresses of the sockets, signal its candidates and
/// credentials to the peer, hand it the peer's, and drive it as a [`Layer`].
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use std::time::Instant;
///
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::ice::{Agent, Candidate, Config, IceCredentials, IceEvent, IceTransport};
/// use kaon_rtc::layer::{Layer, TransmitBatch};
///
/// let now = Instant::now();
/// let mut agent = Agent::new(now, aws_lc_rs::provider(), Config::default());
/// agent.add_host_address(now, "192.0.2.1:5000".parse()?)?;
/// agent.end_of_host_addresses(now);
/// while let Some(event) = agent.poll_event() {
///     if let IceEvent::LocalCandidate(candidate) = event {
///         println!("signal {candidate}");
///     }
/// }
///
/// // What the peer has signalled.
/// agent.set_remote_credentials(now, IceCredentials::new("8hhY", "asd88fgpdd777uzjYhagZg")?)?;
/// let candidate: Candidate = "candidate:1 1 udp 2130706431 198.51.100.1 7000 typ host".parse()?;
/// agent.add_remote_candidate(now, candidate)?;
///
/// // The first check is to be sent.
/// agent.handle_timeout(now);
/// let mut batch = TransmitBatch::new(1200);
/// let check = agent.poll_transmit(now, &mut batch).ok_or("a check is due")?;
/// assert_eq!(check.path.ok_or("it has a path")?.remote.port(), 7000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Agent {
    provider: CryptoProvider,
    config: Config,
    role: IceRole,
    remote_options: IceOptions,
    /// The value of the last nomination in this generation, where they are counted.
    nominations: u32,
    /// When this side has nominated a pair last.
    nominated_at: Option<Instant>,
    tie_breaker: u64,
    local_credentials: KeyedCredentials,
    remote_credentials: Option<KeyedCredentials>,
    /// The credentials before a restart, while data still flows on the pair they selected.
    previous: Option<Box<PreviousCredentials>>,
    local: LocalCandidates,
    remote: RemoteCandidates,
    remote_ended: bool,
    /// When a pair or a name came last that may bring a pair that works.
    last_news: Option<Instant>,
    check_list: CheckList,
    gathering: Gathering,
    /// What is to be done with streams.
    streams: StreamQueue,
    /// Those of pairs that are being opened, and those that are open, whoever opened them.
    pair_streams: PairStreams,
    /// What counts from the next gathering on.
    next_config: Option<Box<Config>>,
    /// The earliest time of the next check or question to a server (RFC 8445 §14).
    next_paced: Instant,
    /// Whether a question to a server goes before the next check.
    server_turn: bool,
    /// Whether a TURN server goes before the next STUN server.
    relay_turn: bool,
    /// When the credentials of both sides were known.
    started: Option<Instant>,
    first_valid: Option<Instant>,
    selected: Option<Selected>,
    /// Pairs that are asked whether they still work.
    verifications: Vec<Verification>,
    /// When a pair that was just nominated is asked once more.
    confirmation: Option<Instant>,
    /// While the selected pair is silent, all others are checked.
    has_checked_others: bool,
    /// An address of this machine went while it was in use: another may come.
    has_lost_address: bool,
    /// When the peer is shown once more that this side has gone elsewhere.
    insistence: Option<Instant>,
    /// When the pairs in reserve are asked next.
    reserve_due: Option<Instant>,
    /// The pair of this generation that was nominated last and is or was selected.
    concluded_on: Option<PairId>,
    /// What the last datagram has shown, and of which path.
    proof: Option<(FiveTuple, PathProof)>,
    /// Why it has failed, if it has.
    failure: Option<Box<IceFailure>>,
    state: IceConnectionState,
    outbox: VecDeque<Outgoing>,
    queued_responses: usize,
    events: VecDeque<IceEvent>,
    timeout: Option<Instant>,
    next_query: u64,
    stats: AgentStats,
}

/// What an agent has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentStats {
    /// Checks sent, repetitions and consent checks included.
    pub checks_sent: u64,
    /// Authentic checks received.
    pub checks_received: u64,
    /// Authentic responses received, error responses included.
    pub responses_received: u64,
    /// Datagrams that were refused and changed nothing.
    pub ignored: u64,
}

#[derive(Debug)]
struct PreviousCredentials {
    local: KeyedCredentials,
    remote: KeyedCredentials,
}

impl Agent {
    /// An agent with new credentials. `now` is only where its clocks begin.
    pub fn new(now: Instant, provider: CryptoProvider, config: Config) -> Self {
        let mut config = config.sanitized();
        let errors = std::mem::take(&mut config.server_errors).into_iter();
        let events = errors.map(|error| IceEvent::CandidateError(Box::new(error))).collect();
        // RFC 8445 §7.3.1.1: an agent that cannot control has the lower one in every conflict.
        let tie_breaker = if config.lite { 0 } else { random_tie_breaker(&*provider.random) };
        let role = if config.lite { IceRole::Controlled } else { config.role };
        let credentials = random_credentials(&*provider.random);
        Self {
            role,
            remote_options: IceOptions::default(),
            nominations: 0,
            nominated_at: None,
            tie_breaker,
            local_credentials: KeyedCredentials::new(&provider, credentials),
            remote_credentials: None,
            previous: None,
            local: LocalCandidates::new(&mut config),
            remote: RemoteCandidates::new(&config),
            remote_ended: false,
            last_news: None,
            check_list: CheckList::new(config.max_pairs),
            gathering: Gathering::default(),
            streams: StreamQueue::default(),
            pair_streams: PairStreams::default(),
            next_config: None,
            next_paced: now,
            server_turn: false,
            relay_turn: false,
            started: None,
            first_valid: None,
            selected: None,
            verifications: Vec::new(),
            confirmation: None,
            has_checked_others: false,
            has_lost_address: false,
            insistence: None,
            reserve_due: None,
            concluded_on: None,
            proof: None,
            failure: None,
            state: IceConnectionState::New,
            outbox: VecDeque::new(),
            queued_responses: 0,
            events,
            timeout: None,
            next_query: 0,
            stats: AgentStats::default(),
            provider,
            config,
        }
    }

    /// What happened so far.
    pub fn stats(&self) -> AgentStats {
        self.stats
    }

    /// Random credentials to [restart](IceTransport::restart) with.
    pub fn new_credentials(&self) -> IceCredentials {
        random_credentials(&*self.provider.random)
    }

    /// The local candidates found so far, peer-reflexive ones included.
    pub fn local_candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.local.candidates().iter().map(|local| &local.candidate)
    }

    fn has_given_up(&self) -> bool {
        self.failure.is_some()
    }

    fn is_closed(&self) -> bool {
        self.state == IceConnectionState::Closed
    }
}

impl Layer for Agent {
    type Event = IceEvent;
    type Error = IceError;

    fn handle_datagram(&mut self, now: Instant, mut datagram: Datagram<'_>) -> Result<(), IceError> {
        let relays = &mut self.gathering.relays;
        if relays.is_leaving() && relays.receive_leaving(now, datagram.reborrow()) {
            self.update(now);
            return Ok(());
        }
        let outcome = match self.gathering.relays.at(&datagram.path) {
            Some(id) if !self.is_closed() && !is_binding(datagram.bytes) => {
                self.receive_by_relay(now, id, datagram)
            }
            _ => self.receive(now, &datagram),
        };
        match outcome {
            Ok(()) => self.update(now),
            Err(_) => self.stats.ignored += 1,
        }
        outcome
    }

    fn handle_timeout(&mut self, now: Instant) {
        // Every other call leaves behind the time of what is due next.
        if self.timeout.is_some_and(|timeout| timeout <= now) {
            self.update(now);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        self.handle_timeout(now);
        if let Some(transmit) = self.gathering.relays.poll_transmit(now, out) {
            return Some(transmit);
        }
        while let Some(message) = self.take_sendable() {
            let envelope = self.gathering.relays.envelope(&message.path).copied();
            let mut segments = match &envelope {
                Some(envelope) => out.segments(envelope.path(), None).within(envelope),
                None => out.segments(Some(message.path), None),
            };
            if envelope.is_some() {
                self.gathering.relays.sent(now, &message.path);
            }
            if self.write(&message, segments.datagram()).is_some() {
                segments.end_datagram();
                return segments.finish();
            }
        }
        None
    }

    fn poll_event(&mut self) -> Option<IceEvent> {
        let event = self.events.pop_front();
        if event.is_some() && self.events.is_empty() {
            // Events are large and rare: an agent that is connected is not to hold room for those of its start.
            self.events.shrink_to_fit();
        }
        event
    }

    fn poll_stream(&mut self) -> Option<StreamRequest> {
        self.streams.poll()
    }

    fn handle_stream(&mut self, now: Instant, report: StreamReport) {
        let relays = &mut self.gathering.relays;
        if !relays.handle_stream(now, &report, &self.provider, &self.config, &mut self.streams)
            && !self.gathering.stream_bindings.handle_stream(&report)
        {
            self.handle_pair_stream(now, &report);
        }
        self.update(now);
    }
}

impl IceTransport for Agent {
    fn local_credentials(&self) -> &IceCredentials {
        &self.local_credentials.credentials
    }

    fn set_remote_credentials(&mut self, now: Instant, credentials: IceCredentials) -> Result<(), IceError> {
        if self.is_closed() {
            return Err(IceError::Closed);
        }
        match &self.remote_credentials {
            Some(known) if known.credentials == credentials => return Ok(()),
            Some(_) => {
                let local = self.local_credentials.credentials.clone();
                self.begin_generation(KeyedCredentials::new(&self.provider, local));
            }
            None => {
                self.remote.keep(credentials.ufrag());
                self.check_list.keep(&self.remote);
            }
        }
        self.remote_credentials = Some(KeyedCredentials::new(&self.provider, credentials));
        self.started = Some(now);
        self.last_news = Some(now);
        self.update(now);
        Ok(())
    }

    fn options(&self) -> IceOptions {
        IceOptions::new().with_lite(self.config.lite).with_renomination(self.config.renomination)
    }

    fn set_remote_options(&mut self, options: IceOptions) {
        self.remote_options = options;
    }

    fn set_role(&mut self, role: IceRole) {
        let role = if self.config.lite { IceRole::Controlled } else { role };
        if self.role != role && !self.is_closed() {
            self.role = role;
            self.check_list.set_role(role);
            // A new role may have something to do, such as to nominate, that no timeout was set for.
            self.timeout = Some(self.timeout.map_or(self.next_paced, |timeout| timeout.min(self.next_paced)));
        }
    }

    fn role(&self) -> IceRole {
        self.role
    }

    fn add_host_address(&mut self, now: Instant, address: SocketAddr) -> Result<(), IceError> {
        self.add_host(now, address.into())
    }

    fn add_host(&mut self, now: Instant, host: HostAddress) -> Result<(), IceError> {
        let address = host.address;
        if self.is_closed() {
            return Err(IceError::Closed);
        }
        if address.port() == 0 || address.ip().is_unspecified() {
            return Err(IceError::UnsupportedCandidate(
                "a host address has an IP address and a port; bind the socket and give its address",
            ));
        }
        let is_on_link = self.remote.has_neighbour(address.ip());
        match self.local.add_host(&host, is_on_link) {
            Added::New => {}
            Added::Redundant => return Ok(()),
            Added::Full => {
                // Counted, not named: addresses are logged at `trace` only.
                tracing::debug!(left_out = self.local.left_out(), "no room for a host address");
                return Err(IceError::TooManyCandidates { limit: self.config.max_local_candidates });
            }
        }
        self.take_base(now, address);
        self.update(now);
        Ok(())
    }

    fn add_passive_address(&mut self, now: Instant, host: HostAddress) -> Result<(), IceError> {
        self.add_passive_base(now, &host)
    }

    fn add_simultaneous_open_address(&mut self, now: Instant, host: HostAddress) -> Result<(), IceError> {
        self.add_simultaneous_base(now, &host)
    }

    fn remove_host_address(&mut self, now: Instant, address: SocketAddr) {
        if !self.is_closed() {
            self.remove_host(now, address);
            self.update(now);
        }
    }

    fn end_of_host_addresses(&mut self, now: Instant) {
        self.gathering.end();
        self.update(now);
    }

    fn add_remote_candidate(&mut self, now: Instant, candidate: Candidate) -> Result<(), IceError> {
        if self.is_closed() {
            return Err(IceError::Closed);
        }
        let known = self.remote_credentials.as_ref();
        if self.has_given_up() || known.is_some_and(|remote| !belongs(&candidate, remote.ufrag())) {
            return Ok(());
        }
        let query = NameQuery(self.next_query);
        let name = match &candidate.address {
            CandidateAddress::Name(name, _) => Some(name.clone()),
            CandidateAddress::Ip(_) => None,
        };
        let priority = candidate.priority;
        if self.remote.must_make_room(&candidate) {
            self.make_room_for(&candidate)?;
        }
        match self.remote.admit(now, candidate, query)? {
            Admitted::New(remote) => {
                self.take_spare_base(now, remote);
                self.pair_remote(now, remote);
            }
            Admitted::Signalled(remote) => {
                self.check_list.set_remote_priority(self.role, remote, priority);
                if let Some(selected) = &mut self.selected
                    && selected.generation == Generation::Current
                    && self.remote.find(selected.pair.path.protocol, selected.pair.path.remote)
                        == Some(remote)
                {
                    selected.pair.remote = self.remote.get(remote).candidate.clone();
                }
            }
            Admitted::Unresolved => {
                self.next_query += 1;
                self.last_news = Some(now);
                self.events.extend(name.map(|name| IceEvent::ResolveName { query, name }));
            }
            Admitted::Redundant | Admitted::Unusable => {}
        }
        self.update(now);
        Ok(())
    }

    fn end_of_remote_candidates(&mut self, now: Instant) {
        self.remote_ended = true;
        self.update(now);
    }

    fn resolve_name(&mut self, now: Instant, query: NameQuery, address: Option<IpAddr>) {
        if let Some(candidate) = self.remote.take_resolved(query, address) {
            // A refusal can only be the limit: others have come meanwhile, and are better.
            let _ = self.add_remote_candidate(now, candidate);
        }
        self.update(now);
    }

    fn restart(&mut self, now: Instant, credentials: IceCredentials) -> Result<(), IceError> {
        if self.is_closed() {
            return Err(IceError::Closed);
        }
        self.begin_generation(KeyedCredentials::new(&self.provider, credentials));
        self.take_configuration();
        self.local.forget_reflexive();
        self.gathering.restart(&self.config, &mut self.streams);
        for (index, base) in self.local.bases().iter().enumerate() {
            self.gathering.add_base(now, index, base, &self.config);
        }
        // What was not yet told of the generation before must not be taken for part of this one.
        self.events
            .retain(|event| !matches!(event, IceEvent::LocalCandidate(_) | IceEvent::GatheringComplete));
        for base in 0..self.local.bases().len() {
            self.signal_hosts(base);
        }
        self.signal_relays();
        self.signal_held_mappings();
        self.update(now);
        Ok(())
    }

    fn state(&self) -> IceConnectionState {
        self.state
    }

    fn selected_pair(&self) -> Option<&CandidatePair> {
        self.selected.as_ref().map(|selected| &selected.pair)
    }

    fn candidate_pairs(&self) -> Vec<CandidatePairStatus> {
        self.describe_pairs()
    }

    fn failure(&self) -> Option<&IceFailure> {
        self.failure.as_deref()
    }

    fn is_validated(&self, path: &FiveTuple) -> bool {
        self.selected.as_ref().is_some_and(|selected| selected.pair.path == *path)
            || self
                .check_list
                .pairs()
                .iter()
                .any(|pair| pair.path == *path && (pair.is_valid() || pair.checked_by_peer))
    }

    fn has_peer_checked(&self) -> bool {
        let is_previous = |selected: &Selected| selected.generation == Generation::Previous;
        self.check_list.pairs().iter().any(|pair| pair.checked_by_peer)
            || self.selected.as_ref().is_some_and(is_previous)
    }

    fn take_proof(&mut self, path: &FiveTuple) -> Option<PathProof> {
        self.proof.take().filter(|(shown, _)| shown == path).map(|(_, proof)| proof)
    }

    fn owns_path(&self, now: Instant, path: &FiveTuple) -> bool {
        self.uses_path(now, path) || self.gathering.relays.serves(path)
    }

    fn last_heard(&self, path: &FiveTuple) -> Option<Instant> {
        let pair = self.check_list.find(path).and_then(|id| self.check_list.get(id));
        let previous = self.selected.as_ref().filter(|selected| selected.pair.path == *path);
        pair.and_then(|pair| pair.heard).max(previous.map(|selected| selected.consent.granted()))
    }

    fn envelope(&self, path: &FiveTuple) -> Option<&Envelope> {
        self.gathering.relays.envelope(path)
    }

    fn open<'a>(&mut self, now: Instant, datagram: Datagram<'a>) -> Opened<'a> {
        match (self.gathering.relays.at(&datagram.path), datagram.bytes.first()) {
            (Some(id), _) if !self.is_closed() => self.gathering.relays.open(now, id, datagram),
            (_, Some(0..=3)) => Opened::Own(datagram),
            _ => Opened::Refused(IceError::Ignored("it is of no relay of this agent")),
        }
    }

    fn verify_path(&mut self, now: Instant, path: &FiveTuple) {
        self.ask(now, path);
    }

    fn note_data(&mut self, now: Instant, path: &FiveTuple) {
        self.follow_data(now, path);
    }

    fn server_url(&self, candidate: &Candidate) -> Option<String> {
        let local = self.local.candidates().iter().find(|local| local.candidate == *candidate)?;
        local.url.clone()
    }

    fn relay_protocol(&self, candidate: &Candidate) -> Option<RelayProtocol> {
        let local = self.local.candidates().iter().find(|local| local.candidate == *candidate)?;
        local.relay_protocol
    }

    fn network(&self, candidate: &Candidate) -> Option<NetworkKind> {
        let local = self.local.candidates().iter().find(|local| local.candidate == *candidate)?;
        let network = self.local.bases()[local.base].network;
        (network != NetworkKind::Unknown).then_some(network)
    }

    fn as_any_mut(&mut self) -> Option<&mut dyn Any> {
        Some(self)
    }

    fn close(&mut self) {
        if self.is_closed() {
            return;
        }
        self.check_list = CheckList::new(self.config.max_pairs);
        self.verifications = Vec::new();
        self.confirmation = None;
        self.gathering.close(&mut self.streams);
        self.pair_streams.close(&mut self.streams);
        self.remote = RemoteCandidates::new(&self.config);
        self.outbox.clear();
        self.previous = None;
        self.selected = None;
        self.timeout = self.gathering.relays.timeout();
        self.set_state(IceConnectionState::Closed);
    }

    fn is_leaving(&self) -> bool {
        self.is_closed() && self.gathering.relays.is_leaving()
    }
}

/// Whether a datagram of a server answers as a STUN server would.
fn is_binding(datagram: &[u8]) -> bool {
    Message::decode(datagram).is_ok_and(|message| message.method() == Method::BINDING)
}
