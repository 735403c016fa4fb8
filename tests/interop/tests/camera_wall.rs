//! The camera wall as its users see it: in a real browser.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kaon_interop::{Browser, Kind, Program, Rectangle, Relay, Thumbnail, missing};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

/// The program, built as it is now.
fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "-p", "camera_wall", "-p", "echo"])
            .status()
            .unwrap();
        assert!(status.success());
    });
    // target/debug/deps/camera_wall-0123456789abcdef
    let target = std::env::current_exe().unwrap();
    target.ancestors().nth(2).unwrap().join(name)
}

fn artefact(name: &str) -> PathBuf {
    let target = program("..").join("test-artefacts");
    std::fs::create_dir_all(&target).unwrap();
    target.join(name)
}

/// Starts the wall where the browser is, and tells its URL.
fn start(browser: &Browser, arguments: &[&str]) -> (Program, String) {
    let wall = Program::start(browser.neighbour(&program("camera_wall")).args(arguments));
    let line = wall.next_line(LIMIT);
    let url = line.split_once("http").map(|(_, rest)| format!("http{rest}"));
    (wall, url.unwrap_or_else(|| panic!("no URL in {line}")))
}

/// The tiles of the page.
fn tiles(browser: &mut Browser) -> Vec<Value> {
    browser.eval("return kaon.cameras;", Value::Null).as_array().unwrap().clone()
}

fn number(tile: &Value, field: &str) -> f64 {
    tile[field].as_f64().unwrap_or_default()
}

/// Looks at the tiles until they are as expected.
fn wait_for(browser: &mut Browser, what: &str, mut is_so: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let tiles = tiles(browser);
        if is_so(&tiles) {
            return tiles;
        }
        if began.elapsed() > LIMIT {
            browser.screenshot(&artefact("camera_wall_failed.png"));
            panic!("{what}: {tiles:#?}");
        }
        sleep(POLL);
    }
}

fn by_name<'a>(tiles: &'a [Value], name: &str) -> Option<&'a Value> {
    tiles.iter().find(|tile| tile["name"] == name)
}

/// All tiles decode frames, more and more.
fn wait_until_all_advance(browser: &mut Browser, count: usize) {
    let is_decoding = |tile: &Value| number(tile, "framesDecoded") > 5.0 && tile["condition"] == "live";
    let before = wait_for(browser, "all cameras are decoded", |tiles| {
        tiles.len() == count && tiles.iter().all(is_decoding)
    });
    wait_for(browser, "all cameras advance", |tiles| {
        tiles.len() == count
            && tiles
                .iter()
                .zip(&before)
                .all(|(now, then)| number(now, "framesDecoded") > number(then, "framesDecoded") + 20.0)
    });
}

fn open(kind: Kind, arguments: &[&str]) -> Option<(Browser, Program, String)> {
    let mut browser = Browser::start(kind)?;
    let (wall, url) = start(&browser, arguments);
    browser.resize(1360, 1000);
    browser.open(&url);
    Some((browser, wall, url))
}

/// The clips that the bundled cameras play, by their names.
const CLIPS: [(&str, &str); 4] = [
    ("Test card", "test_card.h264"),
    ("Life", "life.ivf"),
    ("Fractal", "fractal.h264"),
    ("Aurora", "aurora.ivf"),
];
/// A picture of a clip that was decoded, scaled and shown is so near to it. Clips are further from each other, from
/// black and from themselves enlarged.
const SAME: f64 = 12.0;
/// So near is one without the words that are burnt in, and in the colours of another standard.
const ALIKE: f64 = 30.0;

