use std::net::{IpAddr, SocketAddr};

use super::priority::{LocalPreference, candidate_priority};
use crate::layer::{Candidate, CandidateAddress, CandidateKind, Protocol};

/// The local candidates of an agent and the bases they are sent from.
#[derive(Debug)]
pub(super) struct LocalCandidates {
    bases: Vec<Base>,
    candidates: Vec<LocalCandidate>,
    foundations: Vec<FoundationKey>,
    limit: usize,
}

/// A transport address of this machine.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) address: SocketAddr,
    preference: LocalPreference,
}

impl Base {
    /// The priority of what is found on this base.
    pub(super) fn priority(&self, kind: CandidateKind) -> u32 {
        candidate_priority(kind, self.preference)
    }
}

#[derive(Debug)]
pub(super) struct LocalCandidate {
    pub(super) candidate: Candidate,
    pub(super) address: SocketAddr,
    pub(super) base: usize,
}

/// What candidates with the same foundation share (RFC 8445 §5.1.1.3).
type FoundationKey = (CandidateKind, IpAddr, Option<IpAddr>);

/// What became of a candidate that was to be added.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is new, and the last of the list.
    New,
    /// There is one with the same address and base (RFC 8445 §5.1.3).
    Redundant,
    /// The limit is reached.
    Full,
}

impl LocalCandidates {
    pub(super) fn new(limit: usize) -> Self {
        Self { bases: Vec::new(), candidates: Vec::new(), foundations: Vec::new(), limit }
    }

    pub(super) fn bases(&self) -> &[Base] {
        &self.bases
    }

    pub(super) fn candidates(&self) -> &[LocalCandidate] {
        &self.candidates
    }

    pub(super) fn base_of(&self, address: SocketAddr) -> Option<usize> {
        self.bases.iter().position(|base| base.address == address)
    }

    /// The candidate with this address that is sent from this base.
    pub(super) fn find(&self, address: SocketAddr, base: usize) -> Option<usize> {
        self.candidates.iter().position(|local| local.address == address && local.base == base)
    }

    pub(super) fn add_host(&mut self, address: SocketAddr) -> Added {
        if self.base_of(address).is_some() {
            return Added::Redundant;
        }
        if self.candidates.len() >= self.limit {
            return Added::Full;
        }
        let same_family = self.bases.iter().filter(|base| base.address.is_ipv4() == address.is_ipv4());
        let preference = LocalPreference::new(address.ip(), same_family.count());
        self.bases.push(Base { address, preference });
        self.add(CandidateKind::Host, address, self.bases.len() - 1, None)
    }

    /// Adds a reflexive candidate; `server` is the STUN server that saw it, or none where the peer did.
    pub(super) fn add_reflexive(
        &mut self,
        kind: CandidateKind,
        address: SocketAddr,
        base: usize,
        server: Option<IpAddr>,
    ) -> Added {
        if self.find(address, base).is_some() {
            return Added::Redundant;
        }
        if self.candidates.len() >= self.limit {
            return Added::Full;
        }
        self.add(kind, address, base, server)
    }

    /// Forgets reflexive candidates, which belong to one generation.
    pub(super) fn keep_host_only(&mut self) {
        self.candidates.retain(|local| local.candidate.kind == CandidateKind::Host);
    }

    fn add(
        &mut self,
        kind: CandidateKind,
        address: SocketAddr,
        base: usize,
        server: Option<IpAddr>,
    ) -> Added {
        let base_address = self.bases[base].address;
        let foundation = self.foundation((kind, base_address.ip(), server));
        self.candidates.push(LocalCandidate {
            candidate: Candidate {
                foundation: foundation.to_string(),
                component: 1,
                protocol: Protocol::Udp,
                priority: self.bases[base].priority(kind),
                address: CandidateAddress::Ip(address),
                kind,
                related: (kind != CandidateKind::Host).then_some(base_address),
                tcp_kind: None,
                extensions: Vec::new(),
            },
            address,
            base,
        });
        Added::New
    }

    fn foundation(&mut self, key: FoundationKey) -> usize {
        let known = self.foundations.iter().position(|known| *known == key);
        1 + known.unwrap_or_else(|| {
            self.foundations.push(key);
            self.foundations.len() - 1
        })
    }
}
