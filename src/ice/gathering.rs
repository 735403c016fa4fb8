//! Gathering of server-reflexive candidates, RFC 8445 §5.1.1.2.

use std::net::SocketAddr;
use std::time::Instant;

use super::config::Config;
use crate::crypto::SecureRandom;
use crate::layer::{CandidateError, FiveTuple};
use crate::stun::{Retransmission, RetransmissionStep, TransactionId};

/// The questions to STUN servers (RFC 8445 §5.1.1.2).
#[derive(Debug)]
pub(super) struct Gathering {
    queries: Vec<Query>,
    /// No further host address will come.
    ended: bool,
    reported: bool,
}

#[derive(Debug)]
struct Query {
    base: usize,
    path: FiveTuple,
    id: TransactionId,
    state: QueryState,
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
pub(super) struct Answer {
    pub(super) base: usize,
    pub(super) server: SocketAddr,
}

impl Gathering {
    pub(super) fn new() -> Self {
        Self { queries: Vec::new(), ended: false, reported: false }
    }

    /// Plans to ask every server of the family from a new base.
    pub(super) fn add_base(&mut self, base: usize, address: SocketAddr, config: &Config) {
        let same_family = config.stun_servers.iter().filter(|server| server.is_ipv4() == address.is_ipv4());
        for server in same_family {
            self.queries.push(Query {
                base,
                path: FiveTuple::udp(address, *server),
                id: TransactionId([0; 12]),
                state: QueryState::Queued,
            });
        }
    }

    /// No further base will be added.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether all candidates are found.
    pub(super) fn is_complete(&self) -> bool {
        let pending =
            |query: &Query| matches!(query.state, QueryState::Queued | QueryState::Asked { first: true, .. });
        self.ended && !self.queries.iter().any(pending)
    }

    /// True once, when it is complete.
    pub(super) fn take_completion(&mut self) -> bool {
        let completed = self.is_complete() && !self.reported;
        self.reported |= completed;
        completed
    }

    pub(super) fn has_queued(&self) -> bool {
        self.queries.iter().any(|query| matches!(query.state, QueryState::Queued))
    }

    /// Asks the next question that waits for its turn.
    pub(super) fn start_next(
        &mut self,
        now: Instant,
        config: &Config,
        random: &dyn SecureRandom,
    ) -> Option<(FiveTuple, TransactionId)> {
        let query = self.queries.iter_mut().find(|query| matches!(query.state, QueryState::Queued))?;
        Some(query.ask(now, config, random, true))
    }

    /// A question that is to be repeated, or asked again to keep a mapping alive.
    pub(super) fn repeat(
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
    pub(super) fn answer(
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
    pub(super) fn stop_keepalives(&mut self) {
        let keeps_alive = |query: &Query| {
            matches!(query.state, QueryState::Answered { .. } | QueryState::Asked { first: false, .. })
        };
        self.queries.retain(|query| !keeps_alive(query));
    }

    /// What went wrong with the servers.
    pub(super) fn errors(&self) -> impl Iterator<Item = CandidateError> {
        self.queries.iter().filter_map(|query| {
            let (server, base) = (query.path.remote, query.path.local);
            match query.state {
                QueryState::Failed { code: None } => Some(CandidateError::ServerSilent { server, base }),
                QueryState::Failed { code: Some(code) } => {
                    Some(CandidateError::ServerRefused { server, base, code })
                }
                _ => None,
            }
        })
    }

    /// When a question is to be repeated next.
    pub(super) fn timeout(&self) -> Option<Instant> {
        let due = self.queries.iter().filter_map(|query| match &query.state {
            QueryState::Asked { transaction, .. } => Some(transaction.due()),
            QueryState::Answered { keepalive } => Some(*keepalive),
            QueryState::Queued | QueryState::Failed { .. } => None,
        });
        due.min()
    }
}

impl Query {
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
