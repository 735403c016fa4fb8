//! The candidates that a peer has signalled, and which of them are kept.

use std::cmp::Reverse;

use rustc_hash::FxHashSet;

use crate::layer::{Candidate, CandidateKind, Protocol};

/// The candidates of a description of the peer, and those that it has told after it.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct SignalledCandidates {
    /// In the order in which they came, each with its number.
    kept: Vec<(u64, Candidate)>,
    /// How many have come that were not known.
    count: u64,
}

impl SignalledCandidates {
    /// Adds those that are new. Of more than `limit` the commonest kinds lose theirs of the lowest priority, so that
    /// those kinds of which there are few stay, whatever the order.
    pub(super) fn extend<'a>(&mut self, candidates: impl Iterator<Item = &'a Candidate>, limit: usize) {
        let mut known: FxHashSet<&Candidate> = self.kept.iter().map(|(_, candidate)| candidate).collect();
        let new: Vec<&Candidate> = candidates.filter(|candidate| known.insert(candidate)).collect();
        drop(known);
        self.kept.extend((self.count..).zip(new).map(|(number, candidate)| (number, candidate.clone())));
        self.count = self.kept.last().map_or(self.count, |(number, _)| self.count.max(number + 1));
        self.keep_most(limit);
    }

    /// Adds one. Says whether it is kept.
    pub(super) fn add(&mut self, candidate: &Candidate, limit: usize) -> bool {
        self.extend(std::iter::once(candidate), limit);
        self.kept.iter().any(|(_, kept)| kept == candidate)
    }

    fn keep_most(&mut self, limit: usize) {
        let left_out = self.kept.len().saturating_sub(limit);
        if left_out == 0 {
            return;
        }
        tracing::debug!(left_out, "no room for candidates of the peer");
        let mut places = [0_usize; GROUPS];
        self.kept.iter().for_each(|(_, candidate)| places[group(candidate)] += 1);
        for _ in 0..left_out {
            if let Some(most) = places.iter_mut().max() {
                *most -= 1;
            }
        }
        let mut order: Vec<usize> = (0..self.kept.len()).collect();
        order.sort_by_key(|index| Reverse(self.kept[*index].1.priority));
        let mut is_kept = vec![false; self.kept.len()];
        for index in order {
            let places = &mut places[group(&self.kept[index].1)];
            is_kept[index] = *places > 0;
            *places = places.saturating_sub(1);
        }
        let mut is_kept = is_kept.into_iter();
        self.kept.retain(|_| is_kept.next() == Some(true));
    }

    /// How many have come so far.
    pub(in crate::session) fn count(&self) -> u64 {
        self.count
    }

    /// Those that are kept and have come when there were so many.
    pub(in crate::session) fn since(&self, count: u64) -> impl Iterator<Item = &Candidate> {
        self.kept.iter().filter(move |(number, _)| *number >= count).map(|(_, candidate)| candidate)
    }
}

const GROUPS: usize = 8;

/// Kinds by protocol. Of those that are equally common the last loses first.
fn group(candidate: &Candidate) -> usize {
    let kind = match candidate.kind {
        CandidateKind::ServerReflexive => 0,
        CandidateKind::Relayed => 1,
        CandidateKind::PeerReflexive => 2,
        CandidateKind::Host => 3,
    };
    match candidate.protocol {
        Protocol::Udp => kind,
        Protocol::Tcp | Protocol::Dtls => 4 + kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(signalled: &SignalledCandidates) -> impl Iterator<Item = &Candidate> {
        signalled.since(0)
    }

    fn candidate(kind: &str, protocol: &str, number: u32) -> Candidate {
        let (high, low) = (number / 250, number % 250);
        let text = format!("1 1 {protocol} {} 10.0.{high}.{low} 9 typ {kind}", 1000 + number);
        text.parse().unwrap()
    }

    fn kept(signalled: &SignalledCandidates, kind: CandidateKind) -> Vec<u32> {
        let of_kind = all(signalled).filter(|candidate| candidate.kind == kind);
        of_kind.map(|candidate| candidate.priority - 1000).collect()
    }

    #[test]
    fn of_too_many_the_rare_kinds_and_the_best_stay_in_any_order() {
        let mut all: Vec<_> = (0..500).map(|number| candidate("host", "udp", number)).collect();
        all.extend((500..600).map(|number| candidate("host", "tcp", number)));
        all.push(candidate("srflx", "udp", 1));
        all.push(candidate("relay", "udp", 2));
        for turn in [0, 1, 300, 600] {
            all.rotate_left(turn);
            let mut signalled = SignalledCandidates::default();
            signalled.extend(all.iter(), 12);
            assert_eq!(kept(&signalled, CandidateKind::ServerReflexive), [1]);
            assert_eq!(kept(&signalled, CandidateKind::Relayed), [2]);
            let mut hosts = kept(&signalled, CandidateKind::Host);
            hosts.sort_unstable();
            assert_eq!(hosts, [495, 496, 497, 498, 499, 595, 596, 597, 598, 599]);

            let mut one_by_one = SignalledCandidates::default();
            for candidate in &all {
                one_by_one.add(candidate, 12);
            }
            assert_eq!(kept(&one_by_one, CandidateKind::Relayed), [2]);
            assert_eq!(kept(&one_by_one, CandidateKind::ServerReflexive), [1]);
        }
    }

    #[test]
    fn one_that_takes_a_place_is_new_and_one_that_has_none_says_so() {
        let mut signalled = SignalledCandidates::default();
        for number in 10..20 {
            assert!(signalled.add(&candidate("host", "udp", number), 10));
        }
        let count = signalled.count();
        assert!(!signalled.add(&candidate("host", "udp", 1), 10));
        assert!(signalled.add(&candidate("host", "udp", 12), 10), "known");
        assert!(signalled.add(&candidate("relay", "udp", 1), 10));
        assert!(signalled.add(&candidate("host", "udp", 30), 10));
        let new: Vec<_> = signalled.since(count).map(|candidate| candidate.priority).collect();
        assert_eq!(new, [1001, 1030]);
        assert_eq!(all(&signalled).count(), 10);
    }
}
