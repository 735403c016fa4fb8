//! Pairs that are asked whether they still work.

use std::net::SocketAddr;
use std::time::Instant;

use smallvec::SmallVec;

use super::Agent;
use crate::ice::message::{CheckRequest, Content, Generation};
use crate::ice::pair::{Claim, Nomination, Pair, PairId, PairState};
use crate::ice::verification::{Verification, VerificationStep};
use crate::layer::{CandidateKind, FiveTuple, IceRole, Protocol};
use crate::stun::{Class, Message, TransactionId};

/// How many pairs are asked at a time when the selected one is silent.
const MAX_ASKED: usize = 8;

/// Whether the peer is still at the other end of a path.
impl Agent {
    /// Asks at once whether a pair that has worked still does.
    pub(super) fn verify(&mut self, now: Instant, id: PairId) {
        let Some(pair) = self.check_list.get(id).filter(|pair| pair.is_valid()) else { return };
        if self.config.lite || self.verifications.iter().any(|verification| verification.pair == id) {
            return;
        }
        let transaction = TransactionId::random(&*self.provider.random);
        let mut verification = Verification::new(
            now,
            (id, pair.path),
            transaction,
            (self.role, self.tie_breaker),
            pair.counters.round_trip_time,
        )
        .on_bad_path(pair.counters.loses_much());
        // The peer may not have seen the nomination where it sees this side now.
        verification.use_candidate = self.role == IceRole::Controlling && pair.nomination == Nomination::Done;
        verification.nomination = self.told_nomination(pair).filter(|_| verification.use_candidate);
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
                    // RFC 8489 §6.2.2: nothing is repeated in a stream.
                    if !verification.is_repeated() || verification.path.protocol == Protocol::Udp {
                        self.send_verification(position);
                    }
                    position += 1;
                }
                VerificationStep::Unanswered => {
                    let verification = self.verifications.swap_remove(position);
                    self.lapse(now, &verification);
                }
            }
        }
        if self.verifications.is_empty() {
            self.verifications = Vec::new();
        }
    }

    fn send_verification(&mut self, position: usize) {
        let Verification { pair, path, id, role, tie_breaker, use_candidate, nomination, .. } =
            self.verifications[position];
        let Some(pair) = self.check_list.get_mut(pair) else { return };
        pair.counters.requests_sent += 1;
        let base = &self.local.bases()[pair.base];
        let request = CheckRequest {
            priority: base.priority(CandidateKind::PeerReflexive),
            role,
            tie_breaker,
            use_candidate,
            nomination,
            network: base.network_info(),
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
            if std::mem::take(&mut self.has_checked_others) && self.concluded_on.is_some() {
                self.check_list.conclude();
            }
        }
        self.take_nomination_up(id);
        self.prefer_proven(now, id);
    }

    /// A pair has answered that the peer may use: because it has nominated it, or because this side has, before it
    /// left the pair. Of several nominated pairs both sides use the one of the highest priority.
    pub(super) fn take_nomination_up(&mut self, id: PairId) {
        let nominated = self.check_list.nominated();
        let best = nominated.map(|pair| pair.priority);
        let has_peer = nominated.is_some_and(|pair| pair.checked_by_peer);
        let Some(pair) = self.check_list.get_mut(id) else { return };
        match (self.role, pair.nomination) {
            (IceRole::Controlled, Nomination::Requested | Nomination::Withdrawn) => {
                pair.nomination = Nomination::Done;
            }
            // A peer that goes by the newest nomination has followed meanwhile: it is told.
            (IceRole::Controlling, Nomination::Withdrawn)
                if Some(pair.priority) > best && (pair.checked_by_peer || !has_peer) =>
            {
                self.request_nomination(id);
            }
            _ => {}
        }
    }

    /// The peer has checked another pair than the nominated one: it may have left that, as it does when a NAT
    /// gives it another port, and knows so before this side.
    pub(super) fn question_selected(
        &mut self,
        now: Instant,
        elsewhere: PairId,
        nominates: bool,
        was_quiet: bool,
    ) {
        let is_elsewhere = |pair: &&Pair| pair.id != elsewhere && pair.nomination == Nomination::Done;
        let Some(selected) = self.selected_check_pair().filter(is_elsewhere) else { return };
        let selected = selected.id;
        let Some(pair) = self.check_list.get(elsewhere) else { return };
        // Peers keep pairs in reserve, and check them now and then: the one that is checked needs no question.
        let is_in_reserve = pair.is_valid() && !pair.has_lapsed && !nominates;
        if is_in_reserve && !was_quiet {
            return;
        }
        self.verify(now, selected);
        self.verify(now, elsewhere);
    }

    /// A selected pair that does not answer gives way to one that has answered since; while there is none, the
    /// others are asked.
    pub(super) fn leave_silent_pair(&mut self, now: Instant) {
        let Some(selected) = &self.selected else { return };
        // What another has answered before this one was asked says nothing of now.
        let (id, since) = (selected.id, Some(selected.consent.granted()).max(selected.silent_since));
        let is_disconnected = selected.consent.is_disconnected(now);
        if !self.selected_check_pair().is_some_and(|pair| is_disconnected || pair.has_lapsed) {
            return;
        }
        let others = self.check_list.pairs().iter().filter(|pair| pair.id != id && pair.is_valid());
        let can_follow = others.clone().any(|pair| pair.answered > since);
        let silent: SmallVec<[PairId; MAX_ASKED]> =
            others.filter(|pair| pair.answered <= since).map(|pair| pair.id).take(MAX_ASKED).collect();
        for id in silent {
            self.verify(now, id);
            if can_follow && let Some(pair) = self.check_list.get_mut(id) {
                // What it has shown is as old as what the pair has that is left.
                pair.has_lapsed = true;
                pair.withdraw();
            }
        }
        if !can_follow {
            self.check_others_again(now);
        } else {
            tracing::debug!("the selected candidate pair does not answer, another does");
            self.fail(now, id);
        }
    }

    /// The pairs that were not needed when one was nominated are checked after all, once in each silence: a peer that is
    /// reached by no known pair may still be reached by another.
    fn check_others_again(&mut self, now: Instant) {
        if std::mem::replace(&mut self.has_checked_others, true) || self.remote_credentials.is_none() {
            return;
        }
        self.check_list.retry_failed();
        for remote in 0..self.remote.len() {
            for base in 0..self.local.bases().len() {
                self.add_pair(now, base, remote, Claim::Said);
            }
        }
    }

    /// Asks a pair that was just nominated once more while another could take its place: nothing else would tell
    /// before the first check of consent.
    pub(super) fn confirm_nomination(&mut self, now: Instant) {
        if self.confirmation.take_if(|at| *at <= now).is_some()
            && let Some(id) = self.selected_check_pair().map(|pair| pair.id)
            && self.check_list.has_alternative(id)
        {
            self.verify(now, id);
        }
    }

    /// The peer sees this side at another address than before: a NAT on the way has given a new one. A controlling
    /// agent nominates again, so that a peer that knows the old address only follows.
    pub(super) fn follow_mapping(&mut self, now: Instant, id: PairId, mapped: Option<SocketAddr>) {
        let Some((base, known)) = self.check_list.get(id).map(|pair| (pair.base, pair.local)) else { return };
        let Some(local) = mapped.and_then(|mapped| self.local_candidate(mapped, base)) else { return };
        if known == Some(local) {
            return;
        }
        tracing::debug!("the peer sees this side at another address");
        if let Some(pair) = self.check_list.get_mut(id) {
            pair.local = Some(local);
        }
        if let Some(selected) = self.selected.as_mut().filter(|selected| selected.id == id) {
            selected.pair.local = self.local.candidates()[local].candidate.clone();
        }
        self.verify(now, id);
    }

    /// A pair has not answered a verification.
    fn lapse(&mut self, now: Instant, verification: &Verification) {
        tracing::debug!("a candidate pair that has worked does not answer");
        let id = verification.pair;
        let is_selected = self.is_selected(id);
        let Some(pair) = self.check_list.get_mut(id) else { return };
        if is_selected {
            pair.has_lapsed = true;
            if let Some(selected) = &mut self.selected {
                selected.silent_since = Some(verification.started());
            }
            return;
        }
        pair.has_lapsed = false;
        if self.role == IceRole::Controlling {
            pair.withdraw();
        }
        // A second of silence may be the loss of a bad path: the long way of an ordinary check decides.
        self.check_list.doubt(id);
        self.reselect(now);
    }

    pub(super) fn uses_path(&self, now: Instant, path: &FiveTuple) -> bool {
        if let Some(selected) = self.selected.as_ref().filter(|selected| selected.pair.path == *path) {
            let pair = (selected.generation == Generation::Current).then(|| self.check_list.get(selected.id));
            let has_lapsed = pair.flatten().is_some_and(|pair| pair.has_lapsed);
            return !has_lapsed && !selected.consent.is_expired(now);
        }
        let pair = self.check_list.find(path).and_then(|id| self.check_list.get(id));
        pair.is_some_and(|pair| {
            pair.is_valid()
                && !pair.has_lapsed
                && pair.answered.is_some_and(|answered| !self.has_expired(answered, now))
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
