//! What an agent does when.

use std::time::Instant;

use super::Agent;
use crate::ice::check_list::CheckList;
use crate::ice::message::{CheckRequest, Content, Generation};
use crate::ice::pair::{Check, Nomination, Pair, PairId, PairState};
use crate::ice::verification::Verification;
use crate::layer::{CandidateError, CandidateKind, IceEvent, IceFailure, IceFailureCause, IceRole};
use crate::stun::{Retransmission, RetransmissionStep, TransactionId};

/// Questions to servers that a failure names at most.
const MAX_SERVER_ERRORS: usize = 32;

impl Agent {
    pub(super) fn update(&mut self, now: Instant) {
        if self.is_closed() {
            return;
        }
        self.remote.give_up_names(now);
        self.repeat_checks(now);
        while let Some((path, id)) = self.gathering.repeat(now, &self.config, &*self.provider.random) {
            self.send(path, id, Content::ServerQuery);
        }
        self.repeat_verifications(now);
        self.confirm_nomination(now);
        self.leave_silent_pair(now);
        self.check_consent(now);
        self.nominate(now);
        self.start_paced(now);
        self.detect_failure(now);
        if self.gathering.take_completion() {
            self.events.push_back(IceEvent::GatheringComplete);
        }
        self.set_state(self.current_state(now));
        self.timeout = self.next_timeout(now);
    }

    pub(super) fn repeat_checks(&mut self, now: Instant) {
        let mut timed_out = Vec::new();
        let mut repeated = Vec::new();
        for pair in self.check_list.pairs_mut() {
            match pair.check.as_mut().map(|check| check.retransmission.step(now)) {
                Some(RetransmissionStep::Send) => repeated.push(pair.id),
                Some(RetransmissionStep::TimedOut) => timed_out.push(pair.id),
                Some(RetransmissionStep::Wait) | None => {}
            }
        }
        for id in repeated {
            self.send_check(id);
            // A nomination that is not answered at once, while another pair could take its place.
            if self.check_list.has_alternative(id) {
                self.verify(now, id);
            }
        }
        timed_out.into_iter().for_each(|id| self.time_out(now, id));
    }

    /// A check had no answer. One that was to nominate a pair which has answered others meanwhile is made anew.
    fn time_out(&mut self, now: Instant, id: PairId) {
        let Some(pair) = self.check_list.get_mut(id) else { return };
        let works =
            pair.is_valid() && pair.check.as_ref().is_some_and(|check| pair.answered > Some(check.started));
        if !works {
            return self.fail(now, id);
        }
        pair.check = None;
        if self.role == IceRole::Controlling {
            pair.withdraw();
        }
    }

    /// Starts at most one check or question every Ta (RFC 8445 §6.1.4.2, §14.2).
    pub(super) fn start_paced(&mut self, now: Instant) {
        if now < self.next_paced {
            return;
        }
        let started = if std::mem::take(&mut self.server_turn) {
            self.start_query(now) || self.start_check(now)
        } else {
            self.server_turn = true;
            self.start_check(now) || self.start_query(now)
        };
        if started {
            self.next_paced = now + self.config.pacing;
        }
    }

    pub(super) fn start_query(&mut self, now: Instant) -> bool {
        match self.gathering.start_next(now, &self.config, &*self.provider.random) {
            Some((path, id)) => {
                self.send(path, id, Content::ServerQuery);
                true
            }
            None => false,
        }
    }

