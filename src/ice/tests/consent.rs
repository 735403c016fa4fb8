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
    scene.assert_ignored(REMOTE, &request, "no answer: the peer is to learn of it");
    assert!(scene.sent().is_empty());
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

#[test]
fn a_peer_that_moved_on_is_followed_to_the_pair_that_it_nominates() {
    let mut scene = Scene::connected(IceRole::Controlled);
    // The peer nominates a pair of a lower priority: it knows before us that the first is lost.
    let request = check(&scene.agent, 9, true);
    scene.receive(ELSEWHERE, &request).unwrap();
    scene.answer_checks();
    assert_eq!(scene.agent.selected_pair().unwrap().path, path(REMOTE), "of several, the highest priority");
    for _ in 0..120 {
        scene.advance(SECOND);
        scene.answer_checks_to(|remote| remote == address(ELSEWHERE));
        assert_ne!(scene.agent.state(), IceConnectionState::Failed);
    }
    assert_eq!(scene.agent.selected_pair().unwrap().path, path(ELSEWHERE));
    assert_eq!(scene.agent.state(), IceConnectionState::Completed);
}

#[test]
fn a_pair_that_worked_long_ago_is_checked_again_when_the_peer_nominates_it() {
    let mut scene = Scene::checking(IceRole::Controlled);
    scene.agent.end_of_remote_candidates(scene.now);
    // An aggressive peer: both pairs are nominated from the start.
    for (number, from) in [(1, REMOTE), (2, ELSEWHERE)] {
        let request = check(&scene.agent, number, true);
        scene.receive(from, &request).unwrap();
        scene.advance(Duration::from_millis(50));
        scene.answer_checks();
    }
    assert_eq!(scene.agent.selected_pair().unwrap().path, path(REMOTE));
    for _ in 0..60 {
        scene.advance(SECOND);
        scene.answer_checks();
    }
    let lost = scene.now;
    let mut followed = None;
    for _ in 0..60 {
        scene.advance(SECOND);
        scene.answer_checks_to(|remote| remote == address(ELSEWHERE));
        let request = check(&scene.agent, 3, true);
        scene.receive(ELSEWHERE, &request).unwrap();
        if scene.agent.selected_pair().is_some_and(|pair| pair.path == path(ELSEWHERE)) {
            followed.get_or_insert(scene.now - lost);
        }
    }
    assert!(followed.is_some_and(|time| time < 15 * SECOND), "{followed:?}");
    assert_eq!(scene.agent.selected_pair().unwrap().path, path(ELSEWHERE));
}

#[test]
fn a_pair_is_not_selected_on_consent_of_long_ago() {
    let config = Config { nomination_delay: 60 * SECOND, ..Config::default() };
    let mut scene = Scene::configured(Instant::now(), config);
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    // One that is better and never answers, so that the nomination waits.
    for (number, remote) in [(3, "10.0.0.9"), (2, "10.0.0.2"), (1, "10.0.0.3")] {
        let text = format!("candidate:{number} 1 udp {number} {remote} 2000 typ host");
        scene.agent.add_remote_candidate(scene.now, candidate(&text)).unwrap();
    }
    let answers = |remote| remote != address("10.0.0.9:2000");
    for _ in 0..35 {
        scene.advance(SECOND);
        scene.answer_checks_to(answers);
    }
    assert_eq!(scene.agent.selected_pair().unwrap().path, path(REMOTE));
    let nomination = loop {
        scene.advance(Duration::from_millis(50));
        let sent = scene.sent();
        for (path, bytes) in &sent {
            let message = Message::decode(bytes).unwrap();
            if message.class() == Class::Request && !message.use_candidate() && answers(path.remote) {
                let response = success(message.transaction_id());
                scene.receive(&path.remote.to_string(), &response).unwrap();
            }
        }
        let mut messages = sent.iter().map(|(_, bytes)| Message::decode(bytes).unwrap());
        if let Some(nomination) = messages.find(Message::use_candidate) {
            break nomination.transaction_id();
        }
    };
    let refusal =
        message(Class::Error, nomination, credentials().password(), |b| b.error_code(ErrorCode::BAD_REQUEST));
    scene.receive(REMOTE, &refusal).unwrap();
    assert_eq!(scene.agent.selected_pair(), None, "its consent is more than 30 s old");
    for _ in 0..10 {
        scene.answer_checks_to(answers);
        scene.advance(Duration::from_millis(50));
    }
    assert_eq!(scene.agent.selected_pair().unwrap().path, path(ELSEWHERE));
}

