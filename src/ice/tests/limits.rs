use std::time::Duration;

use super::*;

fn limited(change: impl FnOnce(&mut Config)) -> Scene {
    let mut config = Config { role: IceRole::Controlled, ..Config::default() };
    change(&mut config);
    let mut scene = Scene::configured(Instant::now(), config);
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    scene
}

fn remote(number: usize) -> String {
    format!("10.9.{}.{}:2000", number / 200, 1 + number % 200)
}

#[test]
fn local_candidates_are_limited() {
    let mut scene = limited(|config| config.max_local_candidates = 2);
    scene.agent.add_host_address(scene.now, address("10.0.0.8:1")).unwrap();
    let refused = scene.agent.add_host_address(scene.now, address("10.0.0.9:1"));
    assert_eq!(refused, Err(IceError::TooManyCandidates { limit: 2 }));
    assert_eq!(scene.agent.add_host_address(scene.now, address(LOCAL)), Ok(()), "known already");
    // A peer that sees us behind an address that there is no room for still reaches us.
    scene.add_remote(REMOTE);
    let (_, ours) = scene.sent_check();
    let id = Message::decode(&ours).unwrap().transaction_id();
    let response = message(Class::Success, id, credentials().password(), |b| {
        b.xor_mapped_address(address("198.51.100.1:1"))
    });
    scene.receive(REMOTE, &response).unwrap();
    assert_eq!(scene.agent.selected_pair().unwrap().local.kind, CandidateKind::Host);
    assert_eq!(scene.agent.local_candidates().count(), 2);
}

#[test]
fn remote_candidates_are_limited_however_they_come() {
    let mut scene = limited(|config| {
        config.max_remote_candidates = 2;
        config.max_peer_reflexive_candidates = 5;
    });
    scene.add_remote(&remote(0));
    let name = candidate("candidate:1 1 udp 2130706431 somebody.local 2000 typ host");
    scene.agent.add_remote_candidate(scene.now, name.clone()).unwrap();
    let request = check(&scene.agent, 1, false);
    for number in 0..100 {
        scene.receive(&remote(number), &request).unwrap();
        scene.sent();
    }
    let refused = scene.agent.add_remote_candidate(scene.now, name);
    assert_eq!(refused, Err(IceError::TooManyCandidates { limit: 2 }));
    let validated: Vec<_> =
        (0..100).filter(|number| scene.agent.is_validated(&path(&remote(*number)))).collect();
    assert_eq!(validated, [0, 95, 96, 97, 98, 99], "what was said, and the newest of what was found");
    // The name that is resolved keeps its place.
    let query = std::iter::from_fn(|| scene.agent.poll_event()).find_map(|event| match event {
        IceEvent::ResolveName { query, name } => {
            assert_eq!(name, "somebody.local");
            Some(query)
        }
        _ => None,
    });
    scene.agent.resolve_name(scene.now, query.unwrap(), Some([10, 0, 0, 77].into()));
    scene.advance(Duration::from_secs(1));
    assert!(scene.snapshot().contains("10.0.0.77:2000"));
    scene.agent.resolve_name(scene.now, query.unwrap(), Some([10, 0, 0, 78].into()));
    assert!(!scene.snapshot().contains("10.0.0.78:2000"));
}

#[test]
fn pairs_are_limited_and_the_worst_make_room() {
    let mut scene = limited(|config| config.max_pairs = 5);
    for number in 0..40 {
        let text = format!("candidate:{number} 1 udp {} 10.8.0.{} 2000 typ host", 1000 + number, 1 + number);
        scene.agent.add_remote_candidate(scene.now, candidate(&text)).unwrap();
    }
    let mut checked = std::collections::BTreeSet::new();
    for _ in 0..100 {
        checked.extend(scene.sent().into_iter().map(|(path, _)| path.remote.to_string()));
        scene.advance(Duration::from_millis(50));
    }
    assert!(checked.contains("10.8.0.40:2000"), "the best is among them: {checked:?}");
    assert!(checked.len() <= 6, "{checked:?}");
}

