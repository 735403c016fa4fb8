use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(50);
const ELSEWHERE: &str = "10.0.0.3:2000";

/// Runs until `done`, and answers what goes to one address; the time it took.
fn run_until(scene: &mut Scene, alive: &str, done: impl Fn(&Scene) -> bool) -> Duration {
    let begin = scene.now;
    while !done(scene) {
        assert!(
            scene.now < begin + 60 * SECOND,
            "still {:?} {:?}",
            scene.agent.state(),
            scene.agent.selected_pair()
        );
        scene.advance(STEP);
        scene.answer_checks_to(|remote| remote == address(alive));
    }
    scene.now - begin
}

fn is_on(remote: &'static str) -> impl Fn(&Scene) -> bool {
    move |scene| scene.agent.selected_pair().is_some_and(|pair| pair.path == path(remote))
}

#[test]
fn a_check_elsewhere_has_the_selected_pair_asked_and_left() {
    for (role, nominates) in
        [(IceRole::Controlled, true), (IceRole::Controlled, false), (IceRole::Controlling, false)]
    {
        let mut scene = Scene::connected(role);
        for _ in 0..40 {
            scene.advance(SECOND);
            scene.answer_checks();
        }
        let request = check(&scene.agent, 9, nominates);
        scene.receive(ELSEWHERE, &request).unwrap();
        let took = run_until(&mut scene, ELSEWHERE, is_on(ELSEWHERE));
        assert!(took <= SECOND, "{role:?}: {took:?}");
        assert!(!scene.agent.owns_path(scene.now, &path(REMOTE)));
        for _ in 0..60 {
            scene.advance(SECOND);
            scene.answer_checks_to(|remote| remote == address(ELSEWHERE));
            assert!(is_on(ELSEWHERE)(&scene));
        }
    }
}

#[test]
fn a_selected_pair_that_answers_is_not_left() {
    let mut scene = Scene::connected(IceRole::Controlled);
    for number in 0..20 {
        let request = check(&scene.agent, number, true);
        scene.receive(ELSEWHERE, &request).unwrap();
        scene.answer_checks();
        scene.advance(STEP);
        scene.answer_checks();
        assert!(is_on(REMOTE)(&scene));
    }
}

#[test]
fn pairs_that_a_peer_keeps_in_reserve_cost_no_checks() {
    let mut scene = Scene::connected(IceRole::Controlled);
    let request = check(&scene.agent, 9, false);
    scene.receive(ELSEWHERE, &request).unwrap();
    scene.answer_checks();
    scene.advance(STEP);
    scene.answer_checks();
    let before = scene.agent.stats().checks_sent;
    for number in 10..200 {
        let request = check(&scene.agent, number, false);
        scene.receive(ELSEWHERE, &request).unwrap();
        scene.advance(STEP);
        scene.answer_checks();
    }
    let sent = scene.agent.stats().checks_sent - before;
    assert!(sent <= 3, "{sent} checks of consent in nine seconds");
}

#[test]
fn a_silent_pair_is_left_soon_where_another_can_serve() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        let mut scene = Scene::connected(role);
        let request = check(&scene.agent, 9, false);
        scene.receive(ELSEWHERE, &request).unwrap();
        for _ in 0..100 {
            scene.advance(STEP * 4);
            scene.answer_checks();
        }
        assert!(is_on(REMOTE)(&scene));
        let took = run_until(&mut scene, ELSEWHERE, is_on(ELSEWHERE));
        assert!(took <= 9 * SECOND, "{role:?}: {took:?}");
    }
}

#[test]
fn a_pair_that_dies_at_its_nomination_is_replaced_in_two_seconds() {
    for answers_nomination in [false, true] {
        let mut scene = Scene::checking(IceRole::Controlling);
        scene
            .agent
            .add_remote_candidate(scene.now, candidate("candidate:2 1 udp 1000 10.0.0.3 2000 typ host"))
            .unwrap();
        // One that is better and never answers, so that the nomination waits.
        scene
            .agent
            .add_remote_candidate(scene.now, candidate("candidate:3 1 udp 2130706432 10.0.0.9 2000 typ host"))
            .unwrap();
        let nomination = loop {
            let sent = scene.sent();
            let mut nomination = None;
            for (path, bytes) in sent {
                let message = Message::decode(&bytes).unwrap();
                if message.use_candidate() {
                    nomination = Some((path, message.transaction_id()));
                } else if path.remote != address("10.0.0.9:2000") {
                    scene.receive(&path.remote.to_string(), &success(message.transaction_id())).unwrap();
                }
            }
            if let Some((nominated, id)) = nomination {
                assert_eq!(nominated, path(REMOTE));
                break id;
            }
            scene.advance(STEP);
        };
        if answers_nomination {
            scene.receive(REMOTE, &success(nomination)).unwrap();
        }
        let took = run_until(&mut scene, ELSEWHERE, is_on(ELSEWHERE));
        assert!(took <= 2 * SECOND, "{took:?}");
        run_until(&mut scene, ELSEWHERE, |scene| scene.snapshot().contains("nomination: Done"));
        assert!(is_on(ELSEWHERE)(&scene));
    }
}

