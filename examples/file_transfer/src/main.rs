//! Sends a file over a data channel from one process to another, and goes on where an earlier attempt ended.
//!
//! Signalling is by lines of JSON on standard input and output: each side reads what the other writes, pasted from
//! one terminal into the other, or through pipes:
//!
//! ```text
//! cargo build --release -p file_transfer; cd target/release
//! mkfifo answer
//! ./file_transfer send video.mkv <answer | ./file_transfer receive downloads >answer
//! ```
//!
//! The receiver keeps what came in `NAME.part`. When both are started again, it says how much it has and the SHA-256
//! of that; if the file of the sender begins the same way, the rest is sent, else all of it. At the end the SHA-256
//! of the whole is compared, and only then the file gets its name.

#[path = "../../command_line/mod.rs"]
mod command_line;
mod receive;
mod send;
#[path = "../../signalling/stdio.rs"]
mod signalling;
mod transfer;

use std::path::Path;
use std::process::ExitCode;

use command_line::{BadInput, Result};
use kaon_rtc::peer_connection::{ConnectionState, DescriptionKind, PeerConnection, PeerConnectionEvent};

#[tokio::main]
async fn main() -> ExitCode {
    command_line::exit_code(run().await)
}

async fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let connection = PeerConnection::builder().loopback(true).build().await?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["send", path] => send(&connection, Path::new(path)).await,
        ["receive", folder] => receive(&connection, Path::new(folder)).await,
        _ => Err(BadInput("usage: file_transfer send FILE | file_transfer receive FOLDER".into()).into()),
    }
}

async fn send(connection: &PeerConnection, path: &Path) -> Result<()> {
    let file =
        send::Outgoing::open(path).map_err(|error| BadInput(format!("{}: {error}", path.display())))?;
    let channel = connection.create_data_channel("file")?;
    connection.set_local_description(None)?;
    signalling::write_description(connection).await?;
    let answer = signalling::read_description().await?;
    connection.set_remote_description(&answer).map_err(|error| BadInput(error.to_string()))?;
    tokio::select! {
        sent = file.send(&channel) => sent,
        () = lost(connection) => Err("the connection was lost; start both again to go on".into()),
    }
}

async fn receive(connection: &PeerConnection, folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Err(BadInput(format!("{} is no folder", folder.display())).into());
    }
    let offer = signalling::read_description().await?;
    if offer.kind != DescriptionKind::Offer {
        return Err(BadInput(format!("expected an offer, but this is the type {}", offer.kind)).into());
    }
    connection.set_remote_description(&offer).map_err(|error| BadInput(error.to_string()))?;
    connection.set_local_description(None)?;
    signalling::write_description(connection).await?;
    let channel = loop {
        match connection.next_event().await {
            Some(PeerConnectionEvent::DataChannel(channel)) => break channel,
            Some(PeerConnectionEvent::ConnectionState { state: ConnectionState::Failed, .. }) | None => {
                return Err("the sender cannot be reached".into());
            }
            Some(_) => {}
        }
    };
    tokio::select! {
        received = receive::receive(&channel, folder) => received,
        () = lost(connection) => Err("the connection was lost; start both again to go on".into()),
    }
}

/// Waits until the peer does not answer any more.
async fn lost(connection: &PeerConnection) {
    while let Some(event) = connection.next_event().await {
        if matches!(event, PeerConnectionEvent::ConnectionState { state: ConnectionState::Failed, .. }) {
            return;
        }
    }
    // It was closed: the transfer notices by itself.
    std::future::pending().await
}
