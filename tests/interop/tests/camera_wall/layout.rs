use kaon_interop::Kind;
use serde_json::{Value, json};

use crate::wall::{open, wait_for};

/// Four cameras on the screens that most have, with their numbers and without.
#[test]
fn four_cameras_are_seen_at_once() {
    for kind in [Kind::Chromium, Kind::Firefox] {
        let Some((mut browser, _wall, url)) = open(kind, &["--listen", "127.0.0.1:0"]) else { continue };
        for (width, height) in [(1920, 1080), (1440, 900), (1280, 1024)] {
            browser.resize(width, height);
            for _ in 0..2 {
                wait_for(&mut browser, "four tiles", |tiles| tiles.len() == 4);
                let page = browser.eval(
                    "const box = (it) => it.getBoundingClientRect();
                     const [tiles, facts] = ['.tile', '.facts'].map((name) => [...document.querySelectorAll(name)]);
                     return { height: document.documentElement.scrollHeight, within: innerHeight,
                              from: box(document.querySelector('header')).bottom,
                              to: box(document.querySelector('footer')).top,
                              tops: tiles.map((tile) => box(tile).top), bottoms: tiles.map((tile) => box(tile).bottom),
                              picture: box(tiles[0]).width,
                              cut: facts.some((it) => it.scrollHeight > it.clientHeight) };",
                    Value::Null,
                );
                let case = format!("{kind:?} {width}x{height}: {page}");
                let number = |name: &str| page[name].as_f64().unwrap();
                let all = |name: &str, test: &dyn Fn(f64) -> bool| {
                    page[name].as_array().unwrap().iter().all(|it| test(it.as_f64().unwrap()))
                };
                assert!(number("height") <= number("within"), "{case}");
                assert!(all("tops", &|top| top >= number("from")), "{case}");
                assert!(all("bottoms", &|bottom| bottom <= number("to")), "{case}");
                assert!(number("picture") > 0.3 * f64::from(width), "{case}");
                assert_eq!(page["cut"], json!(false), "{case}");
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
