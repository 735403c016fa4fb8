//! Descriptions as the browsers make them; `tests/interop/src/bin/capture_descriptions.rs` captured them.

use super::parse;
use crate::layer::{CandidateAddress, CandidateKind, FingerprintAlgorithm, Mid, Protocol, TcpKind};
use crate::sdp::*;

pub(super) const CHROMIUM: &str = include_str!("../fixtures/chromium_156_offer.sdp");
const CHROMIUM_ANSWER: &str = include_str!("../fixtures/chromium_156_answer.sdp");
const CHROMIUM_SIMULCAST: &str = include_str!("../fixtures/chromium_156_simulcast_offer.sdp");
const CHROMIUM_SIMULCAST_ANSWER: &str = include_str!("../fixtures/chromium_156_simulcast_answer.sdp");
const CHROMIUM_STOPPED: &str = include_str!("../fixtures/chromium_156_stopped_offer.sdp");
const CHROMIUM_STOPPED_ANSWER: &str = include_str!("../fixtures/chromium_156_stopped_answer.sdp");
pub(super) const FIREFOX: &str = include_str!("../fixtures/firefox_153_offer.sdp");
const FIREFOX_ANSWER: &str = include_str!("../fixtures/firefox_153_answer.sdp");
const FIREFOX_SIMULCAST: &str = include_str!("../fixtures/firefox_153_simulcast_offer.sdp");
const FIREFOX_SIMULCAST_ANSWER: &str = include_str!("../fixtures/firefox_153_simulcast_answer.sdp");
const FIREFOX_STOPPED: &str = include_str!("../fixtures/firefox_153_stopped_offer.sdp");
const FIREFOX_STOPPED_ANSWER: &str = include_str!("../fixtures/firefox_153_stopped_answer.sdp");

pub(super) const DESCRIPTIONS: [&str; 12] = [
    CHROMIUM,
    CHROMIUM_ANSWER,
    CHROMIUM_SIMULCAST,
    CHROMIUM_SIMULCAST_ANSWER,
    CHROMIUM_STOPPED,
    CHROMIUM_STOPPED_ANSWER,
    FIREFOX,
    FIREFOX_ANSWER,
    FIREFOX_SIMULCAST,
    FIREFOX_SIMULCAST_ANSWER,
    FIREFOX_STOPPED,
    FIREFOX_STOPPED_ANSWER,
];

fn mid(text: &str) -> Mid {
    text.parse().unwrap()
}

#[test]
fn they_come_out_as_they_went_in() {
    for text in DESCRIPTIONS {
        assert!(text.ends_with("\r\n"));
        assert_eq!(parse(text).to_string(), text);
        assert_eq!(parse(&text.replace("\r\n", "\n")), parse(text));
    }
}

#[test]
fn little_is_unknown() {
    for text in DESCRIPTIONS {
        let description = parse(text);
        let media = description.media.iter().flat_map(|media| media.attributes());
        for attribute in description.attributes().chain(media) {
            if let Attribute::Other { name, .. } = attribute {
                assert!(["msid-semantic", "rtcp-xr"].contains(&&**name), "{name}");
            }
        }
    }
}

/// What every line of its kind says is what the model says: nothing is dropped on the way.
#[test]
fn the_model_has_what_the_lines_have() {
    for text in DESCRIPTIONS {
        let description = parse(text);
        let count = |prefix: &str| text.lines().filter(|line| line.starts_with(prefix)).count();
        let sum = |of: &dyn Fn(&MediaDescription) -> usize| description.media.iter().map(of).sum::<usize>();
        assert_eq!(description.media.len(), count("m="));
        assert_eq!(sum(&|media| media.mid().iter().count()), count("a=mid:"));
        assert_eq!(sum(&|media| media.candidates().count()), count("a=candidate:"));
        assert_eq!(sum(&|media| media.rtp_maps().count()), count("a=rtpmap:"));
        assert_eq!(sum(&|media| media.fmtps().count()), count("a=fmtp:"));
        assert_eq!(sum(&|media| media.rtcp_feedback().count()), count("a=rtcp-fb:"));
        assert_eq!(sum(&|media| media.ext_maps().count()), count("a=extmap:"));
        assert_eq!(sum(&|media| media.ssrcs().count()), count("a=ssrc:"));
        assert_eq!(sum(&|media| media.ssrc_groups().count()), count("a=ssrc-group:"));
        assert_eq!(sum(&|media| media.rids().count()), count("a=rid:"));
        assert_eq!(sum(&|media| media.msids().count()), count("a=msid:"));
        assert_eq!(sum(&|media| media.simulcast().iter().count()), count("a=simulcast:"));
        assert_eq!(sum(&|media| usize::from(media.has_all_candidates())), count("a=end-of-candidates"));

        let transported = description.media.iter().filter(|media| !media.is_rejected());
        for media in transported {
            assert_eq!(description.fingerprints(media).count(), 1);
            let fingerprint = description.fingerprints(media).next().unwrap();
            assert_eq!(fingerprint.algorithm(), FingerprintAlgorithm::Sha256);
            assert!(text.contains(&format!("a=fingerprint:{fingerprint}\r\n")));
            let ice = description.ice_parameters(media).unwrap();
            assert!(text.contains(&format!("a=ice-ufrag:{}\r\n", ice.ufrag)));
            assert!(text.contains(&format!("a=ice-pwd:{}\r\n", ice.pwd)));
            assert!(description.bundle().unwrap().mids.contains(&media.mid().unwrap()));
        }
    }
}

