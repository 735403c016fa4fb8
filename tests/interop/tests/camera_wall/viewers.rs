use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kaon_interop::{Browser, Kind, Program, Relay};
use serde_json::{Value, json};

use crate::pictures::{SAME, look_at_tiles};
use crate::wall::{LIMIT, POLL, number, open, tiles, wait_for, wait_until_all_advance};

/// The picture is there a second after the connection is: the server keeps the last key frame and what followed.
/// Once of three times, since the machine may have other things to do.
#[test]
fn a_new_viewer_sees_a_picture_within_a_second() {
    let Some((mut browser, _wall, url)) = open(Kind::Chromium, &["--listen", "127.0.0.1:0"]) else { return };
    let waits: Vec<_> = (0..3)
        .map(|_| {
            browser.open(&url);
            let waits = browser.eval(
                "
                const until = async (test) => {
                    while (!test()) await new Promise((resolve) => setTimeout(resolve, 5));
                    return performance.now();
                };
                const connected = await until(() => kaon.connectionState === 'connected');
                const isSeen = (tile) => tile.lastFrameAge !== null;
                const seen = await until(() => kaon.cameras.length === 4 && kaon.cameras.every(isSeen));
                return seen - connected;
                ",
                Value::Null,
            );
            waits.as_f64().unwrap()
        })
        .collect();
    assert!(waits.iter().any(|wait| *wait < 1000.0), "{waits:?} ms");
}

#[test]
fn a_hundred_cameras_are_sent_as_far_as_they_are_in_sight() {
    let Some((mut browser, _wall, _)) =
        open(Kind::Chromium, &["--listen", "127.0.0.1:0", "--cameras", "100"])
    else {
        return;
    };
    let advance = |browser: &mut Browser, what, position: fn(usize) -> usize| {
        let before = wait_for(browser, what, |tiles| {
            tiles.len() == 100 && number(&tiles[position(0)], "framesDecoded") > 5.0
        });
        wait_for(browser, what, |tiles| {
            (0..4)
                .map(position)
                .all(|at| number(&tiles[at], "framesDecoded") > number(&before[at], "framesDecoded") + 20.0)
        })
    };
    let tiles = advance(&mut browser, "the first play", |at| at);
    assert_eq!(number(&tiles[99], "bytes"), 0.0, "the last is out of sight");
    browser.eval("scrollTo(0, document.body.scrollHeight);", Value::Null);
    advance(&mut browser, "the last play", |at| 99 - at);
    let paused = wait_for(&mut browser, "the first is paused", |tiles| tiles[0]["condition"] == "paused");
    sleep(Duration::from_secs(1));
    let later = self::tiles(&mut browser);
    let grown = number(&later[0], "bytes") - number(&paused[0], "bytes");
    assert!(grown < 20_000.0, "{grown} bytes of a camera that is out of sight");
    browser.eval("scrollTo(0, 0);", Value::Null);
    advance(&mut browser, "the first play again", |at| at);
}

/// Viewers without a page, each of which watches one camera.
const WATCH: &str = "
    globalThis.viewers = Array.from({ length: args }, (_, at) => {
        const socket = new WebSocket(`ws://${location.host}/signal`);
        const peer = new RTCPeerConnection();
        const tell = (message) => socket.send(JSON.stringify(message));
        let work = Promise.resolve();
        socket.onmessage = ({ data }) => work = work.then(async () => {
            const message = JSON.parse(data);
            if (message.type === 'hello') tell({ type: 'watch', cameras: null });
            if (message.type === 'candidate' && message.candidate.candidate) await peer.addIceCandidate(message.candidate);
            if (message.type !== 'offer') return;
            await peer.setRemoteDescription(message);
            await peer.setLocalDescription();
            tell({ type: 'answer', sdp: peer.localDescription.sdp });
            tell({ type: 'visible', tiles: [message.tiles[at % 4].tile] });
        });
        peer.onicecandidate = ({ candidate }) => candidate && tell({ type: 'candidate', candidate });
        return peer;
    });
";