    pub(super) fn start_check(&mut self, now: Instant) -> bool {
        if self.remote_credentials.is_none() || self.has_given_up() {
            return false;
        }
        let nominates = |pair: &Pair| pair.nomination == Nomination::Requested;
        let id = loop {
            let Some(id) = self.check_list.next_check(now) else { return false };
            // A pair may have come to work while it waited in the queue.
            if self.check_list.get(id).is_some_and(|pair| !pair.is_valid() || nominates(pair)) {
                break id;
            }
        };
        // RFC 8445 §14.3: the more checks are under way, the longer each may take.
        let under_way = u32::try_from(self.check_list.under_way()).unwrap_or(u32::MAX);
        let mut retransmission = self.config.check_retransmission;
        retransmission.initial_timeout =
            retransmission.initial_timeout.max(self.config.pacing.saturating_mul(under_way));
        let Some(pair) = self.check_list.get_mut(id) else { return false };
        pair.cancel_check();
        let mut retransmission = Retransmission::new(now, retransmission);
        retransmission.step(now);
        pair.check = Some(Check {
            id: TransactionId::random(&*self.provider.random),
            started: now,
            retransmission,
            role: self.role,
            tie_breaker: self.tie_breaker,
            use_candidate: self.role == IceRole::Controlling && pair.nomination == Nomination::Requested,
        });
        if !pair.is_valid() {
            pair.state = PairState::InProgress;
        }
        self.send_check(id);
        true
    }

    pub(super) fn send_check(&mut self, id: PairId) {
        let Some(pair) = self.check_list.get_mut(id) else { return };
        let Some(check) = &pair.check else { return };
        pair.counters.requests_sent += 1;
        let request = CheckRequest {
            // RFC 8445 §7.1.1: the priority that a peer-reflexive candidate found by this check has.
            priority: self.local.bases()[pair.base].priority(CandidateKind::PeerReflexive),
            role: check.role,
            tie_breaker: check.tie_breaker,
            use_candidate: check.use_candidate,
            generation: Generation::Current,
        };
        let (path, check) = (pair.path, check.id);
        self.send(path, check, Content::Check(request));
    }

    /// RFC 8445 §8.1.1: the best valid pair, when no better one can come or the wait for it is over.
    pub(super) fn nominate(&mut self, now: Instant) {
        if self.role != IceRole::Controlling
            || self.check_list.nominated().is_some()
            || self.check_list.is_nominating()
        {
            return;
        }
        let Some(best) = self.check_list.best_valid() else { return };
        let id = best.id;
        let waited = self.nomination_due().is_none_or(|due| due <= now);
        if !waited && self.check_list.is_better_pending(best) {
            return;
        }
        if let Some(pair) = self.check_list.get_mut(id) {
            pair.nomination = Nomination::Requested;
            self.check_list.trigger(id);
        }
    }

    pub(super) fn nomination_due(&self) -> Option<Instant> {
        self.first_valid.map(|first| first + self.config.nomination_delay)
    }

    /// RFC 7675 §5.1
    pub(super) fn check_consent(&mut self, now: Instant) {
        let Some(selected) = &mut self.selected else { return };
        if selected.consent.is_expired(now) {
            tracing::debug!("the peer's consent to receive has expired");
            let id = selected.id;
            match selected.generation {
                Generation::Current => {
                    self.fail(now, id);
                    // Another pair may do that has answered since, or that the peer has checked.
                    if self.selected.is_none() && self.concluded_on.is_some() && !self.check_list.is_awaited()
                    {
                        return self.give_up();
                    }
                    self.check_consent(now);
                }
                // RFC 8445 §9: the checks of a restart do not depend on the pair that it is to replace.
                Generation::Previous => {
                    self.selected = None;
                    self.previous = None;
                    self.reselect(now);
                    self.check_consent(now);
                }
            }
            return;
        }
        let is_unanswered = selected.consent.is_unanswered();
        if let Some(id) = selected.consent.check(now, &*self.provider.random) {
            let selected_id = selected.id;
            let request = CheckRequest {
                priority: selected.priority,
                role: self.role,
                tie_breaker: self.tie_breaker,
                use_candidate: false,
                generation: selected.generation,
            };
            let path = selected.pair.path;
            let pair = (selected.generation == Generation::Current).then_some(selected.id);
            if let Some(pair) = pair.and_then(|pair| self.check_list.get_mut(pair)) {
                pair.counters.requests_sent += 1;
            }
            self.send(path, id, Content::Check(request));
            // Silence is found out sooner where another pair could serve.
            if is_unanswered && pair.is_some() && self.check_list.has_alternative(selected_id) {
                self.verify(now, selected_id);
            }
        }
    }

