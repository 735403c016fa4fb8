//! Situations of which users of other stacks have told.

use super::left_out::{OFFER, accepted, answered, without};
use super::*;
use crate::session::jsep::remote::{Proposal, ReadContext, RemoteDescription, RemoteTransport};
use crate::session::{MediaConfig, Stats};

const FINGERPRINT: &str =
    "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";

fn transport(text: &str) -> RemoteTransport {
    let sdp: SessionDescription = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    let media = MediaConfig::default();
    let context =
        ReadContext { max_sections: 8, max_candidates: 8, places: &[], media: &media, transceivers: &[] };
    RemoteDescription::read(&sdp, Proposal::Offer, &context).unwrap().transport.unwrap()
}

fn candidate_init(candidate: &str) -> IceCandidateInit {
    IceCandidateInit {
        candidate: candidate.to_owned(),
        sdp_mid: None,
        sdp_m_line_index: Some(0),
        username_fragment: None,
    }
}

/// RFC 8838 §5: aiortc, Janus without trickle, gateways, and whoever waits for the last candidate.
#[test]
fn a_peer_that_does_not_trickle_has_told_all_its_candidates() {
    let untold = without(OFFER, &["a=end-of-candidates"]);
    let none = without(&untold, &["a=candidate"]);
    let of_session = |line: &str, text: &str| text.replacen("t=0 0\r\n", &format!("t=0 0\r\n{line}\r\n"), 1);
    for (text, has_all) in [
        (OFFER.to_owned(), true),
        (untold.clone(), true),
        (format!("{untold}a=ice-options:google-ice\r\n"), true),
        (format!("{untold}a=ice-options:renomination\r\n"), true),
        (of_session("a=ice-options:ice2", &untold), true),
        (format!("{untold}a=ice-options:trickle\r\n"), false),
        (format!("{untold}a=ice-options:trickle ice2\r\n"), false),
        (format!("{untold}a=ice-options:ice2,trickle\r\n"), false),
        (of_session("a=ice-options:trickle", &untold), false),
        (format!("{OFFER}a=ice-options:trickle\r\n"), true),
        // Those of before RFC 8838 told none at first.
        (none.clone(), false),
        (format!("{none}a=candidate:1 1 udp 1 fe80::1%eth0 9 typ host\r\n"), true),
    ] {
        assert_eq!(transport(&text).has_all_candidates, has_all, "{text}");
    }
    // What comes all the same is taken.
    let mut ours = side(1);
    ours.set_remote(&Description::offer(&untold).unwrap()).unwrap();
    ours.answer();
    let now = ours.now;
    ours.add_ice_candidate(now, &candidate_init("candidate:7 1 udp 7 192.0.2.77 7 typ relay")).unwrap();
    assert!(
        ours.stats(now)
            .iter()
            .any(|entry| { matches!(entry, Stats::RemoteCandidate(candidate) if candidate.priority == 7) })
    );
}

/// Many interfaces, virtual ones among them, come before the relay: Docker, VPNs, IPv6 privacy addresses.
#[test]
fn of_too_many_candidates_the_rare_kinds_stay() {
    let mut ours = side(1);
    let trickles = without(OFFER, &["a=candidate", "a=end-of-candidates"]);
    ours.set_remote(&Description::offer(&format!("{trickles}a=ice-options:trickle\r\n")).unwrap()).unwrap();
    let now = ours.now;
    let mut add = |text: &str| ours.add_ice_candidate(now, &candidate_init(text));
    for number in 0..128 {
        add(&format!("candidate:1 1 udp {} 10.0.0.{number} 9000 typ host", 1000 + number)).unwrap();
    }
    add("candidate:2 1 udp 5 198.51.100.1 9000 typ srflx raddr 0.0.0.0 rport 9").unwrap();
    add("candidate:3 1 udp 4 203.0.113.1 9000 typ relay raddr 0.0.0.0 rport 9").unwrap();
    add("candidate:1 1 udp 9999 10.0.1.1 9000 typ host").unwrap();
    let refused = add("candidate:1 1 udp 1 10.0.1.2 9000 typ host");
    assert_eq!(refused, Err(SessionError::Limit { what: "remote candidates", limit: 128 }));
    ours.answer();
    let priorities: Vec<u32> = ours
        .stats(now)
        .iter()
        .filter_map(|entry| match entry {
            Stats::RemoteCandidate(candidate) => Some(candidate.priority),
            _ => None,
        })
        .collect();
    assert_eq!(priorities.len(), 128);
    assert!([4, 5, 9999].iter().all(|wanted| priorities.contains(wanted)));
    assert!([1, 1000, 1001].iter().all(|gone| !priorities.contains(gone)));
}

