//! Remote candidates.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::address_filter::AddressFilter;
use super::config::Config;
use crate::layer::{
    Candidate, CandidateAddress, CandidateError, CandidateKind, IceError, NameQuery, Protocol, TcpKind,
};

/// The remote candidates of one generation, and those whose names are being resolved.
#[derive(Debug)]
pub(super) struct RemoteCandidates {
    candidates: Vec<RemoteCandidate>,
    unresolved: Vec<Unresolved>,
    /// How many were found by checks of the peer.
    found: u64,
    /// How many are of a kind that is not used.
    unusable: usize,
    /// The names that were not resolved, the first few.
    unknown_names: Vec<String>,
    /// How many are kept that the peer signalled.
    limit: usize,
    /// How many are kept that its checks have shown.
    found_limit: usize,
    name_timeout: Duration,
    /// Whether candidates that wait for a stream are checked.
    opens_streams: bool,
    /// Whether those are that open one at the same time.
    opens_simultaneously: bool,
    /// Addresses that the peer has told by names of the link, to nobody else.
    of_link: Vec<SocketAddr>,
    /// Which addresses the peer may have.
    filter: AddressFilter,
}

/// Names that were not resolved and are remembered.
const MAX_UNKNOWN_NAMES: usize = 8;

/// A candidate whose name is being resolved.
#[derive(Debug)]
struct Unresolved {
    query: NameQuery,
    candidate: Candidate,
    /// When the name is taken for unknown.
    deadline: Instant,
}

/// A place that a signalled candidate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The index of a candidate.
    Known(usize),
    /// The index among those whose names are being resolved.
    Unresolved(usize),
}

#[derive(Debug)]
pub(super) struct RemoteCandidate {
    pub(super) candidate: Candidate,
    pub(super) address: SocketAddr,
    /// What the use of its network costs, from 0 to 999; 0 if nothing is known.
    pub(super) cost: u32,
    /// The peer's checks have shown it, and there was no place for it among those that it signalled.
    is_found: bool,
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
    pub(super) fn new(config: &Config) -> Self {
        Self {
            candidates: Vec::new(),
            unresolved: Vec::new(),
            found: 0,
            unusable: 0,
            unknown_names: Vec::new(),
            limit: config.max_remote_candidates,
            found_limit: config.max_peer_reflexive_candidates.max(1),
            name_timeout: config.name_resolution_timeout,
            opens_streams: config.active_tcp,
            opens_simultaneously: config.simultaneous_open,
            of_link: Vec::new(),
            filter: config.remote_addresses.clone(),
        }
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

    /// When the next name is given up.
    pub(super) fn resolution_due(&self) -> Option<Instant> {
        self.unresolved.iter().map(|unresolved| unresolved.deadline).min()
    }

    /// Forgets the candidates whose names were not resolved in time.
    pub(super) fn give_up_names(&mut self, now: Instant) {
        let before = self.unresolved.len();
        while let Some(late) = self.unresolved.iter().position(|unresolved| unresolved.deadline <= now) {
            let late = self.unresolved.remove(late);
            self.note_unknown(late.candidate.address);
        }
        if self.unresolved.len() < before {
            tracing::debug!(count = before - self.unresolved.len(), "names of candidates were not resolved");
        }
    }

    fn note_unknown(&mut self, address: CandidateAddress) {
        if let CandidateAddress::Name(name, _) = address
            && self.unknown_names.len() < MAX_UNKNOWN_NAMES
        {
            self.unknown_names.push(name);
        }
    }

    /// What went wrong with candidates of the peer.
    pub(super) fn errors(&self) -> impl Iterator<Item = CandidateError> {
        let names = self.unknown_names.iter().cloned().map(CandidateError::UnknownName);
        names.chain((self.unusable > 0).then_some(CandidateError::Unusable(self.unusable)))
    }

    pub(super) fn forget_names(&mut self) {
        self.unresolved = Vec::new();
    }

    /// Whether a candidate is on a link of `local`.
    pub(super) fn has_neighbour(&self, local: IpAddr) -> bool {
        self.candidates.iter().any(|remote| is_on_link_of(local, remote.address.ip()))
    }

    pub(super) fn find(&self, protocol: Protocol, address: SocketAddr) -> Option<usize> {
        let is_same = |remote: &RemoteCandidate| {
            remote.candidate.protocol == protocol
                && (on_link_of(address, remote.address) == address
                    || on_link_of(remote.address, address) == remote.address)
        };
        self.candidates.iter().position(is_same)
    }

    /// Takes a signalled candidate; `query` names the question if its name must be resolved.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        candidate: Candidate,
        query: NameQuery,
    ) -> Result<Admitted, IceError> {
        if !self.is_usable(&candidate) {
            self.unusable = self.unusable.saturating_add(1);
            return Ok(Admitted::Unusable);
        }
        let address = match candidate.address {
            CandidateAddress::Ip(address) => canonical(address),
            CandidateAddress::Name(..) => {
                self.check_limit()?;
                self.unresolved.push(Unresolved { query, candidate, deadline: now + self.name_timeout });
                return Ok(Admitted::Unresolved);
            }
        };
        if let Some(index) = self.find(candidate.protocol, address) {
            // RFC 8445 §7.3.1.3: a peer-reflexive candidate that is signalled takes the signalled values.
            let has_place = self.check_limit().is_ok();
            let known = &mut self.candidates[index];
            if !known.is_found || known.candidate.kind != CandidateKind::PeerReflexive {
                return Ok(Admitted::Redundant);
            }
            known.candidate = candidate;
            known.is_found = !has_place;
            return Ok(Admitted::Signalled(index));
        }
        self.check_limit()?;
        let cost = told_cost(&candidate);
        Ok(Admitted::New(self.push(RemoteCandidate { candidate, address, cost, is_found: false })))
    }

