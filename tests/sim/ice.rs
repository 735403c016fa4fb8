mod filters;
mod handover;
mod lite;
mod moves;
mod nats;
mod relays;
mod renomination;
mod servers;
mod simultaneous_open;
mod streams;
mod stun_streams;
mod tcp;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaon_rtc::crypto::{CryptoProvider, SeededRandom};
use kaon_rtc::ice::{
    Agent, Candidate, CandidateAddress, CandidateKind, Config, HostAddress, IceConnectionState, IceError,
    IceEvent, IceRole, IceTransport,
};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, StreamReport, StreamRequest, Transmit, TransmitBatch};
use kaon_rtc::sim::{Firewall, HostId, Link, Nat, NatBehavior, Network, Simulation};
use kaon_rtc::stun::BindingServer;

#[cfg(feature = "aws-lc-rs")]
use kaon_rtc::crypto::aws_lc_rs as crypto;
#[cfg(not(feature = "aws-lc-rs"))]
use kaon_rtc::crypto::rust_crypto as crypto;

use crate::seeds::seeds;
use crate::turn_server::TurnServer;

fn provider(seed: u64) -> CryptoProvider {
    crypto::provider().with_random(Arc::new(SeededRandom::new(seed)))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[derive(Debug)]
enum Node {
    /// An agent, with the hosts that it has heard of.
    Agent(Box<Agent>, BTreeSet<IpAddr>),
    Server(BindingServer),
    Relay(Box<TurnServer>),
}

impl Layer for Node {
    type Event = IceEvent;
    type Error = ();

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), ()> {
        match self {
            Self::Agent(agent, seen) => {
                seen.insert(datagram.path.remote.ip());
                agent.handle_datagram(now, datagram).map_err(drop)
            }
            Self::Relay(server) => {
                server.handle_datagram(now, datagram);
                Ok(())
            }
            Self::Server(server) => server.handle_datagram(now, datagram).map_err(drop),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Agent(agent, _) => agent.handle_timeout(now),
            Self::Relay(_) => {}
            Self::Server(server) => server.handle_timeout(now),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Agent(agent, _) => agent.poll_timeout(),
            Self::Relay(_) => None,
            Self::Server(server) => server.poll_timeout(),
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        match self {
            Self::Agent(agent, _) => agent.poll_transmit(now, out),
            Self::Relay(server) => server.poll_transmit(out),
            Self::Server(server) => server.poll_transmit(now, out),
        }
    }

    fn poll_event(&mut self) -> Option<IceEvent> {
        match self {
            Self::Agent(agent, _) => agent.poll_event(),
            Self::Server(_) | Self::Relay(_) => None,
        }
    }

    fn poll_stream(&mut self) -> Option<StreamRequest> {
        match self {
            Self::Agent(agent, _) => agent.poll_stream(),
            Self::Server(_) | Self::Relay(_) => None,
        }
    }

    fn handle_stream(&mut self, now: Instant, report: StreamReport) {
        match self {
            Self::Agent(agent, _) => agent.handle_stream(now, report),
            Self::Relay(server) => server.handle_stream(&report),
            Self::Server(_) => {}
        }
    }
}

/// Two agents, the signalling between them, and what they told.
struct Peers {
    simulation: Simulation<Node>,
    hosts: [HostId; 2],
    told: [Vec<IceEvent>; 2],
    /// Whether candidates reach the other side.
    signalling: bool,
}

/// One side: its addresses and how it is configured.
struct Side {
    addresses: Vec<SocketAddr>,
    nat: Option<Nat>,
    /// What the NAT is behind.
    carrier: Option<Nat>,
    firewall: Firewall,
    /// How its address is told.
    host: Option<HostAddress>,
    config: Config,
}

impl Side {
    fn new(addresses: &[&str], role: IceRole) -> Self {
        let mut config = Config::default();
        config.role = role;
        let addresses = addresses.iter().map(|text| address(text)).collect();
        Self { addresses, nat: None, carrier: None, firewall: Firewall::Open, host: None, config }
    }

    fn behind(mut self, nat: Nat) -> Self {
        self.nat = Some(nat);
        self
    }

    fn with_servers(mut self, servers: &[&str]) -> Self {
        self.config.stun_servers = servers.iter().map(|text| address(text)).collect();
        self
    }
}

impl Peers {
    fn new(seed: u64, link: Link, sides: [Side; 2]) -> Self {
        let epoch = Instant::now();
        let mut network = Network::new(seed, epoch);
        network.set_default_link(link);
        let (mut agents, mut carriers) = (Vec::new(), Vec::new());
        for (number, side) in (0u64..).zip(sides) {
            let ips = side.addresses.iter().map(SocketAddr::ip).collect::<Vec<_>>();
            let known = side.carrier.as_ref().and_then(|carrier| {
                carriers.iter().find(|(public, _)| *public == carrier.public()).map(|(_, id)| *id)
            });
            let carrier = known.or_else(|| {
                let carrier = side.carrier?;
                let public = carrier.public();
                let id = network.add_nat(carrier, None);
                carriers.push((public, id));
                Some(id)
            });
            let host = match side.nat {
                Some(nat) => {
                    let nat = network.add_nat(nat, carrier);
                    network.add_host_inside(nat, ips)
                }
                None => network.add_host(ips),
            };
            network.set_firewall(host, side.firewall);
            let mut agent = Agent::new(epoch, provider(seed * 2 + number), side.config);
            for address in side.addresses {
                let host = side.host.clone().unwrap_or_else(|| address.into());
                agent.add_host(epoch, host).unwrap();
            }
            agent.end_of_host_addresses(epoch);
            agents.push((host, agent));
        }
        let credentials: Vec<_> = agents.iter().map(|(_, agent)| agent.local_credentials().clone()).collect();
        let hosts = [agents[0].0, agents[1].0];
        let mut simulation = Simulation::new(network);
        for ((host, mut agent), remote) in agents.into_iter().zip(credentials.into_iter().rev()) {
            agent.set_remote_credentials(epoch, remote).unwrap();
            simulation.add_layer(host, Node::Agent(Box::new(agent), BTreeSet::new()));
        }
        Self { simulation, hosts, told: [Vec::new(), Vec::new()], signalling: true }
    }

    fn agent(&self, side: usize) -> &Agent {
        match self.simulation.layer(self.hosts[side]) {
            Node::Agent(agent, _) => agent,
            _ => unreachable!(),
        }
    }

    fn agent_mut(&mut self, side: usize) -> &mut Agent {
        match self.simulation.layer_mut(self.hosts[side]) {
            Node::Agent(agent, _) => agent,
            _ => unreachable!(),
        }
    }

    fn restart(&mut self, side: usize, now: Instant) -> Result<(), IceError> {
        let agent = self.agent_mut(side);
        agent.restart(now, agent.new_credentials())
    }

    fn add_server(&mut self, at: &str) {
        let host = self.simulation.network().add_host([address(at).ip()]);
        self.simulation.add_layer(host, Node::Server(BindingServer::default()));
    }

    /// Runs until `done`, with signalling that takes no time.
    fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let deadline = self.simulation.now() + limit;
        loop {
            for side in 0..2 {
                while let Some(event) = self.agent_mut(side).poll_event() {
                    let now = self.simulation.now();
                    if self.signalling {
                        let other = self.agent_mut(1 - side);
                        match &event {
                            IceEvent::LocalCandidate(candidate) => {
                                let text = candidate.to_string();
                                other.add_remote_candidate(now, text.parse().unwrap()).unwrap();
                            }
                            IceEvent::GatheringComplete => other.end_of_remote_candidates(now),
                            _ => {}
                        }
                    }
                    self.told[side].push(event);
                }
            }
            if done(self) {
                return true;
            }
            if self.simulation.now() >= deadline {
                return false;
            }
            let step = Duration::from_millis(5).min(deadline - self.simulation.now());
            self.simulation.run_for(step);
        }
    }

    fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    fn is(&self, state: IceConnectionState) -> bool {
        self.agent(0).state() == state && self.agent(1).state() == state
    }

    fn path(&self, side: usize) -> Option<FiveTuple> {
        self.agent(side).selected_pair().map(|pair| pair.path)
    }

    /// Both use the same pair, each from its side; addresses may be translated between them.
    fn agree(&self) -> bool {
        match (self.agent(0).selected_pair(), self.agent(1).selected_pair()) {
            (Some(a), Some(b)) => a.local.address == b.remote.address && b.local.address == a.remote.address,
            _ => false,
        }
    }

    fn states(&self, side: usize) -> Vec<IceConnectionState> {
        let states = self.told[side].iter().filter_map(|event| match event {
            IceEvent::ConnectionState(state) => Some(*state),
            _ => None,
        });
        states.collect()
    }
}

