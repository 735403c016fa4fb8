//! The states of signalling: what is allowed in which, and what rollback and restarts do.

use super::*;

#[test]
fn every_call_in_every_state_is_allowed_or_changes_nothing() {
    for (state, allowed) in TABLE {
        for (call, allowed) in CALLS.into_iter().zip(allowed) {
            let (mut ours, mut peer) = in_state(state);
            // Descriptions that would do if the state allowed them.
            let remote = match call {
                "remote offer" => Some(Description { kind: DescriptionKind::Offer, sdp: Some(side_offer()) }),
                "remote answer" | "remote pranswer" => {
                    let kind = if call == "remote answer" {
                        DescriptionKind::Answer
                    } else {
                        DescriptionKind::PrAnswer
                    };
                    let made = match ours.pending_descriptions() {
                        (_, Some(made)) if state == SignalingState::HaveRemotePrAnswer => made.sdp.clone(),
                        (Some(offer), _) if state == SignalingState::HaveLocalOffer => {
                            peer.set_remote(&offer.clone()).unwrap();
                            peer.create_answer().unwrap().sdp
                        }
                        _ => Some(SessionDescription::parse(ANSWERS[0]).unwrap()),
                    };
                    Some(Description { kind, sdp: made })
                }
                "remote rollback" => Some(Description::rollback()),
                _ => None,
            };
            let before = ours.snapshot();
            let result = match call {
                "create offer" => ours.create_offer().map(drop),
                "create answer" => ours.create_answer().map(drop),
                "local offer" => {
                    let created = ours.create_offer().ok();
                    let sdp = created.and_then(|created| created.sdp);
                    ours.set_local(Some(&Description { kind: DescriptionKind::Offer, sdp }))
                }
                "local answer" | "local pranswer" => {
                    let kind = if call == "local answer" {
                        DescriptionKind::Answer
                    } else {
                        DescriptionKind::PrAnswer
                    };
                    let sdp = ours.create_answer().ok().and_then(|created| created.sdp);
                    ours.set_local(Some(&Description { kind, sdp }))
                }
                "local rollback" => ours.set_local(Some(&Description::rollback())),
                _ => ours.set_remote(&remote.unwrap()),
            };
            match result {
                Ok(()) => assert!(allowed, "{call} in {state} was allowed"),
                Err(SessionError::InvalidState { state: told, .. }) => {
                    assert!(!allowed && told == state, "{call} in {state} was refused");
                    assert_eq!(ours.snapshot(), before, "{call} in {state} changed something");
                }
                Err(SessionError::Ended(_)) => {
                    assert_eq!(state, SignalingState::Closed, "{call}");
                    assert_eq!(ours.snapshot(), before, "{call} changed something");
                }
                Err(error) => panic!("{call} in {state}: {error}"),
            }
        }
    }
}

/// An offer of somebody else.
fn side_offer() -> SessionDescription {
    let mut other = side(77);
    other.track(TrackKind::Audio);
    other.create_offer().unwrap().sdp.unwrap()
}

#[test]
fn an_implicit_local_description_is_the_one_that_is_due() {
    let (mut ours, _) = in_state(SignalingState::HaveLocalPrAnswer);
    ours.set_local(None).unwrap();
    assert_eq!(ours.current_descriptions().0.unwrap().kind, DescriptionKind::Answer);
}

#[test]
fn rollbacks_take_back_what_the_exchange_did_and_nothing_else() {
    let (mut alice, mut bob) = (side(1), side(2));
    alice.track(TrackKind::Audio);
    exchange(&mut alice, &mut bob);
    alice.is_asked_to_negotiate();
    bob.is_asked_to_negotiate();
    let (agreed, bobs) = (alice.snapshot(), bob.snapshot());

    // A local offer.
    let id = alice.track(TrackKind::Video);
    assert!(alice.is_asked_to_negotiate());
    let with_track = alice.snapshot();
    let offer = alice.offer();
    assert!(alice.transceiver(id).unwrap().mid().is_some());
    alice.set_local(Some(&Description::rollback())).unwrap();
    assert_eq!(alice.snapshot(), with_track);
    assert!(alice.is_asked_to_negotiate(), "what was taken back is still wanted");

    // A remote offer makes a transceiver that goes with it, and tells of a track that ends with it.
    bob.set_remote(&offer).unwrap();
    assert_eq!(bob.transceivers().count(), 2);
    bob.set_remote(&Description::rollback()).unwrap();
    assert_eq!(bob.snapshot(), bobs);
    // Unless the application sends on it.
    bob.set_remote(&offer).unwrap();
    let theirs = bob.track(TrackKind::Video);
    assert_eq!(bob.transceiver(theirs).unwrap().mid(), offer.sdp.as_ref().unwrap().media[1].mid());
    bob.set_remote(&Description::rollback()).unwrap();
    assert_eq!(bob.transceiver(theirs).unwrap().mid(), None);
    assert!(bob.is_asked_to_negotiate());
    bob.stop_transceiver(theirs).unwrap();

    // Implicit: both offer, and alice is polite.
    alice.stop_transceiver(id).unwrap();
    assert_eq!(alice.snapshot(), agreed);
    alice.track(TrackKind::Video);
    bob.track(TrackKind::Video);
    alice.offer();
    let theirs = bob.offer();
    alice.set_remote(&theirs).unwrap();
    let answer = alice.answer();
    bob.set_remote(&answer).unwrap();
    // Alice's track found its place in bob's offer.
    assert_eq!((alice.transceivers().count(), bob.transceivers().count()), (2, 2));
    for side in [&mut alice, &mut bob] {
        assert!(side.transceivers().skip(1).all(|t| t.current_direction() == Some(Direction::SendRecv)));
        assert!(!side.is_asked_to_negotiate());
    }
}

