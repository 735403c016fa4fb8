use std::time::Duration;

use super::*;

#[test]
fn role_conflicts_are_decided_by_the_tie_breaker() {
    for (role, theirs, switches) in [
        (IceRole::Controlling, 0, false),
        (IceRole::Controlling, u64::MAX, true),
        (IceRole::Controlled, 0, true),
        (IceRole::Controlled, u64::MAX, false),
    ] {
        let mut scene = Scene::checking(role);
        let local = scene.agent.local_credentials();
        let request = message(Class::Request, TransactionId([1; 12]), local.password(), |b| {
            let b = b.ice_username(local.ufrag(), "peer").priority(1);
            if role == IceRole::Controlling { b.ice_controlling(theirs) } else { b.ice_controlled(theirs) }
        });
        scene.receive(REMOTE, &request).unwrap();
        let answer = scene.sent_response().unwrap();
        let refused = Message::decode(&answer).unwrap().error_code().map(|(code, _)| code);
        assert_eq!(scene.agent.role() != role, switches);
        assert_eq!(refused, (!switches).then_some(ErrorCode::ROLE_CONFLICT));
    }
}

#[test]
fn a_role_conflict_that_is_over_does_not_switch_again() {
    let mut scene = Scene::checking(IceRole::Controlling);
    let (_, ours) = scene.sent_check();
    let id = Message::decode(&ours).unwrap().transaction_id();
    scene.agent.set_role(IceRole::Controlled);
    let conflict =
        message(Class::Error, id, credentials().password(), |b| b.error_code(ErrorCode::ROLE_CONFLICT));
    scene.receive(REMOTE, &conflict).unwrap();
    assert_eq!(scene.agent.role(), IceRole::Controlled);
    scene.advance(Duration::from_millis(50));
    let (_, again) = scene.sent_check();
    assert!(Message::decode(&again).unwrap().ice_controlled().is_some());
}

#[test]
fn a_role_that_was_refused_changes_with_the_tie_breaker() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        let mut scene = Scene::checking(role);
        let other = candidate("candidate:2 1 udp 2130706431 10.0.0.3 2000 typ host");
        scene.agent.add_remote_candidate(scene.now, other).unwrap();
        let (_, first) = scene.sent_check();
        scene.advance(Duration::from_millis(50));
        let (_, second) = scene.sent_check();
        let [first, second] = [&first, &second].map(|check| Message::decode(check).unwrap());
        let tie_breaker = |check: &Message<'_>| check.ice_controlling().or(check.ice_controlled()).unwrap();
        assert_eq!(tie_breaker(&first), tie_breaker(&second));

        let conflict = message(Class::Error, first.transaction_id(), credentials().password(), |b| {
            b.error_code(ErrorCode::ROLE_CONFLICT)
        });
        scene.receive(REMOTE, &conflict).unwrap();
        assert_ne!(scene.agent.role(), role);
        let (mut changed, mut repeated) = (false, false);
        for _ in 0..40 {
            scene.advance(Duration::from_millis(50));
            for (_, bytes) in scene.sent() {
                let check = Message::decode(&bytes).unwrap();
                let controls = check.ice_controlling().is_some();
                if check.transaction_id() == second.transaction_id() {
                    repeated = true;
                    assert_eq!(bytes, second.as_bytes(), "a repetition says what was said");
                } else {
                    changed = true;
                    assert_eq!(controls, role == IceRole::Controlled);
                    assert_ne!(tie_breaker(&check), tie_breaker(&first));
                }
            }
        }
        assert!(changed && repeated);
    }
}

#[test]
fn a_new_role_takes_effect_without_a_datagram() {
    let mut scene = Scene::checking(IceRole::Controlled);
    scene.answer_checks();
    assert!(scene.agent.selected_pair().is_some());
    scene.advance(Duration::from_secs(1));
    scene.agent.set_role(IceRole::Controlling);
    let due = scene.agent.poll_timeout().expect("a time to nominate at");
    assert!(due <= scene.now + Duration::from_millis(50), "{:?}", due - scene.now);
    scene.advance(Duration::from_millis(50));
    let (_, nomination) = scene.sent_check();
    assert!(Message::decode(&nomination).unwrap().use_candidate());
}
