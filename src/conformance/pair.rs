//! The two sides of a scenario.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::heap::Heap;
use super::kit::Kit;
use super::scenario::{Trouble, ensure};
use crate::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use crate::sim::{HostId, Link, Network};

/// The side of the implementation that is tested.
pub(super) const SUBJECT: usize = 0;
/// The other side.
pub(super) const PEER: usize = 1;

/// The addresses of both sides.
pub(super) fn addresses() -> [SocketAddr; 2] {
    [SocketAddr::from(([10, 0, 0, 1], 1000)), SocketAddr::from(([10, 0, 0, 2], 2000))]
}

/// The path as a side sees it.
pub(super) fn path(side: usize) -> FiveTuple {
    FiveTuple::udp(addresses()[side], addresses()[1 - side])
}

/// Two layers and the network between them.
pub(super) struct Pair<'a, L: Layer> {
    clock: &'a dyn Clock,
    network: Network,
    hosts: [HostId; 2],
    pub(super) layers: [L; 2],
    /// What each side has told.
    pub(super) told: [Vec<L::Event>; 2],
    /// Whether what sides tell is taken from them at once.
    pub(super) draining: bool,
    /// Datagrams that each side sent; the first are kept.
    pub(super) sent: [Vec<Vec<u8>>; 2],
    /// How many datagrams each side sent.
    pub(super) sent_count: [usize; 2],
    /// How often each side was called because its time had come.
    pub(super) wake_ups: [usize; 2],
    batch: TransmitBatch,
    standstill: u32,
}

/// More steps at one instant than any exchange over a link with a delay takes.
const STANDSTILL_LIMIT: u32 = 100_000;
const MAX_KEPT: usize = 64;