#[test]
fn responses_that_nobody_fetches_are_limited() {
    let mut scene = limited(|config| config.max_queued_responses = 8);
    let mut refused = 0;
    for number in 0..100 {
        let request = check(&scene.agent, number, false);
        refused += usize::from(scene.receive(REMOTE, &request).is_err());
        scene.advance(Duration::from_millis(50));
    }
    assert_eq!(refused, 92);
    assert_eq!(scene.agent.stats().ignored, 92);
    assert!(scene.sent().len() <= 8 + 8, "the responses, and the checks that they triggered");
    let request = check(&scene.agent, 101, false);
    scene.receive(REMOTE, &request).unwrap();
    assert!(scene.sent_response().is_some());
}

#[test]
fn an_agent_that_nobody_drains_stays_small_for_an_hour() {
    let mut scene = Scene::connected(IceRole::Controlled);
    for minute in 0..240 {
        for number in 0..=255 {
            let request = check(&scene.agent, number, true);
            let _ = scene.receive(&remote(usize::from(number)), &request);
        }
        scene.advance(Duration::from_secs(15));
        if minute % 40 == 39 {
            scene.agent.restart(scene.now, scene.agent.new_credentials()).unwrap();
            scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
        }
    }
    assert!(scene.sent().len() < 200);
    assert!(std::iter::from_fn(|| scene.agent.poll_event()).count() < 64);
}

#[test]
fn events_that_nobody_reads_stay_few_while_the_network_flaps_for_an_hour() {
    let mut scene = Scene::connected(IceRole::Controlling);
    let (mut states, mut last) = (0, scene.agent.state());
    for second in 0..3600 {
        scene.advance(Duration::from_secs(1));
        if second % 30 < 15 {
            scene.answer_checks();
        } else {
            scene.sent();
        }
        states += usize::from(scene.agent.state() != last);
        last = scene.agent.state();
    }
    assert!(states > 100, "it flaps: {states}");
    assert!(std::iter::from_fn(|| scene.agent.poll_event()).count() < 40);
}

#[test]
fn pairs_that_failed_make_room_for_any_other() {
    let mut scene = limited(|config| {
        config.max_pairs = 5;
        config.patience = Duration::from_secs(120);
    });
    for number in 0..5 {
        let text = format!("candidate:{number} 1 udp 1000 10.8.0.{} 2000 typ host", 1 + number);
        scene.agent.add_remote_candidate(scene.now, candidate(&text)).unwrap();
    }
    for _ in 0..1200 {
        scene.advance(Duration::from_millis(50));
        scene.sent();
    }
    // It comes late and has less priority than the pairs that have failed.
    let late = "candidate:9 1 udp 9 10.0.0.2 2000 typ srflx raddr 10.8.0.1 rport 2000";
    scene.agent.add_remote_candidate(scene.now, candidate(late)).unwrap();
    scene.answer_checks();
    assert!(scene.agent.selected_pair().is_some());
}

#[test]
fn the_address_that_checks_come_from_has_a_place_whatever_the_peer_said() {
    for count in [63, 64, 65, 400] {
        let mut scene = limited(|_| {});
        for number in 0..count {
            let text = format!(
                "candidate:{number} 1 udp 2130706431 {} 2000 typ host",
                remote(number).replace(":2000", "")
            );
            let _ = scene.agent.add_remote_candidate(scene.now, candidate(&text));
        }
        for _ in 0..100 {
            scene.advance(Duration::from_millis(50));
            scene.sent();
        }
        let request = check(&scene.agent, 1, true);
        scene.receive(REMOTE, &request).unwrap();
        for _ in 0..4 {
            scene.answer_checks_to(|remote| remote == address(REMOTE));
            scene.advance(Duration::from_millis(50));
        }
        assert_eq!(scene.agent.selected_pair().map(|pair| pair.path), Some(path(REMOTE)), "{count}");
    }
}

