//! Relays that are reached by streams.

use kaon_rtc::ice::{ServerTransport, TransportPolicy, TurnServer as Server};
use kaon_rtc::layer::{IceCandidateError, Protocol, RelayProtocol};

use super::*;
use crate::turn_server::{PASSWORD, USER};

const RELAY: &str = "192.0.2.50:3478";
const DEAD: &str = "192.0.2.66:3478";
const CLOSED: &str = "192.0.2.50:3479";

fn over(at: &str, transport: ServerTransport) -> Server {
    Server::new(address(at), USER, PASSWORD).with_transport(transport)
}

fn peers(seed: u64, servers: Vec<Server>) -> (Peers, HostId) {
    let mut here = Side::new(&["10.0.0.1:1000"], IceRole::Controlling);
    here.config.turn_servers = servers;
    let there = Side::new(&["10.1.0.2:2000"], IceRole::Controlled);
    let mut peers = Peers::new(seed, delay(20), [here, there]);
    let host = peers.simulation.network().add_host([address(RELAY).ip()]);
    let server = TurnServer::new(provider(77), address(RELAY));
    peers.simulation.add_layer(host, Node::Relay(Box::new(server)));
    peers.simulation.listen(address(RELAY));
    (peers, host)
}

/// Nothing of UDP leaves the host of the first side, and none comes.
fn without_udp(peers: &mut Peers, relay: HostId) {
    let [here, there] = peers.hosts;
    let link = Link { udp: false, ..delay(20) };
    for other in [there, relay] {
        peers.simulation.network().set_link(here, other, link.clone());
        peers.simulation.network().set_link(other, here, link.clone());
    }
}

fn errors(peers: &Peers) -> Vec<&IceCandidateError> {
    let errors = peers.told[0].iter().filter_map(|event| match event {
        IceEvent::CandidateError(error) => Some(&**error),
        _ => None,
    });
    errors.collect()
}

fn relayed(peers: &Peers) -> Vec<(RelayProtocol, u32, String)> {
    let agent = peers.agent(0);
    let relayed = agent.local_candidates().filter(|candidate| candidate.kind == CandidateKind::Relayed);
    let described = relayed.map(|candidate| {
        let protocol = agent.relay_protocol(candidate).unwrap();
        (protocol, candidate.priority, candidate.foundation.clone())
    });
    described.collect()
}

#[test]
fn a_stream_to_the_relay_connects_where_udp_is_blocked() {
    for transport in [ServerTransport::Tcp, ServerTransport::Tls] {
        for seed in seeds(20) {
            let udp = over(RELAY, ServerTransport::Udp);
            let (mut peers, relay) = peers(seed, vec![udp, over(RELAY, transport)]);
            without_udp(&mut peers, relay);
            assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)), "seed {seed}");
            let pair = peers.agent(0).selected_pair().unwrap().clone();
            assert_eq!((pair.local.kind, pair.path.protocol), (CandidateKind::Relayed, Protocol::Udp));
            // The mapped address of a stream is none of UDP.
            let kinds: Vec<_> = peers.agent(0).local_candidates().map(|candidate| candidate.kind).collect();
            assert!(!kinds.contains(&CandidateKind::ServerReflexive), "{kinds:?}");
            peers.run_for(11 * MINUTE);
            assert!(peers.is(IceConnectionState::Completed), "seed {seed}: what is relayed stays permitted");
            // It leaves with its allocation and its stream.
            peers.agent_mut(0).close();
            peers.run_for(Duration::from_secs(1));
            assert_eq!(peers.simulation.streams(relay), 0, "seed {seed}");
            match peers.simulation.layer(relay) {
                Node::Relay(server) => assert_eq!(server.allocations(), 0, "seed {seed}"),
                _ => unreachable!(),
            }
        }
    }
}

