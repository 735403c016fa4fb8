//! Hosts and the datagrams between them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::link::{Link, LinkState};
use super::nat::Nat;
use crate::crypto::SeededRandom;
use crate::layer::{Ecn, FiveTuple, Protocol};

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
    nats: Vec<Translator>,
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
    /// What it says of a stream, of a path that is one.
    pub signal: StreamSignal,
}

/// What travels by the path of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StreamSignal {
    /// A datagram within it; every datagram of UDP is one.
    #[default]
    Data,
    /// A stream is to be opened.
    Open,
    /// It is open.
    Accept,
    /// Nobody listens there.
    Refuse,
    /// It is closed.
    Close,
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

/// A translator of a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NatId(usize);

#[derive(Debug)]
struct Host {
    addresses: Vec<IpAddr>,
    /// The translator that it is behind.
    nat: Option<usize>,
    firewall: Firewall,
}

/// What a firewall in front of a host of a [`Network`] lets through, either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Firewall {
    /// Everything: there is none.
    #[default]
    Open,
    /// No UDP.
    NoUdp,
    /// TCP between the host and this port of others, and nothing else.
    OnlyTcpTo(u16),
}

impl Firewall {
    /// Whether something passes between the host and an address of another.
    fn lets(self, protocol: Protocol, other: SocketAddr) -> bool {
        match self {
            Self::Open => true,
            Self::NoUdp => protocol != Protocol::Udp,
            Self::OnlyTcpTo(port) => protocol == Protocol::Tcp && other.port() == port,
        }
    }
}