#[test]
fn dozens_of_viewers_watch_at_once() {
    let Some((mut browser, _wall, url)) = open(Kind::Chromium, &["--listen", "127.0.0.1:0"]) else { return };
    wait_until_all_advance(&mut browser, 4);
    browser.eval(WATCH, json!(24));
    let count = "return await Promise.all(viewers.map(async (peer) =>
        [...(await peer.getStats()).values()].reduce((sum, entry) => sum + (entry.framesDecoded ?? 0), 0)));";
    let began = Instant::now();
    loop {
        let frames = browser.eval(count, Value::Null);
        if frames.as_array().unwrap().iter().all(|frames| frames.as_u64().unwrap() > 50) {
            break;
        }
        assert!(began.elapsed() < 2 * LIMIT, "frames decoded by each: {frames}");
        sleep(POLL);
    }
    assert_eq!(browser.eval("return kaon.viewers;", Value::Null), 25);
    wait_until_all_advance(&mut browser, 4);
    browser.open(&url);
    wait_until_all_advance(&mut browser, 4);
    let began = Instant::now();
    while browser.eval("return kaon.viewers;", Value::Null) != 1 {
        assert!(began.elapsed() < LIMIT, "those who have left are still counted");
        sleep(POLL);
    }
}

/// Opens the wall so that its media goes through a relay and nowhere else.
const OPEN_BEHIND_A_RELAY: &str = "
    const through = (text) => text.replace(/(candidate:\\S+ 1 udp \\d+) \\S+ \\d+/gi, `$1 ${args}`);
    const { setRemoteDescription, addIceCandidate } = RTCPeerConnection.prototype;
    RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
        return setRemoteDescription.call(this, { type, sdp: through(sdp) });
    };
    RTCPeerConnection.prototype.addIceCandidate = function (init) {
        return addIceCandidate.call(this, init && { ...init, candidate: through(init.candidate) });
    };
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (text) {
        const message = JSON.parse(text);
        if (message.type === 'candidate') return;
        if (message.sdp) message.sdp = message.sdp.replace(/a=candidate:.*\\r\\n/g, '');
        send.call(this, JSON.stringify(message));
    };
    const page = await (await fetch('/')).text();
    document.open();
    document.write(page);
    document.close();
    while (!globalThis.kaon) await new Promise((resolve) => setTimeout(resolve, 20));
";

/// The memory of the program in its namespace, in bytes.
fn resident(wall: &Program) -> u64 {
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", wall.id())).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", children.trim())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn a_viewer_that_is_too_slow_is_degraded_alone() {
    // A quarter of what the four cameras take; their key frames fit.
    const SLOW: u64 = 46_000;
    const MAX_GROWTH: u64 = 2 << 20;
    let arguments = ["--listen", "127.0.0.1:0", "--port-range", "20000-20000"];
    let Some((mut fast, wall, url)) = open(Kind::Chromium, &arguments) else { return };
    let Some(mut slow) = Browser::start(Kind::Chromium) else { return };
    let relay = Relay::start(slow.host(), SocketAddr::new(slow.address(), 20000));
    slow.resize(1360, 1000);
    slow.open(&format!("{url}wall.css"));
    let address = format!("{} {}", relay.address.ip(), relay.address.port());
    slow.eval(OPEN_BEHIND_A_RELAY, json!(address));
    wait_until_all_advance(&mut slow, 4);
    wait_until_all_advance(&mut fast, 4);

    relay.limit(SLOW);
    let before = tiles(&mut fast);
    let memory = resident(&wall);
    wait_for(&mut slow, "less is sent", |tiles| {
        tiles.iter().all(|tile| tile["condition"] == "slow" || tile["condition"] == "paused")
    });
    let reduced = tiles(&mut slow);
    let frames = |tile: &Value| number(tile, "framesDecoded");
    let first_key_frame =
        wait_for(&mut slow, "a picture still comes", |tiles| frames(&tiles[0]) > frames(&reduced[0]));
    wait_for(&mut slow, "pictures go on", |tiles| frames(&tiles[0]) > frames(&first_key_frame[0]) + 4.0);
    look_at_tiles(&mut slow, "camera_wall_slow.png", SAME, &[("Test card", "Test card")]);
    let after = wait_for(&mut fast, "the other viewer gets everything", |tiles| {
        tiles.iter().zip(&before).all(|(now, then)| frames(now) > frames(then) + 150.0)
    });
    let growth = resident(&wall).saturating_sub(memory);
    for (now, then) in after.iter().zip(&before) {
        let [all, key] = ["framesDecoded", "keyFrames"].map(|field| number(now, field) - number(then, field));
        // A clip has 25 or 30 frames for each key frame.
        assert!(all > 15.0 * key, "{all} frames, {key} of them key frames: {now}");
        assert_eq!(now["condition"], "live", "{now}");
    }
    assert!(growth < MAX_GROWTH, "{growth} bytes more than before");

    relay.lift_limit();
    let began = Instant::now();
    while tiles(&mut slow).iter().any(|tile| tile["condition"] != "live") {
        assert!(began.elapsed() < 3 * LIMIT, "{:#?}", tiles(&mut slow));
        sleep(POLL);
    }
    wait_until_all_advance(&mut slow, 4);
}
