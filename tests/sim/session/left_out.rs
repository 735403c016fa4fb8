//! Peers that leave out what has a default, and take less than browsers do.

use super::*;

/// An exchange begun by side 0, in which each text is changed on its way.
pub(super) fn exchange(peers: &mut Peers, change: impl Fn(&str) -> String) {
    let now = peers.simulation.now();
    peers.session(0).set_local_description(now, None).unwrap();
    let offer = change(&peers.session(0).local_description().unwrap().text());
    let other = peers.session(1);
    other.set_remote_description(now, &Description::offer(&offer).unwrap()).unwrap();
    other.set_local_description(now, None).unwrap();
    let answer = change(&other.local_description().unwrap().text());
    peers.session(0).set_remote_description(now, &Description::answer(&answer).unwrap()).unwrap();
}

/// The text without the lines that hold one of these.
pub(super) fn without(text: &str, parts: &[&str]) -> String {
    let is_kept = |line: &&str| !parts.iter().any(|part| line.contains(part));
    text.lines().filter(is_kept).fold(String::new(), |text, line| text + line + "\r\n")
}

/// As a gateway to telephones may write it: no tags, no roles, no map of what is static, a profile of its own.
#[test]
fn a_call_with_a_gateway_that_says_little_has_sound_both_ways() {
    for profile in ["RTP/AVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP"] {
        let mut peers = Peers::new(7, link());
        let audio = peers.session(0).add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
        let other = peers.session(1).add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
        for _ in 0..2 {
            exchange(&mut peers, |text| {
                let lines =
                    ["a=mid", "a=group", "a=setup", "a=rtpmap:0", "a=rtcp-fb", "a=extmap", "a=fmtp", "opus"];
                let text =
                    without(text, &lines).replace("UDP/TLS/RTP/SAVPF 111 0 8", &format!("{profile} 0"));
                text.replace(" 111 0", " 0")
            });
            peers.connect();
        }
        for (side, id) in [(0, audio), (1, other)] {
            let now = peers.simulation.now();
            let codec = peers.session(side).transceiver(id).unwrap().send_codecs()[0].clone();
            assert_eq!(codec.codec.name, "PCMU");
            let packet =
                OutgoingRtp::new(codec.payload_type, RtpTimestamp(1), true, Bytes::from_static(b"ulaw"));
            peers.session(side).send_rtp(now, id, packet).unwrap();
        }
        peers.run_until(Duration::from_secs(1), |_| false);
        for side in 0..2 {
            let received = &peers.simulation.layer_mut(peers.hosts[side]).received;
            assert_eq!(received.len(), 1, "{profile} {side}");
            assert_eq!(received[0].3, b"ulaw");
        }
    }
}

/// RFC 5104 §4.3.1: what a peer takes that knows no PLI.
#[test]
fn a_peer_that_takes_only_fir_is_asked_by_fir() {
    for (left_out, plis, firs) in [("goog-remb", 2, 0), ("nack pli", 0, 2), ("a=rtcp-fb", 0, 0)] {
        let mut peers = Peers::new(8, link());
        let video = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
        exchange(&mut peers, |text| without(text, &[left_out]));
        peers.connect();
        send_video(&mut peers, video, 3);
        let theirs = peers.session(1).transceivers().next().unwrap().id();
        // The last two are one request: the first of them is under way.
        for wait in [0, 700, 100] {
            peers.run_until(Duration::from_millis(wait), |_| false);
            peers.session(1).request_key_frame(theirs, None);
        }
        peers.run_until(Duration::from_secs(1), |_| false);
        let is_request = |event: &&SessionEvent| matches!(event, SessionEvent::KeyFrameRequested { .. });
        assert_eq!(peers.events[0].iter().filter(is_request).count(), plis + firs, "without {left_out}");
        let now = peers.simulation.now();
        let report = peers.session(1).stats(now);
        let received = report
            .iter()
            .find_map(|entry| if let Stats::InboundRtp(entry) = entry { Some(entry.clone()) } else { None })
            .unwrap();
        assert_eq!(
            (received.pli_count, received.fir_count),
            (plis as u64, firs as u64),
            "without {left_out}"
        );
    }
}

/// RFC 8285 §4.1.2: without `a=extmap-allow-mixed`, one stream has one form. The orientation is the one extension here
/// that needs the form of two bytes, and stands in every other packet.
#[test]
fn header_extensions_keep_to_one_form_unless_both_sides_take_both() {
    const ONE_BYTE: u16 = 0xbede;
    const TWO_BYTE: u16 = 0x1000;
    let forms = |id: &str, mixed: bool| {
        let mut peers = Peers::new(9, link());
        let video = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
        exchange(&mut peers, |text| {
            let text = if mixed { text.to_owned() } else { without(text, &["extmap-allow-mixed"]) };
            let own = text.lines().find(|line| line.contains("video-orientation")).unwrap();
            let (_, uri) = own.split_once(' ').unwrap();
            text.replace(own, &format!("a=extmap:{id} {uri}"))
        });
        peers.connect();
        let payload_type = peers.session(0).transceiver(video).unwrap().send_codecs()[0].payload_type;
        for number in 0..6 {
            let now = peers.simulation.now();
            let timestamp = RtpTimestamp(number * 3000);
            let mut packet = OutgoingRtp::new(payload_type, timestamp, true, Bytes::from_static(b"frame"));
            packet.extensions.video_orientation = (number % 2 == 1).then(Default::default);
            peers.session(0).send_rtp(now, video, packet).unwrap();
            peers.run_until(Duration::from_millis(33), |_| false);
        }
        peers.run_until(Duration::from_secs(1), |_| false);
        peers.simulation.layer_mut(peers.hosts[1]).extension_forms.clone()
    };
    assert_eq!(forms("14", true), [ONE_BYTE]);
    assert_eq!(forms("14", false), [ONE_BYTE]);
    assert_eq!(forms("20", false), [TWO_BYTE]);
    assert_eq!(forms("20", true), [ONE_BYTE, TWO_BYTE]);
}