#[test]
fn of_too_many_candidates_the_rare_kinds_and_the_best_stay() {
    let mut scene = limited(|_| {});
    let add = |scene: &mut Scene, text: &str| scene.agent.add_remote_candidate(scene.now, candidate(text));
    for number in 0..64 {
        add(&mut scene, &format!("candidate:1 1 udp {} 10.8.0.{} 2000 typ host", 1000 + number, 1 + number))
            .unwrap();
    }
    let worse = add(&mut scene, "candidate:1 1 udp 999 10.8.1.1 2000 typ host");
    assert_eq!(worse, Err(IceError::TooManyCandidates { limit: 64 }));
    add(&mut scene, "candidate:1 1 udp 5000 10.8.1.2 2000 typ host").unwrap();
    add(&mut scene, "candidate:2 1 udp 10 203.0.113.7 2000 typ relay raddr 0.0.0.0 rport 9").unwrap();
    scene.sent();
    let state = scene.snapshot();
    assert!(state.contains("10.8.1.2:2000") && state.contains("203.0.113.7:2000"));
    assert!(!state.contains("10.8.0.1:2000") && !state.contains("10.8.0.2:2000"), "the least of the hosts");
    // Those that failed go before any other.
    for _ in 0..30 {
        scene.advance(Duration::from_secs(1));
        scene.sent();
    }
    let mut names = 0;
    while add(&mut scene, &format!("candidate:1 1 udp 1 name{names}.local 2000 typ host")).is_ok()
        && names < 200
    {
        names += 1;
    }
    assert!(names < 200, "names are limited, too");
}

#[test]
fn host_addresses_leave_room_for_reflexive_ones_and_for_the_link_of_the_peer() {
    let server = address("203.0.113.1:3478");
    let mut scene = limited(|config| config.stun_servers = vec![server]);
    let refused = (0..64).filter(|number| {
        let host = SocketAddr::from(([10, 7, *number, 1], 1000));
        scene.agent.add_host_address(scene.now, host).is_err()
    });
    assert_eq!(refused.count(), 17, "with the first address 48 are taken");
    let last = SocketAddr::from(([192, 168, 1, 5], 1000));
    assert!(scene.agent.add_host_address(scene.now, last).is_err());
    scene.agent.add_host_address(scene.now, address("[2001:db8::1]:1000")).unwrap();
    for _ in 0..200 {
        scene.advance(Duration::from_millis(50));
        for (path, bytes) in scene.sent() {
            let id = Message::decode(&bytes).unwrap().transaction_id();
            let mut answer = Vec::new();
            let builder = MessageBuilder::new(&mut answer, Class::Success, Method::BINDING, id);
            builder.xor_mapped_address(address("198.51.100.1:4000")).finish().unwrap();
            let _ = scene.agent.handle_datagram(scene.now, Datagram::new(path, &mut answer));
        }
    }
    let kinds = |kind| scene.agent.local_candidates().filter(|local| local.kind == kind).count();
    assert!(kinds(CandidateKind::ServerReflexive) >= 8);
    assert_eq!(kinds(CandidateKind::Host), 49);

    // The peer turns out to be on the link of the last one.
    let mut scene = limited(|_| {});
    for number in 0..64 {
        let _ = scene.agent.add_host_address(scene.now, SocketAddr::from(([10, 7, number, 1], 1000)));
    }
    let _ = scene.agent.add_host_address(scene.now, last);
    scene
        .agent
        .add_remote_candidate(scene.now, candidate("candidate:1 1 udp 9 192.168.1.9 2000 typ host"))
        .unwrap();
    let mut checked = std::collections::BTreeSet::new();
    for _ in 0..100 {
        checked.extend(scene.sent().into_iter().map(|(path, _)| path.local));
        scene.advance(Duration::from_millis(50));
    }
    assert!(checked.contains(&last));
}

