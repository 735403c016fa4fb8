use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kaon_interop::{Browser, Kind, Program, Rectangle, Thumbnail};
use serde_json::{Value, json};

pub const LIMIT: Duration = Duration::from_secs(30);
pub const POLL: Duration = Duration::from_millis(200);

/// The program, built as it is now.
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "-p", "camera_wall", "-p", "echo", "-p", "forward", "-p", "whip_whep"])
            .status()
            .unwrap();
        assert!(status.success());
    });
    // target/debug/deps/camera_wall-0123456789abcdef
    let target = std::env::current_exe().unwrap();
    target.ancestors().nth(2).unwrap().join(name)
}

pub fn artefact(name: &str) -> PathBuf {
    let target = program("..").join("test-artefacts");
    std::fs::create_dir_all(&target).unwrap();
    target.join(name)
}

/// Waits until an expression of the page is true.
pub fn until(browser: &mut Browser, what: &str, test: &str) {
    let began = Instant::now();
    while browser.eval(&format!("return {test};"), Value::Null) != true {
        if began.elapsed() > LIMIT {
            let told = "return document.querySelector('[role=status]')?.textContent;";
            panic!("{what}; the page says {}", browser.eval(told, Value::Null));
        }
        sleep(POLL);
    }
}

/// A picture of a part of the page: of the element of this id on a picture of the whole.
pub fn picture_of(browser: &mut Browser, page: &Path, id: &str) -> Option<Thumbnail> {
    let place = browser.eval(
        "const { x, y, width, height } = document.getElementById(args).getBoundingClientRect();
         return [x, y, width, height].map(Math.round);",
        json!(id),
    );
    let [x, y, width, height] = [0, 1, 2, 3].map(|at| place[at].as_u64().unwrap() as u32);
    Thumbnail::of_part(page, Rectangle { x, y, width, height })
}

/// Starts the wall where the browser is, and tells its URL.
pub fn start(browser: &Browser, arguments: &[&str]) -> (Program, String) {
    let wall = Program::start(browser.neighbour(&program("camera_wall")).args(arguments));
    let line = wall.next_line(LIMIT);
    let url = line.split_once("http").map(|(_, rest)| format!("http{rest}"));
    (wall, url.unwrap_or_else(|| panic!("no URL in {line}")))
}

/// The tiles of the page.
pub fn tiles(browser: &mut Browser) -> Vec<Value> {
    browser.eval("return kaon.cameras;", Value::Null).as_array().unwrap().clone()
}

pub fn number(tile: &Value, field: &str) -> f64 {
    tile[field].as_f64().unwrap_or_default()
}

/// Looks at the tiles until they are as expected.
pub fn wait_for(browser: &mut Browser, what: &str, mut is_so: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
    let began = Instant::now();
    let mut halfway = None;
    loop {
        let tiles = tiles(browser);
        if is_so(&tiles) {
            return tiles;
        }
        // Either side may give up at the end.
        if began.elapsed() > LIMIT / 2 {
            halfway.get_or_insert_with(|| connection(browser));
        }
        if began.elapsed() > LIMIT {
            browser.screenshot(&artefact("camera_wall_failed.png"));
            panic!("{what}: {tiles:#?}\nhalfway {halfway:#?}\nnow {:#?}", connection(browser));
        }
        sleep(POLL);
    }
}

/// What the page knows of its connection.
fn connection(browser: &mut Browser) -> Value {
    let told = "const peer = kaon.connection;
         const report = peer ? [...(await peer.getStats()).values()] : [];
         return {
             page: [kaon.connectionState, kaon.reconnects],
             peer: [peer?.signalingState, peer?.iceGatheringState, peer?.iceConnectionState, peer?.connectionState],
             description: peer?.remoteDescription?.sdp.match(/^a=(ice-ufrag|candidate|setup):.*$/gm),
             paths: report.filter(({ type }) => type.includes('candidate')),
         };";
    browser.try_eval(told, Value::Null).unwrap_or_else(Value::String)
}

pub fn by_name<'a>(tiles: &'a [Value], name: &str) -> Option<&'a Value> {
    tiles.iter().find(|tile| tile["name"] == name)
}

pub fn is_decoding(tile: &Value) -> bool {
    number(tile, "framesDecoded") > 5.0 && tile["condition"] == "live"
}

/// All tiles decode frames, more and more.
pub fn wait_until_all_advance(browser: &mut Browser, count: usize) {
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

/// These tiles decode frames, more and more.
pub fn wait_until_they_advance(browser: &mut Browser, names: &[&str]) {
    let frames = |tiles: &[Value], name: &str| {
        by_name(tiles, name).filter(|tile| is_decoding(tile)).map(|tile| number(tile, "framesDecoded"))
    };
    let before = wait_for(browser, "cameras are decoded", |tiles| {
        names.iter().all(|name| frames(tiles, name).is_some())
    });
    wait_for(browser, "cameras advance", |tiles| {
        names.iter().all(|name| frames(tiles, name) > frames(&before, name).map(|count| count + 20.0))
    });
}

pub fn open(kind: Kind, arguments: &[&str]) -> Option<(Browser, Program, String)> {
    let mut browser = Browser::start(kind)?;
    let (wall, url) = start(&browser, arguments);
    browser.resize(1360, 1000);
    browser.open(&url);
    Some((browser, wall, url))
}
