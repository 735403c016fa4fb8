//! The client and its clock.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::config::{Config, ConfigError};
use super::connections::Connections;
use super::event::{ClientError, Event, Failure, FailureCause, Refusal};
use super::peers::Peers;
use super::ticket::Ticket;
use super::transaction::{Purpose, Transaction};
use crate::crypto::CryptoProvider;
use crate::layer::FiveTuple;
use crate::stun::{
    CredentialsClient, InvalidCredentials, Redirection, RetransmissionConfig, RetransmissionStep,
    ServerTransport,
};
use crate::turn::allocation::Allocation;
use crate::turn::channel::ChannelNumber;

/// An allocation at one TURN server: asks for it, keeps it alive, and relays through it.
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use std::time::Instant;
///
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
/// use kaon_rtc::turn::{Client, Config, Event, Opened};
///
/// fn turn_of_the_loop(
///     client: &mut Client,
///     now: Instant,
///     datagram: Datagram<'_>,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let Datagram { path, bytes, .. } = datagram;
///     match client.open(now, Datagram::new(path, bytes))? {
///         Opened::Data { peer, range } => println!("{} bytes of {peer}", bytes[range].len()),
///         Opened::Own => {}
///     }
///     while let Some(event) = client.poll_event() {
///         if let Event::Allocated(allocation) = event {
///             println!("peers send to {:?}", allocation.relayed);
///             client.bind(now, "203.0.113.7:4000".parse()?)?;
///         }
///     }
///     Ok(())
/// }
///
/// let path = FiveTuple::udp("192.0.2.1:5000".parse()?, "198.51.100.1:3478".parse()?);
/// let now = Instant::now();
/// let mut client = Client::new(now, &aws_lc_rs::provider(), path, Config::new("alice", "secret"))?;
/// assert!(client.allocation().is_none());
/// assert!(turn_of_the_loop(&mut client, now, Datagram::new(path, &mut [0x40, 0, 0, 0])).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Client {
    pub(super) config: Config,
    pub(super) provider: CryptoProvider,
    pub(super) path: FiveTuple,
    pub(super) credentials: CredentialsClient,
    /// What takes their place when they are refused.
    pub(super) next_credentials: Option<CredentialsClient>,
    pub(super) redirection: Redirection,
    pub(super) state: State,
    pub(super) allocation: Option<Allocation>,
    /// When the allocation was made.
    pub(super) made_at: Option<Instant>,
    /// When it is refreshed.
    pub(super) refresh_at: Option<Instant>,
    pub(super) transactions: Vec<Transaction>,
    pub(super) peers: Peers,
    /// Of an allocation for TCP.
    pub(super) connections: Connections,
    /// Whether DONT-FRAGMENT is asked for, and not refused.
    pub(super) dont_fragment: bool,
    /// Whether a ticket is asked for, and not refused.
    pub(super) asks_mobility: bool,
    /// What the allocation moves by.
    pub(super) ticket: Option<Ticket>,
    /// How often in a row an allocation was lost soon after it was made.
    pub(super) remakes: u32,
    /// How often in a row Allocate was asked for again after 500.
    pub(super) server_errors: u32,
    /// How often in a row the five-tuple was taken.
    pub(super) taken: u32,
    /// Whether the server may hold an allocation of this side for the five-tuple.
    pub(super) held_before: bool,
    pub(super) events: VecDeque<Event>,
    pub(super) last_sent: Instant,
    pub(super) keepalive_unsent: bool,
    /// Whether a request waits to be sent.
    pub(super) unsent: bool,
    /// When the earliest timer is due, that of the keepalive excepted.
    next: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// An allocation is asked for.
    Allocating,
    /// It will be asked for then.
    Waiting(Instant),
    /// It will be asked for over another path.
    NeedsPath,
    Allocated,
    /// The allocation is asked to come to another path.
    Moving,
    /// It is given back.
    Closing,
    Ended,
}

