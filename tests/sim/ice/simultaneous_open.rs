//! Simultaneous-open TCP candidates, RFC 6544.

use kaon_rtc::ice::StunServer;
use kaon_rtc::layer::{Protocol, TcpKind};

use super::*;

const HERE: &str = "10.0.0.1:1001";
const THERE: &str = "10.1.0.2:2001";
const SERVER: &str = "192.0.2.50:3478";

use NatBehavior::{AddressAndPortDependent as Port, AddressDependent as Address, EndpointIndependent as Any};

/// No UDP passes between two sides that open streams at the same time from an address of each.
fn peers(seed: u64, nats: [Option<Nat>; 2], udp: bool) -> Peers {
    let mut number = 0;
    let sides = nats.map(|nat| {
        number += 1;
        let (at, role) = match number {
            1 => ("10.0.0.1:1000", IceRole::Controlling),
            _ => ("10.1.0.2:2000", IceRole::Controlled),
        };
        let mut side = Side::new(&[at], role);
        side.config.simultaneous_open = true;
        side.config.stun_stream_servers = vec![StunServer::tcp(address(SERVER))];
        side.nat = nat;
        side
    });
    let mut peers = Peers::new(seed, Link { udp, ..delay(20) }, sides);
    peers.add_server(SERVER);
    peers.simulation.listen(address(SERVER));
    let now = peers.simulation.now();
    for (side, at) in [HERE, THERE].into_iter().enumerate() {
        peers.agent_mut(side).add_simultaneous_open_address(now, address(at).into()).unwrap();
    }
    peers
}

fn connect(peers: &mut Peers) -> bool {
    peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed))
}

fn lines(peers: &Peers, side: usize) -> Vec<String> {
    let candidates = peers.agent(side).local_candidates();
    candidates.filter(|it| it.protocol == Protocol::Tcp).map(ToString::to_string).collect()
}

/// Neither lets the other's stream in before it has opened one itself: the first SYN of one of them is lost.
#[test]
fn two_sides_behind_nats_that_let_nothing_in_meet_by_tcp() {
    for filtering in [Any, Address, Port] {
        for seed in seeds(20) {
            let mut peers = peers(seed, [Some(nat(1, Any, filtering)), Some(nat(2, Any, filtering))], false);
            assert!(connect(&mut peers), "seed {seed}: {:?} {:?}", peers.states(0), peers.states(1));
            let paths = [0, 1].map(|side| peers.path(side).unwrap());
            assert_eq!(paths.map(|path| path.protocol), [Protocol::Tcp; 2]);
            assert_eq!(paths.map(|path| path.local), [address(HERE), address(THERE)]);
            for side in 0..2 {
                let pair = peers.agent(side).selected_pair().unwrap();
                let kinds = [pair.local.tcp_kind, pair.remote.tcp_kind];
                assert_eq!(kinds, [Some(TcpKind::SimultaneousOpen); 2]);
                assert_eq!(pair.local.kind, CandidateKind::ServerReflexive, "seed {seed}");
                // That to the STUN server is not needed any more.
                peers.run_for(Duration::from_secs(1));
                assert_eq!(peers.simulation.streams(peers.hosts[side]), 1, "seed {seed}");
            }
            peers.run_for(3 * MINUTE);
            assert!(peers.is(IceConnectionState::Completed), "seed {seed}: consent keeps it");
        }
    }
}

/// A mapping that depends on the other end is another one for the peer than it was for the server.
#[test]
fn what_a_nat_maps_by_the_other_end_is_not_found() {
    for mapping in [Address, Port] {
        let mut peers = peers(1, [Some(nat(1, mapping, mapping)), Some(nat(2, mapping, mapping))], false);
        assert!(!connect(&mut peers), "{mapping:?}");
        peers.run_for(MINUTE);
        for host in peers.hosts {
            assert!(peers.simulation.streams(host) <= 1, "none but that to the server");
        }
    }
}

