//! Any offer, and what its answer may say: nothing that the offer did not (RFC 3264 §6).

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::sdp::{FeedbackKind, MediaDescription, RidDirection};

const TRANSPORT: &str = "a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=ice-ufrag:someone1\r\na=ice-pwd:0123456789012345678901\r\n";

/// A section: its `m=` and the lines behind it, without what depends on the whole.
#[derive(Clone, Debug)]
struct Offered {
    kind: &'static str,
    protocol: &'static str,
    formats: Vec<&'static str>,
    lines: Vec<&'static str>,
    port: u16,
}

/// What the whole says.
#[derive(Clone, Debug)]
struct Session {
    lines: Vec<&'static str>,
    tagged: bool,
    bundle: bool,
    setup: Option<&'static str>,
    sections: Vec<Offered>,
}

const AUDIO_FORMATS: [&str; 9] = ["111", "63", "9", "0", "8", "13", "110", "126", "72"];
const VIDEO_FORMATS: [&str; 12] =
    ["96", "97", "98", "99", "102", "103", "45", "46", "120", "121", "34", "122"];
const PROTOCOLS: [&str; 10] = [
    "RTP/AVP",
    "RTP/AVPF",
    "RTP/SAVP",
    "RTP/SAVPF",
    "TCP/DTLS/RTP/SAVP",
    "TCP/DTLS/RTP/SAVPF",
    "UDP/TLS/RTP/SAVP",
    "UDP/TLS/RTP/SAVPF",
    "TCP/TLS/RTP/SAVPF",
    "RTP/QUIC",
];
const LINES: [&str; 40] = [
    "a=rtcp:9 IN IP4 0.0.0.0",
    "a=rtcp-rsize",
    "a=extmap-allow-mixed",
    "a=sendrecv",
    "a=sendonly",
    "a=recvonly",
    "a=inactive",
    "a=bundle-only",
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "a=extmap:2/sendonly http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "a=extmap:14 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "a=extmap:3/recvonly http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=extmap:4 urn:example:again",
    "a=extmap:17/inactive urn:3gpp:video-orientation",
    "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    "a=extmap:11/sendrecv urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10",
    "a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111",
    "a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000",
    "a=rtpmap:72 opus/48000/2",
    "a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96",
    "a=rtpmap:98 vp9/90000\r\na=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\na=fmtp:98 profile-id=0",
    "a=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1;profile-level-id=42e00b",
    "a=rtpmap:103 H264/90000\r\na=fmtp:103 level-asymmetry-allowed=1;profile-level-id=42001f",
    "a=rtpmap:45 AV1/90000\r\na=rtpmap:46 rtx/90000\r\na=fmtp:46 apt=45",
    "a=rtpmap:120 VP8/90000\r\na=rtpmap:121 ulpfec/90000\r\na=rtpmap:122 red/90000",
    "a=rtcp-fb:* nack",
    "a=rtcp-fb:96 nack pli",
    "a=rtcp-fb:96 ccm fir",
    "a=rtcp-fb:102 ccm fir",
    "a=rtcp-fb:111 transport-cc",
    "a=rtcp-fb:98 goog-remb",
    "a=rid:h send\r\na=rid:l send\r\na=simulcast:send h;l",
    "a=rid:x recv\r\na=simulcast:recv x",
    "a=msid:stream track",
    "a=ssrc:1 cname:c\r\na=ssrc:1 msid:stream track",
    "a=ssrc-group:FID 1 2",
    "a=ice-options:trickle",
    "a=ptime:20",
];

fn section() -> impl Strategy<Value = Offered> {
    let rtp = |kind: &'static str, formats: Vec<&'static str>| {
        let len = formats.len();
        (select(PROTOCOLS.to_vec()), subsequence(formats, 1..=len).prop_shuffle(), Just(kind))
    };
    let head = prop_oneof![
        4 => rtp("audio", AUDIO_FORMATS.to_vec()),
        4 => rtp("video", VIDEO_FORMATS.to_vec()),
        2 => (
            select(vec!["UDP/DTLS/SCTP", "TCP/DTLS/SCTP", "DTLS/SCTP", "SCTP"]),
            select(vec![vec!["webrtc-datachannel"], vec!["5000"]]),
            Just("application"),
        ),
        1 => (Just("udptl"), Just(vec!["t38"]), Just("image")),
    ];
    let port = prop_oneof![8 => Just(9u16), 1 => Just(0), 1 => Just(40_000)];
    (head, subsequence(LINES.to_vec(), 0..LINES.len()), port)
        .prop_map(|((protocol, formats, kind), lines, port)| Offered { kind, protocol, formats, lines, port })
}

