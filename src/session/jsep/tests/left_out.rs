//! What a peer leaves out, or says in a form of its own: gateways, cameras, media servers and old browsers.

use super::*;
use crate::sdp::{MediaDescription, Msid, RtpMap};

/// One section as a gateway to telephones may write it, every line in its place.
pub(super) const OFFER: &str = "v=0\r\no=FreeSWITCH 1700000000 1700000001 IN IP4 192.0.2.1\r\ns=FreeSWITCH\r\n\
    c=IN IP4 192.0.2.1\r\nt=0 0\r\na=group:BUNDLE 0\r\na=msid-semantic: WMS x\r\n\
    m=audio 20000 UDP/TLS/RTP/SAVPF 111 0 8 101\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\na=mid:0\r\na=setup:actpass\r\n\
    a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=ice-ufrag:gateway1\r\na=ice-pwd:0123456789012345678901\r\na=rtcp-mux\r\n\
    a=candidate:1 1 udp 2130706431 192.0.2.1 20000 typ host\r\na=end-of-candidates\r\n";

const PROFILES: [&str; 8] = [
    "RTP/AVP",
    "RTP/AVPF",
    "RTP/SAVP",
    "RTP/SAVPF",
    "TCP/DTLS/RTP/SAVP",
    "TCP/DTLS/RTP/SAVPF",
    "UDP/TLS/RTP/SAVP",
    "UDP/TLS/RTP/SAVPF",
];

/// The text without the lines that begin so.
pub(super) fn without(text: &str, prefixes: &[&str]) -> String {
    let is_kept = |line: &&str| !prefixes.iter().any(|prefix| line.starts_with(prefix));
    text.lines().filter(is_kept).fold(String::new(), |text, line| text + line + "\r\n")
}

pub(super) fn answered(offer: &str) -> SessionDescription {
    let mut ours = side(7);
    ours.set_remote(&Description::offer(offer).unwrap_or_else(|error| panic!("{error}\n{offer}"))).unwrap();
    ours.answer().sdp.unwrap()
}

/// The answer to an offer of one section that is to be accepted.
pub(super) fn accepted(offer: &str) -> MediaDescription {
    let answer = answered(offer);
    assert!(!answer.media[0].is_rejected(), "{offer}\n{answer}");
    answer.media[0].clone()
}

fn names(media: &MediaDescription) -> Vec<String> {
    media.rtp_maps().map(|map| map.encoding.to_lowercase()).collect()
}

/// RFC 8829 §5.1.2: the profile says nothing that the attributes do not say better.
#[test]
fn every_profile_is_taken_and_echoed() {
    for profile in PROFILES {
        let answer = accepted(&OFFER.replace("UDP/TLS/RTP/SAVPF", profile));
        assert_eq!(answer.protocol, profile);

        let (mut alice, mut bob) = (side(1), side(2));
        let audio = alice.track(TrackKind::Audio);
        let offer = alice.offer();
        assert_eq!(offer.sdp.as_ref().unwrap().media[0].protocol, "UDP/TLS/RTP/SAVPF");
        bob.set_remote(&offer).unwrap();
        let answer = bob.answer().text().replace("UDP/TLS/RTP/SAVPF", profile);
        alice.set_remote(&Description::answer(&answer).unwrap()).unwrap();
        assert!(alice.transceiver(audio).unwrap().current_direction().is_some(), "{profile}");
    }
    let other = answered(&OFFER.replace("UDP/TLS/RTP/SAVPF", "RTP/QUIC/AVPF"));
    assert!(other.media[0].is_rejected());
    assert_eq!(other.media[0].protocol, "RTP/QUIC/AVPF");
}

#[test]
fn data_channels_are_taken_in_every_form() {
    let offer = |protocol: &str, format: &str, lines: &str| {
        let head = without(&OFFER[..OFFER.find("m=").unwrap()], &["a=group"]);
        let transport = without(&OFFER[OFFER.find("a=mid").unwrap()..], &["a=rtcp-mux"]);
        format!("{head}m=application 9 {protocol} {format}\r\n{transport}{lines}")
    };
    for protocol in ["UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP"] {
        let answer = accepted(&offer(protocol, "webrtc-datachannel", "a=sctp-port:5000\r\n"));
        assert_eq!((answer.protocol.as_str(), answer.sctp_port()), (protocol, Some(5000)));
    }
    // The port has a default.
    assert_eq!(accepted(&offer("UDP/DTLS/SCTP", "webrtc-datachannel", "")).sctp_port(), Some(5000));
    // Before RFC 8841: the port is the format, and a line says what it carries.
    let answer = accepted(&offer("DTLS/SCTP", "5000", "a=sctpmap:5000 webrtc-datachannel 1024\r\n"));
    assert_eq!((answer.formats.as_slice(), answer.sctp_port()), (&["5000".to_owned()][..], None));
    assert!(
        answer.attributes().any(|attribute| attribute.to_string() == "sctpmap:5000 webrtc-datachannel 1024")
    );
}

