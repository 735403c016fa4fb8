//! What an idle connection holds: the heap of one end, by an allocator that counts, for the implementations that can be
//! in this process (what their C libraries allocate is not seen); and resident memory per pair of connections,
//! for all, as processes of their own.
//!
//! ```text
//! cargo run --release --bin connection_memory
//! ```

use std::process::Command;
use std::time::{Duration, Instant};

use kaon_bench_peers::child::{self, Child};
use kaon_bench_peers::heap::Counting;
use kaon_bench_peers::link::{KaonLink, Str0mLink, Use, configs};
use kaon_bench_peers::pair::{Kaon, Pair, Webrtc, serve_by_name};
use serde_json::json;

#[global_allocator]
static HEAP: Counting = Counting::new();

/// Connections whose mean is told, after some that fill what all share.
const COUNT: usize = 20;
/// How long connections are idle in virtual time, and in real time where there are sockets: past the first heartbeat
/// of SCTP, at which what busier times needed is given back.
const IDLE: Duration = Duration::from_secs(60);
const IDLE_ON_SOCKETS: Duration = Duration::from_secs(40);
/// Pairs of a process whose resident memory is looked at.
const PAIRS: usize = 50;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [serve, name] = &*arguments
        && serve == "serve"
    {
        return serve_by_name(name);
    }
    println!("| heap of one end, KiB | data channel | one video |\n|---|---|---|");
    let configs = configs();
    let now = Instant::now();
    let [data, video] = [Use::Data, Use::ToClient].map(|purpose| {
        per_end(|number| {
            let mut link = KaonLink::new(now, number, &configs, purpose);
            link.idle(now + Duration::from_secs(5), IDLE);
            link.forget_buffers();
            link
        })
    });
    println!("| Kaon `Session` | {data:.1} | {video:.1} |");
    let [data, video] = [Use::Data, Use::ToClient].map(|purpose| {
        per_end(|number| {
            let mut link = Str0mLink::new(now, number, purpose);
            link.idle(now + Duration::from_secs(5), IDLE);
            link.forget_buffers();
            link
        })
    });
    println!("| str0m `Rtc` | {data:.1} | {video:.1} |");
    println!("| Kaon `PeerConnection`, each on a socket of its own | {:.1} | |", on_sockets::<Kaon>());
    println!("| webrtc 0.21 | {:.1} | |", on_sockets::<Webrtc>());

    println!("\n| resident, KiB for each pair | |\n|---|---|");
    for name in ["kaon", "webrtc 0.21", "webrtc 0.17", "pion", "libdatachannel", "libwebrtc"] {
        match resident(name) {
            Ok(bytes) => println!("| {name} | {:.0} |", bytes / 1024.0),
            Err(reason) => println!("skipped {name}: {reason}"),
        }
    }
}

/// KiB for each end of a connection.
fn per_end<L>(mut make: impl FnMut(usize) -> L) -> f64 {
    // The vector is not to be counted.
    let mut links = Vec::with_capacity(COUNT + 1);
    links.push(make(0));
    let before = HEAP.held();
    links.extend((1..=COUNT).map(make));
    (HEAP.held() - before) as f64 / 1024.0 / (2 * COUNT) as f64
}

fn on_sockets<P: Pair>() -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut pairs = Vec::with_capacity(COUNT + 1);
        pairs.push(P::connect().await);
        tokio::time::sleep(IDLE_ON_SOCKETS).await;
        let before = HEAP.held();
        for _ in 0..COUNT {
            pairs.push(P::connect().await);
        }
        tokio::time::sleep(IDLE_ON_SOCKETS).await;
        (HEAP.held() - before) as f64 / 1024.0 / (2 * COUNT) as f64
    })
}

fn resident(name: &str) -> Result<f64, String> {
    let command: Command = child::by_name(name)?;
    let mut child = Child::start(command).map_err(|error| error.to_string())?;
    let mut hold =
        |count: usize| child.ask(&json!({ "do": "hold", "count": count })).map(|_| child.resident());
    let before = hold(10).ok_or("it hung or ended")?;
    let after = hold(PAIRS).ok_or("it hung or ended")?;
    Ok(after.saturating_sub(before) as f64 / PAIRS as f64)
}
