//! An SRTP layer that is not Kaon's, behind Kaon's trait: [`OwnSrtp`] is the crate `rtc-srtp` as an
//! `SrtpTransport`. The conformance kit says what it does and does not do, then a connection of it sends video to
//! one that is all Kaon's.
//!
//! ```text
//! cargo run -p own_srtp
//! ```

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

mod context;

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use context::OwnSrtp;
use kaon_rtc::conformance::{Kit, KnownFailure, Report, VirtualClock};
use kaon_rtc::crypto::aws_lc_rs::provider;
use kaon_rtc::dtls::Identity;
use kaon_rtc::layer::{MasterKey, RtpTimestamp, SrtpError, SrtpTransport};
use kaon_rtc::peer_connection::{
    PeerConnection, PeerConnectionEvent, RtpReceiver, TrackKind, TransceiverInit,
};
use kaon_rtc::session::Transports;
use kaon_rtc::{ice, sctp, srtp};

const FRAMES: u8 = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let report = held_to_the_kit();
    print!("{report}");
    report.check(&KNOWN_FAILURES)?;
    for KnownFailure { scenario, reason } in KNOWN_FAILURES {
        println!("{scenario} is known to fail: {reason}");
    }
    println!("{} frames of video arrived", video_arrives().await?);
    Ok(())
}

/// What the crate cannot do. The kit fails on a failure that is not here, and on one that is here and passes.
const KNOWN_FAILURES: [KnownFailure; 2] = [
    KnownFailure {
        scenario: "limits/streams",
        reason: "the crate keeps something for each SSRC it sees, forged ones included, and forgets none",
    },
    KnownFailure {
        scenario: "malformed/unprotect",
        reason: "the first packet of an SSRC places its replay window before it is authenticated, so that a forged \
                 one has the real ones refused",
    },
];

/// Runs every scenario of the trait against Kaon's own context.
fn held_to_the_kit() -> Report {
    let clock = VirtualClock::new(Instant::now());
    Kit::new(&clock).srtp(&make_own, &|local, remote| {
        Ok(Box::new(srtp::Context::new(&provider(), local, remote, srtp::Config::default())?))
    })
}

fn make_own(local: &MasterKey, remote: &MasterKey) -> Result<Box<dyn SrtpTransport>, SrtpError> {
    Ok(Box::new(OwnSrtp::new(local, remote)?))
}

/// A connection whose SRTP is the own one sends to one that is Kaon's. Returns how many frames arrived.
async fn video_arrives() -> Result<usize, Box<dyn Error>> {
    let identity = Identity::generate(&provider())?;
    let mut transports =
        Transports::native(&provider(), identity, ice::Config::default(), sctp::Config::default());
    transports.srtp = Arc::new(make_own);
    let alice = PeerConnection::builder().loopback(true).transports(transports).build().await?;
    let bob = PeerConnection::builder().loopback(true).build().await?;
    let track = alice.add_track(TrackKind::Video, TransceiverInit::default())?;

    alice.set_local_description(None)?;
    alice.gathering_complete().await;
    bob.set_remote_description(&alice.local_description().ok_or("no offer")?)?;
    bob.set_local_description(None)?;
    bob.gathering_complete().await;
    alice.set_remote_description(&bob.local_description().ok_or("no answer")?)?;
    alice.connected().await?;

    let mut frames = track_of(&bob).await.ok_or("no track")?.frames();
    let mut sender = track.frames(&track.codec("VP8").ok_or("no VP8")?)?;
    let mut arrived = 0;
    for number in 0..FRAMES {
        // Of a VP8 frame, what says that it is a key frame of 640 x 480 (RFC 6386 §9.1), and something.
        let mut frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01];
        frame.resize(3000, number);
        sender.send(&frame, RtpTimestamp(u32::from(number) * 3000))?;
        arrived += usize::from(frames.recv().await.is_some_and(|there| there.data == frame));
    }
    Ok(arrived)
}

async fn track_of(connection: &PeerConnection) -> Option<RtpReceiver> {
    loop {
        if let PeerConnectionEvent::Track(track) = connection.next_event().await? {
            return Some(track);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kit_knows_what_the_crate_cannot_do() {
        held_to_the_kit().check(&KNOWN_FAILURES).expect("no other failures");
    }

    #[tokio::test]
    async fn a_connection_of_it_sends_video() {
        assert_eq!(video_arrives().await.expect("a connection"), usize::from(FRAMES));
    }
}