/// Kurento and libnice signal what their checks have shown, as peer-reflexive candidates. They are limited as all that
/// is said is, and take no place from what this side's own checks show.
#[test]
fn peer_reflexive_candidates_that_are_signalled_are_limited_and_close_no_door() {
    let mut scene = limited(|config| config.max_pairs = 1000);
    let mut refused = 0;
    for number in 0..300 {
        let text = format!(
            "candidate:{number} 1 udp 1000 10.8.{}.{} 2000 typ prflx raddr 0.0.0.0 rport 9",
            number / 200,
            1 + number % 200
        );
        refused += usize::from(scene.agent.add_remote_candidate(scene.now, candidate(&text)).is_err());
    }
    assert_eq!(refused, 300 - 64);
    scene.sent();
    let request = check(&scene.agent, 1, true);
    scene.receive(REMOTE, &request).unwrap();
    scene.advance(Duration::from_millis(50));
    scene.answer_checks();
    assert_eq!(scene.agent.selected_pair().unwrap().path, path(REMOTE));
}

/// Whoever trickles addresses of others has few connections opened to them, and none is left over.
#[test]
fn streams_to_what_the_peer_says_are_limited() {
    use crate::layer::StreamRequest;
    let mut scene = limited(|config| config.active_tcp = true);
    for number in 0..64 {
        let remote = address(&remote(number));
        let text = format!("candidate:{number} 1 tcp 151828024 {} 443 typ host tcptype passive", remote.ip());
        scene.agent.add_remote_candidate(scene.now, candidate(&text)).unwrap();
    }
    scene.agent.end_of_remote_candidates(scene.now);
    let (mut open, mut most, mut asked) = (0, 0, 0);
    for _ in 0..1200 {
        scene.advance(Duration::from_millis(50));
        while let Some(request) = scene.agent.poll_stream() {
            match request {
                StreamRequest::Open(_) => (open, asked) = (open + 1, asked + 1),
                StreamRequest::Abandon(_) => open -= 1,
                other => panic!("{other:?}"),
            }
            most = most.max(open);
        }
    }
    assert_eq!((scene.agent.state(), open), (IceConnectionState::Failed, 0));
    assert!((1..=32).contains(&most) && asked <= 64, "{most} {asked}");
}

/// A peer that opens streams without end has few that are kept.
#[test]
fn streams_of_the_peer_are_limited() {
    use crate::layer::StreamRequest;
    let mut scene = limited(|_| {});
    scene.agent.add_passive_address(scene.now, address("10.0.0.1:443").into()).unwrap();
    let mut kept = 0;
    for port in 1..200u16 {
        let path = FiveTuple::tcp(address("10.0.0.1:443"), ([10, 0, 0, 2], port).into());
        let mut request = check(&scene.agent, port as u8, false);
        let _ = scene.agent.handle_datagram(scene.now, Datagram::new(path, &mut request));
        scene.sent();
        while let Some(request) = scene.agent.poll_stream() {
            assert_eq!(request, StreamRequest::Keep(path));
            kept += 1;
        }
    }
    assert_eq!(kept, 16);
    scene.agent.close();
    let closed = std::iter::from_fn(|| scene.agent.poll_stream());
    assert_eq!(closed.filter(|request| matches!(request, StreamRequest::Close(_))).count(), 16);
}

/// An address takes what was told of it along: also the streams that are taken and opened there.
#[test]
fn an_address_that_goes_takes_its_streams_along() {
    let config = Config { active_tcp: true, ..Config::default() };
    let mut scene = Scene::configured(Instant::now(), config);
    scene.agent.add_passive_address(scene.now, address("10.0.0.1:443").into()).unwrap();
    let mut there = Vec::new();
    let mut told = |agent: &mut Agent| {
        while let Some(event) = agent.poll_event() {
            match event {
                IceEvent::LocalCandidate(candidate) => there.push(candidate),
                IceEvent::LocalCandidateGone(gone) => there.retain(|candidate| *candidate != gone),
                _ => {}
            }
        }
        there.len()
    };
    assert_eq!(told(&mut scene.agent), 3);
    scene.agent.remove_host_address(scene.now, address(LOCAL));
    assert_eq!(told(&mut scene.agent), 0);
    scene.agent.add_host_address(scene.now, address("10.0.0.7:1000")).unwrap();
    scene.agent.add_passive_address(scene.now, address("10.0.0.7:443").into()).unwrap();
    assert_eq!(told(&mut scene.agent), 3);
}

