//! Clients of a media server under measurement: Kaon's, whatever the server is, each on a socket of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kaon_rtc::layer::RtpTimestamp;
use kaon_rtc::peer_connection::{
    Description, OutgoingRtp, PeerConnection, RtpSender, TrackKind, TransceiverInit,
};
use kaon_rtc::sdp::Direction;
use serde_json::json;

use crate::child::Child;
use crate::server::track_of;

/// A publisher and subscribers of one server.
#[derive(Debug, Default)]
pub struct Clients {
    connections: Vec<PeerConnection>,
    received: Arc<AtomicU64>,
}

async fn client() -> PeerConnection {
    PeerConnection::builder().loopback(true).build().await.expect("a connection")
}

async fn describe(connection: &PeerConnection) -> String {
    connection.set_local_description(None).expect("a description");
    connection.gathering_complete().await;
    connection.local_description().expect("a description").text()
}

impl Clients {
    /// Adds one who receives. `None` if the server failed.
    pub async fn subscribe(&mut self, server: &mut Child) -> Option<()> {
        let (offer, _) = server.ask(&json!({ "do": "subscribe" }))?;
        let connection = client().await;
        let offer = Description::offer(offer["sdp"].as_str()?).expect("a sound offer");
        connection.set_remote_description(&offer).expect("a sound offer");
        let answer = describe(&connection).await;
        server.ask(&json!({ "do": "answer", "sdp": answer }))?;
        self.connections.push(connection.clone());
        let received = self.received.clone();
        tokio::spawn(async move {
            let Some(track) = track_of(&connection).await else { return };
            while track.recv_rtp().await.is_some() {
                received.fetch_add(1, Ordering::Relaxed);
            }
        });
        Some(())
    }

    /// Adds one who sends `packets` of `size` bytes of RTP payload at each `tick`.
    pub async fn publish(
        &mut self,
        server: &mut Child,
        tick: Duration,
        packets: usize,
        size: usize,
    ) -> Option<()> {
        let connection = client().await;
        let init = TransceiverInit::new(Direction::SendOnly);
        let track = connection.add_track(TrackKind::Video, init).expect("a track");
        let offer = describe(&connection).await;
        let (answer, _) = server.ask(&json!({ "do": "publish", "sdp": offer }))?;
        let answer = Description::answer(answer["sdp"].as_str()?).expect("a sound answer");
        connection.set_remote_description(&answer).expect("a sound answer");
        connection.connected().await.expect("a connection");
        self.connections.push(connection);
        tokio::spawn(send(track, tick, packets, size));
        Some(())
    }

    /// The packets that all subscribers together have received so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.connections.iter().for_each(PeerConnection::close);
    }
}

async fn send(track: RtpSender, tick: Duration, packets: usize, size: usize) {
    let payload_type = track.codec("VP8").expect("VP8").payload_type;
    let payload = Bytes::from(vec![7; size]);
    let mut clock = tokio::time::interval(tick);
    for number in 0u32.. {
        clock.tick().await;
        let timestamp = RtpTimestamp(number.wrapping_mul((tick.as_secs_f64() * 9e4) as u32));
        let frame = (1..=packets)
            .map(|number| OutgoingRtp::new(payload_type, timestamp, number == packets, payload.clone()));
        // The end of the measurement closes the connection.
        if track.send_rtp_batch(frame).is_err() {
            return;
        }
    }
}