/// RFC 8829 §5.10: the section gets a tag of this side's, which the answer does not tell.
#[test]
fn a_section_without_a_tag_is_known_by_its_place() {
    let untagged = without(OFFER, &["a=mid", "a=group"]);
    let answer = answered(&untagged);
    assert!(!answer.media[0].is_rejected());
    assert_eq!((answer.media[0].mid(), answer.bundle()), (None, None));

    // A peer that never has any, in both directions and again.
    let (mut alice, mut bob) = (side(1), side(2));
    alice.track(TrackKind::Audio);
    let audio = bob.track(TrackKind::Audio);
    for _ in 0..2 {
        let offer = without(&alice.offer().text(), &["a=mid", "a=group"]);
        bob.set_remote(&Description::offer(&offer).unwrap()).unwrap();
        let answer = bob.answer();
        assert!(!answer.text().contains("a=mid"));
        alice.set_remote(&answer).unwrap();
        assert_eq!(bob.transceivers().count(), 1);
        let mid = bob.transceiver(audio).unwrap().mid().unwrap();

        let offer = bob.offer();
        assert_eq!(offer.sdp.as_ref().unwrap().media[0].mid(), Some(mid));
        alice.set_remote(&offer).unwrap();
        let answer = without(&alice.answer().text(), &["a=mid", "a=group"]);
        bob.set_remote(&Description::answer(&answer).unwrap()).unwrap();
        assert!(bob.transceiver(audio).unwrap().current_direction().is_some());
        assert_eq!(bob.transceivers().count(), 1);
    }
}

/// The group alone has the tags.
#[test]
fn an_answer_may_leave_out_the_tags_of_its_sections() {
    let (mut alice, mut bob) = (side(1), side(2));
    alice.track(TrackKind::Audio);
    alice.track(TrackKind::Video);
    alice.open();
    bob.set_remote(&alice.offer()).unwrap();
    let answer = without(&bob.answer().text(), &["a=mid"]);
    alice.set_remote(&Description::answer(&answer).unwrap()).unwrap();
    assert_eq!(
        alice.transceivers().filter(|transceiver| transceiver.current_direction().is_some()).count(),
        2
    );
}

#[test]
fn tags_that_are_made_up_are_nobody_elses() {
    // The peer's tag is what this side would have chosen first.
    let section = &OFFER[OFFER.find("m=").unwrap()..];
    let untagged =
        without(section, &["a=mid"]).replace("m=audio", "m=video").replace("opus/48000/2", "VP8/90000");
    for theirs in ["0", "1", "2"] {
        let tagged = section.replace("a=mid:0", &format!("a=mid:{theirs}"));
        let head = without(&OFFER[..OFFER.find("m=").unwrap()], &["a=group"]);
        let mut ours = side(1);
        ours.track(TrackKind::Audio);
        ours.create_offer().unwrap();
        ours.set_remote(&Description::offer(&format!("{head}{untagged}{tagged}")).unwrap()).unwrap();
        let given: Vec<_> = ours.transceivers().filter_map(|transceiver| transceiver.mid()).collect();
        assert_eq!(given.len(), 1, "without a group, the first section has the transport");
        assert_ne!(given[0].as_str(), theirs);
        let answer = ours.answer().sdp.unwrap();
        assert_eq!(answer.media[0].mid(), None);
        assert_eq!(answer.media[1].mid().unwrap().as_str(), theirs);
    }
    // A group that names none of the sections is none.
    assert!(!answered(&without(OFFER, &["a=mid"])).media[0].is_rejected());
    assert!(!answered(&OFFER.replace("a=group:BUNDLE 0", "a=group:BUNDLE")).media[0].is_rejected());
}

