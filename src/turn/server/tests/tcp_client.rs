//! RFC 6062 between the client of this library and the server of this library.

use super::*;
use crate::layer::{Framing, Protocol, StreamOpening, StreamReport, StreamRequest};
use crate::stun::ServerTransport;
use crate::turn::{self, Client, ClientError, ConfigError, ConnectionFailure, ConnectionId, Opened};

/// A client, its server, and the streams between them.
struct Play {
    world: World,
    client: Client,
    /// What the client wants opened.
    wanted: Vec<StreamOpening>,
    closed: Vec<FiveTuple>,
    abandoned: usize,
    told: Vec<turn::Event>,
    data: Vec<(SocketAddr, Vec<u8>)>,
    /// So many bytes of a stream arrive at a time.
    piece: usize,
}

fn ours(path: FiveTuple) -> FiveTuple {
    FiveTuple { protocol: Protocol::Tcp, local: path.remote, remote: path.local }
}

fn of_tcp() -> turn::Config {
    let mut config = turn::Config::new(USER, PASSWORD);
    config.transport = ServerTransport::Tcp;
    config.requested_transport = RequestedTransport::TCP;
    config
}

impl Play {
    fn new(config: turn::Config) -> Self {
        let world = World::new(Config { answers_per_source: 1000, ..super::config() });
        let client = Client::new(world.now, &provider(), ours(path(1)), config).unwrap();
        let (wanted, closed, told, data) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut play = Self { world, client, wanted, closed, told, data, piece: 7, abandoned: 0 };
        play.carry();
        assert!(matches!(play.told[..], [turn::Event::Allocated(_)]), "{:?}", play.told);
        play.told.clear();
        play
    }

    fn carry(&mut self) {
        let mut batch = TransmitBatch::new(1500);
        while let Some(transmit) = self.client.poll_transmit(self.world.now, &mut batch) {
            let (there, bytes) = (ours(transmit.path.unwrap()), batch.bytes(&transmit).to_vec());
            batch.clear();
            let sent = self.world.arrives(there, &bytes);
            self.deliver(sent, b"");
        }
        let sent = self.world.sent();
        self.deliver(sent, b"");
        while let Some(request) = self.client.poll_stream() {
            match request {
                StreamRequest::Open(opening) => self.wanted.push(opening),
                StreamRequest::Close(path) => self.closed.push(path),
                StreamRequest::Abandon(_) => self.abandoned += 1,
                StreamRequest::Keep(path) => panic!("{path:?}"),
            }
        }
        self.told.extend(std::iter::from_fn(|| self.client.poll_event()));
    }

    /// What the server sends, and `behind` it what a peer does.
    fn deliver(&mut self, sent: Vec<(FiveTuple, Vec<u8>)>, behind: &[u8]) {
        for (to, bytes) in sent {
            let path = ours(to);
            if to == stream(1) {
                self.arrives(path, bytes);
                continue;
            }
            let bytes = [&bytes, behind].concat();
            bytes.chunks(self.piece).for_each(|piece| self.arrives(path, piece.to_vec()));
        }
    }

    fn arrives(&mut self, path: FiveTuple, mut bytes: Vec<u8>) {
        match self.client.open(self.world.now, Datagram::new(path, &mut bytes)) {
            Ok(Opened::Data { peer, range }) => self.data.push((peer, bytes[range].to_vec())),
            Ok(Opened::Own) | Err(_) => {}
        }
    }

    fn opened(&mut self, port: u16) -> FiveTuple {
        let opening = self.wanted.remove(0);
        assert_eq!((opening.framing, opening.remote), (Framing::Bytes, path(1).local));
        let path = ours(stream(port));
        self.client.handle_stream(self.world.now, StreamReport::Opened { token: opening.token, path });
        path
    }

    /// The server's number of the connection that it was asked for last.
    fn asked(&mut self) -> u32 {
        let is_asked = |event: &Event| matches!(event, Event::ConnectPeer { .. });
        let place = self.world.events.iter().rposition(is_asked).expect("a peer is to be connected to");
        match self.world.events.remove(place) {
            Event::ConnectPeer { connection, .. } => connection,
            other => panic!("{other:?}"),
        }
    }

    /// Goes as far as to the stream that is to be opened.
    fn connect(&mut self, peer: SocketAddr) -> u32 {
        self.client.connect(self.world.now, peer).unwrap();
        self.carry();
        let connection = self.asked();
        self.world.server.peer_connected(self.world.now, connection);
        self.carry();
        connection
    }

