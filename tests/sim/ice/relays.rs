//! Relayed candidates: where nothing else connects, and where nothing else may.

use std::collections::BTreeSet;

use kaon_rtc::ice::{ServerTransport, TransportPolicy, TurnServer as Server};
use kaon_rtc::layer::IceCandidateError;

use super::*;
use crate::turn_server::{PASSWORD, TurnServer, USER};

const RELAY: &str = "192.0.2.50:3478";
const DEAD: &str = "192.0.2.66:3478";

impl Peers {
    fn add_relay(&mut self, at: &str) -> HostId {
        let host = self.simulation.network().add_host([address(at).ip()]);
        let server = TurnServer::new(provider(77), address(at));
        self.simulation.add_layer(host, Node::Relay(Box::new(server)));
        host
    }

    fn relay(&mut self, host: HostId) -> &mut TurnServer {
        match self.simulation.layer_mut(host) {
            Node::Relay(server) => server,
            _ => unreachable!(),
        }
    }

    fn seen(&self, side: usize) -> BTreeSet<IpAddr> {
        match self.simulation.layer(self.hosts[side]) {
            Node::Agent(_, seen) => seen.clone(),
            _ => unreachable!(),
        }
    }

    fn kinds(&self, side: usize) -> Option<[CandidateKind; 2]> {
        self.agent(side).selected_pair().map(|pair| [pair.local.kind, pair.remote.kind])
    }

    fn errors(&self, side: usize) -> Vec<&IceCandidateError> {
        let errors = self.told[side].iter().filter_map(|event| match event {
            IceEvent::CandidateError(error) => Some(&**error),
            _ => None,
        });
        errors.collect()
    }
}

impl Side {
    fn with_relays(mut self, servers: &[&str]) -> Self {
        self.config.turn_servers =
            servers.iter().map(|at| Server::new(address(at), USER, PASSWORD)).collect();
        self
    }

    fn relay_only(mut self) -> Self {
        self.config.transport_policy = TransportPolicy::Relay;
        self
    }
}

fn here() -> Side {
    Side::new(&["10.0.0.1:1000"], IceRole::Controlling)
}

fn there() -> Side {
    Side::new(&["10.1.0.2:2000"], IceRole::Controlled)
}

fn is_relayed(kinds: Option<[CandidateKind; 2]>) -> bool {
    kinds.is_some_and(|kinds| kinds.contains(&CandidateKind::Relayed))
}

const SYMMETRIC: [NatBehavior; 2] = [NatBehavior::AddressAndPortDependent; 2];

fn behind(last: u8, [mapping, filtering]: [NatBehavior; 2]) -> Nat {
    nat(last, mapping, filtering)
}

/// As [`rough_link`], with half the loss, since most datagrams cross it twice, and without corruption: the first challenge
/// of a server has nothing but the checksum of UDP that would show it.
fn bumpy_link(seed: u64) -> Link {
    let link = rough_link(seed);
    Link { loss: link.loss / 2.0, corruption: 0.0, ..link }
}

/// Which of two NATs connect, without a relay and with one on one side, and by what.
#[test]
fn a_relay_connects_what_nothing_else_does() {
    use NatBehavior::{
        AddressAndPortDependent as Port, AddressDependent as Address, EndpointIndependent as Any,
    };
    let kinds = [[Any, Any], [Any, Address], [Any, Port], [Port, Address], [Port, Port]];
    for (a, one) in kinds.into_iter().enumerate() {
        for (b, other) in kinds.into_iter().enumerate() {
            let connects = |relays: &[&str]| {
                let sides = [
                    here().behind(behind(1, one)).with_servers(&[RELAY]).with_relays(relays),
                    there().behind(behind(2, other)).with_servers(&[RELAY]),
                ];
                let mut peers = Peers::new((a * 10 + b) as u64, delay(20), sides);
                peers.add_relay(RELAY);
                let connected = peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed));
                connected.then(|| is_relayed(peers.kinds(0)) || is_relayed(peers.kinds(1)))
            };
            let (direct, with_relay) = (connects(&[]), connects(&[RELAY]));
            assert_ne!(direct, Some(true), "{one:?} {other:?}: there is no relay");
            // By the relay where nothing else leads there, and nowhere else.
            assert_eq!(with_relay, Some(direct.is_none()), "{one:?} {other:?}");
        }
    }
}

