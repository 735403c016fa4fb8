//! Several sessions behind one port, and strangers and peers who would like what belongs to others: datagrams from any
//! address, recorded ones from another, candidates with the addresses of others, names, sessions that come and go, batches,
//! and strangers for whom a session is made when their check comes. An honest pair among them still connects and has its
//! messages echoed. Which session is handed what is compared with a model that looks through lists.
//!
//! The input is a list of steps: a byte that says what, a byte that says from where, a length byte, and so many bytes.

#![no_main]

#[path = "endpoint/model.rs"]
mod model;
mod oracle;

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::crypto::{SeededRandom, aws_lc_rs};
use kaon_rtc::datachannel::{ChannelEvent, ChannelId, ChannelInit, MessageKind};
use kaon_rtc::endpoint::{Endpoint, EndpointEvent, Incoming, IncomingLimits, SessionId};
use kaon_rtc::layer::{
    Datagram, Fingerprint, FingerprintAlgorithm, FiveTuple, IceCredentials, Layer, TransmitBatch,
};
use kaon_rtc::session::{Description, IceCandidateInit, Session, SessionConfig, SessionEvent};
use libfuzzer_sys::fuzz_target;
use model::{SharedModel, Watched};

static CONFIG: LazyLock<SessionConfig> = LazyLock::new(|| {
    let provider = aws_lc_rs::provider().with_random(Arc::new(SeededRandom::new(1)));
    SessionConfig::generate(provider).expect("a certificate")
});
/// Of sessions that are made when the first check comes.
static DIRECT: LazyLock<SessionConfig> = LazyLock::new(|| {
    let mut config = CONFIG.clone();
    config.transports.dangerously_accept_any_certificate();
    config
});

const HONEST: usize = 0;
const HOSTILE: usize = 1;
const HOSTS: usize = 3;
/// Datagrams that were recorded on the way, to come again.
const MAX_RECORDED: usize = 64;

fn server() -> SocketAddr {
    ([10, 0, 0, 1], 5000).into()
}

fn client(host: usize) -> SocketAddr {
    ([10, 0, 1, 1 + host as u8], 4000).into()
}

/// A client's session and that of the server that it is connected to.
#[derive(Clone, Copy)]
struct Connection {
    host: usize,
    here: SessionId,
    there: SessionId,
}

struct Play {
    server: Endpoint<Watched>,
    model: SharedModel,
    clients: [Endpoint<Session>; HOSTS],
    now: Instant,
    next_id: u64,
    connections: Vec<Connection>,
    recorded: Vec<Vec<u8>>,
    /// What the honest client was sent back.
    echoed: Vec<Bytes>,
}

impl Play {
    fn new() -> Self {
        let mut play = Self {
            server: Endpoint::new(),
            model: SharedModel::default(),
            clients: [Endpoint::new(), Endpoint::new(), Endpoint::new()],
            now: Instant::now(),
            next_id: 0,
            connections: Vec::new(),
            recorded: Vec::new(),
            echoed: Vec::new(),
        };
        let mut limits = IncomingLimits::default();
        limits.max_strangers = 16;
        play.server.set_incoming(Some(limits));
        play.connect(HOSTILE);
        play.run(Duration::from_secs(1));
        play
    }

    fn add(&mut self, address: SocketAddr) -> (SessionId, Session) {
        self.next_id += 1;
        let mut session = Session::new(self.now, CONFIG.clone());
        session.add_host_address(self.now, address).expect("a good address");
        session.end_of_host_addresses(self.now);
        (SessionId::new(self.next_id), session)
    }

    fn connect(&mut self, host: usize) -> (Connection, ChannelId) {
        let now = self.now;
        let (here, mut offerer) = self.add(client(host));
        let (there, mut answerer) = self.add(server());
        let channel = offerer.create_data_channel(now, ChannelInit::new("echo")).expect("room");
        offerer.set_local_description(now, None).expect("an offer");
        offerer.handle_timeout(now);
        let offer = offerer.local_description().expect("an offer").text();
        answerer.set_remote_description(now, &Description::offer(&offer).expect("good")).expect("good");
        answerer.set_local_description(now, None).expect("an answer");
        answerer.handle_timeout(now);
        let answer = answerer.local_description().expect("an answer").text();
        offerer.set_remote_description(now, &Description::answer(&answer).expect("good")).expect("good");
        self.clients[host].insert(here, offerer);
        self.insert(there, answerer);
        let connection = Connection { host, here, there };
        self.connections.push(connection);
        (connection, channel)
    }