fn session() -> impl Strategy<Value = Session> {
    (
        subsequence(
            vec!["a=extmap-allow-mixed", "a=msid-semantic: WMS *", "a=recvonly", "a=ice-lite"],
            0..=3,
        ),
        any::<bool>(),
        prop_oneof![3 => Just(true), 1 => Just(false)],
        select(vec![None, Some("actpass"), Some("active"), Some("passive")]),
        proptest::collection::vec(section(), 0..5),
    )
        .prop_map(|(lines, tagged, bundle, setup, sections)| Session {
            lines,
            tagged,
            bundle,
            setup,
            sections,
        })
}

impl Session {
    fn text(&self) -> String {
        let mut text = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n".to_owned();
        if self.bundle && self.tagged {
            let mids: Vec<_> = (0..self.sections.len()).map(|index| format!(" s{index}")).collect();
            text += &format!("a=group:BUNDLE{}\r\n", mids.concat());
        }
        for line in &self.lines {
            text += &format!("{line}\r\n");
        }
        for (index, section) in self.sections.iter().enumerate() {
            let Offered { kind, protocol, formats, lines, port } = section;
            text += &format!("m={kind} {port} {protocol} {}\r\n{TRANSPORT}a=rtcp-mux\r\n", formats.join(" "));
            if self.tagged {
                text += &format!("a=mid:s{index}\r\n");
            }
            if let Some(setup) = self.setup {
                text += &format!("a=setup:{setup}\r\n");
            }
            if *formats == ["5000"] {
                text += "a=sctpmap:5000 webrtc-datachannel 256\r\n";
            }
            for line in lines {
                text += &format!("{line}\r\n");
            }
        }
        text
    }
}

/// The names of attributes, which is what stands before the colon.
fn names<'a>(attributes: impl Iterator<Item = &'a Attribute>) -> BTreeSet<String> {
    attributes
        .map(|attribute| attribute.to_string().split(':').next().unwrap_or_default().to_owned())
        .collect()
}

/// What a side says of itself, whatever the other says.
const OF_ITS_OWN: [&str; 15] = [
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "fingerprint",
    "setup",
    "sctp-port",
    "max-message-size",
    "rtpmap",
    "fmtp",
    "sendrecv",
    "sendonly",
    "recvonly",
    "inactive",
    "msid",
    "ssrc",
];

fn check_section(offer: &SessionDescription, offered: &MediaDescription, answered: &MediaDescription) {
    assert_eq!(answered.kind, offered.kind);
    assert_eq!(answered.protocol, offered.protocol);
    assert_eq!(answered.mid(), offered.mid());
    if offered.is_rejected() {
        assert!(answered.is_rejected());
    }
    if answered.is_rejected() {
        return;
    }
    let said = names(offered.attributes());
    for name in names(answered.attributes()) {
        let is_free = OF_ITS_OWN.contains(&name.as_str()) || name == "ssrc-group";
        assert!(is_free || said.contains(&name), "a={name}");
    }
    // The order is the peer's, and so is the meaning.
    let mut rest = offered.codecs();
    for codec in answered.codecs().filter(|codec| !codec.is("rtx")) {
        let is_there = rest.any(|other| other.payload_type() == codec.payload_type());
        assert!(is_there, "{:?} to {:?}", answered.formats, offered.formats);
    }
    assert!(answered.formats.iter().all(|format| offered.formats.contains(format)));
    for codec in answered.codecs() {
        let theirs = offered.codecs().find(|other| other.payload_type() == codec.payload_type()).unwrap();
        assert!(codec.is(theirs.encoding().unwrap()));
        assert_eq!((codec.clock_rate(), codec.channels()), (theirs.clock_rate(), theirs.channels()));
        assert_eq!(
            codec.retransmission(),
            theirs.retransmission().filter(|_| codec.retransmission().is_some())
        );
        let feedback: Vec<&FeedbackKind> = theirs.feedback().collect();
        assert!(codec.feedback().all(|kind| feedback.contains(&kind)));
    }
    let (mut ids, mut uris) = (BTreeSet::new(), BTreeSet::new());
    for map in answered.ext_maps() {
        assert!(ids.insert(map.id) && uris.insert(map.uri.clone()), "{map:?} twice");
        let theirs = offered.ext_maps().find(|other| (other.id, &other.uri) == (map.id, &map.uri)).unwrap();
        assert_eq!(map.direction, theirs.direction.map(Direction::reversed));
    }
    for rid in answered.rids() {
        assert_eq!(rid.direction, RidDirection::Recv);
        assert!(offered.rids().any(|theirs| theirs.id == rid.id && theirs.direction == RidDirection::Send));
    }
    if let Some(simulcast) = answered.simulcast() {
        assert!(simulcast.send().is_empty());
        assert!(offered.simulcast().is_some_and(|theirs| !theirs.send().is_empty()));
    }
    let direction = offer.direction(offered);
    let ours = answered.direction();
    assert!(ours.is_none_or(|ours| !ours.sends() || direction.receives()));
    assert!(ours.is_none_or(|ours| !ours.receives() || direction.sends()));
}

