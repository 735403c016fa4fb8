use kaon_interop::{Browser, Kind};
use serde_json::{Value, json};

use crate::pictures::{CLIPS, SAME, look_at_tiles};
use crate::wall::{
    by_name, number, open, start, tiles, wait_for, wait_until_all_advance, wait_until_they_advance,
};

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
    facts_are_shown(&mut browser);
    let every = CLIPS.map(|(camera, _)| (camera, camera));
    look_at_tiles(&mut browser, "camera_wall.png", SAME, &every);
    browser.eval("document.documentElement.style.colorScheme = 'dark';", Value::Null);
    look_at_tiles(&mut browser, "camera_wall_dark.png", SAME, &every);
}

/// What a tile tells of its camera.
fn facts_are_shown(browser: &mut Browser) {
    let facts = browser.eval(
        "return [...document.querySelectorAll('.tile')].map((tile) => Object.fromEntries(
            [...tile.querySelectorAll('dl > div')].map((fact) => [...fact.children].map((it) => it.textContent))));",
        Value::Null,
    );
    for facts in facts.as_array().unwrap() {
        let fact = |name: &str| facts[name].as_str().unwrap_or_else(|| panic!("no {name}: {facts}"));
        let amount = |name: &str, units: &[&str]| {
            let (number, unit) = fact(name).split_once(' ').unwrap_or_else(|| panic!("{name}: {facts}"));
            assert!(units.contains(&unit), "{name}: {facts}");
            number.parse::<f64>().unwrap()
        };
        assert_eq!(fact("Picture"), "640×360");
        assert!(amount("Rate", &["fps"]) > 0.0, "{facts}");
        assert!(amount("Bitrate", &["kbit/s", "Mbit/s"]) > 0.0, "{facts}");
        assert!(amount("Round trip", &["ms"]) < 1000.0, "{facts}");
        assert!(fact("Lost").parse::<u32>().is_ok(), "{facts}");
        assert!(amount("Last frame", &["ms", "s"]) < 1000.0, "{facts}");
    }
}

/// Firefox has no decoder of H.264 here and says so.
#[test]
fn what_firefox_can_decode_plays_and_the_rest_says_why() {
    let Some((mut browser, _wall, _)) = open(Kind::Firefox, &["--listen", "127.0.0.1:0"]) else { return };
    wait_until_they_advance(&mut browser, &["Life", "Aurora"]);
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
        "globalThis.press = (key) =>
            document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
         document.querySelector('.tile').focus();
         press('ArrowRight');
         press('Delete');",
        Value::Null,
    );
    wait_until_all_advance(&mut browser, 4);
    let name = browser.eval(
        "[...document.querySelectorAll('.tile')].find((it) => it.querySelector('.sound:not([hidden])')).focus();
         press('m');
         return document.activeElement.getAttribute('aria-label');",
        Value::Null,
    );
    let tiles = wait_for(&mut browser, "sound is switched on", |tiles| {
        tiles.iter().any(|tile| number(tile, "soundPackets") > 0.0)
    });
    let sounding: Vec<_> = tiles.iter().filter(|tile| tile["muted"] == false).map(|it| &it["name"]).collect();
    assert_eq!(sounding, [&name]);
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
    let left: Vec<String> =
        tiles(&mut browser).iter().map(|tile| tile["name"].as_str().unwrap().to_owned()).collect();
    let left: Vec<_> = left.iter().map(|name| (name.as_str(), name.as_str())).collect();
    drop(wall);
    wait_for(&mut browser, "the loss is seen", |tiles| tiles.iter().all(|tile| tile["condition"] == "stale"));
    look_at_tiles(&mut browser, "camera_wall_lost.png", SAME, &left);
    let banner = browser.eval("return document.getElementById('banner').innerText;", Value::Null);
    assert!(banner.as_str().unwrap().contains("Reconnecting"), "{banner}");
    let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let (_wall, again) = start(&browser, &["--listen", &address]);
    assert_eq!(again, url);
    wait_until_all_advance(&mut browser, 3);
    assert_eq!(browser.eval("return kaon.connectionState;", Value::Null), "connected");
    let stills = "return document.querySelectorAll('.still:not([hidden])').length;";
    assert_eq!(browser.eval(stills, Value::Null), 0, "the pictures move again");
}
