//! Servers that change while an agent lives.

use kaon_rtc::ice::{TransportPolicy, TurnServer as Server};

use super::*;
use crate::turn_server::{PASSWORD, USER};

const OLD: &str = "192.0.2.50:3478";
const NEW: &str = "192.0.2.60:3478";

fn relay(at: &str, password: &str) -> Config {
    let mut config = Config::default();
    config.turn_servers = vec![Server::new(address(at), USER, password)];
    config.transport_policy = TransportPolicy::Relay;
    config
}

fn peers(config: Config) -> (Peers, [HostId; 2]) {
    let mut here = Side::new(&["10.0.0.1:1000"], IceRole::Controlling);
    here.config = config;
    let mut peers = Peers::new(1, delay(20), [here, Side::new(&["203.0.113.9:2000"], IceRole::Controlled)]);
    let relays = [OLD, NEW].map(|at| {
        let host = peers.simulation.network().add_host([address(at).ip()]);
        peers.simulation.add_layer(host, Node::Relay(Box::new(TurnServer::new(provider(77), address(at)))));
        host
    });
    (peers, relays)
}

fn allocations(peers: &mut Peers, relay: HostId) -> usize {
    match peers.simulation.layer_mut(relay) {
        Node::Relay(server) => server.allocations(),
        _ => unreachable!(),
    }
}

#[test]
fn other_servers_count_from_the_next_gathering_on() {
    let (mut peers, relays) = peers(relay(OLD, PASSWORD));
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    let now = peers.simulation.now();
    peers.agent_mut(0).reconfigure(now, relay(NEW, PASSWORD));
    peers.run_for(MINUTE);
    assert_eq!(relays.map(|relay| allocations(&mut peers, relay)), [1, 0], "nothing changes by itself");
    restart(&mut peers);
    assert!(peers.path(0).is_some(), "what serves goes on");
    let by_new = |p: &mut Peers| p.path(0).is_some_and(|path| path.local.ip() == address(NEW).ip());
    assert!(peers.run_until(MINUTE, |p| by_new(p) && p.is(IceConnectionState::Completed)));
    peers.run_for(MINUTE);
    assert_eq!(relays.map(|relay| allocations(&mut peers, relay)), [0, 1], "the old one is given back");
    assert_eq!(peers.agent(0).local_candidates().count(), 1);
}

#[test]
fn credentials_that_were_wrong_are_put_right() {
    let (mut peers, relays) = peers(relay(OLD, "wrong"));
    assert!(peers.run_until(MINUTE, |p| p.agent(0).state() == IceConnectionState::Failed));
    let now = peers.simulation.now();
    peers.agent_mut(0).reconfigure(now, relay(OLD, PASSWORD));
    restart(&mut peers);
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    assert_eq!(relays.map(|relay| allocations(&mut peers, relay)), [1, 0]);
}

#[test]
fn another_policy_counts_from_the_next_gathering_on() {
    let (mut peers, _) = peers(Config::default());
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    for (policy, kind) in [
        (TransportPolicy::Relay, CandidateKind::Relayed),
        (TransportPolicy::All, CandidateKind::Host),
        (TransportPolicy::Relay, CandidateKind::Relayed),
    ] {
        let now = peers.simulation.now();
        let mut config = relay(OLD, PASSWORD);
        config.transport_policy = policy;
        peers.agent_mut(0).reconfigure(now, config);
        restart(&mut peers);
        assert!(peers.run_until(MINUTE, |p| {
            p.is(IceConnectionState::Completed)
                && p.agent(0).selected_pair().is_some_and(|pair| pair.local.kind == kind)
        }));
        let has_host = peers.agent(0).local_candidates().any(|local| local.kind == CandidateKind::Host);
        assert_eq!(has_host, kind == CandidateKind::Host);
        peers.run_for(MINUTE);
    }
}

/// Credentials that end at a time: the application has told their successors before a relay is lost.
#[test]
fn an_allocation_that_is_lost_is_made_anew_with_the_credentials_of_now() {
    let (mut peers, relays) = peers(relay(OLD, PASSWORD));
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    let before = peers.path(0).unwrap();
    let now = peers.simulation.now();
    peers.agent_mut(0).reconfigure(now, relay(OLD, "of now"));
    peers.run_for(MINUTE);
    assert_eq!(peers.path(0), Some(before), "nothing changes by itself");
    let Node::Relay(server) = peers.simulation.layer_mut(relays[0]) else { unreachable!() };
    server.password = "of now".to_owned();
    server.restart();
    let again = |p: &mut Peers| p.path(0).is_some_and(|path| path.local != before.local);
    assert!(peers.run_until(MINUTE, |p| again(p) && p.is(IceConnectionState::Completed)));
    assert_eq!(allocations(&mut peers, relays[0]), 1);
}
