//! Situations of which users of other stacks have told, and which this agent takes as it should.

use std::time::Duration;

use super::*;

/// A check of the peer with what `build` adds, and without what it leaves out.
fn request(
    agent: &Agent,
    number: u8,
    fingerprint: bool,
    build: impl for<'b> FnOnce(MessageBuilder<'b>) -> MessageBuilder<'b>,
) -> Vec<u8> {
    let local = agent.local_credentials();
    let key = IntegrityKey::short_term(&provider(0), local.password());
    let mut bytes = Vec::new();
    let id = TransactionId([number; 12]);
    let builder = MessageBuilder::new(&mut bytes, Class::Request, Method::BINDING, id);
    let builder = build(builder.ice_username(local.ufrag(), "peer")).integrity(&key);
    let builder = if fingerprint { builder.fingerprint() } else { builder };
    builder.finish().unwrap();
    bytes
}

fn run(scene: &mut Scene, seconds: u32) {
    for _ in 0..20 * seconds {
        scene.answer_checks();
        scene.advance(Duration::from_millis(50));
    }
}

/// Gateways that control and never nominate: the pair that works is used, and stays.
#[test]
fn a_controlling_peer_that_never_nominates_is_connected_to() {
    let mut scene = Scene::checking(IceRole::Controlled);
    scene.agent.end_of_remote_candidates(scene.now);
    for number in 0..60 {
        let request = check(&scene.agent, number, false);
        scene.receive(REMOTE, &request).unwrap();
        run(&mut scene, 2);
        assert_eq!(scene.agent.state(), IceConnectionState::Connected);
        assert_eq!(scene.agent.selected_pair().unwrap().path, path(REMOTE));
    }
}

/// Nomination in every check, over two pairs in turns: the better one is kept to.
#[test]
fn nominations_that_alternate_do_not_move_the_selected_pair() {
    let mut scene = Scene::checking(IceRole::Controlled);
    let lower = "candidate:2 1 udp 1000 10.0.0.3 2000 typ srflx raddr 0.0.0.0 rport 9";
    scene.agent.add_remote_candidate(scene.now, candidate(lower)).unwrap();
    for number in 0..40 {
        for remote in [REMOTE, "10.0.0.3:2000"] {
            let request = check(&scene.agent, number, true);
            scene.receive(remote, &request).unwrap();
            run(&mut scene, 1);
        }
        assert_eq!(scene.agent.selected_pair().unwrap().path, path(REMOTE), "{number}");
    }
}

#[test]
fn checks_of_many_makes_are_answered() {
    let mut number = 0;
    let mut answered =
        |fingerprint: bool, build: &dyn for<'b> Fn(MessageBuilder<'b>) -> MessageBuilder<'b>| {
            let mut scene = Scene::checking(IceRole::Controlled);
            scene.sent();
            number += 1;
            let request = request(&scene.agent, number, fingerprint, build);
            let _ = scene.receive(REMOTE, &request);
            scene.sent_response().map(|response| Message::decode(&response).unwrap().class())
        };
    let kind = AttributeType;
    // Old and small implementations leave out the priority, the role or the fingerprint.
    assert_eq!(answered(true, &|builder| builder), Some(Class::Success));
    assert_eq!(answered(true, &|builder| builder.priority(1)), Some(Class::Success));
    assert_eq!(answered(false, &|builder| builder.priority(1).ice_controlling(1)), Some(Class::Success));
    // What is comprehension-optional is passed over: network cost, candidate identifiers, nomination counts.
    for optional in [0x8022, 0x8054, 0x8070, 0xc001, 0xc057, 0xc059, 0xffff] {
        assert_eq!(
            answered(true, &|builder| builder.attribute(kind(optional), &[1, 2, 3, 4]).priority(1)),
            Some(Class::Success),
            "{optional:#x}"
        );
    }
}

/// What is not a check keeps a mapping alive, or nothing at all.
#[test]
fn indications_change_nothing() {
    let mut scene = Scene::connected(IceRole::Controlled);
    let before = scene.snapshot();
    for fingerprint in [false, true] {
        let mut bytes = Vec::new();
        let builder =
            MessageBuilder::new(&mut bytes, Class::Indication, Method::BINDING, TransactionId([9; 12]));
        let builder = if fingerprint { builder.fingerprint() } else { builder };
        builder.finish().unwrap();
        scene.receive(REMOTE, &bytes).unwrap();
        assert!(scene.sent_response().is_none());
    }
    assert_eq!(scene.snapshot(), before);
}

/// Servers of before RFC 5389 tell the mapped address as it is.
#[test]
fn answers_with_a_plain_mapped_address_do() {
    let mut scene = Scene::checking(IceRole::Controlling);
    let (_, ours) = scene.sent_check();
    let id = Message::decode(&ours).unwrap().transaction_id();
    let answer = message(Class::Success, id, credentials().password(), |builder| {
        builder.attribute(AttributeType::MAPPED_ADDRESS, &[0, 1, 0x03, 0xe8, 10, 0, 0, 1])
    });
    scene.receive(REMOTE, &answer).unwrap();
    assert_eq!(scene.agent.state(), IceConnectionState::Connected);
}

/// Two machines with the bridge of the same container runtime: a candidate of the peer is an address of this machine,
/// and what is sent there comes back.
#[test]
fn a_candidate_with_the_address_of_this_agent_harms_nothing() {
    let mut scene = Scene::alone(IceRole::Controlling);
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    scene.add_remote(LOCAL);
    let mut reflected = 0;
    for step in 0..100 {
        if step == 50 {
            scene.add_remote(REMOTE);
        }
        for (path, mut bytes) in scene.sent() {
            let message = Message::decode(&bytes).unwrap();
            if path.remote == address(LOCAL) {
                reflected += 1;
                let _ = scene.agent.handle_datagram(scene.now, Datagram::new(path, &mut bytes));
            } else if message.class() == Class::Request {
                let answer = success(message.transaction_id());
                scene.receive(&path.remote.to_string(), &answer).unwrap();
            }
        }
        scene.advance(Duration::from_millis(50));
    }
    assert!((1..20).contains(&reflected), "{reflected}");
    assert_eq!(scene.agent.selected_pair().unwrap().path, path(REMOTE));
}
