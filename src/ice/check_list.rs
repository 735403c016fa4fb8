//! The check list, RFC 8445 §6.1.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::pair::{Claim, Nomination, Pair, PairCounters, PairFoundation, PairId, PairState, PairStream};
use super::priority::pair_priority;
use super::remote::RemoteCandidates;
use crate::layer::{FiveTuple, IceRole, Protocol};
use crate::stun::TransactionId;

/// The pairs of one generation and the order in which they are checked (RFC 8445 §6.1).
#[derive(Debug)]
pub(super) struct CheckList {
    /// By falling priority.
    pairs: Vec<Pair>,
    triggered: VecDeque<PairId>,
    next_id: u64,
    limit: usize,
}

/// A pair to be added.
#[derive(Debug)]
pub(super) struct NewPair {
    pub(super) base: usize,
    pub(super) remote: usize,
    pub(super) path: FiveTuple,
    pub(super) foundation: PairFoundation,
    pub(super) local_priority: u32,
    pub(super) remote_priority: u32,
    pub(super) stream: PairStream,
    pub(super) cost: u32,
}

impl CheckList {
    pub(super) fn new(limit: usize) -> Self {
        Self { pairs: Vec::new(), triggered: VecDeque::new(), next_id: 0, limit }
    }

    pub(super) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    pub(super) fn pairs_mut(&mut self) -> impl Iterator<Item = &mut Pair> {
        self.pairs.iter_mut()
    }

