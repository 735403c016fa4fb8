//! An SCTP association over UDP between two processes, with nothing but the standard library's sockets: an SCTP
//! packet in each datagram (RFC 6951).
//!
//! ```text
//! cargo run --example sctp_only -- listen 127.0.0.1:7000
//! cargo run --example sctp_only -- connect 127.0.0.1:7000
//! ```
//!
//! The one that connects sends each line that it reads from its standard input; the other sends it back. At the
//! end of the input the association is shut down, once all has come back. Without an answer it gives up after ten
//! seconds; `--timeout SECONDS` in front says otherwise. The exit code is 2 if it was called wrongly.

#![allow(clippy::print_stdout)] // It talks to a terminal.

#[path = "command_line/mod.rs"]
mod command_line;

use std::io::BufRead;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use command_line::{BadInput, Result};
use kaon_rtc::crypto::default_provider;
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::sctp::{
    Association, Config, PayloadProtocol, SctpClose, SctpEvent, SctpTransport, SendOptions, StreamId,
};

const USAGE: &str = "usage: sctp_only [--timeout SECONDS] listen|connect ADDRESS:PORT";

fn main() -> ExitCode {
    command_line::exit_code(start())
}

fn start() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--help" | "-h"] = arguments[..] {
        println!("{USAGE}");
        return Ok(());
    }
    let mut timeout = Duration::from_secs(10);
    if let ["--timeout", seconds, ..] = arguments[..] {
        let bad = |_| BadInput(format!("\"{seconds}\" is no number of seconds"));
        timeout = Duration::from_secs(u64::from(seconds.parse::<u16>().map_err(bad)?));
        arguments.drain(..2);
    }
    let [role @ ("listen" | "connect"), address] = arguments[..] else {
        return Err(BadInput(USAGE.into()).into());
    };
    let bad = |_| BadInput(format!("\"{address}\" is no address with a port"));
    let address: SocketAddr = address.parse().map_err(bad)?;
    let provider =
        default_provider().ok_or("no crypto provider: enable the feature aws-lc-rs or rust-crypto")?;
    let mut association = Association::new(Config::default(), &provider);
    if role == "listen" {
        let socket = UdpSocket::bind(address)?;
        eprintln!("listening at {}", socket.local_addr()?);
        // The first to send is the peer; its packet is left for the association to read.
        let (_, peer) = socket.peek_from(&mut [0])?;
        socket.connect(peer)?;
        run(&mut association, &socket, None, timeout)
    } else {
        let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.connect(address)?;
        eprintln!("connecting to {address}");
        association.connect(Instant::now());
        run(&mut association, &socket, Some(input_lines()), timeout)
    }
}

/// Runs the association until it ends: sends the lines of `input`, or sends back what it receives.
fn run(
    association: &mut Association,
    socket: &UdpSocket,
    input: Option<Receiver<String>>,
    timeout: Duration,
) -> Result<()> {
    let begin = Instant::now();
    let (mut was_established, mut awaited) = (false, 0);
    let path = FiveTuple::udp(socket.local_addr()?, socket.peer_addr()?);
    let mut batch = TransmitBatch::new(1200);
    let mut buffer = [0; 2048];
    loop {
        let now = Instant::now();
        association.handle_timeout(now);
        while let Some(event) = association.poll_event() {
            match event {
                SctpEvent::Closed(reason) => {
                    flush(association, socket, &mut batch);
                    println!("closed: {reason:?}");
                    return match reason {
                        SctpClose::Shutdown => Ok(()),
                        reason => Err(format!("the association has failed: {reason:?}").into()),
                    };
                }
                SctpEvent::Established { .. } => {
                    was_established = true;
                    println!("established");
                }
                _ => {}
            }
        }
        while let Some(message) = association.receive() {
            println!("{}", String::from_utf8_lossy(&message.payload));
            if input.is_some() {
                awaited -= 1;
            } else {
                let options = SendOptions::default();
                association.send(now, message.stream, message.protocol, message.payload, options)?;
            }
        }
        if let Some(lines) = input.as_ref().filter(|_| association.is_established()) {
            match lines.try_recv() {
                Ok(line) => {
                    let options = SendOptions::default();
                    association.send(now, StreamId(0), PayloadProtocol::STRING, line.into(), options)?;
                    awaited += 1;
                }
                Err(TryRecvError::Disconnected) if awaited == 0 => association.shutdown(now),
                Err(_) => {}
            }
        }
        flush(association, socket, &mut batch);
        if !was_established && begin.elapsed() > timeout {
            return Err(format!("{} does not answer; does `sctp_only listen` run there?", path.remote).into());
        }

        // Wait for a packet, the next timeout, or a look at the input.
        let timeout = association.poll_timeout().map(|at| at.saturating_duration_since(now));
        let wait =
            timeout.unwrap_or(Duration::MAX).clamp(Duration::from_millis(1), Duration::from_millis(50));
        socket.set_read_timeout(Some(wait))?;
        if let Ok(length) = socket.recv(&mut buffer) {
            // A packet that the association does not want changes nothing.
            let _ = association.handle_datagram(Instant::now(), Datagram::new(path, &mut buffer[..length]));
        }
    }
}

fn flush(association: &mut Association, socket: &UdpSocket, batch: &mut TransmitBatch) {
    while let Some(transmit) = association.poll_transmit(Instant::now(), batch) {
        for datagram in batch.datagrams(&transmit) {
            // What the socket refuses is lost, and sent again later.
            let _ = socket.send(datagram);
        }
        batch.clear();
    }
}

fn input_lines() -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(std::result::Result::ok);
        // An end of the receiver is the end of the program.
        lines.filter(|line| !line.is_empty()).try_for_each(|line| sender.send(line))
    });
    lines
}