/// Without a NAT the hosts refuse a stream that they are not opening themselves, and take one that they are.
#[test]
fn hosts_that_nothing_is_in_front_of_meet_whoever_is_first() {
    for listens in [false, true] {
        for seed in seeds(20) {
            let mut peers = peers(seed, [None, None], false);
            if listens {
                [HERE, THERE].into_iter().for_each(|at| peers.simulation.listen(address(at)));
            }
            // One of them knows the other's candidates later.
            peers.signalling = false;
            peers.run_for(Duration::from_millis(300));
            let told: [Vec<_>; 2] =
                [0, 1].map(|side| peers.agent(side).local_candidates().cloned().collect());
            let now = peers.simulation.now();
            let first = (seed % 2) as usize;
            for candidate in &told[first] {
                peers.agent_mut(1 - first).add_remote_candidate(now, candidate.clone()).unwrap();
            }
            peers.run_for(Duration::from_millis(seed * 50));
            let now = peers.simulation.now();
            for candidate in &told[1 - first] {
                peers.agent_mut(first).add_remote_candidate(now, candidate.clone()).unwrap();
            }
            for side in 0..2 {
                peers.agent_mut(side).end_of_remote_candidates(now);
            }
            // The first pair that is there may be nominated before a candidate of UDP is known, which is checked all the same.
            let met = peers.run_until(MINUTE, |p| p.path(0).is_some() && p.path(1).is_some());
            assert!(met, "seed {seed}: {:?} {:?}", peers.states(0), peers.states(1));
            let took = peers.simulation.now() - now;
            assert!(took < Duration::from_secs(1), "seed {seed}, listens {listens}: {took:?}");
            let [here, there] = [0, 1].map(|side| peers.path(side).unwrap());
            assert_eq!((here.local, here.remote), (address(HERE), address(THERE)), "seed {seed}");
            assert_eq!((there.local, there.remote), (address(THERE), address(HERE)), "seed {seed}");
            peers.run_for(MINUTE);
            assert_eq!(peers.simulation.streams(peers.hosts[0]), 1, "seed {seed}");
        }
    }
}

#[test]
fn candidates_say_how_they_connect_and_rank_behind_udp() {
    let mut peers = peers(1, [Some(nat(1, Any, Any)), None], true);
    peers.run_for(Duration::from_millis(200));
    let [host, reflexive] = &lines(&peers, 0)[..] else { panic!("{:?}", lines(&peers, 0)) };
    assert!(host.ends_with(" 10.0.0.1 1001 typ host tcptype so"), "{host}");
    assert!(reflexive.contains(" typ srflx raddr 10.0.0.1 rport 1001 tcptype so"), "{reflexive}");
    assert!(connect(&mut peers));
    assert_eq!(peers.path(0).unwrap().protocol, Protocol::Udp);
    peers.run_for(MINUTE);
    for host in peers.hosts {
        assert_eq!(peers.simulation.streams(host), 0);
    }
}

#[test]
fn a_stream_that_breaks_is_opened_again_from_both_sides() {
    for seed in seeds(20) {
        let mut peers = peers(seed, [Some(nat(1, Any, Port)), Some(nat(2, Any, Port))], false);
        assert!(connect(&mut peers), "seed {seed}");
        peers.run_for(Duration::from_millis(seed * 100));
        peers.simulation.break_streams(peers.hosts[(seed % 2) as usize]);
        let at = peers.simulation.now();
        peers.run_for(Duration::from_millis(100));
        assert!(connect(&mut peers), "seed {seed}: {:?} {:?}", peers.states(0), peers.states(1));
        let took = peers.simulation.now() - at;
        assert!(took < Duration::from_secs(5), "seed {seed}: {took:?}");
    }
}

#[test]
fn a_restart_tells_the_reflexive_candidate_again() {
    let mut peers = peers(1, [Some(nat(1, Any, Any)), None], true);
    peers.signalling = false;
    peers.run_for(Duration::from_millis(200));
    let before = lines(&peers, 0);
    assert_eq!(before.len(), 2);
    peers.told[0].clear();
    let now = peers.simulation.now();
    peers.restart(0, now).unwrap();
    peers.run_for(Duration::from_secs(10));
    assert_eq!(lines(&peers, 0).len(), 2);
    let told = peers.told[0].iter().filter(|event| {
        matches!(event, IceEvent::LocalCandidate(it) if it.tcp_kind.is_some() && it.kind == CandidateKind::ServerReflexive)
    });
    assert_eq!(told.count(), 1);
    assert_eq!(peers.simulation.streams(peers.hosts[0]), 1, "the stream of before serves");
}

#[test]
fn who_does_not_want_it_has_none_of_it() {
    let sides = [
        Side::new(&["10.0.0.1:1000"], IceRole::Controlling),
        Side::new(&["10.1.0.2:2000"], IceRole::Controlled),
    ];
    let mut peers = Peers::new(1, delay(20), sides);
    let now = peers.simulation.now();
    assert!(peers.agent_mut(0).add_simultaneous_open_address(now, address(HERE).into()).is_err());
    let line = "candidate:1 1 tcp 1518280246 10.1.0.2 2001 typ host tcptype so";
    peers.agent_mut(0).add_remote_candidate(now, line.parse().unwrap()).unwrap();
    assert!(connect(&mut peers));
    let pairs = peers.agent(0).candidate_pairs();
    assert!(pairs.iter().all(|pair| pair.pair.path.protocol == Protocol::Udp), "{pairs:?}");
}
