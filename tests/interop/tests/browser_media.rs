//! Media with Chromium and Firefox: pictures and sound there and back, and simulcast.

mod browser_pair;

use std::collections::HashSet;
use std::path::Path;

use browser_pair::{BROWSERS, Heard, LONG, Pair, SOURCES, reflect, text, webrtc_rs};
use kaon_interop::{Kind, Rectangle, Thumbnail, Tone};
use kaon_rtc::layer::Rid;
use kaon_rtc::peer_connection::{Codec, Description, Stats, TrackKind, TransceiverInit};
use serde_json::{Value, json};
use tokio::time::timeout;

async fn media(kind: Kind, mut pair: Pair, codec: &str, browser_offers: bool) {
    pair.browser.eval(SOURCES, Value::Null);
    let add = "
        const [video, sound] = await sources();
        globalThis.sent = new MediaStream([video, sound]);
        const sender = connection.addTrack(video, sent);
        connection.addTrack(sound, sent);
        prefer(connection.getTransceivers().find((it) => it.sender === sender), args);
    ";
    if browser_offers {
        pair.browser.eval(add, json!(codec));
        pair.negotiate_both_ways().await;
    } else {
        // Chromium sends what stands first in the offer, whatever it prefers itself.
        let offered = if codec == "video/H264" { Codec::h264() } else { Codec::vp8() };
        let init = TransceiverInit::default().codecs([offered]);
        pair.kaon.add_transceiver(TrackKind::Video, init).unwrap();
        pair.kaon.add_transceiver(TrackKind::Audio, TransceiverInit::default()).unwrap();
        pair.kaon.set_local_description(None).unwrap();
        timeout(LONG, pair.kaon.gathering_complete()).await.unwrap();
        let offer = pair.kaon.local_description().unwrap();
        pair.accept(&offer);
        pair.browser.eval(add, json!(codec));
        let answer = pair.browser.eval(
            "await connection.setLocalDescription(); await gathered(); return connection.localDescription;",
            Value::Null,
        );
        pair.kaon.set_remote_description(&Description::answer(text(&answer)).unwrap()).unwrap();
    }
    let heard = Heard::default();
    for _ in 0..2 {
        let track = pair.track().await;
        reflect(&pair.kaon, track, heard.clone());
    }
    pair.connected().await;
    let seen = pair.browser.eval(
        "
        await until('the tracks', () => tracks.length === 2);
        const find = (kind) => tracks.find(({ track }) => track.kind === kind).track;
        globalThis.element = await play(find('video'));
        const before = await framesDecoded();
        await until('thirty frames', async () => await framesDecoded() >= before + 30);
        return {
            size: [element.videoWidth, element.videoHeight],
            pixels: pixels(element),
            sound: await record(find('audio')),
            sent: toneFrequency,
        };
        ",
        Value::Null,
    );
    assert_eq!(seen["size"], json!([320, 240]));
    let pixel = |at: usize, channel: usize| seen["pixels"][at][channel].as_u64().unwrap();
    let pixels = &seen["pixels"];
    assert!(pixel(0, 0) > 180 && pixel(0, 2) < 80, "red on the left: {pixels}");
    assert!(pixel(1, 2) > 180 && pixel(1, 0) < 80, "blue on the right: {pixels}");
    let sent = seen["sent"].as_f64().unwrap();
    let heard: Vec<_> = heard.lock().unwrap().iter().cloned().collect();
    let Some(tone) = Tone::of_opus(heard.iter().map(Vec::as_slice)) else { return };
    assert!(tone.is(sent), "{kind:?} sends {sent} Hz: {tone:?}");
    let recording: Vec<_> =
        seen["sound"].as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8).collect();
    let Some(tone) = Tone::of_recording(&recording) else { return };
    assert!(tone.is(sent), "{kind:?} hears of {sent} Hz: {tone:?}");
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let name = format!("{test}_{}_{browser_offers}.png", kind.name());
    compare_pictures(&mut pair, &Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
}

