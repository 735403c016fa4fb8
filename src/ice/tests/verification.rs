use std::time::Duration;

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn a_path_that_does_not_answer_is_let_go_in_a_second() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        let mut scene = Scene::connected(role);
        scene.sent();
        assert!(scene.agent.owns_path(scene.now, &path(REMOTE)));
        scene.agent.verify_path(scene.now, &path(REMOTE));
        assert_eq!(scene.sent_check().0, path(REMOTE), "it is asked at once");
        let mut sent = 1;
        for _ in 0..100 {
            scene.advance(10 * MILLISECOND);
            sent += scene.sent().len();
        }
        assert_eq!(sent, 4);
        assert!(!scene.agent.owns_path(scene.now, &path(REMOTE)));
        assert_eq!(scene.agent.state(), IceConnectionState::Disconnected);
        // The peer was only away for a moment.
        for _ in 0..8 {
            scene.advance(Duration::from_secs(1));
            scene.answer_checks();
        }
        assert!(scene.agent.owns_path(scene.now, &path(REMOTE)));
        assert_eq!(scene.agent.state(), IceConnectionState::Completed);
    }
}

#[test]
fn a_path_that_answers_is_kept() {
    let mut scene = Scene::connected(IceRole::Controlled);
    for _ in 0..20 {
        scene.agent.verify_path(scene.now, &path(REMOTE));
        scene.agent.verify_path(scene.now, &path(REMOTE));
        let checks = scene.sent();
        assert_eq!(checks.len(), 1, "asked once at a time");
        scene.advance(100 * MILLISECOND);
        let id = Message::decode(&checks[0].1).unwrap().transaction_id();
        scene.receive(REMOTE, &success(id)).unwrap();
        assert_eq!(scene.agent.take_proof(&path(REMOTE)), Some(PathProof::Answer));
        assert_eq!(scene.agent.last_heard(&path(REMOTE)), Some(scene.now));
        scene.advance(2000 * MILLISECOND);
        assert!(scene.agent.owns_path(scene.now, &path(REMOTE)));
        assert_eq!(scene.agent.state(), IceConnectionState::Completed);
    }
}

#[test]
fn a_path_that_was_only_sent_to_belongs_to_nobody() {
    let mut scene = Scene::checking(IceRole::Controlling);
    scene.sent_check();
    assert!(!scene.agent.owns_path(scene.now, &path(REMOTE)));
    scene.agent.verify_path(scene.now, &path(REMOTE));
    assert!(scene.sent().is_empty());
    let request = check(&scene.agent, 1, false);
    scene.receive(REMOTE, &request).unwrap();
    assert_eq!(scene.agent.take_proof(&path("10.0.0.3:2000")), None, "of another path");
    scene.receive(REMOTE, &request).unwrap();
    assert_eq!(scene.agent.take_proof(&path(REMOTE)), Some(PathProof::Check));
    assert_eq!(scene.agent.take_proof(&path(REMOTE)), None, "told once");
    assert!(!scene.agent.owns_path(scene.now, &path(REMOTE)), "it has not answered yet");
}

#[test]
fn consent_that_ends_gives_the_path_back() {
    let mut scene = Scene::connected(IceRole::Controlling);
    let heard = scene.agent.last_heard(&path(REMOTE)).unwrap();
    while scene.now < heard + Duration::from_secs(31) {
        scene.advance(Duration::from_secs(1));
        scene.sent();
    }
    assert!(!scene.agent.owns_path(scene.now, &path(REMOTE)));
    assert_eq!(scene.agent.last_heard(&path(REMOTE)), None);
}

#[test]
fn the_path_of_a_restart_is_asked_under_the_old_credentials() {
    let mut scene = Scene::connected(IceRole::Controlled);
    scene.sent();
    scene.agent.restart(scene.now, scene.agent.new_credentials()).unwrap();
    scene.agent.verify_path(scene.now, &path(REMOTE));
    let (_, ours) = scene.sent_check();
    scene.receive(REMOTE, &success(Message::decode(&ours).unwrap().transaction_id())).unwrap();
    assert!(scene.agent.owns_path(scene.now, &path(REMOTE)));
}
