//! A server with one UDP port for all its connections: they share an endpoint, its socket and its one task. Checks
//! of ICE say by their user name which connection they are for; all else is told apart by the peer's address.
//!
//! ```text
//! cargo run --features peer-connection --example single_port [CONNECTIONS] [ADDRESS:PORT]
//! ```

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

#[path = "command_line/mod.rs"]
mod command_line;
#[path = "signalling/in_process.rs"]
mod signalling;

use std::net::SocketAddr;
use std::process::ExitCode;

use command_line::{BadInput, Result};
use kaon_rtc::crypto::default_provider;
use kaon_rtc::dtls::Identity;
use kaon_rtc::peer_connection::{ConnectionState, Endpoint, PeerConnection, PeerConnectionEvent};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> ExitCode {
    command_line::exit_code(run().await)
}

async fn run() -> Result<()> {
    let (count, address) = arguments()?;
    let endpoint = Endpoint::builder().address(address).loopback(true).bind()?;
    println!("the server is at {}", endpoint.local_addr());

    // One certificate for all, as a server has.
    let provider =
        default_provider().ok_or("no crypto provider: enable the feature aws-lc-rs or rust-crypto")?;
    let identity = Identity::generate(&provider)?;
    let mut clients = JoinSet::new();
    for number in 0..count {
        let served = PeerConnection::builder().endpoint(&endpoint).identity(identity.clone()).build().await?;
        clients.spawn(run_client(number, served));
    }
    while let Some(result) = clients.join_next().await {
        println!("{}", result??);
    }
    let stats = endpoint.stats();
    println!("{count} connections on one port; {stats:?}");
    Ok(())
}

fn arguments() -> Result<(usize, SocketAddr)> {
    const USAGE: &str = "usage: single_port [CONNECTIONS] [ADDRESS:PORT]";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let bad = |_| BadInput(USAGE.into());
    let (count, address) = match &arguments[..] {
        [] => ("20", "127.0.0.1:0"),
        [count] => (count.as_str(), "127.0.0.1:0"),
        [count, address] => (count.as_str(), address.as_str()),
        _ => return Err(BadInput(USAGE.into()).into()),
    };
    Ok((count.parse().map_err(|_| bad(()))?, address.parse().map_err(|_| bad(()))?))
}

/// A client with a socket of its own asks its connection of the server something.
async fn run_client(number: usize, served: PeerConnection) -> Result<String> {
    let client = PeerConnection::builder().loopback(true).build().await?;
    let chat = client.create_data_channel(format!("client {number}"))?;
    signalling::exchange(&client, &served).await?;
    let server = tokio::spawn(serve(served));

    chat.send_text("which port?").await?;
    let answer = chat.recv().await.ok_or("the channel was closed")?;
    let answer = answer.text().ok_or("the answer is no text")?;
    client.close();
    server.await??;
    Ok(format!("client {number} is told: {answer}"))
}

/// The server's side of a connection, until the client closes it or is gone.
async fn serve(connection: PeerConnection) -> Result<()> {
    while let Some(event) = connection.next_event().await {
        match event {
            PeerConnectionEvent::DataChannel(channel) => {
                channel.recv().await.ok_or("the channel was closed")?;
                let path = connection.selected_pair().ok_or("there is no selected pair")?.path;
                channel.send_text(format!("{} <- {}", path.local, path.remote)).await?;
            }
            // It would wait for an ICE restart for ever: a server lets go of clients that vanish.
            PeerConnectionEvent::ConnectionState { state: ConnectionState::Failed, .. } => connection.close(),
            _ => {}
        }
    }
    Ok(())
}
