//! TCP candidates, RFC 6544.

use kaon_rtc::layer::{Protocol, TcpKind};

use super::*;

const HERE: &str = "10.0.0.1:1000";
const THERE: &str = "10.1.0.2:2000";
const PORT: &str = "10.1.0.2:443";

/// The first side opens streams, and the second takes them at a port; no UDP passes unless told.
fn peers(seed: u64, controlling: usize, udp: bool, nat: Option<Nat>) -> Peers {
    let role = |side| if side == controlling { IceRole::Controlling } else { IceRole::Controlled };
    let mut here = Side::new(&[HERE], role(0));
    here.config.active_tcp = true;
    here.nat = nat;
    let there = Side::new(&[THERE], role(1));
    let mut peers = Peers::new(seed, Link { udp, ..delay(20) }, [here, there]);
    let now = peers.simulation.now();
    peers.agent_mut(1).add_passive_address(now, address(PORT).into()).unwrap();
    peers.simulation.listen(address(PORT));
    peers
}

fn kinds(peers: &Peers, side: usize) -> Option<[Option<TcpKind>; 2]> {
    peers.agent(side).selected_pair().map(|pair| [pair.local.tcp_kind, pair.remote.tcp_kind])
}

#[test]
fn a_stream_connects_where_no_udp_passes() {
    for controlling in 0..2 {
        for seed in seeds(30) {
            let nat = (seed % 2 == 0).then(|| {
                let port = NatBehavior::AddressAndPortDependent;
                nat(1, port, port)
            });
            let mut peers = peers(seed, controlling, false, nat);
            let connected = peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed));
            assert!(connected, "seed {seed}: {:?} {:?}", peers.states(0), peers.states(1));
            let [active, passive] = [0, 1].map(|side| peers.path(side).unwrap());
            assert_eq!((active.protocol, passive.protocol), (Protocol::Tcp, Protocol::Tcp));
            assert_eq!((active.remote, passive.local), (address(PORT), address(PORT)));
            assert_eq!(kinds(&peers, 1), Some([Some(TcpKind::Passive), Some(TcpKind::Active)]));
            assert_eq!(kinds(&peers, 0), Some([Some(TcpKind::Active), Some(TcpKind::Passive)]));
            for side in 0..2 {
                assert_eq!(peers.simulation.streams(peers.hosts[side]), 1, "seed {seed}");
            }
            // Consent keeps it.
            peers.run_for(3 * MINUTE);
            assert!(peers.is(IceConnectionState::Completed), "seed {seed}");
            peers.agent_mut(0).close();
            peers.run_for(Duration::from_secs(1));
            assert_eq!(peers.simulation.streams(peers.hosts[1]), 0, "seed {seed}");
        }
    }
}

#[test]
fn candidates_are_written_as_browsers_do() {
    let peers = peers(1, 0, false, None);
    let line = |side: usize| {
        let candidates = peers.agent(side).local_candidates();
        let tcp = candidates.filter(|candidate| candidate.protocol == Protocol::Tcp);
        tcp.map(ToString::to_string).collect::<Vec<_>>()
    };
    let [active] = &line(0)[..] else { panic!("{:?}", line(0)) };
    assert!(active.contains(" tcp ") && active.ends_with(" 10.0.0.1 9 typ host tcptype active"), "{active}");
    let [passive] = &line(1)[..] else { panic!("{:?}", line(1)) };
    assert!(passive.ends_with(" 10.1.0.2 443 typ host tcptype passive"), "{passive}");
}

#[test]
fn udp_is_preferred_where_it_passes_and_the_stream_is_closed() {
    for seed in seeds(20) {
        let mut peers = peers(seed, 0, true, None);
        assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)), "seed {seed}");
        assert_eq!(peers.path(0).unwrap().protocol, Protocol::Udp, "seed {seed}");
        peers.run_for(MINUTE);
        assert_eq!(peers.simulation.streams(peers.hosts[0]), 0, "seed {seed}");
    }
}