#[test]
fn a_new_mapping_of_this_side_is_nominated_again() {
    let mut scene = Scene::connected(IceRole::Controlling);
    let mapped = address("198.51.100.1:40001");
    let mut nominations = 0;
    for _ in 0..200 {
        scene.advance(STEP);
        for (path, bytes) in scene.sent() {
            let message = Message::decode(&bytes).unwrap();
            nominations += usize::from(message.use_candidate());
            let answer =
                self::message(Class::Success, message.transaction_id(), credentials().password(), |b| {
                    b.xor_mapped_address(mapped)
                });
            scene.receive(&path.remote.to_string(), &answer).unwrap();
        }
    }
    assert_eq!(nominations, 1);
    let local = &scene.agent.selected_pair().unwrap().local;
    assert_eq!((local.kind, &local.address), (CandidateKind::PeerReflexive, &CandidateAddress::Ip(mapped)));
    assert_eq!(scene.agent.state(), IceConnectionState::Completed);
}

#[test]
fn mappings_that_change_for_ever_take_no_more_room() {
    let mut scene = Scene::connected(IceRole::Controlling);
    for port in 0..500 {
        for _ in 0..9 {
            scene.advance(SECOND);
            for (path, bytes) in scene.sent() {
                let id = Message::decode(&bytes).unwrap().transaction_id();
                let answer = message(Class::Success, id, credentials().password(), |b| {
                    b.xor_mapped_address(SocketAddr::from(([198, 51, 100, 1], 40_000 + port)))
                });
                scene.receive(&path.remote.to_string(), &answer).unwrap();
            }
        }
        let local = &scene.agent.selected_pair().unwrap().local;
        let current = SocketAddr::from(([198, 51, 100, 1], 40_000 + port));
        assert_eq!(local.address, CandidateAddress::Ip(current));
    }
    assert!(scene.agent.local_candidates().count() <= 64);
}

#[test]
fn pairs_that_were_not_needed_are_checked_when_the_nominated_one_is_lost() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        let mut scene = Scene::connected(role);
        let second = candidate("candidate:2 1 udp 1000 10.0.0.3 2000 typ host");
        scene.agent.add_remote_candidate(scene.now, second).unwrap();
        // It is checked in vain, and given up.
        for _ in 0..60 {
            scene.advance(SECOND);
            scene.answer_checks_to(|remote| remote == address(REMOTE));
        }
        assert_eq!(scene.agent.state(), IceConnectionState::Completed);
        let took = run_until(&mut scene, ELSEWHERE, is_on(ELSEWHERE));
        assert!(took <= 12 * SECOND, "{role:?}: {took:?}");
    }
}

#[test]
fn a_pair_that_was_left_and_answers_again_is_taken_up_by_both_sides() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        let mut scene = Scene::connected(role);
        let request = check(&scene.agent, 9, false);
        scene.receive(ELSEWHERE, &request).unwrap();
        for _ in 0..100 {
            scene.advance(STEP * 4);
            scene.answer_checks();
        }
        run_until(&mut scene, ELSEWHERE, is_on(ELSEWHERE));
        for _ in 0..20 {
            scene.advance(SECOND);
            scene.answer_checks_to(|remote| remote == address(ELSEWHERE));
        }
        // The peer goes on to use the pair, which both know to be nominated and is the better one.
        let request = check(&scene.agent, 10, false);
        scene.receive(REMOTE, &request).unwrap();
        let begin = scene.now;
        let mut nominations = 0;
        while !is_on(REMOTE)(&scene) {
            assert!(scene.now < begin + SECOND, "{role:?}");
            for (path, bytes) in scene.sent() {
                let message = Message::decode(&bytes).unwrap();
                if message.class() == Class::Request {
                    let is_back = path.remote == address(REMOTE);
                    nominations += usize::from(is_back && message.use_candidate());
                    let answer = success(message.transaction_id());
                    scene.receive(&path.remote.to_string(), &answer).unwrap();
                }
            }
            scene.advance(STEP);
        }
        assert_eq!(nominations, usize::from(role == IceRole::Controlling), "{role:?}: told as well");
    }
}

