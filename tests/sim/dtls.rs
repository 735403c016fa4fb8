use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use kaon_rtc::crypto::SeededRandom;
use kaon_rtc::dtls::{
    Config, Connection, DtlsError, DtlsEvent, DtlsTransport, FingerprintAlgorithm, Identity, PeerVerification,
};
use kaon_rtc::layer::{Datagram, Layer, Transmit, TransmitBatch};
use kaon_rtc::sim::{HostId, Link, Network, Simulation};

#[cfg(feature = "aws-lc-rs")]
use kaon_rtc::crypto::aws_lc_rs::provider;
#[cfg(not(feature = "aws-lc-rs"))]
use kaon_rtc::crypto::rust_crypto::provider;

use crate::seeds::seeds;

/// Seeds of each test with chance in it.
const SEEDS: u64 = 2400;

static IDENTITIES: LazyLock<[Identity; 2]> =
    LazyLock::new(|| [(); 2].map(|()| Identity::generate(&provider()).unwrap()));

fn config(seed: u64, own: usize) -> Config {
    let provider = provider().with_random(Arc::new(SeededRandom::new(seed)));
    Config::new(provider, IDENTITIES[own].clone())
}

fn expect(peer: usize) -> PeerVerification {
    PeerVerification::Fingerprints(vec![IDENTITIES[peer].fingerprint(FingerprintAlgorithm::Sha256).clone()])
}

fn client(config: Config) -> Connection {
    Connection::client(Arc::new(config), expect(1)).unwrap()
}

fn server(config: Config) -> Connection {
    Connection::server(Arc::new(config), expect(0)).unwrap()
}

fn addresses() -> (SocketAddr, SocketAddr) {
    ("10.0.0.1:1000".parse().unwrap(), "10.0.0.2:2000".parse().unwrap())
}

struct Chance(SeededRandom);

impl Chance {
    fn up_to(&self, limit: f64) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * limit
    }

    fn link(&self) -> Link {
        Link {
            delay: Duration::from_secs_f64(self.up_to(0.3)),
            jitter: Duration::from_secs_f64(self.up_to(0.05)),
            loss: self.up_to(0.3),
            reordering: self.up_to(0.3),
            reordering_delay: Duration::from_secs_f64(self.up_to(0.5)),
            duplication: self.up_to(0.3),
            ..Link::default()
        }
    }
}

/// What a connection sends and receives on top of its handshake: a message again and again, until the
/// other's has come.
struct Talker {
    connection: Connection,
    say: &'static [u8],
    heard: bool,
    next: Option<Instant>,
    failed: Option<DtlsError>,
    connected: u32,
}

const INTERVAL: Duration = Duration::from_millis(100);

impl Talker {
    fn new(connection: Connection, say: &'static [u8]) -> Self {
        Self { connection, say, heard: false, next: None, failed: None, connected: 0 }
    }

    fn exported(&self) -> [u8; 32] {
        let mut out = [0; 32];
        self.connection.export_keying_material("EXPORTER-test", None, &mut out).unwrap();
        out
    }
}

impl Layer for Talker {
    type Event = DtlsEvent;
    type Error = DtlsError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), DtlsError> {
        let result = self.connection.handle_datagram(now, datagram);
        while let Some(event) = self.connection.poll_event() {
            match event {
                DtlsEvent::Connected { .. } => {
                    self.connected += 1;
                    self.next = Some(now);
                }
                DtlsEvent::ApplicationData(data) => {
                    assert!(data == "ping" || data == "pong", "{data:?}");
                    self.heard = true;
                }
                DtlsEvent::Failed(error) => self.failed = Some(error),
                other => panic!("{other:?}"),
            }
        }
        result
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.connection.handle_timeout(now);
        if let Some(DtlsEvent::Failed(error)) = self.connection.poll_event() {
            self.failed = Some(error);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.connection.poll_timeout().into_iter().chain(self.next).min()
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        if let Some(transmit) = self.connection.poll_transmit(now, out) {
            return Some(transmit);
        }
        if self.next.is_none_or(|next| next > now) {
            return None;
        }
        self.next = Some(now + INTERVAL);
        let mut segments = out.segments(None, None);
        self.connection.seal(self.say, segments.datagram()).ok()?;
        segments.end_datagram();
        segments.finish()
    }

    fn poll_event(&mut self) -> Option<DtlsEvent> {
        None
    }
}

fn simulation(seed: u64, link: Link) -> Simulation<Talker> {
    let mut network = Network::new(seed, Instant::now());
    network.set_default_link(link);
    Simulation::new(network)
}

fn add(
    simulation: Simulation<Talker>,
    client: Connection,
    server: Connection,
) -> (Simulation<Talker>, HostId, HostId) {
    let mut simulation = simulation;
    let (a, b) = addresses();
    let client = simulation.add_peer(a, b, Talker::new(client, b"ping"));
    let server = simulation.add_peer(b, a, Talker::new(server, b"pong"));
    (simulation, client, server)
}

