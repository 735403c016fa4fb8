//! Nominations that follow one another, draft-thatcher-ice-renomination, and those that a lite agent takes (RFC 8445 §7.3.2).

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::Agent;
use crate::ice::pair::{Nomination, Pair, PairId, PairState};
use crate::layer::IceRole;
use crate::stun::Message;

/// A pair that has answered within this time is nominated without another question.
const RECENT: Duration = Duration::from_secs(5);

impl Agent {
    /// Whether both sides have pairs nominated anew.
    fn renominates(&self) -> bool {
        self.config.renomination && self.remote_options.renomination
    }

    /// Has a pair nominated with its next check.
    pub(super) fn request_nomination(&mut self, id: PairId) {
        let renominates = self.renominates();
        let Some(pair) = self.check_list.get_mut(id) else { return };
        pair.nomination = Nomination::Requested;
        if renominates {
            self.nominations = self.nominations.saturating_add(1);
            pair.nomination_value = self.nominations;
        }
        self.check_list.trigger(id);
    }

    /// Takes a pair that works for nominated; a controlling agent tells so with its next check.
    pub(super) fn nominate_at_once(&mut self, now: Instant, id: PairId) {
        let counts = self.renominates() && self.role == IceRole::Controlling;
        let Some(pair) = self.check_list.get_mut(id) else { return };
        pair.nomination = Nomination::Done;
        if counts {
            self.nominations = self.nominations.saturating_add(1);
            pair.nomination_value = self.nominations;
        }
        self.nominated_at = Some(now);
    }

    /// The value that a check which nominates a pair has.
    pub(super) fn told_nomination(&self, pair: &Pair) -> Option<u32> {
        Some(pair.nomination_value).filter(|value| self.renominates() && *value > 0)
    }

    /// The nominated pair gives way to a better one that works.
    pub(super) fn renominate(&mut self, now: Instant) {
        if self.renomination_due().is_none_or(|due| due > now) {
            return;
        }
        let Some(best) = self.check_list.best_mutual() else { return };
        let (id, answered) = (best.id, best.answered);
        if answered.is_some_and(|answered| now < answered + RECENT) {
            tracing::debug!("a better candidate pair is nominated");
            self.request_nomination(id);
        } else {
            self.verify(now, id);
        }
    }

    /// When a better pair than the nominated one may be nominated; `None` while there is none.
    pub(super) fn renomination_due(&self) -> Option<Instant> {
        if !self.renominates() || self.role != IceRole::Controlling || self.check_list.is_nominating() {
            return None;
        }
        let (nominated, best) = (self.check_list.nominated()?, self.check_list.best_mutual()?);
        let is_better = best.id != nominated.id && best.is_better_than(nominated);
        self.nominated_at.filter(|_| is_better).map(|at| at + self.config.renomination_interval)
    }

    /// Better pairs than the nominated one that have failed, where they could still be nominated: they may come to work.
    pub(super) fn better_failed(&self) -> SmallVec<[PairId; 4]> {
        let nominated = self.check_list.nominated().filter(|_| self.renominates());
        let is_better = |pair: &&Pair| {
            pair.state == PairState::Failed
                && nominated.is_some_and(|nominated| pair.is_better_than(nominated))
        };
        self.check_list.pairs().iter().filter(is_better).map(|pair| pair.id).take(4).collect()
    }

    /// The value of a nomination that counts: 0 where the peer does not count. What it counts is honoured also where
    /// nothing was agreed on, and what is not more than before is none.
    pub(super) fn nomination_of(&self, message: &Message<'_>, id: PairId) -> Option<u32> {
        if self.role != IceRole::Controlled {
            return None;
        }
        match message.nomination() {
            Some(value) if value > self.nominations => Some(value),
            Some(value) => {
                let own = self.check_list.get(id).map(|pair| pair.nomination_value);
                own.filter(|own| *own == value)
            }
            None => message.use_candidate().then_some(0),
        }
    }

    /// A lite agent takes the checks of its peer for what they show: RFC 8445 §7.3.2. Without checks of its own it has the
    /// peer's consent by them, and the pair that was nominated last is the one that the peer uses.
    pub(super) fn take_check(&mut self, now: Instant, id: PairId, nominated_as: Option<u32>) {
        let is_nominated = self.check_list.nominated().is_some_and(|pair| pair.id == id);
        let Some(pair) = self.check_list.get_mut(id) else { return };
        pair.local = self.local.own_of(pair.base);
        pair.state = PairState::Succeeded;
        pair.answered = Some(now);
        pair.has_lapsed = false;
        if let Some(value) = nominated_as {
            pair.nomination = Nomination::Done;
            if value > 0 {
                pair.nomination_value = value;
                self.nominations = self.nominations.max(value);
            } else if !is_nominated {
                self.nominations = self.nominations.saturating_add(1);
                pair.nomination_value = self.nominations;
            }
        }
        self.first_valid.get_or_insert(now);
        if self.is_selected(id)
            && let Some(selected) = &mut self.selected
        {
            selected.consent.grant(now, &*self.provider.random);
        }
        self.reselect(now);
    }

    /// A check tells what the network costs that it comes from (GOOG-NETWORK-INFO of libwebrtc).
    pub(super) fn note_remote_cost(&mut self, remote: usize, message: &Message<'_>) {
        let Some((_, cost)) = message.network_info() else { return };
        if self.remote.set_cost(remote, cost) {
            let (local, remotes) = (&self.local, &self.remote);
            self.check_list
                .set_remote_cost(remote, |base| local.bases()[base].cost() + remotes.get(remote).cost);
        }
    }
}