    /// RFC 8445 §8.1.2 with the patience of RFC 8863 §4: no pair works, and the time for one to come to is over.
    pub(super) fn detect_failure(&mut self, now: Instant) {
        let is_gathering = self.gathering.is_ended() && !self.gathering.is_complete();
        let is_due = self.failure_due().is_some_and(|due| due <= now);
        if self.selected.is_none() && !self.has_given_up() && is_due && !is_gathering {
            tracing::debug!("no candidate pair works");
            self.give_up();
        }
    }

    /// When patience with what is known of the peer is over.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        Some(self.started?.max(self.last_news?) + self.config.patience)
    }

    pub(super) fn failure_due(&self) -> Option<Instant> {
        if self.has_no_address() {
            // Nothing can be sent, and nothing can come.
            return self.started;
        }
        if self.awaits_candidates() {
            // W3C WebRTC §5.6.3: without the indication that nothing more comes, it is disconnected meanwhile.
            return Some(self.patience_ends()?.max(self.started? + self.config.candidate_patience));
        }
        self.patience_ends()
    }

    fn has_no_address(&self) -> bool {
        self.gathering.is_ended() && self.local.bases().is_empty()
    }

    /// Whether the peer may still tell what makes a pair work.
    pub(super) fn awaits_candidates(&self) -> bool {
        !self.remote_ended && self.concluded_on.is_none()
    }

    pub(super) fn give_up(&mut self) {
        self.failure = Some(Box::new(self.describe_failure()));
        self.outbox.clear();
        self.queued_responses = 0;
        self.remote.forget_names();
        self.selected = None;
        self.verifications = Vec::new();
        self.confirmation = None;
        self.previous = None;
        self.check_list = CheckList::new(self.config.max_pairs);
    }

    fn describe_failure(&self) -> IceFailure {
        let pairs = self.describe_pairs();
        let local_candidates = self.local.candidates().len();
        let remote_candidates = self.remote.len();
        let cause = match () {
            () if self.first_valid.is_some() => IceFailureCause::ConsentExpired,
            () if self.has_no_address() => IceFailureCause::NoLocalCandidates,
            () if remote_candidates == 0 => IceFailureCause::NoRemoteCandidates,
            () if pairs.is_empty() => IceFailureCause::NoPairs,
            () => IceFailureCause::NoAnswer,
        };
        let left_out = self.local.left_out();
        let mut failure = IceFailure::new(cause).with_pairs(pairs);
        failure.local_candidates = local_candidates;
        failure.remote_candidates = remote_candidates;
        failure.candidate_errors.extend(self.gathering.errors().take(MAX_SERVER_ERRORS));
        failure.candidate_errors.extend(self.remote.errors());
        failure.candidate_errors.extend((left_out > 0).then_some(CandidateError::NoRoom(left_out)));
        failure
    }

    pub(super) fn next_timeout(&self, now: Instant) -> Option<Instant> {
        let checks = self.check_list.pairs().iter().filter_map(|pair| pair.check.as_ref());
        let repetition = checks.map(|check| check.retransmission.due()).min();
        let may_check =
            self.remote_credentials.is_some() && !self.has_given_up() && self.check_list.has_next_check(now);
        let thaw = self.check_list.thaw_due(now);
        let verification = self.verifications.iter().map(Verification::due).min();
        let paced = (may_check || self.gathering.has_queued()).then_some(self.next_paced);
        let consent = self.selected.as_ref().map(|selected| selected.consent.timeout(now));
        let waits_to_nominate = self.role == IceRole::Controlling && self.check_list.nominated().is_none();
        let nomination = self.nomination_due().filter(|due| waits_to_nominate && *due > now);
        let is_lost = self.selected.is_none() && !self.has_given_up();
        let [impatience, failure] =
            [self.patience_ends(), self.failure_due()].map(|due| due.filter(|due| is_lost && *due > now));
        let name = self.remote.resolution_due();
        [
            impatience,
            name,
            thaw,
            repetition,
            verification,
            self.confirmation,
            paced,
            consent,
            nomination,
            failure,
            self.gathering.timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
