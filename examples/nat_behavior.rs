//! Finds out what the NATs on the way to a STUN server do (RFC 5780), and says it in words: how mappings are made, what is
//! filtered, and whether two sockets behind them reach each other by the addresses outside. Or is such a server.
//!
//! ```text
//! cargo run --features net --example nat_behavior -- stun:stun.example.org
//! ```
//!
//! The server needs two addresses (OTHER-ADDRESS); of one that has no more than one it says what can be told. Where none is
//! at hand, in two terminals:
//!
//! ```text
//! cargo run --features net --example nat_behavior -- --serve 127.0.0.1:3478 127.0.0.2:3479
//! cargo run --features net --example nat_behavior -- stun:127.0.0.1
//! ```
//!
//! It takes ten seconds where something is filtered, for silence is the answer then. The exit code is 1 if the server does
//! not answer and 2 if it was called wrongly.

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

#[path = "command_line/mod.rs"]
mod command_line;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use command_line::{BadInput, Result};
use kaon_rtc::crypto::{CryptoProvider, default_provider};
use kaon_rtc::layer::{Layer, TransmitBatch};
use kaon_rtc::net::{ReceiveBatch, Sockets, UdpSocket};
use kaon_rtc::stun::discovery::{
    DiscoveryClient, DiscoveryConfig, DiscoveryEvent, DiscoveryServer, DiscoveryServerConfig,
    FilteringBehavior, MappingBehavior, NatReport, Undetermined,
};
use kaon_rtc::stun::{BindingFailure, ServerHost, ServerTransport, ServerUrl};

const USAGE: &str =
    "usage: nat_behavior stun:HOST[:PORT] | nat_behavior --serve ADDRESS:PORT OTHER-ADDRESS:OTHER-PORT";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    command_line::exit_code(run().await)
}

async fn run() -> Result<()> {
    let provider =
        default_provider().ok_or("no crypto provider: enable the feature aws-lc-rs or rust-crypto")?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--help" | "-h"] => println!("{USAGE}"),
        ["--serve", primary, other] => serve(&provider, parse(primary)?, parse(other)?).await?,
        [url] if !url.starts_with('-') => {
            let server = resolve(url)?;
            eprintln!("asking {url} ({server})");
            print(&examine(&provider, server).await?);
        }
        _ => return Err(BadInput(USAGE.into()).into()),
    }
    Ok(())
}

fn parse(address: &str) -> Result<SocketAddr> {
    address.parse().map_err(|_| BadInput(format!("\"{address}\" is no ADDRESS:PORT; {USAGE}")).into())
}

/// The address of the server, an IPv4 one if there is any: it is there that NATs are.
fn resolve(url: &str) -> Result<SocketAddr> {
    let server: ServerUrl = url.parse().map_err(|error| BadInput(format!("{error}")))?;
    if server.transport() != ServerTransport::Udp {
        return Err(
            BadInput(format!("{url}: NATs are examined over UDP; write stun:{}", server.host())).into()
        );
    }
    let bad = |reason: String| BadInput(format!("{url}: {reason}"));
    let addresses: Vec<SocketAddr> = match server.host() {
        ServerHost::Ip(ip) => vec![(*ip, server.port()).into()],
        ServerHost::Name(name) => {
            let resolved = (name.as_str(), server.port()).to_socket_addrs();
            resolved.map_err(|error| bad(error.to_string()))?.collect()
        }
    };
    let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    Ok(*address.ok_or_else(|| bad("it has no address".to_owned()))?)
}

/// The address of this machine that datagrams to the server leave from.
fn local_ip(server: SocketAddr) -> Result<IpAddr> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.connect(server).map_err(|error| format!("there is no way to {server}: {error}"))?;
    Ok(socket.local_addr()?.ip())
}

