//! Situations of which users of other stacks have told.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Lets the time pass without any signalling.
fn pass(peers: &mut Peers, time: Duration) {
    peers.simulation.run_until(time, |_| false);
}

/// An offer of side 0, which `change` was let at, and the answer; nothing is trickled.
fn exchange(peers: &mut Peers, change: impl Fn(&str) -> String) {
    let now = peers.simulation.now();
    peers.session(0).set_local_description(now, None).unwrap();
    pass(peers, SECOND / 10);
    while peers.session(0).poll_event().is_some() {}
    let now = peers.simulation.now();
    let offer = change(&peers.session(0).local_description().unwrap().text());
    let other = peers.session(1);
    other.set_remote_description(now, &Description::offer(&offer).unwrap()).unwrap();
    other.set_local_description(now, None).unwrap();
    let answer = other.local_description().unwrap();
    peers.session(0).set_remote_description(now, &answer).unwrap();
}

fn without(text: &str, parts: &[&str]) -> String {
    let is_kept = |line: &&str| !parts.iter().any(|part| line.contains(part));
    text.lines().filter(is_kept).fold(String::new(), |text, line| text + line + "\r\n")
}

/// The offer of a peer whose only candidate leads nowhere, and that does not say whether more will come.
fn lead_nowhere(text: &str) -> String {
    without(text, &["a=end-of-candidates", "a=ice-options"])
        .replace("10.0.0.1 5000 typ", "10.99.0.1 5000 typ")
}

/// RFC 8838 §5.
#[test]
fn who_does_not_trickle_and_is_not_there_has_failed_in_the_usual_time() {
    for (trickles, failed) in [(false, true), (true, false)] {
        let mut peers = Peers::new(1, link());
        let now = peers.simulation.now();
        peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
        peers.simulation.network().set_default_link(Link { up: false, ..link() });
        exchange(&mut peers, |text| {
            let text = lead_nowhere(text);
            if trickles { text.replace("a=setup", "a=ice-options:trickle\r\na=setup") } else { text }
        });
        pass(&mut peers, 39 * SECOND);
        assert_ne!(peers.session(1).ice_connection_state(), IceConnectionState::Failed);
        pass(&mut peers, 2 * SECOND);
        assert_eq!(peers.session(1).ice_connection_state() == IceConnectionState::Failed, failed);
    }
}

/// Peers of before RFC 8838 trickle without a word.
#[test]
fn late_candidates_of_who_does_not_say_that_it_trickles_are_taken() {
    for wait in [1, 20, 38] {
        let mut peers = Peers::new(2, link());
        let now = peers.simulation.now();
        peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
        exchange(&mut peers, lead_nowhere);
        // Side 0 hears nothing of the answerer's either, so that all depends on the late one.
        peers.simulation.network().set_default_link(Link { up: false, ..link() });
        pass(&mut peers, wait * SECOND);
        peers.simulation.network().set_default_link(link());
        let now = peers.simulation.now();
        let late = "candidate:9 1 udp 2130706431 10.0.0.1 5000 typ host";
        let mut late = kaon_rtc::session::IceCandidateInit::new(late);
        late.sdp_m_line_index = Some(0);
        peers.session(1).add_ice_candidate(now, &late).unwrap();
        peers.connect();
    }
}

/// A subscriber asks for a key frame as soon as it learns of the track.
#[test]
fn a_key_frame_that_is_asked_for_before_the_first_packet_is_asked_for_with_it() {
    let mut peers = Peers::new(3, link());
    let video = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    peers.negotiate(0);
    peers.connect();
    let theirs = peers.session(1).transceivers().next().unwrap().id();
    peers.session(1).request_key_frame(theirs, None);
    peers.run_until(SECOND, |_| false);
    let requests = |peers: &Peers| {
        let is_request = |event: &&SessionEvent| matches!(event, SessionEvent::KeyFrameRequested { .. });
        peers.events[0].iter().filter(is_request).count()
    };
    assert_eq!(requests(&peers), 0);
    send_video(&mut peers, video, 3);
    peers.run_until(SECOND, |_| false);
    assert_eq!(requests(&peers), 1);
}

/// Webex: the answer has numbers of its own, and the packets too.
#[test]
fn media_under_the_numbers_of_the_answer_arrives() {
    let mut peers = Peers::new(4, link());
    let audio = peers.session(0).add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
    let theirs = peers.session(1).add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
    let now = peers.simulation.now();
    peers.session(0).set_local_description(now, None).unwrap();
    let offer = peers.session(0).local_description().unwrap().text().replace("111", "97");
    let other = peers.session(1);
    other.set_remote_description(now, &Description::offer(&offer).unwrap()).unwrap();
    other.set_local_description(now, None).unwrap();
    let answer = other.local_description().unwrap();
    peers.session(0).set_remote_description(now, &answer).unwrap();
    peers.connect();
    for (side, id, number) in [(0, audio, 97), (1, theirs, 97)] {
        let now = peers.simulation.now();
        let codec = peers.session(side).transceiver(id).unwrap().send_codecs()[0].clone();
        assert_eq!(codec.payload_type.value(), number);
        let packet = OutgoingRtp::new(codec.payload_type, RtpTimestamp(1), true, Bytes::from_static(b"opus"));
        peers.session(side).send_rtp(now, id, packet).unwrap();
    }
    peers.run_until(SECOND, |_| false);
    for side in 0..2 {
        assert_eq!(peers.simulation.layer_mut(peers.hosts[side]).received.len(), 1, "{side}");
    }
}