/// Takes a screenshot and looks at its tiles: `expected` tells the clip that each shows. One that is black, cut off
/// or elsewhere is like no picture of its clip.
fn look_at_tiles(browser: &mut Browser, name: &str, near: f64, expected: &[(&str, &str)]) {
    let path = artefact(name);
    browser.screenshot(&path);
    let clips = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/camera_wall/clips");
    let mut pictures = Vec::new();
    for (clip, file) in CLIPS {
        let Some(thumbnails) = Thumbnail::of_clip(&clips.join(file)) else { return };
        pictures.push((clip, thumbnails));
    }
    let places = browser.eval(
        "return Object.fromEntries([...document.querySelectorAll('.tile')].map((tile) => {
            const { x, y, width, height } = tile.querySelector('.picture').getBoundingClientRect();
            return [tile.getAttribute('aria-label'), [x, y, width, height].map(Math.round)];
        }));",
        Value::Null,
    );
    let mut seen: Vec<Rectangle> = Vec::new();
    for (camera, clip) in expected {
        let [x, y, width, height] = [0, 1, 2, 3].map(|at| places[camera][at].as_u64().unwrap() as u32);
        let place = Rectangle { x, y, width, height };
        let is_apart = |other: &Rectangle| x.abs_diff(other.x) >= width || y.abs_diff(other.y) >= height;
        assert!(seen.iter().all(is_apart) && (width * 9).abs_diff(height * 16) < 32, "{name}: {places}");
        seen.push(place);
        let shown = Thumbnail::of_part(&path, place).unwrap();
        let nearest = |pictures: &[Thumbnail]| {
            pictures.iter().map(|picture| picture.distance(&shown)).min_by(f64::total_cmp).unwrap()
        };
        let distances: Vec<_> = pictures.iter().map(|(clip, pictures)| (*clip, nearest(pictures))).collect();
        let (best, distance) = distances.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert!(best == clip && *distance < near, "{name}: {camera} shows {distances:?}");
    }
}

#[test]
fn all_cameras_play_in_chromium() {
    let Some((mut browser, _wall, _)) = open(Kind::Chromium, &["--listen", "127.0.0.1:0"]) else { return };
    wait_until_all_advance(&mut browser, 4);
    let has_sound = |tile: &&Value| tile["name"] == "Test card" || tile["name"] == "Life";
    for tile in tiles(&mut browser).iter().filter(has_sound) {
        assert_eq!(number(tile, "soundPackets"), 0.0, "sound that is off is not sent: {tile}");
        browser.eval("kaon.toggleSound(args);", tile["tile"].clone());
    }
    let tiles = wait_for(&mut browser, "sound and statistics", |tiles| {
        tiles.iter().all(|tile| number(tile, "bitrate") > 50_000.0 && tile["roundTrip"].is_number())
            && tiles.iter().filter(has_sound).all(|tile| number(tile, "audioEnergy") > 0.001)
    });
    for tile in &tiles {
        assert_eq!((number(tile, "width"), number(tile, "height")), (640.0, 360.0), "{tile}");
        assert_eq!(tile["muted"].as_bool(), Some(!has_sound(&tile)), "{tile}");
    }
    let every = CLIPS.map(|(camera, _)| (camera, camera));
    look_at_tiles(&mut browser, "camera_wall.png", SAME, &every);
    browser.eval("document.documentElement.style.colorScheme = 'dark';", Value::Null);
    look_at_tiles(&mut browser, "camera_wall_dark.png", SAME, &every);
}

/// Firefox has no decoder of H.264 here and says so.
#[test]
fn what_firefox_can_decode_plays_and_the_rest_says_why() {
    let Some((mut browser, _wall, _)) = open(Kind::Firefox, &["--listen", "127.0.0.1:0"]) else { return };
    let is_decoding = |tile: &Value| number(tile, "framesDecoded") > 40.0 && tile["condition"] == "live";
    wait_for(&mut browser, "VP8 plays", |tiles| {
        ["Life", "Aurora"].iter().all(|name| by_name(tiles, name).is_some_and(is_decoding))
    });
    for name in ["Test card", "Fractal"] {
        let tiles = tiles(&mut browser);
        assert_eq!(by_name(&tiles, name).unwrap()["unsupported"], true, "{tiles:#?}");
    }
    look_at_tiles(&mut browser, "camera_wall_firefox.png", SAME, &[("Life", "Life"), ("Aurora", "Aurora")]);
}