/// RFC 4145 §4.1: active in the offer and passive in the answer.
#[test]
fn the_role_has_a_default() {
    let untold = without(OFFER, &["a=setup"]);
    assert_eq!(accepted(&untold).setup(), Some(Setup::Passive));
    let of_session = untold.replacen("t=0 0\r\n", "t=0 0\r\na=setup:actpass\r\n", 1);
    assert_eq!(accepted(&of_session).setup(), Some(Setup::Active));

    let (mut alice, mut bob) = (side(1), side(2));
    alice.track(TrackKind::Audio);
    bob.set_remote(&alice.offer()).unwrap();
    let answer = without(&bob.answer().text(), &["a=setup"]);
    alice.set_remote(&Description::answer(&answer).unwrap()).unwrap();
    // What is left out of a later offer leaves the roles as they are, whichever they are.
    for _ in 0..2 {
        let offer = without(&bob.offer().text(), &["a=setup"]);
        alice.set_remote(&Description::offer(&offer).unwrap()).unwrap();
        let answer = alice.answer();
        assert!(answer.text().contains("a=setup:active"), "{}", answer.text());
        bob.set_remote(&answer).unwrap();
    }
}

/// RFC 3551 §6: what these payload types are need not be said.
#[test]
fn static_payload_types_need_no_map() {
    let offer = without(&OFFER.replace(" 111 0 8 101", " 18 8 0 13"), &["a=rtpmap"]);
    let answer = accepted(&offer);
    assert_eq!(answer.formats, ["8", "0"]);
    let maps: Vec<_> = answer.rtp_maps().map(RtpMap::to_string).collect();
    assert_eq!(maps, ["8 PCMA/8000", "0 PCMU/8000"]);
    // They mean nothing in a section for video.
    assert!(answered(&offer.replace("m=audio", "m=video")).media[0].is_rejected());

    // And in an answer.
    let (mut alice, mut bob) = (side(1), side(2));
    let audio = alice.track(TrackKind::Audio);
    bob.set_remote(&alice.offer()).unwrap();
    let answer = without(&bob.answer().text(), &["a=rtpmap", "a=fmtp", "a=rtcp-fb"]);
    alice.set_remote(&Description::answer(&answer).unwrap()).unwrap();
    let agreed: Vec<_> = alice
        .transceiver(audio)
        .unwrap()
        .send_codecs()
        .iter()
        .map(|codec| codec.codec.name.clone())
        .collect();
    assert_eq!(agreed, ["PCMU", "PCMA"]);
}

/// RFC 7874 §3: Opus and both forms of G.711.
#[test]
fn what_is_mandatory_is_offered() {
    let mut ours = side(1);
    ours.track(TrackKind::Audio);
    ours.track(TrackKind::Video);
    let offer = ours.offer().sdp.unwrap();
    assert_eq!(names(&offer.media[0]), ["opus", "pcmu", "pcma"]);
    assert_eq!(offer.media[0].formats[1..], ["0", "8"]);
    let modes: Vec<_> = offer.media[1]
        .codecs()
        .filter(|codec| codec.is("H264"))
        .map(|codec| crate::sdp::H264Parameters::from(codec.parameters()).packetization_mode)
        .collect();
    assert!(modes.contains(&0) && modes.contains(&1), "{modes:?}");
    let mut formats = offer.media[1].formats.clone();
    formats.sort();
    formats.dedup();
    assert_eq!(formats.len(), offer.media[1].formats.len());
}

#[test]
fn h264_is_negotiated_in_the_mode_that_the_peer_names() {
    let video = |fmtp: &str| {
        let text = without(OFFER, &["a=rtpmap"]).replace("m=audio", "m=video").replace(" 111 0 8 101", " 97");
        format!("{text}a=rtpmap:97 H264/90000\r\n{fmtp}")
    };
    for (fmtp, mode) in [
        ("a=fmtp:97 profile-level-id=42e01f;packetization-mode=1\r\n", 1),
        ("a=fmtp:97 profile-level-id=42e01f;packetization-mode=0\r\n", 0),
        ("a=fmtp:97 profile-level-id=42e01f\r\n", 0),
        ("a=fmtp:97 profile-level-id=42C01E\r\n", 0),
        ("a=fmtp:97 profile-level-id=42001f\r\n", 0),
        // RFC 6184 §8.1: baseline at level 1, one NAL unit in each packet.
        ("", 0),
    ] {
        let answer = accepted(&video(fmtp));
        let codec = answer.codecs().next().unwrap();
        let parameters = crate::sdp::H264Parameters::from(codec.parameters());
        assert_eq!(parameters.packetization_mode, mode, "{fmtp}");
    }
}