/// Pion writes candidates in the first section only, others in the one for sound, which need not be the one that
/// stands for the group.
#[test]
fn candidates_in_another_section_of_the_group_are_taken() {
    let section = &OFFER[OFFER.find("m=").unwrap()..];
    let head = OFFER[..OFFER.find("m=").unwrap()].replace("BUNDLE 0", "BUNDLE 1 0");
    let bare = without(section, &["a=candidate", "a=end-of-candidates"]).replace("a=mid:0", "a=mid:1");
    let video = bare.replace("m=audio", "m=video").replace("opus/48000/2", "VP8/90000");
    for (text, count) in [
        (format!("{head}{section}{video}"), 1),
        (format!("{head}{video}{section}"), 1),
        // The first section is of no use.
        (format!("{head}{}{video}", section.replace(" 111 0 8 101", " 18")), 1),
        // Not from one that is rejected, or has another transport.
        (format!("{head}{}{video}", section.replace("m=audio 20000", "m=audio 0")), 0),
        (format!("{head}{}{video}", section.replace("gateway1", "gateway2")), 0),
        // The section's own outweigh those of others.
        (format!("{head}{section}{video}a=candidate:1 1 udp 5 192.0.2.1 5 typ host\r\n"), 1),
    ] {
        let transport = transport(&text);
        assert_eq!(transport.candidates.since(0).count(), count, "{text}");
        assert_eq!(transport.has_all_candidates, count > 0, "{text}");
    }
}

/// A peer may announce its certificate by several digests, and not each time by the same (RFC 8122 §5).
#[test]
fn a_certificate_is_the_same_under_other_digests_of_it() {
    let other = "sha-512 ".to_owned() + &["5A"; 64].join(":");
    let both = format!("{OFFER}a=fingerprint:{other}\r\n");
    let turned = without(&both, &["a=fingerprint"])
        + &format!("a=fingerprint:{other}\r\na=fingerprint:sha-256 {FINGERPRINT}\r\n");
    let lower = OFFER.replace(FINGERPRINT, &FINGERPRINT.to_lowercase()).replace("sha-256", "SHA-256");
    let of_session = without(OFFER, &["a=fingerprint"]).replacen(
        "t=0 0\r\n",
        &format!("t=0 0\r\na=fingerprint:sha-256 {FINGERPRINT}\r\n"),
        1,
    );
    let texts = [OFFER, &both, &turned, &lower, &of_session];
    for first in texts {
        for second in texts {
            let mut ours = side(1);
            for text in [first, second, first] {
                ours.set_remote(&Description::offer(text).unwrap()).unwrap();
                ours.answer();
            }
        }
    }
    let mut ours = side(1);
    ours.set_remote(&Description::offer(OFFER).unwrap()).unwrap();
    ours.answer();
    let changed = Description::offer(&OFFER.replace("EE:FF", "EE:FE")).unwrap();
    assert!(matches!(ours.set_remote(&changed), Err(SessionError::Description(_))));
}

#[test]
fn no_further_candidate_is_told_in_several_forms() {
    for end in ["", " ", "a=end-of-candidates", "end-of-candidates", "a=end-of-candidates\r\n"] {
        let mut ours = side(1);
        ours.set_remote(&Description::offer(OFFER).unwrap()).unwrap();
        let now = ours.now;
        ours.add_ice_candidate(now, &candidate_init(end)).unwrap_or_else(|error| panic!("{end}: {error}"));
    }
}

