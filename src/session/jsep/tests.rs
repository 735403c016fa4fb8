mod descriptions;
mod left_out;
mod offers;
mod reports;
mod sections;
mod states;

use std::sync::Arc;
use std::time::Instant;

use super::answer::answer_direction;
use crate::crypto::SeededRandom;
use crate::datachannel::ChannelInit;
use crate::layer::Layer;
use crate::sdp::{Attribute, Direction, MediaKind, SessionDescription, Setup};
use crate::session::{
    Codec, Description, DescriptionKind, IceCandidateInit, SectionError, Session, SessionConfig,
    SessionError, SessionEvent, SignalingState, Stats, TrackKind, TransceiverId, TransceiverInit,
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
    let provider = crypto::provider().with_random(Arc::new(SeededRandom::new(seed)));
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
        self.create_data_channel(now, ChannelInit::new("x")).unwrap();
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
