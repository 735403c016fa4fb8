use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// Where the peer is found later.
const ELSEWHERE: &str = "10.0.0.3:2000";

#[test]
fn consent_that_expires_ends_sending_and_a_restart_begins_anew() {
    let mut scene = Scene::connected(IceRole::Controlling);
    let mut disconnected = None;
    for second in 0..40 {
        scene.advance(Duration::from_secs(1));
        scene.sent();
        if scene.agent.state() == IceConnectionState::Disconnected {
            disconnected.get_or_insert(second);
        }
    }
    assert!((8..=12).contains(&disconnected.unwrap()), "{disconnected:?}");
    assert_eq!(scene.agent.state(), IceConnectionState::Failed);
    assert!(scene.agent.selected_pair().is_none() && !scene.agent.is_validated(&path(REMOTE)));
    assert_eq!(scene.agent.poll_timeout(), None, "nothing is left to do");
    let request = check(&scene.agent, 1, false);
    scene.receive(REMOTE, &request).unwrap();
    assert_eq!(scene.agent.state(), IceConnectionState::Failed, "only a restart helps");
    scene.agent.restart(scene.now, scene.agent.new_credentials()).unwrap();
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    scene.add_remote(REMOTE);
    for _ in 0..4 {
        scene.answer_checks();
        scene.advance(Duration::from_millis(50));
    }
    assert_eq!(scene.agent.state(), IceConnectionState::Connected);
}

#[test]
fn a_restart_outlives_the_consent_of_the_pair_before_it() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        let mut scene = Scene::connected(role);
        for _ in 0..25 {
            scene.advance(SECOND);
            scene.sent();
        }
        assert_eq!(scene.agent.state(), IceConnectionState::Disconnected);
        scene.agent.restart(scene.now, scene.agent.new_credentials()).unwrap();
        for _ in 0..10 {
            scene.advance(SECOND);
            scene.sent();
        }
        // The peer answers the restart after the consent of the old pair has expired.
        assert_eq!(scene.agent.selected_pair(), None);
        assert_eq!(scene.agent.state(), IceConnectionState::New);
        scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
        scene.add_remote(ELSEWHERE);
        scene.answer_checks();
        assert_eq!(scene.agent.state(), IceConnectionState::Connected);
    }
}

#[test]
fn checks_of_a_restart_go_on_when_the_consent_of_the_pair_before_it_expires() {
    let mut scene = Scene::connected(IceRole::Controlled);
    for second in 0..40 {
        scene.advance(SECOND);
        scene.sent();
        if second == 20 {
            scene.agent.restart(scene.now, scene.agent.new_credentials()).unwrap();
            scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
            scene.add_remote(ELSEWHERE);
        }
    }
    assert_eq!(scene.agent.selected_pair(), None, "nothing is sent without consent");
    assert_eq!(scene.agent.state(), IceConnectionState::Checking);
    let request = check(&scene.agent, 9, true);
    scene.receive(ELSEWHERE, &request).unwrap();
    scene.answer_checks();
    assert_eq!(scene.agent.state(), IceConnectionState::Connected);
}
