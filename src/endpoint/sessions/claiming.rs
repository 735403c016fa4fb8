//! Whose a path is.

use std::time::Instant;

use super::{Endpoint, Refused};
use crate::endpoint::claims::Verdict;
use crate::endpoint::member::Member;
use crate::endpoint::session_id::SessionId;
use crate::layer::FiveTuple;
use crate::session::Session;

impl<M: Member> Endpoint<M> {
    /// An authentic message of its peer shows that a path leads there.
    pub(super) fn follow_proof(&mut self, now: Instant, id: SessionId, path: FiveTuple) {
        let Some(entry) = self.members.get_mut(&id) else { return };
        // What came by way of a relay shows nothing of the path to the relay.
        let proof = entry.member.with(Session::take_path_proof);
        if proof.is_none_or(|(proved, _)| proved != path) {
            return;
        }
        match self.routes.owner(&path) {
            Some(owner) if owner == id => self.settle_claims(now, id),
            Some(owner) if self.is_in_use(now, owner, &path) => self.claim(now, owner, path, id),
            _ => self.take_path(id, path),
        }
    }

    fn is_in_use(&mut self, now: Instant, owner: SessionId, path: &FiveTuple) -> bool {
        let owner = self.members.get_mut(&owner);
        owner.is_some_and(|owner| owner.member.with(|session| session.owns_path(now, path)))
    }

    /// The peers of two sessions have proved the same path: the session that uses it finds out whether its own is
    /// still there.
    fn claim(&mut self, now: Instant, owner: SessionId, path: FiveTuple, claimant: SessionId) {
        if self.claims.add(now, owner, path, claimant) {
            self.with(owner, |session| session.verify_path(now, &path));
        }
    }

    /// Decides on the paths of a session that others claim.
    pub(super) fn settle_claims(&mut self, now: Instant, owner: SessionId) {
        if !self.claims.concern(owner) {
            return;
        }
        let Some(entry) = self.members.get_mut(&owner) else { return };
        let settled = entry.member.with(|session| {
            self.claims.settle(now, owner, |claim| {
                if !session.owns_path(now, &claim.path) {
                    Verdict::Granted
                } else if session.last_heard(&claim.path).is_some_and(|heard| heard > claim.asked) {
                    Verdict::Refused
                } else {
                    Verdict::Open
                }
            })
        });
        for (claim, verdict) in settled {
            match verdict {
                Verdict::Granted => self.take_path(claim.claimant, claim.path),
                Verdict::Refused => {
                    if let Some(entry) = self.members.get_mut(&claim.claimant) {
                        entry.refused = Some(Box::new(Refused { path: claim.path, owner, is_missed: false }));
                        entry.wake(claim.claimant, &mut self.due, &mut self.news);
                    }
                }
                Verdict::Open => {}
            }
        }
    }

    pub(super) fn take_path(&mut self, id: SessionId, path: FiveTuple) {
        let Some(entry) = self.members.get_mut(&id) else { return };
        let routes = &mut self.routes;
        entry.member.with(|session| {
            let selected = session.outgoing_path();
            routes.take_path(id, path, |other| selected == Some(*other));
        });
        self.wake(id);
    }
}
