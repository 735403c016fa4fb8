//! Hosts and the datagrams between them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::link::{Link, LinkState};
use super::nat::Nat;
use crate::crypto::SeededRandom;
use crate::layer::{Ecn, FiveTuple};

/// Hosts, links between them, and the datagrams under way.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use kaon_rtc::layer::FiveTuple;
/// use kaon_rtc::sim::{Link, Nat, NatBehavior, Network};
///
/// let mut network = Network::new(7, Instant::now());
/// network.set_default_link(Link { delay: Duration::from_millis(20), ..Link::default() });
/// let nat = Nat::new("203.0.113.1".parse()?, NatBehavior::EndpointIndependent, NatBehavior::AddressDependent);
/// network.add_host_behind(nat, ["10.0.0.2".parse()?]);
/// let server = network.add_host(["198.51.100.1".parse()?]);
///
/// let path = FiveTuple::udp("10.0.0.2:5000".parse()?, "198.51.100.1:3478".parse()?);
/// network.send(path, None, b"hello");
/// network.advance_to(network.next_arrival().ok_or("it is under way")?);
/// let delivery = network.deliver().ok_or("it has arrived")?;
/// assert_eq!((delivery.host, delivery.path.remote.ip()), (server, "203.0.113.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Network {
    now: Instant,
    random: SeededRandom,
    hosts: Vec<Host>,
    nats: Vec<Nat>,
    default_link: Link,
    links: BTreeMap<(HostId, HostId), Link>,
    states: BTreeMap<(HostId, HostId), LinkState>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    sequence: u64,
    stats: NetworkStats,
}

/// A host of a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(usize);

/// A datagram that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The host it arrived at.
    pub host: HostId,
    /// Its path, seen from that host.
    pub path: FiveTuple,
    /// Its ECN mark.
    pub ecn: Option<Ecn>,
    /// Its payload.
    pub bytes: Vec<u8>,
}

/// What a network has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkStats {
    /// Datagrams that hosts sent.
    pub sent: u64,
    /// Datagrams that arrived, copies included.
    pub delivered: u64,
    /// Datagrams that were lost on a link, in a queue or at a NAT, or had no destination.
    pub lost: u64,
}

#[derive(Debug)]
struct Host {
    addresses: Vec<IpAddr>,
    nat: Option<usize>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    arrival: Instant,
    // Keeps the order of datagrams that arrive at the same instant.
    sequence: u64,
    host: HostId,
    path: FiveTuple,
    ecn_bits: u8,
    bytes: Vec<u8>,
}

impl Network {
    /// An empty network. `epoch` is where its clock begins; the seed determines all that happens.
    pub fn new(seed: u64, epoch: Instant) -> Self {
        Self {
            now: epoch,
            random: SeededRandom::new(seed),
            hosts: Vec::new(),
            nats: Vec::new(),
            default_link: Link::default(),
            links: BTreeMap::new(),
            states: BTreeMap::new(),
            under_way: BinaryHeap::new(),
            sequence: 0,
            stats: NetworkStats::default(),
        }
    }

    /// Adds a host with these addresses.
    pub fn add_host(&mut self, addresses: impl IntoIterator<Item = IpAddr>) -> HostId {
        self.hosts.push(Host { addresses: addresses.into_iter().collect(), nat: None });
        HostId(self.hosts.len() - 1)
    }

    /// Adds a host with these addresses behind a NAT of its own.
    pub fn add_host_behind(&mut self, nat: Nat, addresses: impl IntoIterator<Item = IpAddr>) -> HostId {
        let host = self.add_host(addresses);
        self.nats.push(nat);
        self.hosts[host.0].nat = Some(self.nats.len() - 1);
        host
    }

    /// The NAT in front of a host.
    pub fn nat_of(&mut self, host: HostId) -> Option<&mut Nat> {
        self.nats.get_mut(self.hosts[host.0].nat?)
    }

    /// The link between all hosts that have no link of their own.
    pub fn set_default_link(&mut self, link: Link) {
        self.default_link = link;
    }

    /// The link from one host to another; the other direction has its own.
    pub fn set_link(&mut self, from: HostId, to: HostId, link: Link) {
        self.links.insert((from, to), link);
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Moves the clock on to `time`; it never goes back.
    pub fn advance_to(&mut self, time: Instant) {
        self.now = self.now.max(time);
    }

    /// The random source that the seed determines.
    pub fn random(&self) -> &SeededRandom {
        &self.random
    }

    /// What happened so far.
    pub fn stats(&self) -> NetworkStats {
        self.stats
    }

    /// Sends a datagram from the host that has the path's local address.
    pub fn send(&mut self, path: FiveTuple, ecn: Option<Ecn>, bytes: &[u8]) {
        self.stats.sent += 1;
        let Some((from, to, path)) = self.route(path) else {
            self.stats.lost += 1;
            return;
        };
        let link = self.links.get(&(from, to)).unwrap_or(&self.default_link);
        let state = self.states.entry((from, to)).or_default();
        let passage = link.pass(state, &self.random, self.now, bytes.len());
        let mut bytes = bytes.to_vec();
        if let Some(bit) = passage.flipped_bit {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        if passage.arrivals[0].is_none() {
            self.stats.lost += 1;
        }
        for arrival in passage.arrivals.into_iter().flatten() {
            self.sequence += 1;
            self.under_way.push(Reverse(UnderWay {
                arrival,
                sequence: self.sequence,
                host: to,
                path,
                ecn_bits: ecn.map_or(0, Ecn::bits),
                bytes: bytes.clone(),
            }));
        }
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse(next)| next.arrival)
    }

    /// The next datagram that has arrived by now.
    pub fn deliver(&mut self) -> Option<Delivery> {
        if self.next_arrival()? > self.now {
            return None;
        }
        let Reverse(UnderWay { host, path, ecn_bits, bytes, .. }) = self.under_way.pop()?;
        self.stats.delivered += 1;
        Some(Delivery { host, path, ecn: Ecn::from_bits(ecn_bits), bytes })
    }

    /// From which host to which a datagram goes, and its path as the receiver sees it.
    fn route(&mut self, path: FiveTuple) -> Option<(HostId, HostId, FiveTuple)> {
        let from = self.host_of(path.local.ip())?;
        // Every NAT serves one host, so all that leaves the host is translated.
        let (source, destination) = match self.hosts[from.0].nat {
            Some(nat) if !self.hosts[from.0].addresses.contains(&path.remote.ip()) => {
                (self.nats[nat].outgoing(path.local, path.remote)?, path.remote)
            }
            _ => (path.local, path.remote),
        };
        let (to, destination) = self.receiver(from, source, destination)?;
        Some((from, to, FiveTuple { protocol: path.protocol, local: destination, remote: source }))
    }

    fn receiver(
        &self,
        from: HostId,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Option<(HostId, SocketAddr)> {
        if let Some(nat) = self.nats.iter().position(|nat| nat.public() == destination.ip()) {
            let inner = self.nats[nat].incoming(source, destination.port())?;
            let host = self.hosts.iter().position(|host| host.nat == Some(nat))?;
            return Some((HostId(host), inner));
        }
        let host = self.host_of(destination.ip())?;
        // A private address is reached from its own host only.
        (self.hosts[host.0].nat.is_none() || host == from).then_some((host, destination))
    }

    fn host_of(&self, address: IpAddr) -> Option<HostId> {
        self.hosts.iter().position(|host| host.addresses.contains(&address)).map(HostId)
    }
}
