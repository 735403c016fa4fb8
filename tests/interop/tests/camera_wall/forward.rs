use kaon_interop::{Browser, Kind, Program};
use serde_json::Value;

use crate::wall::{LIMIT, program, until};

#[test]
fn what_one_publishes_goes_to_everyone() {
    for kind in [Kind::Chromium, Kind::Firefox] {
        let Some(mut browser) = Browser::start(kind) else { continue };
        let forward =
            Program::start(browser.neighbour(&program("forward")).args(["--listen", "127.0.0.1:0"]));
        browser.open(forward.next_line(LIMIT).trim_start_matches("Forward: "));
        let refused = browser.try_eval("await kaon.watch();", Value::Null).unwrap_err();
        assert!(refused.contains("nobody publishes yet"), "{refused}");

        let watch = "globalThis.p = await kaon.publish();
             globalThis.decoded = async (connection) => [...(await connection.getStats()).values()]
                 .find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video')?.framesDecoded ?? 0;
             globalThis.v = await Promise.all([kaon.watch(), kaon.watch(document.createElement('video'))]);";
        browser.eval(watch, Value::Null);
        let all = "(await Promise.all(v.map(decoded))).every((frames) => frames > 30)";
        until(&mut browser, "the picture", all);
        // One that comes late sees something at once: a key frame is asked for.
        browser.eval("v.push(await kaon.watch(document.createElement('video')));", Value::Null);
        until(&mut browser, "the late picture", "await decoded(v[2]) > 10");
        // Who leaves takes nothing from the others.
        browser.eval("v[0].close(); globalThis.before = await decoded(v[1]);", Value::Null);
        until(&mut browser, "what the others see", "await decoded(v[1]) > before + 30");
        browser.eval("p.close();", Value::Null);
        let ended = "[1, 2].every((one) => v[one].getReceivers()[0].transport.state === 'closed')";
        until(&mut browser, "the end of what was published", ended);
        // The next one finds the place free, and those who watch now see it.
        let next = "globalThis.p = await kaon.publish(); globalThis.v = [await kaon.watch()];";
        browser.eval(next, Value::Null);
        until(&mut browser, "the next picture", "await decoded(v[0]) > 10");
    }
}

#[test]
fn what_is_no_offer_is_refused() {
    let Some(mut browser) = Browser::start(Kind::Chromium) else { return };
    let forward = Program::start(browser.neighbour(&program("forward")).args(["--listen", "127.0.0.1:0"]));
    browser.open(forward.next_line(LIMIT).trim_start_matches("Forward: "));
    let post = "const response = await fetch('/publish', { method: 'POST', body: 'v=0' });
         return `${response.status} ${await response.text()}`;";
    let refused = browser.eval(post, Value::Null);
    assert!(refused.as_str().unwrap().starts_with("400 "), "{refused}");
}
