//! Asks a STUN server under which address it sees this machine, over a UDP socket of `std`.
//!
//! ```text
//! cargo run --example stun_query -- 127.0.0.1:3478
//! ```
//!
//! Prints the address. The exit code is 1 if there is no answer and 2 if it was called wrongly.

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kaon_rtc::crypto::default_provider;
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::stun::{BindingClient, BindingConfig, BindingEvent};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server] = &arguments[..] else {
        eprintln!("usage: stun_query HOST:PORT");
        return ExitCode::from(2);
    };
    let server = match server.to_socket_addrs().map(|mut addresses| addresses.next()) {
        Ok(Some(address)) => address,
        Ok(None) => return usage_error(&format!("{server} has no address")),
        Err(error) => return usage_error(&format!("{server}: {error}")),
    };
    match query(server) {
        Ok(address) => {
            println!("{address}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{server}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage_error(what: &str) -> ExitCode {
    eprintln!("{what}\nusage: stun_query HOST:PORT");
    ExitCode::from(2)
}

fn query(server: SocketAddr) -> Result<SocketAddr, Box<dyn Error>> {
    let socket = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(server)?;
    let path = FiveTuple::udp(socket.local_addr()?, server);
    let provider =
        default_provider().ok_or("no crypto provider: enable the feature aws-lc-rs or rust-crypto")?;
    let mut client = BindingClient::new(Instant::now(), &provider, path, BindingConfig::default());
    let mut batch = TransmitBatch::new(1200);
    let mut buffer = [0; 1500];
    loop {
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
            Some(event) => return Err(format!("no address: {event:?}").into()),
            None => {}
        }
        let due = client.poll_timeout().unwrap_or(now);
        socket.set_read_timeout(Some(due.saturating_duration_since(now).max(Duration::from_millis(1))))?;
        if let Ok(len) = socket.recv(&mut buffer) {
            // A datagram that is no answer changes nothing.
            let _ = client.handle_datagram(Instant::now(), Datagram::new(path, &mut buffer[..len]));
        }
    }
}
