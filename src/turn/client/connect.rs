//! TCP to peers, RFC 6062.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::agent::Client;
use super::connections::{Binding, Connection, ConnectionNumber, Stage};
use super::event::{ClientError, ConnectionFailure, Event};
use super::relay::Opened;
use super::transaction::Purpose;
use crate::layer::{FiveTuple, Framing, StreamOpening, StreamReport, StreamRequest, Transmit, TransmitBatch};
use crate::stun::{AttributeType, CredentialsClient, Message, ServerTransport, StunError, message_length};
use crate::turn::attribute::{ConnectionId, RequestedTransport};

/// How long a server waits for a connection to be bound (RFC 6062 §5.2 and §5.3).
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest response to a ConnectionBind that is taken.
const MAX_RESPONSE: usize = 2048;

impl Client {
    /// Has the server connect to a peer (RFC 6062 §4.3): [`Event::Connected`] or [`Event::ConnectionFailed`] follows.
    ///
    /// The allocation must be one [for TCP](super::Config::requested_transport). Each connection has a stream of its own to the
    /// server, with [`Framing::Bytes`], which [`poll_stream`](crate::layer::Layer::poll_stream) asks for and
    /// [`handle_stream`](crate::layer::Layer::handle_stream) hears of. Once connected, [`send`](Self::send) writes to it, what
    /// arrives by it goes to [`open`](Self::open), which takes it for [data](Opened::Data) of the peer, and
    /// [`disconnect`](Self::disconnect) closes it.
    ///
    #[cfg_attr(feature = "aws-lc-rs", doc = "```")]
    #[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
    /// use std::time::Instant;
    ///
    /// use kaon_rtc::crypto::aws_lc_rs;
    /// use kaon_rtc::layer::{FiveTuple, Layer, StreamRequest, TransmitBatch};
    /// use kaon_rtc::stun::ServerTransport;
    /// use kaon_rtc::turn::{Client, ClientError, Config, Event, RequestedTransport};
    ///
    /// /// What a loop does for a client, besides moving its datagrams and answering for its streams.
    /// fn turn_of_the_loop(client: &mut Client, now: Instant, batch: &mut TransmitBatch) -> Result<(), ClientError> {
    ///     while let Some(event) = client.poll_event() {
    ///         match event {
    ///             Event::Allocated(_) => client.connect(now, ([203, 0, 113, 7], 80).into())?,
    ///             Event::ConnectionAttempt { id, .. } => client.accept(now, id)?,
    ///             Event::Connected { peer, .. } => {
    ///                 let transmit = client.send(now, peer, b"GET / HTTP/1.0\r\n\r\n", batch)?;
    ///                 println!("{} bytes leave by {:?}", transmit.len(), transmit.path);
    ///             }
    ///             Event::ConnectionFailed { peer, failure } => println!("not to {peer}: {failure}"),
    ///             _ => {}
    ///         }
    ///     }
    ///     while let Some(StreamRequest::Open(opening)) = client.poll_stream() {
    ///         println!("to be opened: a stream to {}", opening.remote);
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let path = FiveTuple::tcp("192.0.2.1:5000".parse()?, "198.51.100.1:3478".parse()?);
    /// let mut config = Config::new("alice", "secret");
    /// config.transport = ServerTransport::Tcp;
    /// config.requested_transport = RequestedTransport::TCP;
    /// let (now, mut batch) = (Instant::now(), TransmitBatch::new(1200));
    /// let mut client = Client::new(now, &aws_lc_rs::provider(), path, config)?;
    /// turn_of_the_loop(&mut client, now, &mut batch)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ClientError::RelaysUdp`], [`ClientError::NotAllocated`], [`ClientError::Family`],
    /// [`ClientError::AlreadyConnected`] or [`ClientError::TooManyConnections`].
    pub fn connect(&mut self, now: Instant, peer: SocketAddr) -> Result<(), ClientError> {
        self.assert_relays_tcp()?;
        if self.allocation.is_none() {
            return Err(ClientError::NotAllocated);
        }
        if !self.has_family(peer.ip()) {
            return Err(ClientError::Family);
        }
        if self.connections.of_peer(peer).is_some() {
            return Err(ClientError::AlreadyConnected);
        }
        self.assert_room()?;
        let number = self.connections.insert(peer, Stage::Asked, None);
        self.start(now, Purpose::Connect(number), 0);
        self.settle(now);
        Ok(())
    }

    /// Takes the connection of a peer that [`Event::ConnectionAttempt`] told of: [`Event::Connected`] or
    /// [`Event::ConnectionFailed`] follows. The server closes one that nobody takes.
    ///
    /// # Errors
    /// [`ClientError::NoAttempt`] or [`ClientError::TooManyConnections`].
    pub fn accept(&mut self, now: Instant, id: ConnectionId) -> Result<(), ClientError> {
        let is_it = |it: &&Connection| matches!(it.stage, Stage::Attempt(waiting) if waiting == id);
        let number = self.connections.iter().find(is_it).map(|connection| connection.number);
        let number = number.ok_or(ClientError::NoAttempt)?;
        self.assert_room()?;
        self.open_connection(now, number, id);
        self.settle(now);
        Ok(())
    }

