//! The checks between two pairs of credentials (RFC 8445 §9): an agent of the crate for each host address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use webrtc_ice::candidate::candidate_base::unmarshal_candidate;
use webrtc_ice::util::{assert_inbound_message_integrity, assert_inbound_username};

use super::base::{Base, Identity, Surroundings};
use super::config::IceConfig;
use super::message::{Class, Message};
use super::tasks::{Remote, Selected};
use crate::layer::{
    Candidate, CandidateAddress, CandidateKind, CandidatePair, CandidatePairState, CandidatePairStatus,
    FiveTuple, IceConnectionState, IceCredentials, IceError, IceRole, Protocol,
};

#[derive(Debug)]
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) credentials: IceCredentials,
    pub(super) remote: Option<IceCredentials>,
    role: IceRole,
    bases: Vec<Base>,
    remotes: Vec<(SocketAddr, Candidate)>,
    /// Which base nominates, and since when.
    nominating: Option<(usize, Instant)>,
}

/// How long a base nominates alone. The crate repeats a nomination five times a second.
const NOMINATION_PATIENCE: Duration = Duration::from_secs(2);

impl Generation {
    pub(super) fn new(number: u64, credentials: IceCredentials, role: IceRole) -> Self {
        let (bases, remotes) = (Vec::new(), Vec::new());
        Self { number, credentials, remote: None, role, bases, remotes, nominating: None }
    }

    pub(super) fn is_started(&self) -> bool {
        self.remote.is_some()
    }

    /// The peer's credentials are known: the checks begin on these host addresses. Candidates that say they
    /// belong to other credentials are forgotten.
    pub(super) fn start(
        &mut self,
        now: Instant,
        surroundings: &Surroundings,
        remote: IceCredentials,
        hosts: &[(SocketAddr, Candidate)],
    ) -> Result<(), IceError> {
        self.remotes.retain(|(_, candidate)| candidate.ufrag().is_none_or(|ufrag| ufrag == remote.ufrag()));
        self.remote = Some(remote);
        hosts
            .iter()
            .try_for_each(|(address, candidate)| self.add_base(now, surroundings, *address, candidate))
    }

    pub(super) fn add_base(
        &mut self,
        now: Instant,
        surroundings: &Surroundings,
        address: SocketAddr,
        candidate: &Candidate,
    ) -> Result<(), IceError> {
        // Until the peer's credentials are known, there is nothing to check with; once a pair is selected in the
        // controlling role, there is nothing left to nominate.
        let Some(remote) = &self.remote else { return Ok(()) };
        if self.role == IceRole::Controlling && self.selected_base().is_some() {
            return Ok(());
        }
        let identity =
            Identity { generation: self.number, role: self.role, local: &self.credentials, remote };
        let mut base = Base::start(now, surroundings, candidate.clone(), address, &identity)?;
        for (address, candidate) in &self.remotes {
            introduce(&mut base, *address, candidate);
        }
        self.bases.push(base);
        Ok(())
    }

