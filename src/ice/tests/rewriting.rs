use std::net::{IpAddr, Ipv4Addr};

use super::*;

const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const PUBLIC_LOCAL: &str = "203.0.113.7:1000";

fn with_rules(rules: Vec<AddressRewriteRule>) -> Config {
    Config { address_rewrite_rules: rules, ..Config::default() }
}

/// The candidates that are told, as the peer reads them.
fn told(agent: &mut Agent) -> Vec<Candidate> {
    let mut told = Vec::new();
    while let Some(event) = agent.poll_event() {
        if let IceEvent::LocalCandidate(candidate) = event {
            told.push(candidate);
        }
    }
    told
}

fn addresses(candidates: &[Candidate]) -> Vec<String> {
    let address = |candidate: &Candidate| match &candidate.address {
        CandidateAddress::Ip(address) => address.to_string(),
        CandidateAddress::Name(name, port) => format!("{name}:{port}"),
    };
    candidates.iter().map(address).collect()
}

#[test]
fn a_replaced_address_is_told_as_a_host_candidate_without_the_base() {
    let mut scene = Scene::configured(Instant::now(), with_rules(vec![AddressRewriteRule::replace(PUBLIC)]));
    let [candidate] = &told(&mut scene.agent)[..] else { panic!("one candidate") };
    assert_eq!(
        candidate.to_string(),
        format!("candidate:1 1 udp {} 203.0.113.7 1000 typ host", candidate.priority)
    );
    // It is preferred as its base would be.
    let plain = told(&mut Scene::alone(IceRole::Controlling).agent);
    assert_eq!(candidate.priority, plain[0].priority);
}

#[test]
fn an_appended_address_is_another_candidate_of_the_same_base() {
    let mut scene = Scene::configured(Instant::now(), with_rules(vec![AddressRewriteRule::append(PUBLIC)]));
    scene.agent.add_host_address(scene.now, address("10.0.0.9:1000")).unwrap();
    scene.agent.add_host_address(scene.now, address("[fd00::1]:1000")).unwrap();
    let told = told(&mut scene.agent);
    assert_eq!(addresses(&told), [LOCAL, PUBLIC_LOCAL, "10.0.0.9:1000", "[fd00::1]:1000"]);
    // RFC 8445 §5.1.2: priorities are unique; §5.1.1.3: what is reached in another way has another foundation.
    for one in 0..told.len() {
        for other in 0..one {
            assert_ne!(told[one].priority, told[other].priority);
            assert_ne!(told[one].foundation, told[other].foundation);
        }
    }
    assert!(told.iter().all(|told| told.kind == CandidateKind::Host && told.related.is_none()));
    // The peer is checked once from each base.
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    scene.add_remote(REMOTE);
    assert_eq!(scene.agent.candidate_pairs().len(), 2);
}

#[test]
fn rules_are_for_their_family_and_their_address_only() {
    let rules = vec![AddressRewriteRule::replace(PUBLIC).for_local(Ipv4Addr::new(10, 0, 0, 9))];
    let mut scene = Scene::configured(Instant::now(), with_rules(rules));
    scene.agent.add_host_address(scene.now, address("10.0.0.9:1000")).unwrap();
    scene.agent.add_host_address(scene.now, address("[2001:db8::1]:1000")).unwrap();
    assert_eq!(addresses(&told(&mut scene.agent)), [LOCAL, PUBLIC_LOCAL, "[2001:db8::1]:1000"]);
}

#[test]
fn two_addresses_that_are_told_as_the_same_one_are_told_once() {
    let mut scene = Scene::configured(Instant::now(), with_rules(vec![AddressRewriteRule::replace(PUBLIC)]));
    scene.agent.add_host_address(scene.now, address("10.0.0.9:1000")).unwrap();
    scene.agent.add_host_address(scene.now, address(PUBLIC_LOCAL)).unwrap();
    assert_eq!(addresses(&told(&mut scene.agent)), [PUBLIC_LOCAL]);
    // Each is a base of its own all the same.
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    scene.add_remote(REMOTE);
    assert_eq!(scene.agent.candidate_pairs().len(), 3);
    // After a restart the same are told.
    let new = scene.agent.new_credentials();
    scene.agent.restart(scene.now, new).unwrap();
    assert_eq!(addresses(&told(&mut scene.agent)), [PUBLIC_LOCAL]);
}