    /// Closes the connection to a peer once what was sent has left, or gives it up. No event follows.
    pub fn disconnect(&mut self, now: Instant, peer: SocketAddr) {
        if let Some(number) = self.connections.of_peer(peer).map(|connection| connection.number) {
            self.connections.remove(number);
            self.forget_requests(number);
            self.settle(now);
        }
    }

    pub(super) fn relays_tcp(&self) -> bool {
        self.config.requested_transport == RequestedTransport::TCP
    }

    fn assert_relays_tcp(&self) -> Result<(), ClientError> {
        if self.relays_tcp() { Ok(()) } else { Err(ClientError::RelaysUdp) }
    }

    /// RFC 6062 §4: there are no channels and no indications on TCP.
    pub(super) fn assert_relays_udp(&self) -> Result<(), ClientError> {
        if self.relays_tcp() { Err(ClientError::RelaysTcp) } else { Ok(()) }
    }

    fn assert_room(&self) -> Result<(), ClientError> {
        let limit = self.config.max_connections.max(1);
        let has_room = self.connections.count(false) < limit;
        if has_room { Ok(()) } else { Err(ClientError::TooManyConnections(limit)) }
    }

    /// RFC 6062 §4.4: a peer has connected. Whom the client has not permitted cannot have.
    pub(super) fn attempted(&mut self, now: Instant, message: &Message<'_>) -> Result<Opened, ClientError> {
        let id = message.attribute(AttributeType::CONNECTION_ID).and_then(ConnectionId::decode);
        let peer = message.xor_address(AttributeType::XOR_PEER_ADDRESS);
        let (id, peer) = id.zip(peer).ok_or(StunError::Ignored("it names no connection of a peer"))?;
        let is_permitted = self.peers.permission(peer.ip()).is_some_and(|lease| !lease.refused);
        if !self.relays_tcp() || self.allocation.is_none() || !is_permitted {
            return Err(StunError::Ignored("its peer was never permitted to connect").into());
        }
        if self.connections.of_peer(peer).is_some() {
            return Err(StunError::Ignored("there is a connection of its peer").into());
        }
        if self.connections.count(true) >= self.config.max_attempts {
            return Err(StunError::Ignored("too many connections of peers wait").into());
        }
        self.connections.insert(peer, Stage::Attempt(id), Some(now + PATIENCE));
        self.tell(Event::ConnectionAttempt { peer, id });
        self.settle(now);
        Ok(Opened::Own)
    }

    /// RFC 6062 §4.3: the server has connected to the peer.
    pub(super) fn peer_connected(&mut self, now: Instant, number: ConnectionNumber, message: &Message<'_>) {
        match message.attribute(AttributeType::CONNECTION_ID).and_then(ConnectionId::decode) {
            Some(id) => self.open_connection(now, number, id),
            None => self.connection_failed(number, ConnectionFailure::Malformed),
        }
    }

    /// Asks for the stream that a connection has to the server, over what the one of the allocation goes over.
    fn open_connection(&mut self, now: Instant, number: ConnectionNumber, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(number) else { return };
        connection.stage = Stage::Opening(id);
        connection.until = Some(now + PATIENCE);
        let local = SocketAddr::new(self.path.local.ip(), 0);
        let mut opening = StreamOpening::new(number.token(), local, self.path.remote, Framing::Bytes);
        opening.tls =
            self.config.server_name.clone().filter(|_| self.config.transport == ServerTransport::Tls);
        self.connections.requests.push_back(StreamRequest::Open(opening));
    }

    /// Takes what became of a stream of a connection.
    pub(super) fn stream_reported(&mut self, now: Instant, report: StreamReport) {
        match report {
            StreamReport::Opened { token, path } => match self.connections.opened_by(token) {
                Some(number) => self.bind_connection(now, number, path),
                // It was given up meanwhile.
                None => self.connections.requests.push_back(StreamRequest::Close(path)),
            },
            StreamReport::Failed { token, reason } => {
                if let Some(number) = self.connections.opened_by(token) {
                    self.connection_ended(number, ConnectionFailure::Stream(reason));
                }
            }
            StreamReport::Closed { path, reason } => {
                if let Some(number) = self.connections.by_path(&path).map(|connection| connection.number) {
                    self.connection_ended(number, ConnectionFailure::Stream(reason));
                }
            }
        }
        self.settle(now);
    }

    /// RFC 6062 §4.3: the connection is named by the stream that is to be its own.
    fn bind_connection(&mut self, now: Instant, number: ConnectionNumber, path: FiveTuple) {
        let Some(connection) = self.connections.get_mut(number) else { return };
        let Stage::Opening(id) = connection.stage else { return };
        let binding = Binding { path, id, credentials: None, arrived: Vec::new() };
        connection.stage = Stage::Binding(Box::new(binding));
        self.start(now, Purpose::Bind(number), 0);
    }

