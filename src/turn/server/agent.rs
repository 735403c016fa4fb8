//! The server: what it holds, and its clock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::accounts::Accounts;
use super::config::{Config, ConfigError};
use super::credentials::Credentials;
use super::event::{Event, Limit, ReleaseReason, Statistics};
use super::held::{Held, Relay};
use super::nonces::Nonces;
use super::outbox::Outbox;
use super::peer_connection::PeerConnection;
use super::policy::PeerPolicy;
use super::relay_address::{Parity, Ports, RelayAddress};
use super::ticket::Ticket;
use super::timer::{Timer, Timers};
use super::token_bucket::TokenBucket;
use crate::crypto::CryptoProvider;
use crate::layer::FiveTuple;
use crate::layer::{HashKeys, NameHash};
use crate::stun::{LongTermServer, SecurityFeatures, SourceLimit, TransactionId};
use crate::turn::attribute::AddressFamily;

/// A TURN server, RFC 8656: it grants relayed addresses to those who authenticate, and relays for them.
///
/// Datagrams of clients and of peers go in by [`receive`](Self::receive), or one by one by
/// [`handle_datagram`](crate::layer::Layer::handle_datagram); the local address of their path says which of both they
/// are, and that of a transmit which socket it leaves by. Over TCP and TLS each message that
/// [`StreamFraming`](crate::stun::StreamFraming) gives is a datagram whose path says
/// [`Protocol::Tcp`](crate::layer::Protocol::Tcp). Sockets for relaying are asked for by [`Event::OpenRelay`].
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use std::time::{Duration, Instant};
///
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
/// use kaon_rtc::stun::{BindingClient, Message};
/// use kaon_rtc::turn::server::{Config, Credentials, Event, RelayAddress, Server};
///
/// let users = Credentials::default().with_user("alice", "secret");
/// let config = Config::new(users, [RelayAddress::new("198.51.100.1".parse()?)]);
/// let (now, since_1970) = (Instant::now(), Duration::from_secs(1_800_000_000));
/// let mut server = Server::new(now, since_1970, &aws_lc_rs::provider(), config)?;
///
/// let path = FiveTuple::udp("198.51.100.1:3478".parse()?, "192.0.2.7:5000".parse()?);
/// let mut request = *b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl";
/// server.handle_datagram(now, Datagram::new(path, &mut request))?;
/// let mut batch = TransmitBatch::new(1500);
/// let transmit = server.poll_transmit(now, &mut batch).ok_or("it answers at once")?;
/// assert_eq!(Message::decode(batch.bytes(&transmit))?.mapped_address(), Some(path.remote));
///
/// while let Some(event) = server.poll_event() {
///     match event {
///         // Bind a socket there first; `relay_failed` says that it cannot be.
///         Event::OpenRelay(address) => server.relay_opened(now, address),
///         Event::CloseRelay(_) => {}
///         other => println!("{other:?}"),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    pub(super) config: Config,
    pub(super) provider: CryptoProvider,
    pub(super) auth: LongTermServer,
    pub(super) nonces: Nonces,
    pub(super) strangers: SourceLimit,
    /// A moment and the time since 1970 that it was.
    unix: (Instant, Duration),
    pub(super) held: slab::Slab<Held>,
    pub(super) by_path: HashMap<FiveTuple, usize, NameHash>,
    /// The ports are chosen here, so that nobody can have them meet in the table.
    pub(super) by_relay: FxHashMap<SocketAddr, usize>,
    pub(super) ports: Vec<Ports>,
    pub(super) by_ticket: FxHashMap<Ticket, usize>,
    pub(super) peer_connections: FxHashMap<u32, PeerConnection>,
    /// Which of them a connection of a client is joined to.
    pub(super) joined: HashMap<FiveTuple, u32, NameHash>,
    pub(super) reservations: BTreeMap<[u8; 8], Reservation>,
    pub(super) accounts: Accounts,
    pub(super) bandwidth: TokenBucket,
    pub(super) timers: Timers,
    /// Responses.
    pub(super) outbox: Outbox,
    /// What was relayed of datagrams that came one by one.
    pub(super) relayed: Outbox,
    pub(super) questions: BTreeMap<u64, Asked>,
    pub(super) next_question: u64,
    /// What was given back a moment ago: a repeated request gets the same answer.
    pub(super) deleted: VecDeque<(FiveTuple, TransactionId)>,
    pub(super) next_indication: u128,
    pub(super) is_draining: bool,
    /// What somebody has to do.
    pub(super) asks: VecDeque<Event>,
    events: VecDeque<Event>,
    pub(super) statistics: Statistics,
}