/// Connects, with the peer seeing checks come from `mapped`.
fn connect(rules: Vec<AddressRewriteRule>, mapped: &str) -> Scene {
    let mut scene = Scene::configured(Instant::now(), with_rules(rules));
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    scene.add_remote(REMOTE);
    scene.agent.end_of_remote_candidates(scene.now);
    for _ in 0..30 {
        for (path, bytes) in scene.sent() {
            let message = Message::decode(&bytes).unwrap();
            if message.class() == Class::Request {
                let key = credentials();
                let response =
                    super::message(Class::Success, message.transaction_id(), key.password(), |builder| {
                        builder.xor_mapped_address(address(mapped))
                    });
                scene.receive(&path.remote.to_string(), &response).unwrap();
            }
        }
        scene.advance(Duration::from_millis(50));
    }
    assert_eq!(scene.agent.state(), IceConnectionState::Completed);
    scene
}

#[test]
fn what_the_peer_sees_is_the_rewritten_candidate_not_a_reflexive_one() {
    for rule in [AddressRewriteRule::replace(PUBLIC), AddressRewriteRule::append(PUBLIC)] {
        let count = if rule.mode == AddressRewriteMode::Append { 2 } else { 1 };
        let scene = connect(vec![rule], PUBLIC_LOCAL);
        assert_eq!(scene.agent.local_candidates().count(), count);
        let selected = scene.agent.selected_pair().unwrap();
        assert_eq!(selected.local.kind, CandidateKind::Host);
        assert_eq!(addresses(std::slice::from_ref(&selected.local)), [PUBLIC_LOCAL]);
        // Datagrams go out of the base.
        assert_eq!(selected.path.local, address(LOCAL));
    }
}

#[test]
fn a_peer_that_sees_the_base_itself_is_connected_too() {
    let mut scene = connect(vec![AddressRewriteRule::replace(PUBLIC)], LOCAL);
    let selected = scene.agent.selected_pair().unwrap();
    assert_eq!(selected.local.kind, CandidateKind::PeerReflexive);
    // Nothing of it is told.
    assert_eq!(addresses(&told(&mut scene.agent)), [PUBLIC_LOCAL]);
}

/// At the limit of candidates the pair is known by the candidate that stands for its base.
#[test]
fn a_full_table_of_candidates_does_not_lose_a_pair() {
    let mut config = with_rules(vec![AddressRewriteRule::replace(PUBLIC)]);
    config.max_local_candidates = 1;
    let mut scene = Scene::configured(Instant::now(), config);
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    scene.add_remote(REMOTE);
    let (path, check) = scene.sent_check();
    let id = Message::decode(&check).unwrap().transaction_id();
    scene.receive(&path.remote.to_string(), &success(id)).unwrap();
    assert!(scene.agent.selected_pair().is_some());
}

#[test]
fn a_server_that_sees_the_rewritten_address_adds_no_candidate_and_another_is_told_without_the_base() {
    let other_port = SocketAddr::new(address(LOCAL).ip(), 7).to_string();
    for (mapped, expected) in [
        (PUBLIC_LOCAL, vec![]),
        // A server without a NAT in between sees what is not to be told.
        (LOCAL, vec![]),
        (&other_port, vec![]),
        // That of another base.
        ("10.0.0.9:1000", vec![]),
        ("198.51.100.1:77", vec!["198.51.100.1 77 typ srflx raddr 203.0.113.7 rport 1000"]),
    ] {
        let mut config = with_rules(vec![AddressRewriteRule::replace(PUBLIC)]);
        config.stun_servers = vec![address("192.0.2.1:3478")];
        let mut scene = Scene::configured(Instant::now(), config);
        scene.agent.add_host_address(scene.now, address("10.0.0.9:1000")).unwrap();
        told(&mut scene.agent);
        let (path, query) = scene.sent_check();
        let id = Message::decode(&query).unwrap().transaction_id();
        let mut answer = Vec::new();
        let builder = MessageBuilder::new(&mut answer, Class::Success, Method::BINDING, id);
        builder.xor_mapped_address(address(mapped)).finish().unwrap();
        scene.receive(&path.remote.to_string(), &answer).unwrap();
        let found = told(&mut scene.agent);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.to_string().ends_with(expected), "{found}");
        }
    }
}

#[test]
fn appended_addresses_keep_to_the_limit() {
    let external: Vec<IpAddr> = (1..=100).map(|last| Ipv4Addr::new(203, 0, 113, last).into()).collect();
    let mut rule = AddressRewriteRule::append(PUBLIC);
    rule.external = external;
    let mut scene = Scene::configured(Instant::now(), with_rules(vec![rule]));
    for last in 2..100 {
        let _ = scene.agent.add_host_address(scene.now, SocketAddr::from(([10, 0, 0, last], 1000)));
    }
    assert_eq!(told(&mut scene.agent).len(), Config::default().max_local_candidates);
}
