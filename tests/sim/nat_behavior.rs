//! NAT behaviour discovery (RFC 5780) through every NAT that the virtual network has.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaon_rtc::crypto::{CryptoProvider, SeededRandom, aws_lc_rs};
use kaon_rtc::layer::{Datagram, Layer, Transmit, TransmitBatch};
use kaon_rtc::sim::{Firewall, HostId, Link, Nat, NatBehavior, Network, Simulation};
use kaon_rtc::stun::discovery::{
    DiscoveryClient, DiscoveryConfig, DiscoveryEvent, DiscoveryServer, DiscoveryServerConfig,
    FilteringBehavior, MappingBehavior, NatReport, Undetermined,
};
use kaon_rtc::stun::{BindingFailure, BindingServer, StunError};

use crate::seeds::seeds;

const ALL: [NatBehavior; 3] =
    [NatBehavior::EndpointIndependent, NatBehavior::AddressDependent, NatBehavior::AddressAndPortDependent];

/// More than three steps of which each ends after 39.5 s.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug)]
enum Node {
    Client(Box<DiscoveryClient>),
    Server(Box<DiscoveryServer>),
    /// One without a second address.
    Binding(BindingServer),
}

impl Layer for Node {
    type Event = DiscoveryEvent;
    type Error = StunError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), StunError> {
        match self {
            Self::Client(client) => client.handle_datagram(now, datagram),
            Self::Server(server) => server.handle_datagram(now, datagram),
            Self::Binding(server) => server.handle_datagram(now, datagram),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Self::Client(client) = self {
            client.handle_timeout(now);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Client(client) => client.poll_timeout(),
            Self::Server(_) | Self::Binding(_) => None,
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        match self {
            Self::Client(client) => client.poll_transmit(now, out),
            Self::Server(server) => server.poll_transmit(now, out),
            Self::Binding(server) => server.poll_transmit(now, out),
        }
    }

    fn poll_event(&mut self) -> Option<DiscoveryEvent> {
        match self {
            Self::Client(client) => client.poll_event(),
            Self::Server(_) | Self::Binding(_) => None,
        }
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A client at a host that `place` adds to the network, and a server.
struct World {
    simulation: Simulation<Node>,
    client: HostId,
    server: HostId,
}

const INSIDE: &str = "10.0.0.2";
const PUBLIC: &str = "203.0.113.1";

impl World {
    fn new(seed: u64, link: Link, place: impl FnOnce(&mut Network) -> HostId) -> Self {
        Self::with_server(seed, link, place, |now, provider| {
            let (primary, other) = (address("198.51.100.1:3478"), address("198.51.100.2:3479"));
            let config = DiscoveryServerConfig::default();
            Node::Server(Box::new(DiscoveryServer::new(now, provider, primary, other, config).unwrap()))
        })
    }

    fn with_server(
        seed: u64,
        link: Link,
        place: impl FnOnce(&mut Network) -> HostId,
        server: impl FnOnce(Instant, &CryptoProvider) -> Node,
    ) -> Self {
        let now = Instant::now();
        let provider = aws_lc_rs::provider().with_random(Arc::new(SeededRandom::new(seed)));
        let mut network = Network::new(seed, now);
        network.set_default_link(link);
        let client = place(&mut network);
        let server_host = network.add_host([ip("198.51.100.1"), ip("198.51.100.2")]);
        let mut simulation = Simulation::new(network);
        simulation.add_layer(server_host, server(now, &provider));
        let mut config = DiscoveryConfig::default();
        // Enough for the loss of these tests to leave no doubt.
        config.probe.max_sent = 7;
        let sockets = [5000, 5001].map(|port| SocketAddr::new(ip(INSIDE), port));
        let layer =
            DiscoveryClient::new(now, &provider, sockets, address("198.51.100.1:3478"), config).unwrap();
        simulation.add_layer(client, Node::Client(Box::new(layer)));
        Self { simulation, client, server: server_host }
    }

    fn event(&mut self) -> DiscoveryEvent {
        let (client, mut event) = (self.client, None);
        let has_ended = self.simulation.run_until(LIMIT, |simulation| {
            event = event.take().or_else(|| simulation.layer_mut(client).poll_event());
            event.is_some()
        });
        assert!(has_ended, "every step is bounded");
        event.unwrap()
    }

    fn report(&mut self) -> NatReport {
        match self.event() {
            DiscoveryEvent::Finished(report) => report,
            other => panic!("{other:?}"),
        }
    }
}

fn lossy(loss: f64) -> Link {
    Link {
        delay: Duration::from_millis(30),
        jitter: Duration::from_millis(20),
        loss,
        duplication: 0.02,
        ..Link::default()
    }
}

fn mapping(behavior: NatBehavior) -> MappingBehavior {
    match behavior {
        NatBehavior::EndpointIndependent => MappingBehavior::EndpointIndependent,
        NatBehavior::AddressDependent => MappingBehavior::AddressDependent,
        NatBehavior::AddressAndPortDependent => MappingBehavior::AddressAndPortDependent,
    }
}

fn filtering(behavior: NatBehavior) -> FilteringBehavior {
    match behavior {
        NatBehavior::EndpointIndependent => FilteringBehavior::EndpointIndependent,
        NatBehavior::AddressDependent => FilteringBehavior::AddressDependent,
        NatBehavior::AddressAndPortDependent => FilteringBehavior::AddressAndPortDependent,
    }
}

/// Whether two hosts inside that send to each other's mapped address get through.
fn gets_through(maps: NatBehavior, filters: NatBehavior) -> bool {
    maps == NatBehavior::EndpointIndependent || filters == NatBehavior::EndpointIndependent
}

#[test]
fn every_behavior_is_found_through_loss() {
    for seed in seeds(40) {
        for (maps, filters) in ALL.into_iter().flat_map(|maps| ALL.map(|filters| (maps, filters))) {
            for hairpins in [true, false] {
                let mut nat = Nat::new(ip(PUBLIC), maps, filters);
                if seed % 2 == 1 {
                    nat = nat.with_random_ports(seed);
                }
                if !hairpins {
                    nat = nat.without_hairpinning();
                }
                let place = |network: &mut Network| network.add_host_behind(nat, [ip(INSIDE)]);
                let report = World::new(seed, lossy(0.05), place).report();
                let what = format!("seed {seed}: {maps:?}, {filters:?}, hairpins {hairpins}");
                assert_eq!(report.mapping, Ok(mapping(maps)), "{what}");
                assert_eq!(report.filtering, Ok(filtering(filters)), "{what}");
                assert_eq!(report.hairpinning, Ok(hairpins && gets_through(maps, filters)), "{what}");
                assert_eq!((report.local, report.mapped.ip()), (address("10.0.0.2:5000"), ip(PUBLIC)));
                assert_eq!(report.other_address, Some(address("198.51.100.2:3479")));
            }
        }
    }
}

#[test]
fn without_a_nat_there_is_none_and_a_static_one_filters_nothing() {
    for seed in seeds(100) {
        let open = World::new(seed, lossy(0.05), |network| network.add_host([ip(INSIDE)])).report();
        assert_eq!((open.local, open.mapping), (open.mapped, Ok(MappingBehavior::NoNat)), "seed {seed}");
        assert_eq!(open.filtering, Ok(FilteringBehavior::EndpointIndependent), "seed {seed}");
        assert_eq!(open.hairpinning, Err(Undetermined::NoNat), "seed {seed}");
        let nat = Nat::one_to_one(ip(PUBLIC), ip(INSIDE));
        let place = |network: &mut Network| network.add_host_behind(nat, [ip(INSIDE)]);
        let cloud = World::new(seed, lossy(0.05), place).report();
        assert_eq!(cloud.mapped, SocketAddr::new(ip(PUBLIC), 5000), "seed {seed}");
        assert_eq!(cloud.mapping, Ok(MappingBehavior::EndpointIndependent), "seed {seed}");
        assert_eq!(cloud.filtering, Ok(FilteringBehavior::EndpointIndependent), "seed {seed}");
        assert_eq!(cloud.hairpinning, Ok(true), "seed {seed}");
    }
}

#[test]
fn of_two_nats_the_stricter_one_counts() {
    let rank = |behavior| ALL.into_iter().position(|known| known == behavior);
    for (outer, inner) in ALL.into_iter().flat_map(|outer| ALL.map(|inner| (outer, inner))) {
        for seed in seeds(10) {
            let place = |network: &mut Network| {
                let carrier = network.add_nat(Nat::new(ip(PUBLIC), outer, inner), None);
                let home = network.add_nat(Nat::new(ip("100.64.0.9"), inner, outer), Some(carrier));
                network.add_host_inside(home, [ip(INSIDE)])
            };
            let report = World::new(seed, lossy(0.02), place).report();
            let stricter = if rank(outer) > rank(inner) { outer } else { inner };
            assert_eq!(report.mapping, Ok(mapping(stricter)), "{outer:?} {inner:?} seed {seed}");
            assert_eq!(report.filtering, Ok(filtering(stricter)), "{outer:?} {inner:?} seed {seed}");
        }
    }
}

#[test]
fn a_server_with_one_address_tells_what_it_can() {
    for seed in seeds(100) {
        let binding = |_, _: &CryptoProvider| Node::Binding(BindingServer::default());
        let any = NatBehavior::EndpointIndependent;
        let nat = Nat::new(ip(PUBLIC), any, NatBehavior::AddressAndPortDependent);
        let place = |network: &mut Network| network.add_host_behind(nat, [ip(INSIDE)]);
        let report = World::with_server(seed, lossy(0.05), place, binding).report();
        assert_eq!(report.mapped.ip(), ip(PUBLIC));
        assert_eq!(report.other_address, None);
        assert_eq!(report.mapping, Err(Undetermined::NoOtherAddress), "seed {seed}");
        assert_eq!(report.filtering, Err(Undetermined::NoOtherAddress), "seed {seed}");
        assert_eq!(report.hairpinning, Ok(true), "seed {seed}");

        let place = |network: &mut Network| network.add_host([ip(INSIDE)]);
        let report = World::with_server(seed, lossy(0.05), place, binding).report();
        assert_eq!(report.mapping, Ok(MappingBehavior::NoNat), "seed {seed}");
    }
}

#[test]
fn a_nat_that_begins_anew_in_between_is_noticed() {
    for seed in seeds(50) {
        let (maps, filters) = (ALL[seed as usize % 3], NatBehavior::AddressAndPortDependent);
        let nat = Nat::new(ip(PUBLIC), maps, filters);
        let place = |network: &mut Network| network.add_host_behind(nat, [ip(INSIDE)]);
        let mut world = World::new(seed, lossy(0.0), place);
        world.simulation.run_for(Duration::from_secs(2));
        world.simulation.network().nat_of(world.client).unwrap().rebind();
        let report = world.report();
        assert_eq!(report.mapping, Err(Undetermined::Rebound), "seed {seed}");
        assert_eq!(report.filtering, Err(Undetermined::Rebound), "seed {seed}");
        assert_eq!(report.hairpinning, Err(Undetermined::Rebound), "seed {seed}");
    }
}

#[test]
fn blocked_udp_is_a_failure_and_a_server_that_goes_proves_nothing() {
    for seed in seeds(20) {
        let place = |network: &mut Network| {
            let host = network.add_host([ip(INSIDE)]);
            network.set_firewall(host, Firewall::NoUdp);
            host
        };
        let mut world = World::new(seed, lossy(0.0), place);
        assert_eq!(world.event(), DiscoveryEvent::Failed(BindingFailure::TimedOut));
        assert_eq!(world.simulation.elapsed(), Duration::from_millis(39_500));
        assert_eq!(world.simulation.network().stats().sent, 14);

        // It answers the first questions and no more: what is not let in is not known.
        let nat = Nat::new(ip(PUBLIC), ALL[0], ALL[2]);
        let place = |network: &mut Network| network.add_host_behind(nat, [ip(INSIDE)]);
        let mut world = World::new(seed, lossy(0.0), place);
        world.simulation.run_for(Duration::from_millis(400));
        let server = world.server;
        world.simulation.network().set_firewall(server, Firewall::NoUdp);
        let report = world.report();
        let silent = Undetermined::Silent(address("198.51.100.1:3478"));
        assert_eq!((report.mapping, report.filtering), (Err(silent.clone()), Err(silent)), "seed {seed}");
    }
}
