use kaon_rtc::datachannel::ChannelId;
use kaon_rtc::endpoint::IncomingLimits;
use kaon_rtc::layer::{FingerprintAlgorithm, IceCredentials, StreamId, TransmitBatch};
use kaon_rtc::stun::{Class, IntegrityKey, MessageBuilder, Method, TransactionId};

use super::*;
use crate::seeds::seeds;

/// WebRTC-direct of libp2p: the client has the server's address and fingerprint, chooses the credentials of both sides, and
/// there is no signalling. Each side makes the description of the other.
mod webrtc_direct {
    use super::*;

    pub(super) fn credentials(random: u64) -> IceCredentials {
        let ufrag = format!("libp2p+webrtc+v1/{random:032x}");
        IceCredentials::new(&*ufrag, &*ufrag).unwrap()
    }

    /// The description of the server as the client makes it.
    pub(super) fn server(address: SocketAddr, ufrag: &str, fingerprint: &Fingerprint) -> Description {
        let candidate = format!("a=candidate:1 1 UDP 1 {} {} typ host\r\n", address.ip(), address.port());
        let text = text(ufrag, fingerprint, "passive", "a=ice-lite\r\n", &candidate);
        Description::answer(&text).unwrap()
    }

    /// The description of the client as the server makes it: the fingerprint is any.
    pub(super) fn client(ufrag: &str) -> Description {
        let unknown = Fingerprint::new(FingerprintAlgorithm::Sha256, &[0xff; 32]).unwrap();
        Description::offer(&text(ufrag, &unknown, "active", "", "")).unwrap()
    }

    fn text(ufrag: &str, fingerprint: &Fingerprint, setup: &str, session: &str, candidate: &str) -> String {
        format!(
            "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n{session}\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n\
             a=ice-options:ice2\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{ufrag}\r\na=fingerprint:{fingerprint}\r\n\
             a=setup:{setup}\r\na=sctp-port:5000\r\na=max-message-size:16384\r\n{candidate}\
             a=end-of-candidates\r\n"
        )
    }
}

/// The channel of the Noise handshake: stream 0 on both sides, and nothing is told of it.
fn noise() -> ChannelInit {
    let mut init = ChannelInit::new("");
    init.negotiated = Some(StreamId(0));
    init
}

struct Direct {
    world: World,
    /// Of the server, and of each client that was let in.
    config: SessionConfig,
    accepted: Vec<(SessionId, ChannelId)>,
}

impl Direct {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        let server = world.server;
        world.simulation.layer_mut(server).set_incoming(Some(IncomingLimits::default()));
        let random = Arc::new(SeededRandom::new(seed + 1_000_000));
        let mut config = SessionConfig::generate(crypto::provider().with_random(random)).unwrap();
        config.transports.dangerously_accept_any_certificate();
        Self { world, config, accepted: Vec::new() }
    }

    /// A client that dials, the name of its session, its channel, and its fingerprint.
    fn dial(&mut self, number: u64) -> (HostId, SessionId, ChannelId, Fingerprint) {
        let world = &mut self.world;
        let address: SocketAddr = format!("10.0.1.{number}:4000").parse().unwrap();
        let host = world.add_client(&address.ip().to_string());
        let now = world.simulation.now();
        let random = Arc::new(SeededRandom::new(world.seed.wrapping_mul(1000) + number));
        let config = SessionConfig::generate(crypto::provider().with_random(random)).unwrap();
        let fingerprint = config.transports.fingerprints[0].clone();
        let credentials = webrtc_direct::credentials(world.seed * 1000 + number);
        let ufrag = credentials.ufrag().to_owned();
        let mut session = Session::with_ice_credentials(now, config, credentials).unwrap();
        session.add_host_address(now, address).unwrap();
        session.end_of_host_addresses(now);
        let channel = session.create_data_channel(now, noise()).unwrap();
        session.set_local_description(now, None).unwrap();
        let server =
            webrtc_direct::server(SERVER.parse().unwrap(), &ufrag, &self.config.transports.fingerprints[0]);
        session.set_remote_description(now, &server).unwrap();
        let id = SessionId::new(number);
        world.simulation.layer_mut(host).insert(id, session);
        (host, id, channel, fingerprint)
    }

    /// What the server does with each stranger.
    fn accept_all(&mut self) {
        let server = self.world.server;
        for incoming in std::mem::take(&mut self.world.strangers) {
            let now = self.world.simulation.now();
            if !incoming.ufrag.starts_with("libp2p+webrtc+v1/") || incoming.ufrag != incoming.remote_ufrag {
                continue;
            }
            let Ok(credentials) = IceCredentials::new(&*incoming.ufrag, &*incoming.ufrag) else { continue };
            let mut session = Session::with_ice_credentials(now, self.config.clone(), credentials).unwrap();
            session.add_host_address(now, incoming.path.local).unwrap();
            session.end_of_host_addresses(now);
            let channel = session.create_data_channel(now, noise()).unwrap();
            session.set_remote_description(now, &webrtc_direct::client(&incoming.ufrag)).unwrap();
            session.set_local_description(now, None).unwrap();
            self.world.next_id += 1;
            let id = SessionId::new(1000 + self.world.next_id);
            if self.world.simulation.layer_mut(server).accept(now, id, session, incoming).is_ok() {
                self.accepted.push((id, channel));
            }
        }
    }

    fn run(&mut self, time: Duration, hosts: &[HostId]) {
        let end = self.world.simulation.now() + time;
        while self.world.simulation.now() < end {
            self.world.simulation.run_for(Duration::from_millis(1));
            self.world.drain(hosts);
            self.accept_all();
        }
    }
}