    pub(super) fn get(&self, id: PairId) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.id == id)
    }

    pub(super) fn get_mut(&mut self, id: PairId) -> Option<&mut Pair> {
        self.pairs.iter_mut().find(|pair| pair.id == id)
    }

    pub(super) fn find(&self, path: &FiveTuple) -> Option<PairId> {
        self.pairs.iter().find(|pair| pair.path == *path).map(|pair| pair.id)
    }

    /// The pair that a response belongs to.
    pub(super) fn find_check(&self, id: TransactionId) -> Option<PairId> {
        self.pairs.iter().find(|pair| pair.awaits(id)).map(|pair| pair.id)
    }

    /// Adds a pair; `None` if it is known already or if its claim is too weak for the limit.
    pub(super) fn add(&mut self, role: IceRole, new: NewPair, claim: Claim) -> Option<PairId> {
        if self.find(&new.path).is_some() {
            return None;
        }
        let priority = pair_priority(role, new.local_priority, new.remote_priority);
        if self.pairs.len() >= self.limit && !self.make_room(claim, priority) {
            return None;
        }
        let id = PairId(self.next_id);
        self.next_id += 1;
        let pair = Pair {
            id,
            base: new.base,
            remote: new.remote,
            path: new.path,
            state: self.initial_state(&new.foundation),
            foundation: new.foundation,
            claim,
            local_priority: new.local_priority,
            remote_priority: new.remote_priority,
            priority,
            check: None,
            cancelled: Default::default(),
            local: None,
            answered: None,
            checked_by_peer: false,
            heard: None,
            has_lapsed: false,
            is_in_reserve: false,
            nomination: Nomination::None,
            stream: new.stream,
            nomination_value: 0,
            cost: new.cost,
            counters: PairCounters::default(),
        };
        let position = self.pairs.partition_point(|other| other.priority >= priority);
        self.pairs.insert(position, pair);
        Some(id)
    }

    /// RFC 8445 §6.1.2.5: gives up one whose check has failed, or the least of the pairs that are not yet checked,
    /// if it is less than the new one. For what the peer has proved, any of those that it only said, then the
    /// oldest that has not answered, and then the one that is not nominated and answered longest ago.
    fn make_room(&mut self, claim: Claim, priority: u64) -> bool {
        let is_proven = claim == Claim::Proven;
        let failed = |pair: &Pair| pair.state == PairState::Failed;
        let unchecked = |pair: &Pair| {
            matches!(pair.state, PairState::Frozen | PairState::Waiting)
                && pair.claim < Claim::Proven
                && (pair.claim, pair.priority) < (claim, priority)
        };
        let unproven = |pair: &Pair| is_proven && pair.claim < Claim::Proven && !pair.is_valid();
        let least = (self.pairs.iter().rposition(failed))
            .or_else(|| self.least(unchecked))
            .or_else(|| self.least(unproven))
            .or_else(|| {
                let oldest = self.pairs.iter().enumerate().filter(|(_, pair)| is_proven && !pair.is_valid());
                oldest.min_by_key(|(_, pair)| pair.id.0).map(|(position, _)| position)
            })
            .or_else(|| {
                let is_spare = |pair: &Pair| is_proven && pair.nomination == Nomination::None;
                let spare = self.pairs.iter().enumerate().filter(|(_, pair)| is_spare(pair));
                spare.min_by_key(|(_, pair)| pair.answered).map(|(position, _)| position)
            });
        let Some(position) = least else { return false };
        let id = self.pairs.remove(position).id;
        self.triggered.retain(|triggered| *triggered != id);
        true
    }

    /// The pair with the weakest claim among some, and of those the one of the lowest priority.
    fn least(&self, is_one: impl Fn(&Pair) -> bool) -> Option<usize> {
        let some = self.pairs.iter().enumerate().filter(|(_, pair)| is_one(pair));
        some.min_by_key(|(_, pair)| (pair.claim, pair.priority)).map(|(position, _)| position)
    }

    /// RFC 8445 §6.1.2.6 and RFC 8838 §12: one pair of a foundation is checked first, the others when it has
    /// succeeded or nothing else is left to do.
    fn initial_state(&self, foundation: &PairFoundation) -> PairState {
        let mut alike = self.pairs.iter().filter(|pair| pair.foundation == *foundation).peekable();
        let may_wait = alike.peek().is_none() || alike.any(|pair| pair.state == PairState::Succeeded);
        if may_wait { PairState::Waiting } else { PairState::Frozen }
    }

    /// The pairs with this remote candidate.
    pub(super) fn pairs_with(&self, remote: usize) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().filter(move |pair| pair.remote == remote)
    }

    /// Some remote candidates were forgotten, and with them their pairs; the others have new indices.
    pub(super) fn keep(&mut self, remotes: &RemoteCandidates) {
        self.pairs.retain_mut(|pair| match remotes.find(pair.path.protocol, pair.path.remote) {
            Some(remote) => {
                pair.remote = remote;
                true
            }
            None => false,
        });
    }

    /// A base and its candidates were forgotten, and with them its pairs. `gone` are the places that the candidates had,
    /// in order.
    pub(super) fn forget_base(&mut self, base: usize, gone: &[usize]) {
        self.pairs.retain(|pair| pair.base != base);
        self.triggered.retain(|id| self.pairs.iter().any(|pair| pair.id == *id));
        for pair in &mut self.pairs {
            // Those of other bases have moved up.
            pair.local = pair.local.map(|local| local - gone.partition_point(|gone| *gone < local));
        }
    }

    /// The role changed: so do the priorities (RFC 8445 §7.3.1.1).
    pub(super) fn set_role(&mut self, role: IceRole) {
        for pair in &mut self.pairs {
            pair.priority = pair_priority(role, pair.local_priority, pair.remote_priority);
            if matches!(pair.nomination, Nomination::Requested | Nomination::Withdrawn) {
                pair.nomination = Nomination::None;
            }
        }
        self.sort();
    }

    /// The priority of a remote candidate changed.
    pub(super) fn set_remote_priority(&mut self, role: IceRole, remote: usize, priority: u32) {
        for pair in self.pairs.iter_mut().filter(|pair| pair.remote == remote) {
            pair.remote_priority = priority;
            pair.priority = pair_priority(role, pair.local_priority, priority);
        }
        self.sort();
    }

    fn sort(&mut self) {
        self.pairs.sort_by_key(|pair| std::cmp::Reverse(pair.priority));
    }

    /// Puts a pair into the triggered-check queue (RFC 8445 §6.1.4.1).
    pub(super) fn trigger(&mut self, id: PairId) {
        if !self.triggered.contains(&id) {
            self.triggered.push_back(id);
        }
    }

    /// The next pair to check, if any (RFC 8445 §6.1.4.2).
    pub(super) fn next_check(&mut self, now: Instant) -> Option<PairId> {
        while let Some(id) = self.triggered.pop_front() {
            if self.get(id).is_some() {
                return Some(id);
            }
        }
        let waiting = self.pairs.iter().position(|pair| pair.state == PairState::Waiting);
        let next = waiting.or_else(|| self.thaw(now))?;
        Some(self.pairs[next].id)
    }

    /// Whether [`next_check`](Self::next_check) has one.
    pub(super) fn has_next_check(&self, now: Instant) -> bool {
        !self.triggered.is_empty()
            || self.pairs.iter().any(|pair| pair.state == PairState::Waiting)
            || self.first_to_thaw(now).is_some()
    }

    fn thaw(&mut self, now: Instant) -> Option<usize> {
        let position = self.first_to_thaw(now)?;
        self.pairs[position].state = PairState::Waiting;
        Some(position)
    }

    /// RFC 8445 §6.1.4.2: a frozen pair none like which is waiting or being checked.
    fn first_to_thaw(&self, now: Instant) -> Option<usize> {
        self.pairs.iter().position(|frozen| {
            frozen.state == PairState::Frozen
                && !self
                    .pairs
                    .iter()
                    .any(|pair| pair.foundation == frozen.foundation && holds_back(pair, now))
        })
    }

    /// When a frozen pair may have waited long enough.
    pub(super) fn thaw_due(&self, now: Instant) -> Option<Instant> {
        if !self.pairs.iter().any(|pair| pair.state == PairState::Frozen) {
            return None;
        }
        let checks = self.pairs.iter().filter_map(|pair| pair.check.as_ref());
        checks.map(|check| check.started + HOLD).filter(|due| *due > now).min()
    }

    /// A check of the pair has succeeded: pairs like it are likely to, as well (RFC 8445 §7.2.5.3.3).
    pub(super) fn thaw_like(&mut self, id: PairId) {
        let Some(foundation) = self.get(id).map(|pair| pair.foundation.clone()) else { return };
        for pair in &mut self.pairs {
            if pair.state == PairState::Frozen && pair.foundation == foundation {
                pair.state = PairState::Waiting;
            }
        }
    }

    /// What the pair has shown is too long ago: it is to be checked again before it counts as valid.
    pub(super) fn doubt(&mut self, id: PairId) {
        if let Some(pair) = self.get_mut(id) {
            pair.local = None;
            pair.state = PairState::Waiting;
            if pair.nomination == Nomination::Done {
                pair.nomination = Nomination::Requested;
            }
        }
    }

    /// Has the pairs whose checks have failed checked again.
    pub(super) fn retry_failed(&mut self) {
        for pair in &mut self.pairs {
            pair.is_in_reserve = false;
            if pair.state == PairState::Failed {
                pair.state = PairState::Waiting;
            }
        }
    }

    /// Has a pair whose check has failed checked again, to stand by.
    pub(super) fn retry(&mut self, id: PairId) {
        if let Some(pair) = self.get_mut(id).filter(|pair| pair.state == PairState::Failed) {
            pair.state = PairState::Waiting;
            pair.is_in_reserve = true;
        }
    }

    /// A pair was nominated: the others are no longer checked (RFC 8445 §8.1.2).
    pub(super) fn conclude(&mut self) {
        let reserve = self.reserve();
        self.pairs.retain(|pair| match pair.nomination {
            Nomination::None => pair.is_valid() || reserve.contains(&pair.id),
            Nomination::Requested => pair.is_valid() || pair.checked_by_peer,
            Nomination::Done | Nomination::Withdrawn => true,
        });
        let is_requested = |pair: &Pair| pair.nomination == Nomination::Requested;
        let stays = |pair: &Pair| is_requested(pair) || reserve.contains(&pair.id);
        self.triggered.retain(|id| self.pairs.iter().any(|pair| pair.id == *id && stays(pair)));
        // A connection lives long; the room of the pairs that it did not need is given back.
        self.triggered.shrink_to_fit();
        self.pairs.shrink_to_fit();
        for pair in &mut self.pairs {
            if reserve.contains(&pair.id) {
                pair.is_in_reserve = true;
            } else if pair.nomination != Nomination::Requested {
                pair.cancel_check();
            }
            if !pair.is_valid() && pair.nomination == Nomination::Withdrawn {
                // It is remembered, for the case that the peer checks it.
                pair.state = PairState::Failed;
            }
        }
    }

    /// What is still checked when a pair is nominated, so that another network of either side stands by: the best pair of
    /// each other base and of each other address of the peer. RFC 8445 §8.1.2 ends all checks; without any of these a
    /// handover would have to begin with them. Streams are not among them: each costs both sides while it stands, and is
    /// opened when it is needed.
    fn reserve(&self) -> SmallVec<[PairId; MAX_RESERVE]> {
        let Some(nominated) = self.nominated() else { return SmallVec::new() };
        let (base, remote) = (nominated.base, nominated.remote);
        let (mut bases, mut remotes) = (SmallVec::<[usize; 8]>::new(), SmallVec::<[usize; 8]>::new());
        let mut reserve = SmallVec::new();
        let may_stand_by =
            |pair: &&Pair| pair.state != PairState::Failed && pair.path.protocol == Protocol::Udp;
        for pair in self.pairs.iter().filter(may_stand_by) {
            let is_new = (pair.base != base && !bases.contains(&pair.base))
                || (pair.remote != remote && !remotes.contains(&pair.remote));
            if is_new && reserve.len() < MAX_RESERVE {
                bases.push(pair.base);
                remotes.push(pair.remote);
                reserve.extend((!pair.is_valid() && pair.nomination == Nomination::None).then_some(pair.id));
            }
        }
        reserve
    }

    /// The peer has nominated another pair than those it was left on.
    pub(super) fn forget_withdrawn(&mut self) {
        for pair in self.pairs.iter_mut().filter(|pair| pair.nomination == Nomination::Withdrawn) {
            pair.nomination = Nomination::None;
        }
    }

    /// The pair that was nominated last, where nominations are counted, and else the best of those that are nominated.
    pub(super) fn nominated(&self) -> Option<&Pair> {
        let nominated = self.serving().filter(|pair| pair.nomination == Nomination::Done);
        nominated.min_by_key(|pair| (Reverse(pair.nomination_value), pair.cost))
    }

    /// The valid pair that costs the least, and of those the one of the highest priority.
    pub(super) fn best_valid(&self) -> Option<&Pair> {
        self.serving().min_by_key(|pair| pair.cost)
    }

    /// A pair was nominated after others, which the peer has left.
    pub(super) fn supersede(&mut self, id: PairId) {
        let Some(value) = self.get(id).map(|pair| pair.nomination_value) else { return };
        for pair in self.pairs.iter_mut().filter(|pair| pair.id != id && pair.nomination_value < value) {
            pair.nomination = Nomination::None;
        }
    }

    /// What the networks of the pairs with a remote candidate cost has come to be known.
    pub(super) fn set_remote_cost(&mut self, remote: usize, cost: impl Fn(usize) -> u32) {
        for pair in self.pairs.iter_mut().filter(|pair| pair.remote == remote) {
            pair.cost = cost(pair.base);
        }
    }

    /// The best valid pair that the peer has checked, too.
    pub(super) fn best_mutual(&self) -> Option<&Pair> {
        self.serving().filter(|pair| pair.checked_by_peer).min_by_key(|pair| pair.cost)
    }

    /// Whether a valid pair is there beside `id`.
    pub(super) fn has_alternative(&self, id: PairId) -> bool {
        self.pairs.iter().any(|pair| pair.id != id && pair.is_valid())
    }

    /// The pairs that data can be sent on.
    fn serving(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().filter(|pair| pair.is_valid() && !pair.has_lapsed)
    }

    /// Whether a pair is to be or being checked.
    pub(super) fn is_unfinished(&self) -> bool {
        self.pairs.iter().any(is_unfinished)
    }

    /// Whether a pair is to be or being checked from which the peer's checks come.
    pub(super) fn is_awaited(&self) -> bool {
        self.pairs.iter().any(|pair| pair.checked_by_peer && is_unfinished(pair))
    }

    /// How many pairs are being checked or can be at once.
    pub(super) fn under_way(&self) -> usize {
        let is_under_way = |pair: &&Pair| matches!(pair.state, PairState::Waiting | PairState::InProgress);
        self.pairs.iter().filter(is_under_way).count()
    }

    /// Whether a pair of a higher priority is to be or being checked.
    pub(super) fn is_better_pending(&self, than: &Pair) -> bool {
        self.pairs.iter().any(|pair| pair.is_better_than(than) && is_unfinished(pair))
    }

    pub(super) fn is_nominating(&self) -> bool {
        self.pairs.iter().any(|pair| pair.nomination == Nomination::Requested)
    }
}

/// Pairs that are checked beside a nominated one, at most.
const MAX_RESERVE: usize = 8;

/// How long pairs wait for one with the same foundation whose check is under way: a row of candidates that nobody
/// answers for would take longer than any patience, were each waited for to the end.
const HOLD: Duration = Duration::from_millis(500);

/// Whether pairs like this one wait for its outcome.
fn holds_back(pair: &Pair, now: Instant) -> bool {
    match pair.state {
        PairState::Waiting => true,
        PairState::InProgress => pair.check.as_ref().is_none_or(|check| now < check.started + HOLD),
        _ => false,
    }
}

fn is_unfinished(pair: &Pair) -> bool {
    !pair.is_in_reserve
        && matches!(pair.state, PairState::Frozen | PairState::Waiting | PairState::InProgress)
}
