//! Media sections and transceivers: what is offered, answered and agreed on.

use super::*;

#[test]
fn directions_meet_in_the_answer() {
    use Direction::{Inactive as I, RecvOnly as R, SendOnly as S, SendRecv as B};
    // RFC 3264 §6.1: offered, wanted by the answerer, answered.
    let table = [
        (B, B, B),
        (B, S, S),
        (B, R, R),
        (B, I, I),
        (S, B, R),
        (S, S, I),
        (S, R, R),
        (S, I, I),
        (R, B, S),
        (R, S, S),
        (R, R, I),
        (R, I, I),
        (I, B, I),
        (I, S, I),
        (I, R, I),
        (I, I, I),
    ];
    for (offered, wanted, answered) in table {
        assert_eq!(answer_direction(wanted, offered), answered, "{offered:?} {wanted:?}");
        let (mut alice, mut bob) = (side(1), side(2));
        let ours = alice.add_transceiver(TrackKind::Video, TransceiverInit::new(offered)).unwrap();
        bob.set_remote(&alice.offer()).unwrap();
        let theirs = bob.transceivers().next().unwrap().id();
        bob.set_direction(theirs, wanted).unwrap();
        let answer = bob.answer();
        alice.set_remote(&answer).unwrap();
        assert_eq!(bob.transceiver(theirs).unwrap().current_direction(), Some(answered));
        assert_eq!(alice.transceiver(ours).unwrap().current_direction(), Some(answered.reversed()));
        // W3C WebRTC §4.7.3: an answerer that wanted more than was offered is content with what it could get.
        assert!(!bob.is_asked_to_negotiate(), "{offered:?} {wanted:?}");
    }
}

/// A source without a track is a track of its own to some, and one that is not named any more is forgotten by others.
#[test]
fn a_sender_is_named_with_its_track_from_when_it_sends() {
    let named = |description: &Description| {
        let media = &description.sdp.as_ref().unwrap().media[0];
        let tracks = media.ssrcs().filter(|source| source.name == "msid").count();
        let sources: Vec<_> =
            media.ssrcs().filter(|source| source.name == "cname").map(|it| it.ssrc).collect();
        assert_eq!((tracks, media.msids().count()), (sources.len(), sources.len().min(1)), "{media:?}");
        sources
    };
    let (mut alice, mut bob) = (side(1), side(2));
    alice.add_transceiver(TrackKind::Video, TransceiverInit::default()).unwrap();
    let offer = alice.offer();
    let sources = named(&offer);
    assert_eq!(sources.len(), 2, "of the stream and of what is sent again");
    bob.set_remote(&offer).unwrap();
    let theirs = bob.transceivers().next().unwrap().id();
    let answer = bob.answer();
    assert_eq!(named(&answer), [], "it only receives");
    alice.set_remote(&answer).unwrap();

    bob.set_direction(theirs, Direction::SendRecv).unwrap();
    exchange(&mut bob, &mut alice);
    let ours = alice.transceivers().next().unwrap().id();
    for direction in [Direction::Inactive, Direction::RecvOnly, Direction::SendRecv] {
        alice.set_direction(ours, direction).unwrap();
        let offer = alice.offer();
        assert_eq!(named(&offer), sources, "{direction:?}");
        bob.set_remote(&offer).unwrap();
        let answer = bob.answer();
        assert_eq!(named(&answer).len(), 2, "{direction:?}");
        alice.set_remote(&answer).unwrap();
    }
}

/// RFC 3264 §6 has the answer give it port 0, too, which libdatachannel does not.
#[test]
fn a_section_that_has_ended_stays_so_whatever_the_answer_says() {
    let (mut alice, mut bob) = (side(1), side(2));
    alice.track(TrackKind::Audio);
    let video = alice.track(TrackKind::Video);
    let (_, accepted) = exchange(&mut alice, &mut bob);
    alice.stop_transceiver(video).unwrap();
    exchange(&mut alice, &mut bob);
    let offer = alice.offer().sdp.unwrap();
    assert!(offer.media[1].is_rejected());
    alice.set_remote(&Description::answer(&accepted.to_string()).unwrap()).unwrap();
    assert_eq!(alice.signaling_state(), SignalingState::Stable);
    assert!(alice.transceiver(video).is_none_or(|transceiver| transceiver.is_stopped()));

    alice.track(TrackKind::Video);
    let (again, _) = exchange(&mut alice, &mut bob);
    assert_eq!(again.media.len(), 2, "another one takes its place");
    assert!(!again.media[1].is_rejected());
}