#[test]
fn two_symmetric_nats_connect_by_a_relay_on_rough_networks() {
    for seed in seeds(200) {
        let link = bumpy_link(seed);
        let sides = [
            here().behind(behind(1, SYMMETRIC)).with_relays(&[RELAY]),
            there().behind(behind(2, SYMMETRIC)).with_relays(&[RELAY]),
        ];
        let mut peers = Peers::new(seed, link, sides);
        peers.add_relay(RELAY);
        let connected = peers.run_until(2 * MINUTE, |p| p.is(IceConnectionState::Completed));
        assert!(connected, "seed {seed}: {:?} {:?}", peers.states(0), peers.states(1));
        assert!(is_relayed(peers.kinds(0)) && is_relayed(peers.kinds(1)), "seed {seed}");
    }
}

#[test]
fn the_policy_relay_shows_no_other_address() {
    for seed in seeds(100) {
        let link = bumpy_link(seed);
        let sides = [here().with_relays(&[RELAY]).with_servers(&[RELAY]).relay_only(), there()];
        let mut peers = Peers::new(seed, link, sides);
        let relay = peers.add_relay(RELAY);
        // The other side knows the address all the same, and checks it.
        let guessed = "candidate:9 1 udp 2130706431 10.0.0.1 1000 typ host".parse().unwrap();
        let now = peers.simulation.now();
        peers.agent_mut(1).add_remote_candidate(now, guessed).unwrap();
        let connected = peers.run_until(2 * MINUTE, |p| p.agree() && p.is(IceConnectionState::Completed));
        assert!(connected, "seed {seed}: {:?} {:?}", peers.states(0), peers.states(1));
        peers.run_for(MINUTE);
        assert_eq!(peers.seen(1), BTreeSet::from([address(RELAY).ip()]), "seed {seed}");
        let told: Vec<_> = peers.agent(0).local_candidates().map(|candidate| candidate.kind).collect();
        assert_eq!(told, [CandidateKind::Relayed]);
        let candidate = peers.agent(0).local_candidates().next().unwrap();
        assert_eq!(candidate.related, Some(address("0.0.0.0:9")), "nor does what it is related to");
        assert!(peers.relay(relay).by_channel > 0, "seed {seed}: consent goes by a channel");
    }
}

#[test]
fn a_direct_path_is_preferred_however_late_it_answers() {
    for seed in seeds(100) {
        let sides = [
            here().with_relays(&[RELAY]),
            Side::new(&["10.0.0.2:2000"], IceRole::Controlled).with_relays(&[RELAY]),
        ];
        let mut peers = Peers::new(seed, delay(20), sides);
        peers.add_relay(RELAY);
        let [a, b] = peers.hosts;
        let slow = Link { delay: Duration::from_millis(300), loss: 0.1, ..Link::default() };
        peers.simulation.network().set_link(a, b, slow.clone());
        peers.simulation.network().set_link(b, a, slow);
        assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)), "seed {seed}");
        assert_eq!(peers.kinds(0), Some([CandidateKind::Host; 2]), "seed {seed}");
    }
}

#[test]
fn a_relay_that_begins_anew_is_asked_anew() {
    for seed in seeds(50) {
        let sides = [here().with_relays(&[RELAY]).relay_only(), there()];
        let mut peers = Peers::new(seed, delay(20), sides);
        let relay = peers.add_relay(RELAY);
        assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)), "seed {seed}");
        let before = peers.path(0).unwrap();
        peers.run_for(Duration::from_secs(seed));
        peers.relay(relay).restart();
        let at = peers.simulation.now();
        let again = peers.run_until(MINUTE, |p| {
            p.path(0).is_some_and(|path| path.local != before.local) && p.is(IceConnectionState::Completed)
        });
        assert!(again, "seed {seed}: {:?} {:?}", peers.states(0), peers.states(1));
        let took = peers.simulation.now() - at;
        assert!(took < Duration::from_secs(15), "seed {seed}: {took:?}");
        assert_eq!(peers.agent(0).local_candidates().count(), 1, "the lost one is gone");
    }
}