#[derive(Debug)]
struct Translator {
    nat: Nat,
    /// The translator that it is behind itself.
    outer: Option<usize>,
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
    signal: StreamSignal,
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
        let addresses = addresses.into_iter().collect();
        self.hosts.push(Host { addresses, nat: None, firewall: Firewall::Open });
        HostId(self.hosts.len() - 1)
    }

    /// Adds a host with these addresses behind a NAT of its own.
    pub fn add_host_behind(&mut self, nat: Nat, addresses: impl IntoIterator<Item = IpAddr>) -> HostId {
        let nat = self.add_nat(nat, None);
        self.add_host_inside(nat, addresses)
    }

    /// Adds a NAT, behind another if there is one, as that of a home is behind that of a carrier.
    pub fn add_nat(&mut self, nat: Nat, outer: Option<NatId>) -> NatId {
        self.nats.push(Translator { nat, outer: outer.map(|outer| outer.0) });
        NatId(self.nats.len() - 1)
    }

    /// Adds a host with these addresses behind a NAT that others may be behind, too.
    pub fn add_host_inside(&mut self, nat: NatId, addresses: impl IntoIterator<Item = IpAddr>) -> HostId {
        let host = self.add_host(addresses);
        self.hosts[host.0].nat = Some(nat.0);
        host
    }

    /// The NAT in front of a host.
    pub fn nat_of(&mut self, host: HostId) -> Option<&mut Nat> {
        Some(&mut self.nats.get_mut(self.hosts[host.0].nat?)?.nat)
    }

    /// Puts a firewall in front of a host.
    pub fn set_firewall(&mut self, host: HostId, firewall: Firewall) {
        self.hosts[host.0].firewall = firewall;
    }

    /// Gives a host one more address.
    pub fn add_address(&mut self, host: HostId, address: IpAddr) {
        let addresses = &mut self.hosts[host.0].addresses;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }

    /// Takes an address from a host: what is under way to it is lost, and what is sent from it.
    pub fn remove_address(&mut self, host: HostId, address: IpAddr) {
        self.hosts[host.0].addresses.retain(|known| *known != address);
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

    /// Sends a datagram from the host that has the path's local address. In a stream none is lost, unless the stream
    /// leads nowhere.
    pub fn send(&mut self, path: FiveTuple, ecn: Option<Ecn>, bytes: &[u8]) {
        self.carry(path, ecn, bytes, StreamSignal::Data);
    }

    /// Sends what opens or closes a stream.
    pub fn signal(&mut self, path: FiveTuple, signal: StreamSignal) {
        self.carry(path, None, &[], signal);
    }

    fn carry(&mut self, path: FiveTuple, ecn: Option<Ecn>, bytes: &[u8], signal: StreamSignal) {
        self.stats.sent += 1;
        let Some((from, to, path)) = self.route(path) else {
            self.stats.lost += 1;
            return;
        };
        let mut link = self.links.get(&(from, to)).unwrap_or(&self.default_link);
        let is_stream = path.protocol == Protocol::Tcp;
        if !is_stream && !link.udp {
            self.stats.lost += 1;
            return;
        }
        let of_streams = is_stream.then(|| link.of_streams());
        link = of_streams.as_ref().unwrap_or(link);
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
                signal,
            }));
        }
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse(next)| next.arrival)
    }

    /// The next datagram that has arrived by now.
    pub fn deliver(&mut self) -> Option<Delivery> {
        loop {
            if self.next_arrival()? > self.now {
                return None;
            }
            let Reverse(UnderWay { host, path, ecn_bits, bytes, signal, .. }) = self.under_way.pop()?;
            if self.hosts[host.0].addresses.contains(&path.local.ip()) {
                self.stats.delivered += 1;
                return Some(Delivery { host, path, ecn: Ecn::from_bits(ecn_bits), bytes, signal });
            }
            self.stats.lost += 1;
        }
    }

    /// From which host to which a datagram goes, and its path as the receiver sees it.
    fn route(&mut self, path: FiveTuple) -> Option<(HostId, HostId, FiveTuple)> {
        let from = self.host_of(path.local.ip())?;
        if !self.hosts[from.0].firewall.lets(path.protocol, path.remote) {
            return None;
        }
        let (mut source, mut realm) = (path.local, self.hosts[from.0].nat);
        let mut last = None;
        let (to, destination) = loop {
            if let Some(found) = self.receiver(realm, last, source, path)? {
                break found;
            }
            // What is not known inside leaves by the translator.
            let nat = realm?;
            source = self.nats[nat].nat.outgoing(self.now, path.protocol, source, path.remote)?;
            (realm, last) = (self.nats[nat].outer, Some(nat));
        };
        if !self.hosts[to.0].firewall.lets(path.protocol, source) {
            return None;
        }
        Some((from, to, FiveTuple { protocol: path.protocol, local: destination, remote: source }))
    }

    /// Who receives what is sent to an address within a realm: behind the translator `realm`, or outside of all. It came
    /// out of the translator `last`. `None` if it is lost, and `Some(None)` if nobody there has the address.
    fn receiver(
        &self,
        mut realm: Option<usize>,
        last: Option<usize>,
        source: SocketAddr,
        path: FiveTuple,
    ) -> Option<Option<(HostId, SocketAddr)>> {
        let mut destination = path.remote;
        let mut has_come_in = false;
        loop {
            let has_it = |host: &Host| host.nat == realm && host.addresses.contains(&destination.ip());
            if let Some(host) = self.hosts.iter().position(has_it) {
                return Some(Some((HostId(host), destination)));
            }
            let is_it = |inner: &Translator| inner.outer == realm && inner.nat.public() == destination.ip();
            let Some(nat) = self.nats.iter().position(is_it) else {
                return if has_come_in { None } else { Some(None) };
            };
            if last == Some(nat) && !self.nats[nat].nat.hairpins() {
                return None;
            }
            destination = self.nats[nat].nat.incoming(self.now, path.protocol, source, destination.port())?;
            (realm, has_come_in) = (Some(nat), true);
        }
    }

    fn host_of(&self, address: IpAddr) -> Option<HostId> {
        self.hosts.iter().position(|host| host.addresses.contains(&address)).map(HostId)
    }
}