#[test]
fn a_chromium_offer_is_understood() {
    let offer = parse(CHROMIUM);
    assert_eq!(offer.bundle().unwrap().mids, [mid("0"), mid("1"), mid("2")]);
    let [audio, video, data] = &offer.media[..] else { panic!() };
    assert_eq!((&audio.kind, audio.port, audio.formats.len()), (&MediaKind::Audio, 7777, 8));
    assert_eq!(offer.media_by_mid(mid("1")), Some(video));
    assert!(offer.allows_mixed_extensions(audio) && !offer.is_ice_lite() && !audio.is_rejected());
    assert_eq!(offer.setup(audio), Some(Setup::ActPass));
    assert_eq!(offer.direction(audio), Direction::SendRecv);

    let [host, reflexive, tcp] = &audio.candidates().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!((host.kind, host.protocol), (CandidateKind::Host, Protocol::Udp));
    assert_eq!(reflexive.kind, CandidateKind::ServerReflexive);
    assert_eq!(reflexive.address, CandidateAddress::Ip("192.0.2.77:7777".parse().unwrap()));
    let CandidateAddress::Ip(base) = host.address else { panic!() };
    assert_eq!(reflexive.related, Some(base));
    assert_eq!((tcp.protocol, tcp.tcp_kind), (Protocol::Tcp, Some(TcpKind::Active)));
    assert_eq!(host.extension("network-id"), Some("1"));

    let opus = audio.codecs().next().unwrap();
    assert!(opus.is("OPUS"));
    assert_eq!(opus.rtp_map().unwrap().channels, Some(2));
    let parameters = OpusParameters::from(opus.parameters());
    assert!(parameters.use_inband_fec && !parameters.stereo);
    assert_eq!((parameters.min_ptime, parameters.max_playback_rate), (10, 48_000));
    assert_eq!(opus.feedback().collect::<Vec<_>>(), [&FeedbackKind::TransportCc]);

    let names: Vec<_> = video.codecs().map(|codec| codec.rtp_map().unwrap().encoding.as_str()).collect();
    for (name, count) in [("VP8", 1), ("H264", 6), ("AV1", 1), ("VP9", 2), ("rtx", 11), ("ulpfec", 1)] {
        assert_eq!(names.iter().filter(|other| **other == name).count(), count, "{name}");
    }
    let h264 = video.codecs().find(|codec| codec.is("H264")).unwrap();
    let parameters = H264Parameters::from(h264.parameters());
    assert_eq!(parameters.profile_level_id.to_string(), "42001f");
    assert_eq!((parameters.packetization_mode, parameters.level_asymmetry_allowed), (1, true));
    assert_eq!(h264.payload_type().value(), 102);
    assert_eq!(h264.retransmission().unwrap().value(), 103);
    assert_eq!(
        h264.feedback().collect::<Vec<_>>(),
        [
            &FeedbackKind::GoogRemb,
            &FeedbackKind::TransportCc,
            &FeedbackKind::CcmFir,
            &FeedbackKind::Nack,
            &FeedbackKind::NackPli
        ]
    );
    let vp9 = video.codecs().filter(|codec| codec.is("VP9")).nth(1).unwrap();
    assert_eq!(Vp9Parameters::from(vp9.parameters()).profile_id, 2);

    let [group] = &video.ssrc_groups().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!((group.semantics.as_str(), group.sources.len()), ("FID", 2));
    let sources: Vec<_> = video.ssrcs().filter(|source| source.name == "cname").map(|s| s.ssrc).collect();
    assert_eq!(sources, group.sources);
    let msid = video.msids().next().unwrap();
    let of_source = video.ssrcs().find(|source| source.name == "msid").unwrap();
    assert_eq!(of_source.value, Some(format!("{} {}", msid.stream, msid.track.as_ref().unwrap())));

    assert_eq!((data.sctp_port(), data.max_message_size()), (Some(5000), Some(262_144)));
    assert_eq!((data.protocol.as_str(), data.formats[0].as_str()), ("UDP/DTLS/SCTP", "webrtc-datachannel"));
}