#[test]
fn a_relay_that_is_lost_leaves_the_other_pairs() {
    let sides = [here().with_relays(&[RELAY, DEAD]), there()];
    let mut peers = Peers::new(1, delay(20), sides);
    let relay = peers.add_relay(RELAY);
    let [a, b] = peers.hosts;
    // At first nothing goes directly.
    let down = Link { up: false, ..Link::default() };
    peers.simulation.network().set_link(a, b, down.clone());
    peers.simulation.network().set_link(b, a, down.clone());
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    assert!(is_relayed(peers.kinds(0)));
    peers.simulation.network().set_link(a, b, delay(20));
    peers.simulation.network().set_link(b, a, delay(20));
    for (from, to) in [(a, relay), (relay, a), (b, relay), (relay, b)] {
        peers.simulation.network().set_link(from, to, down.clone());
    }
    assert!(peers.run_until(MINUTE, |p| p.kinds(0) == Some([CandidateKind::Host; 2])));
    assert!(peers.run_until(MINUTE, |p| p.agree() && p.path(1).is_some()));
}

#[test]
fn without_any_relay_the_policy_relay_fails_with_the_reason() {
    let mut side = here().with_relays(&[RELAY]).relay_only();
    side.config.turn_servers[0].credential = "wrong".to_owned();
    let mut peers = Peers::new(1, delay(20), [side, there()]);
    peers.add_relay(RELAY);
    assert!(peers.run_until(MINUTE, |p| p.agent(0).state() == IceConnectionState::Failed));
    assert!(peers.simulation.elapsed() < Duration::from_secs(2), "there is nothing to wait for");
    let [error] = peers.errors(0)[..] else { panic!("{:?}", peers.errors(0)) };
    assert_eq!((error.error_code, error.url.as_str()), (401, "turn:192.0.2.50:3478?transport=udp"));
    assert_eq!(error.address, Some(address("10.0.0.1:1000")));
    let failure = peers.agent(0).failure().unwrap().to_string();
    assert!(failure.contains("192.0.2.50:3478") && failure.contains("password"), "{failure}");
    assert!(peers.seen(1).is_empty());
}

#[test]
fn a_dead_server_delays_nothing() {
    let time = |servers: &[&str]| {
        let sides = [
            here().behind(behind(1, SYMMETRIC)).with_relays(servers),
            there().behind(behind(2, SYMMETRIC)).with_servers(&[RELAY]),
        ];
        let mut peers = Peers::new(1, delay(20), sides);
        peers.add_relay(RELAY);
        let is_connected = |p: &mut Peers| p.path(0).is_some() && p.path(1).is_some();
        assert!(peers.run_until(MINUTE, is_connected));
        let time = peers.simulation.elapsed();
        assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
        let codes: Vec<u16> = peers.errors(0).iter().map(|error| error.error_code).collect();
        assert_eq!(codes, vec![701; servers.len() - 1]);
        time
    };
    let alone = time(&[RELAY]);
    // Ta for each question that goes before.
    assert!(time(&[DEAD, RELAY]) <= alone + Duration::from_millis(100));
    assert!(time(&["192.0.2.67:3478", DEAD, RELAY]) <= alone + Duration::from_millis(150));
}

#[test]
fn a_server_that_is_asked_for_both_answers_one_question() {
    let sides = [here().behind(behind(1, SYMMETRIC)).with_servers(&[RELAY]).with_relays(&[RELAY]), there()];
    let mut peers = Peers::new(1, delay(20), sides);
    peers.add_relay(RELAY);
    peers.signalling = false;
    peers.run_for(Duration::from_secs(1));
    let kinds: Vec<_> = peers.agent(0).local_candidates().map(|candidate| candidate.kind).collect();
    assert_eq!(kinds, [CandidateKind::Host, CandidateKind::ServerReflexive, CandidateKind::Relayed]);
    let relayed = peers.agent(0).local_candidates().last().unwrap();
    assert_eq!(relayed.related, Some(address("198.51.100.1:40000")), "RFC 8445 §5.3: the mapped address");
    assert_eq!(relayed.priority >> 24, 0, "RFC 8445 §5.1.2.2");
    assert_eq!(peers.simulation.network().stats().sent, 4, "two Allocates, and no Binding request");
}

#[test]
fn a_server_that_refuses_still_tells_what_it_sees() {
    let mut side = here().behind(behind(1, SYMMETRIC)).with_servers(&[RELAY]).with_relays(&[RELAY]);
    side.config.turn_servers[0].credential = "wrong".to_owned();
    let mut peers = Peers::new(1, delay(20), [side, there()]);
    peers.add_relay(RELAY);
    peers.signalling = false;
    peers.run_for(Duration::from_secs(1));
    let kinds: Vec<_> = peers.agent(0).local_candidates().map(|candidate| candidate.kind).collect();
    assert_eq!(kinds, [CandidateKind::Host, CandidateKind::ServerReflexive]);
}

