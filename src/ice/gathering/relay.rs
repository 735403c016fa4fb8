//! Allocations at TURN servers, for relayed candidates: RFC 8445 §5.1.1.2 and RFC 8656.

mod moves;
mod stream;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use smallvec::SmallVec;

use super::relay_error::RelayError;
use crate::crypto::CryptoProvider;
use crate::ice::config::{Config, TurnServer};
use crate::ice::streams::StreamQueue;
use crate::layer::{
    Datagram, Envelope, FiveTuple, IceError, Layer, LengthField, Opened, Protocol, StreamToken, Transmit,
    TransmitBatch,
};
use crate::stun::{Class, Message, Method, Retransmission, RetransmissionStep, ServerTransport};
use crate::turn::{self, Allocation, ChannelData, Client, Event, FailureCause, RelayHead};

/// So often a server that answers gets its time anew.
const MAX_EXTENSIONS: u8 = 3;

/// In the place of the base that asks, while there is none.
const NO_HOST: usize = usize::MAX;

/// One allocation at one server, from one host address.
#[derive(Debug)]
pub(in crate::ice) struct Relay {
    /// The base that asks.
    pub(in crate::ice) host: usize,
    pub(in crate::ice) server: TurnServer,
    /// The path to the server as it was configured.
    path: FiveTuple,
    /// The host address that asks.
    pub(in crate::ice) local: SocketAddr,
    state: State,
    /// Its relayed addresses, each with its base.
    pub(in crate::ice) bases: SmallVec<[(SocketAddr, usize); 2]>,
    /// Whom it relays to, with what stands around datagrams to them once they are permitted.
    peers: BTreeMap<SocketAddr, Option<Envelope>>,
    /// Whether the server was asked if it still has the allocation, since the peer has fallen silent.
    is_questioned: bool,
    /// When the allocation was made.
    made: Option<Instant>,
    /// How many streams in a row have broken soon.
    broken: u8,
    /// What [`step`](Self::step) is still to tell.
    news: Option<RelayNews>,
    /// Its server is none of the configuration any more.
    pub(super) is_unwanted: bool,
    /// Its allocation was made from another address.
    has_moved: bool,
    /// Its address was away and is there again, and nobody knows yet that it relays.
    is_resumed: bool,
}

#[derive(Debug)]
enum State {
    /// Waits for its turn.
    Queued,
    /// A stream to the server is being opened, for a client that had another one before or for a new one.
    Connecting {
        token: StreamToken,
        client: Option<Box<Client>>,
        patience: Retransmission,
    },
    /// Asked, with the time that gathering waits for it.
    Asking {
        client: Box<Client>,
        patience: Retransmission,
        extensions: u8,
    },
    /// The server relays, or did so and is asked anew.
    Serving(Box<Client>),
    /// The address that it was spoken to from is gone; from the next one the allocation is asked to come along.
    Adrift(Box<Client>),
    Failed(RelayError),
}

/// What a relay tells.
#[derive(Debug)]
pub(in crate::ice) enum RelayNews {
    /// It has an allocation.
    Allocated(Allocation),
    /// The allocation is gone, and another one is asked for.
    Lost,
    /// It goes by a socket of its own from now on.
    Moved,
    /// The allocation has come along to another path. The server follows when something is sent there (RFC 8016 §3.2.2).
    Resumed,
    /// It has none, and none will come.
    Failed,
    /// The server does not relay to this address.
    Refused(IpAddr),
}

impl Relay {
    pub(super) fn new(host: usize, address: SocketAddr, server: &TurnServer) -> Self {
        Self {
            host,
            server: server.clone(),
            path: path_to(address, server),
            local: address,
            state: State::Queued,
            bases: SmallVec::new(),
            peers: BTreeMap::new(),
            is_questioned: false,
            made: None,
            broken: 0,
            news: None,
            has_moved: false,
            is_resumed: false,
            is_unwanted: false,
        }
    }

    /// Whether it is one at a server from an address of this machine.
    pub(super) fn is_from(&self, address: SocketAddr, server: &TurnServer) -> bool {
        self.path.local == address && self.server == *server
    }

    /// The same when its address is there again, under another name.
    pub(super) fn resumed(mut self, now: Instant, host: usize) -> Self {
        self.host = host;
        self.is_resumed = true;
        if let Some(client) = self.client_mut() {
            client.refresh(now);
        }
        self
    }

    /// Takes what else is said of the same server.
    pub(super) fn set_server(&mut self, server: &TurnServer) {
        self.server = server.clone();
        let client = match &mut self.state {
            State::Connecting { client, .. } => client.as_deref_mut(),
            _ => self.client_mut(),
        };
        // Those that cannot be credentials are told of when they are asked with.
        let _ = client.map(|client| client.set_credentials(&server.username, &server.credential));
    }

