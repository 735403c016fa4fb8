use std::path::Path;
use std::process::Stdio;

use kaon_interop::{Browser, Kind, Program, missing};
use serde_json::{Value, json};

use crate::pictures::{ALIKE, look_at_tiles};
use crate::wall::{
    by_name, number, open, start, tiles, wait_for, wait_until_all_advance, wait_until_they_advance,
};

/// What the tests above and below see of Chromium, as far as it can be decoded.
#[test]
fn firefox_watches_a_sender_adds_removes_and_comes_back() {
    if !is_installed("ffmpeg") {
        return;
    }
    const PORT_OFFSET: u16 = 200;
    let garden = moved("Garden=rtp://127.0.0.1:5008?codec=vp8", PORT_OFFSET);
    let arguments = ["--listen", "127.0.0.1:0", "--camera", &garden];
    let Some((mut browser, wall, url)) = open(Kind::Firefox, &arguments) else { return };
    let _sender = sender(&browser, &commands("ffmpeg", PORT_OFFSET)[2]);
    wait_until_they_advance(&mut browser, &["Life", "Aurora", "Garden"]);

    for name in ["Life", "Garden", "Aurora"] {
        let before = tiles(&mut browser);
        browser.eval("kaon.remove(args);", by_name(&before, name).unwrap()["tile"].clone());
        wait_for(&mut browser, "one is gone", |tiles| tiles.len() == 4 && by_name(tiles, name).is_none());
        browser.eval("kaon.add(args);", json!(name));
        wait_until_they_advance(&mut browser, &["Life", "Aurora", "Garden"]);
    }

    drop(wall);
    wait_for(&mut browser, "the loss is seen", |tiles| tiles.iter().all(|tile| tile["condition"] == "stale"));
    let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let (_wall, again) = start(&browser, &["--listen", &address, "--camera", &garden]);
    assert_eq!(again, url);
    wait_until_they_advance(&mut browser, &["Life", "Aurora", "Garden"]);
    assert_eq!(tiles(&mut browser).len(), 5);
}

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

/// The ports of the README's commands, moved for those that run at the same time.
fn moved(text: &str, by: u16) -> String {
    [5004, 5006, 5008]
        .iter()
        .fold(text.to_owned(), |text, port: &u16| text.replace(&port.to_string(), &(port + by).to_string()))
}

/// The commands of a section of the README.
fn commands(program: &str, port_offset: u16) -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/camera_wall/README.md");
    let text = std::fs::read_to_string(readme).unwrap().replace("\\\n", " ");
    // The one for a camera that speaks RTSP wants such a camera.
    let lines = text.lines().filter(|line| line.starts_with(program) && !line.contains("$RTSP"));
    lines.map(|line| moved(line, port_offset)).collect()
}

fn open_with_senders(program: &str, port_offset: u16) -> Option<(Browser, Program)> {
    if !is_installed(program) {
        return None;
    }
    let arguments = [
        "--listen=127.0.0.1:0",
        "--cameras=0",
        "--camera=Porch=rtp://127.0.0.1:5004?codec=h264",
        "--camera=Porch=rtp://127.0.0.1:5006?codec=opus",
        "--camera=Garden=rtp://127.0.0.1:5008?codec=vp8",
    ];
    let arguments = arguments.map(|argument| moved(argument, port_offset));
    let (browser, wall, _) = open(Kind::Chromium, &arguments.each_ref().map(String::as_str))?;
    Some((browser, wall))
}

fn wait_for_senders(browser: &mut Browser) {
    wait_until_all_advance(browser, 2);
    wait_for(browser, "sound arrives", |tiles| number(&tiles[0], "audioEnergy") > 0.001);
}

#[test]
fn ffmpeg_is_a_camera_that_may_stop_and_come_back() {
    let Some((mut browser, _wall)) = open_with_senders("ffmpeg", 0) else { return };
    let lines = commands("ffmpeg", 0);
    assert_eq!(lines.len(), 3);
    let mut senders: Vec<_> = lines.iter().map(|line| sender(&browser, line)).collect();
    wait_until_all_advance(&mut browser, 2);
    browser.eval("kaon.toggleSound(kaon.cameras[0].tile);", Value::Null);
    wait_for_senders(&mut browser);
    // Both send what the test card is made of.
    look_at_tiles(
        &mut browser,
        "camera_wall_rtp.png",
        ALIKE,
        &[("Porch", "Test card"), ("Garden", "Test card")],
    );

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
    let Some((mut browser, _wall)) = open_with_senders("gst-launch-1.0", 100) else { return };
    let lines = commands("gst-launch-1.0", 100);
    assert_eq!(lines.len(), 3);
    let _senders: Vec<_> = lines.iter().map(|line| sender(&browser, line)).collect();
    wait_until_all_advance(&mut browser, 2);
    browser.eval("kaon.toggleSound(kaon.cameras[0].tile);", Value::Null);
    wait_for_senders(&mut browser);
}