fn delay(millis: u64) -> Link {
    Link { delay: Duration::from_millis(millis), ..Link::default() }
}

fn simple(seed: u64, link: Link) -> Peers {
    let sides = [
        Side::new(&["10.0.0.1:1000"], IceRole::Controlling),
        Side::new(&["10.0.0.2:2000"], IceRole::Controlled),
    ];
    Peers::new(seed, link, sides)
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn two_hosts_complete_in_a_few_round_trips() {
    let mut peers = simple(1, delay(20));
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    assert!(peers.simulation.elapsed() <= Duration::from_millis(200), "{:?}", peers.simulation.elapsed());
    assert!(peers.agree());
    for side in 0..2 {
        use IceConnectionState::*;
        assert_eq!(peers.states(side), [Checking, Connected, Completed]);
        assert_eq!(peers.agent(side).local_candidates().count(), 1);
        let path = peers.path(side).unwrap();
        assert!(peers.agent(side).is_validated(&path));
    }
    assert_eq!(peers.agent(0).role(), IceRole::Controlling);
}

#[test]
fn ten_idle_minutes_are_kept_alive_by_consent() {
    let mut peers = simple(1, delay(50));
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    let before = peers.agent(0).stats();
    peers.run_for(Duration::from_secs(600));
    assert!(peers.is(IceConnectionState::Completed));
    let sent = peers.agent(0).stats().checks_sent - before.checks_sent;
    assert!(
        (110..=135).contains(&sent),
        "one consent check in about five seconds, not {sent} in ten minutes"
    );
}

#[test]
fn role_conflicts_are_repaired() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        for seed in seeds(50) {
            let sides = [Side::new(&["10.0.0.1:1000"], role), Side::new(&["10.0.0.2:2000"], role)];
            let mut peers = Peers::new(seed, delay(30), sides);
            assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)), "seed {seed}");
            assert_ne!(peers.agent(0).role(), peers.agent(1).role(), "seed {seed}");
            assert!(peers.agree(), "seed {seed}");
        }
    }
}

