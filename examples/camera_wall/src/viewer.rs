//! One viewer: a WebSocket for signalling and one connection for all cameras that it watches.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use kaon_rtc::peer_connection::{
    ConnectionState, Description, IceCandidateInit, PeerConnection, PeerConnectionError, PeerConnectionEvent,
    SignalingState, TrackKind, TransceiverInit,
};
use kaon_rtc::sdp::Direction;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::allowance::{Allowance, Share};
use crate::camera::Camera;
use crate::feed::{Feed, FeedCodec};
use crate::message::{CameraInfo, CandidateInit, FromPage, TileInfo, ToPage};
use crate::outlet::Outlet;
use crate::server::Wall;

/// A page that is connected.
pub struct Viewer {
    wall: Arc<Wall>,
    socket: WebSocket,
    connection: PeerConnection,
    tiles: Vec<Tile>,
    next_tile: u32,
    /// Tracks that a removed camera has left, for the next one.
    free: Vec<Arc<Outlet>>,
    visible: HashSet<u32>,
    audible: HashSet<u32>,
    allowance: Allowance,
    /// What the page was told of tiles that it gets less of: those that are slow, and those that are paused.
    reduced: (Vec<u32>, Vec<u32>),
    /// Lets one camera begin at a time.
    starting: Arc<Semaphore>,
    /// The wall has changed since the last offer.
    is_offer_due: bool,
    /// What the page is expected to do until when, if it has not done it yet.
    deadline: Option<Instant>,
    heard: Instant,
}

/// A camera on the viewer's wall.
struct Tile {
    id: u32,
    camera: Arc<Camera>,
    parts: Vec<Part>,
}

/// The picture or the sound of a tile.
struct Part {
    feed: Arc<Feed>,
    outlet: Arc<Outlet>,
    playing: Option<Playing>,
}

/// A task that ends when it is not wanted any more.
struct Playing(JoinHandle<()>);

