//! What users have together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::token_bucket::TokenBucket;
use crate::layer::NameHash;

/// The users that have allocations, or had until a moment ago.
#[derive(Debug)]
pub(super) struct Accounts {
    by_name: HashMap<Arc<str>, usize, NameHash>,
    all: slab::Slab<Account>,
    bandwidth: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Account {
    name: Arc<str>,
    pub(super) allocations: usize,
    pub(super) bucket: TokenBucket,
    /// Of connections to peers: nobody looks for open ports by a relay.
    pub(super) connects: TokenBucket,
}

/// How many connections to peers a user may ask for in a second, and how many at once.
const CONNECTS_PER_SECOND: u64 = 10;
const CONNECTS_AT_ONCE: u64 = 30;

impl Accounts {
    pub(super) fn new(hash: NameHash, bandwidth: Option<u64>) -> Self {
        Self { by_name: HashMap::with_hasher(hash), all: slab::Slab::new(), bandwidth }
    }

    pub(super) fn allocations(&self, name: &str) -> usize {
        self.by_name.get(name).and_then(|id| self.all.get(*id)).map_or(0, |account| account.allocations)
    }

    /// How many users have allocations.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// One more allocation is a user's.
    pub(super) fn join(&mut self, now: Instant, name: &str) -> (usize, Arc<str>) {
        let id = match self.by_name.get(name) {
            Some(id) => *id,
            None => {
                let name: Arc<str> = name.into();
                let bucket = TokenBucket::bytes(now, self.bandwidth);
                let connects = TokenBucket::new(now, Some(CONNECTS_PER_SECOND), CONNECTS_AT_ONCE);
                let id = self.all.insert(Account { name: name.clone(), allocations: 0, bucket, connects });
                self.by_name.insert(name, id);
                id
            }
        };
        let Some(account) = self.all.get_mut(id) else { return (id, name.into()) };
        account.allocations += 1;
        (id, account.name.clone())
    }

    pub(super) fn get_mut(&mut self, id: usize) -> Option<&mut Account> {
        self.all.get_mut(id)
    }

    /// An allocation has ended. A user without any is forgotten once what it sent and whom it connected to is: when that is,
    /// if not at once.
    pub(super) fn leave(&mut self, now: Instant, id: usize) -> Option<Instant> {
        let account = self.all.get_mut(id)?;
        account.allocations = account.allocations.saturating_sub(1);
        self.forget(now, id)
    }

    pub(super) fn forget(&mut self, now: Instant, id: usize) -> Option<Instant> {
        let account = self.all.get_mut(id).filter(|account| account.allocations == 0)?;
        let full = account.bucket.full_at(now).max(account.connects.full_at(now));
        if let Some(at) = full.filter(|at| *at > now) {
            return Some(at);
        }
        let account = self.all.remove(id);
        self.by_name.remove(&account.name);
        None
    }
}
