use std::sync::Arc;
use std::time::Instant;

use super::answer::answer_direction;
use crate::crypto::{CryptoProvider, SeededRandom};
use crate::datachannel::ChannelInit;
use crate::layer::Layer;
use crate::sdp::{Attribute, Direction, MediaKind, SessionDescription, Setup};
use crate::session::{
    Codec, Description, DescriptionKind, SectionError, Session, SessionConfig, SessionError, SessionEvent,
    SignalingState, TrackKind, TransceiverId, TransceiverInit,
};

#[cfg(feature = "aws-lc-rs")]
use crate::crypto::aws_lc_rs as crypto;
#[cfg(not(feature = "aws-lc-rs"))]
use crate::crypto::rust_crypto as crypto;

const CHROMIUM: [&str; 2] = [
    include_str!("../../sdp/fixtures/chromium_156_offer.sdp"),
    include_str!("../../sdp/fixtures/chromium_156_answer.sdp"),
];
const OFFERS: [&str; 6] = [
    CHROMIUM[0],
    include_str!("../../sdp/fixtures/chromium_156_simulcast_offer.sdp"),
    include_str!("../../sdp/fixtures/chromium_156_stopped_offer.sdp"),
    include_str!("../../sdp/fixtures/firefox_153_offer.sdp"),
    include_str!("../../sdp/fixtures/firefox_153_simulcast_offer.sdp"),
    include_str!("../../sdp/fixtures/firefox_153_stopped_offer.sdp"),
];
const ANSWERS: [&str; 2] = [CHROMIUM[1], include_str!("../../sdp/fixtures/firefox_153_answer.sdp")];

/// A session and the time, which stands still: nothing here is sent.
struct Side {
    session: Session,
    now: Instant,
}

impl std::ops::Deref for Side {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.session
    }
}

impl std::ops::DerefMut for Side {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

fn config(seed: u64) -> SessionConfig {
    let provider = CryptoProvider { random: Arc::new(SeededRandom::new(seed)), ..crypto::provider() };
    SessionConfig::generate(provider).unwrap()
}

fn side(seed: u64) -> Side {
    let now = Instant::now();
    Side { session: Session::new(now, config(seed)), now }
}

impl Side {
    fn set_local(&mut self, description: Option<&Description>) -> Result<(), SessionError> {
        let now = self.now;
        self.session.set_local_description(now, description)
    }

    fn set_remote(&mut self, description: &Description) -> Result<(), SessionError> {
        let now = self.now;
        // As it travels.
        let description = Description::parse(description.kind, &description.text()).unwrap();
        self.session.set_remote_description(now, &description)
    }

    fn offer(&mut self) -> Description {
        self.set_local(None).unwrap();
        let offer = self.local_description().unwrap();
        assert_eq!(offer.kind, DescriptionKind::Offer);
        offer
    }

    fn answer(&mut self) -> Description {
        self.set_local(None).unwrap();
        self.current_descriptions().0.unwrap().clone()
    }

    fn track(&mut self, kind: TrackKind) -> TransceiverId {
        self.add_track(kind, TransceiverInit::default()).unwrap()
    }

    fn open(&mut self) {
        let now = self.now;
        self.open_channel(now, ChannelInit::new("x")).unwrap();
    }

    /// Whether an offer is asked for, once per call.
    fn is_asked_to_negotiate(&mut self) -> bool {
        let mut asked = false;
        while let Some(event) = self.poll_event() {
            asked |= event == SessionEvent::NegotiationNeeded;
        }
        asked
    }