#[test]
fn provisional_answers_settle_with_the_last() {
    let (mut alice, mut bob) = (side(1), side(2));
    let ours = alice.track(TrackKind::Audio);
    bob.set_remote(&alice.offer()).unwrap();
    let theirs = bob.transceivers().next().unwrap().id();
    let provisional = Description { kind: DescriptionKind::PrAnswer, ..bob.create_answer().unwrap() };
    bob.set_local(Some(&provisional)).unwrap();
    alice.set_remote(&provisional).unwrap();
    assert_eq!(alice.signaling_state(), SignalingState::HaveRemotePrAnswer);
    assert_eq!(alice.transceiver(ours).unwrap().current_direction(), Some(Direction::SendOnly));
    assert_eq!(alice.current_descriptions(), (None, None));
    bob.set_direction(theirs, Direction::SendRecv).unwrap();
    let answer = bob.answer();
    let ufrag = |sdp: &SessionDescription| {
        sdp.to_string().lines().find(|l| l.starts_with("a=ice-ufrag")).map(str::to_owned)
    };
    assert_eq!(ufrag(provisional.sdp.as_ref().unwrap()), ufrag(answer.sdp.as_ref().unwrap()));
    alice.set_remote(&answer).unwrap();
    assert_eq!(alice.transceiver(ours).unwrap().current_direction(), Some(Direction::SendRecv));
    assert_eq!(alice.current_descriptions().1.unwrap().kind, DescriptionKind::Answer);
}

#[test]
fn restarts_last_until_the_credentials_are_replaced() {
    let (mut alice, mut bob) = (side(1), side(2));
    alice.restart_ice();
    assert!(!alice.is_asked_to_negotiate(), "there is nothing to restart");
    alice.track(TrackKind::Audio);
    exchange(&mut alice, &mut bob);
    alice.is_asked_to_negotiate();
    // Asked for while an offer without a restart is under way.
    let offer = alice.offer();
    let first = alice.local_ufrag().to_owned();
    alice.restart_ice();
    bob.set_remote(&offer).unwrap();
    let answer = bob.answer();
    alice.set_remote(&answer).unwrap();
    assert_eq!(alice.local_ufrag(), first);
    assert!(alice.is_asked_to_negotiate());
    exchange(&mut alice, &mut bob);
    assert_ne!(alice.local_ufrag(), first);
    assert!(!alice.is_asked_to_negotiate());
    // The peer's restart does as well.
    let second = alice.local_ufrag().to_owned();
    alice.restart_ice();
    bob.restart_ice();
    exchange(&mut bob, &mut alice);
    assert_ne!(alice.local_ufrag(), second);
    alice.poll_event();
    assert!(!alice.is_asked_to_negotiate());
}

#[test]
fn candidates_that_come_during_an_exchange_outlast_its_rollback() {
    let (mut alice, mut bob) = (side(1), side(2));
    alice.open();
    exchange(&mut alice, &mut bob);
    alice.track(TrackKind::Video);
    alice.offer();
    let addresses = ["192.0.2.1", "192.0.2.2"];
    let add = |alice: &mut Side, address: &str| {
        let candidate = format!("candidate:1 1 udp 2122260223 {address} 4000 typ host");
        let init = IceCandidateInit { candidate, sdp_mid: Some("0".into()), ..IceCandidateInit::default() };
        let now = alice.now;
        alice.add_ice_candidate(now, &init).unwrap();
    };
    add(&mut alice, addresses[0]);
    alice.set_local(Some(&Description::rollback())).unwrap();
    add(&mut alice, addresses[1]);
    let report = alice.stats(alice.now);
    for address in addresses {
        let is_known = |stats: &Stats| matches!(stats, Stats::RemoteCandidate(candidate) if candidate.address == address);
        assert!(report.iter().any(is_known), "{address}");
    }
}

#[test]
fn an_offer_that_became_due_and_was_made_is_not_asked_for() {
    let (mut alice, mut bob) = (side(1), side(2));
    alice.track(TrackKind::Video);
    exchange(&mut alice, &mut bob);
    assert!(!alice.is_asked_to_negotiate() && !bob.is_asked_to_negotiate());
    alice.track(TrackKind::Audio);
    assert!(alice.is_asked_to_negotiate());
}