    fn insert(&mut self, id: SessionId, session: Session) {
        self.model.borrow_mut().add(id, &session);
        self.server.insert(id, Watched::new(id, session, &self.model));
    }

    /// A client that knows the server's address and certificate, and chooses the credentials of both sides.
    fn dial(&mut self, host: usize, number: u8) {
        let now = self.now;
        let ufrag = format!("direct/{number:024}");
        let credentials = IceCredentials::new(&*ufrag, &*ufrag).expect("good credentials");
        let mut session = Session::with_ice_credentials(now, CONFIG.clone(), credentials).expect("a session");
        session.add_host_address(now, client(host)).expect("a good address");
        session.end_of_host_addresses(now);
        session.create_data_channel(now, ChannelInit::new("echo")).expect("room");
        session.set_local_description(now, None).expect("an offer");
        let fingerprint = CONFIG.transports.fingerprints[0].clone();
        let answer = direct(&ufrag, &fingerprint, "passive");
        let _ = session.set_remote_description(now, &Description::answer(&answer).expect("good"));
        self.next_id += 1;
        self.clients[host].insert(SessionId::new(self.next_id), session);
    }

    /// A stranger is let in if its fragments are those of one who dials.
    fn accept(&mut self, incoming: Incoming) {
        let now = self.now;
        let Ok(credentials) = IceCredentials::new(&*incoming.ufrag, &*incoming.ufrag) else { return };
        let mut session = Session::with_ice_credentials(now, DIRECT.clone(), credentials).expect("a session");
        session.add_host_address(now, incoming.path.local).expect("a good address");
        session.end_of_host_addresses(now);
        let unknown = Fingerprint::new(FingerprintAlgorithm::Sha256, &[0xff; 32]).expect("32 bytes");
        let offer = direct(&incoming.ufrag, &unknown, "active");
        let Ok(offer) = Description::offer(&offer) else { return };
        if session.set_remote_description(now, &offer).is_err() {
            return;
        }
        session.set_local_description(now, None).expect("an answer");
        self.next_id += 1;
        let id = SessionId::new(self.next_id);
        self.model.borrow_mut().add(id, &session);
        let session = Watched::new(id, session, &self.model);
        if self.server.accept(now, id, session, incoming).is_err() {
            self.model.borrow_mut().remove(id);
            assert!(self.server.get_mut(id).is_none(), "a session that refused its check stays");
        }
    }

    /// All exchange what they have, and time passes.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut wakes = 0;
        loop {
            self.exchange();
            let clients = self.clients.iter().filter_map(Layer::poll_timeout);
            let next = clients.chain(self.server.poll_timeout()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.server.handle_timeout(self.now);
            for client in &mut self.clients {
                client.handle_timeout(self.now);
            }
            wakes += 1;
            assert!(wakes < 20_000, "it wakes without end");
        }
        self.now = end;
    }

    fn exchange(&mut self) {
        let mut batch = TransmitBatch::new(1472);
        for _ in 0..1000 {
            let mut quiet = true;
            batch.clear();
            while let Some(transmit) = self.server.poll_transmit(self.now, &mut batch) {
                quiet = false;
                let to = transmit.path.expect("a session names its paths").remote;
                let host = (0..HOSTS).find(|host| client(*host) == to);
                let served = self.model.borrow().served;
                for bytes in batch.datagrams_mut(&transmit) {
                    self.model.borrow_mut().note_sent(served, bytes);
                    if let Some(host) = host {
                        let path = FiveTuple::udp(to, server());
                        let _ = self.clients[host].handle_datagram(self.now, Datagram::new(path, bytes));
                    }
                }
                batch.clear();
            }
            let mut arrived = Vec::new();
            for host in 0..HOSTS {
                while let Some(transmit) = self.clients[host].poll_transmit(self.now, &mut batch) {
                    quiet = false;
                    let is_for_server = transmit.path.expect("a session names its paths").remote == server();
                    for bytes in batch.datagrams_mut(&transmit) {
                        if self.recorded.len() < MAX_RECORDED {
                            self.recorded.push(bytes.to_vec());
                        }
                        if is_for_server {
                            arrived.push((FiveTuple::udp(server(), client(host)), bytes.to_vec()));
                        }
                    }
                    batch.clear();
                }
            }
            self.receive_all(arrived);
            self.drain();
            if quiet {
                return;
            }
        }
        panic!("the sessions keep each other busy");
    }

