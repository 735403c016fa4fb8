//! What a server pays for a hundred connections that each receive a video of 720p30 at about 1.5 Mbit/s from one
//! source. Kaon and Pion are each a process of their own that serves the same clients; counted is all that the
//! process does, as CPU seconds per second, and its resident memory for each connection.
//!
//! ```text
//! cargo run --release --bin receivers [ROUNDS]
//! ```

use std::time::{Duration, Instant};

use kaon_bench_peers::child::{self, Child};
use kaon_bench_peers::clients::Clients;
use kaon_bench_peers::{median, server};
use serde_json::json;

const RECEIVERS: usize = 100;
/// How long the stream has run before it is measured, and for how long it is.
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(5);

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [serve, threads] = &*arguments
        && serve == "serve"
    {
        return server::serve(threads.parse().expect("a number of threads"));
    }
    let rounds = arguments.first().map_or(3, |text| text.parse().expect("a number of rounds"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let names = ["kaon", "kaon, one thread", "pion"];
    let mut results = names.map(|_| <[Vec<f64>; 3]>::default());
    for _ in 0..rounds {
        for (name, figures) in names.into_iter().zip(&mut results) {
            let command = match name {
                "kaon" => Ok(child::itself(&["serve", "2"])),
                "kaon, one thread" => Ok(child::itself(&["serve", "1"])),
                _ => child::pion(),
            };
            let started =
                command.and_then(|command| Child::start(command).map_err(|error| error.to_string()));
            match started {
                Ok(mut child) => match runtime.block_on(run(&mut child)) {
                    Some(run) => {
                        figures.iter_mut().zip(run).for_each(|(figures, figure)| figures.push(figure))
                    }
                    None => println!("{name} hung or ended"),
                },
                Err(reason) => println!("skipped {name}: {reason}"),
            }
        }
    }
    println!(
        "| {RECEIVERS} receivers | CPU seconds per second | to Kaon | of the packets arrived | KiB each | to Kaon |\n\
         |---|---|---|---|---|---|"
    );
    let medians = results.map(|figures| figures.map(|mut figures| median(&mut figures)));
    let [first_cpu, _, first_memory] = medians[0];
    for (name, [cpu, share, memory]) in names.into_iter().zip(medians) {
        println!(
            "| {name} | {cpu:.3} | {:.2} | {:.1} % | {memory:.0} | {:.1} |",
            cpu / first_cpu,
            share * 100.0,
            memory / first_memory
        );
    }
}

/// The CPU seconds per second of the server, the share of its packets that arrived, and KiB for each connection.
async fn run(child: &mut Child) -> Option<[f64; 3]> {
    let mut clients = Clients::default();
    // What all connections share is there after the first.
    clients.subscribe(child).await?;
    let empty = child.resident();
    for _ in 1..RECEIVERS {
        clients.subscribe(child).await?;
    }
    child.ask(&json!({ "do": "source" }))?;
    tokio::time::sleep(WARM_UP).await;
    let (begin, used, received) = (Instant::now(), child.cpu_time(), clients.received());
    tokio::time::sleep(MEASURED).await;
    let seconds = begin.elapsed().as_secs_f64();
    let used = (child.cpu_time() - used).as_secs_f64() / seconds;
    let rate = (clients.received() - received) as f64 / seconds;
    let memory = child.resident().saturating_sub(empty) as f64 / 1024.0 / (RECEIVERS - 1) as f64;
    Some([used, rate / (RECEIVERS * server::FRAME_RATE * server::PACKETS) as f64, memory])
}
