//! Network address translators, RFC 4787.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::crypto::SeededRandom;
use crate::layer::Protocol;

/// A network address translator in front of hosts, or of other translators (RFC 4787). It treats TCP as it does UDP, with
/// mappings apart (RFC 5382), and drops what it does not let in without a word.
#[derive(Clone, Debug)]
pub struct Nat {
    public: IpAddr,
    mapping: NatBehavior,
    filtering: NatBehavior,
    next_port: u16,
    /// Where ports are not counted up but drawn.
    random: Option<u64>,
    /// Whether hosts inside reach each other by the addresses outside.
    hairpins: bool,
    /// How long a mapping lives on after the last datagram that left by it.
    lifetime: Option<Duration>,
    /// The one address inside, if each of its ports is the same port outside.
    one_to_one: Option<IpAddr>,
    /// From the inner address, and what of the outer one the mapping depends on, to the public port.
    mappings: BTreeMap<MappingKey, u16>,
    inner: BTreeMap<u16, Mapping>,
}

/// The protocol, the inner address, and what of the outer one the mapping depends on.
type MappingKey = (Protocol, SocketAddr, Option<IpAddr>, Option<u16>);

/// What is kept of a public port.
#[derive(Clone, Debug)]
struct Mapping {
    protocol: Protocol,
    inner: SocketAddr,
    used: Instant,
    /// Where it has sent to.
    contacted: BTreeSet<SocketAddr>,
}

/// What a NAT distinguishes (RFC 4787 §4.1 and §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatBehavior {
    /// Nothing but the inner address and port.
    EndpointIndependent,
    /// The outer address, too.
    AddressDependent,
    /// The outer address and port, too.
    AddressAndPortDependent,
}

impl Nat {
    /// A NAT with the address `public` outside. Its ports are counted up, its mappings do not expire, and hosts inside
    /// reach each other by the addresses outside, unless it is told otherwise.
    pub fn new(public: IpAddr, mapping: NatBehavior, filtering: NatBehavior) -> Self {
        Self {
            public,
            mapping,
            filtering,
            next_port: 40_000,
            random: None,
            hairpins: true,
            lifetime: None,
            one_to_one: None,
            mappings: BTreeMap::new(),
            inner: BTreeMap::new(),
        }
    }

    /// A static NAT, as clouds and containers have: whatever comes to a port of `public` goes to the same port of
    /// `inner`, and the other way round. It filters nothing.
    pub fn one_to_one(public: IpAddr, inner: IpAddr) -> Self {
        let any = NatBehavior::EndpointIndependent;
        Self { one_to_one: Some(inner), ..Self::new(public, any, any) }
    }

    /// The same NAT, whose ports nobody guesses from others.
    #[must_use]
    pub fn with_random_ports(self, seed: u64) -> Self {
        Self { random: Some(seed), ..self }
    }

    /// The same NAT, which does not let hosts inside reach each other by the addresses outside (RFC 4787 §6).
    #[must_use]
    pub fn without_hairpinning(self) -> Self {
        Self { hairpins: false, ..self }
    }

    /// The same NAT, whose mappings end so long after the last datagram that left by them (RFC 4787 §4.3).
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime: Some(lifetime), ..self }
    }

    /// The address outside.
    pub fn public(&self) -> IpAddr {
        self.public
    }

    pub(super) fn hairpins(&self) -> bool {
        self.hairpins
    }

    /// Forgets all mappings, as a NAT does that restarts or has been idle for long: what leaves next gets new ports.
    pub fn rebind(&mut self) {
        self.mappings.clear();
        self.inner.clear();
    }

    /// The outer source address of a datagram that leaves; `None` when all ports are taken.
    pub(super) fn outgoing(
        &mut self,
        now: Instant,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Option<SocketAddr> {
        if self.one_to_one == Some(source.ip()) {
            return Some(SocketAddr::new(self.public, source.port()));
        }
        let (ip, port) = match self.mapping {
            NatBehavior::EndpointIndependent => (None, None),
            NatBehavior::AddressDependent => (Some(destination.ip()), None),
            NatBehavior::AddressAndPortDependent => (Some(destination.ip()), Some(destination.port())),
        };
        let key = (protocol, source, ip, port);
        let known = self.mappings.get(&key).copied().filter(|port| self.is_alive(now, *port));
        let public_port = match known {
            Some(port) => port,
            None => {
                if let Some(expired) = self.mappings.remove(&key) {
                    self.inner.remove(&expired);
                }
                let port = self.free_port()?;
                self.mappings.insert(key, port);
                self.inner
                    .insert(port, Mapping { protocol, inner: source, used: now, contacted: BTreeSet::new() });
                port
            }
        };
        let mapping = self.inner.get_mut(&public_port)?;
        mapping.used = now;
        mapping.contacted.insert(destination);
        Some(SocketAddr::new(self.public, public_port))
    }

    fn free_port(&mut self) -> Option<u16> {
        let Some(seed) = self.random else {
            let port = self.next_port;
            self.next_port = port.checked_add(1)?;
            return Some(port);
        };
        let random = SeededRandom::new(seed);
        self.random = Some(random.next_u64());
        (0..1000)
            .map(|_| 1024 + (random.next_u64() % 64_000) as u16)
            .find(|port| !self.inner.contains_key(port))
    }

    fn is_alive(&self, now: Instant, public_port: u16) -> bool {
        let mapping = self.inner.get(&public_port);
        mapping.is_some_and(|mapping| self.lifetime.is_none_or(|lifetime| now < mapping.used + lifetime))
    }

    /// The inner destination of a datagram that comes in; `None` if it is filtered.
    pub(super) fn incoming(
        &self,
        now: Instant,
        protocol: Protocol,
        source: SocketAddr,
        public_port: u16,
    ) -> Option<SocketAddr> {
        if let Some(inner) = self.one_to_one {
            return Some(SocketAddr::new(inner, public_port));
        }
        let mapping = self.inner.get(&public_port).filter(|_| self.is_alive(now, public_port))?;
        if mapping.protocol != protocol {
            return None;
        }
        let passes = mapping.contacted.iter().any(|contacted| match self.filtering {
            NatBehavior::EndpointIndependent => true,
            NatBehavior::AddressDependent => contacted.ip() == source.ip(),
            NatBehavior::AddressAndPortDependent => *contacted == source,
        });
        passes.then_some(mapping.inner)
    }
}