    fn drain(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match event {
                // The server echoes.
                EndpointEvent::Session {
                    id,
                    event:
                        SessionEvent::DataChannel(ChannelEvent::OpenedByPeer(_) | ChannelEvent::Readable(_)),
                } => self.echo(id),
                EndpointEvent::Incoming(incoming) => self.accept(*incoming),
                _ => {}
            }
        }
        for host in 0..HOSTS {
            while let Some(event) = self.clients[host].poll_event() {
                if let EndpointEvent::Session {
                    id,
                    event: SessionEvent::DataChannel(ChannelEvent::Readable(channel)),
                } = event
                {
                    let echoed = &mut self.echoed;
                    self.clients[host].with(id, |session| {
                        while let Some(message) = session.receive_message(channel) {
                            if host == HONEST {
                                echoed.push(message.data);
                            }
                        }
                    });
                }
            }
        }
    }

    fn echo(&mut self, id: SessionId) {
        let now = self.now;
        self.server.with(id, |session| {
            let channels: Vec<_> = session.channels().collect();
            for channel in channels {
                while let Some(message) = session.receive_message(channel) {
                    let _ = session.send_message(now, channel, MessageKind::Binary, message.data);
                }
            }
        });
    }

    fn receive(&mut self, from: SocketAddr, bytes: &mut [u8]) {
        let path = FiveTuple::udp(server(), from);
        self.receive_all(vec![(path, bytes.to_vec())]);
    }

    fn receive_all(&mut self, mut arrived: Vec<(FiveTuple, Vec<u8>)>) {
        let handed = self.model.borrow().handed;
        let count = arrived.len();
        let sure = arrived.iter().filter(|(_, bytes)| self.model.borrow().is_for_somebody(bytes)).count();
        let datagrams = arrived.iter_mut().map(|(path, bytes)| Datagram::new(*path, bytes));
        let counts = self.server.handle_datagrams(self.now, datagrams);
        assert_eq!(counts.taken + counts.refused + counts.unknown, count);
        assert!(counts.taken + counts.refused >= sure, "a session did not get what names it");
        // A datagram that is disputed, or of namesakes, is handed to a second session when the first refuses it.
        assert!(self.model.borrow().handed - handed >= counts.taken + counts.refused);
    }

    fn step(&mut self, what: u8, from: u8, bytes: &[u8]) {
        let now = self.now;
        let address = match from % 5 {
            host @ 0..=2 => client(usize::from(host)),
            3 => server(),
            _ => ([10, 0, 2, from], 1 + u16::from(from)).into(),
        };
        match what % 12 {
            0 => self.receive(address, &mut bytes.to_vec()),
            1 => self.receive(address, &mut [&[bytes.len() as u8 & 3, from], bytes].concat()),
            2 => self.receive(address, &mut [&[20 + (from & 3), 254, 253], bytes].concat()),
            3 | 4 => {
                let at = bytes.first().map_or(0, |at| usize::from(*at));
                let recorded = self.recorded.get(at % MAX_RECORDED).cloned();
                recorded.into_iter().for_each(|mut recorded| self.receive(address, &mut recorded));
            }
            5 => {
                // A peer names the address of somebody else, or a name.
                let name =
                    if from & 0x80 != 0 { format!("{from:08x}.local") } else { address.ip().to_string() };
                let candidate = format!(
                    "candidate:{from} 1 udp {} {name} {} typ host",
                    1 + u32::from(from),
                    address.port()
                );
                let mut init = IceCandidateInit::new(candidate);
                init.sdp_m_line_index = Some(0);
                for connection in self.connections.clone() {
                    if connection.host == HOSTILE {
                        self.server
                            .with(connection.there, |session| drop(session.add_ice_candidate(now, &init)));
                    }
                }
            }
            6 => self.run(Duration::from_millis(u64::from(from) * 20)),
            7 if self.connections.len() < 8 => drop(self.connect(if from & 1 == 0 { HOSTILE } else { 2 })),
            8 => {
                // A peer is killed, and its session at the server, or closed.
                let at = usize::from(from) % self.connections.len().max(1);
                let is_other = self.connections.get(at).is_some_and(|connection| connection.host != HONEST);
                if at > 0 && is_other {
                    let Connection { host, here, there } = self.connections.swap_remove(at);
                    match bytes.len() % 3 {
                        0 => drop(self.clients[host].remove(here)),
                        1 => {
                            self.model.borrow_mut().remove(there);
                            drop(self.server.remove(there));
                        }
                        _ => drop(self.server.with(there, |session| session.close(now))),
                    }
                }
            }
            // Not from the honest socket: two connections between two sockets cannot be told apart.
            9 => self.dial(if from & 1 == 0 { HOSTILE } else { 2 }, from),
            10 => {
                // Several from one address and from others, at once.
                let path = FiveTuple::udp(server(), address);
                let others = self.recorded.iter().take(usize::from(from) % 8);
                let others =
                    others.map(|recorded| (FiveTuple::udp(server(), client(HOSTILE)), recorded.clone()));
                let pieces = bytes.chunks(8).map(|piece| (path, piece.to_vec()));
                let mut arrived: Vec<_> = pieces.chain(others).collect();
                let by = usize::from(from) % arrived.len().max(1);
                arrived.rotate_left(by);
                self.receive_all(arrived);
            }
            _ => {
                for connection in self.connections.clone() {
                    let message = Bytes::copy_from_slice(bytes);
                    self.clients[connection.host].with(connection.here, |session| {
                        let channels: Vec<_> = session.channels().collect();
                        for channel in channels {
                            let _ = session.send_message(now, channel, MessageKind::Binary, message.clone());
                        }
                    });
                }
            }
        }
    }
}