#[test]
fn a_restart_keeps_the_allocation() {
    let sides = [here().with_relays(&[RELAY]).relay_only(), there()];
    let mut peers = Peers::new(1, delay(20), sides);
    let relay = peers.add_relay(RELAY);
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    let before = peers.path(0);
    restart(&mut peers);
    assert!(peers.run_until(MINUTE, |p| p.agree() && p.is(IceConnectionState::Completed)));
    assert_eq!(peers.path(0), before);
    assert_eq!(peers.relay(relay).allocations(), 1);
}

#[test]
fn an_agent_that_closes_gives_its_allocation_back() {
    let sides = [here().with_relays(&[RELAY]), there().with_relays(&[RELAY])];
    let mut peers = Peers::new(1, delay(20), sides);
    let relay = peers.add_relay(RELAY);
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    assert_eq!(peers.relay(relay).allocations(), 2);
    peers.agent_mut(0).close();
    // It is asked for what it still has to send when the peer's next check comes.
    peers.run_for(Duration::from_secs(10));
    assert_eq!(peers.relay(relay).allocations(), 1);
    assert_eq!(peers.agent(0).poll_timeout(), None);
}

/// Ten minutes and more: refreshes, permissions and channels are renewed.
#[test]
fn an_idle_hour_is_kept_alive() {
    let sides = [here().with_relays(&[RELAY]).relay_only(), there().with_relays(&[RELAY]).relay_only()];
    let mut peers = Peers::new(1, delay(20), sides);
    let relay = peers.add_relay(RELAY);
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    let before = peers.relay(relay).by_indication;
    peers.run_for(60 * MINUTE);
    assert!(peers.is(IceConnectionState::Completed));
    assert!(peers.relay(relay).by_indication <= before + 8, "data goes by channels");
}

#[test]
fn a_peer_that_the_server_forbids_is_reached_by_other_pairs() {
    let sides = [here().with_relays(&[RELAY]), there()];
    let mut peers = Peers::new(1, delay(20), sides);
    let relay = peers.add_relay(RELAY);
    peers.relay(relay).forbidden.push(ip("10.1.0.2"));
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    assert_eq!(peers.kinds(0), Some([CandidateKind::Host; 2]));
    assert_eq!(peers.relay(relay).by_indication, 0);
}

#[test]
fn a_channel_that_is_not_renewed_gives_way_to_indications() {
    for code in [403, 438, 508] {
        let sides = [here().with_relays(&[RELAY]).relay_only(), there()];
        let mut peers = Peers::new(1, delay(20), sides);
        let relay = peers.add_relay(RELAY);
        assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
        let path = peers.path(0);
        peers.run_for(MINUTE);
        peers.relay(relay).refuses_channels = kaon_rtc::stun::ErrorCode::new(code);
        let lost = peers.run_until(30 * MINUTE, |p| !p.is(IceConnectionState::Completed));
        assert!(!lost, "{code}: {:?} {:?}", peers.states(0), peers.states(1));
        assert_eq!(peers.path(0), path, "{code}");
        let before = peers.relay(relay).by_channel;
        peers.run_for(MINUTE);
        assert_eq!(peers.relay(relay).by_channel, before, "{code}");
    }
}

/// No address goes away, and nobody restarts.
#[test]
fn a_relay_takes_over_when_the_direct_path_is_cut() {
    for minutes in [0, 12] {
        let sides = [here().with_relays(&[RELAY]), there().with_relays(&[RELAY])];
        let mut peers = Peers::new(1, delay(20), sides);
        peers.add_relay(RELAY);
        assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
        assert_eq!(peers.kinds(0), Some([CandidateKind::Host; 2]));
        peers.run_for(minutes * MINUTE);
        let [a, b] = peers.hosts;
        let down = Link { up: false, ..Link::default() };
        peers.simulation.network().set_link(a, b, down.clone());
        peers.simulation.network().set_link(b, a, down.clone());
        let is_over = |p: &mut Peers| is_relayed(p.kinds(0)) && is_relayed(p.kinds(1)) && p.agree();
        assert!(peers.run_until(MINUTE, is_over), "{minutes}: {:?} {:?}", peers.states(0), peers.states(1));
        peers.run_for(MINUTE);
        assert!(is_over(&mut peers), "{minutes}");
    }
}

