//! Addresses of this machine that come and go while a connection lives.

use super::*;
use crate::seeds::seeds;

const SECOND: Duration = Duration::from_secs(1);

impl Peers {
    fn add_address(&mut self, side: usize, at: &str) {
        let (host, now) = (self.hosts[side], self.simulation.now());
        self.simulation.network().add_address(host, address(at).ip());
        self.agent_mut(side).add_host_address(now, address(at)).unwrap();
    }

    fn remove_address(&mut self, side: usize, at: SocketAddr) {
        let (host, now) = (self.hosts[side], self.simulation.now());
        self.simulation.network().remove_address(host, at.ip());
        self.agent_mut(side).remove_host_address(now, at);
        assert!(self.path(side).is_none_or(|path| path.local != at), "what is gone is not used");
        let told = self.agent(side).local_candidates();
        assert!(told.into_iter().all(|candidate| candidate.address != CandidateAddress::Ip(at)));
    }

    fn describe(&self, side: usize) -> (IceConnectionState, Option<FiveTuple>, Vec<String>) {
        let pairs = self.agent(side).candidate_pairs();
        let pairs = pairs.iter().map(|pair| {
            let path = pair.pair.path;
            format!("{} to {}: {:?}, nominated {}", path.local, path.remote, pair.state, pair.nominated)
        });
        (self.agent(side).state(), self.path(side), pairs.collect())
    }

    fn mirrored(&self) -> bool {
        match (self.path(0), self.path(1)) {
            (Some(a), Some(b)) => a == FiveTuple::udp(b.remote, b.local),
            _ => false,
        }
    }
}

fn two_networks(seed: u64, role: IceRole) -> Peers {
    let other = if role == IceRole::Controlling { IceRole::Controlled } else { IceRole::Controlling };
    let sides =
        [Side::new(&["10.0.0.1:1000", "10.1.0.1:1000"], role), Side::new(&["203.0.113.7:2000"], other)];
    let mut peers = Peers::new(seed, delay(20), sides);
    assert!(peers.run_until(MINUTE, |p| p.agree() && p.is(IceConnectionState::Completed)));
    // The other network is checked, too.
    peers.run_for(SECOND);
    peers
}

#[test]
fn another_network_serves_at_once_when_one_is_lost() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        // Never within a second of when the network that stands by is asked (each 25 s): a check that follows such a
        // question so soon is taken for one of them, and the next comes after 1.1 s.
        for idle in [0, 20, 310] {
            let mut peers = two_networks(idle, role);
            peers.run_for(Duration::from_secs(idle));
            let lost = peers.path(0).unwrap().local;
            peers.remove_address(0, lost);
            assert!(peers.path(0).is_some(), "in the same call, after {idle} s");
            let begin = peers.simulation.now();
            assert!(peers.run_until(5 * SECOND, |p| p.mirrored()), "{role:?} {idle}");
            let took = peers.simulation.now() - begin;
            // Right after the beginning the peer takes what it sees for one of many checks.
            let limit = if idle == 0 { 5 * SECOND / 2 } else { SECOND };
            assert!(took < limit, "{role:?} {idle}: {took:?}");
            assert!(peers.run_until(5 * SECOND, |p| p.agree() && p.is(IceConnectionState::Completed)));
            let failed = |side: usize| peers.states(side).contains(&IceConnectionState::Failed);
            assert!(!failed(0) && !failed(1));
        }
    }
}

#[test]
fn an_address_that_comes_is_told_and_stands_by() {
    let mut peers = simple(1, delay(20));
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    let before = peers.path(0);
    peers.add_address(0, "10.0.9.1:1000");
    peers.run_for(SECOND);
    assert_eq!(peers.path(0), before, "what works is not left");
    let told = peers.told[0].iter().filter(|event| matches!(event, IceEvent::LocalCandidate(_))).count();
    assert_eq!(told, 2);
    peers.remove_address(0, address("10.0.0.1:1000"));
    assert_eq!(peers.path(0).unwrap().local, address("10.0.9.1:1000"));
    assert!(peers.run_until(SECOND, |p| p.mirrored()));
}

#[test]
fn one_that_goes_before_another_comes_is_waited_for() {
    for side in 0..2 {
        let mut peers = simple(side as u64, delay(20));
        assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
        let old = peers.path(side).unwrap().local;
        peers.remove_address(side, old);
        assert_eq!(peers.path(side), None);
        peers.run_for(10 * SECOND);
        assert_eq!(peers.agent(side).state(), IceConnectionState::Disconnected);
        peers.add_address(side, "10.0.9.1:1000");
        let begin = peers.simulation.now();
        assert!(peers.run_until(5 * SECOND, |p| p.mirrored() && p.is(IceConnectionState::Completed)));
        let took = peers.simulation.now() - begin;
        assert!(took < 2 * SECOND, "{took:?}");
    }
}