impl Client {
    /// Asks the server at the remote end of `path` for an allocation, from now on. The local address may be unspecified.
    ///
    /// # Errors
    /// [`ConfigError`] for what no server would grant.
    pub fn new(
        now: Instant,
        provider: &CryptoProvider,
        path: FiveTuple,
        config: Config,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        if path.remote.ip().is_unspecified() || path.remote.port() == 0 {
            return Err(ConfigError::Server(path.remote));
        }
        let credentials = CredentialsClient::new(provider, &config.username, &config.password)?;
        let mut client = Self {
            dont_fragment: config.dont_fragment,
            asks_mobility: config.mobility,
            ticket: None,
            config,
            provider: provider.clone(),
            path,
            credentials,
            next_credentials: None,
            redirection: Redirection::default(),
            state: State::Allocating,
            allocation: None,
            made_at: None,
            refresh_at: None,
            transactions: Vec::new(),
            peers: Peers::default(),
            connections: Connections::default(),
            remakes: 0,
            server_errors: 0,
            taken: 0,
            held_before: false,
            events: VecDeque::new(),
            last_sent: now,
            keepalive_unsent: false,
            unsent: false,
            next: None,
        };
        client.start(now, Purpose::Allocate, 0);
        client.settle(now);
        Ok(client)
    }

    /// The path to the server.
    pub fn path(&self) -> FiveTuple {
        self.path
    }

    /// The allocation, while there is one.
    pub fn allocation(&self) -> Option<&Allocation> {
        self.allocation.as_ref()
    }

    /// Whether datagrams of `peer` are relayed.
    pub fn is_permitted(&self, peer: IpAddr) -> bool {
        self.allocation.is_some() && self.peers.is_permitted(peer)
    }

    /// The channel that is bound to `peer`.
    pub fn channel(&self, peer: SocketAddr) -> Option<ChannelNumber> {
        self.peers.bound(peer)
    }

    /// Lets a peer send, from any port. That is kept so until it is released, through lost allocations, too. A peer that
    /// was refused is not asked for again in the same allocation, but a minute later where the server says that it cannot
    /// at the moment (438, 500, 508).
    ///
    /// # Errors
    /// [`ClientError::TooManyPeers`].
    pub fn permit(&mut self, now: Instant, peer: IpAddr) -> Result<(), ClientError> {
        self.want_permission(peer)?;
        self.settle(now);
        Ok(())
    }

    pub(super) fn want_permission(&mut self, peer: IpAddr) -> Result<(), ClientError> {
        let limit = self.config.max_peers.clamp(1, ChannelNumber::COUNT);
        if self.peers.permission(peer).is_none() && self.peers.permissions() >= limit {
            return Err(ClientError::TooManyPeers(limit));
        }
        self.peers.want_permission(peer);
        Ok(())
    }

    /// Binds a channel to a peer, with permission: four bytes in front of data in the place of 36 or 48. Until it is
    /// bound data goes in indications.
    ///
    /// # Errors
    /// [`ClientError::TooManyPeers`], and [`ClientError::RelaysTcp`].
    pub fn bind(&mut self, now: Instant, peer: SocketAddr) -> Result<(), ClientError> {
        self.assert_relays_udp()?;
        self.want_permission(peer.ip())?;
        let limit = self.config.max_peers.clamp(1, ChannelNumber::COUNT);
        let is_new = self.peers.channel_of(peer).is_none();
        if (is_new && self.peers.channels() >= limit) || !self.peers.want_channel(now, peer) {
            return Err(ClientError::TooManyPeers(limit));
        }
        self.settle(now);
        Ok(())
    }

    /// Lets the channel of a peer, and its permission if no other channel is for its address, run out.
    pub fn release(&mut self, now: Instant, peer: SocketAddr) {
        self.peers.release(now, peer);
        self.settle(now);
    }

    /// Refreshes the allocation at once, as far as there is one: who hears nothing through it learns whether the server
    /// still has it.
    pub fn refresh(&mut self, now: Instant) {
        let is_refreshing = self.transactions.iter().any(|it| it.purpose == Purpose::Refresh);
        if self.state == State::Allocated && !is_refreshing {
            self.refresh_at = Some(now);
            self.settle(now);
        }
    }