#[test]
fn several_addresses_of_both_families_pair_within_their_family() {
    let sides = [
        Side::new(
            &["10.0.0.1:1000", "10.0.1.1:1000", "[2001:db8::1]:1000", "[fe80::1]:1000"],
            IceRole::Controlling,
        ),
        Side::new(&["10.0.0.2:2000", "[2001:db8::2]:2000"], IceRole::Controlled),
    ];
    let mut peers = Peers::new(1, delay(10), sides);
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    assert!(peers.agree());
    assert_eq!(
        peers.path(0),
        Some(FiveTuple::udp(address("[2001:db8::1]:1000"), address("[2001:db8::2]:2000")))
    );
}

#[test]
fn a_broken_family_falls_back_to_the_other() {
    let sides = [
        Side::new(&["10.0.0.1:1000", "[2001:db8::1]:1000"], IceRole::Controlling),
        // The network does not know the address that the peer signals: nothing arrives there.
        Side::new(&["10.0.0.2:2000"], IceRole::Controlled),
    ];
    let mut peers = Peers::new(1, delay(10), sides);
    let now = peers.simulation.now();
    let unreachable = "candidate:9 1 udp 2130706431 2001:db8::99 2000 typ host".parse().unwrap();
    peers.agent_mut(0).add_remote_candidate(now, unreachable).unwrap();
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Connected) || p.agree()));
    assert!(peers.simulation.elapsed() < Duration::from_secs(1));
    assert_eq!(peers.path(0).unwrap().remote, address("10.0.0.2:2000"));
}

fn nat(last: u8, mapping: NatBehavior, filtering: NatBehavior) -> Nat {
    Nat::new([198, 51, 100, last].into(), mapping, filtering)
}

