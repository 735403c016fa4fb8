//! Layers on hosts, by the virtual clock.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::network::{Delivery, HostId, Network, StreamSignal};
use super::streams::Streams;
use crate::layer::{Datagram, FiveTuple, Layer, Protocol, StreamReport, TransmitBatch};

/// Layers on the hosts of a [`Network`], and the loop that runs them.
///
/// Layers of several kinds go in as `Box<dyn Layer<…>>` or as an enum of the test's own.
///
#[cfg_attr(all(feature = "aws-lc-rs", feature = "sctp"), doc = "```")]
#[cfg_attr(not(all(feature = "aws-lc-rs", feature = "sctp")), doc = "```ignore")]
/// use std::time::{Duration, Instant};
///
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::sctp::{Association, Config, SctpTransport};
/// use kaon_rtc::sim::{Link, Network, Simulation};
///
/// let now = Instant::now();
/// let mut network = Network::new(7, now);
/// let link = Link { delay: Duration::from_millis(30), loss: 0.1, ..Link::default() };
/// network.set_default_link(link);
/// let (a, b) = ("192.0.2.1:1".parse()?, "192.0.2.2:1".parse()?);
/// let mut simulation = Simulation::new(network);
/// let provider = aws_lc_rs::provider();
/// let client = simulation.add_peer(a, b, Association::new(Config::default(), &provider));
/// simulation.add_peer(b, a, Association::new(Config::default(), &provider));
/// simulation.layer_mut(client).connect(now);
/// assert!(simulation.run_until(Duration::from_secs(20), |s| s.layer(client).is_established()));
/// println!("established after {:?}", simulation.elapsed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Simulation<L> {
    network: Network,
    epoch: Instant,
    nodes: Vec<Node<L>>,
    batch: TransmitBatch,
    refused: u64,
    /// Steps since the time last moved.
    standstill: u32,
    streams: Streams,
}

/// More steps at one instant than any exchange over a link without delay takes.
const STANDSTILL_LIMIT: u32 = 1_000_000;

#[derive(Debug)]
struct Node<L> {
    host: HostId,
    /// Where a transmit without a path goes.
    path: Option<FiveTuple>,
    layer: L,
}

impl<L: Layer> Simulation<L> {
    /// A simulation on `network`, whose layers send datagrams of at most 1200 bytes.
    pub fn new(network: Network) -> Self {
        Self {
            epoch: network.now(),
            network,
            nodes: Vec::new(),
            batch: TransmitBatch::new(1200),
            refused: 0,
            standstill: 0,
            streams: Streams::default(),
        }
    }

    /// The same simulation with datagrams of at most `max_datagram` bytes.
    pub fn with_max_datagram(mut self, max_datagram: usize) -> Self {
        self.batch = TransmitBatch::new(max_datagram);
        self
    }

    /// Adds a host with the address `local` and on it a layer that talks to `remote` only.
    pub fn add_peer(&mut self, local: SocketAddr, remote: SocketAddr, layer: L) -> HostId {
        let host = self.network.add_host([local.ip()]);
        self.nodes.push(Node { host, path: Some(FiveTuple::udp(local, remote)), layer });
        host
    }

    /// Puts a layer that names its paths itself on a host of the network.
    pub fn add_layer(&mut self, host: HostId, layer: L) {
        self.nodes.push(Node { host, path: None, layer });
    }

    /// Has a host take streams at this address, as a server of TCP does. Elsewhere they are refused.
    pub fn listen(&mut self, address: SocketAddr) {
        self.streams.listen(address);
    }

    /// Breaks all streams of a host, as its restart does: both sides learn of it.
    pub fn break_streams(&mut self, host: HostId) {
        for path in self.streams.take_all_of(host) {
            self.network.signal(path, StreamSignal::Close);
            let reason = "the stream was broken".to_owned();
            self.report(host, StreamReport::Closed { path, reason });
        }
    }

    /// How many streams a host has.
    pub fn streams(&self, host: HostId) -> usize {
        self.streams.count(host)
    }