/// `o=` names the session for nobody in WebRTC; browsers look at no field of it.
#[test]
fn the_name_of_a_session_may_be_anything() {
    for origin in ["- a3f9c2 1", "wowza 5d1c7a88-0b7e 2", "- 0x1f 0x2", "- 1 v2"] {
        let offer = OFFER.replace("FreeSWITCH 1700000000 1700000001", origin);
        accepted(&offer);
        assert_eq!(offer.parse::<SessionDescription>().unwrap().to_string(), offer);
    }
}

/// What the parser may make of a line is not the business of the others.
#[test]
fn offers_that_others_have_failed_over_are_accepted() {
    let changes: [(&str, &str); 22] = [
        // Of formats that are not offered: gateways leave what they took out of the m= line.
        ("a=sendrecv", "a=rtpmap:96 VP8/90000\r\na=fmtp:96 x=1\r\na=rtcp-fb:96 nack\r\na=sendrecv"),
        ("a=rtpmap:111 opus/48000/2", "a=rtpmap:111 OPUS/48000/2"),
        ("a=rtpmap:111 opus/48000/2", "a=rtpmap:111 opus/48000/2\r\na=rtpmap:111 opus/48000/2"),
        ("a=sendrecv", "a=fmtp:111 minptime=10; useinbandfec=1;\r\na=sendrecv"),
        ("a=sendrecv", "a=fmtp:111  maxplaybackrate=48000;stereo=1\r\na=sendrecv"),
        ("a=sendrecv", "a=rtcp-fb:* nack\r\na=rtcp-fb:* ccm tmmbr\r\na=rtcp-fb:111 goog-lntf\r\na=sendrecv"),
        ("a=sendrecv", "a=ssrc-group:FID\r\na=ssrc-group:SIM 1 2 3\r\na=sendrecv"),
        ("a=sendrecv", "a=ssrc:1 msid:- t\r\na=ssrc:1 cname:\r\na=ssrc:2 cname:{a b}\r\na=sendrecv"),
        ("a=sendrecv", "a=msid:- {6f0a}\r\na=sendrecv"),
        ("a=sendrecv", "a=msid:s\r\na=msid:t\r\na=sendrecv"),
        ("a=mid:0", "a=mid:0\r\na=mid:0"),
        ("a=rtcp-mux", "a=rtcp-mux\r\na=rtcp-mux-only\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=rtcp-mux"),
        ("a=ice-ufrag", "a=ice-options:google-ice\r\na=ice-ufrag"),
        ("1 1 udp 2130706431", "Hc0a80105deadbeefdeadbeefdeadbee 1 UDP 2130706431"),
        ("typ host", "typ host generation 0 svn 16"),
        ("typ host", "typ host raddr  rport 9 generation 0 network-id 1 network-cost 999"),
        ("a=candidate", "a=candidate:1 1 ssltcp 1 192.0.2.1 443 typ host\r\na=candidate"),
        ("a=candidate", "a=candidate:2 1 udp 1 192.0.2.1 0 typ endOfCandidates\r\na=candidate"),
        (
            "a=candidate",
            "a=candidate:2 1 UDP 1 2001:db8:0:0:0:0:0:1 9 typ prflx raddr :: rport 0\r\na=candidate",
        ),
        ("a=group:BUNDLE 0", "a=group:LS 0 9\r\na=group:BUNDLE 0 7 8"),
        ("c=IN IP4 192.0.2.1\r\nt", "e=NONE\r\np=+1\r\nu=x\r\nb=TIAS:1\r\nz=0 0\r\nc=IN IP6 ::\r\nt"),
        ("t=0 0", "t=2873397496 2873404696\r\nr=7d 1h 0 25h\r\nt=0 0"),
    ];
    for (from, to) in changes {
        let offer = OFFER.replacen(from, to, 1);
        assert_ne!(offer, OFFER, "{from}");
        accepted(&offer);
    }
}

/// Rejected sections without any format, which some answer with; no other section is worse off.
#[test]
fn a_rejected_section_needs_no_format() {
    let text = OFFER.to_owned() + "m=video 0 UDP/TLS/RTP/SAVPF\r\na=mid:1\r\na=inactive\r\n";
    let answer = answered(&text);
    assert_eq!([false, true], [0, 1].map(|index| answer.media[index].is_rejected()));
    // What is written has one, RFC 8866 §5.14.
    answer.to_string().parse::<SessionDescription>().unwrap();
    assert!(answer.to_string().contains("m=video 0 UDP/TLS/RTP/SAVPF 0"), "{answer}");
}