    pub(super) fn is_queued(&self) -> bool {
        match self.state {
            State::Queued => true,
            State::Adrift(_) => self.host != NO_HOST,
            _ => false,
        }
    }

    /// Whether it speaks to the server by its path.
    pub(super) fn is_open(&self) -> bool {
        self.client().is_some()
    }

    /// Whether its first allocation, or one in the place of a lost one, is still to come.
    pub(super) fn is_pending(&self) -> bool {
        match &self.state {
            State::Queued | State::Connecting { .. } | State::Asking { .. } => true,
            State::Serving(client) => client.allocation().is_none(),
            State::Adrift(_) | State::Failed(_) => false,
        }
    }

    /// One that failed is asked again.
    pub(super) fn retry(&mut self) {
        if matches!(self.state, State::Failed(_)) {
            self.state = State::Queued;
        }
    }

    /// Begins. Where the five-tuple `is_taken` by another one of this agent, it has a socket of its own from the start.
    pub(super) fn start(
        &mut self,
        now: Instant,
        provider: &CryptoProvider,
        config: &Config,
        streams: &mut StreamQueue,
        is_taken: bool,
    ) {
        if matches!(self.state, State::Adrift(_)) {
            return self.resume(now, config, streams, is_taken);
        }
        match self.server.transport {
            ServerTransport::Udp if !is_taken => self.ask(now, provider, config, self.path),
            _ => self.connect(now, config, self.path.remote, None, streams),
        }
    }

    /// Asks for an allocation.
    fn ask(&mut self, now: Instant, provider: &CryptoProvider, config: &Config, path: FiveTuple) {
        let TurnServer { username, credential, families, .. } = &self.server;
        let mut turn = turn::Config::new(username, credential);
        turn.transport = self.server.transport;
        turn.families = *families;
        turn.max_peers = config.max_pairs.max(1);
        turn.mobility = config.relay_mobility;
        self.state = match Client::new(now, provider, path, turn) {
            Ok(client) => {
                let patience = Retransmission::new(now, config.server_retransmission);
                State::Asking { client: Box::new(client), patience, extensions: 0 }
            }
            Err(error) => State::Failed(RelayError::config(self.path, &error)),
        };
    }

    fn client(&self) -> Option<&Client> {
        match &self.state {
            State::Asking { client, .. } | State::Serving(client) => Some(client),
            State::Queued | State::Connecting { .. } | State::Adrift(_) | State::Failed(_) => None,
        }
    }

    fn client_mut(&mut self) -> Option<&mut Client> {
        match &mut self.state {
            State::Asking { client, .. } | State::Serving(client) => Some(client),
            State::Queued | State::Connecting { .. } | State::Adrift(_) | State::Failed(_) => None,
        }
    }

    /// The path to the server, which may have sent this side to another.
    pub(in crate::ice) fn path(&self) -> FiveTuple {
        self.client().map_or(self.path, Client::path)
    }

    /// The allocation, while there is one.
    pub(in crate::ice) fn allocation(&self) -> Option<&Allocation> {
        self.client().and_then(Client::allocation)
    }

    pub(super) fn error(&self) -> Option<&RelayError> {
        match &self.state {
            State::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Whether datagrams with this local address go by it.
    pub(super) fn relays(&self, local: SocketAddr) -> bool {
        self.bases.iter().any(|(relayed, _)| *relayed == local)
    }

    pub(super) fn envelope(&self, peer: SocketAddr) -> Option<&Envelope> {
        self.peers.get(&peer)?.as_ref()
    }

    /// The earliest time at which something is to be done.
    pub(super) fn timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Asking { client, patience, .. } => {
                Some(client.poll_timeout().map_or(patience.due(), |due| due.min(patience.due())))
            }
            State::Connecting { patience, .. } => Some(patience.due()),
            State::Serving(client) => client.poll_timeout(),
            State::Queued | State::Adrift(_) | State::Failed(_) => None,
        }
    }

    /// Begins what was asked of the client since the last step.
    pub(super) fn wake(&mut self, now: Instant) {
        if let Some(client) = self.client_mut() {
            client.handle_timeout(now);
        }
    }

