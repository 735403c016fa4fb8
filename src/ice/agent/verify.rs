use std::time::Instant;

use super::Agent;
use crate::ice::message::{CheckRequest, Content, Generation};
use crate::ice::pair::{Nomination, PairId, PairState};
use crate::ice::verification::{Verification, VerificationStep};
use crate::layer::{CandidateKind, FiveTuple, IceRole};
use crate::stun::{Class, Message, TransactionId};

/// Whether the peer is still at the other end of a path.
impl Agent {
    /// Asks at once whether a pair that has worked still does.
    pub(super) fn verify(&mut self, now: Instant, id: PairId) {
        let Some(pair) = self.check_list.get(id).filter(|pair| pair.is_valid()) else { return };
        if self.verifications.iter().any(|verification| verification.pair == id) {
            return;
        }
        let transaction = TransactionId::random(&*self.provider.random);
        let mut verification = Verification::new(
            now,
            (id, pair.path),
            transaction,
            (self.role, self.tie_breaker),
            pair.counters.round_trip_time,
        );
        // The peer may not have seen the nomination where it sees this side now.
        verification.use_candidate = self.role == IceRole::Controlling && pair.nomination == Nomination::Done;
        self.verifications.push(verification);
        self.repeat_verifications(now);
    }

    /// Sends what is due, and gives up the pairs that do not answer.
    pub(super) fn repeat_verifications(&mut self, now: Instant) {
        let mut position = 0;
        while let Some(verification) = self.verifications.get_mut(position) {
            match verification.step(now) {
                VerificationStep::Wait => position += 1,
                VerificationStep::Send => {
                    self.send_verification(position);
                    position += 1;
                }
                VerificationStep::Unanswered => {
                    let id = self.verifications.swap_remove(position).pair;
                    self.lapse(now, id);
                }
            }
        }
        if self.verifications.is_empty() {
            self.verifications = Vec::new();
        }
    }

    fn send_verification(&mut self, position: usize) {
        let Verification { pair, path, id, role, tie_breaker, use_candidate, .. } =
            self.verifications[position];
        let Some(pair) = self.check_list.get_mut(pair) else { return };
        pair.counters.requests_sent += 1;
        let request = CheckRequest {
            priority: self.local.bases()[pair.base].priority(CandidateKind::PeerReflexive),
            role,
            tie_breaker,
            use_candidate,
            generation: Generation::Current,
        };
        self.send(path, id, Content::Check(request));
    }

    /// Takes the answer to a verification; false if it is none.
    pub(super) fn receive_verification(
        &mut self,
        now: Instant,
        path: FiveTuple,
        message: &Message<'_>,
    ) -> bool {
        let id = message.transaction_id();
        let is_answered = |verification: &Verification| verification.id == id && verification.path == path;
        let Some(position) = self.verifications.iter().position(is_answered) else { return false };
        let remote = self.remote_credentials.as_ref();
        if message.class() != Class::Success || !remote.is_some_and(|remote| message.verify(&remote.key)) {
            return false;
        }
        let verification = self.verifications.swap_remove(position);
        self.stats.responses_received += 1;
        if let Some(pair) = self.check_list.get_mut(verification.pair) {
            pair.counters.answered(verification.round_trip_time(now));
            self.renew(now, verification.pair);
        }
        true
    }

    /// A pair that has worked has answered again.
    pub(super) fn renew(&mut self, now: Instant, id: PairId) {
        self.verifications.retain(|verification| verification.pair != id);
        let Some(pair) = self.check_list.get_mut(id) else { return };
        pair.answered = Some(now);
        pair.has_lapsed = false;
        pair.state = PairState::Succeeded;
        if let Some(selected) = &mut self.selected
            && (selected.id, selected.generation) == (id, Generation::Current)
        {
            selected.consent.grant(now, &*self.provider.random);
        }
    }

    /// A pair has not answered a verification.
    fn lapse(&mut self, now: Instant, id: PairId) {
        tracing::debug!("a candidate pair that has worked does not answer");
        if !self.is_selected(id) {
            return self.fail(now, id);
        }
        if let Some(pair) = self.check_list.get_mut(id) {
            pair.has_lapsed = true;
        }
    }

    pub(super) fn uses_path(&self, now: Instant, path: &FiveTuple) -> bool {
        if let Some(selected) = self.selected.as_ref().filter(|selected| selected.pair.path == *path) {
            let pair = (selected.generation == Generation::Current).then(|| self.check_list.get(selected.id));
            let has_lapsed = pair.flatten().is_some_and(|pair| pair.has_lapsed);
            return !has_lapsed && !selected.consent.is_expired(now);
        }
        let pair = self.check_list.find(path).and_then(|id| self.check_list.get(id));
        pair.is_some_and(|pair| {
            pair.is_valid() && pair.answered.is_some_and(|answered| !self.has_expired(answered, now))
        })
    }

    pub(super) fn ask(&mut self, now: Instant, path: &FiveTuple) {
        if !self.uses_path(now, path) {
            return;
        }
        match self.check_list.find(path) {
            Some(id) => self.verify(now, id),
            // The pair of the generation before.
            None => {
                if let Some(selected) = &mut self.selected {
                    selected.consent.hurry(now);
                }
            }
        }
        self.update(now);
    }
}
