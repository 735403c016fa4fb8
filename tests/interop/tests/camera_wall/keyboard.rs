use std::thread::sleep;
use std::time::Instant;

use kaon_interop::{Browser, Kind};
use serde_json::{Value, json};

use crate::wall::{LIMIT, POLL, by_name, number, open, tiles, wait_for};

/// Presses keys, and waits until the page has done what they are for.
fn press(browser: &mut Browser, keys: &[&str], what: &str, test: &str) {
    keys.iter().for_each(|key| browser.press(key));
    let began = Instant::now();
    while browser.eval(&format!("return {test};"), Value::Null) != true {
        let state = "return [document.activeElement.outerHTML.slice(0, 200), !!document.fullscreenElement,
                             kaon.cameras.map(({ name, muted }) => [name, muted])];";
        let state = browser.eval(state, Value::Null);
        assert!(began.elapsed() < LIMIT, "{} {keys:?}: {what}: {state}", browser.version);
        sleep(POLL);
    }
}

fn focused(browser: &mut Browser) -> String {
    let focused =
        "return document.activeElement.getAttribute('aria-label') ?? document.activeElement.tagName;";
    browser.eval(focused, Value::Null).as_str().unwrap().to_owned()
}

/// A wall with the keyboard alone, in both browsers.
#[test]
fn the_keyboard_does_everything() {
    for kind in [Kind::Chromium, Kind::Firefox] {
        let Some((mut browser, _wall, _)) = open(kind, &["--listen", "127.0.0.1:0"]) else { continue };
        wait_for(&mut browser, "two are decoded", |tiles| {
            tiles.len() == 4 && tiles.iter().filter(|tile| number(tile, "framesDecoded") > 5.0).count() >= 2
        });
        browser.eval(
            "globalThis.focused = () => document.activeElement.getAttribute('aria-label');
             globalThis.full = () => document.fullscreenElement?.getAttribute('aria-label') ?? null;
             globalThis.muted = (name) => kaon.cameras.find((camera) => camera.name === name)?.muted;",
            Value::Null,
        );
        let test = |name: &str, test: &str| test.replace('@', &format!("'{name}'"));

        press(&mut browser, &["ArrowRight"], "the first", "focused() === kaon.cameras[0].name");
        press(&mut browser, &["ArrowRight"], "the next", "focused() === kaon.cameras[1].name");
        let name = focused(&mut browser);
        assert_eq!(name, "Life", "it has sound");

        // Without a screen, Firefox does not give it.
        if kind == Kind::Chromium {
            full_screen_keeps_the_keyboard(&mut browser, &name);
        }
        let sounds = |muted: bool| format!("muted('{name}') === {muted}");
        press(&mut browser, &["m"], "sound", &sounds(false));
        press(&mut browser, &["m"], "no sound", &sounds(true));

        let before = tiles(&mut browser);
        if kind == Kind::Chromium {
            press(&mut browser, &["f"], "full screen", &test(&name, "full() === @"));
        }
        press(&mut browser, &["Delete"], "gone", "full() === null && kaon.cameras.length === 3");
        let next = before[2]["name"].as_str().unwrap();
        press(&mut browser, &[], "the neighbour", &test(next, "focused() === @"));

        // The menu has what is not on the wall.
        let offers = "[...document.querySelectorAll('#add-menu button')].map((it) => it.dataset.camera)";
        press(&mut browser, &["a"], "the menu", "!document.getElementById('add-menu').hidden");
        assert_eq!(browser.eval(&format!("return {offers};"), Value::Null), json!([name]));
        match kind {
            Kind::Chromium => browser.press("Enter"),
            // Without a screen, its buttons hear the key and do nothing.
            Kind::Firefox => drop(browser.eval("document.activeElement.click();", Value::Null)),
        }
        press(&mut browser, &[], "added", "kaon.cameras.length === 4");
        wait_for(&mut browser, "it plays", |tiles| {
            by_name(tiles, &name).is_some_and(|tile| number(tile, "framesDecoded") > 5.0)
        });
        press(&mut browser, &["a"], "the empty menu", "!document.getElementById('add-menu').hidden");
        let words = browser.eval("return document.getElementById('add-menu').textContent;", Value::Null);
        assert_eq!(words, "All cameras are on the wall.");
        press(&mut browser, &["Escape"], "closed", "document.getElementById('add-menu').hidden");
        assert_eq!(browser.eval("return document.activeElement.id;", Value::Null), "add");

        let shown = "document.querySelector('dl').checkVisibility()";
        press(&mut browser, &["n"], "no numbers", &format!("!{shown}"));
        press(&mut browser, &["n"], "numbers", shown);
        // Whatever can be clicked is reached one after the other.
        browser.eval("document.activeElement.blur();", Value::Null);
        let mut reached = Vec::new();
        for _ in 0..30 {
            browser.press("Tab");
            let (label, seen) = (focused(&mut browser), "return document.activeElement.tagName !== 'BODY';");
            if browser.eval(seen, Value::Null) == true {
                reached.push(label);
            }
        }
        for wanted in ["Sound of Life", "Life on the full screen", "Remove Life"] {
            assert!(reached.iter().any(|label| label == wanted), "{kind:?}: {wanted}: {reached:?}");
        }
    }
}