/// A port that waits for the allocation that shows its token.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) relay: Relay,
    pub(super) username: Box<str>,
    /// Whom the quota is for.
    pub(super) account: Box<str>,
}

/// A request that waits for what is said of its user.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) path: FiveTuple,
    pub(super) request: Vec<u8>,
    pub(super) until: Instant,
}

impl Server {
    /// A server. `unix` is the time since 1970 that `now` is, by which time-limited credentials end.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(
        now: Instant,
        unix: Duration,
        provider: &CryptoProvider,
        mut config: Config,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        config.policy = without_own(config.policy, &config.relays);
        let algorithms = config.password_algorithms.iter().copied();
        let auth = LongTermServer::new(provider, &config.realm)?.with_algorithms(algorithms);
        let features = SecurityFeatures {
            password_algorithms: !config.password_algorithms.is_empty(),
            ..SecurityFeatures::default()
        };
        let mut keys = [0; 16];
        provider.random.fill(&mut keys);
        let hash = HashKeys::new(keys).names();
        let mut first = [0; 16];
        provider.random.fill(&mut first);
        let (sources, answers) = (config.sources, config.answers);
        let random = &*provider.random;
        Ok(Self {
            nonces: Nonces::new(now, provider, config.nonce_lifetime, features),
            strangers: SourceLimit::new(now, random, sources, config.answers_per_source, answers),
            unix: (now, unix),
            held: slab::Slab::new(),
            by_path: HashMap::with_hasher(hash),
            by_relay: FxHashMap::default(),
            ports: config.relays.iter().cloned().map(Ports::new).collect(),
            by_ticket: FxHashMap::default(),
            peer_connections: FxHashMap::default(),
            joined: HashMap::with_hasher(hash),
            reservations: BTreeMap::new(),
            accounts: Accounts::new(hash, config.bandwidth_per_user),
            bandwidth: TokenBucket::bytes(now, config.bandwidth),
            timers: Timers::default(),
            outbox: Outbox::new(),
            relayed: Outbox::new(),
            questions: BTreeMap::new(),
            next_question: 0,
            deleted: VecDeque::new(),
            next_indication: u128::from_be_bytes(first),
            is_draining: false,
            asks: VecDeque::new(),
            events: VecDeque::new(),
            statistics: Statistics::default(),
            provider: provider.clone(),
            auth,
            config,
        })
    }

    /// What it counted so far.
    pub fn statistics(&self) -> Statistics {
        let (allocations, users) = (self.held.len(), self.accounts.len());
        Statistics { allocations, users, ..self.statistics }
    }

    /// Sets the time since 1970, where the clock of the system was set.
    pub fn set_unix_time(&mut self, now: Instant, unix: Duration) {
        self.unix = (now, unix);
    }

    pub(super) fn unix_time(&self, now: Instant) -> Duration {
        self.unix.1 + now.saturating_duration_since(self.unix.0)
    }

    /// Changes who may use the server. What was granted stays.
    pub fn set_credentials(&mut self, credentials: Credentials) {
        self.config.credentials = credentials;
    }

    /// Changes which peers there may be, also for allocations that stand: their permissions and channels for others are
    /// gone.
    pub fn set_policy(&mut self, policy: PeerPolicy) {
        self.config.policy = without_own(policy, &self.config.relays);
        let mut all = std::mem::take(&mut self.held);
        for (_, held) in &mut all {
            held.peers.retain(|address| self.permits_address(address), |peer| self.permits(peer));
        }
        self.held = all;
        let denied = self.peer_connections.iter().filter(|(_, it)| !self.permits_stream(it.peer));
        denied.map(|(id, _)| *id).collect::<Vec<_>>().into_iter().for_each(|id| self.end_peer(id));
    }

    /// Grants no more allocations: 508, or 300 where there are alternates. Those that stand go on.
    pub fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Ends all allocations.
    pub fn close(&mut self, now: Instant) {
        self.is_draining = true;
        let all: Vec<usize> = self.held.iter().map(|(index, _)| index).collect();
        all.into_iter().for_each(|index| self.release(now, index, ReleaseReason::Closed));
        while let Some((token, _)) = self.reservations.first_key_value() {
            let token = *token;
            self.end_reservation(now, token);
        }
    }

    /// The connection to a client has ended, and with it its allocation, or the connection of the peer that it was
    /// [joined](Event::JoinPeer) to.
    pub fn connection_closed(&mut self, now: Instant, path: FiveTuple) {
        if let Some(peer) = self.joined.get(&path).copied() {
            self.end_peer(peer);
        }
        if let Some(index) = self.by_path.get(&path).copied()
            && !self.outlives(now, index, path)
        {
            self.release(now, index, ReleaseReason::Disconnected);
        }
    }

    /// Whether a path has an allocation.
    pub fn has_allocation(&self, path: FiveTuple) -> bool {
        self.by_path.contains_key(&path)
    }

    /// Whether data may go to a peer and come from it: what the policy says, and that relayed addresses of this server
    /// may be peers of each other.
    pub(super) fn permits(&self, peer: SocketAddr) -> bool {
        self.config.policy.permits(peer) || self.is_relayed(peer, false)
    }

    /// The same of TCP.
    pub(super) fn permits_stream(&self, peer: SocketAddr) -> bool {
        self.config.policy.permits(peer) || self.is_relayed(peer, true)
    }

    pub(super) fn permits_address(&self, address: IpAddr) -> bool {
        self.config.policy.permits_address(address)
            || self.ports.iter().any(|ports| ports.address.external == address)
    }

    fn is_relayed(&self, peer: SocketAddr, is_tcp: bool) -> bool {
        let of_address = self.ports.iter().filter(|ports| ports.address.external == peer.ip());
        let mut locals = of_address.map(|ports| SocketAddr::new(ports.address.local, peer.port()));
        locals.any(|local| {
            let held = self.by_relay.get(&local).and_then(|index| self.held.get(*index));
            held.is_some_and(|held| held.is_tcp == is_tcp)
        })
    }

    /// Where a peer is reached that is a relayed address of this server: at the socket itself, since a translator that
    /// stands before it may not send back what comes from within.
    pub(super) fn inner(&self, peer: SocketAddr) -> SocketAddr {
        self.translated(peer, |ports| (ports.external, ports.local)).unwrap_or(peer)
    }

    /// Who the source of what has come is, the other way around.
    pub(super) fn outer(&self, source: SocketAddr) -> SocketAddr {
        self.translated(source, |ports| (ports.local, ports.external)).unwrap_or(source)
    }

    fn translated(
        &self,
        address: SocketAddr,
        from_to: impl Fn(&RelayAddress) -> (IpAddr, IpAddr),
    ) -> Option<SocketAddr> {
        let ports = self.ports.iter().map(|ports| &ports.address).filter(|it| it.local != it.external);
        let mut ports = ports.filter(|it| !it.local.is_unspecified() && from_to(it).0 == address.ip());
        ports.find_map(|ports| {
            let is_relay = self.by_relay.contains_key(&SocketAddr::new(ports.local, address.port()));
            is_relay.then(|| SocketAddr::new(from_to(ports).1, address.port()))
        })
    }

    pub(super) fn tell(&mut self, event: Event) {
        if self.events.len() >= self.config.max_events.max(16) {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    pub(super) fn refused(&mut self, user: &str, limit: Limit) {
        self.tell(Event::Refused { user: user.into(), limit });
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.asks.pop_front().or_else(|| self.events.pop_front())
    }

    /// A port of a family, and the place of its address.
    pub(super) fn take_port(&mut self, now: Instant, family: AddressFamily, parity: Parity) -> Option<Relay> {
        let random = &*self.provider.random;
        self.ports.iter_mut().enumerate().find_map(|(pool, ports)| {
            if AddressFamily::of(ports.address.external) != family {
                return None;
            }
            let port = ports.take(now, random, parity)?;
            let local = SocketAddr::new(ports.address.local, port);
            let external = SocketAddr::new(ports.address.external, port);
            Some(Relay { local, external, pool, until: now, is_open: false })
        })
    }

    /// Puts the end of a relayed address off.
    pub(super) fn set_end(&mut self, local: SocketAddr, until: Instant) {
        let held = self.by_relay.get(&local).and_then(|index| self.held.get_mut(*index));
        let Some(relay) = held.and_then(|it| it.relays.iter_mut().find(|it| it.local == local)) else {
            return;
        };
        self.timers.cancel(relay.until, Timer::Relay(local));
        relay.until = until;
        self.timers.set(until, Timer::Relay(local));
    }

    /// Ends an allocation.
    pub(super) fn release(&mut self, now: Instant, index: usize, reason: ReleaseReason) {
        let Some(held) = self.held.try_remove(index) else { return };
        self.forget_paths(&held);
        held.connections.iter().for_each(|id| self.end_peer(*id));
        held.relays.iter().for_each(|relay| self.give_back(now, relay));
        if let Some(at) = self.accounts.leave(now, held.account) {
            self.timers.set(at, Timer::Account(held.account));
        }
        if held.is_granted() {
            let age = now.saturating_duration_since(held.made_at);
            let Held { user, path: client, traffic, .. } = held;
            self.tell(Event::Released { user, client, reason, age, traffic });
        }
    }

    /// Ends one of the addresses of an allocation, and with the last one the allocation.
    pub(super) fn release_relay(&mut self, now: Instant, local: SocketAddr, reason: ReleaseReason) {
        let Some(index) = self.by_relay.get(&local).copied() else { return };
        let Some(held) = self.held.get_mut(index) else { return };
        if held.relays.len() <= 1 {
            return self.release(now, index, reason);
        }
        if let Some(place) = held.relays.iter().position(|relay| relay.local == local) {
            let relay = held.relays.remove(place);
            self.give_back(now, &relay);
        }
    }

    pub(super) fn give_back(&mut self, now: Instant, relay: &Relay) {
        self.by_relay.remove(&relay.local);
        self.timers.cancel(relay.until, Timer::Relay(relay.local));
        if let Some(ports) = self.ports.get_mut(relay.pool) {
            ports.give_back(now, relay.local.port());
        }
        self.asks.push_back(Event::CloseRelay(relay.local));
    }

    pub(super) fn end_reservation(&mut self, now: Instant, token: [u8; 8]) {
        if let Some(Reservation { relay, .. }) = self.reservations.remove(&token) {
            self.timers.cancel(relay.until, Timer::Reservation(token));
            if let Some(ports) = self.ports.get_mut(relay.pool) {
                ports.give_back(now, relay.local.port());
            }
        }
    }

    pub(super) fn wake(&mut self, now: Instant) {
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                Timer::Relay(local) => self.release_relay(now, local, ReleaseReason::Expired),
                Timer::Reservation(token) => self.end_reservation(now, token),
                Timer::Account(account) => {
                    if let Some(at) = self.accounts.forget(now, account) {
                        self.timers.set(at, Timer::Account(account));
                    }
                }
                Timer::Question(id) => drop(self.questions.remove(&id)),
                Timer::Peer(id) => self.peer_failed(now, id),
                Timer::Move(ticket) => self.give_up_move(ticket),
            }
        }
    }
}

/// What else is served at the addresses that relay is no peer, unless it is allowed.
fn without_own(policy: PeerPolicy, relays: &[RelayAddress]) -> PeerPolicy {
    let own = relays.iter().flat_map(|relay| [relay.local, relay.external]);
    own.filter(|address| !address.is_unspecified()).fold(policy, PeerPolicy::deny_own)
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("statistics", &self.statistics()).finish_non_exhaustive()
    }
}
