//! Trickle ICE: each candidate is signalled as soon as it is found, so that nobody waits for a slow STUN server.
//!
//! Two peers in one process exchange lines of JSON, as they would over a WebSocket; what a browser's
//! `RTCPeerConnection` tells and takes looks the same.
//!
//! ```text
//! cargo run --features peer-connection --example trickle [stun:HOST:PORT]
//! ```

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

#[path = "command_line/mod.rs"]
mod command_line;

use std::process::ExitCode;

use command_line::{BadInput, Result};
use kaon_rtc::peer_connection::{
    ConnectionState, DataChannel, Description, IceCandidateInit, PeerConnection, PeerConnectionError,
    PeerConnectionEvent,
};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    command_line::exit_code(run().await)
}

async fn run() -> Result<()> {
    let servers: Vec<String> = std::env::args().skip(1).collect();
    let (alice, bob) = (connection(&servers).await?, connection(&servers).await?);
    let chat = alice.create_data_channel("chat")?;

    let ((to_bob, of_alice), (to_alice, of_bob)) = (unbounded_channel(), unbounded_channel());
    let alice = tokio::spawn(signal("alice", alice, to_bob, of_bob));
    let bob = tokio::spawn(signal("bob", bob, to_alice, of_alice));

    let said = tokio::spawn(async move {
        chat.send_text("hello").await?;
        chat.closed().await;
        Ok::<_, PeerConnectionError>(())
    });
    // Bob closes when he has heard the message, and Alice notices.
    bob.await??;
    alice.await??;
    Ok(said.await??)
}

async fn connection(servers: &[String]) -> Result<PeerConnection> {
    let builder = PeerConnection::builder().loopback(true);
    let builder = servers.iter().fold(builder, |builder, server| builder.stun_server(server));
    builder.build().await.map_err(|error| match error {
        PeerConnectionError::ServerUrl(_) => BadInput(error.to_string()).into(),
        error => error.into(),
    })
}

/// Carries what the connection tells to the peer and what the peer tells to the connection.
async fn signal(
    name: &'static str,
    connection: PeerConnection,
    out: UnboundedSender<String>,
    mut incoming: UnboundedReceiver<String>,
) -> Result<()> {
    loop {
        tokio::select! {
            event = connection.next_event() => match event {
                None => return Ok(()),
                Some(PeerConnectionEvent::NegotiationNeeded) => {
                    connection.set_local_description(None)?;
                    tell(name, &out, description_line(&connection)?);
                }
                Some(PeerConnectionEvent::IceCandidate(candidate)) => {
                    tell(name, &out, candidate_line(&candidate));
                }
                Some(PeerConnectionEvent::ConnectionState { state, reason }) => {
                    println!("{name} is {state}, gathering is {:?}", connection.gathering_state());
                    reason.iter().for_each(|reason| println!("{name}: {reason}"));
                    // It could be restarted; here nobody does.
                    if state == ConnectionState::Failed {
                        connection.close();
                    }
                }
                Some(PeerConnectionEvent::DataChannel(channel)) => listen(name, &connection, channel).await?,
                Some(_) => {}
            },
            Some(line) = incoming.recv() => {
                let message: Value = serde_json::from_str(&line)?;
                let text = |name: &str| message[name].as_str().unwrap_or_default();
                if message["type"].is_string() {
                    let description = Description::parse(text("type").parse()?, text("sdp"))?;
                    connection.set_remote_description(&description)?;
                    if text("type") == "offer" {
                        connection.set_local_description(None)?;
                        tell(name, &out, description_line(&connection)?);
                    }
                } else {
                    connection.add_ice_candidate(&read_candidate(&message))?;
                }
            }
        }
    }
}

async fn listen(name: &str, connection: &PeerConnection, channel: DataChannel) -> Result<()> {
    let message = channel.recv().await.ok_or("the channel was closed")?;
    println!("{name} hears {:?}", message.text());
    connection.close();
    Ok(())
}

fn tell(name: &str, out: &UnboundedSender<String>, line: Value) {
    println!("{name} signals {line}");
    // A peer that is gone needs nothing more.
    let _ = out.send(line.to_string());
}

fn description_line(connection: &PeerConnection) -> Result<Value> {
    let description = connection.local_description().ok_or("there is no local description")?;
    Ok(json!({ "type": description.kind.name(), "sdp": description.text() }))
}

/// What `JSON.stringify(event.candidate)` gives in a browser.
fn candidate_line(candidate: &IceCandidateInit) -> Value {
    json!({
        "candidate": candidate.candidate,
        "sdpMid": candidate.sdp_mid,
        "sdpMLineIndex": candidate.sdp_m_line_index,
        "usernameFragment": candidate.username_fragment,
    })
}

fn read_candidate(message: &Value) -> IceCandidateInit {
    let text = |name: &str| message[name].as_str().map(str::to_owned);
    let mut candidate = IceCandidateInit::new(text("candidate").unwrap_or_default());
    candidate.sdp_mid = text("sdpMid");
    candidate.sdp_m_line_index =
        message["sdpMLineIndex"].as_u64().and_then(|index| u16::try_from(index).ok());
    candidate.username_fragment = text("usernameFragment");
    candidate
}
