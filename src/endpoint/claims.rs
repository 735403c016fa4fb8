//! Paths that the peer of one session has proved while another session is using them.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::session_id::SessionId;
use crate::layer::FiveTuple;

/// Claims on paths in use, by the session that uses the path: it is being asked whether its peer is still there.
#[derive(Debug, Default)]
pub(super) struct Claims {
    of_owner: FxHashMap<SessionId, SmallVec<[Claim; 1]>>,
}

/// The claim of one session on one path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) path: FiveTuple,
    pub(super) claimant: SessionId,
    /// When the owner was asked.
    pub(super) asked: Instant,
    /// The owner's peer has answered: the claim came to nothing.
    is_refused: bool,
}

/// Paths of one session that others may claim at a time.
const MAX_CLAIMS: usize = 16;
/// How often the owner of a path may be asked on behalf of others.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Claims {
    /// Notes a claim. Says whether the owner is to be asked now.
    pub(super) fn add(
        &mut self,
        now: Instant,
        owner: SessionId,
        path: FiveTuple,
        claimant: SessionId,
    ) -> bool {
        let claims = self.of_owner.entry(owner).or_default();
        if let Some(claim) = claims.iter_mut().find(|claim| claim.path == path) {
            if now < claim.asked + ASK_AGAIN {
                return false;
            }
            *claim = Claim { path, claimant, asked: now, is_refused: false };
            return true;
        }
        if claims.len() >= MAX_CLAIMS {
            claims.remove(0);
        }
        claims.push(Claim { path, claimant, asked: now, is_refused: false });
        true
    }

    /// Who claims the path of this owner.
    pub(super) fn claimant(&self, owner: SessionId, path: &FiveTuple) -> Option<SessionId> {
        let claims = self.of_owner.get(&owner)?;
        claims.iter().find(|claim| claim.path == *path && !claim.is_refused).map(|claim| claim.claimant)
    }

    /// Whether anybody claims a path of this owner.
    pub(super) fn concern(&self, owner: SessionId) -> bool {
        self.of_owner.contains_key(&owner)
    }

    /// Takes out what is decided by `judge`; old refusals go, too.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        owner: SessionId,
        mut judge: impl FnMut(&Claim) -> Verdict,
    ) -> SmallVec<[(Claim, Verdict); 1]> {
        let mut settled = SmallVec::new();
        let Some(claims) = self.of_owner.get_mut(&owner) else { return settled };
        claims.retain(|claim| {
            if claim.is_refused {
                return now < claim.asked + ASK_AGAIN;
            }
            let verdict = judge(claim);
            match verdict {
                Verdict::Open => return true,
                // Kept for a while, so that the owner is not asked at each check of the claimant.
                Verdict::Refused => claim.is_refused = true,
                Verdict::Granted => {}
            }
            settled.push((*claim, verdict));
            claim.is_refused
        });
        if claims.is_empty() {
            self.of_owner.remove(&owner);
        }
        settled
    }

    /// A session is gone, and with it what it claims and what was claimed of it. The latter is what it returns.
    pub(super) fn remove(&mut self, id: SessionId) -> SmallVec<[Claim; 1]> {
        self.of_owner.remove(&id).unwrap_or_default().into_iter().filter(|claim| !claim.is_refused).collect()
    }
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The owner does not use the path any more.
    Granted,
    /// The owner's peer is there.
    Refused,
    Open,
}
