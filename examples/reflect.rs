//! Sends back whatever comes: messages on their data channels, sound and pictures on their transceivers.
//!
//! `reflect --signal stdio` reads one line of JSON, `{"type":"offer","sdp":"…"}`, from standard input and writes the
//! answer the same way, with all its candidates, so that any program can drive it. It runs until the peer closes.
//!
//! ```text
//! cargo run --features peer-connection --example reflect -- --signal stdio
//! ```
//!
//! From the console of a browser: paste what this logs into the terminal (`stty -icanon` first: a terminal cuts
//! lines at 4096 characters), and the answer into the prompt.
//!
//! ```js
//! const pc = new RTCPeerConnection(), media = await navigator.mediaDevices.getUserMedia({ video: true });
//! media.getTracks().forEach(track => pc.addTrack(track, media));
//! const video = document.body.appendChild(Object.assign(document.createElement("video"), { autoplay: true }));
//! pc.ontrack = ({ track }) => { video.srcObject = new MediaStream([track]); };
//! const chat = pc.createDataChannel("chat");
//! chat.onmessage = ({ data }) => console.log("came back:", data);
//! chat.onopen = () => chat.send("hello");
//! pc.onicegatheringstatechange = () => {
//!   if (pc.iceGatheringState != "complete") return;
//!   console.log(JSON.stringify(pc.localDescription));
//!   setTimeout(() => pc.setRemoteDescription(JSON.parse(prompt("answer"))), 10000);
//! };
//! await pc.setLocalDescription();
//! ```

#[path = "command_line/mod.rs"]
mod command_line;
#[path = "signalling/stdio.rs"]
mod signalling;

use std::process::ExitCode;

use command_line::{BadInput, Result};
use kaon_rtc::peer_connection::{
    ConnectionState, DataChannel, DescriptionKind, PeerConnection, PeerConnectionError, PeerConnectionEvent,
    RtpReceiver, RtpSender,
};
use kaon_rtc::sdp::Direction;

#[tokio::main]
async fn main() -> ExitCode {
    command_line::exit_code(run().await)
}

async fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["--signal", "stdio"] => {}
        _ => return Err(BadInput("usage: reflect [--signal stdio]".into()).into()),
    }
    let connection = PeerConnection::builder().loopback(true).build().await?;
    let offer = signalling::read_description().await?;
    if offer.kind != DescriptionKind::Offer {
        return Err(BadInput(format!("expected an offer, but this is the type {}", offer.kind)).into());
    }
    connection.set_remote_description(&offer).map_err(|error| BadInput(error.to_string()))?;
    // What the peer offers to send is only received unless we say more.
    for transceiver in connection.transceivers() {
        connection.set_direction(transceiver.id(), Direction::SendRecv)?;
    }
    connection.set_local_description(None)?;
    signalling::write_description(&connection).await?;

    while let Some(event) = connection.next_event().await {
        match event {
            PeerConnectionEvent::DataChannel(channel) => drop(tokio::spawn(return_messages(channel))),
            PeerConnectionEvent::Track(remote) => {
                let local = connection.sender(remote.id())?;
                tokio::spawn(pass_on_key_frame_requests(local.clone(), remote.clone()));
                tokio::spawn(return_packets(remote, local));
            }
            PeerConnectionEvent::ConnectionState { state, reason } => {
                eprintln!("{state}");
                if let (ConnectionState::Failed, Some(reason)) = (state, reason) {
                    return Err(reason.into());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

async fn return_messages(channel: DataChannel) {
    while let Some(message) = channel.recv().await {
        let sent = match message.text() {
            Some(text) => channel.send_text(text).await,
            None => channel.send(message.into_data()).await,
        };
        match sent {
            Err(PeerConnectionError::Ended(_)) => return,
            // Such as a message that is longer than the peer takes.
            Err(error) => eprintln!("not sent back: {error}"),
            Ok(()) => {}
        }
    }
}

async fn return_packets(remote: RtpReceiver, local: RtpSender) {
    while let Some(packet) = remote.recv_rtp().await {
        // The payload types of an answer are those of the offer. A peer that only sends gets nothing back.
        let _ = local.send_rtp(packet.to_outgoing(packet.as_packet().payload_type()));
    }
}

async fn pass_on_key_frame_requests(local: RtpSender, remote: RtpReceiver) {
    while local.key_frame_requested().await.is_some() {
        remote.request_key_frame();
    }
}
