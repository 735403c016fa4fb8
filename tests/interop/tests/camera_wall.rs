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
    let tiles = wait_for(&mut browser, "sound and statistics", |tiles| {
        tiles.iter().all(|tile| number(tile, "bitrate") > 50_000.0 && tile["roundTrip"].is_number())
            && ["Test card", "Life"]
                .iter()
                .all(|name| by_name(tiles, name).is_some_and(|tile| number(tile, "audioEnergy") > 0.001))
    });
    for tile in &tiles {
        assert_eq!((number(tile, "width"), number(tile, "height")), (640.0, 360.0), "{tile}");
        assert!(number(tile, "lastFrameAge") < 1000.0, "{tile}");
        assert!(number(tile, "fps") > 15.0, "{tile}");
    }
    let picture = artefact("camera_wall.png");
    browser.screenshot(&picture);
    assert!(std::fs::read(picture).unwrap().starts_with(b"\x89PNG"));
}
