//! Local candidates and their bases, RFC 8445 §5.1.

use std::net::{IpAddr, SocketAddr};

use super::address_rewrite::{AddressRewriteRule, told_addresses};
use super::priority::{LocalPreference, candidate_priority};
use super::remote::is_on_link_of;
use crate::layer::{Candidate, CandidateAddress, CandidateKind, Protocol};

/// The local candidates of an agent and the bases they are sent from.
#[derive(Debug)]
pub(super) struct LocalCandidates {
    bases: Vec<Base>,
    candidates: Vec<LocalCandidate>,
    foundations: Vec<FoundationKey>,
    /// Host addresses that there was no room for, in case that the peer turns out to be on their link.
    spare: Vec<SocketAddr>,
    limit: usize,
    rewrite_rules: Vec<AddressRewriteRule>,
}

/// Host addresses without room that are remembered.
const MAX_SPARE: usize = 256;

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

/// What candidates with the same foundation share (RFC 8445 §5.1.1.3): kind, base, and what stands between: the server
/// that was asked, or the address that a NAT gives. One that is rewritten is reached by another way than its base is,
/// so neither is to wait for the other.
type FoundationKey = (CandidateKind, IpAddr, Option<IpAddr>);

/// What became of a candidate that was to be added.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is new, and the last of the list.
    New,
    /// There is one with the same address and base (RFC 8445 §5.1.3), or one that is told in its place.
    Redundant,
    /// The limit is reached.
    Full,
}