#[test]
fn cameras_come_and_go() {
    let Some((mut browser, _wall, _)) = open(Kind::Chromium, &["--listen", "127.0.0.1:0"]) else { return };
    wait_until_all_advance(&mut browser, 4);
    for round in 0..3 {
        let name = ["Life", "Test card", "Aurora"][round];
        let before = tiles(&mut browser);
        let tile = by_name(&before, name).unwrap()["tile"].clone();
        browser.eval("kaon.remove(args);", tile);
        wait_until_all_advance(&mut browser, 3);
        assert!(by_name(&tiles(&mut browser), name).is_none());
        browser.eval("kaon.add(args);", json!(name));
        wait_until_all_advance(&mut browser, 4);
    }
    // A track that showed VP8 shows H.264 now, and the other way round.
    for (from, to) in [("Aurora", "Fractal"), ("Test card", "Life")] {
        let before = tiles(&mut browser);
        browser.eval("kaon.remove(args);", by_name(&before, from).unwrap()["tile"].clone());
        browser.eval("kaon.add(args);", json!(to));
        wait_until_all_advance(&mut browser, 4);
    }
    // Another one, by the keyboard.
    browser.eval(
        "const press = (key, on = document.activeElement) =>
            on.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
         press('a', document.body);
         press('ArrowDown');
         document.activeElement.click();",
        Value::Null,
    );
    wait_until_all_advance(&mut browser, 5);
    browser.eval(
        "const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
         document.querySelector('.tile').focus();
         press('ArrowRight');
         press('Delete');",
        Value::Null,
    );
    wait_until_all_advance(&mut browser, 4);
    let sections =
        browser.eval("return kaon.connection.getTransceivers().length;", Value::Null).as_u64().unwrap();
    assert!(sections <= 8, "{sections} media sections: those of removed cameras are used again");
}

#[test]
fn the_page_comes_back_when_the_server_does() {
    let Some((mut browser, wall, url)) = open(Kind::Chromium, &["--listen", "127.0.0.1:0"]) else { return };
    wait_until_all_advance(&mut browser, 4);
    let first = tiles(&mut browser)[0]["tile"].clone();
    browser.eval("kaon.remove(args);", first);
    wait_until_all_advance(&mut browser, 3);
    drop(wall);
    wait_for(&mut browser, "the loss is seen", |tiles| tiles.iter().all(|tile| tile["condition"] == "stale"));
    let banner = browser.eval("return document.getElementById('banner').innerText;", Value::Null);
    assert!(banner.as_str().unwrap().contains("Reconnecting"), "{banner}");
    let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let (_wall, again) = start(&browser, &["--listen", &address]);
    assert_eq!(again, url);
    wait_until_all_advance(&mut browser, 3);
    assert_eq!(browser.eval("return kaon.connectionState;", Value::Null), "connected");
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

/// A program that sends RTP, as the README of the wall has it.
fn sender(browser: &Browser, command: &str) -> Program {
    let mut shell = browser.neighbour(Path::new("sh"));
    Program::start(shell.args(["-c", &format!("exec {command} </dev/null")]).stderr(Stdio::null()))
}

fn is_installed(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).exists()));
    if !found {
        missing(program, "`tests/run setup` installs it");
    }
    found
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

/// The ports of the README's commands, moved for those that run at the same time.
fn moved(text: &str, by: u16) -> String {
    [5004, 5006, 5008]
        .iter()
        .fold(text.to_owned(), |text, port: &u16| text.replace(&port.to_string(), &(port + by).to_string()))
}

/// The commands of a section of the README.
fn commands(program: &str, port_offset: u16) -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/camera_wall/README.md");
    let text = std::fs::read_to_string(readme).unwrap().replace("\\\n", " ");
    text.lines().filter(|line| line.starts_with(program)).map(|line| moved(line, port_offset)).collect()
}

fn open_with_senders(program: &str, port_offset: u16) -> Option<(Browser, Program)> {
    if !is_installed(program) {
        return None;
    }
    let arguments = [
        "--listen=127.0.0.1:0",
        "--cameras=0",
        "--camera=Porch=rtp://127.0.0.1:5004?codec=h264",
        "--camera=Porch=rtp://127.0.0.1:5006?codec=opus",
        "--camera=Garden=rtp://127.0.0.1:5008?codec=vp8",
    ];
    let arguments = arguments.map(|argument| moved(argument, port_offset));
    let (browser, wall, _) = open(Kind::Chromium, &arguments.each_ref().map(String::as_str))?;
    Some((browser, wall))
}

fn wait_for_senders(browser: &mut Browser) {
    wait_until_all_advance(browser, 2);
    wait_for(browser, "sound arrives", |tiles| number(&tiles[0], "audioEnergy") > 0.001);
}