#[test]
fn a_path_that_the_peer_goes_on_to_check_is_found_to_work_whatever_else_arrives() {
    let mut scene = Scene::connected(IceRole::Controlling);
    let request = check(&scene.agent, 9, false);
    scene.receive(ELSEWHERE, &request).unwrap();
    let mut questions = Vec::new();
    for number in 10..20 {
        // A check of the pair in use is nothing that ends the check of another.
        let request = check(&scene.agent, number, false);
        scene.receive(REMOTE, &request).unwrap();
        scene.advance(STEP);
        questions.extend(scene.sent().into_iter().filter(|(path, _)| path.remote == address(ELSEWHERE)));
    }
    let answer = questions.iter().map(|(_, bytes)| Message::decode(bytes).unwrap());
    let last = answer.rev().find(|message| message.class() == Class::Request).unwrap();
    scene.receive(ELSEWHERE, &success(last.transaction_id())).unwrap();
    assert!(scene.agent.is_validated(&path(ELSEWHERE)));
}

/// Some agents answer checks from an address of this side, such as a loopback address, and never send any there.
#[test]
fn a_nominated_pair_that_the_peer_does_not_check_gives_way_to_one_that_it_does() {
    let mut scene = Scene::checking(IceRole::Controlling);
    scene.answer_checks();
    scene.advance(STEP);
    scene.answer_checks();
    assert!(is_on(REMOTE)(&scene));
    assert!(scene.snapshot().contains("nomination: Done"));
    for _ in 0..40 {
        scene.advance(STEP);
        scene.answer_checks();
    }
    assert!(is_on(REMOTE)(&scene), "there is no other");

    let request = check(&scene.agent, 9, false);
    scene.receive(ELSEWHERE, &request).unwrap();
    let both = |remote: SocketAddr| [REMOTE, ELSEWHERE].contains(&remote.to_string().as_str());
    for _ in 0..10 {
        scene.advance(STEP);
        scene.answer_checks_to(both);
    }
    assert!(is_on(ELSEWHERE)(&scene));
    for _ in 0..200 {
        scene.advance(STEP * 4);
        scene.answer_checks_to(both);
        assert!(is_on(ELSEWHERE)(&scene));
    }

    // Its checks were only lost: what it may use all the time is nominated again.
    let request = check(&scene.agent, 10, false);
    scene.receive(REMOTE, &request).unwrap();
    for _ in 0..10 {
        scene.advance(STEP);
        scene.answer_checks_to(both);
    }
    assert!(is_on(REMOTE)(&scene));
}

/// The check that follows a nomination may be lost, and comes again.
#[test]
fn a_nominated_pair_is_not_left_for_a_check_that_is_late() {
    let mut scene = Scene::checking(IceRole::Controlling);
    scene.answer_checks();
    scene.advance(STEP);
    scene.answer_checks();
    let request = check(&scene.agent, 9, false);
    scene.receive(ELSEWHERE, &request).unwrap();
    for step in 0..200 {
        scene.advance(STEP);
        scene.answer_checks();
        if step == 10 {
            let request = check(&scene.agent, 10, false);
            scene.receive(REMOTE, &request).unwrap();
        }
        assert!(is_on(REMOTE)(&scene));
    }
}

/// What an agent holds does not grow with the addresses that it had.
#[test]
fn addresses_that_came_and_went_leave_nothing_behind() {
    for role in [IceRole::Controlled, IceRole::Controlling] {
        let mut scene = Scene::connected(role);
        let mut flap = |count: u32| {
            for number in 0..count {
                let host = address(&format!("10.{}.{}.9:1000", 1 + number / 200, number % 200));
                scene.agent.add_host_address(scene.now, host).unwrap();
                scene.advance(STEP);
                scene.answer_checks_to(|remote| remote == address(REMOTE));
                scene.agent.remove_host_address(scene.now, host);
                scene.answer_checks();
                while scene.agent.poll_event().is_some() {}
            }
            scene.snapshot().len()
        };
        let few = flap(10);
        let many = flap(1000);
        // Counters have more digits.
        assert!(many < few + 500, "{role:?}: {few} {many}");
    }
}