fn assert_talked(simulation: &Simulation<Talker>, client: HostId, server: HostId, context: &str) {
    let (client, server) = (simulation.layer(client), simulation.layer(server));
    assert!(
        client.heard && server.heard,
        "{context}: {:?} {:?} after {:?}\n{:?}\n{:?}",
        client.failed,
        server.failed,
        simulation.elapsed(),
        client.connection.stats(),
        server.connection.stats(),
    );
    assert_eq!((client.connected, server.connected), (1, 1), "{context}");
    assert_eq!(client.exported(), server.exported(), "{context}");
    let keys = |talker: &Talker| talker.connection.srtp_keying_material().unwrap();
    assert_eq!(keys(client), keys(server), "{context}");
}

/// Loss of 0 to 30 %, reordering, duplication and 0 to 300 ms of delay, with and without cookies, with
/// datagrams of many sizes.
#[test]
fn handshakes_survive_the_network() {
    let mut slowest = Duration::ZERO;
    for seed in seeds(SEEDS) {
        let chance = Chance(SeededRandom::new(seed));
        let link = chance.link();
        let (client_config, mut server_config) = (config(seed, 0), config(seed + SEEDS, 1));
        server_config.cookie_exchange = seed % 3 == 0;
        let max_datagram = [1200, 500, 200, 100][seed as usize % 4];
        let simulation = simulation(seed, link).with_max_datagram(max_datagram);
        let (mut simulation, client, server) = add(simulation, client(client_config), server(server_config));
        simulation.run_until(Duration::from_secs(90), |s| s.layer(client).heard && s.layer(server).heard);
        assert_talked(&simulation, client, server, &format!("seed {seed}"));
        slowest = slowest.max(simulation.elapsed());
    }
    println!("{SEEDS} seeds, the slowest took {slowest:?}");
}

/// RFC 6347 §4.1.1.1: what is not answered may have been too large for the path.
#[test]
fn a_path_of_small_datagrams_is_found_out() {
    for (seed, max_datagram) in [(1, 1000), (2, 600), (3, 512)] {
        let link = Link { max_datagram, delay: Duration::from_millis(20), ..Link::default() };
        let mut server_config = config(seed + SEEDS, 1);
        server_config.cookie_exchange = seed == 2;
        let (mut simulation, client, server) =
            add(simulation(seed, link), client(config(seed, 0)), server(server_config));
        simulation.run_until(Duration::from_secs(20), |s| s.layer(client).heard && s.layer(server).heard);
        assert_talked(&simulation, client, server, &format!("datagrams of {max_datagram}"));
        // Three timeouts for each of the two large flights.
        assert!(simulation.elapsed() < Duration::from_secs(5), "{:?}", simulation.elapsed());
    }
}

/// One bit of some datagrams is flipped. Before there are keys nothing tells such a message from a true one,
/// so that a handshake may fail; but never do the sides disagree, and never does changed data come through.
#[test]
fn corruption_is_never_believed() {
    let mut connected = 0;
    for seed in seeds(SEEDS) {
        let chance = Chance(SeededRandom::new(seed));
        let link = Link { corruption: chance.up_to(0.3), loss: 0.0, ..chance.link() };
        let simulation = simulation(seed, link);
        let (mut simulation, client, server) =
            add(simulation, client(config(seed, 0)), server(config(seed + SEEDS, 1)));
        let done = |talker: &Talker| talker.heard || talker.failed.is_some();
        simulation.run_until(Duration::from_secs(90), |s| done(s.layer(client)) && done(s.layer(server)));
        if simulation.layer(client).heard && simulation.layer(server).heard {
            assert_talked(&simulation, client, server, &format!("seed {seed}"));
            connected += 1;
        }
    }
    assert!(connected > SEEDS / 2, "{connected} of {SEEDS}");
}

/// Once the connection stands, corruption is loss.
#[test]
fn corruption_after_the_handshake_is_loss() {
    for seed in seeds(100) {
        let (mut simulation, client, server) =
            add(simulation(seed, Link::default()), client(config(seed, 0)), server(config(seed + 1000, 1)));
        let hosts = [client, server];
        simulation.run_until(Duration::from_secs(1), |s| hosts.iter().all(|h| s.layer(*h).heard));
        simulation.network().set_default_link(Link { corruption: 0.5, ..Link::default() });
        simulation.run_for(Duration::from_secs(10));
        for host in hosts {
            simulation.layer_mut(host).heard = false;
        }
        simulation.run_until(Duration::from_secs(10), |s| hosts.iter().all(|h| s.layer(*h).heard));
        assert_talked(&simulation, client, server, &format!("seed {seed}"));
        let ignored: u64 = hosts.iter().map(|h| simulation.layer(*h).connection.stats().ignored()).sum();
        assert!(ignored > 50);
    }
}