/// Streams of the peer that no pair has any more make room for others, as after a restart.
#[test]
fn streams_of_a_generation_that_is_over_make_room() {
    use crate::layer::StreamRequest;
    let mut scene = limited(|_| {});
    let passive = address("10.0.0.1:443");
    scene.agent.add_passive_address(scene.now, passive.into()).unwrap();
    let mut kept = std::collections::BTreeSet::new();
    for port in 1..200u16 {
        if port % 16 == 0 {
            scene.agent.restart(scene.now, scene.agent.new_credentials()).unwrap();
            scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
        }
        let path = FiveTuple::tcp(passive, ([10, 0, 0, 2], port).into());
        let mut request = check(&scene.agent, port as u8, false);
        scene.agent.handle_datagram(scene.now, Datagram::new(path, &mut request)).unwrap();
        scene.sent();
        while let Some(request) = scene.agent.poll_stream() {
            match request {
                StreamRequest::Keep(path) => assert!(kept.insert(path)),
                StreamRequest::Close(path) => assert!(kept.remove(&path)),
                other => panic!("{other:?}"),
            }
        }
        assert!(kept.contains(&path) && kept.len() <= 16, "{port}: {}", kept.len());
    }
}

/// Nor has who goes on saying them, and whose candidates fail at once.
#[test]
fn streams_to_what_the_peer_says_without_end_are_few() {
    use crate::layer::{StreamReport, StreamRequest};
    let mut scene = limited(|config| config.active_tcp = true);
    let mut asked = 0;
    for number in 0..12_000 {
        let text =
            format!("candidate:1 1 tcp 1518280447 192.0.2.1 {} typ host tcptype passive", 1024 + number);
        let _ = scene.agent.add_remote_candidate(scene.now, candidate(&text));
        scene.advance(Duration::from_millis(50));
        scene.sent();
        while let Some(request) = scene.agent.poll_stream() {
            if let StreamRequest::Open(opening) = request {
                asked += 1;
                let report = StreamReport::Failed { token: opening.token, reason: "refused".to_owned() };
                scene.agent.handle_stream(scene.now, report);
            }
        }
        while scene.agent.poll_event().is_some() {}
    }
    // In ten minutes.
    assert!((200..=256 + 601).contains(&asked), "{asked}");
}

/// Who is to be reached by relays alone from now on is not told by TCP either, nor opens anything.
#[test]
fn a_policy_that_changes_is_that_of_streams_too() {
    use crate::ice::TransportPolicy;
    use crate::layer::StreamRequest;
    let mut scene = limited(|config| config.active_tcp = true);
    scene.agent.add_passive_address(scene.now, address("10.0.0.1:443").into()).unwrap();
    for (transport_policy, expected) in [(TransportPolicy::Relay, (0, 0)), (TransportPolicy::All, (3, 1))] {
        scene.agent.reconfigure(scene.now, Config { transport_policy, ..Config::default() });
        scene.agent.restart(scene.now, scene.agent.new_credentials()).unwrap();
        scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
        let passive = "candidate:1 1 tcp 1518280447 10.0.0.2 443 typ host tcptype passive";
        scene.agent.add_remote_candidate(scene.now, candidate(passive)).unwrap();
        let mut opened = 0;
        for _ in 0..20 {
            scene.advance(Duration::from_millis(50));
            let requests = std::iter::from_fn(|| scene.agent.poll_stream());
            opened += requests.filter(|request| matches!(request, StreamRequest::Open(_))).count();
        }
        let told = std::iter::from_fn(|| scene.agent.poll_event())
            .filter(|event| matches!(event, IceEvent::LocalCandidate(_)))
            .count();
        assert_eq!((told, opened), expected, "{transport_policy:?}");
        // A check that comes is not answered, or that would tell the address.
        let path = FiveTuple::tcp(address("10.0.0.1:443"), address("10.0.0.2:5000"));
        let mut request = check(&scene.agent, 1, false);
        let _ = scene.agent.handle_datagram(scene.now, Datagram::new(path, &mut request));
        let is_answered = scene.sent().iter().any(|(to, _)| *to == path);
        assert_eq!(is_answered, transport_policy == TransportPolicy::All);
    }
}
