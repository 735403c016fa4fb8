//! The camera wall as its users see it: in a real browser.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kaon_interop::{Browser, Kind, Program, missing};
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
            let _ = std::fs::create_dir_all(artefact(""));
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

#[test]
fn all_cameras_play_in_chromium() {
    let Some((mut browser, _wall, _)) = open(Kind::Chromium, &["--listen", "127.0.0.1:0"]) else { return };
    wait_until_all_advance(&mut browser, 4);
    let has_sound = |tile: &&Value| tile["name"] == "Test card" || tile["name"] == "Life";
    for tile in tiles(&mut browser).iter().filter(has_sound) {
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
    let picture = artefact("camera_wall.png");
    browser.screenshot(&picture);
    assert!(std::fs::read(picture).unwrap().starts_with(b"\x89PNG"));
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
    // The same one twice, by the keyboard.
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
    let sections = browser.eval("return kaon.sections;", Value::Null).as_u64().unwrap();
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

/// A free UDP port where the browser is: the network has nobody else in it.
const PICTURE: &str = "127.0.0.1:5004";
const SOUND: &str = "127.0.0.1:5006";
const OTHER: &str = "127.0.0.1:5008";

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

/// The commands of a section of the README.
fn commands(program: &str) -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/camera_wall/README.md");
    let text = std::fs::read_to_string(readme).unwrap().replace("\\\n", " ");
    text.lines().filter(|line| line.starts_with(program)).map(str::to_owned).collect()
}

fn open_with_senders(network: &str) -> Option<(Browser, Program)> {
    let camera =
        |name: &str, address: &str, codec: &str| format!("--camera={name}=rtp://{address}?codec={codec}");
    let arguments = [
        "--listen=127.0.0.1:0".to_owned(),
        "--cameras=0".to_owned(),
        camera("Porch", PICTURE, "h264"),
        camera("Porch", SOUND, "opus"),
        camera("Garden", OTHER, "vp8"),
    ];
    if !is_installed(network) {
        return None;
    }
    let (browser, wall, _) = open(Kind::Chromium, &arguments.each_ref().map(String::as_str))?;
    Some((browser, wall))
}

fn wait_for_senders(browser: &mut Browser) {
    wait_until_all_advance(browser, 2);
    wait_for(browser, "sound arrives", |tiles| number(&tiles[0], "audioEnergy") > 0.001);
}

#[test]
fn ffmpeg_is_a_camera_that_may_stop_and_come_back() {
    let Some((mut browser, _wall)) = open_with_senders("ffmpeg") else { return };
    let lines = commands("ffmpeg");
    assert_eq!(lines.len(), 3);
    let mut senders: Vec<_> = lines.iter().map(|line| sender(&browser, line)).collect();
    wait_until_all_advance(&mut browser, 2);
    browser.eval("kaon.toggleSound(kaon.cameras[0].tile);", Value::Null);
    wait_for_senders(&mut browser);
    browser.screenshot(&artefact("camera_wall_rtp.png"));

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
    let Some((mut browser, _wall)) = open_with_senders("gst-launch-1.0") else { return };
    let lines = commands("gst-launch-1.0");
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
        browser.screenshot(&artefact(&format!("echo_{}.png", kind.name())));
    }
}