    /// Does what is due.
    pub(super) fn step(
        &mut self,
        now: Instant,
        config: &Config,
        streams: &mut StreamQueue,
    ) -> Option<RelayNews> {
        if self.news.is_some() {
            return self.news.take();
        }
        self.wake(now);
        while let Some(event) = self.client_mut().and_then(|client| client.poll_event()) {
            let news = self.take(now, event, config, streams);
            if news.is_some() {
                return news;
            }
        }
        if std::mem::take(&mut self.is_resumed)
            && let Some(allocation) = self.allocation()
        {
            return Some(RelayNews::Allocated(allocation.clone()));
        }
        let (State::Asking { patience, .. } | State::Connecting { patience, .. }) = &mut self.state else {
            return None;
        };
        while patience.due() <= now {
            if patience.step(now) == RetransmissionStep::TimedOut {
                return Some(self.fail(self.no_answer(), streams));
            }
        }
        None
    }

    fn take(
        &mut self,
        now: Instant,
        event: Event,
        config: &Config,
        streams: &mut StreamQueue,
    ) -> Option<RelayNews> {
        match event {
            Event::Allocated(allocation) => {
                self.made = Some(now);
                self.state = match std::mem::replace(&mut self.state, State::Queued) {
                    State::Asking { client, .. } => State::Serving(client),
                    state => state,
                };
                self.is_questioned = false;
                Some(RelayNews::Allocated(allocation))
            }
            Event::Moved => Some(RelayNews::Resumed),
            Event::Lost => {
                self.peers = BTreeMap::new();
                Some(RelayNews::Lost)
            }
            Event::Permitted(peer) => {
                let permitted: Vec<SocketAddr> =
                    self.peers.keys().copied().filter(|wanted| wanted.ip() == peer).collect();
                permitted.into_iter().for_each(|peer| self.enclose(now, peer));
                None
            }
            // A channel that is not renewed gives way to indications before the server drops what goes by it.
            Event::ChannelBound(peer, _) | Event::ChannelRefused(peer, _) | Event::ChannelLapsed(peer) => {
                self.enclose(now, peer);
                None
            }
            Event::PermissionRefused(peer, turn::Refusal::Code(_) | turn::Refusal::Family) => {
                Some(RelayNews::Refused(peer))
            }
            Event::PathNeeded { server, domain, .. } => {
                self.move_to(now, server, domain, config, streams);
                self.has_own_socket().then_some(RelayNews::Moved)
            }
            Event::Failed(failure) => Some(self.fail(RelayError::of(self.path, &failure.cause), streams)),
            Event::Closed => Some(self.fail(RelayError::of(self.path, &FailureCause::Unusable), streams)),
            // What else there is says nothing about candidates.
            _ => None,
        }
    }

    /// There is no allocation, and none will come.
    fn fail(&mut self, error: RelayError, streams: &mut StreamQueue) -> RelayNews {
        tracing::debug!(code = error.code, "a TURN server gives no relayed address");
        match &self.state {
            State::Connecting { token, .. } => streams.abandon(*token),
            State::Asking { client, .. } | State::Serving(client) => streams.close(client.path()),
            State::Queued | State::Adrift(_) | State::Failed(_) => {}
        }
        self.peers = BTreeMap::new();
        self.state = State::Failed(error);
        RelayNews::Failed
    }

    /// Notes what stands around datagrams to a peer from now on, once it is permitted.
    fn enclose(&mut self, now: Instant, peer: SocketAddr) {
        let Some(client) = self.client_mut() else { return };
        if !client.is_permitted(peer.ip()) {
            return;
        }
        let (path, is_channel) = (client.path(), client.channel(peer).is_some());
        let envelope = client.head(now, peer).ok().and_then(|head| envelope(path, &head, is_channel));
        if let Some(place) = self.peers.get_mut(&peer) {
            *place = envelope;
        }
    }

    /// Has datagrams to and from a peer relayed. A refusal is told by an event.
    pub(super) fn want(&mut self, now: Instant, peer: SocketAddr) {
        if self.peers.contains_key(&peer) {
            return;
        }
        let Some(client) = self.client_mut() else { return };
        if client.permit(now, peer.ip()).is_ok() {
            self.peers.insert(peer, None);
            self.enclose(now, peer);
        }
    }

    /// Has data to a peer go by a channel.
    pub(super) fn bind(&mut self, now: Instant, peer: SocketAddr) {
        self.want(now, peer);
        if let Some(client) = self.client_mut() {
            // Beyond the limit data goes in indications.
            let _ = client.bind(now, peer);
        }
    }

    /// Lets go of the peers that are not wanted any more.
    pub(super) fn keep_peers(&mut self, now: Instant, is_wanted: impl Fn(SocketAddr) -> bool) {
        let gone: SmallVec<[SocketAddr; 4]> =
            self.peers.keys().copied().filter(|peer| !is_wanted(*peer)).collect();
        for peer in gone {
            self.peers.remove(&peer);
            let others: SmallVec<[SocketAddr; 4]> =
                self.peers.keys().copied().filter(|other| other.ip() == peer.ip()).collect();
            let Some(client) = self.client_mut() else { return };
            client.release(now, peer);
            for other in others {
                // The permission is that of an address, whatever its ports.
                let _ = client.permit(now, other.ip());
            }
        }
    }