#[test]
fn a_pair_that_is_not_nominated_loses_consent_alone() {
    let mut scene = Scene::checking(IceRole::Controlled);
    scene.add_remote(ELSEWHERE);
    for _ in 0..4 {
        scene.answer_checks();
        scene.advance(Duration::from_millis(50));
    }
    let first = scene.agent.selected_pair().unwrap().path;
    for _ in 0..60 {
        scene.advance(SECOND);
        scene.answer_checks_to(|remote| remote != first.remote);
    }
    assert_eq!(scene.agent.state(), IceConnectionState::Connected);
    assert_ne!(scene.agent.selected_pair().unwrap().path, first);
}

#[test]
fn a_nomination_under_way_outlives_the_consent_of_the_pair_before_it() {
    let mut scene = Scene::connected(IceRole::Controlled);
    for second in 0..60 {
        scene.advance(SECOND);
        match second {
            0..28 => drop(scene.sent()),
            28 => {
                let request = check(&scene.agent, 9, true);
                scene.receive(ELSEWHERE, &request).unwrap();
            }
            29..32 => drop(scene.sent()),
            _ => scene.answer_checks_to(|remote| remote == address(ELSEWHERE)),
        }
        if second == 31 {
            assert_eq!(scene.agent.selected_pair(), None, "nothing is sent without consent");
        }
    }
    assert_eq!(scene.agent.selected_pair().unwrap().path, path(ELSEWHERE));
    assert_eq!(scene.agent.state(), IceConnectionState::Completed);
}

#[test]
fn a_peer_that_moves_often_is_followed_for_ever() {
    let mut scene = Scene::connected(IceRole::Controlled);
    for number in 0..200 {
        let current = format!("10.9.0.{}:2000", 1 + number);
        let request = check(&scene.agent, number, true);
        scene.receive(&current, &request).unwrap();
        for _ in 0..12 {
            scene.answer_checks_to(|remote| remote == address(&current));
            scene.advance(SECOND);
        }
        assert_eq!(scene.agent.selected_pair().unwrap().path, path(&current));
    }
}

#[test]
fn a_pair_that_has_just_answered_proves_nothing_more_when_it_is_nominated() {
    let mut scene = Scene::connected(IceRole::Controlled);
    for _ in 0..15 {
        scene.advance(SECOND);
        scene.sent();
    }
    assert_eq!(scene.agent.state(), IceConnectionState::Disconnected);
    scene.agent.restart(scene.now, scene.agent.new_credentials()).unwrap();
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    scene.add_remote(ELSEWHERE);
    scene.answer_checks_to(|remote| remote == address(ELSEWHERE));
    let request = check(&scene.agent, 9, true);
    scene.receive(ELSEWHERE, &request).unwrap();
    assert_eq!(scene.agent.selected_pair().unwrap().path, path(ELSEWHERE));
}

/// A lite agent that answers no check without USE-CANDIDATE once it is nominated, as a large service does. One that
/// checks itself is asked as RFC 7675 has it.
#[test]
fn consent_of_a_lite_peer_is_asked_for_with_the_nomination() {
    for is_lite in [true, false] {
        let mut scene = Scene::checking(IceRole::Controlling);
        if !is_lite {
            let request = check(&scene.agent, 1, false);
            scene.receive(REMOTE, &request).unwrap();
        }
        let mut nominated = 0;
        for _ in 0..60 * 20 {
            for (path, bytes) in scene.sent() {
                let message = Message::decode(&bytes).unwrap();
                if message.class() != Class::Request {
                    continue;
                }
                nominated += usize::from(message.use_candidate());
                if nominated > 0 && is_lite && !message.use_candidate() {
                    continue;
                }
                let answer = success(message.transaction_id());
                scene.receive(&path.remote.to_string(), &answer).unwrap();
            }
            scene.advance(Duration::from_millis(50));
        }
        let state = scene.agent.state();
        assert!(matches!(state, IceConnectionState::Connected), "lite {is_lite}: {state:?}");
        assert_eq!(nominated > 5, is_lite, "{nominated}");
    }
}

/// libwebrtc checks the candidates of before from new ports once it restarts, and stays with what is answered.
#[test]
fn a_check_with_the_fragments_of_two_generations_is_not_answered() {
    let mut scene = Scene::connected(IceRole::Controlled);
    scene.answer_checks();
    let mixed = |agent: &Agent| {
        let local = agent.local_credentials();
        message(Class::Request, TransactionId([9; 12]), local.password(), |builder| {
            builder.ice_username(local.ufrag(), "newer").priority(7).ice_controlling(1)
        })
    };
    let before = mixed(&scene.agent);
    assert!(scene.receive(ELSEWHERE, &before).is_err());
    let old = check(&scene.agent, 10, false);
    scene.agent.restart(scene.now, scene.agent.new_credentials()).unwrap();
    assert!(scene.receive(ELSEWHERE, &before).is_err(), "of the generation before, too");
    assert!(scene.receive(ELSEWHERE, &old).is_ok());
}