#[test]
fn what_is_agreed_is_what_the_answer_says() {
    let (mut alice, mut bob) = (side(1), side(2));
    alice.track(TrackKind::Video);
    bob.set_remote(&alice.offer()).unwrap();
    let theirs = bob.transceivers().next().unwrap().id();
    let answer = bob.create_answer().unwrap();
    bob.set_direction(theirs, Direction::SendRecv).unwrap();
    bob.set_local(Some(&answer)).unwrap();
    assert_eq!(bob.transceiver(theirs).unwrap().current_direction(), Some(Direction::RecvOnly));
    assert!(bob.is_asked_to_negotiate());
}

#[test]
fn a_track_waits_for_a_section_that_receives_it() {
    let (mut alice, mut bob) = (side(1), side(2));
    alice.add_transceiver(TrackKind::Video, TransceiverInit::new(Direction::SendOnly)).unwrap();
    let waiting = bob.track(TrackKind::Video);
    exchange(&mut alice, &mut bob);
    assert_eq!(bob.transceivers().count(), 2);
    assert_eq!(bob.transceiver(waiting).unwrap().mid(), None);
    assert!(bob.is_asked_to_negotiate());
    exchange(&mut bob, &mut alice);
    assert_eq!(bob.transceiver(waiting).unwrap().current_direction(), Some(Direction::SendOnly));

    let (mut alice, mut bob) = (side(1), side(2));
    alice.add_transceiver(TrackKind::Video, TransceiverInit::new(Direction::RecvOnly)).unwrap();
    let waiting = bob.track(TrackKind::Video);
    exchange(&mut alice, &mut bob);
    assert_eq!(bob.transceiver(waiting).unwrap().current_direction(), Some(Direction::SendOnly));
    assert!(!bob.is_asked_to_negotiate());
}

#[test]
fn numbers_are_those_of_the_offerer() {
    let offer = SessionDescription::parse(CHROMIUM[0]).unwrap();
    let mut ours = side(3);
    // An offer that was made and never applied takes no numbers.
    ours.track(TrackKind::Video);
    ours.create_offer().unwrap();
    ours.set_remote(&Description { kind: DescriptionKind::Offer, sdp: Some(offer.clone()) }).unwrap();
    let check = |ours: &SessionDescription| {
        for media in &ours.media {
            let Some(theirs) = media.mid().and_then(|mid| offer.media_by_mid(mid)) else { continue };
            for codec in media.codecs() {
                let same =
                    theirs.codecs().find(|other| other.payload_type() == codec.payload_type()).unwrap();
                let name = |map: &crate::sdp::RtpMap| (map.encoding.to_lowercase(), map.clock_rate);
                assert_eq!(codec.rtp_map().map(name), same.rtp_map().map(name));
                assert_eq!(codec.retransmission(), same.retransmission());
            }
            for map in media.ext_maps() {
                assert!(theirs.ext_maps().any(|other| (other.id, &other.uri) == (map.id, &map.uri)));
            }
        }
    };
    let answer = ours.answer().sdp.unwrap();
    check(&answer);
    assert!(answer.media.iter().any(|media| media.codecs().count() > 2 && media.ext_maps().count() > 3));
    // And they are kept when this side offers.
    let again = ours.offer().sdp.unwrap();
    for (before, now) in answer.media.iter().zip(&again.media) {
        for codec in now.codecs() {
            let says = |codec: &crate::sdp::Codec<'_>| {
                (codec.rtp_map().map(|map| map.encoding.clone()), codec.parameters().clone())
            };
            let known: Vec<_> = before.codecs().filter(|other| says(other) == says(&codec)).collect();
            let number = codec.payload_type();
            assert!(known.is_empty() || known.iter().any(|other| other.payload_type() == number), "{number}");
        }
    }
}

