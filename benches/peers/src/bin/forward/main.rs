//! What a server pays for a packet that it forwards: one publisher, and 1, 10 or 100 subscribers.
//!
//! In memory, without sockets: Kaon's `Session` beside str0m's `Rtc`. Counted is what the server's side does with
//! the publisher's packets and the subscribers' feedback, from encrypted datagram to encrypted datagrams. On
//! sockets: Kaon's `PeerConnection` on one `Endpoint` beside Pion, each as a process of its own that serves the same
//! clients; counted is all that the process does.
//!
//! ```text
//! cargo run --release --bin forward [ROUNDS]
//! ```

mod kaon;
mod str0m;

use std::time::{Duration, Instant};

use kaon_bench_peers::child::{self, Child};
use kaon_bench_peers::clients::Clients;
use kaon_bench_peers::{cpu_time_of, median, server};

use self::kaon::Kaon;
use self::str0m::Str0m;

/// How often a frame comes, and its packets.
const TICK: Duration = Duration::from_nanos(1_000_000_000 / 30);
const BURST: usize = 5;
/// With headers, header extensions and tag, about 1200 bytes of SRTP.
const PAYLOAD: usize = 1150;

/// A server with its clients, in virtual time.
trait Forwarder {
    fn new(now: Instant, subscribers: usize) -> Self;
    /// The publisher sends packets.
    fn publish(&mut self, now: Instant, packets: usize, payload: &[u8]);
    /// The server takes what has come and sends on what is to be sent on: this is measured.
    fn forward(&mut self);
    /// The subscribers take what has come, and answer; how many packets were forwarded.
    fn deliver(&mut self) -> usize;
}

/// Microseconds of CPU time for each packet that left.
fn run<F: Forwarder>(subscribers: usize) -> f64 {
    let bursts = (20_000 / BURST / subscribers).max(20);
    let mut now = Instant::now();
    let mut forwarder = F::new(now, subscribers);
    // What the handshakes take of the virtual time.
    now += Duration::from_secs(10);
    let payload = vec![7; PAYLOAD];
    let (mut cpu, mut forwarded) = (Duration::ZERO, 0);
    for number in 0..bursts + 10 {
        now += TICK;
        forwarder.publish(now, BURST, &payload);
        let used = cpu_time_of(|| forwarder.forward());
        let count = forwarder.deliver();
        // The first ones fill pools and caches.
        if number >= 10 {
            cpu += used;
            forwarded += count;
        }
    }
    let expected = bursts * BURST * subscribers;
    assert_eq!(forwarded, expected, "every packet is forwarded once");
    cpu.as_secs_f64() * 1e6 / forwarded as f64
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [serve, threads] = &*arguments
        && serve == "serve"
    {
        return server::serve(threads.parse().expect("a number of threads"));
    }
    let rounds = arguments.first().map_or(3, |text| text.parse().expect("a number of rounds"));
    in_memory(rounds);
    on_sockets(rounds);
}

fn in_memory(rounds: usize) {
    println!("In memory, CPU microseconds for each packet that leaves:\n");
    println!("| subscribers | Kaon | str0m | str0m to Kaon |\n|---|---|---|---|");
    for subscribers in [1, 10, 100] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(run::<Kaon>(subscribers));
            theirs.push(run::<Str0m>(subscribers));
        }
        let (ours, theirs) = (median(&mut ours), median(&mut theirs));
        println!("| {subscribers} | {ours:.2} | {theirs:.2} | {:.2} |", theirs / ours);
    }
}

/// How long packets were forwarded before it is measured, and for how long it is.
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(2);

fn on_sockets(rounds: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    println!("\nOn sockets, CPU microseconds for each packet that arrived at a subscriber:\n");
    println!("| subscribers | Kaon | Kaon, one thread | Pion | Pion to Kaon |\n|---|---|---|---|---|");
    for subscribers in [1, 10, 100] {
        let mut costs = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (at, costs) in costs.iter_mut().enumerate() {
                let command = match at {
                    0 => Ok(child::itself(&["serve", "2"])),
                    1 => Ok(child::itself(&["serve", "1"])),
                    _ => child::pion(),
                };
                let started =
                    command.and_then(|command| Child::start(command).map_err(|error| error.to_string()));
                match started.map(|mut child| runtime.block_on(serve(&mut child, subscribers))) {
                    Ok(Some(cost)) => costs.push(cost),
                    Ok(None) => println!("a server hung or ended"),
                    Err(reason) => println!("skipped Pion: {reason}"),
                }
            }
        }
        let [kaon, one, pion] = costs.each_mut().map(|costs| median(costs));
        println!("| {subscribers} | {kaon:.1} | {one:.1} | {pion:.1} | {:.2} |", pion / kaon);
    }
}

/// Microseconds of CPU time of the server for each packet that arrived.
async fn serve(child: &mut Child, subscribers: usize) -> Option<f64> {
    let mut clients = Clients::default();
    for _ in 0..subscribers {
        clients.subscribe(child).await?;
    }
    clients.publish(child, TICK, BURST, PAYLOAD).await?;
    tokio::time::sleep(WARM_UP).await;
    let (used, received) = (child.cpu_time(), clients.received());
    tokio::time::sleep(MEASURED).await;
    let used = child.cpu_time() - used;
    Some(used.as_secs_f64() * 1e6 / (clients.received() - received) as f64)
}
