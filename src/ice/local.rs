//! Local candidates and their bases, RFC 8445 §5.1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use smallvec::SmallVec;

use super::address_filter::AddressFilter;
use super::address_rewrite::{AddressRewriteRule, Origin, Rewritten};
use super::config::{Config, TransportPolicy};
use super::priority::{LocalPreference, candidate_priority, stream_priority};
use super::remote::is_on_link_of;
use crate::layer::{
    Candidate, CandidateAddress, CandidateKind, HostAddress, NetworkKind, Protocol, RelayProtocol, TcpKind,
};

/// The local candidates of an agent and the bases they are sent from.
#[derive(Debug)]
pub(super) struct LocalCandidates {
    bases: Vec<Base>,
    candidates: Vec<LocalCandidate>,
    foundations: Vec<(FoundationKey, usize)>,
    last_foundation: usize,
    /// Host addresses that there was no room for, in case that the peer turns out to be on their link.
    spare: Vec<HostAddress>,
    limit: usize,
    rewrite_rules: Vec<AddressRewriteRule>,
    /// Which candidates there are.
    policy: TransportPolicy,
    /// Of which addresses.
    filter: AddressFilter,
}

/// What stands for an address that is not to be told: RFC 8839 §5.1.
fn hidden(address: SocketAddr) -> SocketAddr {
    const DISCARD: u16 = 9;
    match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, DISCARD).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, DISCARD).into(),
    }
}

/// More relayed addresses than there are of one protocol.
const RELAYS: usize = 4096;

/// Host addresses without room that are remembered.
const MAX_SPARE: usize = 256;

/// A transport address that datagrams are sent from.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) address: SocketAddr,
    pub(super) kind: BaseKind,
    preference: LocalPreference,
    /// The network that it is of, or that leads to its relay.
    pub(super) network: NetworkKind,
    /// The number that this side has for the network; 0 if it has none.
    network_id: u16,
    interface: Option<String>,
    /// What is told in place of the address.
    name: Option<String>,
}

/// Whose a base is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BaseKind {
    /// An address of this machine.
    Host,
    /// An address of a relay, which is the base of its own candidate (RFC 8445 §5.1.1.2).
    Relayed,
    /// An address of this machine that streams are taken at or opened from (RFC 6544 §4.1).
    Stream(TcpKind),
    /// One that was there. Another one takes its place.
    Gone,
}

/// RFC 6544 §4.5: the port of active candidates, whose real ones are not known before they connect.
pub(super) const ACTIVE_PORT: u16 = 9;

impl BaseKind {
    fn priority(self, kind: CandidateKind, preference: LocalPreference) -> u32 {
        match self {
            BaseKind::Stream(tcp) => stream_priority(kind, tcp, preference),
            _ => candidate_priority(kind, preference),
        }
    }
}

impl Base {
    /// The priority of what is found on this base.
    pub(super) fn priority(&self, kind: CandidateKind) -> u32 {
        self.kind.priority(kind, self.preference)
    }

    /// What its datagrams go by.
    pub(super) fn protocol(&self) -> Protocol {
        if self.tcp_kind().is_some() { Protocol::Tcp } else { Protocol::Udp }
    }

    /// How it connects, if it is one of streams.
    pub(super) fn tcp_kind(&self) -> Option<TcpKind> {
        match self.kind {
            BaseKind::Stream(kind) => Some(kind),
            _ => None,
        }
    }

    /// Whether streams are both taken at it and opened from it.
    pub(super) fn is_simultaneous(&self) -> bool {
        self.kind == BaseKind::Stream(TcpKind::SimultaneousOpen)
    }

    /// What is known of the address of this machine that it is.
    pub(super) fn host(&self) -> HostAddress {
        let Self { address, network, interface, name, .. } = self;
        HostAddress { address: *address, network: *network, interface: interface.clone(), name: name.clone() }
    }

    /// What its network costs, as far as that is known.
    pub(super) fn cost(&self) -> u32 {
        self.network.cost().map_or(0, u32::from)
    }