/// Sections of one kind with different codecs: each has its own, in its order.
#[test]
fn sections_of_one_kind_may_have_different_codecs() {
    let section = &OFFER[OFFER.find("m=").unwrap()..];
    let head = OFFER[..OFFER.find("m=").unwrap()].replace("BUNDLE 0", "BUNDLE 0 1");
    let second = without(section, &["a=rtpmap", "a=candidate", "a=end-of"])
        .replace("a=mid:0", "a=mid:1")
        .replace(" 111 0 8 101", " 8 120");
    let answer = answered(&format!("{head}{section}{second}a=rtpmap:120 opus/48000/2\r\n"));
    assert_eq!(answer.media[0].formats, ["111", "0", "8"]);
    assert_eq!(answer.media[1].formats, ["8", "120"]);
}

/// Ring's doorbells say the transport once, and Firefox with `max-bundle` gives the rest port 0.
#[test]
fn answers_of_bundles_that_say_the_transport_once_are_taken() {
    let (mut alice, mut bob) = (side(1), side(2));
    let audio = alice.track(TrackKind::Audio);
    let video = alice.track(TrackKind::Video);
    bob.set_remote(&alice.offer()).unwrap();
    let text = bob.answer().text();
    let at = text.rfind("m=").unwrap();
    let transport = ["a=ice-", "a=fingerprint", "a=setup", "a=candidate", "a=end-of"];
    let second = without(&text[at..], &transport) + "a=bundle-only\r\n";
    for second in [second.clone(), second.replace("m=video 9", "m=video 0")] {
        alice.set_remote(&Description::answer(&format!("{}{second}", &text[..at])).unwrap()).unwrap();
        for id in [audio, video] {
            assert!(alice.transceiver(id).unwrap().current_direction().is_some());
        }
        alice.offer();
    }
}

/// Streams that a sender has turned off for now are streams all the same.
#[test]
fn paused_simulcast_streams_are_answered_once_each() {
    let video = without(OFFER, &["a=rtpmap"]).replace("m=audio", "m=video").replace(" 111 0 8 101", " 96");
    let extension = "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n";
    let streams =
        "a=rtpmap:96 VP8/90000\r\na=rid:h send\r\na=rid:m send pt=96\r\na=rid:l send max-width=320\r\n";
    for list in
        ["send h;m;l", "send h;~m;~l", "send ~h;~m;~l", "send h,m;l", "recv x send h;m;l", "send h;m;l;z"]
    {
        let answer = accepted(&format!("{video}{extension}{streams}a=simulcast:{list}\r\n"));
        let text = answer.attributes().map(ToString::to_string).collect::<Vec<_>>();
        let simulcast: Vec<_> = text.iter().filter(|line| line.starts_with("simulcast")).collect();
        assert_eq!(simulcast.len(), 1, "{text:?}");
        assert!(!simulcast[0].contains("send"), "{simulcast:?}");
        let rids = text.iter().filter(|line| line.starts_with("rid:")).count();
        assert_eq!(rids, simulcast[0].split(';').count(), "{text:?}");
    }
    // Browsers refuse simulcast without the extension that tells its streams apart.
    let answer = accepted(&format!("{video}{streams}a=simulcast:send h;m;l\r\n"));
    assert!(answer.simulcast().is_none() && answer.rids().next().is_none());
}