    /// The stream is that of the peer from now on.
    pub(super) fn connection_bound(&mut self, number: ConnectionNumber) {
        let Some(connection) = self.connections.get_mut(number) else { return };
        let (peer, Some(path)) = (connection.peer, connection.path()) else { return };
        connection.stage = Stage::Open(path);
        connection.until = None;
        self.tell(Event::Connected { peer, path });
    }

    /// There is no connection, and its stream is closed.
    pub(super) fn connection_failed(&mut self, number: ConnectionNumber, failure: ConnectionFailure) {
        let connection = self.connections.remove(number);
        self.tell_end(connection, failure);
    }

    /// The same where there is no stream.
    fn connection_ended(&mut self, number: ConnectionNumber, failure: ConnectionFailure) {
        let connection = self.connections.forget(number);
        self.tell_end(connection, failure);
    }

    fn tell_end(&mut self, connection: Option<Connection>, failure: ConnectionFailure) {
        let Some(Connection { number, peer, stage, .. }) = connection else { return };
        self.forget_requests(number);
        self.tell(match stage {
            Stage::Open(path) => Event::ConnectionClosed { peer, path },
            _ => Event::ConnectionFailed { peer, failure },
        });
    }

    fn forget_requests(&mut self, number: ConnectionNumber) {
        self.transactions.retain(|it| it.purpose.connection() != Some(number));
    }

    /// The allocation is gone, and with it its connections (RFC 6062 §4.6).
    pub(super) fn lose_connections(&mut self) {
        while let Some(number) = self.connections.first() {
            self.connection_failed(number, ConnectionFailure::Lost);
        }
    }

    /// Gives up those that do not get on.
    pub(super) fn give_up_connections(&mut self, now: Instant) {
        while let Some(number) = self.connections.late(now) {
            self.connection_failed(number, ConnectionFailure::TimedOut);
        }
    }

    /// What a request is signed with. A server may want another nonce by each stream.
    pub(super) fn credentials_of(&self, purpose: Purpose) -> &CredentialsClient {
        let own = match purpose {
            Purpose::Bind(number) => self.connections.binding(number),
            _ => None,
        };
        own.and_then(|binding| binding.credentials.as_ref()).unwrap_or(&self.credentials)
    }

    /// The same for a challenge to the request.
    pub(super) fn challenged_credentials(&mut self, purpose: Purpose) -> &mut CredentialsClient {
        let binding = match purpose {
            Purpose::Bind(number) => self.connections.binding_mut(number),
            _ => None,
        };
        match binding {
            Some(binding) => binding.credentials.get_or_insert_with(|| self.credentials.unchallenged()),
            None => &mut self.credentials,
        }
    }

    /// Takes what has come by the stream of a connection: the response that makes it the peer's, and what the peer sends
    /// behind it.
    pub(super) fn open_stream(
        &mut self,
        now: Instant,
        number: ConnectionNumber,
        bytes: &[u8],
    ) -> Result<Opened, ClientError> {
        let mut start = 0;
        while let Some(binding) = self.connections.binding_mut(number) {
            let before = binding.arrived.len();
            let rest = bytes.get(start..).unwrap_or_default();
            binding
                .arrived
                .extend_from_slice(&rest[..rest.len().min(MAX_RESPONSE - before.min(MAX_RESPONSE))]);
            let len = match message_length(&binding.arrived) {
                Ok(Some((len, _))) if len <= MAX_RESPONSE => len,
                Ok(None) => return Ok(Opened::Own),
                Ok(Some(_)) | Err(_) => return self.malformed(now, number),
            };
            if binding.arrived.len() < len {
                return Ok(Opened::Own);
            }
            let mut message = std::mem::take(&mut binding.arrived);
            message.truncate(len);
            start += len - before;
            match Message::decode(&message) {
                // What is ignored may have come before what counts.
                Ok(message) => drop(self.response(now, &message, Some(number))),
                Err(_) => return self.malformed(now, number),
            }
        }
        Ok(match self.connections.get(number) {
            Some(connection) if start < bytes.len() => {
                Opened::Data { peer: connection.peer, range: start..bytes.len() }
            }
            _ => Opened::Own,
        })
    }

    fn malformed(&mut self, now: Instant, number: ConnectionNumber) -> Result<Opened, ClientError> {
        self.connection_failed(number, ConnectionFailure::Malformed);
        self.settle(now);
        Err(StunError::Ignored("a stream to a peer begins with the server's response").into())
    }

    /// Appends bytes for a peer to a batch.
    pub(super) fn send_by_stream(
        &mut self,
        peer: SocketAddr,
        data: &[u8],
        out: &mut TransmitBatch,
    ) -> Result<Transmit, ClientError> {
        const LIMIT: usize = u16::MAX as usize;
        let Some(Stage::Open(path)) = self.connections.of_peer(peer).map(|connection| &connection.stage)
        else {
            return Err(ClientError::NotConnected);
        };
        if data.len() > LIMIT {
            return Err(ClientError::TooLong { len: data.len(), limit: LIMIT });
        }
        let mut segments = out.segments(Some(*path), None);
        segments.datagram().extend_from_slice(data);
        segments.end_datagram();
        segments.finish().ok_or(ClientError::NotConnected)
    }
}
