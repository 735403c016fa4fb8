//! Nomination and the selected pair, RFC 8445 §8.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Agent;
use super::PreviousCredentials;
use crate::ice::check_list::{CheckList, NewPair};
use crate::ice::consent::Consent;
use crate::ice::credentials::KeyedCredentials;
use crate::ice::local::BaseKind;
use crate::ice::message::Generation;
use crate::ice::pair::{Claim, Nomination, Pair, PairFoundation, PairId, PairState, PairStream};
use crate::ice::remote::{RemoteCandidates, is_on_link_of, on_link_of};
use crate::ice::selected::Selected;
use crate::layer::{
    CandidateKind, CandidatePair, CandidatePairState, CandidatePairStatus, FiveTuple, IceConnectionState,
    IceEvent, Protocol, TcpKind,
};

/// How long after its nomination a pair is asked once more.
const CONFIRMATION_DELAY: Duration = Duration::from_millis(500);

/// Candidates, pairs and what they add up to.
impl Agent {
    pub(super) fn signal_newest_candidate(&mut self) {
        let newest = self.local.candidates().last();
        self.events.extend(newest.map(|local| IceEvent::LocalCandidate(local.candidate.clone())));
    }

    /// Tells the host candidates of a base.
    pub(super) fn signal_hosts(&mut self, base: usize) {
        self.events.extend(self.local.told_of(base).cloned().map(IceEvent::LocalCandidate));
    }

    /// Tells all candidates of a base.
    pub(super) fn signal_base(&mut self, base: usize) {
        let of_base = self.local.candidates().iter().filter(|local| local.base == base);
        self.events.extend(of_base.map(|local| IceEvent::LocalCandidate(local.candidate.clone())));
    }

    pub(super) fn pair_remote(&mut self, now: Instant, remote: usize) {
        self.last_news = Some(now);
        for base in 0..self.local.bases().len() {
            self.add_pair(now, base, remote, Claim::Said);
        }
    }

    /// RFC 8445 §6.1.2.2
    pub(super) fn add_pair(
        &mut self,
        now: Instant,
        base: usize,
        remote: usize,
        claim: Claim,
    ) -> Option<PairId> {
        let (near, far) = (&self.local.bases()[base], self.remote.get(remote));
        let stream = match (near.tcp_kind(), far.candidate.protocol, far.candidate.tcp_kind) {
            (None, Protocol::Udp, _) => PairStream::There,
            // RFC 6544 §6.2: a passive candidate has pairs only where the peer has opened a stream.
            (Some(TcpKind::Active), Protocol::Tcp, Some(TcpKind::Passive))
            | (Some(TcpKind::SimultaneousOpen), Protocol::Tcp, Some(TcpKind::SimultaneousOpen)) => {
                PairStream::Wanted { broken: 0 }
            }
            _ => return None,
        };
        let protocol = near.protocol();
        let path = FiveTuple { protocol, local: near.address, remote: on_link_of(near.address, far.address) };
        self.add_pair_on(now, path, stream, (base, remote), claim)
    }

    /// Adds a pair of a base and a remote candidate that has this path.
    pub(super) fn add_pair_on(
        &mut self,
        now: Instant,
        path: FiveTuple,
        stream: PairStream,
        (base, remote): (usize, usize),
        claim: Claim,
    ) -> Option<PairId> {
        let address = self.local.bases()[base].address;
        let far = self.remote.get(remote);
        // A lite agent has the pairs that the peer checks.
        let is_idle = self.config.lite && claim != Claim::Proven;
        let is_relayed = self.local.bases()[base].kind == BaseKind::Relayed;
        let is_secret = is_relayed && claim != Claim::Proven && self.remote.is_of_link(far.address);
        if is_idle || is_secret || !can_pair(address.ip(), far.address.ip()) {
            return None;
        }
        let local = &self.local.candidates()[self.local.own_of(base)?].candidate;
        let new = NewPair {
            base,
            remote,
            path,
            foundation: PairFoundation {
                local: local.foundation.as_str().into(),
                remote: far.candidate.foundation.as_str().into(),
            },
            local_priority: local.priority,
            remote_priority: far.candidate.priority,
            stream,
            cost: self.local.bases()[base].cost() + far.cost,
        };
        let is_on_link = is_on_link_of(address.ip(), far.address.ip());
        let claim = if is_on_link { claim.max(Claim::OnLink) } else { claim };
        let id = self.check_list.add(self.role, new, claim)?;
        self.gathering.relays.want(now, &path);
        Some(id)
    }

