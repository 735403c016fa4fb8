//! Network address translators, RFC 4787.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// A network address translator in front of hosts (RFC 4787). Mappings do not expire.
#[derive(Clone, Debug)]
pub struct Nat {
    public: IpAddr,
    mapping: NatBehavior,
    filtering: NatBehavior,
    next_port: u16,
    /// The one address inside, if each of its ports is the same port outside.
    one_to_one: Option<IpAddr>,
    /// From the inner address, and what of the outer one the mapping depends on, to the public port.
    mappings: BTreeMap<(SocketAddr, Option<IpAddr>, Option<u16>), u16>,
    inner: BTreeMap<u16, SocketAddr>,
    /// Where each mapping has sent to.
    contacted: BTreeSet<(u16, SocketAddr)>,
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
    /// A NAT with the address `public` outside.
    pub fn new(public: IpAddr, mapping: NatBehavior, filtering: NatBehavior) -> Self {
        Self {
            public,
            mapping,
            filtering,
            next_port: 40_000,
            one_to_one: None,
            mappings: BTreeMap::new(),
            inner: BTreeMap::new(),
            contacted: BTreeSet::new(),
        }
    }

    /// A static NAT, as clouds and containers have: whatever comes to a port of `public` goes to the same port of
    /// `inner`, and the other way round. It filters nothing.
    pub fn one_to_one(public: IpAddr, inner: IpAddr) -> Self {
        let any = NatBehavior::EndpointIndependent;
        Self { one_to_one: Some(inner), ..Self::new(public, any, any) }
    }

    /// The address outside.
    pub fn public(&self) -> IpAddr {
        self.public
    }

    /// Forgets all mappings, as a NAT does that restarts or has been idle for long: what leaves next gets new ports.
    pub fn rebind(&mut self) {
        self.mappings.clear();
        self.inner.clear();
        self.contacted.clear();
    }

    /// The outer source address of a datagram that leaves; `None` when all ports are taken.
    pub(super) fn outgoing(&mut self, source: SocketAddr, destination: SocketAddr) -> Option<SocketAddr> {
        if self.one_to_one == Some(source.ip()) {
            return Some(SocketAddr::new(self.public, source.port()));
        }
        let (ip, port) = match self.mapping {
            NatBehavior::EndpointIndependent => (None, None),
            NatBehavior::AddressDependent => (Some(destination.ip()), None),
            NatBehavior::AddressAndPortDependent => (Some(destination.ip()), Some(destination.port())),
        };
        let public_port = match self.mappings.get(&(source, ip, port)) {
            Some(port) => *port,
            None => {
                let public_port = self.next_port;
                self.next_port = self.next_port.checked_add(1)?;
                self.mappings.insert((source, ip, port), public_port);
                self.inner.insert(public_port, source);
                public_port
            }
        };
        self.contacted.insert((public_port, destination));
        Some(SocketAddr::new(self.public, public_port))
    }

    /// The inner destination of a datagram that comes in; `None` if it is filtered.
    pub(super) fn incoming(&self, source: SocketAddr, public_port: u16) -> Option<SocketAddr> {
        if let Some(inner) = self.one_to_one {
            return Some(SocketAddr::new(inner, public_port));
        }
        let inner = self.inner.get(&public_port)?;
        let passes = self.contacted.iter().any(|(port, contacted)| {
            *port == public_port
                && match self.filtering {
                    NatBehavior::EndpointIndependent => true,
                    NatBehavior::AddressDependent => contacted.ip() == source.ip(),
                    NatBehavior::AddressAndPortDependent => *contacted == source,
                }
        });
        passes.then_some(*inner)
    }
}