#[test]
fn relays_over_udp_are_preferred_and_each_has_a_foundation() {
    use ServerTransport::{Tcp, Tls, Udp};
    let servers = [Tls, Tcp, Udp].map(|transport| over(RELAY, transport));
    let (mut peers, _) = peers(1, servers.to_vec());
    assert!(peers.run_until(MINUTE, |p| relayed(p).len() == 3));
    let mut found = relayed(&peers);
    assert_eq!(found.iter().map(|it| it.0).next(), Some(RelayProtocol::Udp), "it is asked first");
    found.sort_by_key(|(_, priority, _)| std::cmp::Reverse(*priority));
    let order: Vec<_> = found.iter().map(|it| it.0).collect();
    assert_eq!(order, [RelayProtocol::Udp, RelayProtocol::Tcp, RelayProtocol::Tls]);
    let foundations: BTreeSet<_> = found.iter().map(|it| &it.2).collect();
    assert_eq!(foundations.len(), 3);
}

#[test]
fn servers_that_take_no_streams_are_told_of_and_delay_nothing() {
    let servers = [DEAD, CLOSED, RELAY].map(|at| over(at, ServerTransport::Tcp));
    let (mut peers, _) = peers(1, servers.to_vec());
    let at_relay = |p: &mut Peers| !relayed(p).is_empty();
    assert!(peers.run_until(Duration::from_secs(1), at_relay), "the others are not waited for");
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    assert!(peers.simulation.elapsed() < Duration::from_secs(7), "{:?}", peers.simulation.elapsed());
    let told: Vec<_> =
        errors(&peers).into_iter().map(|error| (error.error_code, error.url.as_str())).collect();
    let [closed, dead] = [CLOSED, DEAD].map(|at| format!("turn:{at}?transport=tcp"));
    assert_eq!(told, [(701, closed.as_str()), (701, dead.as_str())]);
    let texts: Vec<_> = errors(&peers).into_iter().map(|error| error.error_text.clone()).collect();
    assert!(texts[0].contains("refused") && texts[1].contains("firewall"), "{texts:?}");
}

#[test]
fn a_stream_that_breaks_is_opened_again_with_an_allocation() {
    for seed in seeds(50) {
        let (mut peers, relay) = peers(seed, vec![over(RELAY, ServerTransport::Tcp)]);
        without_udp(&mut peers, relay);
        assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)), "seed {seed}");
        let before = peers.path(0).unwrap();
        peers.run_for(Duration::from_secs(seed));
        peers.simulation.break_streams(relay);
        let at = peers.simulation.now();
        let again = peers.run_until(MINUTE, |p| {
            p.path(0).is_some_and(|path| path.local != before.local) && p.is(IceConnectionState::Completed)
        });
        assert!(again, "seed {seed}: {:?} {:?}", peers.states(0), peers.states(1));
        let took = peers.simulation.now() - at;
        assert!(took < Duration::from_secs(5), "seed {seed}: {took:?}");
        assert_eq!(peers.simulation.streams(relay), 1, "seed {seed}");
    }
}

#[test]
fn a_server_that_breaks_every_stream_is_left() {
    let mut here = Side::new(&["10.0.0.1:1000"], IceRole::Controlling);
    here.config.turn_servers = vec![over(RELAY, ServerTransport::Tcp)];
    here.config.transport_policy = TransportPolicy::Relay;
    let there = Side::new(&["10.1.0.2:2000"], IceRole::Controlled);
    let mut peers = Peers::new(1, delay(20), [here, there]);
    let relay = peers.simulation.network().add_host([address(RELAY).ip()]);
    let server = TurnServer::new(provider(77), address(RELAY));
    peers.simulation.add_layer(relay, Node::Relay(Box::new(server)));
    peers.simulation.listen(address(RELAY));
    let mut broken = 0;
    while errors(&peers).is_empty() && broken < 100 {
        peers.run_until(MINUTE, |p| !relayed(p).is_empty() || !errors(p).is_empty());
        peers.simulation.break_streams(relay);
        broken += 1;
        peers.run_for(Duration::from_millis(30));
    }
    assert!((2..10).contains(&broken), "{broken}");
    assert_eq!(errors(&peers)[0].error_code, 701);
    peers.run_for(MINUTE);
    assert_eq!(peers.simulation.streams(relay), 0);
}