    /// What checks tell of it.
    pub(super) fn network_info(&self) -> Option<(u16, u16)> {
        self.network.cost().map(|cost| (self.network_id, cost))
    }

    fn origin(&self) -> Origin<'_> {
        Origin { host: self.address.ip(), interface: self.interface.as_deref() }
    }
}

#[derive(Debug)]
pub(super) struct LocalCandidate {
    pub(super) candidate: Candidate,
    pub(super) address: SocketAddr,
    pub(super) base: usize,
    /// The URL of the server that told it.
    pub(super) url: Option<String>,
    /// What is spoken to the server of a relayed one.
    pub(super) relay_protocol: Option<RelayProtocol>,
}

/// What candidates with the same foundation share (RFC 8445 §5.1.1.3): kind, protocol, base, and what stands between: the server
/// that was asked and what is spoken to it, or the address that a NAT gives. One that is rewritten is reached by another way than its base is,
/// so neither is to wait for the other.
type FoundationKey = (CandidateKind, Protocol, IpAddr, Option<IpAddr>, Option<RelayProtocol>);

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
    /// Those of an agent with this configuration, of which the rules are taken.
    pub(super) fn new(config: &mut Config) -> Self {
        let rewrite_rules = std::mem::take(&mut config.address_rewrite_rules);
        Self {
            bases: Vec::new(),
            candidates: Vec::new(),
            foundations: Vec::new(),
            last_foundation: 0,
            spare: Vec::new(),
            limit: config.max_local_candidates,
            rewrite_rules,
            policy: config.transport_policy,
            filter: std::mem::take(&mut config.local_addresses),
        }
    }

    /// What the network costs that an address of this side is of.
    pub(super) fn network_info(&self, local: SocketAddr) -> Option<(u16, u16)> {
        self.base_of(local).and_then(|base| self.bases[base].network_info())
    }

    pub(super) fn bases(&self) -> &[Base] {
        &self.bases
    }

    pub(super) fn candidates(&self) -> &[LocalCandidate] {
        &self.candidates
    }

    /// The base of datagrams that has this address.
    pub(super) fn base_of(&self, address: SocketAddr) -> Option<usize> {
        let is_it = |base: &Base| base.address == address && base.protocol() == Protocol::Udp;
        self.bases.iter().position(|base| is_it(base) && base.kind != BaseKind::Gone)
    }

    /// The base whose listener has taken a stream at this address: behind a balancer of load it may be another than that
    /// of any base.
    pub(super) fn passive_base_of(&self, address: SocketAddr) -> Option<usize> {
        let is_passive = |base: &Base| base.kind == BaseKind::Stream(TcpKind::Passive);
        let takes = |base: &Base| is_passive(base) || base.is_simultaneous();
        let exact = self.bases.iter().position(|base| takes(base) && base.address == address);
        exact.or_else(|| self.bases.iter().position(is_passive))
    }

    /// Whether the peer may be told of a base.
    pub(super) fn is_told(&self, base: usize) -> bool {
        self.policy == TransportPolicy::All
            || self.bases.get(base).is_some_and(|base| base.kind == BaseKind::Relayed)
    }

    /// The candidate with this address that is sent from this base.
    pub(super) fn find(&self, address: SocketAddr, base: usize) -> Option<usize> {
        self.candidates.iter().position(|local| local.address == address && local.base == base)
    }

    /// The candidate that stands for a base: its address, or what is told in its place.
    pub(super) fn own_of(&self, base: usize) -> Option<usize> {
        let is_own = |local: &LocalCandidate| {
            matches!(local.candidate.kind, CandidateKind::Host | CandidateKind::Relayed)
        };
        self.candidates.iter().position(|local| local.base == base && is_own(local))
    }

    /// The candidates of a base that no server was asked for, save the host candidates whose address another base is told as, too: a peer has no use for
    /// the same address twice.
    pub(super) fn told_of(&self, base: usize) -> impl Iterator<Item = &Candidate> {
        let told = move |local: &&LocalCandidate| {
            let is_twin = |host: &&LocalCandidate| {
                host.address == local.address && host.candidate.protocol == local.candidate.protocol
            };
            let twin = self.hosts().find(is_twin);
            local.base == base && twin.is_some_and(|twin| twin.base == base)
        };
        let rewritten = self.candidates.iter().filter(move |local| {
            local.base == base && local.candidate.kind == CandidateKind::ServerReflexive
        });
        self.hosts().filter(told).chain(rewritten).map(|local| &local.candidate)
    }

    fn hosts(&self) -> impl Iterator<Item = &LocalCandidate> {
        self.candidates.iter().filter(|local| local.candidate.kind == CandidateKind::Host)
    }

    /// Adds a host address; `is_on_link` says that a remote candidate is its neighbour.
    pub(super) fn add_host(&mut self, host: &HostAddress, is_on_link: bool) -> Added {
        let address = host.address;
        if self.base_of(address).is_some() || !self.filter.passes(address.ip()) {
            return Added::Redundant;
        }
        if !self.has_room_for_host(address, is_on_link) {
            if self.spare.len() < MAX_SPARE && !self.spare.iter().any(|spare| spare.address == address) {
                self.spare.push(host.clone());
            }
            return Added::Full;
        }
        self.forget_spare(address);
        self.add_host_base(host, BaseKind::Host);
        Added::New
    }

    /// Adds an address that streams are taken at or opened from, and tells the base.
    pub(super) fn add_stream(&mut self, host: &HostAddress, kind: TcpKind) -> Result<usize, Added> {
        let address = host.address;
        let kind = BaseKind::Stream(kind);
        if self.bases.iter().any(|base| (base.address, base.kind) == (address, kind)) {
            return Err(Added::Redundant);
        }
        let is_like = |base: &&Base| base.tcp_kind().is_some();
        let is_full = self.bases.iter().filter(is_like).count() >= self.limit / 4;
        if is_full || self.candidates.len() >= self.limit {
            return Err(Added::Full);
        }
        Ok(self.add_host_base(host, kind))
    }

    fn add_host_base(&mut self, host: &HostAddress, kind: BaseKind) -> usize {
        let address = host.address;
        let base = self.place(Base {
            address,
            kind,
            preference: self.next_preference(address, kind),
            network: host.network,
            network_id: 0,
            interface: host.interface.clone(),
            name: host.name.clone(),
        });
        self.bases[base].network_id = u16::try_from(base + 1).unwrap_or(u16::MAX);
        if self.is_told(base) {
            self.tell_host(base);
        }
        base
    }

    /// Adds the candidates of a host address that no server is asked for.
    fn tell_host(&mut self, base: usize) {
        let address = self.bases[base].address;
        for told in self.rewritten(base, CandidateKind::Host, address).told(address) {
            if self.find(told, base).is_none() && self.candidates.len() < self.limit {
                self.add_host_candidate(told, base);
            }
        }
        self.add_known_reflexive(base);
    }

    /// Other candidates are used from now on: those of no use go, and those of host addresses come.
    pub(super) fn set_policy(&mut self, policy: TransportPolicy) {
        if std::mem::replace(&mut self.policy, policy) == policy {
            return;
        }
        for base in 0..self.bases.len() {
            if matches!(self.bases[base].kind, BaseKind::Host | BaseKind::Stream(_)) {
                self.withdraw(base);
                if self.is_told(base) {
                    self.tell_host(base);
                }
            }
        }
    }

    /// What the rules make of an address that was found from a base.
    fn rewritten(&self, base: usize, kind: CandidateKind, address: SocketAddr) -> Rewritten {
        Rewritten::by(&self.rewrite_rules, kind, self.bases[base].origin(), address)
    }

    /// The server-reflexive candidates of a base that the rules tell.
    fn add_known_reflexive(&mut self, base: usize) {
        let kind = CandidateKind::ServerReflexive;
        for external in self.rewritten(base, kind, self.bases[base].address).external {
            if self.find(external, base).is_none() && self.candidates.len() < self.limit {
                self.add(kind, external, base, Some(external.ip()), None);
            }
        }
    }

    fn add_host_candidate(&mut self, address: SocketAddr, base: usize) {
        // RFC 8445 §5.1.2.1: one address, one preference. The first candidate of a base has that of the base.
        let kind = self.bases[base].kind;
        let preference = match self.own_of(base) {
            Some(_) => self.next_preference(address, kind),
            None => self.bases[base].preference,
        };
        let rewritten = (self.bases[base].address != address).then_some(address.ip());
        self.add(CandidateKind::Host, address, base, rewritten, None);
        if let Some(added) = self.candidates.last_mut() {
            added.candidate.priority = kind.priority(CandidateKind::Host, preference);
        }
    }

    /// The preference of the next host candidate of a family, on bases of a kind: the best that none has.
    fn next_preference(&self, address: SocketAddr, kind: BaseKind) -> LocalPreference {
        let is_taken = |preference| {
            let priority = kind.priority(CandidateKind::Host, preference);
            self.hosts().any(|host| host.candidate.priority == priority)
                || self.bases.iter().any(|base| base.kind == kind && base.preference == preference)
        };
        let last = LocalPreference::new(address.ip(), usize::MAX);
        let preferences =
            (0..=self.limit.saturating_mul(2)).map(|before| LocalPreference::new(address.ip(), before));
        preferences.into_iter().find(|preference| !is_taken(*preference)).unwrap_or(last)
    }

    /// Puts a base into the place of one that is gone, or behind the others.
    fn place(&mut self, new: Base) -> usize {
        match self.bases.iter().position(|base| base.kind == BaseKind::Gone) {
            Some(gone) => {
                self.bases[gone] = new;
                gone
            }
            None => {
                self.bases.push(new);
                self.bases.len() - 1
            }
        }
    }

    /// Host addresses do not take all places: without a reflexive candidate a peer beyond a NAT is not reached, and
    /// the link that leads to the peer may be the last in the list.
    fn has_room_for_host(&self, address: SocketAddr, is_on_link: bool) -> bool {
        let is_like =
            |base: &Base| base.kind == BaseKind::Host && base.address.is_ipv4() == address.is_ipv4();
        let is_preferred = is_on_link || !self.bases.iter().any(is_like);
        let kept = if is_preferred { self.limit / 8 } else { self.limit / 4 };
        let bases = self.bases.iter().filter(|base| base.kind == BaseKind::Host).count();
        let hosts = self.hosts().filter(|host| host.candidate.protocol == Protocol::Udp).count();
        hosts.max(bases) < self.limit - kept && self.candidates.len() < self.limit
    }

    /// How many host addresses there was no room for.
    pub(super) fn left_out(&self) -> usize {
        self.spare.len()
    }

    /// A host address that there was no room for, on a link where `remote` is.
    pub(super) fn spare_on_link_of(&self, remote: IpAddr) -> Option<HostAddress> {
        self.spare.iter().find(|spare| is_on_link_of(spare.address.ip(), remote)).cloned()
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
        self.add(CandidateKind::PeerReflexive, address, base, None, None);
        self.candidates.swap_remove(place);
        Some(place)
    }

    /// Whether this is a host address in whose place others are told.
    fn hides(&self, ip: IpAddr) -> bool {
        let bases = self.bases.iter().filter(|base| base.kind == BaseKind::Host);
        let spare = self.spare.iter().map(|spare| {
            (spare.address, Origin { host: spare.address.ip(), interface: spare.interface.as_deref() })
        });
        let hosts = bases.map(|base| (base.address, base.origin())).chain(spare);
        let mut hosts = hosts.filter(|(host, _)| host.ip().to_canonical() == ip.to_canonical());
        hosts.any(|(host, origin)| {
            !Rewritten::by(&self.rewrite_rules, CandidateKind::Host, origin, host).is_told
        })
    }

    /// Whether rules or the filter keep the peer from learning what a server has told of a base.
    fn is_withheld(&self, base: usize, address: SocketAddr) -> bool {
        let kind = CandidateKind::ServerReflexive;
        self.hides(address.ip())
            || !self.filter.passes(address.ip())
            || !self.rewritten(base, kind, self.bases[base].address).is_told
    }

    /// Whether a candidate of a kind would tell what another tells. Where the host candidate has a name, one that a server saw
    /// is all that a peer elsewhere can use.
    fn is_told_as(&self, kind: CandidateKind, address: SocketAddr, base: usize) -> bool {
        let is_named = self.bases[base].name.is_some() && kind == CandidateKind::ServerReflexive;
        let counts = |local: &LocalCandidate| !is_named || local.candidate.kind == kind;
        let mut same = self.candidates.iter().filter(|local| local.address == address && local.base == base);
        same.any(counts)
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
        let is_hidden = kind == CandidateKind::ServerReflexive && self.is_withheld(base, address);
        if is_hidden || !self.is_told(base) || self.is_told_as(kind, address, base) {
            return Added::Redundant;
        }
        if self.candidates.len() >= self.limit {
            return Added::Full;
        }
        self.add(kind, address, base, server, None)
    }

    /// Adds a relayed candidate, which is its own base, and tells the base; `None` for an address that is known, or if
    /// there is no room. `mapped` is what the server sees this side as.
    pub(super) fn add_relayed(
        &mut self,
        host: usize,
        address: SocketAddr,
        mapped: SocketAddr,
        server: IpAddr,
        protocol: RelayProtocol,
    ) -> Option<usize> {
        let is_known = self.base_of(address).is_some();
        if is_known || self.candidates.len() >= self.limit || !self.filter.passes(address.ip()) {
            return None;
        }
        let told = self.rewritten(host, CandidateKind::Relayed, address).told(address);
        let is_like =
            |base: &&Base| base.kind == BaseKind::Relayed && base.address.is_ipv4() == address.is_ipv4();
        let before = self.bases.iter().filter(is_like).count();
        // Each protocol has places enough for all relays, those of UDP the best.
        let preference = LocalPreference::new(address.ip(), before + RELAYS * protocol as usize);
        let Base { network, network_id, .. } = self.bases[host];
        let kind = BaseKind::Relayed;
        let base =
            self.place(Base { address, kind, preference, network, network_id, interface: None, name: None });
        let related = self.related_of_relayed(mapped);
        for told in told.take(self.limit - self.candidates.len()) {
            self.add(CandidateKind::Relayed, told, base, Some(server), Some(protocol));
            if let Some(added) = self.candidates.last_mut() {
                added.candidate.related = Some(related);
            }
        }
        Some(base)
    }

    /// RFC 8839 §5.1: the mapped address, unless it is not to be told.
    fn related_of_relayed(&self, mapped: SocketAddr) -> SocketAddr {
        let is_named = |base: &Base| base.name.is_some() && base.address.ip() == mapped.ip();
        match mapped {
            _ if self.bases.iter().any(is_named) => hidden(mapped),
            _ if self.policy == TransportPolicy::All && !self.hides(mapped.ip()) => mapped,
            _ => hidden(mapped),
        }
    }

    /// Forgets a base with its candidates, and tells these with the places that they had, in order.
    pub(super) fn forget_base(&mut self, base: usize) -> SmallVec<[(usize, Candidate); 4]> {
        let mut gone = SmallVec::new();
        let mut place = 0;
        self.candidates.retain(|local| {
            let goes = local.base == base;
            if goes {
                gone.push((place, local.candidate.clone()));
            }
            place += 1;
            !goes
        });
        if let Some(base) = self.bases.get_mut(base) {
            base.kind = BaseKind::Gone;
        }
        let bases = &self.bases;
        let is_there = |ip| bases.iter().any(|base| base.kind != BaseKind::Gone && base.address.ip() == ip);
        self.foundations.retain(|((_, _, ip, ..), _)| is_there(*ip));
        gone
    }

    /// A base serves on where it does, without candidates: nothing new is to use it.
    pub(super) fn withdraw(&mut self, base: usize) {
        self.candidates.retain(|local| local.base != base);
    }

    /// The base of an address of this machine.
    pub(super) fn host_of(&self, address: SocketAddr) -> Option<usize> {
        self.base_of(address).filter(|base| self.bases[*base].kind == BaseKind::Host)
    }

    /// The bases of streams at an address of this machine.
    pub(super) fn streams_at(&self, ip: IpAddr) -> impl Iterator<Item = usize> {
        let bases = self.bases.iter().enumerate();
        bases.filter(move |(_, base)| base.tcp_kind().is_some() && base.address.ip() == ip).map(|(at, _)| at)
    }

    /// Forgets a host address that there was no room for.
    pub(super) fn forget_spare(&mut self, address: SocketAddr) {
        self.spare.retain(|spare| spare.address != address);
    }

    /// One of the host addresses that there was no room for.
    pub(super) fn any_spare(&self) -> Option<HostAddress> {
        self.spare.first().cloned()
    }

    /// The candidates of a base were found by the server of this URL.
    pub(super) fn set_url_of(&mut self, base: usize, url: &str) {
        for local in self.candidates.iter_mut().filter(|local| local.base == base) {
            local.url = Some(url.to_owned());
        }
    }

    /// The last candidate was found by the server of this URL.
    pub(super) fn set_newest_url(&mut self, url: String) {
        if let Some(newest) = self.candidates.last_mut() {
            newest.url = Some(url);
        }
    }

    /// Forgets reflexive candidates, which belong to one generation.
    pub(super) fn forget_reflexive(&mut self) {
        use CandidateKind::{Host, Relayed};
        self.candidates.retain(|local| matches!(local.candidate.kind, Host | Relayed));
        for base in 0..self.bases.len() {
            if self.bases[base].kind == BaseKind::Host && self.is_told(base) {
                self.add_known_reflexive(base);
            }
        }
    }

    /// `between` is what else candidates with the same foundation share.
    fn add(
        &mut self,
        kind: CandidateKind,
        address: SocketAddr,
        base: usize,
        between: Option<IpAddr>,
        relay_protocol: Option<RelayProtocol>,
    ) -> Added {
        let (base_address, protocol) = (self.bases[base].address, self.bases[base].protocol());
        // Where the address of the base is not told, what is told in its place is.
        let related = self.own_of(base).map_or(base_address, |host| self.candidates[host].address);
        // An address that is told by its name is not to be seen in what is related to it.
        let name = self.bases[base].name.clone();
        let related = if name.is_some() { hidden(related) } else { related };
        let name = name.filter(|_| kind == CandidateKind::Host && address == base_address);
        // As libwebrtc tells it, which takes a cost of 0 for granted.
        let cost = self.bases[base].network.cost().filter(|cost| *cost > 0);
        let foundation = self.foundation((kind, protocol, base_address.ip(), between, relay_protocol));
        // Most agents have one or two for as long as they live.
        self.candidates.reserve_exact(1);
        self.candidates.push(LocalCandidate {
            candidate: Candidate {
                foundation: foundation.to_string(),
                component: 1,
                protocol,
                priority: self.bases[base].priority(kind),
                address: match name {
                    Some(name) => CandidateAddress::Name(name, address.port()),
                    None => CandidateAddress::Ip(address),
                },
                kind,
                related: (kind != CandidateKind::Host).then_some(related),
                tcp_kind: self.bases[base].tcp_kind(),
                extensions: cost
                    .map(|cost| ("network-cost".to_owned(), cost.to_string()))
                    .into_iter()
                    .collect(),
            },
            address,
            base,
            url: None,
            relay_protocol,
        });
        Added::New
    }

    fn foundation(&mut self, key: FoundationKey) -> usize {
        let known = self.foundations.iter().find(|(known, _)| *known == key);
        known.map(|(_, number)| *number).unwrap_or_else(|| {
            self.last_foundation += 1;
            self.foundations.push((key, self.last_foundation));
            self.last_foundation
        })
    }
}