/// Conference systems answer with fixed numbers, whatever the offer's are, and send under them.
#[test]
fn packets_under_the_numbers_of_the_answer_are_known() {
    let (mut alice, mut bob) = (side(1), side(2));
    let audio = alice.track(TrackKind::Audio);
    let video = alice.track(TrackKind::Video);
    for _ in 0..2 {
        let offer = alice.offer();
        bob.set_remote(&offer).unwrap();
        let answer = bob.answer().text();
        // 111 is what was offered for Opus, 96 and 97 are VP8 and its retransmissions.
        let renumbered =
            [("111", "120"), ("96", "121"), ("97", "122")].into_iter().fold(answer, |text, (from, to)| {
                let text = text.replace(&format!("SAVPF {from} "), &format!("SAVPF {to} "));
                let text = text.replace(&format!(" {from} "), &format!(" {to} "));
                text.replace(&format!(":{from} "), &format!(":{to} "))
                    .replace(&format!("apt={from}"), &format!("apt={to}"))
            });
        alice.set_remote(&Description::answer(&renumbered).unwrap()).unwrap();
        for (id, name, sent, received) in [(audio, "opus", 120, [111, 120]), (video, "VP8", 121, [96, 121])] {
            let transceiver = alice.transceiver(id).unwrap();
            let of_codec = |codecs: &[crate::session::NegotiatedCodec]| -> Vec<u8> {
                let named = codecs.iter().filter(|codec| codec.codec.is(name));
                named.map(|codec| codec.payload_type.value()).collect()
            };
            assert_eq!(of_codec(transceiver.send_codecs()), [sent]);
            assert_eq!(of_codec(transceiver.receive_codecs()), received);
        }
        let video = alice.transceiver(video).unwrap();
        let repairs: Vec<_> = video
            .receive_codecs()
            .iter()
            .filter(|codec| codec.codec.is("VP8"))
            .filter_map(|codec| Some(codec.rtx_payload_type()?.value()))
            .collect();
        assert_eq!(repairs, [97, 122]);
    }
    // What is offered does not change, and what means something else does not either.
    let formats = alice.offer().sdp.unwrap().media[0].formats.clone();
    assert_eq!(formats, ["111", "0", "8"]);
}

/// The second would have the same association.
#[test]
fn a_second_section_for_data_is_rejected() {
    let mut alice = side(1);
    alice.open();
    let text = alice.offer().text();
    let section = &text[text.find("m=").unwrap()..];
    let second = section.replace("a=mid:0", "a=mid:1");
    let answer = answered(&format!("{}{second}", text.replace("BUNDLE 0", "BUNDLE 0 1")));
    assert_eq!([false, true], [0, 1].map(|index| answer.media[index].is_rejected()));
}

/// Early media: checks begin with the provisional answer, and so do those of candidates that come before the last one.
#[test]
fn candidates_that_come_after_a_provisional_answer_are_used() {
    let mut ours = side(1);
    let trickles = without(OFFER, &["a=candidate", "a=end-of-candidates"]) + "a=ice-options:trickle\r\n";
    ours.set_remote(&Description::offer(&trickles).unwrap()).unwrap();
    let answer = Description { kind: DescriptionKind::PrAnswer, ..ours.create_answer().unwrap() };
    ours.set_local(Some(&answer)).unwrap();
    let now = ours.now;
    ours.add_ice_candidate(now, &candidate_init("candidate:1 1 udp 9 192.0.2.9 9 typ host")).unwrap();
    let known = |ours: &Side| {
        ours.stats(now).iter().filter(|entry| matches!(entry, Stats::RemoteCandidate(_))).count()
    };
    assert_eq!(known(&ours), 1);
    ours.answer();
    assert_eq!(known(&ours), 1);
}

/// What a camera tells of its stream in the description alone is known to whoever puts its frames together.
#[test]
fn parameter_sets_of_the_description_are_kept() {
    const SETS: &str = "Z0IAH5W4PASaEAAAcIAAFfkAQA==,aM48gA==";
    let fmtp = format!("profile-level-id=42e01f;packetization-mode=1;sprop-parameter-sets={SETS}");
    let video = without(OFFER, &["a=rtpmap"]).replace("m=audio", "m=video").replace(" 111 0 8 101", " 96");
    let mut ours = side(1);
    let offer = format!("{video}a=rtpmap:96 H264/90000\r\na=fmtp:96 {fmtp}\r\n");
    ours.set_remote(&Description::offer(&offer).unwrap()).unwrap();
    let answer = ours.answer();
    assert!(!answer.text().contains("sprop"));
    let told = ours.transceivers().next().unwrap().send_codecs()[0].codec.parameters.clone();
    assert_eq!(told.value("sprop-parameter-sets"), Some(SETS));
}