/// RFC 8016: the address goes under what is relayed, before or after another one is there; the relayed address stays, and
/// nobody has to be told.
#[test]
fn an_allocation_comes_along_when_its_address_goes() {
    for (comes_first, seed) in [(true, 1), (false, 2)] {
        let mut sides = [here().with_relays(&[RELAY]).relay_only(), there()];
        sides[0].config.relay_mobility = true;
        let mut peers = Peers::new(seed, delay(20), sides);
        let relay = peers.add_relay(RELAY);
        peers.relay(relay).mobility = true;
        let complete = |p: &mut Peers| p.agree() && p.is(IceConnectionState::Completed);
        assert!(peers.run_until(MINUTE, complete));
        let path = peers.path(0);
        let (host, gone, new) = (peers.hosts[0], address("10.0.0.1:1000"), address("10.0.9.1:1000"));
        let comes = |peers: &mut Peers| {
            let now = peers.simulation.now();
            peers.simulation.network().add_address(host, new.ip());
            peers.agent_mut(0).add_host_address(now, new).unwrap();
        };
        if comes_first {
            comes(&mut peers);
            peers.run_for(Duration::from_secs(5));
            assert_eq!(peers.relay(relay).allocations(), 2, "each address has one");
        }
        let now = peers.simulation.now();
        peers.simulation.network().remove_address(host, gone.ip());
        peers.agent_mut(0).remove_host_address(now, gone);
        assert_eq!(peers.path(0), path, "it is kept");
        if !comes_first {
            peers.run_for(Duration::from_secs(2));
            comes(&mut peers);
        }
        peers.run_for(Duration::from_secs(1));
        assert_eq!(peers.relay(relay).moves, 1);
        peers.run_for(Duration::from_secs(700));
        assert!(
            complete(&mut peers) && peers.path(0) == path,
            "its permissions and channel are renewed there"
        );
    }
}

/// A request that gives an allocation back may be lost, and its nonce may have grown old; an agent that was closed goes on
/// for as long as that takes, and no longer.
#[test]
fn an_allocation_is_given_back_through_loss_and_with_an_old_nonce() {
    for (lost_for, transport) in
        [(Duration::from_millis(1200), ServerTransport::Udp), (Duration::ZERO, ServerTransport::Tcp)]
    {
        let mut side = here().with_relays(&[RELAY]).relay_only();
        side.config.turn_servers[0].transport = transport;
        side.config.relay_mobility = true;
        let mut peers = Peers::new(1, delay(20), [side, there()]);
        let relay = peers.add_relay(RELAY);
        peers.simulation.listen(address(RELAY));
        peers.relay(relay).mobility = true;
        assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
        assert_eq!(peers.relay(relay).allocations(), 1);
        peers.relay(relay).nonce = b"another nonce";
        let here = peers.hosts[0];
        let cut = Link { up: false, ..delay(20) };
        if !lost_for.is_zero() {
            peers.simulation.network().set_link(here, relay, cut);
        }
        peers.agent_mut(0).close();
        assert!(peers.agent(0).is_leaving());
        peers.run_for(lost_for);
        assert_eq!(peers.relay(relay).allocations(), 1, "{transport:?}");
        peers.simulation.network().set_link(here, relay, delay(20));
        peers.run_for(Duration::from_secs(1));
        assert_eq!(peers.relay(relay).allocations(), 0, "{transport:?}");
        assert_eq!(peers.simulation.streams(relay), 0, "{transport:?}");
        assert_eq!((peers.agent(0).is_leaving(), peers.agent(0).poll_timeout()), (false, None));
    }
}

#[test]
fn a_server_that_is_gone_is_not_told_for_ever() {
    let mut peers = Peers::new(1, delay(20), [here().with_relays(&[RELAY]).relay_only(), there()]);
    let relay = peers.add_relay(RELAY);
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    let cut = Link { up: false, ..delay(20) };
    let here = peers.hosts[0];
    peers.simulation.network().set_link(here, relay, cut);
    peers.agent_mut(0).close();
    peers.run_for(Duration::from_secs(11));
    assert_eq!((peers.agent(0).is_leaving(), peers.agent(0).poll_timeout()), (false, None));
}