    fn attempt(&mut self, peer: SocketAddr) -> Option<u32> {
        let relayed = self.client.allocation().unwrap().relayed[0];
        let connection = self.world.server.peer_accepted(self.world.now, relayed, peer);
        self.carry();
        connection
    }

    fn take_told(&mut self) -> Vec<turn::Event> {
        self.carry();
        std::mem::take(&mut self.told)
    }

    fn pass(&mut self, seconds: u64) {
        self.world.now += Duration::from_secs(seconds);
        self.client.handle_timeout(self.world.now);
        self.carry();
    }
}

fn stream(port: u16) -> FiveTuple {
    FiveTuple { protocol: Protocol::Tcp, ..path(port) }
}

fn failed(peer: SocketAddr, failure: ConnectionFailure) -> turn::Event {
    turn::Event::ConnectionFailed { peer, failure }
}

fn refused(code: u16) -> ConnectionFailure {
    ConnectionFailure::Refused(ErrorCode::new(code).unwrap())
}

/// However the stream is cut, the bytes of the peer begin where the response ends.
#[test]
fn the_client_connects_to_a_peer() {
    for piece in [1, 7, 1500] {
        let mut play = Play::new(of_tcp());
        play.piece = piece;
        let connection = play.connect(peer(80));
        let by = play.opened(100);
        let mut batch = TransmitBatch::new(1500);
        let early = play.client.send(play.world.now, peer(80), b"early", &mut batch);
        assert_eq!(early.err(), Some(ClientError::NotConnected));
        let bind = play.client.poll_transmit(play.world.now, &mut batch).unwrap();
        assert_eq!(bind.path, Some(by), "by its own stream");
        let sent = play.world.arrives(stream(100), batch.bytes(&bind));
        play.deliver(sent, b"hello");
        assert_eq!(play.take_told(), [turn::Event::Connected { peer: peer(80), path: by }]);
        assert!(play.world.events.contains(&Event::JoinPeer { connection, client: stream(100) }));
        let data: Vec<u8> = play.data.iter().flat_map(|(_, data)| data.clone()).collect();
        assert_eq!((&data[..], play.data[0].0), (&b"hello"[..], peer(80)));
        // Bytes that look like a message of the server are the peer's all the same.
        play.data.clear();
        play.arrives(by, b"\x01\x0b\0\0\x21\x12\xa4\x42".to_vec());
        assert_eq!(play.data.len(), 1);
        let data = play.client.send(play.world.now, peer(80), &[9; 3001], &mut batch).unwrap();
        assert_eq!((data.path, batch.bytes(&data)), (Some(by), &[9; 3001][..]));
        assert_eq!(play.client.connect(play.world.now, peer(80)), Err(ClientError::AlreadyConnected));
        let reason = "closed".to_owned();
        play.client.handle_stream(play.world.now, StreamReport::Closed { path: by, reason });
        assert_eq!(play.take_told(), [turn::Event::ConnectionClosed { peer: peer(80), path: by }]);
        assert_eq!(play.closed, [], "it is closed already");
        assert_eq!(play.client.connect(play.world.now, peer(80)), Ok(()));
    }
}

#[test]
fn the_client_takes_connections_of_peers_that_it_permits() {
    let mut play = Play::new(of_tcp());
    play.client.permit(play.world.now, peer(0).ip()).unwrap();
    play.take_told();
    let connection = play.attempt(peer(5000)).unwrap();
    let id = ConnectionId(connection);
    assert_eq!(play.take_told(), [turn::Event::ConnectionAttempt { peer: peer(5000), id }]);
    assert_eq!(play.client.accept(play.world.now, ConnectionId(!connection)), Err(ClientError::NoAttempt));
    assert_eq!(play.client.accept(play.world.now, id), Ok(()));
    assert_eq!(play.client.accept(play.world.now, id), Err(ClientError::NoAttempt), "once");
    play.carry();
    let by = play.opened(100);
    assert_eq!(play.take_told(), [turn::Event::Connected { peer: peer(5000), path: by }]);
    play.client.disconnect(play.world.now, peer(5000));
    assert_eq!((play.take_told(), &play.closed[..]), (vec![], &[by][..]));
    // Another one waits in vain.
    play.attempt(peer(5001)).unwrap();
    play.take_told();
    play.pass(30);
    assert_eq!(play.take_told(), [failed(peer(5001), ConnectionFailure::TimedOut)]);
}