#[test]
fn ended_sections_keep_their_places_until_others_take_them() {
    let (mut alice, mut bob) = (side(1), side(2));
    let first = alice.track(TrackKind::Audio);
    let second = alice.track(TrackKind::Video);
    exchange(&mut alice, &mut bob);
    let mid = alice.transceiver(first).unwrap().mid().unwrap();
    alice.stop_transceiver(first).unwrap();
    assert!(alice.is_asked_to_negotiate());
    let (offer, answer) = exchange(&mut alice, &mut bob);
    assert!(offer.media[0].is_rejected() && answer.media[0].is_rejected());
    assert_eq!(offer.media[0].mid(), Some(mid));
    assert!(!offer.bundle().unwrap().mids.contains(&mid));
    assert_eq!(alice.transceivers().count(), 1);
    assert_eq!(bob.transceivers().count(), 1);
    assert!(!alice.is_asked_to_negotiate() && !bob.is_asked_to_negotiate());
    // Either side may take the place, with a new tag.
    let third = bob.add_transceiver(TrackKind::Video, TransceiverInit::default()).unwrap();
    let (offer, _) = exchange(&mut bob, &mut alice);
    assert_eq!(offer.media.len(), 2);
    assert_eq!(offer.media[0].kind, MediaKind::Video);
    assert_ne!(offer.media[0].mid(), Some(mid));
    assert_eq!(bob.transceiver(third).unwrap().mid(), offer.media[0].mid());
    assert!(alice.transceiver(second).is_some());
    // Stopped on the other side than the one that made it.
    let theirs = bob.transceivers().find(|t| t.id() != third).unwrap().id();
    bob.stop_transceiver(theirs).unwrap();
    exchange(&mut bob, &mut alice);
    assert!(alice.transceiver(second).is_none());
}

#[test]
fn what_is_stopped_before_the_peer_knows_it_leaves_no_trace() {
    let (mut alice, mut bob) = (side(1), side(2));
    let id = alice.track(TrackKind::Audio);
    alice.stop_transceiver(id).unwrap();
    assert_eq!(alice.transceivers().count(), 0);
    assert!(alice.create_offer().unwrap().sdp.unwrap().media.is_empty());
    // Between making the offer and applying it: the next exchange ends it.
    let id = alice.track(TrackKind::Audio);
    let offer = alice.create_offer().unwrap();
    alice.stop_transceiver(id).unwrap();
    alice.set_local(Some(&offer)).unwrap();
    bob.set_remote(&offer).unwrap();
    let answer = bob.answer();
    alice.set_remote(&answer).unwrap();
    assert!(alice.is_asked_to_negotiate());
    exchange(&mut alice, &mut bob);
    assert_eq!((alice.transceivers().count(), bob.transceivers().count()), (0, 0));
    assert!(!alice.is_asked_to_negotiate());
}

#[test]
fn a_peer_without_bundle_gets_its_first_section() {
    let (mut alice, mut bob) = (side(1), side(2));
    alice.track(TrackKind::Audio);
    alice.track(TrackKind::Video);
    let offer = alice.offer();
    let text = offer
        .text()
        .lines()
        .filter(|line| !line.starts_with("a=group"))
        .fold(String::new(), |text, line| text + line + "\r\n");
    bob.set_remote(&Description::offer(&text).unwrap()).unwrap();
    let answer = bob.answer();
    let sdp = answer.sdp.as_ref().unwrap();
    assert!(sdp.bundle().is_none());
    assert!(!sdp.media[0].is_rejected() && sdp.media[1].is_rejected());
    alice.set_remote(&answer).unwrap();
    assert_eq!(alice.transceivers().count(), 1);
}

#[test]
fn refused_data_is_not_offered_for_ever() {
    let mut alice = side(1);
    alice.track(TrackKind::Audio);
    alice.open();
    let mut bob = side(2);
    bob.set_remote(&alice.offer()).unwrap();
    let mut answer = bob.create_answer().unwrap();
    let sdp = answer.sdp.as_mut().unwrap();
    let data = sdp.media.iter_mut().find(|media| media.kind == MediaKind::Application).unwrap();
    data.port = 0;
    alice.set_remote(&answer).unwrap();
    assert!(!alice.is_asked_to_negotiate());
}

#[test]
fn preferences_of_the_answerer_outweigh_the_order_of_the_offer() {
    let (mut alice, mut bob) = (side(1), side(2));
    alice.add_transceiver(TrackKind::Video, TransceiverInit::default()).unwrap();
    let init = TransceiverInit::default().codecs([Codec::h264(), Codec::vp8()]);
    let theirs = bob.add_track(TrackKind::Video, init).unwrap();
    exchange(&mut alice, &mut bob);
    let names = |side: &Side, id| -> Vec<String> {
        side.transceiver(id).unwrap().send_codecs().iter().map(|c| c.codec.name.clone()).collect()
    };
    assert_eq!(names(&bob, theirs), ["H264", "VP8"]);
    let ours = alice.transceivers().next().unwrap().id();
    assert_eq!(names(&alice, ours), ["H264", "VP8"]);
}