/// A scene in which the peer has checked another pair, too, which works.
fn with_another(role: IceRole) -> Scene {
    let mut scene = Scene::connected(role);
    scene.answer_checks();
    let request = check(&scene.agent, 9, false);
    scene.receive(ELSEWHERE, &request).unwrap();
    for _ in 0..20 {
        scene.answer_checks();
        scene.advance(STEP);
    }
    assert!(is_on(REMOTE)(&scene) && scene.agent.owns_path(scene.now, &path(ELSEWHERE)));
    scene
}

#[test]
fn a_peer_is_followed_to_where_its_data_comes_from() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        let mut scene = with_another(role);
        // Two that were late, and one in the right place.
        for remote in [ELSEWHERE, ELSEWHERE, REMOTE, ELSEWHERE, ELSEWHERE] {
            scene.agent.note_data(scene.now, &path(remote));
            assert!(is_on(REMOTE)(&scene), "{role:?}");
        }
        scene.agent.note_data(scene.now, &path(ELSEWHERE));
        assert!(is_on(ELSEWHERE)(&scene), "{role:?}");
        // A controlling agent tells that it has gone there.
        let sent = scene.sent();
        let told = sent.iter().filter(|(to, _)| *to == path(ELSEWHERE));
        let nominates = told.map(|(_, bytes)| Message::decode(bytes).unwrap().use_candidate());
        assert_eq!(nominates.collect::<Vec<_>>(), [role == IceRole::Controlling], "{role:?}");
        // What was on its way does not call it back.
        for _ in 0..10 {
            scene.agent.note_data(scene.now, &path(REMOTE));
            assert!(is_on(ELSEWHERE)(&scene), "{role:?}");
        }
    }
}

#[test]
fn data_from_where_the_peer_was_not_shown_to_be_is_not_followed() {
    let mut scene = with_another(IceRole::Controlled);
    scene.advance(SECOND);
    scene.answer_checks();
    for _ in 0..10 {
        scene.agent.note_data(scene.now, &path("10.0.0.4:2000"));
    }
    assert!(is_on(REMOTE)(&scene));
}

/// Answers the checks on some paths, and loses the others.
fn answer_on(scene: &mut Scene, works: impl Fn(&FiveTuple) -> bool) {
    for (path, bytes) in scene.sent() {
        let request = Message::decode(&bytes).unwrap();
        if request.class() == Class::Request && works(&path) {
            let id = request.transaction_id();
            let mut answer = message(Class::Success, id, credentials().password(), |builder| {
                builder.xor_mapped_address(path.local)
            });
            scene.agent.handle_datagram(scene.now, Datagram::new(path, &mut answer)).unwrap();
        }
    }
}

/// Two ways to a peer of two addresses, and each address of this side has reached the first one of the peer. With the
/// address that was used the first one of the peer is gone, too; the other pair of what is left had not worked before.
#[test]
fn a_pair_that_works_only_since_an_address_went_serves_with_its_first_answer() {
    const OTHER: &str = "10.0.9.1:1000";
    for role in [IceRole::Controlled, IceRole::Controlling] {
        let mut scene = Scene::alone(role);
        scene.agent.add_host_address(scene.now, address(OTHER)).unwrap();
        scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
        scene.add_remote(REMOTE);
        let second = "candidate:2 1 udp 2130706430 10.0.9.3 2000 typ host";
        scene.agent.add_remote_candidate(scene.now, candidate(second)).unwrap();
        scene.agent.end_of_remote_candidates(scene.now);
        let request = check(&scene.agent, 1, role == IceRole::Controlled);
        scene.receive(REMOTE, &request).unwrap();
        for _ in 0..600 {
            scene.advance(STEP);
            answer_on(&mut scene, |path| path.remote == address(REMOTE));
        }
        assert!(is_on(REMOTE)(&scene), "{role:?} {:?}", scene.agent.selected_pair());

        scene.agent.remove_host_address(scene.now, address(LOCAL));
        let is_left = |scene: &Scene, remote: &str| {
            let left = FiveTuple::udp(address(OTHER), address(remote));
            scene.agent.selected_pair().is_some_and(|pair| pair.path == left)
        };
        assert!(is_left(&scene, REMOTE), "{role:?} {:?}", scene.agent.selected_pair());
        let went = scene.now;
        while !is_left(&scene, "10.0.9.3:2000") {
            assert!(scene.now < went + 5 * STEP, "{role:?} {:?}", scene.agent.selected_pair());
            answer_on(&mut scene, |path| path.remote == address("10.0.9.3:2000"));
            scene.advance(STEP);
        }
    }
}
