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
//! A client gives up after ten seconds without an answer; `--timeout SECONDS` in front says otherwise. At the end of
//! the input the client closes its connection. The exit code is 2 if it was called wrongly.
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

#[path = "command_line/mod.rs"]
mod command_line;

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use command_line::{BadInput, Result};

use kaon_rtc::crypto::default_provider;
use kaon_rtc::dtls::{
    Config, Connection, DtlsError, DtlsEvent, DtlsTransport, FingerprintAlgorithm, Identity, Listener,
    ListenerConfig, ListenerEvent, PeerVerification,
};
use kaon_rtc::layer::FiveTuple;
use kaon_rtc::net::{Driver, UdpSocket};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const USAGE: &str = "usage: dtls_only [--timeout SECONDS] server|client ADDRESS:PORT [FINGERPRINT]";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    command_line::exit_code(run().await)
}

/// What the command line asks for.
struct Options {
    timeout: Duration,
    is_server: bool,
    address: SocketAddr,
    verification: PeerVerification,
}

/// `None` if only help was asked for.
fn options() -> Result<Option<Options>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--help" | "-h"] = arguments[..] {
        println!("{USAGE}");
        return Ok(None);
    }
    let mut timeout = Duration::from_secs(10);
    if let ["--timeout", seconds, ..] = arguments[..] {
        let bad = |_| BadInput(format!("\"{seconds}\" is no number of seconds"));
        timeout = Duration::from_secs(u64::from(seconds.parse::<u16>().map_err(bad)?));
        arguments.drain(..2);
    }
    let [role @ ("server" | "client"), address, fingerprint @ ..] = &arguments[..] else {
        return Err(BadInput(USAGE.into()).into());
    };
    let address =
        address.parse().map_err(|_| BadInput(format!("\"{address}\" is no address with a port")))?;
    let verification = match fingerprint {
        [] => PeerVerification::AcceptAny,
        [fingerprint] => {
            let bad = |error| BadInput(format!("\"{fingerprint}\" is no fingerprint: {error}"));
            PeerVerification::Fingerprints(vec![fingerprint.parse().map_err(bad)?])
        }
        _ => return Err(BadInput(format!("quote the fingerprint, which has a space in it; {USAGE}")).into()),
    };
    Ok(Some(Options { timeout, is_server: *role == "server", address, verification }))
}

async fn run() -> Result<()> {
    let Some(Options { timeout, is_server, address, verification }) = options()? else { return Ok(()) };
    let provider =
        default_provider().ok_or("no crypto provider: enable the feature aws-lc-rs or rust-crypto")?;
    let identity = Identity::generate(&provider)?;
    println!("a=fingerprint:{}", identity.fingerprint(FingerprintAlgorithm::Sha256));
    if matches!(verification, PeerVerification::AcceptAny) {
        eprintln!("without the fingerprint of the other side, any certificate is taken");
    }
    let mut config = Config::new(provider, identity);
    config.handshake_timeout = timeout;
    let config = Arc::new(config);
    match is_server {
        true => serve(address, Listener::new(config, verification, ListenerConfig::default())?).await,
        false => connect(address, Connection::client(config, verification)?).await,
    }
}

async fn connect(remote: SocketAddr, connection: Connection) -> Result<()> {
    let any: IpAddr = if remote.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
    let mut driver = Driver::connected(UdpSocket::bind((any, 0).into())?, connection, remote);
    eprintln!("connecting to {remote}");
    let mut lines = lines();
    loop {
        tokio::select! {
            event = driver.next_event() => match event? {
                DtlsEvent::Connected { srtp_profile } => println!("connected, SRTP profile {srtp_profile:?}"),
                DtlsEvent::ApplicationData(data) => print!("{}", String::from_utf8_lossy(&data)),
                DtlsEvent::Failed(DtlsError::TimedOut) => {
                    return Err(format!("{remote} does not answer; does a DTLS server listen there?").into());
                }
                DtlsEvent::Failed(error) => return Err(error.into()),
                _ => {
                    println!("closed");
                    return Ok(());
                }
            },
            line = lines.recv(), if driver.layer().is_connected() => match line {
                Some(line) => {
                    let mut record = Vec::new();
                    driver.layer_mut().seal(line.as_bytes(), &mut record)?;
                    let path = FiveTuple::udp(driver.socket().local_addr(), remote);
                    driver.socket().send_datagram(&path, &record).await?;
                }
                None => {
                    driver.layer_mut().close(Instant::now());
                    driver.flush().await?;
                    println!("closed");
                    return Ok(());
                }
            }
        }
    }
}

async fn serve(local: SocketAddr, listener: Listener) -> Result<()> {
    let mut driver = Driver::new(UdpSocket::bind(local)?, listener);
    eprintln!("listening at {}", driver.socket().local_addr());
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
        for line in std::io::stdin().lines().map_while(std::result::Result::ok) {
            if sender.send(line + "\n").is_err() {
                return;
            }
        }
    });
    receiver
}