/// The description that one side makes of the other when there is no signalling.
fn direct(ufrag: &str, fingerprint: &Fingerprint, setup: &str) -> String {
    let server = server();
    format!(
        "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n\
         a=ice-ufrag:{ufrag}\r\na=ice-pwd:{ufrag}\r\na=fingerprint:{fingerprint}\r\na=setup:{setup}\r\n\
         a=sctp-port:5000\r\na=max-message-size:16384\r\n\
         a=candidate:1 1 udp 1 {} {} typ host\r\na=end-of-candidates\r\n",
        server.ip(),
        server.port()
    )
}

fn steps(play: &mut Play, rest: &mut &[u8], count: usize) {
    for _ in 0..count {
        let Some(([what, from, len], after)) = rest.split_first_chunk().map(|(head, after)| (*head, after))
        else {
            return;
        };
        let (bytes, after) = after.split_at(usize::from(len).min(after.len()));
        *rest = after;
        play.step(what, from, bytes);
    }
}

fuzz_target!(|data: &[u8]| {
    let cost = oracle::Oracle::new();
    let mut play = Play::new();
    let mut rest = data;
    steps(&mut play, &mut rest, 32);
    let (honest, channel) = play.connect(HONEST);
    steps(&mut play, &mut rest, 16);
    play.run(Duration::from_secs(15));
    let now = play.now;
    play.clients[HONEST].with(honest.here, |session| {
        session
            .send_message(now, channel, MessageKind::Binary, Bytes::from_static(b"still there"))
            .expect("the honest pair is connected");
    });
    steps(&mut play, &mut rest, 16);
    play.run(Duration::from_secs(15));
    assert!(play.echoed.iter().any(|message| message == "still there"), "the honest pair was cut off");
    for client in &mut play.clients {
        client.drain().count();
    }
    play.server.drain().count();
    assert_eq!(play.server.poll_timeout(), None);
    cost.assert_live(32 << 20);
    cost.assert_work(data.len());
});
