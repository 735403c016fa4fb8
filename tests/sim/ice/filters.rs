//! Addresses that are not to be used, and candidates that rules tell.

use kaon_rtc::ice::{AddressFilter, AddressRewriteRule, NetworkKind, TurnServer as Server};

use super::*;
use crate::turn_server::{PASSWORD, USER};

const RELAY: &str = "192.0.2.50:3478";

fn deny(range: &str) -> AddressFilter {
    AddressFilter::default().deny(range.parse().unwrap())
}

fn with_all(mut side: Side) -> Side {
    side.config.stun_servers = vec![address("203.0.113.1:3478")];
    side.config.turn_servers = vec![Server::new(address(RELAY), USER, PASSWORD)];
    side
}

fn run(here: Side, there: Side) -> Peers {
    let mut peers = Peers::new(1, delay(20), [here, there]);
    peers.add_server("203.0.113.1:3478");
    let host = peers.simulation.network().add_host([address(RELAY).ip()]);
    peers.simulation.add_layer(host, Node::Relay(Box::new(TurnServer::new(provider(77), address(RELAY)))));
    peers.run_for(Duration::from_secs(10));
    peers
}

fn told(peers: &Peers) -> Vec<(CandidateKind, String)> {
    let told = peers.agent(0).local_candidates().filter(|local| local.kind != CandidateKind::PeerReflexive);
    let mut told: Vec<_> = told
        .map(|candidate| match candidate.address {
            CandidateAddress::Ip(address) => (candidate.kind, address.ip().to_string()),
            CandidateAddress::Name(ref name, _) => (candidate.kind, name.clone()),
        })
        .collect();
    told.sort_by_key(|(kind, _)| *kind as u8);
    told.dedup();
    told
}

fn behind() -> Side {
    use NatBehavior::*;
    Side::new(&["10.0.0.1:1000"], IceRole::Controlling).behind(nat(
        1,
        EndpointIndependent,
        EndpointIndependent,
    ))
}

fn there() -> Side {
    Side::new(&["203.0.113.9:2000"], IceRole::Controlled)
}

#[test]
fn what_the_local_filter_denies_is_neither_told_nor_asked_from() {
    use CandidateKind::*;
    let here = |filter: &str| {
        let mut here = with_all(behind());
        here.config.local_addresses = deny(filter);
        run(here, there())
    };
    let all = [(Host, "10.0.0.1"), (ServerReflexive, "198.51.100.1"), (Relayed, "192.0.2.50")];
    let all = all.map(|(kind, address)| (kind, address.to_owned()));
    assert_eq!(told(&here("2001:db8::/32")), all);
    assert_eq!(told(&here("198.51.100.0/24")), [all[0].clone(), all[2].clone()]);
    assert_eq!(told(&here("192.0.2.0/24")), all[..2]);
    let mut silent = here("10.0.0.0/8");
    assert!(told(&silent).is_empty());
    assert_eq!(silent.simulation.network().stats().sent, 0, "not even servers are asked");
}

#[test]
fn what_the_remote_filter_denies_is_never_reached() {
    let mut here = with_all(behind());
    here.config.remote_addresses = deny("203.0.113.9/32");
    let mut peers = run(here, there());
    assert_eq!(peers.agent(0).stats().checks_sent, 0, "nor by way of the relay");
    assert_eq!(peers.path(0), None);
    let mapped = "candidate:1 1 udp 99 ::ffff:203.0.113.9 2000 typ host".parse().unwrap();
    let now = peers.simulation.now();
    peers.agent_mut(0).add_remote_candidate(now, mapped).unwrap();
    peers.run_for(Duration::from_secs(10));
    assert_eq!(peers.agent(0).stats().checks_sent, 0);
    assert_eq!(peers.path(1), None, "its checks have no answer");
}

