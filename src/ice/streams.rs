//! Streams that an agent asks for.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::layer::{FiveTuple, Framing, Protocol, StreamOpening, StreamRequest, StreamToken};

/// What is to be done with the streams of an agent.
#[derive(Debug, Default)]
pub(super) struct StreamQueue {
    requests: VecDeque<StreamRequest>,
    next_token: u64,
    /// The sockets of UDP that were opened, by the paths that they were reported with.
    sockets: Vec<FiveTuple>,
}

impl StreamQueue {
    /// Asks for a stream from an address of this machine, from a port that the system chooses.
    pub(super) fn open(
        &mut self,
        mut local: SocketAddr,
        remote: SocketAddr,
        framing: Framing,
        tls: Option<String>,
    ) -> StreamToken {
        local.set_port(0);
        self.open_from(local, remote, framing, tls)
    }

    /// The same from this port.
    pub(super) fn open_from(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        framing: Framing,
        tls: Option<String>,
    ) -> StreamToken {
        let token = StreamToken(self.next_token);
        self.next_token += 1;
        let mut opening = StreamOpening::new(token, local, remote, framing);
        opening.tls = tls;
        self.requests.push_back(StreamRequest::Open(opening));
        token
    }

    /// A stream that is not open yet is not wanted any more.
    pub(super) fn abandon(&mut self, token: StreamToken) {
        let is_it = |request: &StreamRequest| matches!(request, StreamRequest::Open(it) if it.token == token);
        match self.requests.iter().position(is_it) {
            Some(unasked) => drop(self.requests.remove(unasked)),
            None => self.requests.push_back(StreamRequest::Abandon(token)),
        }
    }

    /// A stream of the peer is to stay.
    pub(super) fn keep(&mut self, path: FiveTuple) {
        self.requests.push_back(StreamRequest::Keep(path));
    }

    /// What was asked for has been opened.
    pub(super) fn opened(&mut self, path: FiveTuple) {
        if path.protocol == Protocol::Udp {
            self.sockets.push(path);
        }
    }

    /// What was open is closed already.
    pub(super) fn forget(&mut self, path: FiveTuple) {
        self.sockets.retain(|socket| *socket != path);
    }

    /// Closes the stream that a path is, or the socket that was opened for it; that of all stays.
    pub(super) fn close(&mut self, path: FiveTuple) {
        if path.protocol != Protocol::Udp {
            self.requests.push_back(StreamRequest::Close(path));
        } else if let Some(place) = self.sockets.iter().position(|socket| socket.local == path.local) {
            let opened = self.sockets.swap_remove(place);
            self.requests.push_back(StreamRequest::Close(opened));
        }
    }

    pub(super) fn poll(&mut self) -> Option<StreamRequest> {
        self.requests.pop_front()
    }
}

/// The streams of pairs.
#[derive(Debug, Default)]
pub(super) struct PairStreams {
    /// Those that were asked for.
    pub(super) opening: Vec<StreamToken>,
    /// Those that this side has opened.
    pub(super) open: Vec<FiveTuple>,
    /// Those that the peer has opened, and proved to be its own.
    pub(super) kept: Vec<FiveTuple>,
    /// The time that was taken by opening some.
    taken: Option<Instant>,
}

impl PairStreams {
    /// Of the peer so many are kept.
    pub(super) const MAX_KEPT: usize = 16;

    /// So many are opened to it at a time.
    const MAX_OPEN: usize = 32;

    /// One takes so much of the time of all, of which so much may be ahead: whoever says addresses of others without end has
    /// few connections opened to them.
    const OPENING: Duration = Duration::from_secs(1);
    const AHEAD: Duration = Duration::from_secs(256);

    /// Whether another one may be asked for now, which takes its time then.
    pub(super) fn may_open(&mut self, now: Instant) -> bool {
        let taken = self.taken.map_or(now, |taken| taken.max(now));
        let may_open = self.opening.len() + self.open.len() < Self::MAX_OPEN && taken < now + Self::AHEAD;
        if may_open {
            self.taken = Some(taken + Self::OPENING);
        }
        may_open
    }

    /// One is closed already.
    pub(super) fn forget(&mut self, path: &FiveTuple) {
        self.open.retain(|open| open != path);
        self.kept.retain(|kept| kept != path);
    }

    pub(super) fn close(&mut self, queue: &mut StreamQueue) {
        let Self { opening, open, kept, .. } = std::mem::take(self);
        opening.into_iter().for_each(|token| queue.abandon(token));
        open.into_iter().chain(kept).for_each(|path| queue.close(path));
    }
}