#[test]
fn a_stream_that_breaks_is_opened_again() {
    for controlling in 0..2 {
        for seed in seeds(30) {
            let mut peers = peers(seed, controlling, false, None);
            assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)), "seed {seed}");
            let before = peers.path(0).unwrap();
            peers.run_for(Duration::from_millis(seed * 100));
            peers.simulation.break_streams(peers.hosts[(seed % 2) as usize]);
            let at = peers.simulation.now();
            let again = peers.run_until(MINUTE, |p| {
                p.path(0).is_some_and(|path| path != before)
                    && p.agree()
                    && p.is(IceConnectionState::Completed)
            });
            assert!(again, "seed {seed}: {:?} {:?}", peers.states(0), peers.states(1));
            let took = peers.simulation.now() - at;
            assert!(took < Duration::from_secs(3), "seed {seed}: {took:?}");
            assert_eq!(peers.simulation.streams(peers.hosts[1]), 1, "seed {seed}");
        }
    }
}

#[test]
fn a_restart_has_a_stream_of_its_own_and_leaves_none_behind() {
    for seed in seeds(30) {
        let mut peers = peers(seed, 0, false, None);
        assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)), "seed {seed}");
        for _ in 0..3 {
            let now = peers.simulation.now();
            for side in 0..2 {
                peers.restart(side, now).unwrap();
            }
            for side in 0..2 {
                let credentials = peers.agent(1 - side).local_credentials().clone();
                peers.agent_mut(side).set_remote_credentials(now, credentials).unwrap();
            }
            peers.run_for(Duration::from_millis(100));
            assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)), "seed {seed}");
        }
        peers.run_for(MINUTE);
        assert_eq!(peers.simulation.streams(peers.hosts[1]), 1, "seed {seed}");
        assert!(peers.agree(), "seed {seed}");
    }
}

/// A closed port, one that swallows everything, and a stream that brings no answer.
#[test]
fn streams_that_lead_nowhere_delay_nothing() {
    let mut here = Side::new(&[HERE], IceRole::Controlling);
    here.config.active_tcp = true;
    let there = Side::new(&[THERE], IceRole::Controlled);
    let mut peers = Peers::new(1, delay(20), [here, there]);
    let now = peers.simulation.now();
    peers.simulation.listen(address("10.1.0.2:80"));
    for (at, priority) in [("10.1.0.2:443", 7), ("10.9.9.9:443", 6), ("10.1.0.2:80", 5)] {
        let (ip, port) = at.split_once(':').unwrap();
        let line =
            format!("candidate:{priority} 1 tcp 151828024{priority} {ip} {port} typ host tcptype passive");
        peers.agent_mut(0).add_remote_candidate(now, line.parse().unwrap()).unwrap();
    }
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    assert!(peers.simulation.elapsed() < Duration::from_secs(2), "{:?}", peers.simulation.elapsed());
    peers.run_for(MINUTE);
    assert_eq!(peers.simulation.streams(peers.hosts[0]), 0);
}

#[test]
fn nothing_is_repeated_in_a_stream() {
    let mut here = Side::new(&[HERE], IceRole::Controlling);
    here.config.active_tcp = true;
    let there = Side::new(&[THERE], IceRole::Controlled);
    let mut peers = Peers::new(1, Link { udp: false, ..delay(20) }, [here, there]);
    let now = peers.simulation.now();
    // The stream is taken, and its agent knows nothing of it: the checks are refused.
    peers.simulation.listen(address(PORT));
    let line = "candidate:1 1 tcp 1518280246 10.1.0.2 443 typ host tcptype passive";
    peers.agent_mut(0).add_remote_candidate(now, line.parse().unwrap()).unwrap();
    peers.run_for(Duration::from_secs(30));
    let pairs = peers.agent(0).candidate_pairs();
    let tcp: Vec<_> = pairs.iter().filter(|pair| pair.pair.path.protocol == Protocol::Tcp).collect();
    let [pair] = &tcp[..] else { panic!("{tcp:?}") };
    assert_eq!(pair.requests_sent, 1);
}