/// RFC 4145 §4.1, of sections that all say the same.
fn check_role(offer: &SessionDescription, offered: &MediaDescription, answered: &MediaDescription) {
    if answered.is_rejected() {
        return;
    }
    let legal: &[Setup] = match offer.setup(offered) {
        Some(Setup::ActPass) => &[Setup::Active, Setup::Passive],
        Some(Setup::Passive) => &[Setup::Active],
        _ => &[Setup::Passive],
    };
    assert!(answered.setup().is_some_and(|setup| legal.contains(&setup)), "{:?}", answered.setup());
}

fn check(offer: &SessionDescription, answer: &SessionDescription) {
    assert_eq!(&answer.to_string().parse::<SessionDescription>().unwrap(), answer);
    assert_eq!(answer.media.len(), offer.media.len());
    let said = names(offer.attributes());
    for name in names(answer.attributes()) {
        assert!(said.contains(&name), "a={name} of the session");
    }
    let group: Vec<_> = answer.bundle().map(|group| group.mids.clone()).unwrap_or_default();
    for (offered, answered) in offer.media.iter().zip(&answer.media) {
        check_section(offer, offered, answered);
        let is_bundled = answered.mid().is_some_and(|mid| group.contains(&mid));
        assert!(!(is_bundled && answered.is_rejected()));
        assert!(answer.bundle().is_none() || answered.is_rejected() || is_bundled);
    }
    if let Some(offered) = offer.bundle() {
        assert!(group.iter().all(|mid| offered.mids.contains(mid)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_says_nothing_that_the_offer_did_not(
        offered in session(),
        seed in 0u64..1000,
        tracks in proptest::collection::vec(any::<bool>(), 0..3),
    ) {
        let text = offered.text();
        let offer: SessionDescription = text.parse().unwrap();
        let mut ours = side(seed);
        for video in tracks {
            ours.track(if video { TrackKind::Video } else { TrackKind::Audio });
        }
        ours.set_remote(&Description::offer(&text).unwrap()).unwrap();
        let answer = ours.answer().sdp.unwrap();
        check(&offer, &answer);
        offer.media.iter().zip(&answer.media).for_each(|(offered, answered)| check_role(&offer, offered, answered));
        // The same again, which is answered in the same way.
        ours.set_remote(&Description::offer(&text).unwrap()).unwrap();
        let again = ours.answer().sdp.unwrap();
        check(&offer, &again);
        let is_accepted = |sdp: &SessionDescription| sdp.media.iter().map(|media| !media.is_rejected()).collect::<Vec<_>>();
        prop_assert_eq!(is_accepted(&again), is_accepted(&answer));
        // RFC 8842 §5.5: every offer leaves the choice.
        let offer = ours.offer().sdp.unwrap();
        prop_assert!(offer.media.len() >= answer.media.len());
        let mut mids = BTreeSet::new();
        for media in &offer.media {
            prop_assert!(mids.insert(media.mid().unwrap()));
            prop_assert!(media.is_rejected() || media.setup() == Some(Setup::ActPass));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Lines of browsers' offers left out, said twice and in each other's places.
    #[test]
    fn offers_of_browsers_in_pieces_are_answered_or_refused(
        which in 0..OFFERS.len(),
        edits in proptest::collection::vec((any::<u16>(), any::<u16>(), 0..4u8), 0..8),
    ) {
        let mut lines: Vec<&str> = OFFERS[which].lines().collect();
        for (at, other, edit) in edits {
            let (at, other) = (usize::from(at) % lines.len(), usize::from(other) % lines.len());
            match edit {
                0 => drop(lines.remove(at)),
                1 => lines.insert(other, lines[at]),
                2 => lines.swap(at, other),
                _ => lines.truncate(at + 1),
            }
            if lines.is_empty() {
                lines.push("v=0");
            }
        }
        let Ok(offer) = Description::offer(&lines.join("\r\n")) else { return Ok(()) };
        let mut ours = side(1);
        ours.track(TrackKind::Audio);
        let before = ours.snapshot();
        match ours.set_remote(&offer) {
            Ok(()) => check(offer.sdp.as_ref().unwrap(), &ours.answer().sdp.unwrap()),
            Err(_) => prop_assert_eq!(ours.snapshot(), before),
        }
    }
}