    /// Takes a candidate of the peer, whose name is resolved.
    pub(super) fn add_remote(
        &mut self,
        address: SocketAddr,
        candidate: Candidate,
        limit: usize,
    ) -> Result<(), IceError> {
        if address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
            return Ok(());
        }
        if self.remotes.iter().any(|(known, _)| *known == address) {
            return Ok(());
        }
        if self.remotes.len() >= limit {
            return Err(IceError::TooManyCandidates { limit });
        }
        to_webrtc(address, &candidate)?;
        for base in &mut self.bases {
            introduce(base, address, &candidate);
        }
        self.remotes.push((address, candidate));
        Ok(())
    }

    pub(super) fn remote_count(&self) -> usize {
        self.remotes.len()
    }

    pub(super) fn remotes(&self) -> &[(SocketAddr, Candidate)] {
        &self.remotes
    }

    pub(super) fn push(
        &mut self,
        now: Instant,
        path: &FiveTuple,
        message: &Message,
        bytes: &[u8],
    ) -> Result<(), IceError> {
        let base = self.bases.iter_mut().find(|base| base.address == path.local);
        base.ok_or(IceError::Ignored("no checks are made from this address"))?.push(
            now,
            path.remote,
            message,
            bytes,
        )
    }

    /// Whether a datagram of the crate goes out.
    pub(super) fn sends(&mut self, now: Instant, path: &FiveTuple, bytes: &[u8]) -> bool {
        let Some(index) = self.bases.iter().position(|base| base.address == path.local) else { return false };
        let Ok(message) = Message::read(bytes) else { return false };
        // RFC 8445 §8.1.1: one pair is nominated. The agents do not know of each other, and repeat what is held
        // back.
        if message.class == Class::Request && message.nominates {
            match self.nominating {
                Some((other, since)) if other != index && now < since + NOMINATION_PATIENCE => return false,
                Some((same, _)) if same == index => {}
                _ => self.nominating = Some((index, now)),
            }
        }
        let base = &mut self.bases[index];
        base.paths.sent(now, path.remote, &message);
        base.tie_breaker = base.tie_breaker.or(message.role.map(|(_, number)| number));
        true
    }

    /// Whether this is a check of a peer that has our role, and ours must change (RFC 8445 §7.3.1.1). The agents
    /// have a tie-breaker each: the peer gives in to any one of them, and so we only to one that none resists.
    pub(super) fn loses_role(&self, message: &Message, bytes: &[u8]) -> bool {
        let ours = self.bases.iter().filter_map(|base| base.tie_breaker);
        let gives_in = match message.role {
            Some((role, _)) if role != self.role => false,
            Some((IceRole::Controlling, theirs)) => ours.max().is_some_and(|ours| theirs > ours),
            Some((IceRole::Controlled, theirs)) => ours.min().is_some_and(|ours| theirs < ours),
            None => false,
        };
        let is_open = message.class == Class::Request && self.selected_base().is_none();
        gives_in && is_open && self.is_authentic(bytes)
    }

    fn is_authentic(&self, request: &[u8]) -> bool {
        let Some(remote) = &self.remote else { return false };
        let username = format!("{}:{}", self.credentials.ufrag(), remote.ufrag());
        let mut message = webrtc_stun::message::Message::new();
        message.raw = request.to_vec();
        message.decode().is_ok()
            && assert_inbound_username(&message, &username).is_ok()
            && assert_inbound_message_integrity(&mut message, self.credentials.password().as_bytes()).is_ok()
    }

    pub(super) fn look(&mut self) {
        self.bases.iter_mut().for_each(Base::look);
        if let (IceRole::Controlling, Some(selected)) = (self.role, self.selected_base()) {
            // RFC 8445 §8.3: the candidates that were not selected are freed.
            for (index, base) in self.bases.iter_mut().enumerate() {
                if index != selected && base.state != IceConnectionState::Failed {
                    base.end(IceConnectionState::Failed);
                }
            }
        }
    }

    pub(super) fn look_for_stalls(&mut self, now: Instant, config: &IceConfig) {
        self.bases.iter_mut().for_each(|base| base.look_for_stalls(now, config));
    }

    pub(super) fn state(&self) -> IceConnectionState {
        let has = |state| self.bases.iter().any(|base| base.state == state);
        let has_seen_peer = !self.remotes.is_empty() || self.bases.iter().any(|base| base.paths.is_known());
        if has(IceConnectionState::Connected) {
            IceConnectionState::Connected
        } else if has(IceConnectionState::Disconnected) {
            IceConnectionState::Disconnected
        } else if has(IceConnectionState::Checking) {
            if has_seen_peer { IceConnectionState::Checking } else { IceConnectionState::New }
        } else if has(IceConnectionState::Failed) {
            IceConnectionState::Failed
        } else {
            IceConnectionState::New
        }
    }

    /// The pair that data is sent on.
    pub(super) fn selected_pair(&self) -> Option<CandidatePair> {
        let base = &self.bases[self.selected_base()?];
        let selected = base.selected.as_ref()?;
        Some(self.pair(base, selected.address, || peer_reflexive(selected)))
    }

    /// Of several pairs that the peer has nominated, the one of the highest priority (RFC 8445 §8.1.1 forbids
    /// more than one; RFC 5245 had them), those that have consent first.
    fn selected_base(&self) -> Option<usize> {
        let rank = |base: &Base| {
            let selected = base.selected.as_ref()?;
            let has_consent = base.state == IceConnectionState::Connected;
            let priority = self.signalled(selected.address).map_or(selected.priority, |c| c.priority);
            Some((has_consent, self.pair_priority(base.candidate.priority, priority)))
        };
        let ranked = self.bases.iter().enumerate().filter_map(|(index, base)| Some((rank(base)?, index)));
        ranked.max().map(|(_, index)| index)
    }

    pub(super) fn is_validated(&self, path: &FiveTuple) -> bool {
        let of_path = |base: &&Base| base.address == path.local;
        self.bases.iter().find(of_path).is_some_and(|base| base.paths.is_validated(path.remote))
    }

    pub(super) fn describe(&self) -> Vec<CandidatePairStatus> {
        let mut described = Vec::new();
        for base in &self.bases {
            let selected = base.selected.as_ref();
            let signalled = self.remotes.iter().map(|(address, _)| *address);
            let unsignalled = selected.filter(|selected| self.signalled(selected.address).is_none());
            for address in signalled.chain(unsignalled.map(|selected| selected.address)) {
                if address.is_ipv4() != base.address.is_ipv4() {
                    continue;
                }
                let is_selected = selected.is_some_and(|selected| selected.address == address);
                let state = match base.state {
                    IceConnectionState::Failed => CandidatePairState::Failed,
                    _ if is_selected || base.paths.is_answered(address) => CandidatePairState::Succeeded,
                    _ if base.paths.is_asked(address) => CandidatePairState::InProgress,
                    _ => CandidatePairState::Waiting,
                };
                let Some(remote) = self.signalled(address).cloned().or_else(|| selected.map(peer_reflexive))
                else {
                    continue;
                };
                let priority = self.pair_priority(base.candidate.priority, remote.priority);
                let mut status = CandidatePairStatus::new(self.pair(base, address, || remote), state);
                (status.nominated, status.priority) = (is_selected, priority);
                base.paths.describe(&mut status);
                described.push(status);
            }
        }
        described
    }

    pub(super) fn dropped(&self) -> u64 {
        self.bases.iter().map(Base::dropped).sum()
    }

    fn signalled(&self, address: SocketAddr) -> Option<&Candidate> {
        self.remotes.iter().find(|(known, _)| *known == address).map(|(_, candidate)| candidate)
    }

    fn pair(&self, base: &Base, address: SocketAddr, unknown: impl FnOnce() -> Candidate) -> CandidatePair {
        CandidatePair {
            local: base.candidate.clone(),
            remote: self.signalled(address).cloned().unwrap_or_else(unknown),
            path: FiveTuple::udp(base.address, address),
        }
    }

    /// RFC 8445 §6.1.2.3
    fn pair_priority(&self, local: u32, remote: u32) -> u64 {
        let (controlling, controlled) = match self.role {
            IceRole::Controlling => (u64::from(local), u64::from(remote)),
            IceRole::Controlled => (u64::from(remote), u64::from(local)),
        };
        (controlling.min(controlled) << 32)
            + 2 * controlling.max(controlled)
            + u64::from(controlling > controlled)
    }
}

