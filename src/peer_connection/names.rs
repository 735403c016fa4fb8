//! The names of candidates, looked up for all connections of an endpoint.

use std::collections::VecDeque;
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

/// Looks up names off the endpoint's task. Every name gets an answer; connections have their turns one after the other,
/// so that none waits because another names a great many.
#[derive(Debug, Default)]
pub(super) struct Names {
    resolver: Option<Resolver>,
    waiting: FxHashMap<SessionId, Waiting>,
    /// Connections with names that wait, each once.
    turns: VecDeque<SessionId>,
    lookups: JoinSet<ResolvedName>,
    refused: VecDeque<ResolvedName>,
}

/// The names of one connection.
#[derive(Debug, Default)]
struct Waiting {
    names: VecDeque<(NameQuery, String)>,
    under_way: usize,
    has_turn: bool,
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
        if let Some(waiting) = self.waiting.get_mut(&connection) {
            waiting.names.clear();
        }
        self.tidy(connection);
    }

    fn take_turns(&mut self, changed: SessionId) {
        self.queue(changed);
        self.tidy(changed);
        while self.lookups.len() < MAX_LOOKUPS
            && let Some(connection) = self.turns.pop_front()
        {
            self.look_up(connection);
        }
    }

    /// Gives a connection a turn if it has use for one.
    fn queue(&mut self, connection: SessionId) {
        let Some(waiting) = self.waiting.get_mut(&connection) else { return };
        let wants = !waiting.names.is_empty() && waiting.under_way < MAX_UNDER_WAY;
        if wants && !std::mem::replace(&mut waiting.has_turn, true) {
            self.turns.push_back(connection);
        }
    }

    fn look_up(&mut self, connection: SessionId) {
        let Some(waiting) = self.waiting.get_mut(&connection) else { return };
        waiting.has_turn = false;
        let Some((query, name)) = waiting.names.pop_front() else { return };
        waiting.under_way += 1;
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

    fn tidy(&mut self, connection: SessionId) {
        if self
            .waiting
            .get(&connection)
            .is_some_and(|waiting| waiting.names.is_empty() && waiting.under_way == 0)
        {
            self.waiting.remove(&connection);
        }
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
        assert!(names.waiting.is_empty() && names.turns.is_empty() && names.next().await.is_none());
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
        // One that comes last waits for one turn of each of the others, not for all their names.
        ask(&mut names, 1000, 0, "absent-000.local");
        assert_eq!(names.turns.back(), Some(&SessionId::new(1000)));
        assert!(names.turns.len() <= 201);
        for connection in 0..200 {
            names.forget(SessionId::new(connection));
        }
        let rest: usize = names.waiting.values().map(|waiting| waiting.names.len()).sum();
        assert_eq!(rest, 1);
    }
}
