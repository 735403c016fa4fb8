//! What the program says when it cannot start: one line, and exit code 2.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

fn complaint(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_camera_wall")).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn a_busy_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(complaint(&["--listen", &address]).contains(&address));
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let camera = format!("Door=rtp://127.0.0.1:{port}?codec=vp8");
    assert!(complaint(&["--listen", "127.0.0.1:0", "--camera", &camera]).contains("cannot receive Door"));
}

#[test]
fn the_version_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_camera_wall")).arg("--version").output().unwrap();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim(),
        concat!("camera_wall ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_name_is_listened_on_and_every_url_is_told() {
    for (listen, host) in [("localhost:0", "127.0.0.1"), ("0.0.0.0:0", "127.0.0.1")] {
        let mut wall = Command::new(env!("CARGO_BIN_EXE_camera_wall"));
        let mut wall = wall.args(["--listen", listen]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(wall.stdout.take().unwrap()).read_line(&mut line).unwrap();
        wall.kill().unwrap();
        wall.wait().unwrap();
        assert!(line.contains(&format!(" http://{host}:")), "{line}");
    }
}

#[test]
fn bad_options_are_named() {
    for (arguments, expected) in [
        (&["--camera", "Door=rtp://127.0.0.1:5004?codec=av1"][..], "av1 is not supported"),
        (&["--camera", "Door=http://127.0.0.1:5004?codec=vp8"], "rtp://"),
        (&["--camera", "Door"], "NAME="),
        (&["--cameras", "many"], "many"),
        (&["--cameras", "201"], "201"),
        (&["--port-range", "9-1"], "9 to 1"),
        (&["--listen", "here"], "here"),
        (&["--nonsense"], "--nonsense"),
        (&["--listen=127.0.0.1:0", "--camera=Life=rtp://127.0.0.1:0?codec=vp8"], "port 0"),
        (
            &["--listen=127.0.0.1:0", "--camera=Life=rtp://127.0.0.1:15004?codec=vp8"],
            "two cameras of the name Life",
        ),
    ] {
        let said = complaint(arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
