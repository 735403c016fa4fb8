//! Streams between hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::network::{Delivery, HostId, Network, StreamSignal};
use crate::layer::{FiveTuple, Framing, Protocol, StreamReport, StreamRequest, StreamToken};

/// Which streams there are: those of TCP that stand between the layers of a simulation. One takes a round trip to open;
/// a socket of UDP is open at once. One from a port that is given is asked for again and again, as TCP does, and is open
/// when the other side asks for the same one.
#[derive(Debug, Default)]
pub(super) struct Streams {
    listening: BTreeSet<SocketAddr>,
    opening: BTreeMap<(HostId, FiveTuple), Opening>,
    open: BTreeSet<(HostId, FiveTuple)>,
    opened: u16,
}

/// A stream that is asked for.
#[derive(Clone, Copy, Debug)]
struct Opening {
    token: StreamToken,
    /// Of one from a port that is given.
    repetition: Option<Repetition>,
}

/// When it is asked for again.
#[derive(Clone, Copy, Debug)]
struct Repetition {
    began: Instant,
    due: Instant,
    /// The wait after the next one.
    wait: Duration,
    /// The wait after the next refusal.
    after_refusal: Duration,
}

/// How long an answer is waited for.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// So soon one that was refused is asked for once more, at first.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);
/// When it is given up.
const PATIENCE: Duration = Duration::from_secs(10);

impl Repetition {
    fn new(now: Instant) -> Self {
        Self { began: now, due: now + FIRST_WAIT, wait: 2 * FIRST_WAIT, after_refusal: AFTER_REFUSAL }
    }

    fn is_over(&self, now: Instant) -> bool {
        now >= self.began + PATIENCE
    }
}

/// The first port of those that streams are opened from.
const FIRST_PORT: u16 = 32_768;

impl Streams {
    pub(super) fn listen(&mut self, address: SocketAddr) {
        self.listening.insert(address);
    }

    pub(super) fn is_open(&self, host: HostId, path: FiveTuple) -> bool {
        self.open.contains(&(host, path))
    }

    pub(super) fn count(&self, host: HostId) -> usize {
        self.open.iter().filter(|(of, _)| *of == host).count()
    }

    pub(super) fn take_all_of(&mut self, host: HostId) -> Vec<FiveTuple> {
        let is_its = |(of, path): &&(HostId, FiveTuple)| *of == host && path.protocol != Protocol::Udp;
        let of_host: Vec<FiveTuple> = self.open.iter().filter(is_its).map(|(_, path)| *path).collect();
        self.open.retain(|open| !is_its(&open));
        of_host
    }

    /// Does what a layer wants. What became of it is told, as far as it is known at once.
    pub(super) fn ask(
        &mut self,
        network: &mut Network,
        host: HostId,
        request: StreamRequest,
    ) -> Option<StreamReport> {
        match request {
            StreamRequest::Open(opening) => {
                let local = self.local_of(opening.local);
                if opening.framing == Framing::Datagrams {
                    let path = FiveTuple::udp(local, opening.remote);
                    self.open.insert((host, path));
                    return Some(StreamReport::Opened { token: opening.token, path });
                }
                let path = FiveTuple::tcp(local, opening.remote);
                let token = opening.token;
                if self.is_open(host, path) {
                    // The other side was first.
                    return Some(StreamReport::Opened { token, path });
                }
                let is_simultaneous = opening.local.port() != 0 && opening.framing == Framing::Length;
                let repetition = is_simultaneous.then(|| Repetition::new(network.now()));
                self.opening.insert((host, path), Opening { token, repetition });
                network.signal(path, StreamSignal::Open);
            }
            StreamRequest::Abandon(token) => {
                self.opening.retain(|(of, _), other| (*of, other.token) != (host, token));
            }
            StreamRequest::Close(path) => {
                if self.open.remove(&(host, path)) && path.protocol != Protocol::Udp {
                    network.signal(path, StreamSignal::Close);
                }
            }
            StreamRequest::Keep(_) => {}
        }
        None
    }

    fn local_of(&mut self, asked: SocketAddr) -> SocketAddr {
        if asked.port() != 0 {
            return asked;
        }
        let port = FIRST_PORT + self.opened % (u16::MAX - FIRST_PORT);
        self.opened = self.opened.wrapping_add(1);
        SocketAddr::new(asked.ip(), port)
    }

    /// When one is to be asked for again.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.opening.values().filter_map(|opening| Some(opening.repetition?.due)).min()
    }

    /// Asks for them again, and tells one that is given up.
    pub(super) fn repeat(&mut self, network: &mut Network) -> Option<(HostId, StreamReport)> {
        let now = network.now();
        for ((host, path), opening) in &mut self.opening {
            let token = opening.token;
            let Some(repetition) = opening.repetition.as_mut().filter(|repetition| repetition.due <= now)
            else {
                continue;
            };
            if repetition.is_over(now) {
                let (host, path) = (*host, *path);
                self.opening.remove(&(host, path));
                let reason = "no connection in time; does a firewall let TCP through?".to_owned();
                return Some((host, StreamReport::Failed { token, reason }));
            }
            repetition.due = (now + repetition.wait).min(repetition.began + PATIENCE);
            repetition.wait *= 2;
            network.signal(*path, StreamSignal::Open);
        }
        None
    }

    /// What has become of a stream, by what came of it.
    pub(super) fn receive(&mut self, network: &mut Network, delivery: &Delivery) -> Option<StreamReport> {
        let Delivery { host, path, signal, .. } = *delivery;
        match signal {
            StreamSignal::Data => None,
            // Both sides ask, or one has not heard that it is open.
            StreamSignal::Open if self.opening.contains_key(&(host, path)) || self.is_open(host, path) => {
                network.signal(path, StreamSignal::Accept);
                None
            }
            StreamSignal::Open if self.listening.contains(&path.local) => {
                self.open.insert((host, path));
                network.signal(path, StreamSignal::Accept);
                None
            }
            StreamSignal::Open => {
                network.signal(path, StreamSignal::Refuse);
                None
            }
            StreamSignal::Accept => match self.opening.remove(&(host, path)) {
                Some(Opening { token, repetition }) => {
                    self.open.insert((host, path));
                    if repetition.is_some() {
                        // Its acknowledgement, which opens it on the other side.
                        network.signal(path, StreamSignal::Accept);
                    }
                    Some(StreamReport::Opened { token, path })
                }
                None if self.is_open(host, path) => None,
                None => {
                    network.signal(path, StreamSignal::Close);
                    None
                }
            },
            StreamSignal::Refuse => {
                let now = network.now();
                let opening = self.opening.get_mut(&(host, path))?;
                let token = opening.token;
                if let Some(repetition) = &mut opening.repetition {
                    repetition.due = now + repetition.after_refusal;
                    repetition.after_refusal *= 2;
                    return None;
                }
                self.opening.remove(&(host, path));
                Some(StreamReport::Failed { token, reason: "the connection was refused".to_owned() })
            }
            StreamSignal::Close => {
                let reason = "the other side has closed the stream".to_owned();
                self.open.remove(&(host, path)).then_some(StreamReport::Closed { path, reason })
            }
        }
    }
}