#[test]
fn what_fails_of_connections_is_told_with_its_reason() {
    let mut play = Play::new(of_tcp());
    for (denied, code) in [("10.0.0.1:80", 403), ("127.0.0.1:80", 403)] {
        play.client.connect(play.world.now, address(denied)).unwrap();
        assert_eq!(play.take_told(), [failed(address(denied), refused(code))]);
    }
    let v6 = address("[2606:4700::1]:80");
    assert_eq!(play.client.connect(play.world.now, v6), Err(ClientError::Family));
    play.client.connect(play.world.now, peer(80)).unwrap();
    play.carry();
    let connection = play.asked();
    play.world.server.peer_failed(play.world.now, connection);
    assert_eq!(play.take_told(), [failed(peer(80), refused(447))]);
    // The stream to the server is not opened.
    play.connect(peer(80));
    let token = play.wanted.remove(0).token;
    let reason = "refused".to_owned();
    play.client.handle_stream(play.world.now, StreamReport::Failed { token, reason: reason.clone() });
    assert_eq!(play.take_told(), [failed(peer(80), ConnectionFailure::Stream(reason))]);
    // The server has given the connection up before it is bound.
    let connection = play.connect(peer(81));
    play.world.server.peer_failed(play.world.now, connection);
    let by = play.opened(100);
    assert_eq!(play.take_told(), [failed(peer(81), refused(400))]);
    assert_eq!(std::mem::take(&mut play.closed), [by]);
    // What comes by the stream is no response.
    play.connect(peer(82));
    let by = play.opened(101);
    play.arrives(by, b"HTTP/1.1 400 Bad Request\r\n".to_vec());
    assert_eq!(play.take_told(), [failed(peer(82), ConnectionFailure::Malformed)]);
    assert_eq!(std::mem::take(&mut play.closed), [by]);
    // Nothing comes by it at all.
    play.connect(peer(83));
    let by = play.opened(102);
    play.client.poll_transmit(play.world.now, &mut TransmitBatch::new(1500)).unwrap();
    play.pass(30);
    assert_eq!(play.take_told(), [failed(peer(83), ConnectionFailure::TimedOut)]);
    assert_eq!(play.closed, [by]);
}

/// A response of the server counts by the stream that its request went by.
#[test]
fn a_stream_answers_for_itself_alone() {
    let mut play = Play::new(of_tcp());
    play.connect(peer(80));
    let by = play.opened(100);
    let mut batch = TransmitBatch::new(1500);
    let bind = play.client.poll_transmit(play.world.now, &mut batch).unwrap();
    let answer = play.world.arrives(stream(100), batch.bytes(&bind)).remove(0).1;
    play.arrives(ours(stream(1)), answer.clone());
    assert_eq!(play.take_told(), []);
    play.arrives(by, answer);
    assert_eq!(play.take_told(), [turn::Event::Connected { peer: peer(80), path: by }]);
}

#[test]
fn a_stream_may_want_a_nonce_of_its_own() {
    let mut play = Play::new(of_tcp());
    play.connect(peer(80));
    let by = play.opened(100);
    let mut batch = TransmitBatch::new(1500);
    let bind = play.client.poll_transmit(play.world.now, &mut batch).unwrap();
    // The nonces of other addresses are others, as those of each connection are at other servers.
    let mut elsewhere = stream(100);
    elsewhere.remote.set_ip([8, 8, 8, 8].into());
    let stale = play.world.arrives(elsewhere, batch.bytes(&bind)).remove(0).1;
    assert_eq!(code(&stale), Some(438));
    play.arrives(by, stale);
    let again = play.client.poll_transmit(play.world.now, &mut batch).unwrap();
    assert_eq!(again.path, Some(by));
    let answer = play.world.arrives(elsewhere, batch.bytes(&again)).remove(0).1;
    play.arrives(by, answer);
    assert_eq!(play.take_told(), [turn::Event::Connected { peer: peer(80), path: by }]);
    // That of the allocation is what it was.
    play.client.refresh(play.world.now);
    let before = play.world.server.statistics().unauthenticated;
    play.carry();
    assert_eq!(play.world.server.statistics().unauthenticated, before);
}

