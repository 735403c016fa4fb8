//! The browsers themselves: that each starts and makes descriptions, and that two of them find each other in the
//! network that the other tests share with them.

use std::net::SocketAddr;
use std::path::Path;

use kaon_interop::{Browser, Kind, stun_server};
use kaon_rtc::layer::CandidateAddress;
use kaon_rtc::sdp::{MediaKind, SessionDescription};
use serde_json::{Value, json};

/// Makes a peer connection with one data channel; what arrives in it is kept.
const CONNECT: &str = "
    globalThis.connection = new RTCPeerConnection({ iceServers: args ?? [] });
    globalThis.channel = connection.createDataChannel('test', { negotiated: true, id: 1 });
    globalThis.received = new Promise((resolve) => channel.onmessage = ({ data }) => resolve(data));
";

/// Sets the local description, and returns it with all candidates in it.
const DESCRIBE: &str = "
    await connection.setLocalDescription();
    while (connection.iceGatheringState !== 'complete')
        await new Promise((resolve) => connection.onicegatheringstatechange = resolve);
    return connection.localDescription;
";

const ACCEPT: &str = "await connection.setRemoteDescription(args);";

#[test]
fn chromium_and_firefox_find_each_other() {
    let (Some(mut chromium), Some(mut firefox)) =
        (Browser::start(Kind::Chromium), Browser::start(Kind::Firefox))
    else {
        return;
    };
    chromium.eval(CONNECT, Value::Null);
    firefox.eval(CONNECT, Value::Null);
    let offer = chromium.eval(DESCRIBE, Value::Null);
    firefox.eval(ACCEPT, offer);
    let answer = firefox.eval(DESCRIBE, Value::Null);
    chromium.eval(ACCEPT, answer);

    let say = "
        if (channel.readyState !== 'open') await new Promise((resolve) => channel.onopen = resolve);
        channel.send(args);
    ";
    chromium.eval(say, json!("from Chromium"));
    firefox.eval(say, json!("from Firefox"));
    assert_eq!(firefox.eval("return received;", Value::Null), "from Chromium");
    assert_eq!(chromium.eval("return received;", Value::Null), "from Firefox");
}

#[test]
fn each_describes_audio_video_and_data() {
    for kind in [Kind::Chromium, Kind::Firefox] {
        let Some(mut browser) = Browser::start(kind) else { continue };
        browser.eval(CONNECT, Value::Null);
        let tracks = "
            const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
            for (const track of stream.getTracks()) connection.addTrack(track, stream);
        ";
        browser.eval(tracks, Value::Null);
        let offer = browser.eval(DESCRIBE, Value::Null);
        let offer: SessionDescription = offer["sdp"].as_str().unwrap().parse().unwrap();
        let media = |kind| offer.media.iter().find(|media| media.kind == kind).unwrap();
        let (audio, video) = (media(MediaKind::Audio), media(MediaKind::Video));
        assert_eq!(media(MediaKind::Application).sctp_port(), Some(5000), "{offer}");
        assert!(audio.codecs().any(|codec| codec.is("opus")), "{offer}");
        let codecs: &[_] = match kind {
            Kind::Chromium => &["VP8", "VP9", "H264", "AV1", "rtx"],
            Kind::Firefox => &["VP8", "VP9", "AV1", "rtx"],
        };
        for name in codecs {
            assert!(video.codecs().any(|codec| codec.is(name)), "{name} in {offer}");
        }
    }
}

#[test]
fn each_reaches_a_socket_of_this_process() {
    // What is told them as their address is none that they could know.
    let mapped: SocketAddr = "192.0.2.77:7777".parse().unwrap();
    for kind in [Kind::Chromium, Kind::Firefox] {
        let Some(mut browser) = Browser::start(kind) else { continue };
        let server = stun_server(browser.host(), mapped);
        let url = format!("stun:{server}");
        browser.eval(CONNECT, json!([{ "urls": url }]));
        let offer = browser.eval(DESCRIBE, Value::Null);
        let offer: SessionDescription = offer["sdp"].as_str().unwrap().parse().unwrap();
        let mut addresses = offer.media[0].candidates().map(|candidate| &candidate.address);
        assert!(addresses.any(|address| *address == CandidateAddress::Ip(mapped)), "{offer}");
    }
}

#[test]
fn a_page_is_opened_and_seen() {
    let Some(mut browser) = Browser::start(Kind::Firefox) else { return };
    browser.open("data:text/html,<title>seen</title><body style='background: red'>");
    assert_eq!(browser.eval("return document.title + args.mark;", json!({ "mark": "!" })), "seen!");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("firefox.png");
    browser.screenshot(&path);
    assert!(std::fs::read(path).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn an_error_in_the_page_is_an_error_of_the_call() {
    let Some(mut browser) = Browser::start(Kind::Chromium) else { return };
    let error = browser.try_eval("throw new TypeError('no such thing');", Value::Null).unwrap_err();
    assert!(error.starts_with("TypeError: no such thing"), "{error}");
    assert!(browser.try_eval("return (;", Value::Null).unwrap_err().starts_with("SyntaxError"));
    assert_eq!(browser.eval("", Value::Null), Value::Null);
}
