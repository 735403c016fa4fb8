//! DTLS by itself over a UDP socket of `std`: a server for many clients, or a client. Each line of standard
//! input is sent, and what arrives is printed.
//!
//! Both print their fingerprint; given the other's, they check it, as WebRTC does. With each other:
//!
//! ```text
//! cargo run --example dtls_only -- server 127.0.0.1:4433
//! cargo run --example dtls_only -- client 127.0.0.1:4433 "sha-256 AB:CD:..."
//! ```
//!
//! With the `openssl` command, in either role (the first line makes a certificate):
//!
//! ```text
//! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=me -keyout k.pem -out c.pem
//! openssl s_client -dtls1_2 -connect 127.0.0.1:4433 -cert c.pem -key k.pem
//! openssl s_server -dtls1_2 -accept 127.0.0.1:4433 -cert c.pem -key k.pem -Verify 1
//! openssl x509 -in c.pem -noout -fingerprint -sha256
//! ```

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use kaon_rtc::crypto::aws_lc_rs;
use kaon_rtc::dtls::{
    Config, Connection, DtlsError, DtlsEvent, DtlsTransport, FingerprintAlgorithm, Identity, Listener,
    ListenerConfig, ListenerEvent, PeerVerification,
};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let usage = "usage: dtls_only server|client ADDRESS [FINGERPRINT]";
    let [_, role, address, fingerprint @ ..] = &arguments[..] else { return Err(usage.into()) };
    let address: SocketAddr = address.parse()?;

    let provider = aws_lc_rs::provider();
    let identity = Identity::generate(&provider)?;
    println!("a=fingerprint:{}", identity.fingerprint(FingerprintAlgorithm::Sha256));
    let config = Arc::new(Config::new(provider, identity));
    let verification = match fingerprint.first() {
        Some(fingerprint) => PeerVerification::Fingerprints(vec![fingerprint.parse()?]),
        None => PeerVerification::AcceptAny,
    };
    match role.as_str() {
        "server" => serve(address, Listener::new(config, verification, ListenerConfig::default())?),
        "client" => connect(address, Connection::client(config, verification)?),
        _ => Err(usage.into()),
    }
}

fn connect(remote: SocketAddr, mut connection: Connection) -> Result<(), Box<dyn Error>> {
    let local = if remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let mut socket = Socket::bind(local.parse()?)?;
    let lines = lines();
    loop {
        socket.exchange(&mut connection, remote)?;
        while let Some(event) = connection.poll_event() {
            match event {
                DtlsEvent::Connected { srtp_profile } => println!("connected, SRTP profile {srtp_profile:?}"),
                DtlsEvent::ApplicationData(data) => print!("{}", String::from_utf8_lossy(&data)),
                DtlsEvent::Failed(error) => return Err(error.into()),
                _ => return Ok(()),
            }
        }
        while let Some(line) = connection.is_connected().then(|| lines.try_recv().ok()).flatten() {
            let mut record = Vec::new();
            connection.seal(line.as_bytes(), &mut record)?;
            socket.udp.send_to(&record, remote)?;
        }
    }
}

fn serve(local: SocketAddr, mut listener: Listener) -> Result<(), Box<dyn Error>> {
    let mut socket = Socket::bind(local)?;
    let lines = lines();
    let mut clients: Vec<FiveTuple> = Vec::new();
    loop {
        socket.exchange(&mut listener, local)?;
        while let Some(ListenerEvent { path, event }) = listener.poll_event() {
            match event {
                DtlsEvent::Connected { srtp_profile } => {
                    println!("{} connected, SRTP profile {srtp_profile:?}", path.remote);
                    clients.push(path);
                }
                DtlsEvent::ApplicationData(data) => {
                    print!("{}: {}", path.remote, String::from_utf8_lossy(&data));
                }
                other => {
                    println!("{}: {other:?}", path.remote);
                    clients.retain(|client| *client != path);
                }
            }
        }
        while let Ok(line) = lines.try_recv() {
            for path in &clients {
                let mut record = Vec::new();
                if let Some(connection) = listener.connection_mut(path) {
                    connection.seal(line.as_bytes(), &mut record)?;
                    socket.udp.send_to(&record, path.remote)?;
                }
            }
        }
    }
}

/// A UDP socket and the buffers around it.
struct Socket {
    udp: UdpSocket,
    batch: TransmitBatch,
    buffer: Vec<u8>,
}

impl Socket {
    fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let udp = UdpSocket::bind(address)?;
        Ok(Self { udp, batch: TransmitBatch::new(1200), buffer: vec![0; 2048] })
    }

    /// Sends what the layer has to send, and waits for a datagram, a timeout or a moment.
    fn exchange<E>(
        &mut self,
        layer: &mut dyn Layer<Event = E, Error = DtlsError>,
        remote: SocketAddr,
    ) -> std::io::Result<()> {
        while let Some(transmit) = layer.poll_transmit(Instant::now(), &mut self.batch) {
            let to = transmit.path.map_or(remote, |path| path.remote);
            for datagram in self.batch.datagrams(&transmit) {
                self.udp.send_to(datagram, to)?;
            }
            self.batch.clear();
        }
        let due = layer.poll_timeout().map(|due| due.saturating_duration_since(Instant::now()));
        let moment = Duration::from_millis(20);
        self.udp.set_read_timeout(Some(due.unwrap_or(moment).clamp(Duration::from_millis(1), moment)))?;
        if let Ok((len, from)) = self.udp.recv_from(&mut self.buffer) {
            let path = FiveTuple::udp(self.udp.local_addr()?, from);
            // What is ignored is counted; what ends a connection comes as an event as well.
            layer.handle_datagram(Instant::now(), Datagram::new(path, &mut self.buffer[..len])).ok();
        }
        layer.handle_timeout(Instant::now());
        Ok(())
    }
}

/// The lines of standard input.
fn lines() -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line + "\n").is_err() {
                return;
            }
        }
    });
    receiver
}
