use std::net::{IpAddr, SocketAddr};

use kaon_rtc::ice::AddressRewriteRule;
use kaon_rtc::layer::CandidateKind;
use kaon_rtc::sim::{Nat, NatBehavior};

use super::*;

const INNER: &str = "172.31.5.9";
const PUBLIC: &str = "203.0.113.7";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A client and, behind a static NAT as in a cloud, a server. The server knows its public address by `rule`.
fn client_and_server(seed: u64, rule: AddressRewriteRule, client_nat: Option<Nat>) -> Peers {
    let epoch = Instant::now();
    let mut network = Network::new(seed, epoch);
    network.set_default_link(link());
    let client = match client_nat {
        Some(nat) => network.add_host_behind(nat, [ip("192.168.1.2")]),
        None => network.add_host([ip("192.168.1.2")]),
    };
    let server = network.add_host_behind(Nat::one_to_one(ip(PUBLIC), ip(INNER)), [ip(INNER), ip("fd00::9")]);
    let mut simulation = Simulation::new(network).with_max_datagram(1228);
    let sides = [(client, vec!["192.168.1.2:4000"]), (server, vec!["172.31.5.9:5000", "[fd00::9]:5000"])];
    for (number, (host, addresses)) in (0..).zip(sides) {
        let mut config = config(seed * 2 + number);
        if host == server {
            let rule = rule.clone();
            config.transports.change_ice(move |ice| ice.address_rewrite_rules = vec![rule]);
        }
        let mut session = Session::new(epoch, config);
        for address in addresses {
            session.add_host_address(epoch, address.parse().unwrap()).unwrap();
        }
        session.end_of_host_addresses(epoch);
        let (received, extension_forms) = (Vec::new(), Vec::new());
        simulation.add_layer(
            host,
            Node {
                session,
                received,
                extension_forms,
                extensions: Vec::new(),
                marks: Vec::new(),
                wakes: 0,
                is_deaf: false,
            },
        );
    }
    Peers {
        simulation,
        hosts: [client, server],
        events: [Vec::new(), Vec::new()],
        received: [Vec::new(), Vec::new()],
    }
}

#[test]
fn a_server_behind_a_static_nat_is_reached_at_its_public_address() {
    let port_restricted = || {
        let filtering = NatBehavior::AddressAndPortDependent;
        Nat::new(ip("198.51.100.4"), NatBehavior::EndpointIndependent, filtering)
    };
    for seed in seeds(20) {
        for rule in [AddressRewriteRule::replace(ip(PUBLIC)), AddressRewriteRule::append(ip(PUBLIC))] {
            for client_nat in [None, Some(port_restricted())] {
                for offerer in [0, 1] {
                    reaches(client_and_server(seed, rule.clone(), client_nat.clone()), &rule, offerer);
                }
            }
        }
    }
}

fn reaches(mut peers: Peers, rule: &AddressRewriteRule, offerer: usize) {
    let now = peers.simulation.now();
    let chat = peers.session(offerer).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(offerer);
    let description = peers.session(1).local_description().unwrap().text();
    assert!(description.contains("203.0.113.7 5000 typ host\r\n"), "{description}");
    assert!(
        description.contains("fd00::9 5000 typ host\r\n"),
        "another family is told as it is: {description}"
    );
    let is_replaced = *rule == AddressRewriteRule::replace(ip(PUBLIC));
    assert_eq!(description.contains(INNER), !is_replaced, "{description}");
    peers.connect();
    let other = 1 - offerer;
    assert!(peers.run_until(Duration::from_secs(5), |peers| peers.channel(other, "chat").is_some()));
    let now = peers.simulation.now();
    peers.session(offerer).send_message(now, chat, MessageKind::Text, "ping".into()).unwrap();
    let there = peers.channel(other, "chat").unwrap();
    assert!(peers.run_until(Duration::from_secs(5), |peers| peers.messages(other, there) == ["ping"]));

    let server = peers.session(1).selected_pair().unwrap().clone();
    assert_eq!(server.path.local, SocketAddr::new(ip(INNER), 5000));
    assert_eq!(server.local.kind, CandidateKind::Host);
    assert_eq!(server.local.address, kaon_rtc::ice::CandidateAddress::Ip(SocketAddr::new(ip(PUBLIC), 5000)));
    let client = peers.session(0).selected_pair().unwrap();
    assert_eq!(
        (client.remote.kind, client.path.remote),
        (CandidateKind::Host, SocketAddr::new(ip(PUBLIC), 5000))
    );
}

/// Without a rule nobody reaches the server, unless it reaches the client itself: what the rule is for.
#[test]
fn without_a_rule_the_server_is_not_reached() {
    let unused = AddressRewriteRule::replace(ip("2001:db8::1"));
    let filtering = NatBehavior::AddressAndPortDependent;
    let nat = Nat::new(ip("198.51.100.4"), NatBehavior::EndpointIndependent, filtering);
    let mut peers = client_and_server(1, unused, Some(nat));
    let now = peers.simulation.now();
    peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(0);
    assert!(!peers.run_until(Duration::from_secs(30), |peers| {
        peers.session(0).connection_state() == ConnectionState::Connected
    }));
}

/// An ICE restart tells the same addresses.
#[test]
fn a_restart_tells_the_public_address_again() {
    let mut peers = client_and_server(2, AddressRewriteRule::replace(ip(PUBLIC)), None);
    let now = peers.simulation.now();
    peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(0);
    peers.connect();
    peers.session(1).restart_ice();
    peers.negotiate(1);
    let description = peers.session(1).local_description().unwrap().text();
    assert!(
        description.contains("203.0.113.7 5000 typ host\r\n") && !description.contains(INNER),
        "{description}"
    );
    assert!(!peers.run_until(Duration::from_secs(5), |_| false));
    peers.connect();
}