    /// Asks the server whether it still has the allocation, once in each silence of the peer.
    pub(super) fn question(&mut self, now: Instant, is_silent: bool) {
        if is_silent
            && !std::mem::replace(&mut self.is_questioned, true)
            && let Some(client) = self.client_mut()
        {
            client.refresh(now);
        }
        self.is_questioned &= is_silent;
    }

    /// Takes a message of the server that is not data.
    pub(super) fn receive(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), IceError> {
        let refused = IceError::Ignored("it is no response of the TURN server that is waited for");
        let client = self.client_mut().ok_or(refused.clone())?;
        client.handle_datagram(now, datagram).map_err(|_| refused)?;
        if let State::Asking { patience, extensions, .. } = &mut self.state
            && *extensions < MAX_EXTENSIONS
        {
            *extensions += 1;
            *patience = patience.restarted(now);
        }
        Ok(())
    }

    /// Sorts a datagram of the server.
    pub(super) fn open<'a>(&mut self, now: Instant, mut datagram: Datagram<'a>) -> Opened<'a> {
        let is_data =
            |message: Message<'_>| (message.class(), message.method()) == (Class::Indication, Method::DATA);
        let carries = ChannelData::is_channel_data(datagram.bytes)
            || Message::decode(datagram.bytes).is_ok_and(is_data);
        if !carries {
            return match datagram.bytes.first() {
                Some(0..=3) => Opened::Own(datagram),
                _ => Opened::Refused(IceError::Ignored("a TURN server sends STUN messages and channel data")),
            };
        }
        let refused =
            Opened::Refused(IceError::Ignored("data of a relay that has no allocation, or of no peer"));
        let Some(client) = self.client_mut() else { return refused };
        match client.open(now, datagram.reborrow()) {
            Ok(turn::Opened::Own) => Opened::Own(datagram),
            Ok(turn::Opened::Data { peer, range }) => {
                let relayed = client.allocation().and_then(|allocation| allocation.relayed_to(peer.ip()));
                // One that is no base is an address that this side knew already.
                let relayed = relayed.filter(|relayed| self.relays(*relayed));
                let Datagram { ecn, bytes, .. } = datagram;
                match (relayed, bytes.get_mut(range)) {
                    (Some(relayed), Some(bytes)) => {
                        Opened::Inner(Datagram { path: FiveTuple::udp(relayed, peer), ecn, bytes })
                    }
                    _ => refused,
                }
            }
            Err(_) => refused,
        }
    }

    pub(super) fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        self.client_mut()?.poll_transmit(now, out)
    }

    /// Says that something left by it.
    pub(super) fn sent(&mut self, now: Instant) {
        if let Some(client) = self.client_mut() {
            client.sent(now);
        }
    }
}

/// The path to a server from a host address, as far as it is known before anything is opened.
fn path_to(address: SocketAddr, server: &TurnServer) -> FiveTuple {
    // A stream will have a port of its own.
    let unbound = SocketAddr::new(address.ip(), 0);
    match server.transport {
        ServerTransport::Udp => FiveTuple::udp(address, server.address),
        ServerTransport::Tcp | ServerTransport::Tls => FiveTuple::tcp(unbound, server.address),
        ServerTransport::Dtls => {
            FiveTuple { protocol: Protocol::Dtls, local: unbound, remote: server.address }
        }
    }
}

/// RFC 8656 §12.4 and §11.1: the length of ChannelData counts the data alone; of a Send indication that of the message
/// counts the padding of its last attribute, which is the data, and that of the attribute does not.
fn envelope(path: FiveTuple, head: &RelayHead, is_channel: bool) -> Option<Envelope> {
    let bytes = head.bytes();
    if is_channel {
        let envelope = Envelope::new(Some(path), bytes, &[LengthField::new(2, 4)])?;
        // RFC 8656 §12.5: over streams the next message begins at a multiple of four.
        return Some(if path.protocol == Protocol::Tcp { envelope.padded_to(4) } else { envelope });
    }
    let len = u8::try_from(bytes.len()).ok()?;
    let lengths = [LengthField::new(2, 20).with_padding(), LengthField::new(len.checked_sub(2)?, len)];
    Envelope::new(Some(path), bytes, &lengths).map(|envelope| envelope.padded_to(4))
}
