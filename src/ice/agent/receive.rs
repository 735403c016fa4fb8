//! What arrives at an agent.

use std::net::SocketAddr;
use std::time::Instant;

use super::Agent;
use crate::ice::consent::Consent;
use crate::ice::credentials::KeyedCredentials;
use crate::ice::local::Added;
use crate::ice::message::{Content, Generation, KNOWN_ATTRIBUTES, Outcome, Outgoing, random_tie_breaker};
use crate::ice::pair::{Claim, Nomination, PairId, PairState, PairStream};
use crate::ice::remote::on_link_of;
use crate::layer::{
    CandidateKind, Datagram, FiveTuple, IceError, IceRole, IceTransport, PathProof, Protocol, TcpKind,
};
use crate::stun::{AttributeType, Class, ErrorCode, Message, Method};

impl Agent {
    pub(super) fn receive(&mut self, now: Instant, datagram: &Datagram<'_>) -> Result<(), IceError> {
        if self.is_closed() {
            return Err(IceError::Closed);
        }
        let message =
            Message::decode(datagram.bytes).map_err(|_| IceError::Ignored("it is no STUN message"))?;
        if message.method() != Method::BINDING {
            return Err(IceError::Ignored("its method is not Binding"));
        }
        let base = self.base_of(&datagram.path);
        let base = base.ok_or(IceError::Ignored("it came to an address that is no host address"))?;
        match message.class() {
            Class::Request if !self.local.is_told(base) => {
                // RFC 8828 §5.2: an answer would show the address.
                Err(IceError::Ignored("it came to an address that is not used for the peer"))
            }
            Class::Request => self.receive_request(now, base, datagram.path, &message),
            Class::Success | Class::Error => self.receive_response(now, datagram.path, &message),
            // RFC 8445 §11: a keepalive.
            Class::Indication => Ok(()),
        }
    }

    /// RFC 8445 §7.3
    pub(super) fn receive_request(
        &mut self,
        now: Instant,
        base: usize,
        path: FiveTuple,
        message: &Message<'_>,
    ) -> Result<(), IceError> {
        // A request without correct credentials is not answered at all: an answer would tell a stranger of
        // this agent and could be aimed at somebody else.
        let (generation, ufrag) = self.authenticate(message)?;
        if self.has_given_up() {
            // RFC 7675 §5.1 gives answers for consent: that of an agent that has given up is withheld, so that the
            // peer learns of it.
            return Err(IceError::Ignored("the agent has failed: only a restart helps"));
        }
        if !self.remote.passes(path.remote.ip()) {
            return Err(IceError::Ignored("it came from an address that is not used"));
        }
        if self.queued_responses >= self.config.max_queued_responses {
            return Err(IceError::Ignored("too many responses wait to be sent"));
        }
        if path.protocol == Protocol::Tcp && !self.keep_stream(&path) {
            return Err(IceError::Ignored("the peer has opened too many streams"));
        }
        self.stats.checks_received += 1;
        let outcome = if let Some(kind) = self.unknown_attribute(message) {
            Outcome::UnknownAttribute(kind)
        } else if generation == Generation::Current && self.refuses_role(message) {
            Outcome::RoleConflict
        } else {
            Outcome::Success
        };
        self.queued_responses += 1;
        self.outbox.push_back(Outgoing {
            path,
            id: message.transaction_id(),
            content: Content::Response { outcome, generation },
        });
        if matches!(outcome, Outcome::Success) && generation == Generation::Current {
            self.learn_from_request(now, base, path, message, ufrag);
        }
        self.show(now, path, PathProof::Check);
        Ok(())
    }

