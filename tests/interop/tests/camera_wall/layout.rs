use std::thread::sleep;
use std::time::Instant;

use kaon_interop::{Browser, Kind};
use serde_json::Value;

use crate::wall::{LIMIT, POLL, open, wait_for};

/// Four cameras on the screens that most have, with their numbers and without.
#[test]
fn four_cameras_are_seen_at_once() {
    for kind in [Kind::Chromium, Kind::Firefox] {
        let Some((mut browser, _wall, url)) = open(kind, &["--listen", "127.0.0.1:0"]) else { continue };
        for (width, height) in [(1920, 1080), (1440, 900), (1280, 1024)] {
            browser.resize(width, height);
            for _ in 0..2 {
                wait_for(&mut browser, "four tiles", |tiles| tiles.len() == 4);
                let (page, faults) = laid_out(&mut browser, width);
                assert!(faults.is_empty(), "{kind:?} {width}x{height}: {faults:?} in {page}");
                browser.eval("document.getElementById('numbers').click();", Value::Null);
            }
        }
        // What was chosen is remembered.
        browser.eval("document.getElementById('numbers').click();", Value::Null);
        browser.open(&url);
        wait_for(&mut browser, "four tiles", |tiles| tiles.len() == 4);
        let shown = browser.eval("return document.querySelector('dl').checkVisibility();", Value::Null);
        assert_eq!(shown, false);
    }
}

/// The page once it has laid itself out, which it does a frame after its size or what it shows has changed; with what is
/// still wrong when the time is over.
fn laid_out(browser: &mut Browser, width: u32) -> (Value, Vec<&'static str>) {
    let began = Instant::now();
    loop {
        let page = measure(browser);
        let faults = faults(&page, width);
        if faults.is_empty() || began.elapsed() > LIMIT {
            return (page, faults);
        }
        sleep(POLL);
    }
}

fn measure(browser: &mut Browser) -> Value {
    browser.eval(
        "const box = (it) => it.getBoundingClientRect();
         const [tiles, facts] = ['.tile', '.facts'].map((name) => [...document.querySelectorAll(name)]);
         return { height: document.documentElement.scrollHeight, within: innerHeight,
                  from: box(document.querySelector('header')).bottom,
                  to: box(document.querySelector('footer')).top,
                  tops: tiles.map((tile) => box(tile).top), bottoms: tiles.map((tile) => box(tile).bottom),
                  picture: box(tiles[0]).width,
                  cut: facts.some((it) => it.scrollHeight > it.clientHeight) };",
        Value::Null,
    )
}

fn faults(page: &Value, width: u32) -> Vec<&'static str> {
    let number = |name: &str| page[name].as_f64().unwrap();
    let all = |name: &str, test: &dyn Fn(f64) -> bool| {
        page[name].as_array().unwrap().iter().all(|it| test(it.as_f64().unwrap()))
    };
    let wanted = [
        (number("height") <= number("within"), "the page scrolls"),
        (all("tops", &|top| top >= number("from")), "a tile is under the header"),
        (all("bottoms", &|bottom| bottom <= number("to")), "a tile is under the footer"),
        (number("picture") > 0.3 * f64::from(width), "the pictures are small"),
        (page["cut"] == false, "numbers are cut off"),
    ];
    wanted.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
}
