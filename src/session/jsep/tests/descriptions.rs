//! Descriptions and candidates of others: bad ones, and those of browsers.

use super::*;

/// A text, and whether an error says what is wrong with it.
type BadDescription<'a> = (String, &'a dyn Fn(&SessionError) -> bool);

#[test]
fn bad_descriptions_change_nothing() {
    let (mut alice, mut bob) = (side(1), side(2));
    alice.track(TrackKind::Audio);
    alice.open();
    let first = alice.offer().text();
    bob.set_remote(&Description::offer(&first).unwrap()).unwrap();
    let answer = bob.answer().text();
    let line = |text: &str, prefix: &str| {
        text.lines().find(|line| line.starts_with(prefix)).unwrap().to_owned() + "\r\n"
    };
    let without = |text: &str, prefix: &str| text.replace(&line(text, prefix), "");

    let bad_answers: [BadDescription<'_>; 6] = [
        (without(&answer, "a=ice-ufrag"), &|e| e.to_string().contains("ice-ufrag")),
        (without(&answer, "a=fingerprint"), &|e| e.to_string().contains("a=fingerprint")),
        (answer.replace("a=setup:active", "a=setup:actpass"), &|e| e.to_string().contains("a=setup:active")),
        (answer.replacen("a=mid:0", "a=mid:7", 1).replace("BUNDLE 0", "BUNDLE 7"), &|e| {
            matches!(e, SessionError::Section { index: 0, reason: SectionError::Mismatch { .. } })
        }),
        (without(&answer, "a=rtcp-mux"), &|e| e.to_string().contains("a=rtcp-mux")),
        (answer[..answer.find("m=application").unwrap()].replace("BUNDLE 0 1", "BUNDLE 0"), &|e| {
            matches!(e, SessionError::Description(_))
        }),
    ];
    for (text, is_right) in bad_answers {
        assert_ne!(text, answer);
        let before = alice.snapshot();
        let error = alice.set_remote(&Description::answer(&text).unwrap()).unwrap_err();
        assert!(is_right(&error), "{error}\n{text}");
        assert_eq!(alice.snapshot(), before, "{error}");
    }
    alice.set_remote(&Description::answer(&answer).unwrap()).unwrap();

    let offer = bob.create_offer().unwrap().text();
    let forged = |text: &str| {
        let old = line(text, "a=fingerprint");
        let (head, tail) = old.trim_end().split_at(old.trim_end().len() - 1);
        text.replace(&old, &format!("{head}{}\r\n", if tail == "0" { "1" } else { "0" }))
    };
    let bad_offers: [BadDescription<'_>; 5] = [
        (forged(&offer), &|e| e.to_string().contains("fingerprint")),
        (offer[..offer.find("m=application").unwrap()].replace("BUNDLE 0 1", "BUNDLE 0"), &|e| {
            e.to_string().contains("fewer media sections")
        }),
        (offer.replacen("m=audio", "m=video", 1), &|e| e.to_string().contains("kind of media")),
        (offer.replace("a=setup:actpass", "a=setup:passive"), &|e| {
            matches!(e, SessionError::Description(super::super::apply::DTLS_ROLES_TURNED))
        }),
        (offer.replacen("a=mid:1", "a=mid:0", 1), &|e| e.to_string().contains("a=mid")),
    ];
    for (text, is_right) in bad_offers {
        assert_ne!(text, offer);
        let before = alice.snapshot();
        let error = alice.set_remote(&Description::offer(&text).unwrap()).unwrap_err();
        assert!(is_right(&error), "{error}\n{text}");
        assert_eq!(alice.snapshot(), before, "{error}");
    }
    // A local description that was changed, or was never made.
    let before = bob.snapshot();
    let mut changed = bob.create_offer().unwrap();
    changed.sdp.as_mut().unwrap().media[0].push(Attribute::RtcpMux);
    let error = bob.set_local(Some(&changed)).unwrap_err();
    assert_eq!(error, SessionError::ModifiedDescription(DescriptionKind::Offer));
    assert_eq!(bob.snapshot(), before);
    let answer = {
        alice.set_remote(&bob.offer()).unwrap();
        alice.create_answer().unwrap()
    };
    let mut changed = answer.clone();
    changed.sdp.as_mut().unwrap().media[0].push(Attribute::RtcpMux);
    let error = alice.set_local(Some(&changed)).unwrap_err();
    assert_eq!(error, SessionError::ModifiedDescription(DescriptionKind::Answer));
    alice.set_local(Some(&answer)).unwrap();
    let empty = Description { kind: DescriptionKind::Offer, sdp: None };
    assert!(matches!(bob.session.set_remote_description(bob.now, &empty), Err(SessionError::Description(_))));
}

