//! Tests of whole descriptions and of each attribute.

use proptest::prelude::*;

use super::*;

mod browsers;

use browsers::{CHROMIUM, DESCRIPTIONS, FIREFOX};

fn parse(text: &str) -> SessionDescription {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// Sessions keep descriptions of a hundred lines and more.
#[test]
fn lines_are_small() {
    assert!(size_of::<Line>() <= 64, "{}", size_of::<Line>());
}

#[test]
fn errors_name_the_line_and_what_would_be_right() {
    let head = "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n";
    let error = |more: &str| format!("{head}{more}\n").parse::<SessionDescription>().unwrap_err().to_string();
    assert_eq!(
        error("m=audio 9 RTP/AVP 0\na=mid:0\na=candidate:1 1 udp x 10.0.0.1 9 typ host"),
        "line 7: a=candidate: priority \"x\" is not a number; expected an integer from 0 to 4294967295"
    );
    assert_eq!(
        error("a=rtpmap:200 VP8/90000"),
        "line 5: a=rtpmap: payload type \"200\" is not a number; expected an integer from 0 to 127"
    );
    assert_eq!(error("a=rtpmap:96"), "line 5: a=rtpmap: encoding is missing");
    assert_eq!(
        error("a=rtpmap:96 VP8"),
        "line 5: a=rtpmap: encoding \"VP8\" is not valid; expected name/clock rate"
    );
    assert_eq!(
        error("a=rtpmap:96 VP8/90000 x"),
        "line 5: a=rtpmap: end \"x\" is not valid; expected no further field"
    );
    assert_eq!(
        error("a=setup:server"),
        "line 5: a=setup: role \"server\" is not valid; expected active, passive, actpass or holdconn"
    );
    assert_eq!(
        error("a=ice-ufrag:abc"),
        "line 5: a=ice-ufrag: value \"abc\" is not valid; expected 4 to 256 ice-chars"
    );
    assert!(error("a=ice-pwd:abc").contains("22 to 256"));
    assert!(error("a=mid:a b").starts_with("line 5: a=mid: end \"b\""));
    assert!(error("a=mid:\"").contains("a token"));
    assert!(error("a=group:BUNDLE \"").contains("a=group: identifier"));
    assert_eq!(
        error("a=fingerprint:sha-256 zz"),
        "line 5: a=fingerprint: the digest of a fingerprint is pairs of hexadecimal digits with colons between them"
    );
    assert_eq!(
        error("a=extmap:0 urn:x"),
        "line 5: a=extmap: id \"0\" is not valid; expected 1 to 256, or 4096 to 4351"
    );
    assert!(error("a=extmap:1/both urn:x").contains("a=extmap: direction \"both\""));
    assert!(error("a=ptime:soon").contains("0 to 4294967295"));
    assert!(error("a=simulcast:send h send l").contains("each direction once"));
    assert_eq!(error("a=simulcast:"), "line 5: a=simulcast: direction is missing");
    assert_eq!(error("a=simulcast:send"), "line 5: a=simulcast: list of streams is missing");
    assert!(error("a=ssrc:x cname:y").contains("a=ssrc: SSRC \"x\""));
    assert!(error("a=ssrc-group:FID 1 -2").contains("\"-2\""));
    assert!(error("a=sctp-port:70000").contains("0 to 65535"));
    assert_eq!(error("a=rtcp-fb:96"), "line 5: a=rtcp-fb: kind is missing");
    assert_eq!(error("a="), "line 5: a=: name is missing");
    assert_eq!(error("m=audio 9 RTP/AVP"), "line 5: m=: format is missing");
    assert_eq!(
        error("m=audio x RTP/AVP 0"),
        "line 5: m=: port \"x\" is not a number; expected an integer from 0 to 65535"
    );
    assert_eq!(error("b=AS"), "line 5: b=: bandwidth is missing");
    assert_eq!(error("c=IN IP4"), "line 5: c=: address is missing");
    assert_eq!(error("nonsense"), "line 5: \"nonsense\" is not of the form x=value");
    assert_eq!(error("\nb=AS:1"), "line 5: \"\" is not of the form x=value");
    assert_eq!(error("a=x:\0"), "line 5: a line may hold neither NUL nor a lone carriage return");
    assert_eq!(error("v=0"), "line 5: expected v=, o= and s= once, at the beginning");
    let error = |text: &str| text.parse::<SessionDescription>().unwrap_err().to_string();
    assert_eq!(error(""), "line 1: expected v=0 as the first line");
    assert_eq!(error("v=1"), "line 1: expected v=0 as the first line");
    assert_eq!(error("v=0\ns=-"), "line 2: expected o= behind v=");
    assert_eq!(error("v=0\no=- 1 2 IN IP4\n"), "line 2: o=: address is missing");
    assert_eq!(error("v=0\no=- 1 2 IN IP4 h\ns=-\n"), "line 3: expected t= behind s=");
    assert_eq!(
        error("v=0\no=- 1 2 IN IP4 h\ns=-\nm=audio 9 X 0\nt=0 0"),
        "line 4: expected t= before the first m="
    );
}

#[test]
fn limits_are_named() {
    let error =
        |limits: &Limits| SessionDescription::parse_with_limits(CHROMIUM, limits).unwrap_err().to_string();
    let len = CHROMIUM.len();
    assert_eq!(
        error(&Limits { max_len: 10, ..Limits::default() }),
        format!("line 1: {len} bytes; at most 10 are accepted (Limits::max_len)")
    );
    assert_eq!(
        error(&Limits { max_lines: 5, ..Limits::default() }),
        "line 6: 6 lines; at most 5 are accepted (Limits::max_lines)"
    );
    assert!(error(&Limits { max_media: 2, ..Limits::default() }).contains("3 media sections; at most 2"));
    assert!(error(&Limits { max_formats: 7, ..Limits::default() }).contains("8 formats; at most 7"));
}

/// A session takes 256 sections by default, and a conference of video may need them.
#[test]
fn the_limits_fit_256_sections_as_chromium_writes_them() {
    let begin = CHROMIUM.find("m=video").unwrap();
    let end = CHROMIUM.find("m=application").unwrap();
    let video = &CHROMIUM[begin..end];
    let text = format!("{}{}", &CHROMIUM[..CHROMIUM.find("m=").unwrap()], video.repeat(256));
    assert_eq!(parse(&text).media.len(), 256);
}

#[test]
fn a_value_cannot_bring_in_lines() {
    let mut offer = parse(CHROMIUM);
    offer.session_name = "x\r\na=ice-lite".into();
    offer.push(Attribute::other("tool", Some("a\nb\rc\0")));
    let text = offer.to_string();
    assert!(text.contains("s=xa=ice-lite\r\n") && text.contains("a=tool:abc\r\n"));
    assert!(!parse(&text).is_ice_lite());
}

#[test]
fn attributes_of_many_kinds_round_trip() {
    for text in [
        "rtcp:9 IN IP4 0.0.0.0",
        "rtcp:9",
        "rtcp-mux-only",
        "tls-id:abc3de65cddef001be82",
        "ptime:20",
        "ptime:2.5",
        "maxptime:0.125",
        "maxptime:120",
        "max-message-size:0",
        "extmap:4096/sendonly urn:x-example:ext with=attributes",
        "extmap:256 urn:x-example:appbits",
        "rtcp-fb:* ccm fir",
        "rtcp-fb:96 nack rpsi",
        "fmtp:101 0-15",
        "fmtp:63 111/111",
        "fmtp:96",
        "fmtp:webrtc-datachannel max-message-size=100000",
        "fmtp:5000 streams=10",
        "rid:1 recv pt=96,97;max-width=1280;depend=0",
        "rid:1 send pt=96",
        "rid:1 up",
        "rid:a.b send",
        "rid:",
        "simulcast:recv 1;~4 send 2,~3;5",
        "msid:stream",
        "ssrc:1 previous-ssrc:2",
        "ssrc:1",
        "ssrc-group:FEC-FR 1 2",
        "group:LS",
        "ice-options:trickle ice2",
        "candidate:1 1 UDP 1 10.0.0.1 9 typ host generation 0",
        "candidate:1 1 ssltcp 1 10.0.0.1 443 typ host generation 0",
        "candidate:1 1 udp 1 10.0.0.1 443 typ satellite",
        "candidate:1 1 udp 1 [new:family] 443 typ host",
        "fingerprint:sha-1 00:11",
        "setup:holdconn",
        "mid",
        "rtcp-mux:with value",
        "x-empty:",
        "inactive",
        "rtpmap:0 PCMU/8000/1",
    ] {
        let attribute = Attribute::parse(text).unwrap();
        assert_eq!(attribute.to_string(), text);
        assert_eq!(Attribute::parse(&attribute.to_string()), Ok(attribute));
    }
    let Ok(Attribute::Rid(rid)) = Attribute::parse("rid:1 recv pt=96,97;max-width=1280") else { panic!() };
    assert_eq!(rid.payload_types().map(|pt| pt.value()).collect::<Vec<_>>(), [96, 97]);
    assert_eq!(rid.direction.reversed(), RidDirection::Send);
    let Ok(Attribute::Simulcast(simulcast)) = Attribute::parse("simulcast:recv 1;~4,5") else { panic!() };
    assert!(simulcast.recv()[1][0].paused && !simulcast.recv()[1][1].paused);
}

#[test]
fn directions_are_set_in_place_and_inherited() {
    let mut offer = parse(FIREFOX);
    let before = offer.media[0].lines.len();
    offer.media[0].set_direction(Direction::Inactive);
    assert_eq!(offer.media[0].lines.len(), before);
    assert_eq!(offer.media[0].direction(), Some(Direction::Inactive));
    offer.media[0].lines.retain(|line| !matches!(line, Line::Attribute(Attribute::Direction(_))));
    offer.push(Attribute::Direction(Direction::RecvOnly));
    offer.lines.retain(|line| *line != Line::Attribute(Attribute::Direction(Direction::SendRecv)));
    assert_eq!(offer.direction(&offer.media[0]), Direction::RecvOnly);
    assert!(Direction::RecvOnly.receives() && !Direction::RecvOnly.sends());
    offer.media[0].set_direction(Direction::SendOnly);
    assert_eq!(offer.direction(&offer.media[0]), Direction::SendOnly);
}

#[test]
fn ice_parameters_are_inherited_together() {
    let text = "v=0\no=- 1 2 IN IP4 h\ns=-\nt=0 0\na=ice-ufrag:sess\na=ice-pwd:0123456789012345678901\n\
                m=audio 9 X 0\nm=audio 0 X 0\na=ice-ufrag:mine\n";
    let offer = parse(text);
    assert_eq!(offer.ice_parameters(&offer.media[0]).unwrap().ufrag, "sess");
    assert_eq!(offer.ice_parameters(&offer.media[1]), None);
    assert!(offer.media[1].is_rejected());
    assert_eq!(offer.media[0].max_message_size(), Some(65_536));
}

#[test]
fn the_end_of_candidates_may_be_told_for_all_sections() {
    let head = "v=0\no=- 1 2 IN IP4 h\ns=-\nt=0 0\n";
    let sections = "m=audio 9 X 0\na=end-of-candidates\nm=audio 9 X 0\n";
    let told = |text: String| {
        let offer = parse(&text);
        offer.media.iter().map(|media| offer.has_all_candidates(media)).collect::<Vec<_>>()
    };
    assert_eq!(told(format!("{head}{sections}")), [true, false]);
    assert_eq!(told(format!("{head}a=end-of-candidates\n{sections}")), [true, true]);
}

#[test]
fn h264_profiles_compare_by_what_they_mean() {
    let profile = |text| ProfileLevelId::from_hex(text).unwrap();
    assert!(profile("42e01f").same_profile(profile("42c00b")));
    assert!(profile("42e01f").same_profile(profile("4d8028")));
    assert!(!profile("42e01f").same_profile(profile("42001f")));
    assert!(!profile("640c1f").same_profile(profile("64001f")));
    assert!(profile("4d001f").same_profile(profile("4d0032")));
    // Both stand for what the table does not name, and still differ.
    assert!(!profile("7a001f").same_profile(profile("2c101f")));
    assert!(profile("7a001f").same_profile(profile("7a0033")));
    assert!(!profile("f4001f").same_profile(profile("f4101f")));
    assert_eq!(ProfileLevelId::from_hex("42e01"), None);
    assert_eq!(ProfileLevelId::from_hex("42e0+f"), None);
    let defaults = H264Parameters::from(&FormatParameters::default());
    assert_eq!((defaults.profile_level_id.to_string().as_str(), defaults.packetization_mode), ("42000a", 0));
    let parameters = FormatParameters::new("Stereo = 1 ; useInbandFec=1;;cbr");
    assert!(OpusParameters::from(&parameters).stereo && OpusParameters::from(&parameters).use_inband_fec);
    assert!(!parameters.flag("cbr"));
    assert_eq!(parameters.iter().count(), 3);
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(edits in proptest::collection::vec((0usize..200, 0usize..60, "[ -~]{0,6}"), 0..4), which in 0..DESCRIPTIONS.len()) {
        let mut lines: Vec<String> = DESCRIPTIONS[which].lines().map(str::to_owned).collect();
        for (line, at, text) in edits {
            let line = line % lines.len();
            let at = at % (lines[line].len() + 1);
            let end = (at + text.len()).min(lines[line].len());
            lines[line].replace_range(at..end, &text);
        }
        if let Ok(description) = SessionDescription::parse(&lines.join("\n")) {
            let text = description.to_string();
            let again = SessionDescription::parse(&text);
            prop_assert_eq!(again.as_ref(), Ok(&description));
            prop_assert_eq!(again.unwrap().to_string(), text);
        }
    }

    #[test]
    fn any_attribute_is_stable(
        name in "(group|mid|ice-options|candidate|rtpmap|fmtp|rtcp-fb|extmap|msid|ssrc|ssrc-group|rid|simulcast|rtcp|x)",
        value in "[ -~]{0,24}",
    ) {
        if let Ok(attribute) = Attribute::parse(&format!("{name}:{value}")) {
            prop_assert_eq!(Attribute::parse(&attribute.to_string()), Ok(attribute));
        }
    }

    #[test]
    fn any_text_parses_or_fails(text in "\\PC{0,200}") {
        let _ = SessionDescription::parse(&text);
        let _ = SessionDescription::parse(&format!("v=0\no=- 1 2 IN IP4 h\ns=-\nt=0 0\n{text}"));
    }
}

#[test]
fn debug_tells_no_secrets() {
    let secret = "0123456789abcdefSECRET";
    let text = format!(
        "v=0\no=- 1 2 IN IP4 h\ns=-\nt=0 0\nk=clear:{secret}\na=ice-ufrag:told\na=ice-pwd:{secret}\na=key-mgmt:mikey {secret}\n\
         m=audio 9 X 0\na=ice-pwd:{secret}\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{secret}\na=Ice-Pwd :{secret}\n\
         k=base64:{secret}\n"
    );
    let description = parse(&text);
    let told = format!(
        "{description:?} {:?} {:?}",
        description.media[0].lines,
        description.ice_parameters(&parse(&text.replace("m=audio", "a=x\nm=audio")).media[0])
    );
    assert!(!told.contains("SECRET"), "{told}");
    assert!(told.contains("a=ice-ufrag:told"), "{told}");
    // Nor do errors.
    for line in ["a=ice-pwd:SECRET!SECRET!SECRET!SECRET", " a=ice-pwd:SECRET", "a=ice-pwd:SECRET"] {
        let text = format!("v=0\no=- 1 2 IN IP4 h\ns=-\nt=0 0\n{line}\n");
        let error = text.parse::<SessionDescription>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{error}");
    }
}

/// A session keeps its descriptions, of which each line costs.
#[test]
fn a_line_is_small() {
    assert!(size_of::<Line>() <= 48);
}