#[test]
fn nats_are_crossed_where_they_can_be() {
    use NatBehavior::*;
    let kinds = [
        (EndpointIndependent, EndpointIndependent),
        (EndpointIndependent, AddressDependent),
        (EndpointIndependent, AddressAndPortDependent),
        (AddressAndPortDependent, AddressAndPortDependent),
    ];
    for (a, b) in (0..4).flat_map(|a| (0..4).map(move |b| (a, b))) {
        let sides = [
            Side::new(&["10.0.0.1:1000"], IceRole::Controlling).behind(nat(1, kinds[a].0, kinds[a].1)),
            Side::new(&["10.1.0.1:2000"], IceRole::Controlled).behind(nat(2, kinds[b].0, kinds[b].1)),
        ];
        let mut peers = Peers::new(1, delay(20), sides.map(|side| side.with_servers(&["203.0.113.1:3478"])));
        peers.add_server("203.0.113.1:3478");
        let connected = peers.run_until(MINUTE, |p| p.agree() && p.is(IceConnectionState::Completed));
        // A symmetric NAT needs the other side to admit an address that was never signalled.
        let symmetric = |kind: usize| kinds[kind].0 == AddressAndPortDependent;
        let port_filter = |kind: usize| kinds[kind].1 == AddressAndPortDependent;
        let possible = !(symmetric(a) && port_filter(b) || symmetric(b) && port_filter(a));
        assert_eq!(connected, possible, "NAT kinds {a} and {b}");
        if connected {
            let kind = |side: usize| peers.agent(side).selected_pair().unwrap().local.kind;
            assert_ne!(kind(0), CandidateKind::Host);
            assert_ne!(kind(1), CandidateKind::Host);
        }
    }
}

#[test]
fn a_silent_stun_server_delays_nothing() {
    let sides = [
        Side::new(&["10.0.0.1:1000"], IceRole::Controlling)
            .with_servers(&["203.0.113.9:3478", "203.0.113.8:3478"]),
        Side::new(&["10.0.0.2:2000"], IceRole::Controlled),
    ];
    let mut peers = Peers::new(1, delay(20), sides);
    assert!(peers.run_until(MINUTE, |p| p.agree()));
    assert!(peers.simulation.elapsed() <= Duration::from_millis(200), "{:?}", peers.simulation.elapsed());
    assert!(!peers.told[0].contains(&IceEvent::GatheringComplete));
    assert!(peers.run_until(Duration::from_secs(6), |p| p.told[0].contains(&IceEvent::GatheringComplete)));
}

#[test]
fn server_reflexive_candidates_are_found_and_kept_alive() {
    use NatBehavior::*;
    let side = Side::new(&["10.0.0.1:1000"], IceRole::Controlling)
        .behind(nat(1, EndpointIndependent, AddressAndPortDependent))
        .with_servers(&["203.0.113.1:3478"]);
    let mut peers = Peers::new(1, delay(20), [side, Side::new(&["203.0.113.7:2000"], IceRole::Controlled)]);
    peers.signalling = false;
    peers.add_server("203.0.113.1:3478");
    assert!(peers.run_until(MINUTE, |p| p.told[0].contains(&IceEvent::GatheringComplete)));
    let reflexive = peers.told[0].iter().find_map(|event| match event {
        IceEvent::LocalCandidate(candidate) if candidate.kind == CandidateKind::ServerReflexive => {
            Some(candidate)
        }
        _ => None,
    });
    let reflexive = reflexive.expect("a server-reflexive candidate");
    assert_eq!(reflexive.address, CandidateAddress::Ip(address("198.51.100.1:40000")));
    assert_eq!(reflexive.related, Some(address("10.0.0.1:1000")));
    let before = peers.simulation.network().stats().sent;
    peers.run_for(MINUTE);
    let kept_alive = peers.simulation.network().stats().sent - before;
    assert_eq!(kept_alive, 6, "a question and an answer fifteen seconds after the last");
}

#[test]
fn a_peer_whose_candidates_never_arrive_is_found_by_its_checks() {
    let mut peers = simple(1, delay(20));
    peers.signalling = false;
    let now = peers.simulation.now();
    let known = "candidate:1 1 udp 2130706431 10.0.0.2 2000 typ host".parse().unwrap();
    peers.agent_mut(0).add_remote_candidate(now, known).unwrap();
    assert!(peers.run_until(MINUTE, |p| p.agree()));
    assert_eq!(peers.agent(1).selected_pair().unwrap().remote.kind, CandidateKind::PeerReflexive);
}