/// RFC 6184 §8.2.2: unless both allow it, the level of the answer is not above that of the offer.
#[test]
fn the_level_of_an_answer_is_not_above_the_offers() {
    let level = |parameters: &str| {
        let text = without(OFFER, &["a=rtpmap"]).replace("m=audio", "m=video").replace(" 111 0 8 101", " 97");
        let answer = accepted(&format!("{text}a=rtpmap:97 H264/90000\r\na=fmtp:97 {parameters}\r\n"));
        let parameters = answer.codecs().next().unwrap().parameters().clone();
        assert!(!parameters.flag("level-asymmetry-allowed") || parameters.as_str().contains("42e01f"));
        crate::sdp::H264Parameters::from(&parameters).profile_level_id.level_idc
    };
    assert_eq!(level("packetization-mode=1;profile-level-id=42e00d"), 0x0d);
    assert_eq!(level("packetization-mode=1;profile-level-id=42e034"), 0x1f);
    assert_eq!(level("packetization-mode=1;profile-level-id=42e00d;level-asymmetry-allowed=1"), 0x1f);
}

#[test]
fn a_candidate_names_its_section_by_its_tag_or_by_its_place() {
    let candidate = |mid: Option<&str>, index: Option<u16>| IceCandidateInit {
        candidate: "candidate:2 1 udp 2130706430 192.0.2.2 20000 typ host".to_owned(),
        sdp_mid: mid.map(str::to_owned),
        sdp_m_line_index: index,
        username_fragment: None,
    };
    for text in [OFFER.to_owned(), without(OFFER, &["a=mid", "a=group"])] {
        let mut ours = side(1);
        ours.set_remote(&Description::offer(&text).unwrap()).unwrap();
        let now = ours.now;
        for (mid, index) in [(Some(""), Some(0)), (None, Some(0)), (Some("  "), Some(0))] {
            ours.add_ice_candidate(now, &candidate(mid, index)).unwrap();
        }
        // The tag that this side gave it, which its own candidates tell.
        let mid = ours.transceivers().next().unwrap().mid().unwrap();
        // The tag counts where the place contradicts it.
        for index in [None, Some(0), Some(7)] {
            ours.add_ice_candidate(now, &candidate(Some(mid.as_str()), index)).unwrap();
        }
        for (mid, index) in [(Some("x"), None), (Some("x"), Some(0)), (None, Some(1)), (Some(""), Some(7))] {
            for end in [false, true] {
                let mut candidate = candidate(mid, index);
                if end {
                    candidate.candidate.clear();
                }
                let error = ours.add_ice_candidate(now, &candidate).unwrap_err();
                assert_eq!(error, SessionError::UnknownSection, "{mid:?} {index:?}");
            }
        }
    }
}

/// W3C `addIceCandidate`: a `TypeError`, before anything else is looked at.
#[test]
fn a_candidate_that_names_no_section_is_refused() {
    let mut ours = side(1);
    for has_offer in [false, true] {
        if has_offer {
            ours.set_remote(&Description::offer(OFFER).unwrap()).unwrap();
        }
        let now = ours.now;
        for mid in [None, Some(""), Some(" ")] {
            for text in ["candidate:2 1 udp 2130706430 192.0.2.2 20000 typ host", "candidate:nonsense", "x"] {
                let mut init = IceCandidateInit::new(text);
                init.sdp_mid = mid.map(str::to_owned);
                let error = ours.add_ice_candidate(now, &init).unwrap_err();
                assert_eq!(error, SessionError::UnnamedSection, "{mid:?} {text}");
            }
            // That there will be no further one is of the whole description.
            for text in ["", " ", "end-of-candidates", "a=end-of-candidates"] {
                let mut init = IceCandidateInit::new(text);
                init.sdp_mid = mid.map(str::to_owned);
                let result = ours.add_ice_candidate(now, &init);
                let expected = if has_offer { Ok(()) } else { Err(SessionError::NoRemoteDescription) };
                assert_eq!(result, expected, "{mid:?} {text:?}");
            }
        }
    }
}