/// It has it there, and gives it back where it was.
fn full_screen_keeps_the_keyboard(browser: &mut Browser, name: &str) {
    let test = |test: &str| test.replace('@', &format!("'{name}'"));
    for round in 0..2 {
        press(browser, &["f"], "full screen", &test("full() === @"));
        press(browser, &["m"], "sound", &test(&format!("muted(@) === {}", round == 1)));
        press(browser, &["ArrowRight", "a", "n"], "nothing", &test("full() === @"));
        press(browser, &["f"], "back", &test("full() === null && focused() === @"));
    }
    press(browser, &["ArrowRight"], "the next", "focused() === kaon.cameras[2].name");
    press(browser, &["ArrowLeft"], "back again", &test("focused() === @"));
    // By its button, which is not to be seen in full screen.
    browser.eval("document.activeElement.querySelector('.full').focus();", Value::Null);
    press(browser, &["Enter"], "full screen", &test("full() === @ && focused() === @"));
    browser.eval("await document.exitFullscreen();", Value::Null);
    press(browser, &[], "left otherwise", &test("full() === null && focused() === @"));
}

/// axe-core finds nothing, whatever the page shows.
#[test]
fn nothing_on_the_page_is_a_barrier() {
    for kind in [Kind::Chromium, Kind::Firefox] {
        let Some((mut browser, wall, _)) = open(kind, &["--listen", "127.0.0.1:0"]) else { continue };
        wait_for(&mut browser, "tiles", |tiles| tiles.len() == 4);
        let state = |browser: &mut Browser, what: &str, script: &str| {
            browser.eval(script, Value::Null);
            // Colours that change on the way are those of neither.
            sleep(POLL * 3);
            if let Some(barriers) = browser.barriers() {
                assert!(barriers.is_empty(), "{kind:?}, {what}: {barriers:#?}");
            }
        };
        for scheme in ["light", "dark"] {
            let set = format!("document.documentElement.style.colorScheme = '{scheme}';");
            state(&mut browser, scheme, &set);
            state(&mut browser, "an empty menu", "document.getElementById('add').click();");
            state(&mut browser, "no numbers", "document.getElementById('numbers').click();");
            state(&mut browser, "numbers", "document.getElementById('numbers').click();");
        }
        let remove = "kaon.remove(kaon.cameras[0].tile); document.getElementById('add').click();
                      document.getElementById('add').click();";
        state(&mut browser, "a menu", remove);
        state(&mut browser, "an empty wall", "kaon.cameras.forEach(({ tile }) => kaon.remove(tile));");
        drop(wall);
        let began = Instant::now();
        while browser.eval("return kaon.connectionState;", Value::Null) != "lost" {
            assert!(began.elapsed() < LIMIT, "the loss is seen");
            sleep(POLL);
        }
        state(&mut browser, "without the server", "document.documentElement.style.colorScheme = 'light';");
    }
}
