//! The core of an SFU: what one publishes goes to everyone who watches. One HTTP request each is all the signalling:
//! `POST /publish` and `POST /watch` take an offer and return the answer. See the README beside this package.

#[path = "../../own_page/mod.rs"]
mod own_page;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use kaon_rtc::peer_connection::{
    Codec, Description, Endpoint, MediaConfig, PeerConnection, PeerConnectionBuilder, PeerConnectionError,
    PeerConnectionEvent, RtpReceiver, Track, TrackKind,
};
use kaon_rtc::sdp::Direction;

/// Where the page is served unless something else is said.
const LISTEN: &str = "127.0.0.1:8083";

struct Server {
    /// How every connection is made.
    builder: PeerConnectionBuilder,
    /// What was published last, while it lasts.
    stage: Mutex<Weak<Stage>>,
}

/// What one publishes, and to whom it goes. It lasts as long as the publisher's connection.
struct Stage {
    audio: Track,
    video: Track,
    /// The connections of those who watch.
    viewers: Mutex<Vec<PeerConnection>>,
}

#[tokio::main]
async fn main() -> ExitCode {
    own_page::exit_code(run().await)
}

async fn run() -> Result<(), String> {
    let place: own_page::Place = own_page::options()?;
    // One UDP port for all connections.
    let endpoint = Endpoint::builder().loopback(true).bind().map_err(|error| error.to_string())?;
    // One codec of each kind, which all browsers have: whatever is published, everybody takes it.
    let mut media = MediaConfig::default();
    (media.audio, media.video) = (vec![Codec::opus()], vec![Codec::vp8()]);
    let builder = PeerConnection::builder().endpoint(&endpoint).media(media);
    let router = Router::new()
        .route("/", own_page::file("text/html", include_str!("../page/index.html")))
        .route("/page.js", own_page::file("text/javascript", include_str!("../page/page.js")))
        .route("/publish", post(publish))
        .route("/watch", post(watch))
        .with_state(Arc::new(Server { builder, stage: Mutex::default() }));
    place.serve("Forward", true, router).await
}

type Refusal = (StatusCode, String);

async fn publish(State(server): State<Arc<Server>>, offer: String) -> Result<String, Refusal> {
    let (connection, answer) = answer(&server, &offer, Direction::RecvOnly).await?;
    let (audio, video) = (Track::new(Codec::opus()), Track::new(Codec::vp8()));
    let stage = Arc::new(Stage { audio, video, viewers: Mutex::default() });
    *lock(&server.stage) = Arc::downgrade(&stage);
    tokio::spawn(async move {
        // One that has failed would wait for an ICE restart.
        while let Some(event) = connection.next_event().await.filter(|_| connection.failure().is_none()) {
            if let PeerConnectionEvent::Track(track) = event {
                tokio::spawn(forward(track, stage.clone()));
            }
        }
    });
    Ok(answer)
}

async fn watch(State(server): State<Arc<Server>>, offer: String) -> Result<String, Refusal> {
    let nobody = || (StatusCode::CONFLICT, "nobody publishes yet".to_owned());
    let stage = lock(&server.stage).upgrade().ok_or_else(nobody)?;
    let (connection, answer) = answer(&server, &offer, Direction::SendOnly).await?;
    for transceiver in connection.transceivers() {
        // One that the answer refuses has none.
        let sender = connection.sender(transceiver.id());
        let _ = sender.and_then(|sender| sender.replace_track(Some(stage.track(transceiver.kind()))));
    }
    let mut viewers = lock(&stage.viewers);
    viewers.retain(|viewer| viewer.failure().is_none());
    viewers.push(connection);
    Ok(answer)
}

/// The packets of a track to everyone, and their requests for key frames back.
async fn forward(publisher: RtpReceiver, stage: Arc<Stage>) {
    let Some(kind) = publisher.kind() else { return };
    let track = stage.track(kind);
    loop {
        tokio::select! {
            packet = publisher.recv_rtp() => match packet {
                // The payload is shared, not copied. One that does not keep up is not the others' business.
                Some(packet) => _ = track.send_rtp(&packet),
                None => return,
            },
            () = track.key_frame_requested() => publisher.request_key_frame(),
        }
    }
}

impl Stage {
    fn track(&self, kind: TrackKind) -> &Track {
        match kind {
            TrackKind::Audio => &self.audio,
            TrackKind::Video => &self.video,
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        lock(&self.viewers).iter().for_each(PeerConnection::close);
    }
}

/// Answers an offer, with all candidates, so that nothing has to follow.
async fn answer(server: &Server, offer: &str, ours: Direction) -> Result<(PeerConnection, String), Refusal> {
    let answered = async {
        let connection = server.builder.clone().build().await?;
        connection.set_remote_description(&Description::offer(offer)?)?;
        for transceiver in connection.transceivers() {
            connection.set_direction(transceiver.id(), ours)?;
        }
        connection.set_local_description(None)?;
        connection.gathering_complete().await;
        let answer = connection.local_description().map(|answer| answer.text());
        Ok((connection, answer.unwrap_or_default()))
    };
    answered.await.map_err(|error: PeerConnectionError| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