#[test]
fn rules_tell_reflexive_and_relayed_candidates() {
    use CandidateKind::*;
    let rewritten = |rules: Vec<AddressRewriteRule>| {
        let mut here = with_all(behind());
        here.config.address_rewrite_rules = rules;
        let mut peers = run(here, there());
        assert!(peers.path(0).is_some() && peers.path(1).is_some());
        let before = told(&peers);
        restart(&mut peers);
        peers.run_for(Duration::from_secs(10));
        assert_eq!(told(&peers), before, "after a restart as before");
        before.into_iter().map(|(kind, address)| format!("{kind:?} {address}")).collect::<Vec<_>>()
    };
    let rule = |text: &str| AddressRewriteRule::replace(ip(text));
    let known = "ServerReflexive 198.51.100.1";
    assert_eq!(
        rewritten(vec![rule("198.51.100.77").for_kind(ServerReflexive)]),
        ["Host 10.0.0.1", "ServerReflexive 198.51.100.77", "Relayed 192.0.2.50"]
    );
    let beside = AddressRewriteRule::append(ip("198.51.100.77")).for_kind(ServerReflexive);
    assert_eq!(
        rewritten(vec![beside.for_range("10.0.0.0/24".parse().unwrap())]),
        ["Host 10.0.0.1", "ServerReflexive 198.51.100.77", known, "Relayed 192.0.2.50"]
    );
    assert_eq!(
        rewritten(vec![rule("198.51.100.88").for_kind(Relayed)]),
        ["Host 10.0.0.1", known, "Relayed 198.51.100.88"]
    );
    assert_eq!(
        rewritten(vec![rule("198.51.100.88").for_interface("eth0")]),
        ["Host 10.0.0.1", known, "Relayed 192.0.2.50"],
        "the interface is not known"
    );
}

#[test]
fn rules_know_interfaces() {
    let mut here = Side::new(&[], IceRole::Controlling);
    here.config.address_rewrite_rules =
        vec![AddressRewriteRule::replace(ip("198.51.100.88")).for_interface("eth0")];
    let mut peers = Peers::new(1, delay(20), [here, there()]);
    let now = peers.simulation.now();
    for (at, interface) in [("10.0.0.1:1000", "eth0"), ("10.0.1.1:1000", "eth1")] {
        let host = HostAddress::new(address(at)).of(interface, NetworkKind::Unknown);
        peers.agent_mut(0).add_host(now, host).unwrap();
    }
    assert_eq!(told(&peers).into_iter().map(|(_, at)| at).collect::<Vec<_>>(), ["198.51.100.88", "10.0.1.1"]);
}

/// What a browser hides behind a name, ours hides, too.
#[test]
fn a_named_address_is_in_no_candidate() {
    let mut here = with_all(behind());
    here.host = Some(HostAddress::new(address("10.0.0.1:1000")).named("4f1c.local"));
    let mut peers = run(here, there());
    assert!(peers.path(0).is_some() && peers.path(1).is_some());
    let told: Vec<String> = peers.told[0]
        .iter()
        .filter_map(|event| match event {
            IceEvent::LocalCandidate(candidate) => Some(candidate.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains(" 4f1c.local 1000 typ host"), "{told:?}");
    assert!(told[1].contains(" typ srflx raddr 0.0.0.0 rport 9"), "{told:?}");
    assert!(told.iter().all(|candidate| !candidate.contains("10.0.0.1")), "{told:?}");
    let now = peers.simulation.now();
    peers.agent_mut(0).remove_host_address(now, address("10.0.0.1:1000"));
    assert_eq!(peers.agent(0).local_candidates().count(), 0);
}

/// An address that the peer tells on the link alone is checked from the link, and no server of TURN learns it.
#[test]
fn what_a_name_stands_for_is_not_told_to_a_relay() {
    for (name, asks_relay) in [("secret.local", false), ("host.example", true)] {
        let mut here = with_all(behind());
        here.config.stun_servers = Vec::new();
        let mut peers = Peers::new(1, delay(20), [here, there()]);
        peers.signalling = false;
        let host = peers.simulation.network().add_host([address(RELAY).ip()]);
        peers
            .simulation
            .add_layer(host, Node::Relay(Box::new(TurnServer::new(provider(77), address(RELAY)))));
        peers.run_for(Duration::from_secs(2));
        let now = peers.simulation.now();
        let named = format!("candidate:1 1 udp 2130706431 {name} 2000 typ host").parse().unwrap();
        peers.agent_mut(0).add_remote_candidate(now, named).unwrap();
        peers.run_for(Duration::from_millis(10));
        let query = peers.told[0].iter().find_map(|event| match event {
            IceEvent::ResolveName { query, .. } => Some(*query),
            _ => None,
        });
        peers.agent_mut(0).resolve_name(now, query.unwrap(), Some(ip("192.168.7.7")));
        let by_relay = peers.agent(0).candidate_pairs();
        let by_relay = by_relay.iter().filter(|pair| pair.pair.local.kind == CandidateKind::Relayed).count();
        assert_eq!(by_relay, usize::from(asks_relay), "{name}");
    }
}