    /// Adds the source of a check as a peer-reflexive candidate (RFC 8445 §7.3.1.3); `None` at the limit.
    pub(super) fn admit_peer_reflexive(
        &mut self,
        protocol: Protocol,
        address: SocketAddr,
        priority: u32,
        ufrag: &str,
        tcp_kind: TcpKind,
    ) -> Option<usize> {
        if self.is_full_of_found() {
            return None;
        }
        self.found += 1;
        let candidate = Candidate {
            // Any value that no other remote candidate has.
            foundation: format!("prflx{}", self.found),
            component: 1,
            protocol,
            priority,
            address: CandidateAddress::Ip(address),
            kind: CandidateKind::PeerReflexive,
            related: None,
            tcp_kind: (protocol == Protocol::Tcp).then_some(tcp_kind),
            extensions: vec![("ufrag".to_owned(), ufrag.to_owned())],
        };
        Some(self.push(RemoteCandidate { candidate, address, cost: 0, is_found: true }))
    }

    fn push(&mut self, candidate: RemoteCandidate) -> usize {
        // Most peers have one or two for as long as they live.
        self.candidates.reserve_exact(1);
        self.candidates.push(candidate);
        self.candidates.len() - 1
    }

    /// Notes what the network of a candidate costs; true if that is new.
    pub(super) fn set_cost(&mut self, index: usize, cost: u16) -> bool {
        let cost = u32::from(cost).min(MAX_COST);
        std::mem::replace(&mut self.candidates[index].cost, cost) != cost
    }

    /// The candidate that waits for this answer, with the address in place of the name.
    pub(super) fn take_resolved(&mut self, query: NameQuery, address: Option<IpAddr>) -> Option<Candidate> {
        let position = self.unresolved.iter().position(|unresolved| unresolved.query == query)?;
        let mut candidate = self.unresolved.swap_remove(position).candidate;
        let CandidateAddress::Name(_, port) = &candidate.address else { return None };
        let port = *port;
        let Some(address) = address else {
            self.note_unknown(candidate.address);
            return None;
        };
        let is_local = matches!(&candidate.address, CandidateAddress::Name(name, _) if is_name_of_link(name));
        let address = SocketAddr::new(address, port);
        if is_local && self.of_link.len() < self.limit {
            self.of_link.push(canonical(address));
        }
        candidate.address = CandidateAddress::Ip(address);
        Some(candidate)
    }

    /// Forgets the candidates that say they belong to another generation than that of `ufrag`. The others have
    /// new indices.
    pub(super) fn keep(&mut self, ufrag: &str) {
        self.unresolved.retain(|unresolved| belongs(&unresolved.candidate, ufrag));
        self.candidates.retain(|remote| belongs(&remote.candidate, ufrag));
    }