/// Hands the base a candidate of its family. Each agent has an object of its own, in which the crate keeps when
/// the peer was last heard.
fn introduce(base: &mut Base, address: SocketAddr, candidate: &Candidate) {
    if address.is_ipv4() == base.address.is_ipv4()
        && let Ok(remote) = to_webrtc(address, candidate)
    {
        base.add_remote(remote);
    }
}

fn to_webrtc(address: SocketAddr, candidate: &Candidate) -> Result<Remote, IceError> {
    let Candidate { foundation, component, priority, kind, .. } = candidate;
    let (ip, port, kind) = (address.ip(), address.port(), kind.name());
    match unmarshal_candidate(&format!("{foundation} {component} udp {priority} {ip} {port} typ {kind}")) {
        Ok(candidate) => Ok(Arc::new(candidate)),
        Err(_) => Err(IceError::UnsupportedCandidate("webrtc-ice does not read it")),
    }
}

/// A candidate that was not signalled: the peer's check told of it (RFC 8445 §7.3.1.3).
fn peer_reflexive(selected: &Selected) -> Candidate {
    Candidate {
        foundation: selected.foundation.clone(),
        component: 1,
        protocol: Protocol::Udp,
        priority: selected.priority,
        address: CandidateAddress::Ip(selected.address),
        kind: CandidateKind::PeerReflexive,
        related: None,
        tcp_kind: None,
        extensions: Vec::new(),
    }
}