    /// Goes on over another path: one that [`Event::PathNeeded`] asked for, because a connection to the server broke, or
    /// because the address is gone that the client spoke from. Nothing once the client has ended.
    ///
    /// The allocation is lost with the path of before, unless it [is mobile](Self::is_mobile) and the server is the same:
    /// then it is asked to come along (RFC 8016), and [`Event::Moved`] follows, or [`Event::Lost`] when the server does not
    /// have it any more.
    pub fn set_path(&mut self, now: Instant, path: FiveTuple) {
        if matches!(self.state, State::Closing | State::Ended) {
            return;
        }
        if self.is_mobile() && path.remote == self.path.remote {
            self.resume(now, path);
            return self.settle(now);
        }
        if self.allocation.is_some() {
            self.lose_allocation();
        }
        if path.remote != self.path.remote {
            self.credentials.forget_server();
        }
        self.path = path;
        self.held_before = false;
        self.allocate(now);
        self.settle(now);
    }

    /// Takes other credentials of the user, as those that end at a time are followed by others. They are used once the
    /// server refuses the ones of before for an allocation that is made: one that stands is known by them.
    ///
    /// # Errors
    /// [`InvalidCredentials`] for what can be no user name or password.
    pub fn set_credentials(&mut self, username: &str, password: &str) -> Result<(), InvalidCredentials> {
        self.next_credentials = Some(CredentialsClient::new(&self.provider, username, password)?);
        Ok(())
    }

    /// Gives the allocation back. [`Event::Closed`] follows, within seconds even if the server does not respond; until
    /// then the client wants to be driven as before, since the request may be lost, or be refused for the age of its nonce.
    /// A stream to the server is closed only after that: an allocation that [is mobile](Self::is_mobile) outlives it.
    pub fn close(&mut self, now: Instant) {
        if matches!(self.state, State::Closing | State::Ended) {
            return;
        }
        // An Allocate that is signed may be granted at this moment: its answer is waited for.
        self.transactions.retain(|it| it.purpose == Purpose::Allocate && it.signed);
        if self.state != State::Moving {
            // Where it is, it is known by the path.
            self.ticket = None;
        }
        self.state = State::Closing;
        self.refresh_at = None;
        self.lose_connections();
        if self.allocation.take().is_some() {
            self.start(now, Purpose::Delete, 0);
        } else if self.transactions.is_empty() {
            self.end(Event::Closed);
        }
        self.settle(now);
    }

    /// Whether the client has ended, after [`close`](Self::close) or a [failure](Event::Failed): nothing is to be sent or
    /// waited for any more.
    pub fn is_closed(&self) -> bool {
        self.state == State::Ended
    }

    /// Begins a request.
    pub(super) fn start(&mut self, now: Instant, purpose: Purpose, attempts: u8) {
        let mut config = self.config.retransmission;
        if self.config.transport.is_stream() {
            config = RetransmissionConfig::reliable();
        }
        if matches!(purpose, Purpose::Delete | Purpose::Forget | Purpose::Resume) {
            // Nobody waits for the whole time of a transaction at the end, or while nothing is relayed.
            config.max_sent = config.max_sent.min(4);
            config.final_factor = config.final_factor.min(8);
        }
        let signed = self.credentials.is_challenged();
        let mut transaction = Transaction::new(now, &*self.provider.random, purpose, config, signed);
        transaction.attempts = attempts;
        self.transactions.push(transaction);
    }

    /// Asks for an allocation, with nothing else under way.
    pub(super) fn allocate(&mut self, now: Instant) {
        self.transactions.clear();
        self.state = State::Allocating;
        self.start(now, Purpose::Allocate, 0);
    }

