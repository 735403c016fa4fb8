//! Two connected peers in one process, each on a UDP socket of the loopback interface, with a data channel between
//! them.

mod kaon;
mod str0m;
mod webrtc;
mod webrtc_017;

use std::io::BufRead;
use std::time::Instant;

use serde_json::{Value, json};

pub use self::kaon::Kaon;
pub use self::str0m::Str0m;
pub use self::webrtc::Webrtc;
pub use self::webrtc_017::Webrtc017;

/// A pair of one implementation.
pub trait Pair: Sized {
    /// Makes both peers and returns when the channel is open at the one who offered it.
    fn connect() -> impl Future<Output = Self>;

    /// Sends messages one way, and returns when the last has arrived.
    fn send(&mut self, size: usize, count: usize) -> impl Future<Output = ()>;

    /// Closes both peers.
    fn close(self) -> impl Future<Output = ()>;
}

/// What a sender may have buffered, in bytes, where the implementation leaves that to the application.
const HIGH_WATER: usize = 1 << 20;
/// Where such a sender goes on.
const LOW_WATER: usize = 1 << 18;

/// Answers the questions of a [`Child`](crate::child::Child)'s owner, one line each, until there are no more:
/// `set_up` makes and closes pairs and tells the milliseconds of each, `send` uses one pair that stays, `hold` keeps
/// more pairs open.
pub fn serve<P: Pair>(threads: usize) {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build().expect("the system has threads");
    // Connections go on while nothing is asked.
    let (ask, mut asked) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok);
        lines.for_each(|line| ask.send(line).expect("the pairs are there"));
    });
    runtime.block_on(async {
        let (mut kept, mut held) = (None, Vec::new());
        while let Some(line) = asked.recv().await {
            println!("{}", answer::<P>(&line, &mut kept, &mut held).await);
        }
    });
}

async fn answer<P: Pair>(line: &str, kept: &mut Option<P>, held: &mut Vec<P>) -> Value {
    let request: Value = serde_json::from_str(line).expect("requests are JSON");
    let number = |name: &str| request[name].as_u64().unwrap_or(0) as usize;
    match request["do"].as_str() {
        Some("set_up") => {
            let mut milliseconds = Vec::new();
            for _ in 0..number("count") {
                let begin = Instant::now();
                let pair = P::connect().await;
                milliseconds.push(begin.elapsed().as_secs_f64() * 1e3);
                pair.close().await;
            }
            json!({ "milliseconds": milliseconds })
        }
        Some("send") => {
            let pair = match kept {
                Some(pair) => pair,
                None => kept.insert(P::connect().await),
            };
            let begin = Instant::now();
            pair.send(number("size"), number("count")).await;
            json!({ "seconds": begin.elapsed().as_secs_f64() })
        }
        Some("hold") => {
            for _ in 0..number("count") {
                held.push(P::connect().await);
            }
            json!({})
        }
        _ => panic!("no such request: {line}"),
    }
}
