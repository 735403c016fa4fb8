//! Binding requests to STUN servers over TCP and TLS.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::crypto::SecureRandom;
use crate::ice::config::{Config, StunServer};
use crate::ice::local::Base;
use crate::ice::streams::StreamQueue;
use crate::layer::{CandidateError, FiveTuple, Framing, IceCandidateError, StreamReport, StreamToken};
use crate::stun::{Retransmission, RetransmissionStep, TransactionId};

/// What a server that does not take connections is told of as.
const NO_CONNECTION: &str = "it does not answer to the connection that is opened; is it running, and does a firewall let it through to its port?";

/// The questions to STUN servers over streams (RFC 8489 §6.2.2).
#[derive(Debug, Default)]
pub(in crate::ice) struct StreamBindings {
    queries: Vec<Query>,
}

#[derive(Debug)]
struct Query {
    base: usize,
    /// The address that is connected from.
    local: SocketAddr,
    server: StunServer,
    /// Whether the address of the stream is that of a candidate: then it is opened from the port of the base.
    is_of_base: bool,
    state: State,
    is_error_told: bool,
}

#[derive(Debug)]
enum State {
    /// Waits for its turn.
    Queued,
    /// The stream is being opened.
    Connecting { token: StreamToken, patience: Retransmission },
    /// It is open, and the question is sent next.
    Open { path: FiveTuple, patience: Retransmission },
    /// Asked, once: nothing is repeated in a stream.
    Asked { path: FiveTuple, id: TransactionId, patience: Retransmission },
    /// Answered, and the stream stays so that a NAT keeps its mapping (RFC 6544 §11.2).
    Held { path: FiveTuple, mapped: SocketAddr },
    /// Answered, and the stream is closed.
    Answered,
    /// There is no answer.
    Failed(CandidateError),
}

/// What a server sees the streams of a base as.
#[derive(Clone, Debug)]
pub(in crate::ice) struct Mapping {
    pub(in crate::ice) base: usize,
    pub(in crate::ice) server: IpAddr,
    pub(in crate::ice) mapped: SocketAddr,
    pub(in crate::ice) url: String,
}

impl StreamBindings {
    /// Plans to ask a server from a base, unless that is planned. Where the server sees the address of a stream that no
    /// other goes by, one answer will do.
    pub(super) fn add(&mut self, base: usize, of: &Base, server: &StunServer) {
        let is_of_base = of.is_simultaneous();
        let is_like = |query: &Query| {
            let is_same = query.server.address == server.address && query.is_of_base == is_of_base;
            is_same && (!is_of_base || query.base == base)
        };
        if !self.queries.iter().any(is_like) {
            let (local, server, state) = (of.address, server.clone(), State::Queued);
            self.queries.push(Query { base, local, server, is_of_base, state, is_error_told: false });
        }
    }

    /// Begins a new generation: what is known of mappings stays, of servers that do.
    pub(super) fn restart(&mut self, config: &Config, streams: &mut StreamQueue) {
        let is_held = |query: &Query| {
            matches!(query.state, State::Held { .. }) && config.stun_stream_servers.contains(&query.server)
        };
        self.queries.iter_mut().filter(|query| !is_held(query)).for_each(|query| query.leave(streams));
        self.queries.retain(is_held);
    }

    /// The mappings are needed no more.
    pub(super) fn let_go(&mut self, streams: &mut StreamQueue) {
        for query in &mut self.queries {
            if let State::Held { path, .. } = query.state {
                streams.close(path);
                query.state = State::Answered;
            }
        }
    }

    /// The mappings that are known.
    pub(in crate::ice) fn held(&self) -> Vec<Mapping> {
        let mapping = |query: &Query| match query.state {
            State::Held { mapped, .. } => Some(query.mapping(mapped)),
            _ => None,
        };
        self.queries.iter().filter_map(mapping).collect()
    }

    /// Whether a candidate may still come of an answer.
    pub(super) fn is_pending(&self) -> bool {
        let is_under_way =
            |query: &Query| !matches!(query.state, State::Held { .. } | State::Answered | State::Failed(_));
        self.queries.iter().any(|query| query.is_of_base && is_under_way(query))
    }

    /// The base that a stream to a server was opened from.
    pub(in crate::ice) fn base_of(&self, path: &FiveTuple) -> Option<usize> {
        self.queries.iter().find(|query| query.path() == Some(*path)).map(|query| query.base)
    }

    /// The questions from a base are of no use any more.
    pub(in crate::ice) fn forget_base(&mut self, base: usize, streams: &mut StreamQueue) {
        self.queries.iter_mut().filter(|query| query.base == base).for_each(|query| query.leave(streams));
        self.queries.retain(|query| query.base != base);
    }

    /// None is asked any more.
    pub(super) fn close(&mut self, streams: &mut StreamQueue) {
        self.queries.iter_mut().for_each(|query| query.leave(streams));
        self.queries = Vec::new();
    }

    pub(super) fn has_queued(&self) -> bool {
        self.queries.iter().any(|query| matches!(query.state, State::Queued))
    }

    /// Has the stream opened of the next question that waits for its turn; false if there is none.
    pub(in crate::ice) fn start_next(
        &mut self,
        now: Instant,
        config: &Config,
        streams: &mut StreamQueue,
    ) -> bool {
        let next = self.queries.iter_mut().find(|query| matches!(query.state, State::Queued));
        let Some(query) = next else { return false };
        let StunServer { address, tls, .. } = &query.server;
        // RFC 6544 §5.2: from the port of the candidate, which is what the NAT maps.
        let token = match query.is_of_base {
            true => streams.open_from(query.local, *address, Framing::Stun, tls.clone()),
            false => streams.open(query.local, *address, Framing::Stun, tls.clone()),
        };
        let patience = Retransmission::new(now, config.server_retransmission);
        query.state = State::Connecting { token, patience };
        true
    }