#[test]
fn names_are_handed_out_for_resolution() {
    let mut peers = simple(1, delay(20));
    peers.signalling = false;
    let now = peers.simulation.now();
    let named = |name: &str| format!("candidate:1 1 udp 2130706431 {name} 2000 typ host").parse().unwrap();
    peers.agent_mut(0).add_remote_candidate(now, named("4e2a.local")).unwrap();
    peers.agent_mut(0).add_remote_candidate(now, named("gone.local")).unwrap();
    peers.run_for(Duration::from_millis(10));
    let queries: Vec<_> = peers.told[0]
        .iter()
        .filter_map(|event| match event {
            IceEvent::ResolveName { query, name } => Some((*query, name.as_str())),
            _ => None,
        })
        .collect();
    let [(first, "4e2a.local"), (second, "gone.local")] = queries[..] else { panic!("{queries:?}") };
    peers.agent_mut(0).resolve_name(now, second, None);
    peers.agent_mut(0).resolve_name(now, first, Some(ip("10.0.0.2")));
    peers.agent_mut(0).resolve_name(now, first, Some(ip("10.0.0.66")));
    assert!(peers.run_until(MINUTE, |p| p.agree()));
}

#[test]
fn lost_connectivity_is_noticed_recovers_and_fails() {
    let mut peers = simple(1, delay(20));
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    peers.simulation.network().set_default_link(Link { up: false, ..delay(20) });
    let lost = peers.simulation.now();
    assert!(peers.run_until(Duration::from_secs(12), |p| p.is(IceConnectionState::Disconnected)));
    assert!(peers.path(0).is_some(), "it may recover");
    peers.simulation.network().set_default_link(delay(20));
    assert!(peers.run_until(Duration::from_secs(3), |p| p.is(IceConnectionState::Completed)));

    peers.simulation.network().set_default_link(Link { up: false, ..delay(20) });
    let cut = peers.simulation.now();
    assert!(cut > lost && peers.run_until(MINUTE, |p| p.is(IceConnectionState::Failed)));
    let took = peers.simulation.now() - cut;
    assert!(
        (Duration::from_secs(23)..=Duration::from_secs(31)).contains(&took),
        "consent expires after {took:?}"
    );
    let before = peers.simulation.network().stats().sent;
    peers.run_for(MINUTE);
    assert_eq!(peers.simulation.network().stats().sent, before, "nothing is sent without consent");
    assert_eq!(peers.path(0), None);
}

#[test]
fn nobody_there_fails_after_patience() {
    let mut peers = simple(1, Link { up: false, ..Link::default() });
    assert!(peers.run_until(2 * MINUTE, |p| p.is(IceConnectionState::Failed)));
    assert!(peers.simulation.elapsed() >= Duration::from_millis(39_500));
    assert_eq!(peers.agent(0).poll_timeout(), None, "a failed agent waits for nothing");
}

fn restart(peers: &mut Peers) {
    let now = peers.simulation.now();
    // What is still to be read belongs to the generation that ends.
    for side in 0..2 {
        while peers.agent_mut(side).poll_event().is_some() {}
        peers.restart(side, now).unwrap();
    }
    for side in 0..2 {
        let credentials = peers.agent(1 - side).local_credentials().clone();
        peers.agent_mut(side).set_remote_credentials(now, credentials).unwrap();
    }
}

#[test]
fn a_restart_keeps_the_old_path_until_the_new_one_is_nominated() {
    let mut peers = simple(1, delay(20));
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    let old = peers.agent(0).local_credentials().ufrag().to_owned();
    restart(&mut peers);
    assert_ne!(peers.agent(0).local_credentials().ufrag(), old);
    assert!(peers.path(0).is_some() && peers.path(1).is_some());
    let mut always = true;
    let completed = peers.run_until(MINUTE, |p| {
        always &= p.path(0).is_some() && p.path(1).is_some();
        p.is(IceConnectionState::Completed)
    });
    assert!(completed && always);
    let selections = |side: usize| {
        peers.told[side].iter().filter(|event| matches!(event, IceEvent::SelectedPair(_))).count()
    };
    assert_eq!(selections(0), 2);
}

#[test]
fn a_restart_revives_a_failed_agent() {
    let mut peers = simple(1, delay(20));
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    peers.simulation.network().set_default_link(Link { up: false, ..delay(20) });
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Failed)));
    peers.simulation.network().set_default_link(delay(20));
    restart(&mut peers);
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
}

