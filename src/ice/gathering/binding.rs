//! Binding requests to STUN servers, for server-reflexive candidates.

use std::net::SocketAddr;
use std::time::Instant;

use crate::crypto::SecureRandom;
use crate::ice::config::Config;
use crate::layer::{CandidateError, FiveTuple};
use crate::stun::{Retransmission, RetransmissionStep, TransactionId};

/// The questions to STUN servers (RFC 8445 §5.1.1.2).
#[derive(Debug, Default)]
pub(in crate::ice) struct Bindings {
    queries: Vec<Query>,
}

#[derive(Debug)]
struct Query {
    base: usize,
    path: FiveTuple,
    id: TransactionId,
    state: QueryState,
    is_error_told: bool,
}

#[derive(Debug)]
enum QueryState {
    /// Waits for its turn.
    Queued,
    /// Asked, for the first time or to keep the mapping alive.
    Asked { transaction: Retransmission, first: bool },
    /// Answered; asked again at this time to keep the mapping alive (RFC 8445 §5.1.1.4).
    Answered { keepalive: Instant },
    /// The server does not answer, or refused with this error code.
    Failed { code: Option<u16> },
}

/// What a server told.
#[derive(Debug)]
pub(in crate::ice) struct Answer {
    pub(in crate::ice) base: usize,
    pub(in crate::ice) server: SocketAddr,
}

impl Bindings {
    /// Plans to ask the server at the other end of a path from its base, unless that is planned.
    pub(super) fn add(&mut self, base: usize, path: FiveTuple) {
        if self.queries.iter().any(|query| query.path == path) {
            return;
        }
        let (id, state) = (TransactionId([0; 12]), QueryState::Queued);
        self.queries.push(Query { base, path, id, state, is_error_told: false });
    }

    /// The questions from a base are of no use any more.
    pub(super) fn forget_base(&mut self, base: usize) {
        self.queries.retain(|query| query.base != base);
    }

    /// Whether a server is still to answer.
    pub(in crate::ice) fn is_pending(&self) -> bool {
        let pending =
            |query: &Query| matches!(query.state, QueryState::Queued | QueryState::Asked { first: true, .. });
        self.queries.iter().any(pending)
    }

    pub(in crate::ice) fn has_queued(&self) -> bool {
        self.queries.iter().any(|query| matches!(query.state, QueryState::Queued))
    }

    /// Asks the next question that waits for its turn.
    pub(in crate::ice) fn start_next(
        &mut self,
        now: Instant,
        config: &Config,
        random: &dyn SecureRandom,
    ) -> Option<(FiveTuple, TransactionId)> {
        let query = self.queries.iter_mut().find(|query| matches!(query.state, QueryState::Queued))?;
        Some(query.ask(now, config, random, true))
    }

    /// A question that is to be repeated, or asked again to keep a mapping alive.
    pub(in crate::ice) fn repeat(
        &mut self,
        now: Instant,
        config: &Config,
        random: &dyn SecureRandom,
    ) -> Option<(FiveTuple, TransactionId)> {
        for query in &mut self.queries {
            match &mut query.state {
                QueryState::Asked { transaction, .. } => match transaction.step(now) {
                    RetransmissionStep::Send => return Some((query.path, query.id)),
                    RetransmissionStep::TimedOut => query.state = QueryState::Failed { code: None },
                    RetransmissionStep::Wait => {}
                },
                QueryState::Answered { keepalive } if *keepalive <= now => {
                    return Some(query.ask(now, config, random, false));
                }
                _ => {}
            }
        }
        None
    }

    /// Takes a response that came by `path`, with the error code if it is a refusal; `None` if it answers no
    /// question.
    pub(in crate::ice) fn answer(
        &mut self,
        now: Instant,
        path: &FiveTuple,
        id: TransactionId,
        refusal: Option<u16>,
        config: &Config,
    ) -> Option<Answer> {
        let query = self.queries.iter_mut().find(|query| {
            matches!(query.state, QueryState::Asked { .. }) && query.id == id && query.path == *path
        })?;
        query.state = match refusal {
            None => QueryState::Answered { keepalive: now + config.server_keepalive },
            Some(_) => QueryState::Failed { code: refusal },
        };
        Some(Answer { base: query.base, server: path.remote })
    }

    /// The mappings are needed no more: a pair was nominated.
    pub(in crate::ice) fn stop_keepalives(&mut self) {
        let keeps_alive = |query: &Query| {
            matches!(query.state, QueryState::Answered { .. } | QueryState::Asked { first: false, .. })
        };
        self.queries.retain(|query| !keeps_alive(query));
    }

    /// What went wrong with the servers.
    pub(super) fn errors(&self) -> impl Iterator<Item = CandidateError> {
        self.queries.iter().filter_map(Query::error)
    }

    /// What went wrong with one of them and was not told yet.
    pub(super) fn take_error(&mut self) -> Option<(FiveTuple, CandidateError)> {
        self.queries.iter_mut().find_map(|query| {
            let error = query.error().filter(|_| !query.is_error_told)?;
            query.is_error_told = true;
            Some((query.path, error))
        })
    }

    /// When a question is to be repeated next.
    pub(in crate::ice) fn timeout(&self) -> Option<Instant> {
        let due = self.queries.iter().filter_map(|query| match &query.state {
            QueryState::Asked { transaction, .. } => Some(transaction.due()),
            QueryState::Answered { keepalive } => Some(*keepalive),
            QueryState::Queued | QueryState::Failed { .. } => None,
        });
        due.min()
    }
}

impl Query {
    fn error(&self) -> Option<CandidateError> {
        let (server, base) = (self.path.remote, self.path.local);
        match self.state {
            QueryState::Failed { code: None } => Some(CandidateError::ServerSilent { server, base }),
            QueryState::Failed { code: Some(code) } => {
                Some(CandidateError::ServerRefused { server, base, code })
            }
            _ => None,
        }
    }

    fn ask(
        &mut self,
        now: Instant,
        config: &Config,
        random: &dyn SecureRandom,
        first: bool,
    ) -> (FiveTuple, TransactionId) {
        self.id = TransactionId::random(random);
        let mut transaction = Retransmission::new(now, config.server_retransmission);
        transaction.step(now);
        self.state = QueryState::Asked { transaction, first };
        (self.path, self.id)
    }
}
