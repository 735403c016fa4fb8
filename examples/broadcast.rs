//! One publisher, a server that forwards its packets, and many subscribers, all in one process.
//!
//! The server opens no frame: it hands each packet to a track, which each subscriber's connection sends under the payload
//! type that was negotiated there, and a subscriber's request for a key frame back to the publisher. Losses are repaired on each
//! hop by itself. Frames have a number where a picture would be.
//!
//! ```text
//! cargo run --features peer-connection --example broadcast [SUBSCRIBERS]
//! ```

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

#[path = "command_line/mod.rs"]
mod command_line;
#[path = "signalling/in_process.rs"]
mod signalling;

use std::process::ExitCode;
use std::time::Duration;

use command_line::{BadInput, Result};
use kaon_rtc::layer::RtpTimestamp;
use kaon_rtc::peer_connection::{
    Codec, ConnectionState, Endpoint, PeerConnection, PeerConnectionEvent, RtpReceiver, RtpSender, Track,
    TrackKind, TransceiverInit,
};
use kaon_rtc::sdp::Direction;
use tokio::task::JoinSet;

/// Frames that a subscriber watches.
const FRAMES: usize = 60;

#[tokio::main]
async fn main() -> ExitCode {
    command_line::exit_code(run().await)
}

async fn run() -> Result<()> {
    let count: usize = match std::env::args().nth(1) {
        None => 10,
        Some(count) => {
            count.parse().map_err(|_| BadInput(format!("\"{count}\" is no number of subscribers")))?
        }
    };
    let endpoint = Endpoint::builder().loopback(true).bind()?;

    let (publisher, ingest) = (client().await?, served(&endpoint).await?);
    let camera = publisher.add_track(TrackKind::Video, TransceiverInit::new(Direction::SendOnly))?;
    tokio::spawn(publish(camera));
    signalling::exchange(&publisher, &ingest).await?;
    let track = Track::new(Codec::vp8());
    tokio::spawn(forward(track_of(&ingest).await?, track.clone()));

    let mut watching = JoinSet::new();
    for number in 0..count {
        watching.spawn(subscribe(number, endpoint.clone(), track.clone()));
        // They come when the stream has long begun.
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    while let Some(result) = watching.join_next().await {
        println!("{}", result??);
    }
    Ok(())
}

async fn client() -> Result<PeerConnection> {
    Ok(PeerConnection::builder().loopback(true).build().await?)
}

async fn served(endpoint: &Endpoint) -> Result<PeerConnection> {
    Ok(PeerConnection::builder().endpoint(endpoint).build().await?)
}

async fn track_of(connection: &PeerConnection) -> Result<RtpReceiver> {
    while let Some(event) = connection.next_event().await {
        match event {
            PeerConnectionEvent::Track(track) => return Ok(track),
            PeerConnectionEvent::ConnectionState { state: ConnectionState::Failed, .. } => break,
            _ => {}
        }
    }
    Err(connection.failure().map_or_else(|| "the connection was closed".into(), Into::into))
}

/// The publisher: thirty frames a second, a key frame whenever one is asked for.
async fn publish(track: RtpSender) -> Result<()> {
    track.negotiated().await?;
    let vp8 = track.codec("VP8").ok_or("the server does not take VP8")?;
    let mut frames = track.frames(&vp8)?;
    let mut clock = tokio::time::interval(Duration::from_millis(33));
    let (mut number, mut is_key) = (0u32, true);
    loop {
        tokio::select! {
            _ = clock.tick() => {
                // RFC 6386 §9.1: a frame tag, and in key frames a start code and the size.
                let mut frame = match is_key {
                    true => vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01],
                    false => vec![0x11, 0, 0],
                };
                frame.extend(number.to_be_bytes().into_iter().cycle().take(4000));
                frames.send(&frame, RtpTimestamp(number * 2970))?;
                (number, is_key) = (number + 1, false);
            }
            asked = track.key_frame_requested() => match asked {
                Some(()) => is_key = true,
                None => return Ok(()),
            },
        }
    }
}

/// The server: each packet to everyone.
async fn forward(publisher: RtpReceiver, track: Track) {
    loop {
        tokio::select! {
            packet = publisher.recv_rtp() => match packet {
                // The payload is shared, not copied. A subscriber that does not keep up, or is gone, is not the others'
                // business.
                Some(packet) => _ = track.send_rtp(&packet),
                None => return,
            },
            () = track.key_frame_requested() => publisher.request_key_frame(),
        }
    }
}

/// A subscriber and the server's side of it.
async fn subscribe(number: usize, endpoint: Endpoint, track: Track) -> Result<String> {
    let (subscriber, server) = (client().await?, served(&endpoint).await?);
    let init = TransceiverInit::new(Direction::SendOnly);
    server.add_track(track.kind(), init)?.replace_track(Some(&track))?;
    signalling::exchange(&server, &subscriber).await?;
    let mut frames = track_of(&subscriber).await?.frames();

    let mut watched = Vec::new();
    while watched.len() < FRAMES {
        let frame = frames.recv().await.ok_or("the track has ended")?;
        let stamp = &frame.data[if frame.key_frame { 10 } else { 3 }..];
        watched.push(stamp.first_chunk().map(|stamp| u32::from_be_bytes(*stamp)).ok_or("no number")?);
    }
    subscriber.close();
    let missed = watched.windows(2).filter(|pair| pair[0] + 1 != pair[1]).count();
    Ok(format!("subscriber {number} saw frames {} to {}, {missed} gaps", watched[0], watched[FRAMES - 1]))
}