    /// Which generation a request belongs to, and the fragment that its sender gives as its own.
    pub(super) fn authenticate<'m>(&self, message: &Message<'m>) -> Result<(Generation, &'m str), IceError> {
        let username = message.username().ok_or(IceError::Ignored("a check without USERNAME"))?;
        let (ours, theirs) =
            username.split_once(':').ok_or(IceError::Ignored("a check with a malformed USERNAME"))?;
        let previous = self.previous.as_ref().map(|previous| (Generation::Previous, &previous.local));
        let (generation, credentials) = [(Generation::Current, &self.local_credentials)]
            .into_iter()
            .chain(previous)
            .find(|(_, credentials)| credentials.ufrag() == ours)
            .ok_or(IceError::Ignored("a check for another user-name fragment"))?;
        if !message.verify(&credentials.key) {
            return Err(IceError::Ignored("a check with a wrong password"));
        }
        // RFC 8445 §9: a restart changes the credentials of both sides. A check with new ones of its sender and old ones of
        // this side comes from before it knew the new ones; libwebrtc stays with such a pair if it is answered.
        if self.remote_of(generation).is_some_and(|remote| remote.ufrag() != theirs) {
            return Err(IceError::Ignored("a check with the user-name fragments of two generations"));
        }
        Ok((generation, theirs))
    }

    /// The credentials of the peer in a generation, as far as they are known.
    fn remote_of(&self, generation: Generation) -> Option<&KeyedCredentials> {
        match generation {
            Generation::Current => self.remote_credentials.as_ref(),
            Generation::Previous => self.previous.as_ref().map(|previous| &previous.remote),
        }
    }

    pub(super) fn unknown_attribute(&self, message: &Message<'_>) -> Option<AttributeType> {
        message.unknown_required(&KNOWN_ATTRIBUTES).next()
    }

    /// Repairs a role conflict; true if the peer is to do it (RFC 8445 §7.3.1.1).
    pub(super) fn refuses_role(&mut self, message: &Message<'_>) -> bool {
        let same_role = match self.role {
            IceRole::Controlling => message.ice_controlling(),
            IceRole::Controlled => message.ice_controlled(),
        };
        let Some(theirs) = same_role else { return false };
        // The agent with the larger tie-breaker controls.
        let wanted = if self.tie_breaker >= theirs { IceRole::Controlling } else { IceRole::Controlled };
        let refuses = wanted == self.role;
        tracing::debug!(role = ?self.role, refuses, "both agents have the same role");
        self.set_role(wanted);
        refuses
    }

    /// RFC 8445 §7.3.1.3 to §7.3.1.5
    pub(super) fn learn_from_request(
        &mut self,
        now: Instant,
        base: usize,
        path: FiveTuple,
        message: &Message<'_>,
        ufrag: &str,
    ) {
        let Some(remote) = self.remote_candidate(base, &path, message, ufrag) else { return };
        self.note_remote_cost(remote, message);
        let known = self.check_list.find(&path);
        match known {
            Some(id) => self.take_opened_by_peer(id),
            None => self.last_news = Some(now),
        }
        let places = (base, remote);
        let id = known.or_else(|| self.add_pair_on(now, path, PairStream::There, places, Claim::Proven));
        let Some(pair) = id.and_then(|id| self.check_list.get_mut(id)) else { return };
        let id = pair.id;
        pair.checked_by_peer = true;
        let was_quiet = pair.is_quiet(now);
        pair.heard = Some(now);
        pair.counters.requests_received += 1;
        pair.counters.responses_sent += 1;
        // A nomination while the selected pair is silent tells that the peer has left that one: if this one has
        // not answered since, whether it works now is worth a check.
        let has_lapsed = self.selected_check_pair().is_some_and(|pair| pair.has_lapsed);
        let Some(pair) = self.check_list.get_mut(id) else { return };
        let is_stale = self.selected.as_ref().is_some_and(|selected| {
            (has_lapsed || selected.consent.is_disconnected(now))
                && selected.pair.path != path
                && pair.answered < Some(selected.consent.granted())
        });
        let nominated_as = self.nomination_of(message, id);
        if self.config.lite {
            return self.take_check(now, id, nominated_as);
        }
        let Some(pair) = self.check_list.get_mut(id) else { return };
        let nominates = nominated_as.is_some();
        let is_news = matches!(pair.nomination, Nomination::None | Nomination::Withdrawn)
            || nominated_as > Some(pair.nomination_value);
        if let Some(value) = nominated_as.filter(|_| is_news || is_stale) {
            let must_prove = is_stale || !pair.is_valid();
            pair.nomination = if must_prove { Nomination::Requested } else { Nomination::Done };
            pair.nomination_value = value.max(pair.nomination_value);
            self.nominations = self.nominations.max(value);
            self.check_list.forget_withdrawn();
        }
        let Some(pair) = self.check_list.get_mut(id) else { return };
        if pair.is_valid() {
            if pair.has_lapsed || nominates && is_stale && pair.check.is_none() {
                self.verify(now, id);
            } else if self.role == IceRole::Controlling {
                self.take_nomination_up(id);
            }
            self.question_selected(now, id, nominates, was_quiet);
            self.reselect(now);
        } else {
            pair.cancel_check();
            pair.state = PairState::Waiting;
            self.check_list.trigger(id);
            self.question_selected(now, id, nominates, was_quiet);
        }
    }

    /// The remote candidate that a request came from; `None` at the limit (RFC 8445 §7.3.1.3).
    fn remote_candidate(
        &mut self,
        base: usize,
        path: &FiveTuple,
        message: &Message<'_>,
        ufrag: &str,
    ) -> Option<usize> {
        if let Some(known) = self.remote.find(path.protocol, path.remote) {
            return Some(known);
        }
        if self.remote.is_full_of_found() {
            // A peer whose NAT gives it a new address now and then is not to use up all places.
            self.forget_oldest_found();
        }
        let priority = message.priority().unwrap_or(0);
        // RFC 6544 §7.2: who has opened the stream; at an address for simultaneous open, one like it.
        let tcp_kind = match self.local.bases()[base].is_simultaneous() {
            true => TcpKind::SimultaneousOpen,
            false => TcpKind::Active,
        };
        self.remote.admit_peer_reflexive(path.protocol, path.remote, priority, ufrag, tcp_kind)
    }

    pub(super) fn receive_response(
        &mut self,
        now: Instant,
        path: FiveTuple,
        message: &Message<'_>,
    ) -> Result<(), IceError> {
        let id = message.transaction_id();
        if self.receive_verification(now, path, message) {
            self.show(now, path, PathProof::Answer);
            return Ok(());
        }
        if let Some(pair) = self.check_list.find_check(id) {
            let remote = self.remote_credentials.as_ref();
            if !remote.is_some_and(|remote| message.verify(&remote.key)) {
                return Err(IceError::Ignored("a response with a wrong password"));
            }
            self.stats.responses_received += 1;
            self.receive_check_response(now, pair, path, message);
            self.show(now, path, PathProof::Answer);
            return Ok(());
        }
        if self.receive_consent(now, path, message) {
            self.show(now, path, PathProof::Answer);
            return Ok(());
        }
        if self.receive_server_answer(now, path, message) {
            return Ok(());
        }
        Err(IceError::Ignored("a response to no question"))
    }

    /// An authentic message of the peer has come by a path.
    fn show(&mut self, now: Instant, path: FiveTuple, proof: PathProof) {
        self.proof = Some((path, proof));
        if let Some(pair) = self.check_list.find(&path).and_then(|id| self.check_list.get_mut(id)) {
            pair.heard = Some(now);
        }
    }

    /// RFC 8445 §7.2.5
    pub(super) fn receive_check_response(
        &mut self,
        now: Instant,
        id: PairId,
        path: FiveTuple,
        message: &Message<'_>,
    ) {
        let Some(pair) = self.check_list.get_mut(id) else { return };
        let round_trip_time = pair.round_trip_time(now, message.transaction_id());
        pair.counters.answered(round_trip_time);
        let Some((sent_as, nominates)) = pair.take_check(message.transaction_id()) else { return };
        // RFC 8445 §7.2.5.2.1: the response must come the way that the check went.
        let mapped = message.mapped_address().filter(|_| pair.path == path);
        match (message.class(), mapped) {
            (Class::Success, Some(mapped)) => {
                self.succeed(now, id, mapped, nominates);
            }
            (Class::Error, _)
                if message.error_code().is_some_and(|(code, _)| code == ErrorCode::ROLE_CONFLICT) =>
            {
                // RFC 8445 §7.2.5.1: unless it has happened already, the role changes, and the tie-breaker with
                // it, so that two agents with equal ones do not change roles for ever.
                if sent_as == self.role {
                    self.tie_breaker = random_tie_breaker(&*self.provider.random);
                    self.set_role(match self.role {
                        IceRole::Controlling => IceRole::Controlled,
                        IceRole::Controlled => IceRole::Controlling,
                    });
                }
                if let Some(pair) = self.check_list.get_mut(id).filter(|pair| !pair.is_valid()) {
                    pair.state = PairState::Waiting;
                }
                self.check_list.trigger(id);
            }
            _ => self.fail(now, id),
        }
    }

    /// RFC 8445 §7.2.5.3
    pub(super) fn succeed(&mut self, now: Instant, id: PairId, mapped: SocketAddr, nominates: bool) {
        let Some(base) = self.check_list.get(id).map(|pair| pair.base) else { return };
        let local = self.local_candidate(mapped, base);
        let Some(pair) = self.check_list.get_mut(id) else { return };
        pair.state = PairState::Succeeded;
        pair.local = local;
        pair.answered = Some(now);
        pair.has_lapsed = false;
        if nominates && self.role == IceRole::Controlling {
            pair.nomination = Nomination::Done;
            self.nominated_at = Some(now);
            self.check_list.supersede(id);
        }
        self.take_nomination_up(id);
        let Some(pair) = self.check_list.get_mut(id) else { return };
        // A second check of the pair, unless it nominates, has nothing left to find out.
        if pair.nomination != Nomination::Requested {
            pair.cancel_check();
        }
        self.verifications.retain(|verification| verification.pair != id);
        self.check_list.thaw_like(id);
        self.first_valid.get_or_insert(now);
        if let Some(selected) = &mut self.selected
            && (selected.id, selected.generation) == (id, Generation::Current)
        {
            selected.consent = Consent::new(now, &self.config, &*self.provider.random);
        }
        self.reselect(now);
        self.prefer_proven(now, id);
    }

    /// The local candidate that the peer saw (RFC 8445 §7.2.5.3.1).
    pub(super) fn local_candidate(&mut self, mapped: SocketAddr, base: usize) -> Option<usize> {
        let mapped = on_link_of(self.local.bases()[base].address, mapped);
        if let Some(known) = self.local.find(mapped, base) {
            return Some(known);
        }
        let pairs = &self.check_list;
        let is_used = |local: usize| pairs.pairs().iter().any(|pair| pair.local == Some(local));
        if let Some(replaced) = self.local.replace_unused(mapped, base, is_used) {
            return Some(replaced);
        }
        match self.local.add_reflexive(CandidateKind::PeerReflexive, mapped, base, None) {
            Added::New => Some(self.local.candidates().len() - 1),
            // At the limit one makes room that no pair needs any more, or the pair is known by its base.
            Added::Redundant | Added::Full => self.local.own_of(base),
        }
    }

    pub(super) fn fail(&mut self, now: Instant, id: PairId) {
        if let Some(pair) = self.check_list.get_mut(id) {
            pair.state = PairState::Failed;
            pair.local = None;
            pair.check = None;
            pair.has_lapsed = false;
            pair.withdraw();
            self.verifications.retain(|verification| verification.pair != id);
            self.reselect(now);
        }
    }

    pub(super) fn receive_consent(&mut self, now: Instant, path: FiveTuple, message: &Message<'_>) -> bool {
        let Some(selected) = &mut self.selected else { return false };
        let remote = match selected.generation {
            Generation::Current => self.remote_credentials.as_ref(),
            Generation::Previous => self.previous.as_ref().map(|previous| &previous.remote),
        };
        let believed = selected.pair.path == path
            && message.class() == Class::Success
            && remote.is_some_and(|remote| message.verify(&remote.key));
        let answer = believed
            .then(|| selected.consent.answer(now, message.transaction_id(), &*self.provider.random))
            .flatten();
        let Some(round_trip_time) = answer else { return false };
        self.stats.responses_received += 1;
        let id = selected.id;
        if selected.generation == Generation::Current
            && let Some(pair) = self.check_list.get_mut(id)
        {
            pair.counters.answered(Some(round_trip_time));
            self.renew(now, id);
            self.follow_mapping(now, id, message.mapped_address());
        }
        true
    }

    /// RFC 8445 §5.1.1.2
    pub(super) fn receive_server_answer(
        &mut self,
        now: Instant,
        path: FiveTuple,
        message: &Message<'_>,
    ) -> bool {
        let mapped = message.mapped_address().filter(|_| message.class() == Class::Success);
        let code = message.error_code().map_or(0, |(code, _)| code.number());
        let refusal = mapped.is_none().then_some(code);
        let id = message.transaction_id();
        let by_stream = self.gathering.stream_bindings.answer(&path, id, mapped, code, &mut self.streams);
        if let Some(told) = by_stream {
            if let Some(mapping) = told {
                self.take_mapping(&mapping);
            }
            return true;
        }
        let answer =
            self.gathering.bindings.answer(now, &path, message.transaction_id(), refusal, &self.config);
        let Some(answer) = answer else { return false };
        if let Some(mapped) = mapped {
            let server = Some(answer.server.ip());
            let kind = CandidateKind::ServerReflexive;
            if self.local.add_reflexive(kind, mapped, answer.base, server) == Added::New {
                self.local.set_newest_url(self.config.stun_url(answer.server));
                self.signal_newest_candidate();
            }
        }
        true
    }
}
