//! What a relay pays: CPU time for each packet and for each allocation, memory for each allocation that is idle.
//!
//! Kaon's `TurnServer`, coturn (`turnserver`) and pion/turn, each as a process of its own on one core, serve the same
//! clients, which are this process, on another core, and so does the floor, which is the system calls alone (`bare`). They take turns. Clients and peers have a window of packets on the
//! way in each direction, so that a relay always has something to do and never more than its buffers hold.
//!
//! ```text
//! cargo run --release [ROUNDS [NAME ...]]
//! cargo run --release set-up [ROUNDS]         # how long a connection by a relay takes to be there
//! ```

mod bare;
mod client;
mod far;
mod load;
mod process;
mod relays;
mod set_up;

use std::net::SocketAddr;

use self::load::{Burst, Load};
use self::relays::{NAMES, Relay};

/// Where clients come to, where the relay has its ports, and where peers are.
const SERVER: &str = "127.0.0.1:3499";
const RELAY: &str = "127.0.0.2";
const PEER: &str = "127.0.0.3:0";

const REALM: &str = "kaon";
const USER: &str = "kaon";
const PASSWORD: &str = "secret";

/// Allocations that are made and left alone.
const IDLE: usize = 10_000;

fn server() -> SocketAddr {
    SERVER.parse().expect("an address")
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "serve") {
        return relays::serve();
    }
    if arguments.first().is_some_and(|first| first == "serve-bare") {
        return bare::serve();
    }
    if arguments.first().is_some_and(|first| first == "set-up") {
        return set_up::measure(arguments.get(1).map_or(9, |text| text.parse().expect("a number of rounds")));
    }
    let rounds = arguments.first().map_or(3, |text| text.parse().expect("a number of rounds"));
    let chosen: Vec<&str> = match arguments.get(1..) {
        Some([]) | None => NAMES.to_vec(),
        Some(names) => names.iter().map(String::as_str).collect(),
    };
    process::raise_limit_of_files();
    process::pin(0, 1);
    println!("Packets per CPU second of the relay, both directions together:\n");
    println!("| bytes | allocations | packets come | {} |", chosen.join(" | "));
    println!("|---|---|---|{}", "---|".repeat(chosen.len()));
    for (size, allocations, burst) in [
        (172, 1, Burst::Single),
        (1200, 1, Burst::Single),
        (172, 1000, Burst::Single),
        (1200, 1000, Burst::Single),
        (1200, 1000, Burst::Frame),
        (172, 1, Burst::Run),
        (1200, 1, Burst::Run),
    ] {
        let how = match burst {
            Burst::Single => "one by one",
            Burst::Frame => "in frames of 8, one by one",
            Burst::Run => "in runs",
        };
        row(&format!("| {size} | {allocations} | {how} |"), rounds, &chosen, |relay| {
            // The floor takes datagrams one by one.
            let is_known = !(relay.is_bare && burst == Burst::Run);
            if is_known {
                Load::new(allocations, size, burst).packets_per_cpu_second(relay)
            } else {
                f64::NAN
            }
        });
    }
    let chosen: Vec<&str> = chosen.into_iter().filter(|name| *name != "bare").collect();
    println!("\nAllocations per CPU second of the relay, from the first request to the grant:\n");
    println!("| | {} |\n|---|{}", chosen.join(" | "), "---|".repeat(chosen.len()));
    let mut resident = vec![Vec::new(); chosen.len()];
    let mut at = 0;
    row("| |", rounds, &chosen, |relay| {
        let (rate, bytes) = load::allocate(relay, IDLE);
        resident[at % chosen.len()].push(bytes);
        at += 1;
        rate
    });
    println!("\nResident bytes for each of {IDLE} idle allocations:\n");
    println!("| | {} |\n|---|{}", chosen.join(" | "), "---|".repeat(chosen.len()));
    let medians: Vec<_> = resident.iter_mut().map(|values| format!("{:.0}", median(values))).collect();
    println!("| | {} |", medians.join(" | "));
}

/// Prints the median of each relay, and what Kaon's is to it.
fn row(head: &str, rounds: usize, chosen: &[&str], mut measure: impl FnMut(&mut Relay) -> f64) {
    let mut results = vec![Vec::new(); chosen.len()];
    for _ in 0..rounds {
        for (name, results) in chosen.iter().zip(&mut results) {
            match Relay::start(name) {
                Ok(mut relay) => results.push(measure(&mut relay)),
                Err(reason) => eprintln!("skipped {name}: {reason}"),
            }
        }
    }
    let medians: Vec<f64> = results.iter_mut().map(|values| median(values)).collect();
    let ours = medians.first().copied().unwrap_or(f64::NAN);
    let cells = medians.iter().map(|it| format!(" {it:.0} ({:.2}) |", ours / it)).collect::<String>();
    println!("{head}{cells}");
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
