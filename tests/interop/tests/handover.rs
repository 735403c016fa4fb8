//! A peer with two interfaces loses, in a call, the one that it talks over: it goes on by the other without a restart and
//! without anything lost. How long nothing came is printed:
//!
//! ```text
//! cargo test --package kaon-interop --test handover -- --nocapture
//! ```

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use kaon_interop::{Delivery, Network, Program, Steady, missing};
use kaon_rtc::net::InterfaceFilter;
use kaon_rtc::peer_connection::{Description, Endpoint, PeerConnection};
use serde_json::{Value, json};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);
const INTERFACES: [&str; 2] = ["veth0", "veth1"];

/// A network with two interfaces, and the addresses of both ends of each.
fn two_ways(network: &Network) -> Result<[[IpAddr; 2]; 2], String> {
    Ok([[network.host, network.inside], network.join(INTERFACES[1])?])
}

/// The one that stays where it is, and does not see what becomes of the other's interfaces.
async fn settled(ways: [[IpAddr; 2]; 2]) -> PeerConnection {
    let hosts = ways.map(|[host, _]| host);
    let filter = InterfaceFilter::default().with_accept(move |address| hosts.contains(&address.ip));
    let socket = Endpoint::builder().address("0.0.0.0:0".parse().unwrap());
    let socket = socket.interfaces(filter).follow_interfaces(false);
    PeerConnection::builder().socket(socket).build().await.unwrap()
}

/// Which of the ways the connection uses.
fn way(kaon: &PeerConnection, ways: [[IpAddr; 2]; 2]) -> usize {
    let remote = kaon.selected_pair().unwrap().path.remote.ip();
    ways.iter().position(|[_, inside]| *inside == remote).unwrap()
}

async fn describe(kaon: &PeerConnection) -> Value {
    kaon.set_local_description(None).unwrap();
    timeout(LONG, kaon.gathering_complete()).await.unwrap();
    let description = kaon.local_description().unwrap();
    json!({ "type": description.kind.name(), "sdp": description.text() })
}

fn accept(kaon: &PeerConnection, description: &Value) {
    let text = description["sdp"].as_str().unwrap();
    let description = match description["type"] == "offer" {
        true => Description::offer(text),
        false => Description::answer(text),
    };
    kaon.set_remote_description(&description.unwrap()).unwrap();
}

/// A Kaon with interfaces that come and go.
struct Mover(Program);

impl Mover {
    fn start(network: &Network, role: &str) -> Self {
        Self(Program::start(network.command(Path::new(env!("CARGO_BIN_EXE_moving_peer"))).arg(role)))
    }

    fn description(&self) -> Value {
        loop {
            let line: Value = serde_json::from_str(&self.0.next_line(LONG)).unwrap();
            if line["sdp"].is_string() {
                return line;
            }
        }
    }

    /// What came to it, when all has.
    fn delivery(&mut self) -> Delivery {
        loop {
            let line: Value = serde_json::from_str(&self.0.next_line(LONG)).unwrap();
            if let (Some(count), Some(gap)) = (line["count"].as_u64(), line["gap"].as_f64()) {
                return Delivery { count, longest_gap: Duration::from_secs_f64(gap) };
            }
        }
    }
}

async fn a_kaon_moves(mover_offers: bool) {
    let made = Network::new().and_then(|network| Ok((two_ways(&network)?, network)));
    let (ways, network) = match made {
        Ok(made) => made,
        Err(why) => return missing("two interfaces", &why),
    };
    let kaon = settled(ways).await;
    let channel = kaon.create_data_channel(Steady::channel()).unwrap();
    let mut mover = Mover::start(&network, if mover_offers { "offer" } else { "answer" });
    if mover_offers {
        accept(&kaon, &mover.description());
        mover.0.tell(&describe(&kaon).await.to_string());
    } else {
        mover.0.tell(&describe(&kaon).await.to_string());
        accept(&kaon, &mover.description());
    }
    timeout(LONG, channel.opened()).await.unwrap().unwrap();
    let steady = Steady::start(channel);
    steady.more(200).await;
    let before = way(&kaon, ways);
    network.set_up(INTERFACES[before], false).unwrap();
    steady.more(200).await;
    assert_ne!(way(&kaon, ways), before);
    mover.0.tell(&json!({ "do": "finish" }).to_string());
    let here = steady.finish().await;
    let there = mover.delivery();
    println!(
        "Kaon moves, {}: {here:?} here, {there:?} there",
        if mover_offers { "controlling" } else { "controlled" }
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controlling_kaon_moves() {
    a_kaon_moves(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controlled_kaon_moves() {
    a_kaon_moves(false).await;
}
