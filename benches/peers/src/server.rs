//! A media server on Kaon: what comes from a publisher, or from a source of its own, goes to all subscribers. The
//! program in `pion/` is its counterpart.

use std::io::BufRead;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use kaon_rtc::layer::{PayloadType, RtpTimestamp};
use kaon_rtc::peer_connection::{
    Description, Endpoint, OutgoingRtp, PeerConnection, PeerConnectionEvent, RtpReceiver, RtpSender,
    TrackKind, TransceiverInit,
};
use kaon_rtc::sdp::Direction;
use serde_json::{Value, json};

/// Frames a second of the source.
pub const FRAME_RATE: usize = 30;
/// Packets of a frame of the source: with those of [`PAYLOAD`] bytes, 1.5 Mbit/s.
pub const PACKETS: usize = 6;
/// Bytes of RTP payload in a packet of the source.
pub const PAYLOAD: usize = 1042;

#[derive(Clone, Default)]
struct Subscribers(Arc<Mutex<Vec<(RtpSender, PayloadType)>>>);

impl Subscribers {
    fn each(&self, mut act: impl FnMut(&RtpSender, PayloadType)) {
        let subscribers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.iter().for_each(|(track, payload_type)| act(track, *payload_type));
    }
}

/// Answers the questions of a [`Child`](crate::child::Child)'s owner: `publish` brings an offer, `subscribe` asks for
/// one, `answer` brings the answer to it, `source` begins to send.
pub fn serve(threads: usize) {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build().expect("the system has threads");
    let (ask, mut asked) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok);
        lines.for_each(|line| ask.send(line).expect("the server runs"));
    });
    runtime.block_on(async {
        let mut server = Server::new();
        while let Some(line) = asked.recv().await {
            let answer = server.answer(&serde_json::from_str(&line).expect("requests are JSON")).await;
            println!("{answer}");
        }
    });
}

struct Server {
    endpoint: Endpoint,
    subscribers: Subscribers,
    connections: Vec<PeerConnection>,
}

impl Server {
    fn new() -> Self {
        let endpoint = Endpoint::builder().loopback(true).bind().expect("a socket");
        Self { endpoint, subscribers: Subscribers::default(), connections: Vec::new() }
    }

    async fn connection(&mut self) -> PeerConnection {
        let connection =
            PeerConnection::builder().endpoint(&self.endpoint).build().await.expect("a connection");
        self.connections.push(connection.clone());
        connection
    }

    async fn answer(&mut self, request: &Value) -> Value {
        let sdp = request["sdp"].as_str().unwrap_or_default();
        match request["do"].as_str() {
            Some("publish") => {
                let connection = self.connection().await;
                let offer = Description::offer(sdp).expect("a sound offer");
                connection.set_remote_description(&offer).expect("a sound offer");
                let answer = describe(&connection).await;
                tokio::spawn(forward(connection, self.subscribers.clone()));
                json!({ "sdp": answer })
            }
            Some("subscribe") => {
                let connection = self.connection().await;
                let init = TransceiverInit::new(Direction::SendOnly);
                connection.add_track(TrackKind::Video, init).expect("a track");
                json!({ "sdp": describe(&connection).await })
            }
            Some("answer") => {
                let connection = self.connections.last().expect("an offer was made");
                let answer = Description::answer(sdp).expect("a sound answer");
                connection.set_remote_description(&answer).expect("a sound answer");
                connection.connected().await.expect("a connection");
                let id = connection.transceivers()[0].id();
                let track = connection.sender(id).expect("a track");
                let payload_type = track.codec("VP8").expect("VP8").payload_type;
                let mut subscribers = self.subscribers.0.lock().unwrap_or_else(PoisonError::into_inner);
                subscribers.push((track, payload_type));
                json!({})
            }
            Some("source") => {
                tokio::spawn(source(self.subscribers.clone()));
                json!({})
            }
            _ => panic!("no such request: {request}"),
        }
    }
}

async fn describe(connection: &PeerConnection) -> String {
    connection.set_local_description(None).expect("a description");
    connection.gathering_complete().await;
    connection.local_description().expect("a description").text()
}

async fn forward(connection: PeerConnection, subscribers: Subscribers) {
    let Some(track) = track_of(&connection).await else { return };
    while let Some(packet) = track.recv_rtp().await {
        let view = packet.as_packet();
        let payload = packet.packet.payload();
        subscribers.each(|track, payload_type| {
            let mut out = OutgoingRtp::new(payload_type, view.timestamp(), view.marker(), payload.clone());
            out.sequence_number = Some(view.sequence_number());
            track.send_rtp(out).expect("a subscriber that is connected");
        });
    }
}

/// The track that the other side sends.
pub(crate) async fn track_of(connection: &PeerConnection) -> Option<RtpReceiver> {
    loop {
        if let PeerConnectionEvent::Track(track) = connection.next_event().await? {
            return Some(track);
        }
    }
}

async fn source(subscribers: Subscribers) {
    let mut clock = tokio::time::interval(Duration::from_secs(1) / FRAME_RATE as u32);
    let payload = Bytes::from(vec![7; PAYLOAD]);
    for number in 0u32.. {
        clock.tick().await;
        let timestamp = RtpTimestamp(number.wrapping_mul(90_000 / FRAME_RATE as u32));
        subscribers.each(|track, payload_type| {
            let packets = (1..=PACKETS)
                .map(|number| OutgoingRtp::new(payload_type, timestamp, number == PACKETS, payload.clone()));
            track.send_rtp_batch(packets).expect("a subscriber that is connected");
        });
    }
}
