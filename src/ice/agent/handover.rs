//! Addresses of this machine that come and go, and the pairs that stand by.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::Agent;
use crate::ice::local::{Added, BaseKind};
use crate::ice::message::Generation;
use crate::ice::pair::{Nomination, Pair, PairId};
use crate::ice::selected::Selected;
use crate::layer::{Candidate, FiveTuple, IceEvent, IceRole};

/// When the peer is shown once more where this side is: after so long its check is not one of many.
const INSISTENCE: Duration = Duration::from_millis(1_100);

/// The pairs that are asked at once whether they still work when an address goes, at most.
const MAX_ASKED: usize = 8;

/// So many datagrams of data in a row show where the peer is.
const MOVED: u8 = 3;

/// How long after this side has gone to another pair data by the one before may have been on its way, at least.
const SETTLING: Duration = Duration::from_millis(500);

/// The pairs that stand by and are asked whether they still work, at most.
const MAX_RESERVE: usize = 4;

impl Agent {
    /// An address of this machine is gone, and with it what was found from it.
    pub(super) fn remove_host(&mut self, now: Instant, address: SocketAddr) {
        self.local.forget_spare(address);
        let Some(host) = self.local.host_of(address) else { return };
        tracing::debug!("an address of this machine is gone");
        let in_use = self.selected.as_ref().map(|selected| selected.pair.path.local);
        let mut bases = self.gathering.forget_base(now, host, in_use, &mut self.streams);
        bases.push(host);
        bases.extend(self.local.streams_at(address.ip()));
        self.has_lost_address = true;
        self.last_news = self.last_news.map(|_| now);
        self.lose_bases(now, &bases);
        while let Some(spare) = self.local.any_spare() {
            if self.local.add_host(&spare, false) != Added::New {
                break;
            }
            self.take_base(now, spare.address);
        }
        let hosts = self.local.bases().iter().enumerate().filter(|(_, base)| base.kind == BaseKind::Host);
        hosts.for_each(|(place, base)| self.gathering.relays.dock(place, base.address));
    }

    /// Some bases are of no use any more: their candidates and pairs go, and others take over where data took one of them.
    pub(super) fn lose_bases(&mut self, now: Instant, bases: &[usize]) {
        let mut is_selected_lost = false;
        for base in bases {
            let address = self.local.bases()[*base].address;
            // A stream has a port of its own.
            let is_by_stream = self.selected_check_pair().is_some_and(|pair| pair.base == *base);
            self.drop_unsent(|path| path.local == address);
            self.gathering.stream_bindings.forget_base(*base, &mut self.streams);
            let gone = self.local.forget_base(*base);
            let places: SmallVec<[usize; 4]> = gone.iter().map(|(place, _)| *place).collect();
            self.check_list.forget_base(*base, &places);
            gone.into_iter().for_each(|(_, candidate)| self.withdraw_candidate(candidate));
            let is_on_it = |selected: &mut Selected| is_by_stream || selected.pair.path.local == address;
            if let Some(selected) = self.selected.take_if(is_on_it) {
                is_selected_lost = true;
                if selected.generation == Generation::Previous {
                    self.previous = None;
                }
            }
        }
        let list = &self.check_list;
        self.verifications.retain(|verification| list.get(verification.pair).is_some());
        if is_selected_lost {
            self.carry_on(now);
        }
    }

    /// One that waits to be told is not told at all; of others who describes them is to learn.
    fn withdraw_candidate(&mut self, candidate: Candidate) {
        let is_it = |event: &IceEvent| matches!(event, IceEvent::LocalCandidate(told) if *told == candidate);
        match self.events.iter().rposition(is_it) {
            Some(place) => drop(self.events.remove(place)),
            None => self.push_status(IceEvent::LocalCandidateGone(candidate)),
        }
    }

    /// The pair that data took is gone with its base. The best of those that work takes its place at once, each of the
    /// others has another chance, and the times of nomination and of patience begin.
    fn carry_on(&mut self, now: Instant) {
        self.last_news = Some(now);
        self.reselect(now);
        if self.remote_credentials.is_none() {
            return;
        }
        self.first_valid = self.selected.as_ref().map(|_| now);
        self.check_list.retry_failed();
        for base in 0..self.local.bases().len() {
            self.pair_base(now, base);
        }
        let Some(selected) = &mut self.selected else { return };
        selected.took_over = Some(now);
        if self.role == IceRole::Controlled {
            self.insistence = Some(now + INSISTENCE);
        }
        // The peer does not know yet where this side is, and not all that worked needs to work still: what has gone may
        // have carried more than the pairs of its own address.
        let valid = self.check_list.pairs().iter().filter(|pair| pair.is_valid());
        let valid: SmallVec<[PairId; MAX_ASKED]> = valid.map(|pair| pair.id).take(MAX_ASKED).collect();
        valid.into_iter().for_each(|id| self.verify(now, id));
    }