impl<'a, L: Layer<Event: fmt::Debug>> Pair<'a, L> {
    pub(super) fn new(kit: &Kit<'a>, seed: u64, link: Link, layers: [L; 2]) -> Self {
        let mut network = Network::new(seed, kit.clock.now());
        network.set_default_link(link);
        let hosts = addresses().map(|address| network.add_host([address.ip()]));
        Self {
            clock: kit.clock,
            network,
            hosts,
            layers,
            told: [Vec::new(), Vec::new()],
            draining: true,
            sent: [Vec::new(), Vec::new()],
            sent_count: [0; 2],
            wake_ups: [0; 2],
            batch: TransmitBatch::new(1200),
            standstill: 0,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The link in both directions from now on.
    pub(super) fn set_link(&mut self, link: Link) {
        self.network.set_default_link(link);
    }

    /// Runs until `done`, or for `limit`. Says whether it was done.
    pub(super) fn run_until(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&mut Self) -> bool,
    ) -> Result<bool, Trouble> {
        let deadline = self.now() + limit;
        loop {
            self.exchange()?;
            if done(self) {
                return Ok(true);
            }
            self.exchange()?;
            let timeouts = self.layers.iter().filter_map(Layer::poll_timeout);
            let next = timeouts.chain(self.network.next_arrival()).min();
            let before = self.now();
            if next.is_none_or(|next| next > deadline) {
                self.clock.wait_until(deadline);
                self.network.advance_to(self.now());
                return Ok(done(self));
            }
            self.clock.wait_until(next.unwrap_or(deadline));
            self.standstill = if self.now() > before { 0 } else { self.standstill + 1 };
            ensure!(self.standstill < STANDSTILL_LIMIT, "the layers are busy and time stands still");
        }
    }

    pub(super) fn run_for(&mut self, time: Duration) -> Result<(), Trouble> {
        self.run_until(time, |_| false).map(drop)
    }

    /// All that is to be done now: timeouts, arrivals, transmits, events.
    fn exchange(&mut self) -> Result<(), Trouble> {
        let now = self.now();
        self.network.advance_to(now);
        for side in [SUBJECT, PEER] {
            if self.layers[side].poll_timeout().is_some_and(|timeout| timeout <= now) {
                self.wake_ups[side] += 1;
                self.layers[side].handle_timeout(now);
                let next = self.layers[side].poll_timeout();
                ensure!(
                    next.is_none_or(|next| next >= now),
                    "the side {side} wants to be called in the past after handle_timeout"
                );
            }
        }
        while let Some(mut delivery) = self.network.deliver() {
            for side in [SUBJECT, PEER] {
                if self.hosts[side] == delivery.host {
                    let datagram =
                        Datagram { path: delivery.path, ecn: delivery.ecn, bytes: &mut delivery.bytes };
                    // What a layer refuses is as good as lost.
                    let _ = self.layers[side].handle_datagram(now, datagram);
                }
            }
        }
        for side in [SUBJECT, PEER] {
            self.transmit(side)?;
            if self.draining {
                self.drain(side)?;
            }
        }
        Ok(())
    }

    /// Sends what a side has to send.
    pub(super) fn transmit(&mut self, side: usize) -> Result<(), Trouble> {
        const MOST: usize = 100_000;
        let now = self.now();
        for _ in 0..MOST {
            self.batch.clear();
            let Some(transmit) = self.layers[side].poll_transmit(now, &mut self.batch) else {
                return Ok(());
            };
            ensure!(!transmit.is_empty(), "the side {side} transmits nothing and says it does");
            for datagram in self.batch.datagrams(&transmit) {
                self.sent_count[side] += 1;
                if self.sent[side].len() < MAX_KEPT {
                    self.sent[side].push(datagram.to_vec());
                }
                self.network.send(transmit.path.unwrap_or(path(side)), transmit.ecn, datagram);
            }
        }
        Err(Trouble::Failed(format!("the side {side} does not stop to transmit")))
    }

    /// Takes what a side tells.
    pub(super) fn drain(&mut self, side: usize) -> Result<(), Trouble> {
        const MOST: usize = 1_000_000;
        for _ in 0..MOST {
            match self.layers[side].poll_event() {
                Some(event) => self.told[side].push(event),
                None => return Ok(()),
            }
        }
        Err(Trouble::Failed(format!("the side {side} does not stop to tell")))
    }

    /// Hands bytes to a side as if they had come from the other.
    pub(super) fn inject(&mut self, side: usize, bytes: &[u8]) -> Result<(), L::Error> {
        let now = self.now();
        self.layers[side].handle_datagram(now, Datagram::new(path(side), &mut bytes.to_vec()))
    }

    /// Hands a side what nobody should send: all beginnings of what the other has sent, and noise.
    pub(super) fn torment(&mut self, side: usize) -> Result<(), Trouble> {
        let now = self.now();
        let genuine = self.sent[1 - side].clone();
        for datagram in genuine.iter().take(8) {
            for length in 0..datagram.len() {
                let _ = self.inject(side, &datagram[..length]);
                self.layers[side].poll_timeout();
            }
        }
        for round in 0..2000_usize {
            let mut noise: Vec<u8> = match genuine.get(round % (genuine.len() + 1)) {
                Some(datagram) => datagram.clone(),
                None => vec![0; round % 200],
            };
            for _ in 0..=round % 16 {
                let at = self.network.random().next_u64() as usize;
                let end = noise.len();
                if let Some(byte) = noise.get_mut(at.checked_rem(end).unwrap_or(0)) {
                    *byte = self.network.random().next_u64() as u8;
                }
            }
            // What differs from the genuine only where nobody looks would count as genuine.
            let _ = self.layers[side].handle_datagram(now, Datagram::new(path(side), &mut noise));
        }
        self.layers[side].handle_timeout(now);
        Ok(())
    }

    /// An idle side has nothing to send or tell, always gives the same answers and asks for no memory.
    pub(super) fn check_idle(&mut self, side: usize, heap: Option<&dyn Heap>) -> Result<(), Trouble> {
        let now = self.now();
        self.transmit(side)?;
        self.drain(side)?;
        self.batch.clear();
        let timeout = self.layers[side].poll_timeout();
        let before = heap.map(Heap::allocations);
        for _ in 0..1000 {
            ensure!(self.layers[side].poll_event().is_none(), "an idle layer tells something");
            let transmit = self.layers[side].poll_transmit(now, &mut self.batch);
            ensure!(transmit.is_none(), "an idle layer transmits");
            ensure!(self.layers[side].poll_timeout() == timeout, "an idle layer changes its timeout");
        }
        let asked = heap.map(Heap::allocations).unwrap_or(0) - before.unwrap_or(0);
        ensure!(asked == 0, "an idle layer allocates when polled: {asked} times in 1000 polls");
        Ok(())
    }
}
