//! Cameras: bundled clips, and programs that send RTP.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kaon_rtc::peer_connection::TrackKind;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use crate::clip::Clip;
use crate::feed::Feed;
use crate::intake::{Fault, Intake};
use crate::options::RtpCamera;

/// What viewers can watch. It runs whether somebody does or not.
#[derive(Debug)]
pub struct Camera {
    pub name: String,
    /// A picture, a sound, or both.
    pub feeds: Vec<Arc<Feed>>,
    health: Vec<Arc<Health>>,
}

/// How a source of RTP does.
#[derive(Debug)]
struct Health {
    address: SocketAddr,
    state: Mutex<HealthState>,
}

#[derive(Debug, Default)]
struct HealthState {
    last_media: Option<Instant>,
    last_fault: Option<(Instant, Fault)>,
}

/// A source that has sent nothing of use for so long is stale.
const STALE: Duration = Duration::from_secs(2);
/// A key frame is many packets at once.
const RECEIVE_BUFFER: usize = 4 << 20;

impl Camera {
    /// A camera that plays a clip. `copy` counts those of the same clip, which are seconds apart.
    pub fn play(clip: &Clip, copy: usize, epoch: Instant) -> Self {
        let lead = Duration::from_secs(3 * copy as u64 % 10);
        let tracks = std::iter::once(&clip.video).chain(&clip.audio);
        let feeds = tracks
            .map(|track| {
                let feed = Feed::new(track.codec);
                tokio::spawn(track.clone().play(feed.clone(), epoch, lead));
                feed
            })
            .collect();
        let name = match copy {
            0 => clip.name.to_owned(),
            _ => format!("{} {}", clip.name, copy + 1),
        };
        Self { name, feeds, health: Vec::new() }
    }

    /// A camera that listens for RTP.
    pub fn listen(name: String) -> Self {
        Self { name, feeds: Vec::new(), health: Vec::new() }
    }

    pub fn has(&self, kind: TrackKind) -> bool {
        self.feeds.iter().any(|feed| feed.codec().kind() == kind)
    }

    /// Adds what a program sends to `source.address`.
    pub fn add_source(&mut self, source: &RtpCamera, epoch: Instant) -> io::Result<()> {
        let socket = bind(source.address)?;
        let feed = Feed::new(source.codec);
        let health = Arc::new(Health { address: source.address, state: Mutex::default() });
        tokio::spawn(receive(socket, feed.clone(), health.clone(), epoch));
        self.feeds.push(feed);
        self.health.push(health);
        Ok(())
    }

    /// Why there is nothing to see; `None` while all is well.
    pub fn complaint(&self) -> Option<String> {
        self.health.iter().find_map(|health| health.complaint())
    }
}

impl Health {
    fn complaint(&self) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Instant| at.elapsed() < STALE;
        if state.last_media.as_ref().is_some_and(is_recent) {
            return None;
        }
        Some(match &state.last_fault {
            Some((at, fault)) if is_recent(at) => format!("{}: {fault}", self.address),
            _ => format!("{}: nothing arrives", self.address),
        })
    }

    fn note(&self, outcome: Result<bool, Fault>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(true) => state.last_media = Some(Instant::now()),
            Ok(false) => {}
            Err(fault) => state.last_fault = Some((Instant::now(), fault)),
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // As much as the system gives.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

async fn receive(socket: UdpSocket, feed: Arc<Feed>, health: Arc<Health>, epoch: Instant) {
    let mut intake = Intake::new(feed.codec());
    let mut buffer = vec![0; 1 << 16];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((len, _)) => {
                let mut has_published = false;
                let outcome = intake.take(epoch.elapsed(), &buffer[..len], |unit| {
                    has_published = true;
                    feed.publish(unit);
                });
                health.note(outcome.map(|()| has_published));
            }
            // What the system tells of an earlier datagram says nothing about the next.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
