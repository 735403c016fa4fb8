use std::net::{IpAddr, SocketAddr};

use crate::layer::{Candidate, CandidateAddress, CandidateKind, IceError, NameQuery, Protocol};

/// The remote candidates of one generation, and those whose names are being resolved.
#[derive(Debug)]
pub(super) struct RemoteCandidates {
    candidates: Vec<RemoteCandidate>,
    unresolved: Vec<(NameQuery, Candidate)>,
    /// How many were found by checks of the peer.
    found: u64,
    limit: usize,
}

#[derive(Debug)]
pub(super) struct RemoteCandidate {
    pub(super) candidate: Candidate,
    pub(super) address: SocketAddr,
}

/// What became of a candidate of the peer.
#[derive(Debug)]
pub(super) enum Admitted {
    /// It is new and has this index.
    New(usize),
    /// It was peer-reflexive and is signalled now: its priority may have changed.
    Signalled(usize),
    /// It was signalled before.
    Redundant,
    /// Its name must be resolved first.
    Unresolved,
    /// It is of a kind that this agent does not use.
    Unusable,
}

impl RemoteCandidates {
    pub(super) fn new(limit: usize) -> Self {
        Self { candidates: Vec::new(), unresolved: Vec::new(), found: 0, limit }
    }

    pub(super) fn get(&self, index: usize) -> &RemoteCandidate {
        &self.candidates[index]
    }

    pub(super) fn len(&self) -> usize {
        self.candidates.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.candidates.is_empty() && self.unresolved.is_empty()
    }

    pub(super) fn is_resolving(&self) -> bool {
        !self.unresolved.is_empty()
    }

    pub(super) fn find(&self, address: SocketAddr) -> Option<usize> {
        let is_same = |remote: &RemoteCandidate| {
            on_link_of(address, remote.address) == address
                || on_link_of(remote.address, address) == remote.address
        };
        self.candidates.iter().position(is_same)
    }

    /// Takes a signalled candidate; `query` names the question if its name must be resolved.
    pub(super) fn admit(&mut self, candidate: Candidate, query: NameQuery) -> Result<Admitted, IceError> {
        // Components other than 1 belong to RTCP without rtcp-mux; TCP candidates to RFC 6544.
        if candidate.component != 1 || candidate.protocol != Protocol::Udp {
            return Ok(Admitted::Unusable);
        }
        let address = match candidate.address {
            CandidateAddress::Ip(address) => address,
            CandidateAddress::Name(..) => {
                self.check_limit()?;
                self.unresolved.push((query, candidate));
                return Ok(Admitted::Unresolved);
            }
        };
        if address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
            return Ok(Admitted::Unusable);
        }
        if let Some(index) = self.find(address) {
            // RFC 8445 §7.3.1.3: a peer-reflexive candidate that is signalled takes the signalled values.
            let known = &mut self.candidates[index].candidate;
            if known.kind != CandidateKind::PeerReflexive {
                return Ok(Admitted::Redundant);
            }
            *known = candidate;
            return Ok(Admitted::Signalled(index));
        }
        self.check_limit()?;
        self.candidates.push(RemoteCandidate { candidate, address });
        Ok(Admitted::New(self.candidates.len() - 1))
    }

    /// Adds the source of a check as a peer-reflexive candidate (RFC 8445 §7.3.1.3); `None` at the limit.
    pub(super) fn admit_peer_reflexive(
        &mut self,
        address: SocketAddr,
        priority: u32,
        ufrag: &str,
    ) -> Option<usize> {
        self.check_limit().ok()?;
        self.found += 1;
        let candidate = Candidate {
            // Any value that no other remote candidate has.
            foundation: format!("prflx{}", self.found),
            component: 1,
            protocol: Protocol::Udp,
            priority,
            address: CandidateAddress::Ip(address),
            kind: CandidateKind::PeerReflexive,
            related: None,
            tcp_kind: None,
            extensions: vec![("ufrag".to_owned(), ufrag.to_owned())],
        };
        self.candidates.push(RemoteCandidate { candidate, address });
        Some(self.candidates.len() - 1)
    }

    /// The candidate that waits for this answer, with the address in place of the name.
    pub(super) fn take_resolved(&mut self, query: NameQuery, address: Option<IpAddr>) -> Option<Candidate> {
        let position = self.unresolved.iter().position(|(unresolved, _)| *unresolved == query)?;
        let (_, mut candidate) = self.unresolved.swap_remove(position);
        let CandidateAddress::Name(_, port) = candidate.address else { return None };
        candidate.address = CandidateAddress::Ip(SocketAddr::new(address?, port));
        Some(candidate)
    }

    /// Forgets the candidates that say they belong to another generation than that of `ufrag`. The others have
    /// new indices.
    pub(super) fn keep(&mut self, ufrag: &str) {
        self.unresolved.retain(|(_, candidate)| belongs(candidate, ufrag));
        self.candidates.retain(|remote| belongs(&remote.candidate, ufrag));
    }

    /// Forgets the peer-reflexive candidates that `is_used` does not claim by their index. The others have new
    /// indices.
    pub(super) fn forget_unused(&mut self, is_used: impl Fn(usize) -> bool) {
        let mut index = 0;
        self.candidates.retain(|remote| {
            index += 1;
            remote.candidate.kind != CandidateKind::PeerReflexive || is_used(index - 1)
        });
    }

    pub(super) fn is_full(&self) -> bool {
        self.candidates.len() + self.unresolved.len() >= self.limit
    }

    fn check_limit(&self) -> Result<(), IceError> {
        if self.is_full() {
            return Err(IceError::TooManyCandidates { limit: self.limit });
        }
        Ok(())
    }
}

/// Whether a candidate belongs to the generation of `ufrag`, or does not say (RFC 8838 §8).
pub(super) fn belongs(candidate: &Candidate, ufrag: &str) -> bool {
    candidate.ufrag().is_none_or(|other| other == ufrag)
}

/// An address as it is reached from `base`: a link-local one without a zone is on the same link (RFC 4007 §6).
pub(super) fn on_link_of(base: SocketAddr, address: SocketAddr) -> SocketAddr {
    match (base, address) {
        (SocketAddr::V6(base), SocketAddr::V6(mut address))
            if address.ip().is_unicast_link_local() && address.scope_id() == 0 =>
        {
            address.set_scope_id(base.scope_id());
            address.into()
        }
        _ => address,
    }
}
