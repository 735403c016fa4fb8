//! What a connection counts, as the W3C names it: one peer sends video and messages to another, and both tell every
//! second what they see.
//!
//! ```text
//! cargo run --features peer-connection --example stats [SECONDS]
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
    ConnectionState, DataChannel, PeerConnection, PeerConnectionEvent, RtpSender, Stats, StatsReport,
    TrackKind, TransceiverInit,
};

#[tokio::main]
async fn main() -> ExitCode {
    command_line::exit_code(run().await)
}

async fn run() -> Result<()> {
    let seconds: u64 = match std::env::args().nth(1) {
        None => 5,
        Some(text) => text.parse().map_err(|_| BadInput(format!("\"{text}\" is no number of seconds")))?,
    };
    let alice = PeerConnection::builder().loopback(true).build().await?;
    let bob = PeerConnection::builder().loopback(true).build().await?;
    let track = alice.add_track(TrackKind::Video, TransceiverInit::default())?;
    let chat = alice.create_data_channel("chat")?;
    signalling::exchange(&alice, &bob).await?;
    tokio::spawn(watch(bob.clone()));
    chat.opened().await?;
    tokio::spawn(send_video(track));
    tokio::spawn(send_messages(chat));

    let (mut alice_before, mut bob_before) = (alice.get_stats(), bob.get_stats());
    for second in 1..=seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        println!("after {second} s");
        for (name, connection, before) in
            [("alice", &alice, &mut alice_before), ("bob", &bob, &mut bob_before)]
        {
            let now = connection.get_stats();
            show(name, before, &now);
            *before = now;
        }
    }
    alice.close();
    Ok(())
}

/// Prints what is new since `before`. An entry keeps its id from report to report.
fn show(name: &str, before: &StatsReport, now: &StatsReport) {
    let seconds = now.timestamp().duration_since(before.timestamp()).as_secs_f64();
    let kbit = |bytes: u64| bytes as f64 * 8.0 / 1000.0 / seconds;
    for entry in now.iter() {
        let earlier = before.get(entry.id());
        let what = match entry {
            Stats::OutboundRtp(stats) => {
                let earlier = match earlier {
                    Some(Stats::OutboundRtp(earlier)) => earlier.bytes_sent,
                    _ => 0,
                };
                let (again, nacks) = (stats.retransmitted_packets_sent, stats.nack_count);
                format!(
                    "{:.0} kbit/s, {again} sent again for {nacks} NACKs",
                    kbit(stats.bytes_sent - earlier)
                )
            }
            Stats::InboundRtp(stats) => {
                let earlier = match earlier {
                    Some(Stats::InboundRtp(earlier)) => earlier.bytes_received,
                    _ => 0,
                };
                let (lost, jitter) = (stats.packets_lost, stats.jitter);
                format!("{:.0} kbit/s, {lost} lost, jitter {jitter:?}", kbit(stats.bytes_received - earlier))
            }
            Stats::RemoteInboundRtp(stats) => {
                format!("{:.1} % lost, round trip {:?}", stats.fraction_lost * 100.0, stats.round_trip_time)
            }
            Stats::DataChannel(stats) => {
                format!("{} messages sent, {} received", stats.messages_sent, stats.messages_received)
            }
            Stats::CandidatePair(stats) if stats.nominated => match now.get(&stats.remote_candidate_id) {
                Some(Stats::RemoteCandidate(remote)) => {
                    let round_trip = stats.current_round_trip_time;
                    format!("to {}:{}, round trip {round_trip:?}", remote.address, remote.port)
                }
                _ => continue,
            },
            Stats::Transport(stats) => {
                let cipher = stats.srtp_cipher.unwrap_or("none");
                format!("{} packets sent, {} received, {cipher}", stats.packets_sent, stats.packets_received)
            }
            // Codecs, certificates and candidates do not change.
            _ => continue,
        };
        println!("  {name:5} {:18} {what}", entry.kind());
    }
}

/// The side that receives.
async fn watch(connection: PeerConnection) {
    while let Some(event) = connection.next_event().await {
        match event {
            PeerConnectionEvent::Track(track) => {
                tokio::spawn(async move { while track.recv_rtp().await.is_some() {} });
            }
            PeerConnectionEvent::DataChannel(channel) => {
                tokio::spawn(async move { while channel.recv().await.is_some() {} });
            }
            // Nobody restarts ICE here.
            PeerConnectionEvent::ConnectionState { state: ConnectionState::Failed, .. } => connection.close(),
            _ => {}
        }
    }
}

/// Thirty frames a second of about a megabit.
async fn send_video(track: RtpSender) -> Result<()> {
    let vp8 = track.codec("VP8").ok_or("the peer does not take VP8")?;
    let mut frames = track.frames(&vp8)?;
    let mut clock = tokio::time::interval(Duration::from_millis(33));
    let mut frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01];
    frame.resize(4000, 7);
    for number in 0u32.. {
        clock.tick().await;
        frames.send(&frame, RtpTimestamp(number.wrapping_mul(2970)))?;
    }
    Ok(())
}

async fn send_messages(chat: DataChannel) -> Result<()> {
    let mut clock = tokio::time::interval(Duration::from_millis(100));
    loop {
        clock.tick().await;
        chat.send_text("how are you?").await?;
    }
}