/// The server makes a session on the first check, tells the application whose certificate it is before it is connected, and
/// both exchange data on the channel that they know of.
#[test]
fn a_server_makes_its_session_on_the_first_check() {
    for seed in seeds(20) {
        let mut direct = Direct::new(seed);
        let link = Link { delay: Duration::from_millis(10), loss: 0.05, ..Link::default() };
        direct.world.simulation.network().set_default_link(link);
        let server = direct.world.server;
        let clients: Vec<_> = (1..=5).map(|number| direct.dial(number)).collect();
        let mut hosts: Vec<_> = clients.iter().map(|client| client.0).collect();
        hosts.push(server);
        direct.run(Duration::from_secs(5), &hosts);
        assert_eq!(direct.accepted.len(), clients.len(), "seed {seed}");
        for (number, (host, id, channel, fingerprint)) in (1u8..).zip(&clients) {
            let state = direct.world.states.get(&(*host, *id));
            assert_eq!(state, Some(&ConnectionState::Connected), "seed {seed}");
            // The client has verified the server, as ever.
            let expected = &direct.config.transports.fingerprints[0];
            let told =
                direct.world.with(*host, *id, |session| session.peer_fingerprint(expected.algorithm()));
            assert_eq!(told.as_ref(), Some(expected));
            let known = direct.world.unverified.iter().find(|(_, told)| told == fingerprint);
            let there = known.expect("the server is told whose certificate it is").0;
            let now = direct.world.simulation.now();
            direct.world.with(*host, *id, |session| {
                session.send_message(now, *channel, MessageKind::Binary, vec![number; 3].into()).unwrap();
            });
            direct.run(Duration::from_secs(2), &hosts);
            let (_, channel) = *direct.accepted.iter().find(|(id, _)| *id == there).unwrap();
            let message = direct.world.with(server, there, |session| session.receive_message(channel));
            assert_eq!(message.unwrap().data, vec![number; 3], "seed {seed}");
        }
        // Clients had verified the server by the fingerprint that they know.
        assert_eq!(direct.world.unverified.len(), clients.len());
    }
}

/// Nothing is told of strangers unless the application has asked for it.
#[test]
fn strangers_are_ignored_at_first() {
    let mut direct = Direct::new(1);
    let server = direct.world.server;
    direct.world.simulation.layer_mut(server).set_incoming(None);
    let (host, ..) = direct.dial(1);
    direct.run(Duration::from_secs(2), &[server, host]);
    assert!(direct.world.strangers.is_empty() && direct.accepted.is_empty());
}

