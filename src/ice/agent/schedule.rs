//! What an agent does when.

use std::time::{Duration, Instant};

use super::Agent;
use crate::ice::check_list::CheckList;
use crate::ice::local::BaseKind;
use crate::ice::message::{CheckRequest, Content, Generation};
use crate::ice::pair::{Check, Nomination, Pair, PairId, PairState};
use crate::ice::verification::Verification;
use crate::layer::{CandidateError, CandidateKind, IceEvent, IceFailure, IceFailureCause, IceRole, Protocol};
use crate::stun::{Retransmission, RetransmissionConfig, RetransmissionStep, TransactionId};

/// RFC 8489 §6.2.2: nothing is repeated in a stream. One that has taken a check and brings no answer for 5 s brings none.
const CHECK_BY_STREAM: RetransmissionConfig = RetransmissionConfig::reliable().lasting(10);

/// Questions to servers that a failure names at most.
const MAX_SERVER_ERRORS: usize = 32;

/// How long the peer may take to check a pair that was nominated, while it checks another: its check follows ours at
/// once, and is repeated after half a second at most.
const ONE_SIDED_PATIENCE: Duration = Duration::from_secs(1);

impl Agent {
    pub(super) fn update(&mut self, now: Instant) {
        self.gathering.relays.step_leaving(now, &mut self.streams);
        if self.is_closed() {
            self.timeout = self.gathering.relays.timeout();
            return;
        }
        self.remote.give_up_names(now);
        self.step_relays(now);
        self.repeat_checks(now);
        while let Some((path, id)) = self.gathering.bindings.repeat(now, &self.config, &*self.provider.random)
        {
            self.send(path, id, Content::ServerQuery);
        }
        while let Some((path, id)) =
            self.gathering.stream_bindings.step(now, &*self.provider.random, &mut self.streams)
        {
            self.send(path, id, Content::ServerQuery);
        }
        while let Some(error) = self.gathering.take_stun_error(&self.config) {
            self.events.push_back(IceEvent::CandidateError(Box::new(error)));
        }
        self.repeat_verifications(now);
        self.confirm_nomination(now);
        self.leave_silent_pair(now);
        self.ask_reserve(now);
        self.insist(now);
        self.check_consent(now);
        self.nominate(now);
        self.start_paced(now);
        self.detect_failure(now);
        if self.gathering.take_completion() {
            self.events.push_back(IceEvent::GatheringComplete);
        }
        self.settle_relays(now);
        // What that asks servers for is due at once.
        self.gathering.relays.wake(now);
        self.settle_streams();
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

    /// Servers of both kinds take turns.
    pub(super) fn start_query(&mut self, now: Instant) -> bool {
        self.relay_turn = !self.relay_turn;
        let relay_first = self.relay_turn;
        (relay_first && self.start_relay(now))
            || self.start_binding(now)
            || (!relay_first && self.start_relay(now))
            || self.gathering.stream_bindings.start_next(now, &self.config, &mut self.streams)
    }

    fn start_relay(&mut self, now: Instant) -> bool {
        let started = self.gathering.relays.start_next(now, &self.provider, &self.config, &mut self.streams);
        // Its request is due at once.
        self.step_relays(now);
        started
    }

    fn start_binding(&mut self, now: Instant) -> bool {
        match self.gathering.bindings.start_next(now, &self.config, &*self.provider.random) {
            Some((path, id)) => {
                self.send(path, id, Content::ServerQuery);
                true
            }
            None => false,
        }
    }

    pub(super) fn start_check(&mut self, now: Instant) -> bool {
        if self.remote_credentials.is_none() || self.has_given_up() || self.config.lite {
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
        if self.open_stream(now, id) {
            return true;
        }
        // RFC 8445 §14.3: the more checks are under way, the longer each may take.
        let under_way = u32::try_from(self.check_list.under_way()).unwrap_or(u32::MAX);
        let mut retransmission = self.config.check_retransmission;
        retransmission.initial_timeout =
            retransmission.initial_timeout.max(self.config.pacing.saturating_mul(under_way));
        let Some(pair) = self.check_list.get(id) else { return false };
        let nominates = self.role == IceRole::Controlling && nominates(pair);
        let nomination = self.told_nomination(pair).filter(|_| nominates);
        let Some(pair) = self.check_list.get_mut(id) else { return false };
        if pair.path.protocol == Protocol::Tcp {
            retransmission = CHECK_BY_STREAM;
        }
        pair.cancel_check();
        let mut retransmission = Retransmission::new(now, retransmission);
        retransmission.step(now);
        pair.check = Some(Check {
            id: TransactionId::random(&*self.provider.random),
            started: now,
            retransmission,
            role: self.role,
            tie_breaker: self.tie_breaker,
            use_candidate: nominates,
            nomination,
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
        let base = &self.local.bases()[pair.base];
        let request = CheckRequest {
            // RFC 8445 §7.1.1: the priority that a peer-reflexive candidate found by this check has.
            priority: base.priority(CandidateKind::PeerReflexive),
            nomination: check.nomination,
            network: base.network_info(),
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
        if self.role != IceRole::Controlling || self.check_list.is_nominating() {
            return;
        }
        if self.check_list.nominated().is_some() {
            self.leave_one_sided(now);
            return self.renominate(now);
        }
        let Some(best) = self.check_list.best_valid() else { return };
        let id = best.id;
        let waited = self.nomination_due(best).is_none_or(|due| due <= now);
        if !waited && self.check_list.is_better_pending(best) {
            return;
        }
        self.request_nomination(id);
    }

    /// The peer does not use the nominated pair: its checks come by another. A pair works for both sides when each has
    /// checked it (RFC 8445 §7.3.1.4); some agents answer checks from a loopback address and send none there. Where its
    /// checks were only lost, the first that comes takes the nomination up again.
    fn leave_one_sided(&mut self, now: Instant) {
        if self.one_sided_due().is_none_or(|due| due > now) {
            return;
        }
        let nominated = self.check_list.nominated().map(|pair| pair.id);
        let mutual = self.check_list.best_mutual().map(|pair| pair.id);
        let (Some(nominated), Some(mutual)) = (nominated, mutual) else { return };
        tracing::debug!("the peer does not check the nominated candidate pair, but another");
        if let Some(pair) = self.check_list.get_mut(nominated) {
            pair.withdraw();
        }
        self.request_nomination(mutual);
    }

    /// When a nominated pair is left that the peer has not checked, while there is one that it has.
    fn one_sided_due(&self) -> Option<Instant> {
        let nominated_at = self.nominated_at.filter(|_| self.role == IceRole::Controlling)?;
        self.check_list.nominated().filter(|pair| !pair.checked_by_peer)?;
        self.check_list.best_mutual()?;
        Some(nominated_at + ONE_SIDED_PATIENCE)
    }

    /// Until when a better pair than `best` is waited for.
    fn nomination_due(&self, best: &Pair) -> Option<Instant> {
        let is_relayed = self.local.bases()[best.base].kind == BaseKind::Relayed
            || self.remote.get(best.remote).candidate.kind == CandidateKind::Relayed;
        let delay = match is_relayed {
            true => self.config.relay_nomination_delay.max(self.config.nomination_delay),
            false => self.config.nomination_delay,
        };
        self.first_valid.map(|first| first + delay)
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
                nomination: None,
                network: self.local.network_info(selected.pair.path.local),
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
        if self.has_no_address() && !self.has_lost_address {
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
        self.gathering.is_complete() && self.local.candidates().is_empty()
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
        self.insistence = None;
        self.previous = None;
        self.check_list = CheckList::new(self.config.max_pairs);
    }

    fn describe_failure(&self) -> IceFailure {
        let pairs = self.describe_pairs();
        let local_candidates = self.local.candidates().len();
        let remote_candidates = self.remote.len();
        let cause = match () {
            () if self.has_no_address() => IceFailureCause::NoLocalCandidates,
            () if self.first_valid.is_some() => IceFailureCause::ConsentExpired,
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
        let may_check = !self.config.lite
            && self.remote_credentials.is_some()
            && !self.has_given_up()
            && self.check_list.has_next_check(now);
        let thaw = self.check_list.thaw_due(now);
        let verification = self.verifications.iter().map(Verification::due).min();
        let paced = (may_check || self.gathering.has_queued()).then_some(self.next_paced);
        let consent = self.selected.as_ref().map(|selected| selected.consent.timeout(now));
        let waits_to_nominate = self.role == IceRole::Controlling && self.check_list.nominated().is_none();
        let best = self.check_list.best_valid().filter(|_| waits_to_nominate);
        let nomination = best.and_then(|best| self.nomination_due(best)).filter(|due| *due > now);
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
            self.reserve_due,
            self.insistence,
            self.renomination_due().filter(|due| *due > now),
            paced,
            consent,
            nomination,
            self.one_sided_due().filter(|due| *due > now),
            failure,
            self.gathering.timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
