//! Whole connections over the loopback interface: how long they take to set up, and what a byte over a data channel
//! costs. Each implementation is a process of its own that holds both ends; the processes take turns, and the kernel
//! says what CPU time each has used.
//!
//! ```text
//! cargo run --release --bin connection [ROUNDS [NAME ...]]
//! ```

use std::process::Command;

use kaon_bench_peers::child::{self, Child};
use kaon_bench_peers::pair::{Kaon, Str0m, Webrtc, Webrtc017, serve};
use kaon_bench_peers::{median, quantile};
use serde_json::json;

const NAMES: [&str; 8] = [
    "kaon",
    "kaon, one thread",
    "str0m",
    "webrtc 0.21",
    "webrtc 0.17",
    "pion",
    "libdatachannel",
    "libwebrtc",
];
/// The last is what some implementations take at most.
const SIZES: [usize; 3] = [1 << 10, 16 << 10, (64 << 10) - 1];
/// Pairs that are set up in a round.
const PAIRS: usize = 10;
/// How long one transfer is to take, about: long beside the clock and short beside what the machine's others do.
const SECONDS: f64 = 0.3;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("serve") => return answer(&arguments[1]),
        Some("set_up" | "send") => return profile(&arguments),
        _ => {}
    }
    let rounds = arguments.first().map_or(7, |text| text.parse().expect("a number of rounds"));
    let is_wanted = |name: &&str| arguments.len() < 2 || arguments[1..].iter().any(|wanted| wanted == name);
    let mut peers: Vec<_> = NAMES.into_iter().filter(is_wanted).filter_map(Peer::start).collect();
    for _ in 0..rounds {
        for peer in &mut peers {
            peer.set_up();
        }
    }
    for size in 0..SIZES.len() {
        for _ in 0..rounds {
            for peer in &mut peers {
                peer.send(size);
            }
        }
    }
    print(&mut peers);
}

/// What a process of one implementation does.
fn answer(name: &str) {
    match name {
        "kaon" => serve::<Kaon>(2),
        "kaon, one thread" => serve::<Kaon>(1),
        "str0m" => serve::<Str0m>(1),
        "webrtc 0.21" => serve::<Webrtc>(2),
        "webrtc 0.17" => serve::<Webrtc017>(2),
        name => panic!("{name} is no implementation in Rust"),
    }
}

/// `send SIZE COUNT` and `set_up COUNT` run Kaon alone on one thread, for a profiler.
fn profile(arguments: &[String]) {
    use kaon_bench_peers::pair::Pair;
    let number = |at: usize| arguments[at].parse::<usize>().expect("a number");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        match arguments[0].as_str() {
            "send" => Kaon::connect().await.send(number(1), number(2)).await,
            _ => {
                for _ in 0..number(1) {
                    Kaon::connect().await.close().await;
                }
            }
        }
    });
}

fn command(name: &str) -> Result<Command, String> {
    match name {
        "pion" => child::pion(),
        "libdatachannel" => child::node("libdatachannel", "node-datachannel"),
        "libwebrtc" => child::node("wrtc", "@roamhq/wrtc"),
        name => Ok(child::itself(&["serve", name])),
    }
}

struct Peer {
    name: &'static str,
    /// `None` once it has hung or ended.
    child: Option<Child>,
    set_up_milliseconds: Vec<f64>,
    set_up_cpu: Vec<f64>,
    /// Of each size.
    megabytes_per_second: [Vec<f64>; SIZES.len()],
    cpu_per_gigabyte: [Vec<f64>; SIZES.len()],
}

impl Peer {
    fn start(name: &'static str) -> Option<Self> {
        let started =
            command(name).and_then(|command| Child::start(command).map_err(|error| error.to_string()));
        let child = started.inspect_err(|reason| println!("skipped {name}: {reason}")).ok()?;
        Some(Self {
            name,
            child: Some(child),
            set_up_milliseconds: Vec::new(),
            set_up_cpu: Vec::new(),
            megabytes_per_second: Default::default(),
            cpu_per_gigabyte: Default::default(),
        })
    }

    fn ask(&mut self, request: &serde_json::Value) -> Option<(serde_json::Value, f64)> {
        let answer = self.child.as_mut()?.ask(request);
        if answer.is_none() {
            println!("{} hung or ended at {request}", self.name);
            self.child = None;
        }
        answer.map(|(answer, cpu)| (answer, cpu.as_secs_f64()))
    }

    fn set_up(&mut self) {
        let Some((answer, cpu)) = self.ask(&json!({ "do": "set_up", "count": PAIRS })) else { return };
        let milliseconds = answer["milliseconds"].as_array().expect("a time for each pair");
        self.set_up_milliseconds.extend(milliseconds.iter().filter_map(serde_json::Value::as_f64));
        self.set_up_cpu.push(cpu * 1e3 / PAIRS as f64);
    }

    fn send(&mut self, at: usize) {
        let size = SIZES[at];
        // At first as much as the slowest does; then by what was measured.
        let speed = self.megabytes_per_second[at].last().copied().unwrap_or(10.0);
        let count = ((speed * 1e6 * SECONDS) as usize / size).max(8);
        let Some((answer, cpu)) = self.ask(&json!({ "do": "send", "size": size, "count": count })) else {
            return;
        };
        let bytes = (size * count) as f64;
        self.megabytes_per_second[at].push(bytes / 1e6 / answer["seconds"].as_f64().expect("a time"));
        self.cpu_per_gigabyte[at].push(cpu / (bytes / 1e9));
    }
}

fn print(peers: &mut [Peer]) {
    println!("\n| | set-up ms: median | 95 % | worst | CPU ms | to Kaon |\n|---|---|---|---|---|---|");
    let mut first = f64::NAN;
    for peer in &mut *peers {
        let cpu = median(&mut peer.set_up_cpu);
        if first.is_nan() {
            first = cpu;
        }
        let times = &mut peer.set_up_milliseconds;
        let [middle, high, worst] = [0.5, 0.95, 1.0].map(|share| quantile(times, share));
        println!("| {} | {middle:.1} | {high:.1} | {worst:.0} | {cpu:.2} | {:.2} |", peer.name, cpu / first);
    }
    for (at, size) in SIZES.into_iter().enumerate() {
        println!(
            "\n| {} KiB | MB/s | CPU s per GB | least | most | to Kaon |\n|---|---|---|---|---|---|",
            size >> 10
        );
        let mut first = f64::NAN;
        for peer in &mut *peers {
            let speed = median(&mut peer.megabytes_per_second[at]);
            let costs = &mut peer.cpu_per_gigabyte[at];
            let [least, cpu, most] = [0.0, 0.5, 1.0].map(|share| quantile(costs, share));
            if first.is_nan() {
                first = cpu;
            }
            println!(
                "| {} | {speed:.0} | {cpu:.2} | {least:.2} | {most:.2} | {:.2} |",
                peer.name,
                cpu / first
            );
        }
    }
}
