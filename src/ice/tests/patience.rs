use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Waits in vain until the state is `state`, at most ten minutes; how long that took.
fn wait_for(scene: &mut Scene, state: IceConnectionState) -> Duration {
    let begin = scene.now;
    while scene.agent.state() != state {
        assert!(scene.now < begin + 600 * SECOND, "still {:?}", scene.agent.state());
        scene.advance(Duration::from_millis(250));
        scene.sent();
    }
    scene.now - begin
}

#[test]
fn candidates_that_come_late_revive_an_agent_that_was_not_told_of_the_last_one() {
    let mut scene = Scene::checking(IceRole::Controlling);
    let took = wait_for(&mut scene, IceConnectionState::Disconnected);
    assert!((39 * SECOND..41 * SECOND).contains(&took), "{took:?}");
    for _ in 0..60 {
        scene.advance(SECOND);
        scene.sent();
    }
    scene.add_remote("10.0.0.3:2000");
    assert_eq!(scene.agent.state(), IceConnectionState::Checking);
    scene.answer_checks();
    assert_eq!(scene.agent.state(), IceConnectionState::Connected);
}

#[test]
fn checks_that_come_late_revive_an_agent_that_was_not_told_of_the_last_candidate() {
    let mut scene = Scene::checking(IceRole::Controlled);
    wait_for(&mut scene, IceConnectionState::Disconnected);
    let request = check(&scene.agent, 1, true);
    scene.receive(REMOTE, &request).unwrap();
    assert!(scene.sent_response().is_some());
    scene.advance(SECOND);
    scene.answer_checks();
    assert_eq!(scene.agent.state(), IceConnectionState::Connected);
}

#[test]
fn without_the_last_candidate_failure_takes_much_longer() {
    let mut scene = Scene::checking(IceRole::Controlled);
    let took = wait_for(&mut scene, IceConnectionState::Failed);
    assert!((299 * SECOND..302 * SECOND).contains(&took), "{took:?}");
    assert_eq!(scene.agent.poll_timeout(), None);
}

#[test]
fn dead_candidates_do_not_lengthen_patience() {
    for foundations in [1, 64] {
        let mut scene = Scene::alone(IceRole::Controlled);
        scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
        for number in 0..64 {
            let foundation = number % foundations;
            let text = format!("candidate:{foundation} 1 udp 1000 10.8.0.{} 2000 typ host", 1 + number);
            scene.agent.add_remote_candidate(scene.now, candidate(&text)).unwrap();
        }
        scene.agent.end_of_remote_candidates(scene.now);
        let mut checked = std::collections::BTreeSet::new();
        let begin = scene.now;
        while scene.agent.state() != IceConnectionState::Failed {
            checked.extend(scene.sent().into_iter().map(|(path, _)| path.remote));
            scene.advance(Duration::from_millis(50));
            assert!(scene.now < begin + 41 * SECOND);
        }
        assert_eq!(checked.len(), 64, "each had its chance");
    }
}

#[test]
fn names_that_nobody_resolves_are_given_up() {
    let mut scene = Scene::alone(IceRole::Controlled);
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    for number in 0..40 {
        let name = format!("candidate:1 1 udp 2130706431 name{number}.local 2000 typ host");
        scene.agent.add_remote_candidate(scene.now, candidate(&name)).unwrap();
    }
    scene.agent.end_of_remote_candidates(scene.now);
    let queries: Vec<_> = std::iter::from_fn(|| scene.agent.poll_event())
        .filter_map(|event| match event {
            IceEvent::ResolveName { query, .. } => Some(query),
            _ => None,
        })
        .collect();
    assert_eq!(queries.len(), 40);
    let took = wait_for(&mut scene, IceConnectionState::Failed);
    assert!(took <= 41 * SECOND, "{took:?}");
    scene.agent.resolve_name(scene.now, queries[0], Some([10, 0, 0, 2].into()));
    assert!(!scene.snapshot().contains("10.0.0.2:2000"));
}

#[test]
fn a_name_that_is_resolved_in_time_is_checked() {
    let mut scene = Scene::alone(IceRole::Controlled);
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    let name = "candidate:1 1 udp 2130706431 somebody.local 2000 typ host";
    scene.agent.add_remote_candidate(scene.now, candidate(name)).unwrap();
    for _ in 0..9 {
        scene.advance(SECOND);
    }
    scene.agent.resolve_name(scene.now, NameQuery(0), Some([10, 0, 0, 2].into()));
    assert_eq!(scene.sent_check().0, path(REMOTE));
}