    /// The network.
    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.network.now()
    }

    /// The time since the simulation began.
    pub fn elapsed(&self) -> Duration {
        self.now() - self.epoch
    }

    /// How many datagrams the layers refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The layer on a host.
    ///
    /// # Panics
    /// If there is none.
    pub fn layer(&self, host: HostId) -> &L {
        &self.nodes.iter().find(|node| node.host == host).expect("a layer on this host").layer // see Panics
    }

    /// The layer on a host, to be called as an application would.
    ///
    /// # Panics
    /// If there is none.
    pub fn layer_mut(&mut self, host: HostId) -> &mut L {
        let node = self.nodes.iter_mut().find(|node| node.host == host);
        &mut node.expect("a layer on this host").layer // see Panics
    }

    /// Runs until `done`, which is asked after every step, or until `limit` has passed. Says whether it was
    /// done.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let deadline = self.now() + limit;
        loop {
            self.transmit();
            if done(self) {
                return true;
            }
            // What `done` did as the application may have given the layers something to send.
            self.transmit();
            if !self.step(deadline) {
                return false;
            }
        }
    }

    /// Runs for `time`.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Moves on to the next arrival or timeout. False if none comes by `deadline`, which is the time then.
    fn step(&mut self, deadline: Instant) -> bool {
        let timeouts = self.nodes.iter().filter_map(|node| node.layer.poll_timeout());
        let next = timeouts.chain(self.network.next_arrival()).chain(self.streams.timeout()).min();
        let Some(next) = next.filter(|next| *next <= deadline) else {
            self.network.advance_to(deadline);
            return false;
        };
        self.standstill = if next > self.now() { 0 } else { self.standstill + 1 };
        assert!(self.standstill < STANDSTILL_LIMIT, "the layers keep each other busy and time stands still");
        self.network.advance_to(next);
        let now = self.network.now();
        for node in &mut self.nodes {
            if node.layer.poll_timeout().is_some_and(|timeout| timeout <= now) {
                node.layer.handle_timeout(now);
                let next = node.layer.poll_timeout();
                assert!(next.is_none_or(|next| next >= now), "a timeout in the past after handle_timeout");
            }
        }
        while let Some((host, report)) = self.streams.repeat(&mut self.network) {
            self.report(host, report);
        }
        while let Some(mut delivery) = self.network.deliver() {
            if delivery.path.protocol == Protocol::Tcp && !self.receive_by_stream(&delivery) {
                continue;
            }
            for node in self.nodes.iter_mut().filter(|node| node.host == delivery.host) {
                let datagram =
                    Datagram { path: delivery.path, ecn: delivery.ecn, bytes: &mut delivery.bytes };
                self.refused += u64::from(node.layer.handle_datagram(now, datagram).is_err());
            }
        }
        true
    }

    fn transmit(&mut self) {
        let now = self.network.now();
        for node in &mut self.nodes {
            loop {
                self.batch.clear();
                let Some(transmit) = node.layer.poll_transmit(now, &mut self.batch) else { break };
                if let Some(path) = transmit.path.or(node.path) {
                    for datagram in self.batch.datagrams(&transmit) {
                        if path.protocol == Protocol::Udp || self.streams.is_open(node.host, path) {
                            self.network.send(path, transmit.ecn, datagram);
                        }
                    }
                }
            }
            while let Some(request) = node.layer.poll_stream() {
                if let Some(report) = self.streams.ask(&mut self.network, node.host, request) {
                    node.layer.handle_stream(now, report);
                }
            }
        }
    }

    /// Whether what came by a stream is data for the layers.
    fn receive_by_stream(&mut self, delivery: &Delivery) -> bool {
        if delivery.signal == StreamSignal::Data {
            return self.streams.is_open(delivery.host, delivery.path);
        }
        if let Some(report) = self.streams.receive(&mut self.network, delivery) {
            self.report(delivery.host, report);
        }
        false
    }

    fn report(&mut self, host: HostId, report: StreamReport) {
        let now = self.network.now();
        for node in self.nodes.iter_mut().filter(|node| node.host == host) {
            node.layer.handle_stream(now, report.clone());
        }
    }
}
