use kaon_interop::{Browser, Kind, Program, Thumbnail};
use serde_json::Value;

use crate::wall::{LIMIT, artefact, picture_of, program, until};

#[test]
fn what_is_sent_to_echo_comes_back() {
    for kind in [Kind::Chromium, Kind::Firefox] {
        let Some(mut browser) = Browser::start(kind) else { continue };
        let echo = Program::start(browser.neighbour(&program("echo")).args(["--listen", "127.0.0.1:0"]));
        let line = echo.next_line(LIMIT);
        browser.resize(1200, 900);
        browser.open(line.trim_start_matches("Echo: "));
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
        let [own, returned] = ["own", "returned"].map(|id| picture_of(&mut browser, &path, id));
        let (Some(own), Some(returned)) = (own, returned) else { return };
        assert!(own.distance(&Thumbnail::black()) > 20.0, "{kind:?}: the own picture is black");
        assert!(own.distance(&returned) < 20.0, "{kind:?}: what came back is another picture");
    }
}
