//! Who has a place when there are more candidates than places.

use std::net::SocketAddr;
use std::time::Instant;

use smallvec::SmallVec;

use super::Agent;
use crate::ice::local::Added;
use crate::ice::pair::{Nomination, Pair, PairState};
use crate::ice::remote::Place;
use crate::layer::{Candidate, CandidateAddress, CandidateKind, IceError};

impl Agent {
    /// A host address that was added is a base from now on.
    pub(super) fn take_base(&mut self, now: Instant, address: SocketAddr) {
        let Some(base) = self.local.host_of(address) else { return };
        self.signal_hosts(base);
        self.gathering.add_base(now, base, &self.local.bases()[base], &self.config);
        self.pair_base(now, base);
        if self.config.active_tcp {
            self.add_active_base(now, self.local.bases()[base].host());
        }
    }

    /// Takes the host addresses that there was no room for, where the peer turns out to be their neighbour.
    pub(super) fn take_spare_base(&mut self, now: Instant, remote: usize) {
        let far = self.remote.get(remote).address.ip();
        while let Some(spare) = self.local.spare_on_link_of(far) {
            if self.local.add_host(&spare, true) != Added::New {
                return;
            }
            self.take_base(now, spare.address);
        }
    }

    /// Gives up a signalled candidate for another: one that failed, or of the commonest kind, so that those kinds of
    /// which there are few stay, or of the same kind and with a lower priority.
    ///
    /// # Errors
    /// [`IceError::TooManyCandidates`] if all deserve their places more.
    pub(super) fn make_room_for(&mut self, candidate: &Candidate) -> Result<(), IceError> {
        let Some(place) = self.least_deserving(candidate) else {
            tracing::debug!(kind = ?candidate.kind, "no room for a candidate of the peer");
            return self.remote.check_limit();
        };
        self.forget_remote(place);
        Ok(())
    }

    fn least_deserving(&self, candidate: &Candidate) -> Option<Place> {
        let said: SmallVec<[(Place, &Candidate); 64]> =
            self.remote.said().filter(|(place, _)| !self.is_in_use(*place)).collect();
        let least = |is_one: &dyn Fn(Place, &Candidate) -> bool| {
            let some = said.iter().filter(|(place, said)| is_one(*place, said));
            some.min_by_key(|(_, said)| said.priority).map(|(place, _)| *place)
        };
        if let Some(failed) = least(&|place, _| self.has_failed(place)) {
            return Some(failed);
        }
        let count = |kind: CandidateKind| said.iter().filter(|(_, said)| said.kind == kind).count();
        let commonest = said.iter().map(|(_, said)| said.kind).max_by_key(|kind| count(*kind))?;
        if count(commonest) > count(candidate.kind) + 1 {
            return least(&|_, said| said.kind == commonest);
        }
        least(&|_, said| said.kind == candidate.kind && said.priority < candidate.priority)
    }

    /// Whether the peer has shown that the candidate is its own, or has nominated it.
    fn is_in_use(&self, place: Place) -> bool {
        let is_used = |pair: &Pair| {
            let is_wanted = matches!(pair.nomination, Nomination::Requested | Nomination::Done);
            pair.is_valid() || pair.checked_by_peer || is_wanted
        };
        matches!(place, Place::Known(remote) if self.check_list.pairs_with(remote).any(is_used))
    }

    fn has_failed(&self, place: Place) -> bool {
        let Place::Known(remote) = place else { return false };
        let mut pairs = self.check_list.pairs_with(remote).peekable();
        pairs.peek().is_some() && pairs.all(|pair| pair.state == PairState::Failed)
    }

    /// Gives up the oldest address that the peer's checks have come from and that has not answered; where all have,
    /// the one that answered longest ago.
    pub(super) fn forget_oldest_found(&mut self) {
        let selected = self.selected.as_ref().map(|selected| selected.pair.path);
        let selected = selected.and_then(|path| self.remote.find(path.protocol, path.remote));
        let is_selected = |remote: &usize| selected == Some(*remote);
        let answered = |remote: &usize| self.check_list.pairs_with(*remote).map(|pair| pair.answered).max();
        let oldest = self.remote.found().filter(|remote| !is_selected(remote));
        if let Some(oldest) = oldest.min_by_key(|remote| answered(remote).flatten()) {
            self.forget_remote(Place::Known(oldest));
        }
    }

    fn forget_remote(&mut self, place: Place) {
        if let Place::Known(remote) = place
            && let CandidateAddress::Ip(address) = self.remote.get(remote).candidate.address
        {
            tracing::trace!(%address, "forgot a candidate of the peer");
        }
        self.remote.forget(place);
        self.check_list.keep(&self.remote);
    }
}