#[test]
fn debug_tells_no_password() {
    let (mut alice, mut bob) = (side(1), side(2));
    alice.track(TrackKind::Audio);
    let offer = alice.offer();
    bob.set_remote(&offer).unwrap();
    let text = offer.text();
    let password = text.split("a=ice-pwd:").nth(1).unwrap().lines().next().unwrap();
    let told = format!("{offer:?} {:?} {:?} {:?}", *alice, *bob, bob.remote_description());
    assert!(!told.contains(password));
}

#[test]
fn candidates_name_their_section_and_wait_for_the_description() {
    let mut alice = side(1);
    let now = alice.now;
    alice.add_host_address(now, "10.0.0.1:5000".parse().unwrap()).unwrap();
    alice.end_of_host_addresses(now);
    alice.open();
    let candidates = |side: &mut Side| {
        let mut found = Vec::new();
        while let Some(event) = side.poll_event() {
            if let SessionEvent::IceCandidate(candidate) = event {
                found.push(candidate);
            }
        }
        found
    };
    assert!(candidates(&mut alice).is_empty());
    alice.offer();
    let found = candidates(&mut alice);
    assert_eq!(found.len(), 2);
    for candidate in &found {
        assert_eq!((candidate.sdp_mid.as_deref(), candidate.sdp_m_line_index), (Some("0"), Some(0)));
        assert_eq!(candidate.username_fragment.as_deref(), Some(alice.local_ufrag()));
    }
    assert!(found[0].candidate.starts_with("candidate:") && found[1].candidate.is_empty());
}

#[test]
fn offers_of_browsers_are_answered() {
    for (number, text) in OFFERS.into_iter().enumerate() {
        let mut ours = side(number as u64);
        ours.set_remote(&Description::offer(text).unwrap()).unwrap();
        let answer = ours.answer();
        let parsed = SessionDescription::parse(&answer.text()).unwrap();
        assert_eq!(Some(&parsed), answer.sdp.as_ref(), "offer {number}");
        let offer = SessionDescription::parse(text).unwrap();
        assert_eq!(parsed.media.len(), offer.media.len());
        let accepted = parsed.media.iter().filter(|media| !media.is_rejected()).count();
        assert!(accepted > 0, "offer {number}");
        for (media, offered) in parsed.media.iter().zip(&offer.media) {
            assert_eq!((&media.kind, media.mid()), (&offered.kind, offered.mid()));
            assert!(!offered.is_rejected() || media.is_rejected(), "offer {number}");
            if !media.is_rejected() {
                assert_eq!(parsed.setup(media), Some(Setup::Active), "offer {number}");
                assert!(media.formats.iter().all(|format| offered.formats.contains(format)));
            }
        }
        // The same again, as when the browser renegotiates, and an offer from this side.
        ours.set_remote(&Description::offer(text).unwrap()).unwrap();
        ours.answer();
        ours.track(TrackKind::Video);
        let offer = ours.offer();
        assert!(offer.sdp.unwrap().media.len() >= parsed.media.len());
    }
}

#[test]
fn answers_of_browsers_are_taken() {
    for (number, text) in ANSWERS.into_iter().enumerate() {
        let answer = SessionDescription::parse(text).unwrap();
        let mut ours = side(number as u64);
        // An offer with the answer's sections and tags.
        for media in &answer.media {
            match media.kind {
                MediaKind::Audio => drop(ours.track(TrackKind::Audio)),
                MediaKind::Video => drop(ours.track(TrackKind::Video)),
                _ => {}
            }
        }
        ours.open();
        let mids: Vec<_> = ours.offer().sdp.unwrap().media.iter().filter_map(|media| media.mid()).collect();
        let theirs: Vec<_> = answer.media.iter().filter_map(|media| media.mid()).collect();
        assert_eq!(mids, theirs, "answer {number}");
        ours.set_remote(&Description::answer(text).unwrap()).unwrap();
        assert_eq!(ours.signaling_state(), SignalingState::Stable);
        let accepted = answer.media.iter().filter(|m| !m.is_rejected() && m.kind != MediaKind::Application);
        assert_eq!(ours.transceivers().count(), accepted.count());
        assert!(ours.transceivers().all(|transceiver| !transceiver.send_codecs().is_empty()));
    }
}
