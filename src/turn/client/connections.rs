//! The TCP connections of an allocation, RFC 6062.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use crate::layer::{FiveTuple, StreamRequest, StreamToken};
use crate::stun::CredentialsClient;
use crate::turn::attribute::ConnectionId;

/// Names a connection from the first to the last, also to those who open its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectionNumber(pub(super) u64);

impl ConnectionNumber {
    pub(super) fn token(self) -> StreamToken {
        StreamToken(self.0)
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) number: ConnectionNumber,
    pub(super) peer: SocketAddr,
    pub(super) stage: Stage,
    /// When it must have got on.
    pub(super) until: Option<Instant>,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// The server is asked to connect to the peer.
    Asked,
    /// The peer has connected, and the application has not said whether it may.
    Attempt(ConnectionId),
    /// A stream to the server is being opened.
    Opening(ConnectionId),
    /// The server is asked to join both.
    Binding(Box<Binding>),
    Open(FiveTuple),
}

/// A stream that is about to be that of a peer.
pub(super) struct Binding {
    pub(super) path: FiveTuple,
    pub(super) id: ConnectionId,
    /// Where the server wants another nonce by this stream than by the one of the allocation.
    pub(super) credentials: Option<CredentialsClient>,
    /// What has arrived of a response.
    pub(super) arrived: Vec<u8>,
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn path(&self) -> Option<FiveTuple> {
        match &self.stage {
            Stage::Binding(binding) => Some(binding.path),
            Stage::Open(path) => Some(*path),
            Stage::Asked | Stage::Attempt(_) | Stage::Opening(_) => None,
        }
    }

    pub(super) fn is_attempt(&self) -> bool {
        matches!(self.stage, Stage::Attempt(_))
    }
}

/// All of them, and what is to be done with their streams.
#[derive(Debug, Default)]
pub(super) struct Connections {
    all: Vec<Connection>,
    next: u64,
    pub(super) requests: VecDeque<StreamRequest>,
}

impl Connections {
    pub(super) fn insert(
        &mut self,
        peer: SocketAddr,
        stage: Stage,
        until: Option<Instant>,
    ) -> ConnectionNumber {
        let number = ConnectionNumber(self.next);
        self.next += 1;
        self.all.push(Connection { number, peer, stage, until });
        number
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.all.iter()
    }

    pub(super) fn get(&self, number: ConnectionNumber) -> Option<&Connection> {
        self.all.iter().find(|connection| connection.number == number)
    }

    pub(super) fn get_mut(&mut self, number: ConnectionNumber) -> Option<&mut Connection> {
        self.all.iter_mut().find(|connection| connection.number == number)
    }

    pub(super) fn binding(&self, number: ConnectionNumber) -> Option<&Binding> {
        match &self.get(number)?.stage {
            Stage::Binding(binding) => Some(binding),
            _ => None,
        }
    }

    pub(super) fn binding_mut(&mut self, number: ConnectionNumber) -> Option<&mut Binding> {
        match &mut self.get_mut(number)?.stage {
            Stage::Binding(binding) => Some(binding),
            _ => None,
        }
    }

    pub(super) fn of_peer(&self, peer: SocketAddr) -> Option<&Connection> {
        self.all.iter().find(|connection| connection.peer == peer)
    }

    pub(super) fn by_path(&self, path: &FiveTuple) -> Option<&Connection> {
        self.all.iter().find(|connection| connection.path() == Some(*path))
    }

    pub(super) fn opened_by(&self, token: StreamToken) -> Option<ConnectionNumber> {
        let is_it = |it: &&Connection| matches!(it.stage, Stage::Opening(_)) && it.number.token() == token;
        self.all.iter().find(is_it).map(|connection| connection.number)
    }

    /// Those that peers wait for an answer to, or all others.
    pub(super) fn count(&self, are_attempts: bool) -> usize {
        self.all.iter().filter(|connection| connection.is_attempt() == are_attempts).count()
    }

    /// Takes a connection out, and has its stream closed.
    pub(super) fn remove(&mut self, number: ConnectionNumber) -> Option<Connection> {
        let place = self.all.iter().position(|connection| connection.number == number)?;
        let connection = self.all.remove(place);
        match (&connection.stage, connection.path()) {
            (_, Some(path)) => self.requests.push_back(StreamRequest::Close(path)),
            (Stage::Opening(_), None) => self.abandon(number),
            (_, None) => {}
        }
        Some(connection)
    }

    /// The same of one whose stream is closed already, or was never opened.
    pub(super) fn forget(&mut self, number: ConnectionNumber) -> Option<Connection> {
        let place = self.all.iter().position(|connection| connection.number == number)?;
        Some(self.all.remove(place))
    }

    fn abandon(&mut self, number: ConnectionNumber) {
        let token = number.token();
        let is_it = |request: &StreamRequest| matches!(request, StreamRequest::Open(it) if it.token == token);
        match self.requests.iter().position(is_it) {
            Some(unasked) => drop(self.requests.remove(unasked)),
            None => self.requests.push_back(StreamRequest::Abandon(token)),
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.all.iter().filter_map(|connection| connection.until).min()
    }

    /// One that has not got on in time.
    pub(super) fn late(&self, now: Instant) -> Option<ConnectionNumber> {
        let is_late = |it: &&Connection| it.until.is_some_and(|until| until <= now);
        self.all.iter().find(is_late).map(|connection| connection.number)
    }

    pub(super) fn first(&self) -> Option<ConnectionNumber> {
        self.all.first().map(|connection| connection.number)
    }
}
