//! A Kaon whose interfaces come and go in a call: `moving_peer offer` or `moving_peer answer`. It speaks lines of JSON,
//! `{"type", "sdp"}` and `{"candidate", "mid"}` in both directions, and sends and counts steady messages from when it is
//! connected. Told `{"do": "finish"}` it sends the last and says what came.

use std::io::BufRead;

use kaon_interop::Steady;
use kaon_rtc::peer_connection::{
    Description, Endpoint, IceCandidateInit, PeerConnection, PeerConnectionEvent,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let endpoint = Endpoint::builder().address("0.0.0.0:0".parse().unwrap());
    let connection = PeerConnection::builder().socket(endpoint).build().await.unwrap();
    let channel = connection.create_data_channel(Steady::channel()).unwrap();
    if std::env::args().nth(1).is_some_and(|role| role == "offer") {
        describe(&connection).await;
    }
    let steady = tokio::spawn(async move {
        channel.opened().await.unwrap();
        Steady::start(channel)
    });
    let mut commands = commands();
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(command) if command["do"] == "finish" => break,
                Some(command) => obey(&connection, &command).await,
                None => return,
            },
            Some(event) = connection.next_event() => if let PeerConnectionEvent::IceCandidate(candidate) = event {
                say(&json!({ "candidate": candidate.candidate, "mid": candidate.sdp_mid }));
            },
        }
    }
    let delivery = steady.await.unwrap().finish().await;
    say(&json!({ "count": delivery.count, "gap": delivery.longest_gap.as_secs_f64() }));
    // Until the other side has everything.
    while commands.recv().await.is_some() {}
}

/// What is written to standard input, which a thread reads that ends with the process.
fn commands() -> mpsc::UnboundedReceiver<Value> {
    let (send, commands) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok);
        let _ = lines.map(|line| serde_json::from_str(&line).unwrap()).try_for_each(|line| send.send(line));
    });
    commands
}

async fn obey(connection: &PeerConnection, command: &Value) {
    let text = |name: &str| command[name].as_str();
    if let Some(candidate) = text("candidate") {
        let mut init = IceCandidateInit::new(candidate);
        init.sdp_mid = text("mid").map(str::to_owned);
        connection.add_ice_candidate(&init).unwrap();
    } else if text("type") == Some("offer") {
        connection.set_remote_description(&Description::offer(text("sdp").unwrap()).unwrap()).unwrap();
        describe(connection).await;
    } else {
        connection.set_remote_description(&Description::answer(text("sdp").unwrap()).unwrap()).unwrap();
    }
}

async fn describe(connection: &PeerConnection) {
    connection.set_local_description(None).unwrap();
    connection.gathering_complete().await;
    let description = connection.local_description().unwrap();
    say(&json!({ "type": description.kind.name(), "sdp": description.text() }));
}

fn say(value: &Value) {
    println!("{value}");
}
