//! DTLS by itself over a UDP socket: a server for many clients, or a client. Each line of standard
//! input is sent, and what arrives is printed.
//!
//! Both print their fingerprint; given the other's, they check it, as WebRTC does. With each other:
//!
//! ```text
//! cargo run --features net --example dtls_only -- server 127.0.0.1:4433
//! cargo run --features net --example dtls_only -- client 127.0.0.1:4433 "sha-256 AB:CD:..."
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
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use kaon_rtc::crypto::default_provider;
use kaon_rtc::dtls::{
    Config, Connection, DtlsEvent, DtlsTransport, FingerprintAlgorithm, Identity, Listener, ListenerConfig,
    ListenerEvent, PeerVerification,
};
use kaon_rtc::layer::FiveTuple;
use kaon_rtc::net::{Driver, UdpSocket};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let usage = "usage: dtls_only server|client ADDRESS [FINGERPRINT]";
    let [_, role, address, fingerprint @ ..] = &arguments[..] else { return Err(usage.into()) };
    let address: SocketAddr = address.parse()?;

    let provider =
        default_provider().ok_or("no crypto provider: enable the feature aws-lc-rs or rust-crypto")?;
    let identity = Identity::generate(&provider)?;
    println!("a=fingerprint:{}", identity.fingerprint(FingerprintAlgorithm::Sha256));
    let config = Arc::new(Config::new(provider, identity));
    let verification = match fingerprint.first() {
        Some(fingerprint) => PeerVerification::Fingerprints(vec![fingerprint.parse()?]),
        None => PeerVerification::AcceptAny,
    };
    match role.as_str() {
        "server" => serve(address, Listener::new(config, verification, ListenerConfig::default())?).await,
        "client" => connect(address, Connection::client(config, verification)?).await,
        _ => Err(usage.into()),
    }
}

async fn connect(remote: SocketAddr, connection: Connection) -> Result<(), Box<dyn Error>> {
    let any: IpAddr = if remote.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
    let mut driver = Driver::connected(UdpSocket::bind((any, 0).into())?, connection, remote);
    let mut lines = lines();
    loop {
        tokio::select! {
            event = driver.next_event() => match event? {
                DtlsEvent::Connected { srtp_profile } => println!("connected, SRTP profile {srtp_profile:?}"),
                DtlsEvent::ApplicationData(data) => print!("{}", String::from_utf8_lossy(&data)),
                DtlsEvent::Failed(error) => return Err(error.into()),
                _ => return Ok(()),
            },
            Some(line) = lines.recv(), if driver.layer().is_connected() => {
                let mut record = Vec::new();
                driver.layer_mut().seal(line.as_bytes(), &mut record)?;
                let path = FiveTuple::udp(driver.socket().local_addr(), remote);
                driver.socket().send_datagram(&path, &record).await?;
            }
        }
    }
}

async fn serve(local: SocketAddr, listener: Listener) -> Result<(), Box<dyn Error>> {
    let mut driver = Driver::new(UdpSocket::bind(local)?, listener);
    let mut lines = lines();
    let mut clients: Vec<FiveTuple> = Vec::new();
    loop {
        tokio::select! {
            event = driver.next_event() => {
                let ListenerEvent { path, event } = event?;
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
            Some(line) = lines.recv() => {
                for path in &clients {
                    let mut record = Vec::new();
                    if let Some(connection) = driver.layer_mut().connection_mut(path) {
                        connection.seal(line.as_bytes(), &mut record)?;
                        driver.socket().send_datagram(path, &record).await?;
                    }
                }
            }
        }
    }
}

/// The lines of standard input, which only a thread can wait for.
fn lines() -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line + "\n").is_err() {
                return;
            }
        }
    });
    receiver
}