impl LocalCandidates {
    pub(super) fn new(limit: usize, rewrite_rules: Vec<AddressRewriteRule>) -> Self {
        Self {
            bases: Vec::new(),
            candidates: Vec::new(),
            foundations: Vec::new(),
            spare: Vec::new(),
            limit,
            rewrite_rules,
        }
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

    /// The host candidate that stands for a base: its address, or what is told in its place.
    pub(super) fn host_of(&self, base: usize) -> Option<usize> {
        let is_host = |local: &LocalCandidate| local.candidate.kind == CandidateKind::Host;
        self.candidates.iter().position(|local| local.base == base && is_host(local))
    }

    /// The host candidates of a base, save those whose address another base is told as, too: a peer has no use for
    /// the same address twice.
    pub(super) fn told_of(&self, base: usize) -> impl Iterator<Item = &Candidate> {
        let told = move |local: &&LocalCandidate| {
            let twin = self.hosts().find(|host| host.address == local.address);
            local.base == base && twin.is_some_and(|twin| twin.base == base)
        };
        self.hosts().filter(told).map(|local| &local.candidate)
    }

    fn hosts(&self) -> impl Iterator<Item = &LocalCandidate> {
        self.candidates.iter().filter(|local| local.candidate.kind == CandidateKind::Host)
    }

    /// Adds a host address; `is_on_link` says that a remote candidate is its neighbour.
    pub(super) fn add_host(&mut self, address: SocketAddr, is_on_link: bool) -> Added {
        if self.base_of(address).is_some() {
            return Added::Redundant;
        }
        if !self.has_room_for_host(address, is_on_link) {
            if self.spare.len() < MAX_SPARE && !self.spare.contains(&address) {
                self.spare.push(address);
            }
            return Added::Full;
        }
        self.spare.retain(|spare| *spare != address);
        let preference = self.next_preference(address);
        self.bases.push(Base { address, preference });
        let base = self.bases.len() - 1;
        for told in told_addresses(&self.rewrite_rules, address) {
            if self.find(told, base).is_none() && self.candidates.len() < self.limit {
                self.add_host_candidate(told, base);
            }
        }
        Added::New
    }

    fn add_host_candidate(&mut self, address: SocketAddr, base: usize) {
        // RFC 8445 §5.1.2.1: one address, one preference. The first candidate of a base has that of the base.
        let preference = match self.host_of(base) {
            Some(_) => self.next_preference(address),
            None => self.bases[base].preference,
        };
        let rewritten = (self.bases[base].address != address).then_some(address.ip());
        self.add(CandidateKind::Host, address, base, rewritten);
        if let Some(added) = self.candidates.last_mut() {
            added.candidate.priority = candidate_priority(CandidateKind::Host, preference);
        }
    }

    /// The preference of the next host candidate of a family.
    fn next_preference(&self, address: SocketAddr) -> LocalPreference {
        let same_family = self.hosts().filter(|host| host.address.is_ipv4() == address.is_ipv4());
        LocalPreference::new(address.ip(), same_family.count())
    }

    /// Host addresses do not take all places: without a reflexive candidate a peer beyond a NAT is not reached, and
    /// the link that leads to the peer may be the last in the list.
    fn has_room_for_host(&self, address: SocketAddr, is_on_link: bool) -> bool {
        let is_like = |base: &Base| base.address.is_ipv4() == address.is_ipv4();
        let is_preferred = is_on_link || !self.bases.iter().any(is_like);
        let kept = if is_preferred { self.limit / 8 } else { self.limit / 4 };
        self.hosts().count() < self.limit - kept && self.candidates.len() < self.limit
    }

    /// How many host addresses there was no room for.
    pub(super) fn left_out(&self) -> usize {
        self.spare.len()
    }

    /// A host address that there was no room for, on a link where `remote` is.
    pub(super) fn spare_on_link_of(&self, remote: IpAddr) -> Option<SocketAddr> {
        self.spare.iter().copied().find(|spare| is_on_link_of(spare.ip(), remote))
    }

    /// Puts a peer-reflexive candidate into the place of one that `is_used` does not claim by its index, if there is
    /// no other place: a NAT may give new addresses for as long as a connection lives.
    pub(super) fn replace_unused(
        &mut self,
        address: SocketAddr,
        base: usize,
        is_used: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if self.candidates.len() < self.limit {
            return None;
        }
        let is_prflx = |local: &LocalCandidate| local.candidate.kind == CandidateKind::PeerReflexive;
        let mut places = self.candidates.iter().enumerate();
        let (place, _) = places.find(|(place, local)| is_prflx(local) && !is_used(*place))?;
        self.add(CandidateKind::PeerReflexive, address, base, None);
        self.candidates.swap_remove(place);
        Some(place)
    }

    /// Whether this is a host address in whose place others are told.
    fn hides(&self, ip: IpAddr) -> bool {
        let hosts = self.bases.iter().map(|base| &base.address).chain(&self.spare);
        let mut hosts = hosts.filter(|host| host.ip().to_canonical() == ip.to_canonical());
        hosts.any(|host| !told_addresses(&self.rewrite_rules, *host).contains(host))
    }

    /// Adds a reflexive candidate; `server` is the STUN server that saw it, or none where the peer did.
    pub(super) fn add_reflexive(
        &mut self,
        kind: CandidateKind,
        address: SocketAddr,
        base: usize,
        server: Option<IpAddr>,
    ) -> Added {
        // A server without a NAT in between sees the host address.
        let is_hidden = kind == CandidateKind::ServerReflexive && self.hides(address.ip());
        if is_hidden || self.find(address, base).is_some() {
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

    /// `between` is what else candidates with the same foundation share.
    fn add(
        &mut self,
        kind: CandidateKind,
        address: SocketAddr,
        base: usize,
        between: Option<IpAddr>,
    ) -> Added {
        let base_address = self.bases[base].address;
        // Where the address of the base is not told, what is told in its place is.
        let related = self.host_of(base).map_or(base_address, |host| self.candidates[host].address);
        let foundation = self.foundation((kind, base_address.ip(), between));
        self.candidates.push(LocalCandidate {
            candidate: Candidate {
                foundation: foundation.to_string(),
                component: 1,
                protocol: Protocol::Udp,
                priority: self.bases[base].priority(kind),
                address: CandidateAddress::Ip(address),
                kind,
                related: (kind != CandidateKind::Host).then_some(related),
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
