//! The names of candidates, looked up for all connections of an endpoint.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

use rustc_hash::FxHashMap;
use tokio::task::JoinSet;

use crate::endpoint::SessionId;
use crate::layer::NameQuery;
use crate::net::mdns::{Resolver, ResolverConfig};

/// A name that a connection wants to know the address of.
#[derive(Debug)]
pub(super) struct NameToResolve {
    pub(super) connection: SessionId,
    pub(super) query: NameQuery,
    pub(super) name: String,
}

/// What became of it: `None` if nobody answers to the name, or too many were asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ResolvedName {
    pub(super) connection: SessionId,
    pub(super) query: NameQuery,
    pub(super) address: Option<IpAddr>,
}

/// Looks up names off the endpoint's task. Every name gets an answer, and whoever had the fewest looked up is next, so
/// that none waits because others name a great many.
#[derive(Debug, Default)]
pub(super) struct Names {
    resolver: Option<Resolver>,
    /// Of each connection that ever asked.
    waiting: FxHashMap<SessionId, Waiting>,
    /// Connections with names that wait, each once.
    turns: BTreeSet<(Turn, SessionId)>,
    next_ticket: u64,
    lookups: JoinSet<ResolvedName>,
    refused: VecDeque<ResolvedName>,
}

/// The names of one connection.
#[derive(Debug, Default)]
struct Waiting {
    names: VecDeque<(NameQuery, String)>,
    under_way: usize,
    looked_up: u32,
    turn: Option<Turn>,
}

/// When it is whose turn: after those who had fewer names looked up, and those who waited longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    looked_up: u32,
    ticket: u64,
}

/// Names of one connection that wait for their turn: more than it has candidates.
const MAX_WAITING: usize = 128;
/// Names of one connection that are looked up at a time.
const MAX_UNDER_WAY: usize = 4;
/// Names of all connections that are looked up at a time. Each is a handful of packets to the local network.
const MAX_LOOKUPS: usize = 256;

impl Names {
    pub(super) fn add(&mut self, asked: NameToResolve) {
        let NameToResolve { connection, query, name } = asked;
        let waiting = self.waiting.entry(connection).or_default();
        if waiting.names.len() >= MAX_WAITING {
            self.refused.push_back(ResolvedName { connection, query, address: None });
            return;
        }
        waiting.names.push_back((query, name));
        self.take_turns(connection);
    }

    /// The next answer; never without one to come. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<ResolvedName> {
        if let Some(refused) = self.refused.pop_front() {
            return Some(refused);
        }
        let resolved = self.lookups.join_next().await?.ok()?;
        if let Some(waiting) = self.waiting.get_mut(&resolved.connection) {
            waiting.under_way -= 1;
        }
        self.take_turns(resolved.connection);
        Some(resolved)
    }

    /// A connection is gone: nobody waits for its names any more.
    pub(super) fn forget(&mut self, connection: SessionId) {
        if let Some(turn) = self.waiting.remove(&connection).and_then(|waiting| waiting.turn) {
            self.turns.remove(&(turn, connection));
        }
    }

    /// Whether a connection has ever asked.
    pub(super) fn knows(&self, connection: SessionId) -> bool {
        self.waiting.contains_key(&connection)
    }

    /// How many connections it knows of.
    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.waiting.len()
    }

    fn take_turns(&mut self, changed: SessionId) {
        self.queue(changed);
        while self.lookups.len() < MAX_LOOKUPS
            && let Some((_, connection)) = self.turns.pop_first()
        {
            self.look_up(connection);
        }
    }

    /// Gives a connection a turn if it has use for one.
    fn queue(&mut self, connection: SessionId) {
        let Some(waiting) = self.waiting.get_mut(&connection) else { return };
        let wants = !waiting.names.is_empty() && waiting.under_way < MAX_UNDER_WAY;
        if wants && waiting.turn.is_none() {
            let turn = Turn { looked_up: waiting.looked_up, ticket: self.next_ticket };
            self.next_ticket += 1;
            waiting.turn = Some(turn);
            self.turns.insert((turn, connection));
        }
    }

    fn look_up(&mut self, connection: SessionId) {
        let Some(waiting) = self.waiting.get_mut(&connection) else { return };
        waiting.turn = None;
        let Some((query, name)) = waiting.names.pop_front() else { return };
        waiting.under_way += 1;
        waiting.looked_up = waiting.looked_up.saturating_add(1);
        if self.resolver.is_none() {
            let mut config = ResolverConfig::default();
            config.querier.max_questions = MAX_LOOKUPS;
            self.resolver = Resolver::new(config).ok();
        }
        let resolver = self.resolver.clone();
        self.lookups.spawn(async move {
            let address = match resolver {
                Some(resolver) => resolver.resolve(&name).await.ok(),
                // No interface to ask on.
                None => None,
            };
            ResolvedName { connection, query, address }
        });
        self.queue(connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(names: &mut Names, connection: u64, query: u64, name: &str) {
        let connection = SessionId::new(connection);
        names.add(NameToResolve { connection, query: NameQuery(query), name: name.to_owned() });
    }

    /// Names that are none are refused by the resolver without a question.
    #[tokio::test]
    async fn every_name_is_answered_however_many_there_are() {
        let mut names = Names::default();
        for query in 0..1000 {
            ask(&mut names, 1, query, "no name");
        }
        let mut answered = Vec::new();
        for _ in 0..1000 {
            answered.push(names.next().await.unwrap().query.0);
        }
        answered.sort_unstable();
        assert_eq!(answered, (0..1000).collect::<Vec<_>>());
        assert!(names.turns.is_empty() && names.next().await.is_none());
        names.forget(SessionId::new(1));
        assert!(names.waiting.is_empty());
    }

    #[tokio::test]
    async fn who_names_many_has_a_share_and_no_more() {
        let mut names = Names::default();
        for connection in 0..200 {
            for query in 0..100 {
                ask(&mut names, connection, query, "absent-000.local");
            }
            assert!(names.lookups.len() <= MAX_UNDER_WAY * (connection as usize + 1));
        }
        assert_eq!(names.lookups.len(), MAX_LOOKUPS);
        for connection in 0..200 {
            names.forget(SessionId::new(connection));
        }
        let rest: usize = names.waiting.values().map(|waiting| waiting.names.len()).sum();
        assert_eq!((rest, names.turns.len()), (0, 0));
    }

    #[tokio::test]
    async fn who_had_the_fewest_looked_up_is_next() {
        let mut names = Names::default();
        for query in 0..100 {
            for connection in 0..100 {
                ask(&mut names, connection, query, "absent-000.local");
            }
        }
        assert_eq!((names.lookups.len(), names.turns.len()), (MAX_LOOKUPS, 100));
        for connection in 1000..1003 {
            ask(&mut names, connection, 0, "absent-000.local");
        }
        let next: Vec<_> = names.turns.iter().take(4).map(|(_, connection)| connection.number()).collect();
        assert_eq!(next, [1000, 1001, 1002, 56]);
    }
}
