//! How long two peers take that reach each other by a relay alone, on a path of 50 ms to it: from nothing to a connection and
//! to an open data channel, with candidates told as they are found and signalling that takes no time. The relay is Kaon's.

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use kaon_rtc::peer_connection::{
    ConnectionState, IceServer, PeerConnection, PeerConnectionEvent, TransportPolicy,
};

use crate::far::{ROUND_TRIP, in_front_of};
use crate::{PASSWORD, USER, median, relays};

/// The longest that one may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Seconds until both are connected, and until the channel is open.
type Times = (f64, f64);

pub fn measure(rounds: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let server = relays::bind();
        let far = in_front_of(server.udp_addrs()[0]).await.expect("sockets");
        let url = format!("turn:{far}?transport=udp");
        let mut kaon = Vec::new();
        for _ in 0..rounds {
            let times = tokio::time::timeout(PATIENCE, of_kaon(&url)).await;
            kaon.push(times.expect("it connects").expect("it connects"));
        }
        println!("| | connected, ms | round trips | channel open, ms | round trips |\n|---|---|---|---|---|");
        tell("kaon", &kaon);
        match tokio::task::spawn_blocking(move || of_pion(&url, rounds)).await.expect("it ends") {
            Ok(pion) => tell("pion", &pion),
            Err(error) => eprintln!("skipped pion: {error}"),
        }
    });
}

fn tell(name: &str, times: &[Times]) {
    let [connected, open] = [|it: &Times| it.0, |it: &Times| it.1].map(|part| {
        let seconds = median(&mut times.iter().map(part).collect::<Vec<_>>());
        format!("{:.0} | {:.1}", seconds * 1e3, seconds / ROUND_TRIP.as_secs_f64())
    });
    println!("| {name} | {connected} | {open} |");
}

async fn of_kaon(url: &str) -> Result<Times, Box<dyn std::error::Error>> {
    let begin = Instant::now();
    let server = IceServer::new(url).with_credentials(USER, PASSWORD);
    let behind = PeerConnection::builder().loopback(true).ice_servers([server]);
    let behind = behind.ice_transport_policy(TransportPolicy::Relay);
    let (alice, bob) = (behind.clone().build().await?, behind.build().await?);
    let chat = alice.create_data_channel("chat")?;
    alice.set_local_description(None)?;
    bob.set_remote_description(&alice.local_description().ok_or("an offer")?)?;
    bob.set_local_description(None)?;
    alice.set_remote_description(&bob.local_description().ok_or("an answer")?)?;
    let connected = async { tokio::try_join!(until_connected(&alice, &bob), until_connected(&bob, &alice)) };
    let connected = async { connected.await.map(|_| begin.elapsed()) };
    let opened =
        async { chat.opened().await.map(|()| begin.elapsed()).map_err(Box::<dyn std::error::Error>::from) };
    let (connected, opened) = tokio::try_join!(connected, opened)?;
    alice.close();
    bob.close();
    Ok((connected.as_secs_f64(), opened.as_secs_f64()))
}

async fn until_connected(
    here: &PeerConnection,
    there: &PeerConnection,
) -> Result<(), Box<dyn std::error::Error>> {
    while let Some(event) = here.next_event().await {
        match event {
            PeerConnectionEvent::IceCandidate(candidate) => there.add_ice_candidate(&candidate)?,
            PeerConnectionEvent::ConnectionState { state: ConnectionState::Connected, .. } => return Ok(()),
            _ => {}
        }
    }
    Err("it has ended".into())
}

/// A line for each, of both times in milliseconds.
fn of_pion(url: &str, rounds: usize) -> io::Result<Vec<Times>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/pion");
    let built = Command::new("go").args(["build", "-o", "peer", "."]).current_dir(folder).status()?;
    if !built.success() {
        return Err(io::Error::other("go build failed"));
    }
    let program = Command::new(format!("{folder}/peer"))
        .args(["connect", url, USER, PASSWORD, &rounds.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&program.stdout);
    let times = text.lines().filter_map(|line| line.split_once(' ')).filter_map(|(connected, open)| {
        Some((connected.parse::<f64>().ok()? / 1e3, open.parse::<f64>().ok()? / 1e3))
    });
    let times: Vec<_> = times.collect();
    match times.len() == rounds {
        true => Ok(times),
        false => Err(io::Error::other(String::from_utf8_lossy(&program.stderr).into_owned())),
    }
}