    /// Takes what became of a stream; false if it is none to a server.
    pub(in crate::ice) fn handle_stream(&mut self, report: &StreamReport) -> bool {
        self.queries.iter_mut().any(|query| query.handle_stream(report))
    }

    /// Gives up what takes too long, and tells the next question that is to be sent.
    pub(in crate::ice) fn step(
        &mut self,
        now: Instant,
        random: &dyn SecureRandom,
        streams: &mut StreamQueue,
    ) -> Option<(FiveTuple, TransactionId)> {
        self.queries.iter_mut().for_each(|query| query.give_up(now, streams));
        self.queries.iter_mut().find_map(|query| query.ask(random))
    }

    /// Takes a response that came by `path`, with the address that it tells or the error code of a refusal; `None` if it
    /// answers no question.
    pub(in crate::ice) fn answer(
        &mut self,
        path: &FiveTuple,
        id: TransactionId,
        mapped: Option<SocketAddr>,
        code: u16,
        streams: &mut StreamQueue,
    ) -> Option<Option<Mapping>> {
        let asks = |query: &&mut Query| matches!(&query.state, State::Asked { path: by, id: asked, .. } if (by, *asked) == (path, id));
        let query = self.queries.iter_mut().find(asks)?;
        if let Some(mapped) = mapped.filter(|_| query.is_of_base) {
            query.state = State::Held { path: *path, mapped };
            return Some(Some(query.mapping(mapped)));
        }
        query.leave(streams);
        let (server, base) = (query.server.address, query.local);
        query.state = match mapped {
            Some(_) => State::Answered,
            None => State::Failed(CandidateError::ServerRefused { server, base, code }),
        };
        Some(None)
    }

    /// What went wrong with the servers.
    pub(super) fn errors(&self) -> impl Iterator<Item = CandidateError> {
        self.queries.iter().filter_map(Query::error).cloned()
    }

    /// What went wrong with one of them and was not told yet.
    pub(super) fn take_error(&mut self) -> Option<IceCandidateError> {
        self.queries.iter_mut().find_map(|query| {
            let error = query.error().filter(|_| !query.is_error_told)?.clone();
            query.is_error_told = true;
            Some(IceCandidateError::new(query.local, query.server.url(), error.code(), error.to_string()))
        })
    }

    /// When a question is due or given up.
    pub(super) fn timeout(&self) -> Option<Instant> {
        let due = self.queries.iter().filter_map(|query| match &query.state {
            State::Connecting { patience, .. }
            | State::Open { patience, .. }
            | State::Asked { patience, .. } => Some(patience.due()),
            State::Queued | State::Held { .. } | State::Answered | State::Failed(_) => None,
        });
        due.min()
    }
}

impl Query {
    fn path(&self) -> Option<FiveTuple> {
        match &self.state {
            State::Open { path, .. } | State::Asked { path, .. } | State::Held { path, .. } => Some(*path),
            State::Queued | State::Connecting { .. } | State::Answered | State::Failed(_) => None,
        }
    }

    fn mapping(&self, mapped: SocketAddr) -> Mapping {
        let (base, server, url) = (self.base, self.server.address.ip(), self.server.url());
        Mapping { base, server, mapped, url }
    }

    fn error(&self) -> Option<&CandidateError> {
        match &self.state {
            State::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// The stream is not needed any more.
    fn leave(&mut self, streams: &mut StreamQueue) {
        match (&self.state, self.path()) {
            (State::Connecting { token, .. }, _) => streams.abandon(*token),
            (_, Some(path)) => streams.close(path),
            (_, None) => {}
        }
    }

    fn unreachable(&self, reason: &str) -> State {
        let (server, base, reason) = (self.server.address, self.local, reason.to_owned());
        State::Failed(CandidateError::ServerUnreachable { server, base, reason })
    }

    fn handle_stream(&mut self, report: &StreamReport) -> bool {
        match (report, &self.state) {
            (StreamReport::Opened { token, path }, State::Connecting { token: asked, patience })
                if token == asked =>
            {
                self.state = State::Open { path: *path, patience: patience.clone() };
            }
            (StreamReport::Failed { token, reason }, State::Connecting { token: asked, .. })
                if token == asked =>
            {
                self.state = self.unreachable(reason);
            }
            (StreamReport::Closed { path, reason }, _) if self.path() == Some(*path) => {
                self.state = match self.state {
                    State::Held { .. } => State::Answered,
                    _ => self.unreachable(reason),
                };
            }
            _ => return false,
        }
        true
    }

    fn give_up(&mut self, now: Instant, streams: &mut StreamQueue) {
        let (State::Connecting { patience, .. }
        | State::Open { patience, .. }
        | State::Asked { patience, .. }) = &mut self.state
        else {
            return;
        };
        while patience.due() <= now {
            if patience.step(now) == RetransmissionStep::TimedOut {
                self.leave(streams);
                let (server, base) = (self.server.address, self.local);
                self.state = match self.state {
                    State::Connecting { .. } => self.unreachable(NO_CONNECTION),
                    _ => State::Failed(CandidateError::ServerSilent { server, base }),
                };
                return;
            }
        }
    }

    fn ask(&mut self, random: &dyn SecureRandom) -> Option<(FiveTuple, TransactionId)> {
        let State::Open { path, patience } = &self.state else { return None };
        let (path, id) = (*path, TransactionId::random(random));
        self.state = State::Asked { path, id, patience: patience.clone() };
        Some((path, id))
    }
}
