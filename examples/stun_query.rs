//! Asks a STUN server under which address it sees this machine, over a UDP socket of `std`; or is such a server.
//!
//! ```text
//! cargo run --example stun_query -- stun.example.org:3478
//! ```
//!
//! Where none is at hand, in two terminals:
//!
//! ```text
//! cargo run --example stun_query -- --serve 127.0.0.1:3478
//! cargo run --example stun_query -- 127.0.0.1:3478
//! ```
//!
//! Prints the address. The exit code is 1 if there is no answer and 2 if it was called wrongly.

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

#[path = "command_line/mod.rs"]
mod command_line;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use command_line::{BadInput, Result};
use kaon_rtc::crypto::default_provider;
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::stun::{BindingClient, BindingConfig, BindingEvent, BindingServer};

const USAGE: &str = "usage: stun_query [--timeout SECONDS] HOST:PORT | stun_query --serve ADDRESS:PORT";

fn main() -> ExitCode {
    command_line::exit_code(run())
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (timeout, server) = match arguments[..] {
        ["--help" | "-h"] => {
            println!("{USAGE}");
            return Ok(());
        }
        ["--serve", address] => return serve(resolve(address)?),
        ["--timeout", seconds, server] => (seconds, server),
        [server] if !server.starts_with('-') => ("3", server),
        _ => return Err(BadInput(USAGE.into()).into()),
    };
    let seconds = timeout.parse().ok().filter(|seconds| (1..=600).contains(seconds));
    let seconds =
        seconds.ok_or_else(|| BadInput(format!("\"{timeout}\" is no number of seconds up to 600")))?;
    let address = resolve(server)?;
    eprintln!("asking {server} ({address}), for {seconds} s at most");
    println!("{}", query(address, Duration::from_secs(seconds))?);
    Ok(())
}

fn resolve(name: &str) -> Result<SocketAddr> {
    let bad = |reason: String| BadInput(format!("{name}: {reason}; {USAGE}"));
    let mut addresses = name.to_socket_addrs().map_err(|error| bad(error.to_string()))?;
    Ok(addresses.next().ok_or_else(|| bad("it has no address".to_owned()))?)
}

fn query(server: SocketAddr, timeout: Duration) -> Result<SocketAddr> {
    let socket = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(server)?;
    let path = FiveTuple::udp(socket.local_addr()?, server);
    let provider =
        default_provider().ok_or("no crypto provider: enable the feature aws-lc-rs or rust-crypto")?;
    let begin = Instant::now();
    let mut client = BindingClient::new(begin, &provider, path, BindingConfig::default());
    let mut batch = TransmitBatch::new(1200);
    let mut buffer = [0; 1500];
    while begin.elapsed() < timeout {
        let now = Instant::now();
        client.handle_timeout(now);
        while let Some(transmit) = client.poll_transmit(now, &mut batch) {
            for datagram in batch.datagrams(&transmit) {
                // What the socket refuses counts as lost: the request is sent again.
                let _ = socket.send(datagram);
            }
            batch.clear();
        }
        match client.poll_event() {
            Some(BindingEvent::Mapped(address)) => return Ok(address),
            Some(event) => return Err(format!("{server} gave no address: {event:?}").into()),
            None => {}
        }
        let due = client.poll_timeout().map_or(timeout, |due| due.saturating_duration_since(now));
        let wait = due.min(timeout.saturating_sub(begin.elapsed()));
        socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        match socket.recv(&mut buffer) {
            // A datagram that is no answer changes nothing.
            Ok(len) => drop(client.handle_datagram(Instant::now(), Datagram::new(path, &mut buffer[..len]))),
            // The machine answers that nobody has the port.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(format!(
                    "no STUN server listens at {server}; try another one, or start one there with \
                     `stun_query --serve ADDRESS:{}`",
                    server.port()
                )
                .into());
            }
            Err(_) => {}
        }
    }
    Err(format!(
        "{server} did not answer within {} s; is it a STUN server, and does the firewall let UDP through? Try another \
         one, or --timeout with more seconds",
        timeout.as_secs()
    )
    .into())
}

/// Answers whoever asks, until it is stopped.
fn serve(address: SocketAddr) -> Result<()> {
    let socket = UdpSocket::bind(address).map_err(|error| format!("cannot listen at {address}: {error}"))?;
    println!("answering at {}", socket.local_addr()?);
    let (mut server, mut batch, mut buffer) = (BindingServer::default(), TransmitBatch::new(1200), [0; 1500]);
    loop {
        let (len, remote) = socket.recv_from(&mut buffer)?;
        let (path, now) = (FiveTuple::udp(socket.local_addr()?, remote), Instant::now());
        // What is no request is not answered.
        let _ = server.handle_datagram(now, Datagram::new(path, &mut buffer[..len]));
        while let Some(transmit) = server.poll_transmit(now, &mut batch) {
            for datagram in batch.datagrams(&transmit) {
                // Who does not get the answer asks again.
                let _ = socket.send_to(datagram, remote);
            }
            batch.clear();
        }
    }
}
