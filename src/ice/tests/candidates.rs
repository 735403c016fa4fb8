use std::time::Duration;

use super::*;

#[test]
fn candidates_that_cannot_be_used_are_passed_over() {
    let mut scene = Scene::alone(IceRole::Controlling);
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    for text in [
        "candidate:1 1 tcp 2105458943 10.0.0.2 9 typ host tcptype active",
        "candidate:1 2 udp 2130706430 10.0.0.2 2001 typ host",
        "candidate:1 1 udp 2130706431 10.0.0.2 0 typ host",
        "candidate:1 1 udp 2130706431 0.0.0.0 2000 typ host",
        "candidate:1 1 udp 2130706431 224.0.0.1 2000 typ host",
        "candidate:1 1 udp 2130706431 2001:db8::1 2000 typ host",
        "candidate:1 1 udp 2130706431 10.0.0.2 2000 typ host ufrag another",
        "candidate:1 2 udp 2130706431 somebody.local 2000 typ host",
    ] {
        scene.agent.add_remote_candidate(scene.now, candidate(text)).unwrap();
        scene.advance(Duration::from_millis(100));
        assert!(scene.sent().is_empty(), "{text}");
    }
    while let Some(event) = scene.agent.poll_event() {
        assert!(!matches!(event, IceEvent::ResolveName { .. }));
    }
    let ours = "candidate:1 1 udp 2130706431 10.0.0.2 2000 typ host ufrag peer";
    scene.agent.add_remote_candidate(scene.now, candidate(ours)).unwrap();
    scene.sent_check();
}

#[test]
fn candidates_of_somebody_else_are_not_paired_later() {
    let mut scene = Scene::alone(IceRole::Controlled);
    // An early check and a candidate, both of a generation that is not the one in the answer.
    let request = check(&scene.agent, 1, true);
    scene.receive(REMOTE, &request).unwrap();
    let foreign = "candidate:1 1 udp 2130706431 10.0.0.3 2000 typ host ufrag peer";
    scene.agent.add_remote_candidate(scene.now, candidate(foreign)).unwrap();
    let ours = "candidate:1 1 udp 2130706431 10.0.0.4 2000 typ host ufrag fork";
    scene.agent.add_remote_candidate(scene.now, candidate(ours)).unwrap();
    scene.sent();
    let other = IceCredentials::new("fork", "the-password-of-the-fork").unwrap();
    scene.agent.set_remote_credentials(scene.now, other).unwrap();
    scene.agent.add_host_address(scene.now, address("10.0.0.9:1000")).unwrap();
    let mut checked = std::collections::BTreeSet::new();
    for _ in 0..10 {
        checked.extend(scene.sent().into_iter().map(|(path, _)| path.remote.to_string()));
        scene.advance(Duration::from_millis(50));
    }
    assert_eq!(checked.into_iter().collect::<Vec<_>>(), ["10.0.0.4:2000"]);
}

#[test]
fn a_candidate_that_is_signalled_again_keeps_its_priority() {
    let mut scene = Scene::checking(IceRole::Controlling);
    let priority = |scene: &Scene| scene.agent.candidate_pairs()[0].priority;
    let before = priority(&scene);
    let again = candidate("candidate:9 1 udp 5 10.0.0.2 2000 typ srflx raddr 0.0.0.0 rport 9");
    scene.agent.add_remote_candidate(scene.now, again).unwrap();
    assert_eq!(priority(&scene), before);
    // One that was found before it was signalled takes what is signalled.
    let request = check(&scene.agent, 1, false);
    scene.receive("10.0.0.3:2000", &request).unwrap();
    let found = |scene: &Scene| {
        let pairs = scene.agent.candidate_pairs();
        let pair = pairs.into_iter().find(|pair| pair.pair.path == path("10.0.0.3:2000")).unwrap();
        (pair.pair.remote.kind, pair.pair.remote.priority, pair.priority)
    };
    let (kind, _, least) = found(&scene);
    assert_eq!(kind, CandidateKind::PeerReflexive);
    scene.add_remote("10.0.0.3:2000");
    let (kind, signalled, priority) = found(&scene);
    assert_eq!((kind, signalled), (CandidateKind::Host, 2_130_706_431));
    assert!(priority > least);
}

#[test]
fn the_selected_pair_knows_what_is_signalled_after_it() {
    let mut scene = Scene::alone(IceRole::Controlled);
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    let request = check(&scene.agent, 1, true);
    scene.receive(REMOTE, &request).unwrap();
    scene.answer_checks();
    assert_eq!(scene.agent.selected_pair().unwrap().remote.kind, CandidateKind::PeerReflexive);
    scene.add_remote(REMOTE);
    assert_eq!(scene.agent.selected_pair().unwrap().remote.kind, CandidateKind::Host);
}

#[test]
fn link_local_candidates_are_reached_through_the_interface_of_the_base() {
    let now = Instant::now();
    let base = address("[fe80::1%3]:1000");
    let config = Config { role: IceRole::Controlled, ..Config::default() };
    let mut agent = Agent::new(now, provider(1), config);
    agent.add_host_address(now, base).unwrap();
    agent.set_remote_credentials(now, credentials()).unwrap();
    // RFC 4007 §11: a zone means nothing to the peer, and is not signalled.
    agent.add_remote_candidate(now, candidate("candidate:1 1 udp 99 fe80::2 2000 typ host")).unwrap();
    let mut scene = Scene { agent, now };
    let remote = address("[fe80::2%3]:2000");
    let request = check(&scene.agent, 1, true);
    let path = FiveTuple::udp(base, remote);
    scene.agent.handle_datagram(now, Datagram::new(path, &mut request.clone())).unwrap();
    let (checked, ours) = scene.sent_check();
    assert_eq!(checked, path);
    let id = Message::decode(&ours).unwrap().transaction_id();
    let mut response = message(Class::Success, id, credentials().password(), |b| {
        b.xor_mapped_address(address("[fe80::1]:1000"))
    });
    scene.agent.handle_datagram(now, Datagram::new(path, &mut response)).unwrap();
    let selected = scene.agent.selected_pair().unwrap();
    assert_eq!((selected.local.kind, selected.remote.kind), (CandidateKind::Host, CandidateKind::Host));
    assert_eq!(selected.path, path);
    assert_eq!(scene.agent.candidate_pairs().len(), 1);
}

/// RFC 8445 §5.1.1.1 has none of them; sockets of both families write them all the same.
#[test]
fn candidates_of_mapped_addresses_are_those_of_ipv4() {
    let mut scene = Scene::alone(IceRole::Controlling);
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    let mapped = "candidate:1 1 udp 2130706431 ::ffff:10.0.0.2 2000 typ host";
    scene.agent.add_remote_candidate(scene.now, candidate(mapped)).unwrap();
    assert_eq!(scene.sent_check().0, path(REMOTE));
}