/// They are told to be numbers, and mean nothing to offer and answer.
#[test]
fn the_version_of_a_session_may_be_any_number() {
    for origin in [
        "- 1 18446744073709551616",
        "- 1 99999999999999999999999999999999",
        "- 1 -1",
        "- -7 1",
        "- 1 1700000000.123",
        "- 1700000000.5 1",
        "user 0 0",
        "Kurento 3886231312 3886231312",
    ] {
        let offer = OFFER.replace("FreeSWITCH 1700000000 1700000001", origin);
        assert_ne!(offer, OFFER);
        accepted(&offer);
        assert_eq!(offer.parse::<SessionDescription>().unwrap().to_string(), offer);
    }
}

#[test]
fn extensions_are_answered_once_and_in_their_direction() {
    const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
    const LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
    let maps = |lines: &str| -> Vec<String> {
        let answer = accepted(&format!("{OFFER}{lines}"));
        answer.ext_maps().map(ToString::to_string).collect()
    };
    assert_eq!(maps(&format!("a=extmap:3 {LEVEL}\r\na=extmap:5 {LEVEL}\r\n")), [format!("3 {LEVEL}")]);
    assert_eq!(maps(&format!("a=extmap:3 {LEVEL}\r\na=extmap:3 {MID}\r\n")), [format!("3 {LEVEL}")]);
    // RFC 8285 §6.
    assert_eq!(maps(&format!("a=extmap:3/sendonly {LEVEL}\r\n")), [format!("3/recvonly {LEVEL}")]);
    assert_eq!(maps(&format!("a=extmap:3/recvonly {LEVEL}\r\n")), [format!("3/sendonly {LEVEL}")]);
    assert_eq!(maps(&format!("a=extmap:3/sendrecv {LEVEL}\r\n")), [format!("3/sendrecv {LEVEL}")]);
    assert_eq!(maps(&format!("a=extmap:3/inactive {LEVEL}\r\n")), [format!("3/inactive {LEVEL}")]);
    assert_eq!(maps(&format!("a=extmap:4097 {LEVEL}\r\na=extmap:256 {MID}\r\n")), [""; 0]);
}

#[test]
fn tracks_may_be_named_by_their_sources_alone() {
    let msids = |lines: &str| -> Vec<Msid> {
        let mut ours = side(1);
        ours.set_remote(&Description::offer(&format!("{OFFER}{lines}")).unwrap()).unwrap();
        ours.transceivers().next().unwrap().remote_msids().to_vec()
    };
    let msid =
        |stream: &str, track: Option<&str>| Msid { stream: stream.into(), track: track.map(str::to_owned) };
    let source = "a=ssrc:5 cname:x\r\na=ssrc:5 msid:s t\r\na=ssrc:6 cname:x\r\na=ssrc:6 msid:s t\r\n";
    assert_eq!(msids(source), [msid("s", Some("t"))]);
    // What the section itself says outweighs it.
    assert_eq!(msids(&format!("a=msid:a b\r\n{source}")), [msid("a", Some("b"))]);
    assert_eq!(msids("a=ssrc:5 msid:s\r\n"), [msid("s", None)]);
    // Before there was an msid.
    assert_eq!(
        msids("a=ssrc:5 cname:x\r\na=ssrc:5 mslabel:s\r\na=ssrc:5 label:t\r\n"),
        [msid("s", Some("t"))]
    );
    assert_eq!(msids("a=ssrc:5 cname:x\r\n"), []);
}

#[test]
fn what_is_said_for_the_session_holds_for_its_sections() {
    let transport = ["a=fingerprint", "a=setup", "a=ice-ufrag", "a=ice-pwd", "a=sendrecv"];
    let lines = |text: &str| {
        let is_one = |line: &&str| transport.iter().any(|prefix| line.starts_with(prefix));
        text.lines().filter(is_one).fold(String::new(), |text, line| text + line + "\r\n")
    };
    let moved = lines(OFFER).replace("sendrecv", "sendonly").replace("actpass", "passive");
    let offer = without(OFFER, &transport).replacen("t=0 0\r\n", &format!("t=0 0\r\n{moved}"), 1);
    let answer = accepted(&offer);
    assert_eq!((answer.direction(), answer.setup()), (Some(Direction::RecvOnly), Some(Setup::Active)));
}

