//! Peers whose addresses change, and pairs that die.

use super::*;
use crate::seeds::seeds;

const SECOND: Duration = Duration::from_secs(1);

/// A client behind a NAT and a server that is not; `interval` is how often the client checks.
fn behind_nat(seed: u64, role: IceRole, interval: Duration, link: Link) -> Peers {
    use NatBehavior::*;
    let other = match role {
        IceRole::Controlling => IceRole::Controlled,
        IceRole::Controlled => IceRole::Controlling,
    };
    let mut client =
        Side::new(&["10.0.0.1:1000"], role).behind(nat(1, EndpointIndependent, AddressAndPortDependent));
    client.config.consent_interval = interval;
    let mut peers = Peers::new(seed, link, [client, Side::new(&["203.0.113.7:2000"], other)]);
    assert!(peers.run_until(MINUTE, |p| p.agree() && p.is(IceConnectionState::Completed)), "seed {seed}");
    peers
}

fn rebind(peers: &mut Peers) {
    let host = peers.hosts[0];
    peers.simulation.network().nat_of(host).unwrap().rebind();
}

/// Gives the client another port, and runs until the server sends there; how long that took.
fn move_client(peers: &mut Peers, limit: Duration) -> Duration {
    let (begin, old) = (peers.simulation.now(), peers.path(1).unwrap());
    rebind(peers);
    let followed = peers.run_until(limit, |p| p.path(1).is_some_and(|path| path != old));
    assert!(followed, "{:?} {:?}", peers.states(0), peers.states(1));
    peers.simulation.now() - begin
}

#[test]
fn a_server_follows_a_client_that_gets_another_port() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        for seed in seeds(50) {
            let mut peers = behind_nat(seed, role, 5 * SECOND, delay(20));
            let took = move_client(&mut peers, MINUTE);
            // The next check of consent comes within six seconds.
            assert!(took <= 7 * SECOND, "seed {seed}: {took:?}");
            assert!(
                peers.run_until(10 * SECOND, |p| p.agree() && p.is(IceConnectionState::Completed)),
                "seed {seed}"
            );
            peers.run_for(3 * MINUTE);
            assert!(peers.agree() && peers.is(IceConnectionState::Completed), "seed {seed}");
        }
    }
}

#[test]
fn a_client_that_checks_often_is_followed_in_a_second_however_often_it_moves() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        for seed in seeds(20) {
            let mut peers = behind_nat(seed, role, SECOND / 2, delay(20));
            for _ in 0..30 {
                let took = move_client(&mut peers, 4 * SECOND);
                assert!(took <= Duration::from_millis(1600), "seed {seed}: {took:?}");
                peers.run_for(4 * SECOND - took);
            }
            peers.run_for(MINUTE);
            assert!(peers.agree() && peers.is(IceConnectionState::Completed), "seed {seed}");
        }
    }
}

#[test]
fn moving_clients_are_followed_over_bad_paths() {
    for seed in seeds(100) {
        let link = Link { loss: 0.2, jitter: Duration::from_millis(30), ..delay(60) };
        let role = if seed % 2 == 0 { IceRole::Controlling } else { IceRole::Controlled };
        let mut peers = behind_nat(seed, role, SECOND, link);
        for _ in 0..5 {
            move_client(&mut peers, 20 * SECOND);
            peers.run_for(5 * SECOND);
        }
        assert!(peers.run_until(MINUTE, |p| p.agree() && p.is(IceConnectionState::Completed)), "seed {seed}");
    }
}

#[test]
fn a_client_learns_that_its_server_has_given_up() {
    let mut server = Side::new(&["10.0.0.2:2000"], IceRole::Controlled);
    server.config.consent_timeout = 8 * SECOND;
    let mut peers = Peers::new(1, delay(20), [Side::new(&["10.0.0.1:1000"], IceRole::Controlling), server]);
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    peers.simulation.network().set_default_link(Link { up: false, ..delay(20) });
    assert!(peers.run_until(20 * SECOND, |p| p.agent(1).state() == IceConnectionState::Failed));
    peers.simulation.network().set_default_link(delay(20));
    // What the server does not answer costs the client its consent.
    assert!(peers.run_until(35 * SECOND, |p| p.is(IceConnectionState::Failed)), "{:?}", peers.states(0));
}