/// Whoever guesses a fragment and not the password leaves no session behind, and a flood of strangers hides nobody who
/// keeps asking.
#[test]
fn strangers_who_flood_keep_nobody_out() {
    let mut direct = Direct::new(2);
    let server = direct.world.server;
    let random = SeededRandom::new(9);
    let honest = direct.dial(1);
    let hosts = [server, honest.0];
    for number in 0..20_000u32 {
        if number % 200 == 0 {
            direct.run(Duration::from_millis(10), &hosts);
        }
        let now = direct.world.simulation.now();
        let mut check =
            check(&format!("libp2p+webrtc+v1/{number:032}"), "a wrong password of a stranger", &random);
        let remote: SocketAddr =
            ([10, 7, (number >> 8) as u8, number as u8], 1 + number as u16 % 1000).into();
        let path = FiveTuple::udp(SERVER.parse().unwrap(), remote);
        let endpoint = direct.world.simulation.layer_mut(server);
        let counts = endpoint.handle_datagrams(now, [Datagram::new(path, &mut check)]);
        assert_eq!(counts.unknown, 1);
        assert!(endpoint.len() <= 1, "{}", endpoint.len());
    }
    direct.run(Duration::from_secs(2), &hosts);
    assert_eq!(direct.world.states.get(&(honest.0, honest.1)), Some(&ConnectionState::Connected));
    assert_eq!(direct.accepted.len(), 1);
    assert!(direct.world.in_use.is_empty());
}

fn check(ufrag: &str, password: &str, random: &SeededRandom) -> Vec<u8> {
    let key = IntegrityKey::short_term(&crypto::provider(), password);
    let mut datagram = Vec::new();
    MessageBuilder::new(&mut datagram, Class::Request, Method::BINDING, TransactionId::random(random))
        .username(&format!("{ufrag}:{ufrag}"))
        .integrity(&key)
        .fingerprint()
        .finish()
        .unwrap();
    datagram
}

/// A check from an address that its sender has made up, for which a session is made: what goes there before the session gives
/// up, as the documentation of `accept` says.
#[test]
fn who_is_not_there_is_asked_a_few_times() {
    let mut direct = Direct::new(77);
    let server = direct.world.server;
    let credentials = webrtc_direct::credentials(5);
    let key = IntegrityKey::short_term(&crypto::provider(), credentials.password());
    let mut check = Vec::new();
    let transaction = TransactionId::random(&SeededRandom::new(9));
    MessageBuilder::new(&mut check, Class::Request, Method::BINDING, transaction)
        .ice_username(credentials.ufrag(), credentials.ufrag())
        .priority(1)
        .integrity(&key)
        .fingerprint()
        .finish()
        .unwrap();
    let path = FiveTuple::udp(SERVER.parse().unwrap(), "203.0.113.7:7".parse().unwrap());
    let start = direct.world.simulation.now();
    let mut endpoint = std::mem::take(direct.world.simulation.layer_mut(server));
    // Told of as a stranger, who sends nothing more.
    let size = check.len();
    assert!(endpoint.handle_datagram(start, Datagram::new(path, &mut check)).is_err());
    *direct.world.simulation.layer_mut(server) = endpoint;
    direct.world.drain(&[server]);
    direct.accept_all();
    assert_eq!(direct.accepted.len(), 1);

    let endpoint = direct.world.simulation.layer_mut(server);
    let mut batch = TransmitBatch::new(1228);
    let (mut now, mut datagrams, mut bytes, mut failed) = (start, 0, 0, None);
    while now < start + Duration::from_secs(120) {
        endpoint.handle_timeout(now);
        while let Some(transmit) = endpoint.poll_transmit(now, &mut batch) {
            assert_eq!(transmit.path, Some(path));
            datagrams += batch.datagrams(&transmit).count();
            bytes += transmit.len();
            batch.clear();
        }
        while let Some(event) = endpoint.poll_event() {
            if let EndpointEvent::Session {
                event: SessionEvent::ConnectionState { state: ConnectionState::Failed, .. },
                ..
            } = event
            {
                failed = Some(now - start);
            }
        }
        now += Duration::from_millis(10);
    }
    assert!(failed.is_some_and(|failed| failed <= Duration::from_secs(40)), "{failed:?}");
    assert!(datagrams <= 8 && bytes <= 8 * size, "{datagrams} datagrams, {bytes} bytes for {size}");
}
