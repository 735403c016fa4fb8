//! Arbitrary texts as descriptions of the peer in every signalling state. A text is refused and changes nothing, or
//! leads to an answer that parses; nothing panics.
//!
//! The first byte says what to do before, the rest is the text.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use kaon_rtc::crypto::{SeededRandom, aws_lc_rs};
use kaon_rtc::datachannel::ChannelInit;
use kaon_rtc::layer::Layer;
use kaon_rtc::sdp::SessionDescription;
use kaon_rtc::session::{
    Description, DescriptionKind, Session, SessionConfig, SignalingState, TrackKind, TransceiverInit,
};
use libfuzzer_sys::fuzz_target;

static CONFIG: LazyLock<SessionConfig> = LazyLock::new(|| {
    let provider = aws_lc_rs::provider().with_random(Arc::new(SeededRandom::new(1)));
    SessionConfig::generate(provider).expect("a certificate")
});

fn session(now: Instant) -> Session {
    let mut session = Session::new(now, CONFIG.clone());
    session.add_track(TrackKind::Audio, TransceiverInit::default()).expect("room for a track");
    session.add_track(TrackKind::Video, TransceiverInit::default()).expect("room for a track");
    session.create_data_channel(now, ChannelInit::new("x")).expect("room for a channel");
    session
}

/// An exchange with a well-behaved peer.
fn exchange(session: &mut Session, now: Instant) {
    let mut peer = self::session(now);
    session.set_local_description(now, None).expect("an offer");
    peer.set_remote_description(now, &session.local_description().expect("an offer")).expect("a good offer");
    peer.set_local_description(now, None).expect("an answer");
    let answer = peer.local_description().expect("an answer");
    session.set_remote_description(now, &answer).expect("a good answer");
}

fn snapshot(session: &Session) -> String {
    let transceivers: Vec<_> = session.transceivers().collect();
    let (current, pending) = (session.current_descriptions(), session.pending_descriptions());
    format!("{:?} {current:?} {pending:?} {transceivers:?}", session.signaling_state())
}

fuzz_target!(|data: &[u8]| {
    let Some((&how, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let kind = match how & 3 {
        0 | 1 => DescriptionKind::Offer,
        2 => DescriptionKind::Answer,
        _ => DescriptionKind::PrAnswer,
    };
    let Ok(description) = Description::parse(kind, text) else { return };
    let now = Instant::now();
    let mut session = session(now);
    if how & 4 != 0 {
        exchange(&mut session, now);
    }
    if how & 8 != 0 || kind != DescriptionKind::Offer {
        session.set_local_description(now, None).expect("an offer");
    }
    for _ in 0..2 {
        let before = snapshot(&session);
        if session.set_remote_description(now, &description).is_err() {
            assert_eq!(snapshot(&session), before, "a description that was refused changed something");
            break;
        }
        if session.signaling_state() == SignalingState::HaveRemoteOffer {
            if how & 16 != 0 {
                session.set_remote_description(now, &Description::rollback()).expect("a rollback");
                continue;
            }
            let answer = session.create_answer().expect("every offer that was taken has an answer");
            let parsed = SessionDescription::parse(&answer.text()).expect("an answer that parses");
            assert_eq!(Some(&parsed), answer.sdp.as_ref());
            session.set_local_description(now, Some(&answer)).expect("the answer");
        }
        while session.poll_event().is_some() {}
        if session.signaling_state() == SignalingState::Stable {
            let offer = session.create_offer().expect("an offer after the exchange");
            SessionDescription::parse(&offer.text()).expect("an offer that parses");
        }
    }
    session.handle_timeout(now);
    assert!(session.poll_timeout().is_none_or(|timeout| timeout > now), "a timeout in the past");
    session.stats(now);
    session.close(now);
});