    /// Decides anew which pair data is sent on: the nominated one or, until then, the best that works (RFC
    /// 8445 §12.1). After a restart the old pair serves until a new one is nominated (§9).
    pub(super) fn reselect(&mut self, now: Instant) {
        if self.selected_check_pair().is_some_and(|pair| pair.is_valid() && pair.has_lapsed) {
            // It is left when another has answered since, and not for one that is as silent.
            return;
        }
        let on_previous =
            self.selected.as_ref().is_some_and(|selected| selected.generation == Generation::Previous);
        let (best, consented) = loop {
            let nominated = self.check_list.nominated();
            if nominated.is_none() && on_previous {
                return;
            }
            let Some(best) = nominated.or_else(|| self.check_list.best_valid()) else {
                self.selected = None;
                return;
            };
            match best.answered {
                Some(answered) if self.is_selected(best.id) || !self.has_expired(answered, now) => {
                    break (best, answered);
                }
                // RFC 7675 §5.1: only the selected pair is kept fresh.
                _ => {
                    let id = best.id;
                    self.check_list.doubt(id);
                }
            }
        };
        let concluded = best.nomination == Nomination::Done;
        let (id, base) = (best.id, best.base);
        let mut is_new = false;
        if !self.is_selected(id)
            && let Some(local) = best.local
        {
            let pair = CandidatePair {
                local: self.local.candidates()[local].candidate.clone(),
                remote: self.remote.get(best.remote).candidate.clone(),
                path: best.path,
            };
            let (local, remote) = (pair.local.kind, pair.remote.kind);
            tracing::debug!(?local, ?remote, concluded, "selected candidate pair");
            tracing::trace!(path = ?pair.path, "selected path");
            self.push_status(IceEvent::SelectedPair(Box::new(pair.clone())));
            self.selected = Some(Selected {
                id,
                pair,
                generation: Generation::Current,
                priority: self.local.bases()[base].priority(CandidateKind::PeerReflexive),
                consent: Consent::new(consented, &self.config, &*self.provider.random),
                since: now,
                took_over: None,
                silent_since: None,
                astray: None,
            });
            is_new = true;
            self.has_checked_others = false;
        }
        // The peer's checks after that are of paths that it goes on to use.
        if concluded && (self.concluded_on.replace(id) != Some(id) || is_new) {
            self.previous = None;
            self.check_list.conclude();
            if self.check_list.has_alternative(id) {
                self.confirmation = Some(now + CONFIRMATION_DELAY);
            }
            self.gathering.stop_keepalives(&mut self.streams);
        }
    }

    /// The selected pair, if it is of this generation.
    pub(super) fn selected_check_pair(&self) -> Option<&Pair> {
        let selected = self.selected.as_ref()?;
        (selected.generation == Generation::Current).then(|| self.check_list.get(selected.id)).flatten()
    }

    pub(super) fn is_selected(&self, id: PairId) -> bool {
        let selected = self.selected.as_ref();
        selected.is_some_and(|selected| (selected.id, selected.generation) == (id, Generation::Current))
    }

    /// Whether consent of that time is no longer valid.
    pub(super) fn has_expired(&self, granted: Instant, now: Instant) -> bool {
        now.saturating_duration_since(granted) >= self.config.consent_timeout
    }

    /// Begins a generation of candidates and checks; what is selected serves on under the old credentials.
    pub(super) fn begin_generation(&mut self, local: KeyedCredentials) {
        let old_local = std::mem::replace(&mut self.local_credentials, local);
        let old_remote = self.remote_credentials.take();
        match &mut self.selected {
            Some(selected) if selected.generation == Generation::Current => {
                selected.generation = Generation::Previous;
                self.previous =
                    old_remote.map(|remote| Box::new(PreviousCredentials { local: old_local, remote }));
            }
            // Restarted twice before a pair was nominated: the pair still belongs to the generation before.
            Some(_) => {}
            None => self.previous = None,
        }
        self.check_list = CheckList::new(self.config.max_pairs);
        self.verifications = Vec::new();
        self.remote = RemoteCandidates::new(&self.config);
        self.remote_ended = false;
        self.started = None;
        self.last_news = None;
        self.first_valid = None;
        self.failure = None;
        self.concluded_on = None;
        self.confirmation = None;
        self.insistence = None;
        self.nominations = 0;
        self.nominated_at = None;
        self.events.retain(|event| !matches!(event, IceEvent::ResolveName { .. }));
        // What waits to be sent is of the old generation; the peer asks again.
        self.outbox.clear();
        self.queued_responses = 0;
    }