#[test]
fn with_the_allocation_its_connections_are_gone() {
    let mut play = Play::new(of_tcp());
    play.connect(peer(80));
    let by = play.opened(100);
    play.take_told();
    play.connect(peer(81));
    play.client.close(play.world.now);
    let told = play.take_told();
    let closed = turn::Event::ConnectionClosed { peer: peer(80), path: by };
    let lost = failed(peer(81), ConnectionFailure::Lost);
    assert_eq!(told, [closed, lost, turn::Event::Closed]);
    assert_eq!((&play.closed[..], play.abandoned), (&[by][..], 1));
    assert!(play.client.is_closed());
    assert_eq!(play.world.server.statistics().allocations, 0);
    assert_eq!(play.client.poll_timeout(), None);
}

#[test]
fn what_a_client_holds_of_connections_is_bounded() {
    let mut config = of_tcp();
    (config.max_connections, config.max_attempts) = (2, 3);
    let mut play = Play::new(config);
    play.client.permit(play.world.now, peer(0).ip()).unwrap();
    play.take_told();
    for port in 5000..5010 {
        play.attempt(peer(port));
    }
    assert_eq!(play.take_told().len(), 3);
    for port in [80, 81] {
        play.connect(peer(port));
    }
    let one_more = play.client.connect(play.world.now, peer(82));
    assert_eq!(one_more, Err(ClientError::TooManyConnections(2)));
    // A response is not longer than one is.
    let by = play.opened(100);
    play.client.poll_transmit(play.world.now, &mut TransmitBatch::new(1500)).unwrap();
    play.piece = 1500;
    play.arrives(by, [&[1, 0x0b, 0xff, 0xfc, 0x21, 0x12, 0xa4, 0x42][..], &[0; 60_000]].concat());
    assert_eq!(play.take_told(), [failed(peer(80), ConnectionFailure::Malformed)]);
    // Of a peer that nobody permitted nothing is told.
    let mut attempt = Vec::new();
    MessageBuilder::new(&mut attempt, Class::Indication, Method::CONNECTION_ATTEMPT, TransactionId([1; 12]))
        .attribute(AttributeType::CONNECTION_ID, &[0; 4])
        .xor_address(AttributeType::XOR_PEER_ADDRESS, address("9.9.9.9:1"))
        .finish()
        .unwrap();
    play.pass(30);
    play.take_told();
    play.arrives(ours(stream(1)), attempt);
    assert_eq!(play.take_told(), []);
}

#[test]
fn what_is_of_datagrams_is_not_of_tcp() {
    let mut play = Play::new(of_tcp());
    let now = play.world.now;
    assert_eq!(play.client.bind(now, peer(7)), Err(ClientError::RelaysTcp));
    assert_eq!(play.client.head(now, peer(7)).err(), Some(ClientError::RelaysTcp));
    let mut udp = Client::new(now, &provider(), ours(path(2)), turn::Config::new(USER, PASSWORD)).unwrap();
    assert_eq!(udp.connect(now, peer(7)), Err(ClientError::RelaysUdp));
    let refused = |change: fn(&mut turn::Config)| {
        let mut config = of_tcp();
        change(&mut config);
        Client::new(now, &provider(), ours(path(2)), config).err()
    };
    assert_eq!(refused(|it| it.transport = ServerTransport::Udp), Some(ConfigError::TcpOverDatagrams));
    assert_eq!(refused(|it| it.transport = ServerTransport::Dtls), Some(ConfigError::TcpOverDatagrams));
    assert_eq!(refused(|it| it.dont_fragment = true), Some(ConfigError::TcpWithOthers));
    assert_eq!(refused(|it| it.mobility = true), Some(ConfigError::TcpWithOthers));
    assert_eq!(refused(|it| it.transport = ServerTransport::Tls), Some(ConfigError::NoServerName));
    let other = |it: &mut turn::Config| it.requested_transport = RequestedTransport(132);
    assert_eq!(refused(other), Some(ConfigError::RequestedTransport(132)));
}

/// Over TLS the streams of connections have it, too.
#[test]
fn connections_are_as_secure_as_the_allocation() {
    let mut config = of_tcp();
    (config.transport, config.server_name) = (ServerTransport::Tls, Some("turn.example.org".to_owned()));
    let mut play = Play::new(config);
    play.connect(peer(80));
    assert_eq!(play.wanted[0].tls.as_deref(), Some("turn.example.org"));
}