    pub(super) fn tell(&mut self, event: Event) {
        if self.events.len() >= self.config.max_events.max(16) {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    pub(super) fn end(&mut self, event: Event) {
        self.transactions.clear();
        self.state = State::Ended;
        self.allocation = None;
        self.ticket = None;
        self.refresh_at = None;
        self.unsent = false;
        self.keepalive_unsent = false;
        self.peers = Peers::default();
        self.lose_connections();
        self.tell(event);
    }

    pub(super) fn fail(&mut self, cause: FailureCause) {
        if self.state == State::Closing {
            return self.end(Event::Closed);
        }
        self.end(Event::Failed(Failure { server: self.path.remote, cause }));
    }

    /// Starts what there is place for, and finds out when to wake.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.state == State::Allocated {
            let is_refreshing = self.transactions.iter().any(|it| it.purpose == Purpose::Refresh);
            if self.refresh_at.is_some_and(|at| at <= now) && !is_refreshing {
                self.refresh_at = None;
                self.start(now, Purpose::Refresh, 0);
            }
            let under_way = |it: &&Transaction| it.purpose.connection().is_none();
            while self.transactions.iter().filter(under_way).count() < self.config.max_requests.max(1) {
                let Some(purpose) = self.peers.next_wanted() else { break };
                self.ask(now, purpose);
            }
        }
        let waiting = match self.state {
            State::Waiting(until) => Some(until),
            _ => None,
        };
        let of_peers = if self.state == State::Allocated { self.peers.next_timeout() } else { None };
        let requests = self.transactions.iter().map(|it| it.retransmission.due()).min();
        let of_connections = self.connections.next_timeout();
        let next = [waiting, of_peers, of_connections, requests, self.refresh_at];
        self.next = next.into_iter().flatten().min();
    }

    /// Asks for a permission or a channel, unless the server cannot grant it (RFC 8656 §10.2).
    fn ask(&mut self, now: Instant, purpose: Purpose) {
        match purpose {
            Purpose::Permission(peer) if !self.has_family(peer) => {
                self.refuse_permission(peer, Refusal::Family);
            }
            Purpose::Channel(place) => match self.peers.channel_at(place).map(|channel| channel.peer) {
                Some(peer) if self.has_family(peer.ip()) => self.start(now, purpose, 0),
                _ => self.refuse_channel(place, Refusal::Family),
            },
            _ => self.start(now, purpose, 0),
        }
    }

    fn keepalive_at(&self) -> Option<Instant> {
        let is_datagram = matches!(self.config.transport, ServerTransport::Udp | ServerTransport::Dtls);
        let interval = self.config.keepalive.filter(|_| is_datagram && self.state == State::Allocated)?;
        // As short as that, it would be all that is sent.
        self.last_sent.checked_add(interval.max(Duration::from_secs(1)))
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        [self.next, self.keepalive_at()].into_iter().flatten().min()
    }

    pub(super) fn wake(&mut self, now: Instant) {
        if self.keepalive_at().is_some_and(|at| at <= now) {
            self.keepalive_unsent = true;
            self.last_sent = now;
        }
        if self.next.is_none_or(|next| next > now) {
            return;
        }
        // What is started is due at once, and may end at once where nothing is ever sent again.
        for _ in 0..8 {
            if matches!(self.state, State::Waiting(until) if until <= now) {
                self.allocate(now);
            }
            self.step_transactions(now);
            self.give_up_connections(now);
            if self.state == State::Allocated {
                let lapsed = self.peers.handle_timeout(now);
                lapsed.into_iter().for_each(|peer| self.tell(Event::ChannelLapsed(peer)));
            }
            self.settle(now);
            if self.next.is_none_or(|next| next > now) {
                break;
            }
        }
    }

    fn step_transactions(&mut self, now: Instant) {
        let mut at = 0;
        while let Some(transaction) = self.transactions.get_mut(at) {
            match transaction.retransmission.step(now) {
                RetransmissionStep::Send => {
                    transaction.unsent = true;
                    self.unsent = true;
                }
                RetransmissionStep::TimedOut => {
                    let transaction = self.transactions.remove(at);
                    self.timed_out(now, &transaction);
                    // The consequence may have put others in the place of all.
                    at = 0;
                    continue;
                }
                RetransmissionStep::Wait => {}
            }
            at += 1;
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("path", &self.path).field("state", &self.state).finish_non_exhaustive()
    }
}