    pub(super) fn describe_pairs(&self) -> Vec<CandidatePairStatus> {
        let listed = self.check_list.pairs().iter().filter_map(|pair| self.describe_pair(pair));
        // After a restart the pair in use is of the generation before, and no longer on the list.
        let previous = self.selected.as_ref().filter(|selected| selected.generation == Generation::Previous);
        let previous = previous.map(|selected| CandidatePairStatus {
            nominated: true,
            ..CandidatePairStatus::new(selected.pair.clone(), CandidatePairState::Succeeded)
        });
        listed.chain(previous).collect()
    }

    fn describe_pair(&self, pair: &Pair) -> Option<CandidatePairStatus> {
        let local = pair.local.or_else(|| self.local.own_of(pair.base))?;
        let candidates = CandidatePair {
            local: self.local.candidates().get(local)?.candidate.clone(),
            remote: self.remote.get(pair.remote).candidate.clone(),
            path: pair.path,
        };
        let counters = &pair.counters;
        Some(CandidatePairStatus {
            nominated: pair.nomination == Nomination::Done,
            priority: pair.priority,
            requests_sent: counters.requests_sent,
            requests_received: counters.requests_received,
            responses_received: counters.responses_received,
            responses_sent: counters.responses_sent,
            current_round_trip_time: counters.round_trip_time,
            total_round_trip_time: counters.total_round_trip_time,
            ..CandidatePairStatus::new(candidates, pair.state.into())
        })
    }

    pub(super) fn current_state(&self, now: Instant) -> IceConnectionState {
        if self.has_given_up() {
            return IceConnectionState::Failed;
        }
        let Some(selected) = &self.selected else {
            let begun = self.remote_credentials.is_some() && !self.remote.is_empty();
            return match self.patience_ends() {
                _ if !begun => IceConnectionState::New,
                // W3C WebRTC §5.6.3: nothing works of what is there, but more may come.
                Some(end) if end <= now => IceConnectionState::Disconnected,
                // The address that data took is gone.
                _ if self.concluded_on.is_some() => IceConnectionState::Disconnected,
                _ => IceConnectionState::Checking,
            };
        };
        let restarting = selected.generation == Generation::Previous;
        let has_lapsed = self.selected_check_pair().is_some_and(|pair| pair.has_lapsed);
        if selected.consent.is_disconnected(now) || has_lapsed {
            // W3C WebRTC §5.6.3: a restart forgets that connectivity was lost.
            return if restarting { IceConnectionState::Checking } else { IceConnectionState::Disconnected };
        }
        let done = self.check_list.nominated().is_some()
            && !self.check_list.is_unfinished()
            && self.gathering.is_complete()
            && self.remote_ended;
        if done && !restarting { IceConnectionState::Completed } else { IceConnectionState::Connected }
    }

    pub(super) fn set_state(&mut self, state: IceConnectionState) {
        if self.state != state {
            tracing::debug!(from = ?self.state, to = ?state, "ICE connection state");
            self.state = state;
            self.push_status(IceEvent::ConnectionState(state));
        }
    }

    /// Queues an event that a later one of its kind makes obsolete, so that the queue stays bounded when
    /// nobody reads it.
    pub(super) fn push_status(&mut self, event: IceEvent) {
        const MOST: usize = 16;
        let is_alike = |other: &IceEvent| std::mem::discriminant(other) == std::mem::discriminant(&event);
        if self.events.iter().filter(|other| is_alike(other)).count() >= MOST {
            let oldest = self.events.iter().position(is_alike);
            oldest.and_then(|oldest| self.events.remove(oldest));
        }
        self.events.push_back(event);
    }
}

impl From<PairState> for CandidatePairState {
    fn from(state: PairState) -> Self {
        match state {
            PairState::Frozen => Self::Frozen,
            PairState::Waiting => Self::Waiting,
            PairState::InProgress => Self::InProgress,
            PairState::Succeeded => Self::Succeeded,
            PairState::Failed => Self::Failed,
        }
    }
}

/// Addresses pair within their family and, for IPv6, link-local ones with each other only (RFC 8445
/// §6.1.2.2).
fn can_pair(local: IpAddr, remote: IpAddr) -> bool {
    match (local, remote) {
        (IpAddr::V4(_), IpAddr::V4(_)) => true,
        (IpAddr::V6(local), IpAddr::V6(remote)) => {
            local.is_unicast_link_local() == remote.is_unicast_link_local()
        }
        _ => false,
    }
}