impl Drop for Playing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why a viewer is gone.
#[derive(Debug, Error)]
pub enum ViewerError {
    #[error("the page is gone")]
    Gone,
    #[error("the page does not read what it is told")]
    Stuck,
    #[error("not a message of the page: {0}")]
    Message(#[from] serde_json::Error),
    #[error(transparent)]
    Connection(#[from] PeerConnectionError),
    #[error("the connection failed")]
    Failed,
    #[error("the page said nothing for too long")]
    Silent,
}

/// The most tiles of one viewer: a tile has up to two media sections, and a connection 256.
const MAX_TILES: usize = 120;
/// A page that takes nothing for so long is given up.
const SEND_LIMIT: Duration = Duration::from_secs(10);
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// How long a page may take until it says what it wants to see, and from then on until it is connected. One that only
/// holds its seat makes room then.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a page is asked whether it is still there; browsers answer by themselves. And how long it may be silent.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const SILENCE: Duration = Duration::from_secs(40);

impl Viewer {
    /// Serves a page until it leaves or its connection fails.
    pub async fn serve(wall: Arc<Wall>, socket: WebSocket) -> Result<(), ViewerError> {
        let builder = PeerConnection::builder().endpoint(&wall.endpoint).identity(wall.identity.clone());
        let connection = builder.build().await?;
        let mut viewer = Self {
            wall,
            socket,
            connection: connection.clone(),
            tiles: Vec::new(),
            next_tile: 1,
            free: Vec::new(),
            visible: HashSet::new(),
            audible: HashSet::new(),
            allowance: Allowance::new(Instant::now()),
            reduced: Default::default(),
            starting: Arc::new(Semaphore::new(1)),
            is_offer_due: false,
            deadline: Some(Instant::now() + PATIENCE),
            heard: Instant::now(),
        };
        let result = viewer.run().await;
        connection.close();
        result
    }

    async fn run(&mut self) -> Result<(), ViewerError> {
        let wall = self.wall.clone();
        self.tell(&ToPage::Hello { cameras: wall.cameras.iter().map(|camera| camera.info()).collect() })
            .await?;
        let mut status = interval(STATUS_INTERVAL);
        status.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ping = interval(PING_INTERVAL);
        let connection = self.connection.clone();
        loop {
            tokio::select! {
                message = self.socket.recv() => {
                    self.heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => self.handle(serde_json::from_str(&text)?).await?,
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                        Some(Ok(_)) => {}
                    }
                }
                event = connection.next_event() => match event {
                    Some(PeerConnectionEvent::IceCandidate(candidate)) => {
                        self.tell(&ToPage::Candidate { candidate: candidate.into() }).await?;
                    }
                    Some(PeerConnectionEvent::ConnectionState { state: ConnectionState::Connected, .. }) => self.deadline = None,
                    Some(PeerConnectionEvent::ConnectionState { state: ConnectionState::Failed, .. }) | None => {
                        return Err(ViewerError::Failed);
                    }
                    Some(_) => {}
                },
                _ = ping.tick() => self.send(Message::Ping(Default::default())).await?,
                _ = status.tick() => {
                    self.check_alive()?;
                    self.tell(&wall.status()).await?;
                    self.adapt().await?;
                }
            }
        }
    }

    /// A page that holds a seat and does nothing with it leaves it to others.
    fn check_alive(&self) -> Result<(), ViewerError> {
        let is_late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        match is_late || self.heard.elapsed() > SILENCE {
            true => Err(ViewerError::Silent),
            false => Ok(()),
        }
    }

    async fn handle(&mut self, message: FromPage) -> Result<(), ViewerError> {
        match message {
            FromPage::Watch { cameras } => {
                // A wall without cameras has nothing to connect for.
                self.deadline = None;
                // Once: later there are `add` and `remove`.
                if self.tiles.is_empty() {
                    for camera in self.wall.find(cameras.as_deref()) {
                        self.add(camera)?;
                    }
                }
            }
            FromPage::Answer { sdp } => {
                let answer = Description::answer(&sdp).map_err(PeerConnectionError::from)?;
                self.connection.set_remote_description(&answer)?;
                self.update_playing();
                let unsupported = self.tiles.iter().filter(|tile| !tile.is_supported());
                let tiles = unsupported.map(|tile| tile.id).collect();
                self.tell(&ToPage::Unsupported { tiles }).await?;
            }
            FromPage::Candidate { candidate } => {
                // One that this side cannot use, such as TCP, takes nothing from the others.
                let _ = self.connection.add_ice_candidate(&candidate.into());
            }
            FromPage::Add { camera } => match self.wall.find(Some(&[camera])).pop() {
                Some(camera) => self.add(camera)?,
                None => self.tell(&ToPage::Refused { reason: "there is no such camera".to_owned() }).await?,
            },
            FromPage::Remove { tile } => self.remove(tile)?,
            FromPage::Visible { tiles } => {
                self.visible = tiles.into_iter().take(MAX_TILES).collect();
                self.update_playing();
            }
            FromPage::Audible { tiles } => {
                self.audible = tiles.into_iter().take(MAX_TILES).collect();
                self.update_playing();
            }
        }
        self.offer_if_due().await
    }

    fn add(&mut self, camera: Arc<Camera>) -> Result<(), ViewerError> {
        if self.tiles.len() >= MAX_TILES {
            return Ok(());
        }
        let id = self.next_tile;
        self.next_tile += 1;
        let mut parts = Vec::new();
        for feed in &camera.feeds {
            let outlet = self.outlet(feed.codec(), id)?;
            parts.push(Part { feed: feed.clone(), outlet, playing: None });
        }
        self.tiles.push(Tile { id, camera, parts });
        self.is_offer_due = true;
        Ok(())
    }

    /// A track for a codec: one that is free, or a new one.
    fn outlet(&mut self, codec: FeedCodec, tile: u32) -> Result<Arc<Outlet>, ViewerError> {
        if let Some(at) = self.free.iter().position(|outlet| outlet.kind == codec.kind()) {
            let outlet = self.free.swap_remove(at);
            self.connection.set_direction(outlet.track.id(), Direction::SendOnly)?;
            return Ok(outlet);
        }
        let init = TransceiverInit::new(Direction::SendOnly)
            .stream(format!("tile-{tile}"))
            .codecs(codec.negotiable());
        let id = self.connection.add_transceiver(codec.kind(), init)?;
        Ok(Outlet::new(self.connection.sender(id)?, codec.kind()))
    }

    fn remove(&mut self, id: u32) -> Result<(), ViewerError> {
        let Some(at) = self.tiles.iter().position(|tile| tile.id == id) else { return Ok(()) };
        for Part { outlet, .. } in self.tiles.remove(at).parts {
            // A page that takes none of the codecs has given the section up.
            if self.connection.set_direction(outlet.track.id(), Direction::Inactive).is_ok() {
                self.free.push(outlet);
            }
        }
        self.is_offer_due = true;
        Ok(())
    }

    /// Sends less to a connection that is too slow, and more to one that is not any more.
    async fn adapt(&mut self) -> Result<(), ViewerError> {
        let cameras = self.tiles.iter().filter(|tile| self.visible.contains(&tile.id)).count();
        self.allowance.look(Instant::now(), &self.connection.get_stats(), cameras);
        let reduced = self.update_playing();
        if reduced == self.reduced {
            return Ok(());
        }
        let (slow, paused) = reduced.clone();
        self.reduced = reduced;
        self.tell(&ToPage::Reduced { slow, paused }).await
    }

    /// Sends what is in sight, heard, negotiated and not too much for the connection, and nothing else. Tells the
    /// tiles of which it is only the key frames, and those of which it is nothing.
    fn update_playing(&mut self) -> (Vec<u32>, Vec<u32>) {
        let (mut slow, mut paused) = (Vec::new(), Vec::new());
        let visible = &self.visible;
        let cameras = self.tiles.iter().filter(|tile| visible.contains(&tile.id)).count();
        let mut before = 0;
        for tile in &mut self.tiles {
            let share = match visible.contains(&tile.id) {
                true => self.allowance.share(before, cameras),
                false => Share::Nothing,
            };
            if visible.contains(&tile.id) {
                before += 1;
                match share {
                    Share::Full => {}
                    Share::KeyFrames => slow.push(tile.id),
                    Share::Nothing => paused.push(tile.id),
                }
            }
            let is_audible = self.audible.contains(&tile.id);
            for part in &mut tile.parts {
                let is_wanted =
                    share != Share::Nothing && (part.outlet.kind == TrackKind::Video || is_audible);
                part.outlet.set_key_frames_only(share == Share::KeyFrames);
                let payload_type = part
                    .outlet
                    .payload_type(part.feed.codec())
                    .filter(|_| is_wanted && part.outlet.track.may_send());
                match payload_type {
                    None => part.playing = None,
                    Some(payload_type) if part.playing.is_none() => {
                        let play =
                            part.outlet.clone().play(part.feed.clone(), payload_type, self.starting.clone());
                        part.playing = Some(Playing(tokio::spawn(play)));
                    }
                    Some(_) => {}
                }
            }
        }
        (slow, paused)
    }

    async fn offer_if_due(&mut self) -> Result<(), ViewerError> {
        if !self.is_offer_due || self.connection.signaling_state() != SignalingState::Stable {
            return Ok(());
        }
        self.is_offer_due = false;
        if self.connection.connection_state() == ConnectionState::New {
            self.deadline = Some(Instant::now() + PATIENCE);
        }
        self.connection.set_local_description(None)?;
        let Some(offer) = self.connection.local_description() else { return Ok(()) };
        let tiles = self.tiles.iter().map(Tile::info).collect();
        let text = serde_json::to_string(&ToPage::Offer { sdp: offer.text(), tiles })?;
        self.send(Message::Text(text.into())).await
    }

    async fn tell(&mut self, message: &ToPage<'_>) -> Result<(), ViewerError> {
        self.send(Message::Text(serde_json::to_string(message)?.into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), ViewerError> {
        match timeout(SEND_LIMIT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(ViewerError::Gone),
            Err(_) => Err(ViewerError::Stuck),
        }
    }
}

impl Tile {
    /// The page takes the codec of its picture.
    fn is_supported(&self) -> bool {
        self.parts.iter().all(|part| part.outlet.payload_type(part.feed.codec()).is_some())
    }

    fn info(&self) -> TileInfo<'_> {
        let mid = |kind| {
            let part = self.parts.iter().find(|part| part.feed.codec().kind() == kind)?;
            Some(part.outlet.track.transceiver()?.mid()?.to_string())
        };
        TileInfo {
            tile: self.id,
            camera: &self.camera.name,
            video: mid(TrackKind::Video),
            audio: mid(TrackKind::Audio),
        }
    }
}

impl Camera {
    fn info(&self) -> CameraInfo<'_> {
        let codec = |kind| {
            let feed = self.feeds.iter().find(|feed| feed.codec().kind() == kind)?;
            Some(feed.codec().name())
        };
        CameraInfo { name: &self.name, picture: codec(TrackKind::Video), sound: codec(TrackKind::Audio) }
    }
}

impl From<IceCandidateInit> for CandidateInit {
    fn from(init: IceCandidateInit) -> Self {
        Self {
            candidate: init.candidate,
            sdp_mid: init.sdp_mid,
            sdp_m_line_index: init.sdp_m_line_index,
            username_fragment: init.username_fragment,
        }
    }
}

impl From<CandidateInit> for IceCandidateInit {
    fn from(init: CandidateInit) -> Self {
        let mut candidate = Self::new(init.candidate);
        candidate.sdp_mid = init.sdp_mid;
        candidate.sdp_m_line_index = init.sdp_m_line_index;
        candidate.username_fragment = init.username_fragment;
        candidate
    }
}