    /// A pair has answered, while the one that took over when an address went has not since: it serves instead, and whether
    /// the other still works an ordinary check decides.
    pub(super) fn prefer_proven(&mut self, now: Instant, id: PairId) {
        let Some(took_over) = self.selected.as_ref().and_then(|selected| selected.took_over) else { return };
        let is_unproven = |pair: &&Pair| pair.id != id && pair.answered <= Some(took_over);
        let Some(selected) = self.selected_check_pair().filter(is_unproven).map(|pair| pair.id) else {
            return;
        };
        self.verifications.retain(|verification| verification.pair != selected);
        if let Some(pair) = self.check_list.get_mut(selected) {
            pair.has_lapsed = false;
            pair.withdraw();
        }
        self.check_list.doubt(selected);
        self.reselect(now);
    }

    /// Authentic data of the peer has come by a path. A peer that sends on another pair than the selected one knows why: it
    /// has lost the address of that, or does not reach this side there any more. What was on its way when this side went
    /// elsewhere says nothing.
    pub(super) fn follow_data(&mut self, now: Instant, path: &FiveTuple) {
        let Some(selected) = &mut self.selected else { return };
        if selected.pair.path == *path {
            selected.astray = None;
            return;
        }
        if self.config.lite || self.concluded_on != Some(selected.id) {
            return;
        }
        let list = &self.check_list;
        let [here, there] = [Some(selected.id), list.find(path)].map(|id| id.and_then(|id| list.get(id)));
        let (Some(here), Some(there)) = (here, there) else { return };
        let round_trip_time = here.counters.round_trip_time.unwrap_or_default();
        let is_settled = now >= selected.since + SETTLING.max(2 * round_trip_time);
        let answered = there.answered.filter(|_| there.is_valid() && !there.has_lapsed);
        let is_fresh = answered.is_some_and(|at| now < at + self.config.consent_timeout);
        if selected.generation == Generation::Previous || !is_settled || !is_fresh || !there.checked_by_peer {
            return;
        }
        let (here, there) = (here.id, there.id);
        let before = selected.astray.map_or(0, |(pair, count)| if pair == there { count } else { 0 });
        selected.astray = Some((there, before + 1));
        if before + 1 >= MOVED {
            self.follow(now, here, there);
        }
    }

    /// Goes from the selected pair to that of the peer. A controlling agent nominates it with the question whether it works.
    fn follow(&mut self, now: Instant, here: PairId, there: PairId) {
        tracing::debug!("the peer sends on another candidate pair");
        if let Some(pair) = self.check_list.get_mut(here) {
            pair.nomination = Nomination::None;
            pair.has_lapsed = false;
        }
        self.nominate_at_once(now, there);
        self.reselect(now);
        self.verify(now, there);
        self.verify(now, here);
        self.update(now);
    }

    /// Shows the peer once more that this side has gone elsewhere: it may have taken the first check for one that it has
    /// got used to.
    pub(super) fn insist(&mut self, now: Instant) {
        if self.insistence.take_if(|at| *at <= now).is_some()
            && let Some(id) = self.selected_check_pair().map(|pair| pair.id)
        {
            self.verify(now, id);
        }
    }

    /// Asks the pairs that stand by whether they still work, so that NATs keep their mappings and the peer's consent is
    /// fresh when one of them is needed: the best of each base but that of the selected pair.
    pub(super) fn ask_reserve(&mut self, now: Instant) {
        let Some(selected) = self.selected_check_pair() else {
            self.reserve_due = None;
            return;
        };
        let selected = selected.base;
        let mut reserve: SmallVec<[(usize, PairId); MAX_RESERVE]> = SmallVec::new();
        for pair in self.check_list.pairs().iter().filter(|pair| pair.is_valid() && pair.base != selected) {
            let is_known = reserve.iter().any(|(base, _)| *base == pair.base);
            if !is_known && reserve.len() < MAX_RESERVE {
                reserve.push((pair.base, pair.id));
            }
        }
        let better = self.better_failed();
        if reserve.is_empty() && better.is_empty() || self.concluded_on.is_none() {
            self.reserve_due = None;
            return;
        }
        let interval = self.config.reserve_interval;
        if *self.reserve_due.get_or_insert(now + interval) <= now {
            self.reserve_due = Some(now + interval);
            reserve.into_iter().for_each(|(_, id)| self.verify(now, id));
            better.into_iter().for_each(|id| self.check_list.retry(id));
        }
    }
}