#[test]
fn what_servers_told_of_an_address_goes_with_it() {
    let relay = "192.0.2.50:3478";
    let mut side = Side::new(&["10.0.0.1:1000", "10.1.0.1:1000"], IceRole::Controlling)
        .with_servers(&["203.0.113.1:3478"]);
    side.config.turn_servers = vec![kaon_rtc::ice::TurnServer::new(
        address(relay),
        crate::turn_server::USER,
        crate::turn_server::PASSWORD,
    )];
    let mut peers = Peers::new(1, delay(20), [side, Side::new(&["10.0.0.2:2000"], IceRole::Controlled)]);
    peers.add_server("203.0.113.1:3478");
    let host = peers.simulation.network().add_host([address(relay).ip()]);
    let server = TurnServer::new(provider(77), address(relay));
    peers.simulation.add_layer(host, Node::Relay(Box::new(server)));
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    let count = |p: &Peers| p.agent(0).local_candidates().count();
    assert_eq!(count(&peers), 4, "two hosts and two relayed; no NAT is there to be seen");
    for round in 0..40 {
        let [gone, come] =
            [["10.0.0.1:1000", "10.2.0.1:1000"], ["10.2.0.1:1000", "10.0.0.1:1000"]][round % 2];
        peers.remove_address(0, address(gone));
        assert_eq!(count(&peers), 2);
        peers.add_address(0, come);
        peers.run_for(2 * SECOND);
        assert_eq!(count(&peers), 4, "round {round}");
        assert!(peers.path(0).is_some() && peers.path(1).is_some(), "round {round}");
    }
    let gone = peers.told[0].iter().filter(|event| matches!(event, IceEvent::LocalCandidateGone(_))).count();
    assert!(gone >= 40, "{gone}");
}

/// Addresses come and go on both sides, before, during and after checks and restarts.
#[test]
fn wherever_addresses_come_and_go_a_path_that_exists_is_found() {
    for seed in seeds(300) {
        let random = SeededRandom::new(seed ^ 0xadd);
        let up_to = |most: u64| random.next_u64() % (most + 1);
        let link = Link { loss: up_to(15) as f64 / 100.0, ..delay(5 + up_to(120)) };
        let mut sides = [
            Side::new(&["10.0.0.1:1000"], IceRole::Controlling),
            Side::new(&["10.0.0.2:2000"], IceRole::Controlled),
        ];
        sides.iter_mut().for_each(|side| side.config.renomination = seed % 2 == 1);
        let mut peers = Peers::new(seed, link, sides);
        if seed % 2 == 1 {
            peers.agree_on_renomination();
        }
        let mut addresses = [vec!["10.0.0.1:1000".to_owned()], vec!["10.0.0.2:2000".to_owned()]];
        for number in 0..4 + up_to(8) {
            // Sometimes at once, sometimes after all is settled.
            peers.run_for(Duration::from_millis(
                [0, up_to(100), up_to(2_000), up_to(12_000)][up_to(3) as usize],
            ));
            let side = up_to(1) as usize;
            for side in [side, 1 - side].into_iter().take(1 + up_to(1) as usize) {
                let (comes, goes) =
                    [(true, false), (true, true), (false, true), (true, true)][up_to(3) as usize];
                let leaves_first = up_to(1) == 0;
                let new = format!("10.{}.{number}.1:{}", side + 1, 3000 + number);
                let is_last = addresses[side].len() == 1 && !comes;
                let go = |peers: &mut Peers, addresses: &mut [Vec<String>; 2]| {
                    let place = up_to(addresses[side].len() as u64 - 1) as usize;
                    let gone = addresses[side].remove(place);
                    peers.remove_address(side, address(&gone));
                };
                if goes && !is_last && leaves_first {
                    go(&mut peers, &mut addresses);
                    if comes {
                        peers.run_for(Duration::from_millis(up_to(5_000)));
                    }
                }
                if comes {
                    peers.add_address(side, &new);
                    addresses[side].push(new);
                }
                if goes && !is_last && !leaves_first {
                    go(&mut peers, &mut addresses);
                }
            }
            if up_to(7) == 0 {
                restart(&mut peers);
            }
        }
        let connected = peers.run_until(MINUTE, |p| {
            let accepted = |p: &Peers, side: usize| {
                p.path(side).is_some_and(|path| {
                    p.agent(1 - side).is_validated(&FiveTuple::udp(path.remote, path.local))
                })
            };
            // Checks of addresses that are gone may take their time.
            let works = |side: usize| {
                matches!(p.agent(side).state(), IceConnectionState::Connected | IceConnectionState::Completed)
            };
            accepted(p, 0) && accepted(p, 1) && works(0) && works(1)
        });
        assert!(connected, "seed {seed}: {addresses:?} {:#?} {:#?}", peers.describe(0), peers.describe(1));
        for (side, addresses) in addresses.iter().enumerate() {
            let told = peers.agent(side).local_candidates().count();
            assert!(told <= 2 * addresses.len() + 2, "seed {seed}");
        }
    }
}