/// What happens to one datagram on its way to a peer.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Lost,
    Twice,
    Late,
}

/// A peer that one datagram, counted from 0, does not reach as it was sent.
struct Fated {
    talker: Talker,
    fate: Fate,
    which: usize,
    count: usize,
    held: Option<(Instant, Vec<u8>)>,
}

impl Layer for Fated {
    type Event = DtlsEvent;
    type Error = DtlsError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), DtlsError> {
        let index = self.count;
        self.count += 1;
        if index == self.which {
            match self.fate {
                Fate::Lost => return Ok(()),
                Fate::Twice => {
                    let mut copy = datagram.bytes.to_vec();
                    self.talker.handle_datagram(now, Datagram::new(datagram.path, &mut copy)).ok();
                }
                Fate::Late => {
                    // After the flight was sent again, and that answered.
                    self.held = Some((now + Duration::from_millis(700), datagram.bytes.to_vec()));
                    return Ok(());
                }
            }
        }
        self.talker.handle_datagram(now, datagram)
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.held.as_ref().is_some_and(|(due, _)| *due <= now) {
            let (_, mut bytes) = self.held.take().unwrap();
            let (a, b) = addresses();
            let path = kaon_rtc::layer::FiveTuple::udp(a, b);
            self.talker.handle_datagram(now, Datagram::new(path, &mut bytes)).ok();
        }
        self.talker.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.talker.poll_timeout().into_iter().chain(self.held.as_ref().map(|held| held.0)).min()
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        self.talker.poll_transmit(now, out)
    }

    fn poll_event(&mut self) -> Option<DtlsEvent> {
        None
    }
}

/// Each datagram of each flight is dropped once, duplicated once and delivered late, on the way to either
/// role; in full datagrams, and in ones so small that every message is fragmented.
#[test]
fn each_datagram_may_be_lost_doubled_or_late() {
    let mut cases = 0;
    for max_datagram in [1200, 110] {
        for cookie_exchange in [false, true] {
            for to_client in [false, true] {
                for fate in [Fate::Lost, Fate::Twice, Fate::Late] {
                    // Until a run in which the datagram was none of the handshake's.
                    for which in 0.. {
                        cases += 1;
                        let (reached, context) =
                            meddle(max_datagram, cookie_exchange, to_client, fate, which);
                        if !reached {
                            assert!(which >= 2, "{context}");
                            break;
                        }
                    }
                }
            }
        }
    }
    println!("{cases} cases");
    assert!(cases > 200);
}

/// Whether the datagram was sent before the handshake was complete.
fn meddle(
    max_datagram: usize,
    cookie_exchange: bool,
    to_client: bool,
    fate: Fate,
    which: usize,
) -> (bool, String) {
    let context = format!(
        "datagram {which} to the {}: {fate:?}, {max_datagram} bytes, cookie {cookie_exchange}",
        if to_client { "client" } else { "server" },
    );
    let mut server_config = config(1, 1);
    server_config.cookie_exchange = cookie_exchange;
    let never = usize::MAX;
    let fated = |connection, say, mine: bool| Fated {
        talker: Talker::new(connection, say),
        fate,
        which: if mine { which } else { never },
        count: 0,
        held: None,
    };
    let mut network = Network::new(1, Instant::now());
    network.set_default_link(Link { delay: Duration::from_millis(20), ..Link::default() });
    let mut simulation = Simulation::new(network).with_max_datagram(max_datagram);
    let (a, b) = addresses();
    let client = simulation.add_peer(a, b, fated(client(config(0, 0)), b"ping", to_client));
    let server = simulation.add_peer(b, a, fated(server(server_config), b"pong", !to_client));
    let mut reached = None;
    let finished = simulation.run_until(Duration::from_secs(5), |s| {
        let (client, server) = (s.layer(client), s.layer(server));
        if client.talker.connected + server.talker.connected == 2 {
            let count = if to_client { client.count } else { server.count };
            reached.get_or_insert(count > which);
        }
        client.talker.heard && server.talker.heard && client.held.is_none() && server.held.is_none()
    });
    let (client, server) = (&simulation.layer(client).talker, &simulation.layer(server).talker);
    assert!(finished, "{context}: {:?} {:?}", client.failed, server.failed);
    assert_eq!(client.exported(), server.exported(), "{context}");
    assert_eq!((client.connected, server.connected), (1, 1), "{context}");
    // One datagram costs one retransmission by one of the sides, or is made up for by the other's.
    let retransmissions =
        client.connection.stats().retransmissions + server.connection.stats().retransmissions;
    match fate {
        Fate::Twice => assert_eq!(retransmissions, 0, "{context}"),
        Fate::Lost | Fate::Late => assert!(retransmissions <= 3, "{context}: {retransmissions}"),
    }
    (reached.unwrap_or(false), context)
}