    /// The candidates that the peer signalled, and those whose names are being resolved.
    pub(super) fn said(&self) -> impl Iterator<Item = (Place, &Candidate)> {
        let known = self.candidates.iter().enumerate().filter(|(_, remote)| !remote.is_found);
        let known = known.map(|(index, remote)| (Place::Known(index), &remote.candidate));
        let unresolved = self.unresolved.iter().enumerate();
        known.chain(unresolved.map(|(index, waiting)| (Place::Unresolved(index), &waiting.candidate)))
    }

    /// The indices of those that its checks have shown, the oldest first.
    pub(super) fn found(&self) -> impl Iterator<Item = usize> {
        self.candidates.iter().enumerate().filter(|(_, remote)| remote.is_found).map(|(index, _)| index)
    }

    /// Forgets one. The others have new indices.
    pub(super) fn forget(&mut self, place: Place) {
        match place {
            Place::Known(index) => drop(self.candidates.remove(index)),
            Place::Unresolved(index) => drop(self.unresolved.remove(index)),
        }
    }

    /// Whether a signalled candidate has no place unless another gives up its own.
    pub(super) fn must_make_room(&self, candidate: &Candidate) -> bool {
        let is_known = match candidate.address {
            CandidateAddress::Ip(address) => self.find(candidate.protocol, canonical(address)).is_some(),
            CandidateAddress::Name(..) => false,
        };
        self.is_usable(candidate) && !is_known && self.check_limit().is_err()
    }

    /// Whether an address was told by a name of the link: a relay, which is elsewhere, is not to learn it.
    pub(super) fn is_of_link(&self, address: SocketAddr) -> bool {
        self.of_link.contains(&address)
    }

    /// Whether this agent has to do with an address of the peer.
    pub(super) fn passes(&self, address: IpAddr) -> bool {
        self.filter.passes(address)
    }

    /// Whether this agent can check a candidate at all: components other than 1 belong to RTCP without rtcp-mux, and of TCP
    /// candidates those that wait for a stream, or open one themselves at the same time, can be checked (RFC 6544 §6.2),
    /// where it opens any.
    fn is_usable(&self, candidate: &Candidate) -> bool {
        let is_address = match candidate.address {
            CandidateAddress::Ip(address) => {
                let ip = address.ip();
                address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && self.passes(ip)
            }
            CandidateAddress::Name(..) => true,
        };
        let is_reached = match candidate.protocol {
            Protocol::Udp => true,
            Protocol::Dtls => false,
            Protocol::Tcp => match candidate.tcp_kind {
                Some(TcpKind::Passive) => self.opens_streams,
                Some(TcpKind::SimultaneousOpen) => self.opens_simultaneously,
                Some(TcpKind::Active) | None => false,
            },
        };
        candidate.component == 1 && is_reached && is_address
    }

    pub(super) fn is_full_of_found(&self) -> bool {
        self.found().count() >= self.found_limit
    }

    pub(super) fn check_limit(&self) -> Result<(), IceError> {
        if self.said().count() >= self.limit {
            return Err(IceError::TooManyCandidates { limit: self.limit });
        }
        Ok(())
    }
}

/// The most that libwebrtc lets a network cost.
const MAX_COST: u32 = 999;

/// What a candidate says of the cost of its network, as those of libwebrtc do.
fn told_cost(candidate: &Candidate) -> u32 {
    let cost = candidate.extension("network-cost").and_then(|cost| cost.parse::<u32>().ok());
    cost.unwrap_or(0).min(MAX_COST)
}

/// Whether a name is one of mDNS (RFC 6762 §3).
fn is_name_of_link(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.rsplit_once('.').is_some_and(|(_, last)| last.eq_ignore_ascii_case("local"))
}

/// Sockets of both families write IPv4 addresses as mapped ones (RFC 4291 §2.5.5.2); RFC 8445 §5.1.1.1 has none of them
/// signalled.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Whether two addresses seem to be on one link: of a /24 of IPv4 or a /64 of IPv6, the usual sizes. The prefix is
/// not known, and nothing but precedence depends on it.
pub(super) fn is_on_link_of(local: IpAddr, remote: IpAddr) -> bool {
    match (local, remote) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => local.octets()[..3] == remote.octets()[..3],
        (IpAddr::V6(local), IpAddr::V6(remote)) => local.segments()[..4] == remote.segments()[..4],
        _ => false,
    }
}

/// Whether a candidate belongs to the generation of `ufrag`, or does not say (RFC 8838 §9).
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