    /// All that a call that is refused must leave alone.
    fn snapshot(&self) -> String {
        let (current, pending) = (self.current_descriptions(), self.pending_descriptions());
        let transceivers: Vec<_> = self.transceivers().collect();
        let state = (self.signaling_state(), self.local_ufrag().to_owned());
        format!("{state:?} {current:?} {pending:?} {transceivers:?}")
    }
}

fn exchange(offerer: &mut Side, answerer: &mut Side) -> (SessionDescription, SessionDescription) {
    let offer = offerer.offer();
    answerer.set_remote(&offer).unwrap();
    let answer = answerer.answer();
    offerer.set_remote(&answer).unwrap();
    for side in [offerer, answerer] {
        assert_eq!(side.signaling_state(), SignalingState::Stable);
        assert_eq!(side.pending_descriptions(), (None, None));
    }
    (offer.sdp.unwrap(), answer.sdp.unwrap())
}

/// What a side can be told, in the order of the columns below.
const CALLS: [&str; 10] = [
    "create offer",
    "create answer",
    "local offer",
    "local answer",
    "local pranswer",
    "local rollback",
    "remote offer",
    "remote answer",
    "remote pranswer",
    "remote rollback",
];

/// RFC 8829 §3.2, figure 2, and W3C WebRTC §4.4.1.5.
const TABLE: [(SignalingState, [bool; 10]); 6] = {
    const T: bool = true;
    const F: bool = false;
    use SignalingState::{
        Closed, HaveLocalOffer, HaveLocalPrAnswer, HaveRemoteOffer, HaveRemotePrAnswer, Stable,
    };
    [
        (Stable, [T, F, T, F, F, F, T, F, F, F]),
        // The remote offer is the implicit rollback.
        (HaveLocalOffer, [T, F, T, F, F, T, T, T, T, F]),
        (HaveRemoteOffer, [F, T, F, T, T, F, T, F, F, T]),
        (HaveLocalPrAnswer, [F, T, F, T, T, F, F, F, F, F]),
        (HaveRemotePrAnswer, [F, F, F, F, F, F, F, T, T, F]),
        (Closed, [F; 10]),
    ]
};

/// A side in this state, and the peer that has made what the side was told, if anything.
fn in_state(state: SignalingState) -> (Side, Side) {
    let (mut ours, mut peer) = (side(1), side(2));
    ours.track(TrackKind::Audio);
    peer.track(TrackKind::Audio);
    let answer_to = |peer: &mut Side, offer: &Description, kind| {
        peer.set_remote(offer).unwrap();
        Description { kind, ..peer.create_answer().unwrap() }
    };
    match state {
        SignalingState::Stable => {}
        SignalingState::HaveLocalOffer => drop(ours.offer()),
        SignalingState::HaveRemoteOffer => ours.set_remote(&peer.offer()).unwrap(),
        SignalingState::HaveLocalPrAnswer => {
            let answer = answer_to(&mut ours, &peer.offer(), DescriptionKind::PrAnswer);
            ours.set_local(Some(&answer)).unwrap();
        }
        SignalingState::HaveRemotePrAnswer => {
            let answer = answer_to(&mut peer, &ours.offer(), DescriptionKind::PrAnswer);
            ours.set_remote(&answer).unwrap();
        }
        SignalingState::Closed => {
            let now = ours.now;
            ours.close(now);
        }
    }
    assert_eq!(ours.signaling_state(), state);
    (ours, peer)
}

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
                Err(SessionError::Closed) => {
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
    let section = |error: &SessionError, want: SectionError| matches!(error, SessionError::Section { reason, .. } if *reason == want);

    let bad_answers: [(String, &dyn Fn(&SessionError) -> bool); 8] = [
        (without(&answer, "a=ice-ufrag"), &|e| e.to_string().contains("ice-ufrag")),
        (without(&answer, "a=fingerprint"), &|e| e.to_string().contains("a=fingerprint")),
        (without(&answer, "a=setup"), &|e| e.to_string().contains("a=setup")),
        (answer.replace("a=setup:active", "a=setup:actpass"), &|e| e.to_string().contains("a=setup:active")),
        (without(&answer, "a=mid"), &|e| section(e, SectionError::Missing("a=mid"))),
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
    let bad_offers: [(String, &dyn Fn(&SessionError) -> bool); 5] = [
        (forged(&offer), &|e| e.to_string().contains("fingerprint")),
        (offer[..offer.find("m=application").unwrap()].replace("BUNDLE 0 1", "BUNDLE 0"), &|e| {
            e.to_string().contains("fewer media sections")
        }),
        (offer.replacen("m=audio", "m=video", 1), &|e| e.to_string().contains("kind of media")),
        (offer.replace("a=setup:actpass", "a=setup:passive"), &|e| {
            matches!(e, SessionError::Description(super::apply::DTLS_ROLES_TURNED))
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
    let empty = Description { kind: DescriptionKind::Offer, sdp: None };
    assert!(matches!(bob.session.set_remote_description(bob.now, &empty), Err(SessionError::Description(_))));
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
            if let SessionEvent::LocalCandidate(candidate) = event {
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