async fn examine(provider: &CryptoProvider, server: SocketAddr) -> Result<NatReport> {
    let ip = local_ip(server)?;
    let (mut sockets, mut addresses) = (Sockets::default(), [(ip, 0).into(); 2]);
    for address in &mut addresses {
        let socket = UdpSocket::bind(*address)?;
        *address = socket.local_addr();
        sockets.add_udp(socket);
    }
    let client =
        DiscoveryClient::new(Instant::now(), provider, addresses, server, DiscoveryConfig::default());
    let mut client = client.map_err(|error| BadInput(error.to_string()))?;
    match drive(&sockets, &mut client).await? {
        DiscoveryEvent::Finished(report) => Ok(report),
        DiscoveryEvent::Failed(BindingFailure::TimedOut) => Err(format!(
            "{server} does not answer; is it a STUN server, and does the firewall let UDP through?"
        )
        .into()),
        DiscoveryEvent::Failed(BindingFailure::Refused(code, reason)) => {
            Err(format!("{server} refuses: {} {reason}", code.number()).into())
        }
        failed => Err(format!("{server} gave no address: {failed:?}").into()),
    }
}

/// Answers whoever asks, until it is stopped.
async fn serve(provider: &CryptoProvider, primary: SocketAddr, other: SocketAddr) -> Result<()> {
    let config = DiscoveryServerConfig::default();
    let server = DiscoveryServer::new(Instant::now(), provider, primary, other, config);
    let mut server = server.map_err(|error| BadInput(error.to_string()))?;
    let mut sockets = Sockets::default();
    for address in server.addresses() {
        sockets.add_udp(UdpSocket::bind(address)?);
    }
    println!("answering at {:?}", server.addresses());
    match drive(&sockets, &mut server).await? {}
}

/// Runs a layer over all of the sockets until it has an event.
async fn drive<L: Layer>(sockets: &Sockets, layer: &mut L) -> Result<L::Event> {
    let (mut out, mut received) = (TransmitBatch::new(1200), ReceiveBatch::new(4));
    loop {
        let now = Instant::now();
        layer.handle_timeout(now);
        while let Some(transmit) = layer.poll_transmit(now, &mut out) {
            // What a socket does not take counts as lost: who wants it asks again.
            let _ = sockets.try_send(&out, &transmit);
            out.clear();
        }
        if let Some(event) = layer.poll_event() {
            return Ok(event);
        }
        let idle = Duration::from_secs(3600);
        let wait = layer.poll_timeout().map_or(idle, |due| due.saturating_duration_since(now));
        // The time is up, or there is something to read.
        if let Ok(result) = tokio::time::timeout(wait, sockets.recv(&mut received)).await {
            result?;
            for datagram in received.datagrams() {
                // What belongs to no question changes nothing.
                let _ = layer.handle_datagram(Instant::now(), datagram);
            }
        }
    }
}

fn print(report: &NatReport) {
    println!("local address:  {}", report.local);
    println!("mapped address: {}", report.mapped);
    let mapping = report.mapping.as_ref().map(|mapping| match mapping {
        MappingBehavior::NoNat => "there is no NAT",
        MappingBehavior::EndpointIndependent => {
            "endpoint-independent: every peer sees the same address, and direct connections are likely"
        }
        MappingBehavior::AddressDependent => {
            "address-dependent: peers at other addresses see another port, and some need a relay"
        }
        MappingBehavior::AddressAndPortDependent => {
            "address and port-dependent (symmetric): every peer sees another port, and many need a relay"
        }
    });
    println!("mapping:        {}", in_words(mapping));
    let filtering = report.filtering.as_ref().map(|filtering| match filtering {
        FilteringBehavior::EndpointIndependent => "endpoint-independent: datagrams come in from everywhere",
        FilteringBehavior::AddressDependent => {
            "address-dependent: datagrams come in from addresses that were sent to"
        }
        FilteringBehavior::AddressAndPortDependent => {
            "address and port-dependent: datagrams come in from addresses and ports that were sent to"
        }
    });
    println!("filtering:      {}", in_words(filtering));
    let hairpinning = report.hairpinning.as_ref().map(|works| match works {
        true => "works: sockets inside reach each other by their mapped addresses",
        false => "does not work: sockets inside do not reach each other by their mapped addresses",
    });
    let hairpinning = match hairpinning {
        Err(Undetermined::NoNat) => "there is no NAT".to_owned(),
        hairpinning => in_words(hairpinning),
    };
    println!("hairpinning:    {hairpinning}");
}

fn in_words<E: std::fmt::Display>(result: std::result::Result<&str, E>) -> String {
    match result {
        Ok(words) => words.to_owned(),
        Err(why) => format!("not known: {why}"),
    }
}