/// Takes a screenshot: what came back looks like what is drawn beside it, of which little moves.
fn compare_pictures(pair: &mut Pair, path: &Path) {
    pair.browser.screenshot(path);
    let [drawn, returned] = ["drawn", "element"].map(|name| {
        let place = pair.browser.eval(
            "const { x, y, width, height } = globalThis[args].getBoundingClientRect();
             return [x, y, width, height].map(Math.round);",
            json!(name),
        );
        let [x, y, width, height] = [0, 1, 2, 3].map(|at| place[at].as_u64().unwrap() as u32);
        assert_eq!((width, height), (320, 240), "{name}");
        Thumbnail::of_part(path, Rectangle { x, y, width, height })
    });
    let (Some(drawn), Some(returned)) = (drawn, returned) else { return };
    assert!(drawn.distance(&Thumbnail::black()) > 60.0, "nothing is drawn: {}", path.display());
    assert!(drawn.distance(&returned) < 20.0, "what came back is another picture: {}", path.display());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vp8_and_opus_come_back() {
    for kind in BROWSERS {
        for browser_offers in [true, false] {
            let Some(pair) = Pair::start(kind).await else { return };
            media(kind, pair, "video/VP8", browser_offers).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_of_the_webrtc_rs_crates() {
    for browser_offers in [true, false] {
        let Some(pair) = Pair::of(Kind::Chromium, webrtc_rs()).await else { return };
        media(Kind::Chromium, pair, "video/VP8", browser_offers).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_comes_back() {
    // Firefox downloads its H.264 plug-in.
    for browser_offers in [true, false] {
        let Some(pair) = Pair::start(Kind::Chromium).await else { return };
        media(Kind::Chromium, pair, "video/H264", browser_offers).await;
    }
}

/// RFC 8853: one picture in three sizes, each a stream of its own. Chromium sends three from 960x540 on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simulcast_streams_are_told_apart_by_their_rids() {
    let Some(mut pair) = Pair::start(Kind::Chromium).await else { return };
    pair.browser.eval(SOURCES, Value::Null);
    pair.browser.eval(
        "
        const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720 } });
        const sendEncodings = [
            { rid: 'low', scaleResolutionDownBy: 4, maxBitrate: 60000 },
            { rid: 'mid', scaleResolutionDownBy: 2, maxBitrate: 120000 },
            { rid: 'high', maxBitrate: 200000 },
        ];
        const [track] = stream.getVideoTracks();
        prefer(connection.addTransceiver(track, { direction: 'sendonly', sendEncodings }), 'video/VP8');
        ",
        Value::Null,
    );
    pair.negotiate(true).await;
    let track = pair.track().await;
    let expected = [("low", (320, 180)), ("mid", (640, 360)), ("high", (1280, 720))];
    let rids: Vec<Rid> = expected.iter().map(|(name, _)| name.parse().unwrap()).collect();
    assert_eq!(track.rids(), rids);
    assert!(track.simulcast_stream("other".parse().unwrap()).is_none());
    let mut streams: Vec<_> = rids.iter().map(|rid| track.simulcast_stream(*rid).unwrap()).collect();
    pair.connected().await;

    let mut sources = HashSet::new();
    for (stream, rid) in streams.iter().zip(&rids) {
        let packet = timeout(LONG, stream.recv_rtp()).await.expect("in time").expect("a packet");
        assert_eq!((packet.rid, stream.rid()), (Some(*rid), Some(*rid)));
        sources.insert(packet.ssrc());
    }
    for (stream, (name, size)) in streams.iter_mut().zip(expected) {
        let mut frames = stream.frames();
        stream.request_key_frame();
        let (mut count, mut key_frames) = (0, 0);
        while count < 30 || key_frames == 0 {
            let frame = timeout(LONG, frames.recv()).await.expect("in time").expect("a frame");
            count += 1;
            key_frames += usize::from(frame.key_frame);
            if let Some(dimensions) = frame.dimensions {
                assert_eq!((dimensions.width, dimensions.height), size, "{name}");
            }
        }
        assert_eq!(frames.track().rid().map(|rid| rid.to_string()), Some(name.to_owned()));
    }
    assert_eq!(sources.len(), 3, "each has a source of its own: {sources:?}");
    let told: Vec<_> = pair
        .kaon
        .get_stats()
        .iter()
        .filter_map(|entry| match entry {
            Stats::InboundRtp(stream) => stream.rid,
            _ => None,
        })
        .collect();
    assert!(rids.iter().all(|rid| told.contains(rid)) && told.len() == 3, "{told:?}");
}