#[test]
fn a_firefox_offer_is_understood() {
    let offer = parse(FIREFOX);
    assert!(offer.origin.username.starts_with("mozilla"));
    let [audio, video, data] = &offer.media[..] else { panic!() };
    // The fingerprint stands in the session part, and so does a direction, as the default.
    assert_eq!(audio.fingerprints().count(), 0);
    assert_eq!(offer.fingerprints(video).count(), 1);
    assert!(audio.has_all_candidates() && video.has_all_candidates());
    // Those of RTCP have a component of their own until the answer says rtcp-mux.
    let components: Vec<_> = audio.candidates().map(|candidate| candidate.component).collect();
    assert_eq!(components, [1, 1, 2, 2, 1, 2]);
    assert!(audio.rtcp_mux());
    assert_eq!(audio.ext_maps().nth(1).unwrap().direction, Some(Direction::RecvOnly));
    let opus = OpusParameters::from(audio.codecs().next().unwrap().parameters());
    assert!(opus.stereo && opus.use_inband_fec);
    let vp8 = video.codecs().find(|codec| codec.is("VP8")).unwrap();
    assert_eq!(vp8.parameters().value("max-fs"), Some("12288"));
    assert_eq!(vp8.retransmission().unwrap().value(), 124);
    assert_eq!(video.ssrc_groups().next().unwrap().sources.len(), 2);
    assert_eq!(data.max_message_size(), Some(1_073_741_823));
}

#[test]
fn answers_are_understood() {
    for text in [CHROMIUM_ANSWER, FIREFOX_ANSWER] {
        let answer = parse(text);
        let [audio, video, data] = &answer.media[..] else { panic!() };
        for media in [audio, video, data] {
            assert_eq!(answer.setup(media), Some(Setup::Active));
        }
        // Only the transport that the bundle uses has candidates.
        assert!(audio.candidates().count() > 0);
        assert_eq!(video.candidates().count() + data.candidates().count(), 0);
        assert!(audio.rtcp_mux() && video.rtcp_mux() && !data.rtcp_mux());
    }
}

#[test]
fn simulcast_offers_are_understood() {
    for (text, paused) in [(CHROMIUM_SIMULCAST, true), (FIREFOX_SIMULCAST, false)] {
        let offer = parse(text);
        let [video, audio] = &offer.media[..] else { panic!() };
        assert_eq!(offer.direction(video), Direction::SendOnly);
        assert_eq!(offer.direction(audio), Direction::RecvOnly);
        let [low, middle, high] = video.simulcast().unwrap().send() else { panic!() };
        assert_eq!([low, middle, high].map(|stream| stream[0].rid.to_string()), ["low", "mid", "high"]);
        assert_eq!([low, middle, high].map(|stream| stream[0].paused), [false, false, paused]);
        assert_eq!(video.simulcast().unwrap().recv().len(), 0);
        let rids: Vec<_> = video.rids().map(|rid| (rid.id.to_string(), rid.direction)).collect();
        assert_eq!(rids, ["low", "mid", "high"].map(|rid| (rid.to_owned(), RidDirection::Send)));
    }
    // One names the source and the retransmissions of each stream, the other none.
    assert_eq!(parse(FIREFOX_SIMULCAST).media[0].ssrc_groups().count(), 3);
    assert_eq!(parse(CHROMIUM_SIMULCAST).media[0].ssrc_groups().count(), 0);
    // RFC 9143 §6: port 0 need not mean that the section is rejected.
    let audio = &parse(FIREFOX_SIMULCAST).media[1];
    assert!(audio.port == 0 && !audio.is_rejected());
    for text in [CHROMIUM_SIMULCAST_ANSWER, FIREFOX_SIMULCAST_ANSWER] {
        let answer = parse(text);
        assert_eq!(answer.direction(&answer.media[0]), Direction::RecvOnly);
        assert_eq!(answer.direction(&answer.media[1]), Direction::Inactive);
    }
}

#[test]
fn stopped_sections_are_understood() {
    for (text, before) in [(CHROMIUM_STOPPED, CHROMIUM), (FIREFOX_STOPPED, FIREFOX)] {
        let (offer, before) = (parse(text), parse(before));
        assert_eq!(offer.origin.session_id, before.origin.session_id);
        let version = |sdp: &SessionDescription| sdp.origin.session_version.parse::<u64>().unwrap();
        assert_eq!(version(&offer), version(&before) + 1);
        let [audio, video, data] = &offer.media[..] else { panic!() };
        assert!(audio.is_rejected() && !video.is_rejected() && !data.is_rejected());
        assert_eq!(offer.direction(audio), Direction::Inactive);
        assert_eq!(offer.bundle().unwrap().mids, [mid("1"), mid("2")]);
        // ICE was restarted.
        let ufrag = |of: &SessionDescription| of.ice_parameters(&of.media[1]).unwrap().ufrag.to_owned();
        assert_ne!(ufrag(&offer), ufrag(&before));
    }
    for text in [CHROMIUM_STOPPED_ANSWER, FIREFOX_STOPPED_ANSWER] {
        let answer = parse(text);
        assert_eq!(
            answer.media.iter().map(|media| media.is_rejected()).collect::<Vec<_>>(),
            [true, false, false]
        );
    }
}
