//! Sessions by way of a TURN server, on endpoints.

use kaon_rtc::datachannel::ChannelEvent;
use kaon_rtc::ice::{TransportPolicy, TurnServer as Server};
use kaon_rtc::layer::{
    CandidateKind, IceCandidateError, StreamReport, StreamRequest, Transmit, TransmitBatch,
};
use kaon_rtc::session::{FailureReason, Stats};

use super::*;
use crate::seeds::seeds;
use crate::turn_server::{PASSWORD, TurnServer, USER};

const RELAY: &str = "192.0.2.50:3478";
const HERE: &str = "10.0.0.1:5000";
const LONG: Duration = Duration::from_secs(60);

#[derive(Debug)]
enum Node {
    /// Whether sockets are opened that it asks for.
    Endpoint(Box<Endpoint<Session>>, bool),
    Relay(Box<TurnServer>),
}

impl Layer for Node {
    type Event = EndpointEvent;
    type Error = ();

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), ()> {
        match self {
            Self::Endpoint(endpoint, _) => endpoint.handle_datagram(now, datagram).map_err(drop),
            Self::Relay(server) => {
                server.handle_datagram(now, datagram);
                Ok(())
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Self::Endpoint(endpoint, _) = self {
            endpoint.handle_timeout(now);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Endpoint(endpoint, _) => endpoint.poll_timeout(),
            Self::Relay(_) => None,
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        match self {
            Self::Endpoint(endpoint, _) => endpoint.poll_transmit(now, out),
            Self::Relay(server) => server.poll_transmit(out),
        }
    }

    fn poll_event(&mut self) -> Option<EndpointEvent> {
        match self {
            Self::Endpoint(endpoint, _) => endpoint.poll_event(),
            Self::Relay(_) => None,
        }
    }

    fn poll_stream(&mut self) -> Option<StreamRequest> {
        match self {
            Self::Endpoint(endpoint, true) => endpoint.poll_stream(),
            Self::Endpoint(_, false) | Self::Relay(_) => None,
        }
    }

    fn handle_stream(&mut self, now: Instant, report: StreamReport) {
        if let Self::Endpoint(endpoint, _) = self {
            endpoint.handle_stream(now, report);
        }
    }
}

/// An endpoint whose sessions want a relay and nothing else, and plain ones.
struct Relayed {
    simulation: Simulation<Node>,
    relay: HostId,
    here: HostId,
    next: u64,
    seed: u64,
    errors: Vec<(SessionId, IceCandidateError)>,
    states: HashMap<SessionId, (ConnectionState, Option<FailureReason>)>,
    messages: HashMap<SessionId, Vec<Bytes>>,
}

impl Relayed {
    fn new(seed: u64, link: Link) -> Self {
        let mut network = Network::new(seed, Instant::now());
        network.set_default_link(link);
        let mut simulation = Simulation::new(network).with_max_datagram(1228);
        let address: SocketAddr = RELAY.parse().unwrap();
        let relay = simulation.network().add_host([address.ip()]);
        let provider = crypto::provider().with_random(Arc::new(SeededRandom::new(seed ^ 0xface)));
        simulation.add_layer(relay, Node::Relay(Box::new(TurnServer::new(provider, address))));
        let here = simulation.network().add_host([HERE.parse::<SocketAddr>().unwrap().ip()]);
        simulation.add_layer(here, Node::Endpoint(Box::default(), true));
        Self {
            simulation,
            relay,
            here,
            next: 0,
            seed,
            errors: Vec::new(),
            states: HashMap::new(),
            messages: HashMap::new(),
        }
    }

    fn endpoint(&mut self, host: HostId) -> &mut Endpoint<Session> {
        match self.simulation.layer_mut(host) {
            Node::Endpoint(endpoint, _) => endpoint,
            Node::Relay(_) => unreachable!(),
        }
    }

    fn relay(&mut self) -> &mut TurnServer {
        match self.simulation.layer_mut(self.relay) {
            Node::Relay(server) => server,
            Node::Endpoint(..) => unreachable!(),
        }
    }

    fn with<T>(&mut self, host: HostId, id: SessionId, act: impl FnOnce(&mut Session) -> T) -> T {
        self.endpoint(host).with(id, act).unwrap()
    }

    fn add(&mut self, host: HostId, address: &str, relays: bool) -> SessionId {
        self.next += 1;
        let now = self.simulation.now();
        let random = Arc::new(SeededRandom::new(self.seed.wrapping_mul(1000) + self.next));
        let mut config = SessionConfig::generate(crypto::provider().with_random(random)).unwrap();
        if relays {
            config.transports.change_ice(|ice| {
                ice.turn_servers = vec![Server::new(RELAY.parse().unwrap(), USER, PASSWORD)];
                ice.transport_policy = TransportPolicy::Relay;
            });
        }
        let mut session = Session::new(now, config);
        session.add_host_address(now, address.parse().unwrap()).unwrap();
        session.end_of_host_addresses(now);
        let id = SessionId::new(self.next);
        self.endpoint(host).insert(id, session);
        id
    }

    /// One session behind the relay and a plain one that know each other's description and candidates.
    fn connect(&mut self, there: &str) -> (SessionId, HostId, SessionId) {
        let host = self.simulation.network().add_host([there.parse::<SocketAddr>().unwrap().ip()]);
        self.simulation.add_layer(host, Node::Endpoint(Box::default(), true));
        let (one, other) = (self.add(self.here, HERE, true), self.add(host, there, false));
        let now = self.simulation.now();
        let offer = self.with(self.here, one, |session| {
            session.create_data_channel(now, ChannelInit::new("chat")).unwrap();
            session.set_local_description(now, None).unwrap();
            session.local_description().unwrap().text()
        });
        let answer = self.with(host, other, |session| {
            session.set_remote_description(now, &Description::offer(&offer).unwrap()).unwrap();
            session.set_local_description(now, None).unwrap();
            session.local_description().unwrap().text()
        });
        self.with(self.here, one, |session| {
            session.set_remote_description(now, &Description::answer(&answer).unwrap()).unwrap();
        });
        (one, host, other)
    }

    /// Runs until `done`, with candidates of one that reach the other at once.
    fn run(&mut self, ends: [(HostId, SessionId); 2], mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let deadline = self.simulation.now() + LONG;
        while self.simulation.now() < deadline {
            for (at, (host, _)) in ends.into_iter().enumerate() {
                let (other_host, other) = ends[1 - at];
                while let Some(event) = self.endpoint(host).poll_event() {
                    let EndpointEvent::Session { id, event } = event else { continue };
                    let now = self.simulation.now();
                    match event {
                        SessionEvent::IceCandidate(candidate) if id == ends[at].1 => {
                            self.with(other_host, other, |session| {
                                session.add_ice_candidate(now, &candidate).unwrap();
                            });
                        }
                        SessionEvent::IceCandidateError(error) => self.errors.push((id, *error)),
                        SessionEvent::ConnectionState { state, reason } => {
                            self.states.insert(id, (state, reason));
                        }
                        SessionEvent::DataChannel(ChannelEvent::Readable(channel)) => {
                            let received = self.with(host, id, |session| {
                                std::iter::from_fn(|| session.receive_message(channel))
                                    .map(|message| message.data)
                                    .collect::<Vec<_>>()
                            });
                            self.messages.entry(id).or_default().extend(received);
                        }
                        _ => {}
                    }
                }
            }
            if done(self) {
                return true;
            }
            self.simulation.run_for(Duration::from_millis(2));
        }
        false
    }

    fn is(&self, id: SessionId, state: ConnectionState) -> bool {
        self.states.get(&id).is_some_and(|(is, _)| *is == state)
    }
}

#[test]
fn a_session_runs_by_way_of_a_turn_server() {
    for seed in seeds(20) {
        let loss = if seed % 2 == 0 { 0.0 } else { 0.03 };
        let link = Link { delay: Duration::from_millis(10), loss, ..Link::default() };
        let mut world = Relayed::new(seed, link);
        let (one, host, other) = world.connect("10.1.0.2:6000");
        let (here, ends) = (world.here, [(world.here, one), (host, other)]);
        let connected = world.run(ends, |world| {
            [one, other].iter().all(|id| world.is(*id, ConnectionState::Connected))
                && world.with(host, other, |session| session.channels().count() > 0)
        });
        assert!(connected, "seed {seed}: {:?}", world.states);
        let sent: Vec<Bytes> = (1..20u8).map(|byte| vec![byte; usize::from(byte) * 2001].into()).collect();
        for (at, id) in ends {
            for message in &sent {
                let now = world.simulation.now();
                let message = message.clone();
                world.with(at, id, |session| {
                    let channel = session.channels().next().unwrap();
                    session.send_message(now, channel, MessageKind::Binary, message).unwrap();
                });
            }
        }
        let arrived =
            world.run(ends, |world| [one, other].iter().all(|id| world.messages.get(id) == Some(&sent)));
        assert!(arrived, "seed {seed}");
        let now = world.simulation.now();
        let (pair, report) = world.with(here, one, |session| {
            (session.selected_pair().unwrap().clone(), session.stats(now).iter().cloned().collect::<Vec<_>>())
        });
        assert_eq!(pair.local.kind, CandidateKind::Relayed);
        let local = report.iter().find_map(|entry| match entry {
            Stats::LocalCandidate(candidate) => Some(candidate.clone()),
            _ => None,
        });
        let local = local.unwrap();
        assert_eq!(local.url.as_deref(), Some("turn:192.0.2.50:3478?transport=udp"));
        assert_eq!(local.relay_protocol, Some(kaon_rtc::layer::RelayProtocol::Udp));
        assert!(world.relay().by_channel > 60, "data has four bytes of head");

        world.with(here, one, |session| session.close(now));
        assert!(world.run(ends, |world| world.is(other, ConnectionState::Closed)), "seed {seed}");
        if loss == 0.0 {
            assert_eq!(world.relay().allocations(), 0, "it was given back");
        }
    }
}

/// RFC 8656 §7.2: who finds the five-tuple taken has a socket of its own, and that is closed with the session.
#[test]
fn sessions_on_one_socket_have_a_relay_each() {
    for seed in seeds(10) {
        let loss = if seed % 2 == 0 { 0.0 } else { 0.03 };
        let mut world =
            Relayed::new(seed, Link { delay: Duration::from_millis(10), loss, ..Link::default() });
        let here = world.here;
        let mut ends = Vec::new();
        for at in 0..4 {
            let (one, host, other) = world.connect(&format!("10.1.0.{}:6000", at + 2));
            let pair = [(here, one), (host, other)];
            assert!(world.run(pair, |world| world.is(one, ConnectionState::Connected)), "seed {seed}");
            ends.push(pair);
        }
        assert!(world.errors.is_empty(), "seed {seed}: {:?}", world.errors);
        assert_eq!(world.relay().allocations(), 4, "seed {seed}");
        assert_eq!(world.simulation.streams(here), 3, "the first has the socket of all");
        for pair in ends {
            world.run(pair, |_| false);
            let [(_, one), (_, other)] = pair;
            assert!([one, other].iter().all(|id| world.is(*id, ConnectionState::Connected)), "seed {seed}");
            let now = world.simulation.now();
            world.with(here, one, |session| session.close(now));
            assert!(world.run(pair, |world| world.is(other, ConnectionState::Closed)), "seed {seed}");
        }
        assert_eq!(world.simulation.streams(here), 0, "seed {seed}");
        if loss == 0.0 {
            assert_eq!(world.relay().allocations(), 0, "seed {seed}");
        }
    }
}

/// Where nobody opens sockets one session has the relay, and the others say so; when it is gone, its place is free.
#[test]
fn of_two_sessions_on_one_socket_that_stays_alone_one_has_the_relay() {
    let mut world = Relayed::new(1, Link { delay: Duration::from_millis(10), ..Link::default() });
    let here = world.here;
    if let Node::Endpoint(_, opens) = world.simulation.layer_mut(here) {
        *opens = false;
    }
    let (one, host, other) = world.connect("10.1.0.2:6000");
    let first = [(here, one), (host, other)];
    assert!(world.run(first, |world| world.is(one, ConnectionState::Connected)));

    let (late, far, its_peer) = world.connect("10.1.0.3:7000");
    let second = [(here, late), (far, its_peer)];
    assert!(world.run(second, |world| world.is(late, ConnectionState::Failed)));
    let [(id, error)] = &world.errors[..] else { panic!("{:?}", world.errors) };
    assert_eq!((*id, error.error_code), (late, 437));
    assert!(error.error_text.contains("socket of its own"), "{error:?}");
    let reason = world.states[&late].1.clone().unwrap().to_string();
    assert!(reason.contains(RELAY) && reason.contains("socket of its own"), "{reason}");

    let before = world.relay().by_channel;
    world.run(first, |_| false);
    assert!(world.is(one, ConnectionState::Connected) && world.relay().by_channel > before);
    let now = world.simulation.now();
    world.with(here, one, |session| session.close(now));
    assert!(world.run(first, |world| world.is(other, ConnectionState::Closed)));
    let (again, far, its_peer) = world.connect("10.1.0.4:7000");
    assert!(world.run([(here, again), (far, its_peer)], |world| world.is(again, ConnectionState::Connected)));
}
