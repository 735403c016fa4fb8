//! What the program says when it starts, and when it cannot: one line, and exit code 2.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_turn_server"))
}

fn complaint(arguments: &[&str]) -> String {
    let output = program().args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn bad_options_and_files_are_one_line() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let user = ["--user", "kaon:secret"];
    for (arguments, why) in [
        (&[][..], "nobody could use it"),
        (&["--user", "kaon"], "NAME:PASSWORD"),
        (&["--users", "/no/such/file"], "/no/such/file"),
        (&["--listen", "here"], "here"),
        (&["--allow-peer", "10.0.0.0/99"], "10.0.0.0/99"),
        (&["--port-range", "9-1"], "9-1"),
        (&["--external-address", "0.0.0.0"], "0.0.0.0"),
        (&["--listen", &address], &address),
        (&["--certificate", "/nowhere", "--key", "/nowhere"], "/nowhere"),
        (&["--certificate", "/nowhere"], "--key"),
        (&["--listen-tls", "127.0.0.1:0"], "--certificate"),
    ] {
        let with_user: Vec<&str> = if why.starts_with("nobody") { vec![] } else { user.to_vec() };
        let text = complaint(&[&with_user[..], arguments].concat());
        assert!(text.contains(why), "{text}");
        assert!(!text.contains("kaon:secret"), "{text}");
    }
    let file = std::env::temp_dir().join(format!("kaon-users-{}", std::process::id()));
    for (text, line) in [("# users\nalice:secret\n:nobody\n", "line 3"), ("bob:0x12", "line 1")] {
        std::fs::write(&file, text).unwrap();
        assert!(complaint(&["--users", file.to_str().unwrap()]).contains(line));
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_relay_is_there_in_a_second_and_tells_what_it_counts() {
    let metrics = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let arguments = ["--user", "kaon:secret", "--listen", "127.0.0.1:0", "--metrics", &metrics.to_string()];
    let mut relay = program().args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(relay.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address =
        line.split(' ').find_map(|word| word.trim_end_matches(',').parse::<std::net::SocketAddr>().ok());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.send_to(b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl", address.unwrap()).unwrap();
    let answered = socket.recv(&mut [0; 100]);
    let mut text = String::new();
    let mut stream = TcpStream::connect(metrics).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n").unwrap();
    stream.read_to_string(&mut text).unwrap();
    relay.kill().unwrap();
    relay.wait().unwrap();
    assert_eq!(answered.unwrap(), 32);
    assert!(text.contains("\nturn_bindings_total 1\n"), "{text}");
}
