//! From one publisher to all viewers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kaon_rtc::layer::PayloadType;
use kaon_rtc::peer_connection::{
    ConnectionState, PeerConnection, PeerConnectionEvent, RtpPacket, RtpReceiver, RtpSender, TrackKind,
};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::hall::Hall;
use crate::own_page::Seat;

/// How long a peer may take until it is connected.
const CONNECT_TIME: Duration = Duration::from_secs(30);

/// What is published, and to whom it goes.
#[derive(Debug)]
pub struct Stage {
    outlets: Mutex<Vec<Outlet>>,
    /// A viewer needs a key frame.
    key_frame: Notify,
    /// Its other half goes with the publisher.
    publisher: watch::Receiver<()>,
}

/// One kind of media to one viewer.
#[derive(Debug)]
struct Outlet {
    kind: TrackKind,
    track: RtpSender,
    /// The payload type that was forwarded last, and what it is for this viewer.
    number: Option<(PayloadType, PayloadType)>,
}

/// A publisher's place; free again when this is dropped.
#[derive(Debug)]
pub struct Publishing {
    hall: Arc<Hall>,
    pub stage: Arc<Stage>,
    _publisher: watch::Sender<()>,
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.hall.close_stage();
    }
}

/// A viewer's place.
#[derive(Debug)]
pub struct Watching {
    pub hall: Arc<Hall>,
    pub stage: Arc<Stage>,
    pub _seat: Seat,
}

impl Publishing {
    pub fn new(hall: Arc<Hall>) -> Self {
        let (_publisher, publisher) = watch::channel(());
        let stage = Stage { outlets: Mutex::default(), key_frame: Notify::new(), publisher };
        Self { hall, stage: Arc::new(stage), _publisher }
    }

    /// Forwards what comes until the publisher goes.
    pub async fn run(self, id: String, connection: PeerConnection) {
        let connected = timeout(CONNECT_TIME, connection.connected()).await;
        if matches!(connected, Ok(Ok(()))) {
            while let Some(event) = next_event(&connection).await {
                if let PeerConnectionEvent::Track(track) = event {
                    tokio::spawn(forward(track, self.stage.clone()));
                }
            }
        }
        self.hall.leave(&id);
    }
}

impl Watching {
    /// Lets the viewer watch until it or the publisher goes.
    pub async fn run(self, id: String, connection: PeerConnection) {
        let mut publisher = self.stage.publisher.clone();
        let mut outlets = Vec::new();
        if matches!(timeout(CONNECT_TIME, connection.connected()).await, Ok(Ok(()))) {
            for transceiver in connection.transceivers() {
                let Ok(track) = connection.sender(transceiver.id()) else { continue };
                outlets.push(track.clone());
                self.stage.lock().push(Outlet {
                    kind: transceiver.kind(),
                    track: track.clone(),
                    number: None,
                });
                let stage = self.stage.clone();
                tokio::spawn(async move {
                    while track.key_frame_requested().await.is_some() {
                        stage.key_frame.notify_one();
                    }
                });
            }
            self.stage.key_frame.notify_one();
            tokio::select! {
                () = async { while next_event(&connection).await.is_some() {} } => {}
                _ = publisher.changed() => {}
            }
        }
        self.stage.lock().retain(|outlet| !outlets.contains(&outlet.track));
        self.hall.leave(&id);
    }
}

impl Stage {
    fn lock(&self) -> MutexGuard<'_, Vec<Outlet>> {
        self.outlets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next event, until the connection is over. One that has failed counts as such: it would wait for an ICE restart,
/// which WHIP and WHEP have no request for here.
async fn next_event(connection: &PeerConnection) -> Option<PeerConnectionEvent> {
    let is_failure = |event: &PeerConnectionEvent| {
        matches!(event, PeerConnectionEvent::ConnectionState { state: ConnectionState::Failed, .. })
    };
    connection.next_event().await.filter(|event| !is_failure(event))
}

/// Each packet to all who take its kind, and a wish for a key frame back.
async fn forward(remote: RtpReceiver, stage: Arc<Stage>) {
    let kind = remote.kind();
    loop {
        tokio::select! {
            packet = remote.recv_rtp() => {
                let Some(packet) = packet else { return };
                for outlet in stage.lock().iter_mut().filter(|outlet| Some(outlet.kind) == kind) {
                    outlet.send(&remote, &packet);
                }
            }
            () = stage.key_frame.notified(), if kind == Some(TrackKind::Video) => remote.request_key_frame(),
        }
    }
}

impl Outlet {
    fn send(&mut self, remote: &RtpReceiver, received: &RtpPacket) {
        let packet = received.as_packet();
        let number = match self.number {
            Some((theirs, ours)) if theirs == packet.payload_type() => ours,
            _ => {
                let Some(codec) = remote.codec_of(&packet) else { return };
                let Some(ours) = self.track.payload_type_for(&codec.codec) else { return };
                self.number = Some((packet.payload_type(), ours));
                ours
            }
        };
        // The payload is shared, not copied; gaps stay gaps, and are repaired on each hop by itself.
        // A viewer that does not keep up, or is gone, is not the others' business.
        let _ = self.track.send_rtp(received.to_outgoing(number));
    }
}