#[test]
fn ffmpeg_is_a_camera_that_may_stop_and_come_back() {
    let Some((mut browser, _wall)) = open_with_senders("ffmpeg", 0) else { return };
    let lines = commands("ffmpeg", 0);
    assert_eq!(lines.len(), 3);
    let mut senders: Vec<_> = lines.iter().map(|line| sender(&browser, line)).collect();
    wait_until_all_advance(&mut browser, 2);
    browser.eval("kaon.toggleSound(kaon.cameras[0].tile);", Value::Null);
    wait_for_senders(&mut browser);
    // Both send what the test card is made of.
    look_at_tiles(
        &mut browser,
        "camera_wall_rtp.png",
        ALIKE,
        &[("Porch", "Test card"), ("Garden", "Test card")],
    );

    senders.truncate(2);
    let complains = |why: &'static str| {
        move |tiles: &[Value]| {
            let garden = by_name(tiles, "Garden").unwrap();
            garden["condition"] == "stale"
                && garden["complaint"].as_str().is_some_and(|text| text.contains(why))
        }
    };
    wait_for(&mut browser, "silence is told", complains("nothing arrives"));
    let garbage = "while :; do head -c 300 /dev/urandom > /dev/udp/127.0.0.1/5008; sleep 0.02; done";
    let noise = Program::start(browser.neighbour(Path::new("bash")).args(["-c", garbage]));
    wait_for(&mut browser, "garbage is told", complains("what arrives is no"));
    drop(noise);
    senders.push(sender(&browser, &lines[2]));
    wait_until_all_advance(&mut browser, 2);
}

#[test]
fn gstreamer_is_a_camera() {
    let Some((mut browser, _wall)) = open_with_senders("gst-launch-1.0", 100) else { return };
    let lines = commands("gst-launch-1.0", 100);
    assert_eq!(lines.len(), 3);
    let _senders: Vec<_> = lines.iter().map(|line| sender(&browser, line)).collect();
    wait_until_all_advance(&mut browser, 2);
    browser.eval("kaon.toggleSound(kaon.cameras[0].tile);", Value::Null);
    wait_for_senders(&mut browser);
}

/// The other example with a page.
#[test]
fn what_is_sent_to_echo_comes_back() {
    for kind in [Kind::Chromium, Kind::Firefox] {
        let Some(mut browser) = Browser::start(kind) else { continue };
        let echo = Program::start(browser.neighbour(&program("echo")).args(["--listen", "127.0.0.1:0"]));
        let line = echo.next_line(LIMIT);
        browser.resize(1200, 900);
        browser.open(line.trim_start_matches("Echo: "));
        let until = |browser: &mut Browser, what: &str, test: &str| {
            let began = Instant::now();
            while browser.eval(&format!("return {test};"), Value::Null) != true {
                let state =
                    browser.eval("return [kaon.connectionState, kaon.media, kaon.messages];", Value::Null);
                assert!(began.elapsed() < LIMIT, "{kind:?}: {what}: {state}");
                sleep(POLL);
            }
        };
        until(&mut browser, "the connection", "kaon.send('hello')");
        until(&mut browser, "the message", "kaon.messages.every(({ roundTrip }) => roundTrip > 0)");
        until(&mut browser, "the picture", "kaon.media.framesDecoded > 30");
        browser.eval("document.getElementById('sound').click();", Value::Null);
        if kind == Kind::Chromium {
            until(&mut browser, "the sound", "kaon.media.audioEnergy > 0");
        }
        let path = artefact(&format!("echo_{}.png", kind.name()));
        browser.screenshot(&path);
        // What comes back is a little late, and there is little that moves.
        let [own, returned] = ["own", "returned"].map(|id| {
            let place = browser.eval(
                "const { x, y, width, height } = document.getElementById(args).getBoundingClientRect();
                 return [x, y, width, height].map(Math.round);",
                json!(id),
            );
            let [x, y, width, height] = [0, 1, 2, 3].map(|at| place[at].as_u64().unwrap() as u32);
            Thumbnail::of_part(&path, Rectangle { x, y, width, height })
        });
        let (Some(own), Some(returned)) = (own, returned) else { return };
        assert!(own.distance(&Thumbnail::black()) > 20.0, "{kind:?}: the own picture is black");
        assert!(own.distance(&returned) < 20.0, "{kind:?}: what came back is another picture");
    }
}
