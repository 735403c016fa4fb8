use kaon_interop::{Browser, Kind, Program, Thumbnail};
use serde_json::{Value, json};

use crate::wall::{LIMIT, artefact, picture_of, program, until};

fn start(browser: &mut Browser) -> (Program, String) {
    let command = &mut browser.neighbour(&program("whip_whep"));
    let hall = Program::start(command.args(["--listen", "localhost:0"]));
    let url = hall.next_line(LIMIT).trim_start_matches("WHIP and WHEP: ").to_owned();
    browser.resize(1200, 700);
    browser.open(&url);
    (hall, url)
}

#[test]
fn what_one_publishes_many_watch() {
    for kind in [Kind::Chromium, Kind::Firefox] {
        let Some(mut browser) = Browser::start(kind) else { continue };
        let (_hall, _) = start(&mut browser);
        let refused = browser.try_eval("await kaon.watch();", Value::Null).unwrap_err();
        assert!(refused.contains("nobody publishes yet"), "{refused}");

        let session = browser.eval("globalThis.p = await kaon.publish(); return p.session;", Value::Null);
        assert!(session.as_str().unwrap().starts_with("/session/"), "{session}");
        let refused = browser.try_eval("await kaon.publish();", Value::Null).unwrap_err();
        assert!(refused.contains("somebody publishes already"), "{refused}");
        let watch = "globalThis.v = [await kaon.watch(document.createElement('video')), await kaon.watch()];";
        browser.eval(watch, Value::Null);
        let all = "(await Promise.all(v.map(kaon.framesDecoded))).every((frames) => frames > 30)";
        until(&mut browser, "the picture", all);
        same_picture(&mut browser, kind);

        // One that comes late sees something at once: a key frame is asked for.
        browser.eval("v.push(await kaon.watch(document.createElement('video')));", Value::Null);
        until(&mut browser, "the late picture", "await kaon.framesDecoded(v[2]) > 10");
        let statuses = browser.eval(
            "const of = async (method, { session }) => (await fetch(session, { method })).status;
             return [await of('PATCH', v[0]), await of('DELETE', v[0]), await of('DELETE', v[0])];",
            Value::Null,
        );
        assert_eq!(statuses, json!([405, 200, 404]));
        let ended =
            |number: usize| format!("v[{number}].connection.getReceivers()[0].transport.state === 'closed'");
        until(&mut browser, "the viewer's end", &ended(0));
        browser.eval("await kaon.end(p);", Value::Null);
        until(&mut browser, "the end of what was published", &ended(1));
        // The place is free.
        browser.eval("await kaon.end(await kaon.publish());", Value::Null);
    }
}

/// What is watched is what is published, a little later.
fn same_picture(browser: &mut Browser, kind: Kind) {
    let path = artefact(&format!("whip_whep_{}.png", kind.name()));
    browser.screenshot(&path);
    let [own, watched] = ["own", "watched"].map(|id| picture_of(browser, &path, id));
    let (Some(own), Some(watched)) = (own, watched) else { return };
    assert!(own.distance(&Thumbnail::black()) > 20.0, "{kind:?}: the own picture is black");
    assert!(own.distance(&watched) < 25.0, "{kind:?}: what is watched is another picture");
}

#[test]
fn what_is_no_offer_is_refused() {
    let Some(mut browser) = Browser::start(Kind::Chromium) else { return };
    let (_hall, _) = start(&mut browser);
    let statuses = browser.eval(
        "const post = async (path, kind, body) =>
             (await fetch(path, { method: 'POST', headers: { 'content-type': kind }, body })).status;
         return [await post('/whip', 'text/plain', 'v=0'), await post('/whip', 'application/sdp', 'v=0'),
                 await post('/whip', 'application/sdp', 'v'.repeat(1 << 20)),
                 (await fetch('/whip')).status, (await fetch('/session/0', { method: 'DELETE' })).status];",
        Value::Null,
    );
    assert_eq!(statuses, json!([415, 400, 413, 405, 404]));
}