#[test]
fn checks_are_paced_and_pairs_are_limited() {
    let mut side = Side::new(&["10.0.0.1:1000", "10.0.0.3:1000", "10.0.0.4:1000"], IceRole::Controlling);
    side.config.max_pairs = 30;
    let mut peers = Peers::new(1, delay(20), [side, Side::new(&["10.0.0.2:2000"], IceRole::Controlled)]);
    peers.signalling = false;
    let now = peers.simulation.now();
    for number in 1..=60 {
        let line = format!("candidate:{number} 1 udp {number} 203.0.113.{number} 9 typ host");
        peers.agent_mut(0).add_remote_candidate(now, line.parse().unwrap()).unwrap();
    }
    // The agent sees its first repetitions only after the timeout that so many checks lengthen.
    peers.run_for(Duration::from_millis(499));
    assert_eq!(peers.agent(0).stats().checks_sent, 10, "one every 50 ms");
    peers.run_for(Duration::from_secs(30));
    let sent = peers.agent(0).stats().checks_sent;
    assert!(sent <= 30 * 7, "{sent} checks of 30 pairs");

    let more =
        |number: u32| format!("candidate:1 1 udp 1 198.51.100.{number} 9 typ host").parse::<Candidate>();
    let refused = (1..10).find_map(|n| peers.agent_mut(0).add_remote_candidate(now, more(n).unwrap()).err());
    assert_eq!(refused, Some(IceError::TooManyCandidates { limit: 64 }));
}

#[test]
fn a_closed_agent_is_silent() {
    let mut peers = simple(1, delay(20));
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    peers.agent_mut(0).close();
    let now = peers.simulation.now();
    assert_eq!(peers.agent(0).state(), IceConnectionState::Closed);
    assert_eq!(peers.agent(0).poll_timeout(), None);
    assert_eq!(peers.restart(0, now), Err(IceError::Closed));
    assert!(peers.run_until(MINUTE, |p| p.agent(1).state() == IceConnectionState::Failed));
}

/// The network of a seed: 0 to 30 % loss, reordering, duplication, corruption, 0 to 300 ms delay.
fn rough_link(seed: u64) -> Link {
    let random = SeededRandom::new(seed ^ 0x5eed);
    let up_to = |most: u64| random.next_u64() % (most + 1);
    Link {
        delay: Duration::from_millis(up_to(300)),
        jitter: Duration::from_millis(up_to(50)),
        loss: up_to(30) as f64 / 100.0,
        reordering: up_to(20) as f64 / 100.0,
        duplication: up_to(20) as f64 / 100.0,
        corruption: up_to(5) as f64 / 100.0,
        ..Link::default()
    }
}

#[test]
fn two_thousand_rough_networks() {
    for seed in seeds(2_000) {
        let roles = [
            [IceRole::Controlling, IceRole::Controlled],
            [IceRole::Controlling; 2],
            [IceRole::Controlled; 2],
        ][(seed % 8).saturating_sub(5) as usize];
        let sides = [
            Side::new(&["10.0.0.1:1000", "[2001:db8::1]:1000"], roles[0]),
            Side::new(&["10.0.0.2:2000", "[2001:db8::2]:2000"], roles[1]),
        ];
        let mut peers = Peers::new(seed, rough_link(seed), sides);
        // When a nomination is answered and the answers are all lost, the controlling side turns to another
        // pair. Each side then sends on a pair that the other has validated, though not on the same.
        let nominated = |p: &mut Peers| {
            let mirrored = |path: FiveTuple| FiveTuple::udp(path.remote, path.local);
            let accepted = |p: &Peers, side: usize| {
                p.path(side).is_some_and(|path| p.agent(1 - side).is_validated(&mirrored(path)))
            };
            accepted(p, 0) && accepted(p, 1) && p.is(IceConnectionState::Completed)
        };
        let completed = peers.run_until(MINUTE, nominated);
        assert!(completed, "seed {seed}: {:?} {:?}", peers.states(0), peers.states(1));
        if seed % 4 == 0 {
            restart(&mut peers);
            assert!(peers.run_until(MINUTE, nominated), "seed {seed} after a restart");
        }
        assert_ne!(peers.agent(0).role(), peers.agent(1).role(), "seed {seed}");
    }
}
