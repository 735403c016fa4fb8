//! What an adversary found: whole connections over loopback.

use std::time::Duration;

use kaon_rtc::peer_connection::{
    Description, PeerConnection, PeerConnectionEvent, TrackKind, TransceiverInit,
};
use tokio::time::timeout;

mod channels_of_the_failed;
mod rejected_data;
mod tracks_of_the_failed;
mod unread_tracks;

const LONG: Duration = Duration::from_secs(20);

async fn connection() -> PeerConnection {
    PeerConnection::builder().loopback(true).build().await.unwrap()
}

/// One exchange without trickle, whose answer `change` may have a hand in.
async fn negotiate(offerer: &PeerConnection, answerer: &PeerConnection, change: impl Fn(String) -> String) {
    offerer.set_local_description(None).unwrap();
    offerer.gathering_complete().await;
    let offer = offerer.local_description().unwrap();
    answerer.set_remote_description(&Description::offer(&offer.text()).unwrap()).unwrap();
    answerer.set_local_description(None).unwrap();
    answerer.gathering_complete().await;
    let answer = change(answerer.local_description().unwrap().text());
    offerer.set_remote_description(&Description::answer(&answer).unwrap()).unwrap();
}
