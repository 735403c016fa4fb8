//! Agents that only answer (RFC 8445 §2.5).

use super::*;
use crate::seeds::seeds;

const SECOND: Duration = Duration::from_secs(1);

/// A client behind a NAT and a lite server.
fn lite(seed: u64, link: Link, role: IceRole) -> Peers {
    use NatBehavior::*;
    let client =
        Side::new(&["10.0.0.1:1000"], role).behind(nat(1, EndpointIndependent, AddressAndPortDependent));
    let mut server = Side::new(&["203.0.113.7:2000", "[2001:db8::7]:2000"], IceRole::Controlling)
        .with_servers(&["203.0.113.1:3478"]);
    server.config.lite = true;
    let mut peers = Peers::new(seed, link, [client, server]);
    peers.add_server("203.0.113.1:3478");
    peers
}

#[test]
fn a_lite_agent_asks_nothing_and_follows() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        for seed in seeds(50) {
            let link = Link { loss: (seed % 5) as f64 / 20.0, ..delay(20) };
            let mut peers = lite(seed, link, role);
            let connected = peers.run_until(MINUTE, |p| p.agree() && p.is(IceConnectionState::Completed));
            assert!(connected, "{role:?} seed {seed}: {:?} {:?}", peers.states(0), peers.states(1));
            assert_eq!(peers.agent(0).role(), IceRole::Controlling, "{role:?} seed {seed}");
            assert_eq!(peers.agent(1).role(), IceRole::Controlled);
            peers.run_for(2 * MINUTE);
            assert!(
                peers.agree() && peers.agent(1).state() != IceConnectionState::Failed,
                "{role:?} seed {seed}"
            );
            assert_eq!(peers.agent(1).stats().checks_sent, 0);
            let kinds: Vec<_> = peers.agent(1).local_candidates().map(|candidate| candidate.kind).collect();
            assert_eq!(kinds, [CandidateKind::Host; 2]);
        }
    }
}

#[test]
fn a_lite_agent_follows_a_client_that_gets_another_port() {
    let mut peers = lite(1, delay(20), IceRole::Controlling);
    assert!(peers.run_until(MINUTE, |p| p.agree() && p.is(IceConnectionState::Completed)));
    for _ in 0..5 {
        let (host, old) = (peers.hosts[0], peers.path(1).unwrap());
        peers.simulation.network().nat_of(host).unwrap().rebind();
        assert!(peers.run_until(12 * SECOND, |p| p.path(1).is_some_and(|path| path != old)));
        peers.run_for(10 * SECOND);
    }
}

#[test]
fn without_checks_of_the_peer_there_is_no_consent() {
    let mut peers = lite(1, delay(20), IceRole::Controlling);
    assert!(peers.run_until(MINUTE, |p| p.agree() && p.is(IceConnectionState::Completed)));
    peers.simulation.network().set_default_link(Link { up: false, ..delay(20) });
    assert!(peers.run_until(12 * SECOND, |p| p.agent(1).state() == IceConnectionState::Disconnected));
    assert!(peers.run_until(30 * SECOND, |p| p.is(IceConnectionState::Failed)));
    assert_eq!(peers.path(1), None);
}
