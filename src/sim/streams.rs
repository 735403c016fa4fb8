//! Streams between hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::network::{Delivery, HostId, Network, StreamSignal};
use crate::layer::{FiveTuple, Framing, Protocol, StreamReport, StreamRequest, StreamToken};

/// Which streams there are: those of TCP that stand between the layers of a simulation. One takes a round trip to open;
/// a socket of UDP is open at once.
#[derive(Debug, Default)]
pub(super) struct Streams {
    listening: BTreeSet<SocketAddr>,
    opening: BTreeMap<(HostId, FiveTuple), StreamToken>,
    open: BTreeSet<(HostId, FiveTuple)>,
    opened: u16,
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
                let port = FIRST_PORT + self.opened % (u16::MAX - FIRST_PORT);
                self.opened = self.opened.wrapping_add(1);
                let local = SocketAddr::new(opening.local.ip(), port);
                if opening.framing == Framing::Datagrams {
                    let path = FiveTuple::udp(local, opening.remote);
                    self.open.insert((host, path));
                    return Some(StreamReport::Opened { token: opening.token, path });
                }
                let path = FiveTuple::tcp(local, opening.remote);
                self.opening.insert((host, path), opening.token);
                network.signal(path, StreamSignal::Open);
            }
            StreamRequest::Abandon(token) => {
                self.opening.retain(|(of, _), other| (*of, *other) != (host, token));
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

    /// What has become of a stream, by what came of it.
    pub(super) fn receive(&mut self, network: &mut Network, delivery: &Delivery) -> Option<StreamReport> {
        let Delivery { host, path, signal, .. } = *delivery;
        match signal {
            StreamSignal::Data => None,
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
                Some(token) => {
                    self.open.insert((host, path));
                    Some(StreamReport::Opened { token, path })
                }
                None => {
                    network.signal(path, StreamSignal::Close);
                    None
                }
            },
            StreamSignal::Refuse => {
                let token = self.opening.remove(&(host, path))?;
                Some(StreamReport::Failed { token, reason: "the connection was refused".to_owned() })
            }
            StreamSignal::Close => {
                let reason = "the other side has closed the stream".to_owned();
                self.open.remove(&(host, path)).then_some(StreamReport::Closed { path, reason })
            }
        }
    }
}