/// RFC 9143 §7.1.3: what is one for the whole group stands in the section that stands for it.
#[test]
fn bundled_sections_need_not_repeat_the_transport() {
    let second = without(
        &OFFER[OFFER.find("m=").unwrap()..],
        &["a=fingerprint", "a=setup", "a=ice-", "a=candidate", "a=rtcp-mux", "a=end-of"],
    );
    let text =
        format!("{OFFER}{}", second.replace("a=mid:0", "a=mid:1").replace("m=audio 20000", "m=audio 0"));
    let text = format!("{}a=bundle-only\r\n", text.replace("BUNDLE 0", "BUNDLE 0 1"));
    let answer = answered(&text);
    assert!(answer.media.iter().all(|media| !media.is_rejected()), "{answer}");
}

/// Without a group, the first section that can be used has the transport.
#[test]
fn a_section_of_no_use_leaves_the_transport_to_the_next() {
    let head = without(&OFFER[..OFFER.find("m=").unwrap()], &["a=group"]);
    let audio = without(&OFFER[OFFER.find("m=").unwrap()..], &["a=mid"]);
    for useless in [
        "m=image 30000 udptl t38\r\na=T38FaxVersion:0\r\n",
        "m=text 30000 RTP/AVP 98\r\na=rtpmap:98 t140/1000\r\n",
        "m=message 9 TCP/MSRP *\r\na=path:msrp://192.0.2.1:9/s;tcp\r\n",
        "m=application 30000 UDP/BFCP *\r\na=floorctrl:c-s\r\n",
    ] {
        let answer = answered(&format!("{head}{useless}{audio}"));
        assert!(answer.media[0].is_rejected() && !answer.media[1].is_rejected(), "{answer}");
    }
}

#[test]
fn spaces_and_line_ends_mean_nothing() {
    let spaced = OFFER.lines().fold(String::new(), |text, line| text + line + " \r\n");
    let answer = accepted(&spaced.replace("a=sendrecv", "a=recvonly"));
    assert_eq!(answer.direction(), Some(Direction::Inactive), "a track that only receives was made");
    assert_eq!(names(&answer), ["opus", "pcmu", "pcma"]);
    accepted(&OFFER.replace("\r\n", "\n"));
    accepted(&without(OFFER, &["c="]));
    accepted(&without(OFFER, &["a=sendrecv"]));
}

#[test]
fn lines_of_no_matter_do_not_matter() {
    for line in [
        "b=AS:-1",
        "b=AS:64.5",
        "b=X-YZ:12k",
        "a=rtcp-fb:99 nack pli",
        "a=rtcp-fb:* ccm  fir",
        "a=fmtp:99 x=y",
        "a=rtpmap:8 PCMA/8000/",
        "a=ssrc:5",
        "a=ssrc:5 cname:",
        "a=simulcast: send rid=a;b",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj",
        "a=rtcp:9",
        "a=rtcp:20001 IN IP4 192.0.2.1",
        "a=candidate:1 2 udp 2130706430 192.0.2.1 20001 typ host",
        "a=ice-mismatch",
        "a=remote-candidates:1 192.0.2.1 5",
        "a=ptime:20",
        "a=silenceSupp:off - - - -",
        "i=a section",
    ] {
        accepted(&format!("{OFFER}{line}\r\n"));
    }
}

/// RFC 5761 §4: these cannot be told from RTCP.
#[test]
fn payload_types_that_look_like_rtcp_are_not_used() {
    for number in [64, 72, 76, 95] {
        let text = OFFER.replace("111", &number.to_string());
        assert_eq!(accepted(&text).formats, ["0", "8"]);
    }
    let twice = OFFER.replace(" 111 0 8 101", " 111 0 111 8 0");
    assert_eq!(accepted(&twice).formats, ["111", "0", "8"]);
}

#[test]
fn old_phones_that_say_little_are_answered() {
    let little = without(
        OFFER,
        &["a=mid", "a=group", "a=msid-semantic", "a=rtpmap", "a=setup", "a=sendrecv", "c=", "a=end-of"],
    );
    let little = little.replace("UDP/TLS/RTP/SAVPF 111 0 8 101", "RTP/AVP 0").replace("1700000001", "-1");
    let answer = answered(&little);
    let media = &answer.media[0];
    assert!(!media.is_rejected());
    assert_eq!(
        (media.protocol.as_str(), media.mid(), media.setup()),
        ("RTP/AVP", None, Some(Setup::Passive))
    );
    assert_eq!(names(media), ["pcmu"]);
}
