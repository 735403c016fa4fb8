//! All allocations of an agent.

use std::net::SocketAddr;
use std::time::Instant;

use smallvec::SmallVec;

use super::leaving::Leaving;
use super::relay::{Relay, RelayNews};
use super::relay_error::RelayError;
use crate::crypto::CryptoProvider;
use crate::ice::config::{Config, TurnServer};
use crate::ice::streams::StreamQueue;
use crate::layer::{
    Datagram, Envelope, FiveTuple, IceError, Opened, Protocol, StreamReport, Transmit, TransmitBatch,
};
use crate::stun::ServerTransport;

/// The allocations of an agent, which outlive its restarts.
#[derive(Debug, Default)]
pub(in crate::ice) struct Relays {
    relays: Vec<Relay>,
    /// Those from addresses that are gone and may come back.
    parked: Vec<Relay>,
    /// Those that give their allocations back.
    leaving: Leaving,
    /// When one of them was started last.
    now: Option<Instant>,
}

/// Allocations from addresses that are gone, at most.
const MAX_PARKED: usize = 8;

/// Names a relay for as long as the agent is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ice) struct RelayId(usize);

impl Relays {
    /// Plans to ask every server of the family from a new base.
    pub(super) fn add_base(&mut self, now: Instant, host: usize, address: SocketAddr, config: &Config) {
        self.dock(host, address);
        for server in &config.turn_servers {
            let is_new = !self.relays.iter().any(|relay| relay.host == host && relay.server == *server);
            let is_suitable = server.address.is_ipv4() == address.is_ipv4();
            if is_new && is_suitable && self.relays.len() < config.max_allocations {
                let parked = self.parked.iter().position(|relay| relay.is_from(address, server));
                self.relays.push(match parked {
                    Some(parked) => self.parked.swap_remove(parked).resumed(now, host),
                    None => Relay::new(host, address, server),
                });
            }
        }
    }

    /// An address is there, for relays that have lost theirs.
    pub(in crate::ice) fn dock(&mut self, host: usize, address: SocketAddr) {
        self.relays.iter_mut().for_each(|relay| relay.dock(host, address));
    }

    /// The servers are others now. Of those that are still there the credentials may be new: they are for what is asked for
    /// anew, since the server knows an allocation by the old ones.
    pub(in crate::ice) fn set_servers(&mut self, servers: &[TurnServer]) {
        self.parked = Vec::new();
        self.set_credentials(servers);
        for relay in &mut self.relays {
            relay.is_unwanted |= !servers.iter().any(|server| server.is_same(&relay.server));
        }
    }

    /// Takes the credentials of the servers that are asked already.
    pub(in crate::ice) fn set_credentials(&mut self, servers: &[TurnServer]) {
        for relay in self.relays.iter_mut().chain(&mut self.parked) {
            // One server may be asked for two users.
            let mut same = servers.iter().filter(|server| server.is_same(&relay.server));
            let is_there = servers.contains(&relay.server);
            if let Some(server) = same.next().filter(|_| !is_there) {
                relay.set_server(server);
            }
        }
    }

    /// The bases of the allocations that are not wanted any more.
    pub(in crate::ice) fn unwanted_bases(&self) -> SmallVec<[usize; 4]> {
        let unwanted = self.relays.iter().filter(|relay| relay.is_unwanted);
        unwanted.flat_map(|relay| relay.bases.iter().map(|(_, base)| *base)).collect()
    }

    /// Gives back the allocations that are not wanted any more and that data does not take. Their bases are told.
    pub(in crate::ice) fn leave_unwanted(
        &mut self,
        now: Instant,
        in_use: Option<SocketAddr>,
        streams: &mut StreamQueue,
    ) -> SmallVec<[usize; 4]> {
        let mut bases = SmallVec::new();
        let goes = |relay: &Relay| relay.is_unwanted && !in_use.is_some_and(|local| relay.relays(local));
        if !self.relays.iter().any(goes) {
            return bases;
        }
        let relays = std::mem::take(&mut self.relays);
        let (gone, stay): (Vec<_>, Vec<_>) = relays.into_iter().partition(goes);
        self.relays = stay;
        for mut relay in gone {
            bases.extend(std::mem::take(&mut relay.bases).into_iter().map(|(_, base)| base));
            if let Some(client) = relay.into_client(streams) {
                self.leaving.enter(now, client, streams);
            }
        }
        bases
    }

    /// Whether the server is asked from the base, and may still tell what it sees the base as.
    pub(super) fn asks(&self, host: usize, server: SocketAddr) -> bool {
        let is_it = |relay: &Relay| {
            let TurnServer { address, transport, .. } = &relay.server;
            relay.host == host && (*address, *transport) == (server, ServerTransport::Udp)
        };
        self.relays.iter().any(|relay| {
            is_it(relay) && relay.error().is_none() && !relay.has_own_socket() && !relay.has_moved()
        })
    }

    /// A base is gone, and with it the way to the servers that were asked from it. What they gave ends by itself, and is
    /// remembered but for that of a stream or of a socket of its own: if the address comes back before, the server has an
    /// allocation for it still (RFC 8656 §7.2). The bases of it are told. Only the one that data takes, with this local address `in_use`, comes along
    /// where it is mobile: each address has allocations of its own, and no more are kept than are of use.
    pub(super) fn forget_base(
        &mut self,
        now: Instant,
        host: usize,
        in_use: Option<SocketAddr>,
        streams: &mut StreamQueue,
    ) -> SmallVec<[usize; 4]> {
        let mut bases = SmallVec::new();
        let is_in_use = |relay: &&mut Relay| in_use.is_some_and(|local| relay.relays(local));
        if let Some(relay) = self.relays.iter_mut().filter(|relay| relay.host == host).find(is_in_use) {
            relay.drift(streams);
        }
        let relays = std::mem::take(&mut self.relays);
        let (gone, stay): (Vec<_>, Vec<_>) = relays.into_iter().partition(|relay| relay.host == host);
        self.relays = stay;
        for mut relay in gone {
            bases.extend(std::mem::take(&mut relay.bases).into_iter().map(|(_, base)| base));
            if relay.path().protocol != Protocol::Udp || relay.has_own_socket() {
                relay.into_client(streams).iter().for_each(|client| streams.close(client.path()));
                continue;
            }
            relay.keep_peers(now, |_| false);
            if relay.allocation().is_some() {
                if self.parked.len() == MAX_PARKED {
                    self.parked.remove(0);
                }
                self.parked.push(relay);
            }
        }
        bases
    }

    /// Those that failed are asked again.
    pub(super) fn restart(&mut self) {
        self.relays.iter_mut().for_each(Relay::retry);
    }

    pub(in crate::ice) fn is_empty(&self) -> bool {
        self.relays.is_empty()
    }

    pub(super) fn is_pending(&self) -> bool {
        self.relays.iter().any(Relay::is_pending)
    }

    pub(in crate::ice) fn has_queued(&self) -> bool {
        self.relays.iter().any(Relay::is_queued)
    }

    /// Asks the next server that waits for its turn, those over UDP first; false if there is none.
    pub(in crate::ice) fn start_next(
        &mut self,
        now: Instant,
        provider: &CryptoProvider,
        config: &Config,
        streams: &mut StreamQueue,
    ) -> bool {
        let queued = self.relays.iter().enumerate().filter(|(_, relay)| relay.is_queued());
        let next = queued.min_by_key(|(_, relay)| relay.server.relay_protocol() as u8);
        let Some((place, path)) = next.map(|(place, relay)| (place, relay.path())) else { return false };
        // Another user of the same server: responses and data could not be told apart.
        let is_taken = self.relays.iter().any(|relay| relay.is_open() && relay.path() == path);
        self.now = Some(now);
        if let Some(relay) = self.relays.get_mut(place) {
            relay.start(now, provider, config, streams, is_taken);
        }
        true
    }

    /// Does what is due, and tells what came of it.
    pub(in crate::ice) fn step(
        &mut self,
        now: Instant,
        config: &Config,
        streams: &mut StreamQueue,
    ) -> Option<(RelayId, RelayNews)> {
        let mut relays = self.relays.iter_mut().enumerate();
        relays.find_map(|(place, relay)| Some((RelayId(place), relay.step(now, config, streams)?)))
    }

    /// Takes what became of a stream; false if no relay has it.
    pub(in crate::ice) fn handle_stream(
        &mut self,
        now: Instant,
        report: &StreamReport,
        provider: &CryptoProvider,
        config: &Config,
        streams: &mut StreamQueue,
    ) -> bool {
        let mut relays = self.relays.iter_mut();
        relays.any(|relay| relay.handle_stream(now, report, provider, config, streams))
            || self.leaving.take_report(report, streams)
    }

    pub(super) fn errors(&self) -> impl Iterator<Item = (RelayId, &Relay, &RelayError)> {
        let relays = self.relays.iter().enumerate();
        relays.filter_map(|(place, relay)| Some((RelayId(place), relay, relay.error()?)))
    }

    pub(in crate::ice) fn timeout(&self) -> Option<Instant> {
        self.relays.iter().filter_map(Relay::timeout).chain(self.leaving.timeout()).min()
    }

    pub(in crate::ice) fn ids(&self) -> impl Iterator<Item = RelayId> + use<> {
        (0..self.relays.len()).map(RelayId)
    }

    pub(in crate::ice) fn get(&self, id: RelayId) -> Option<&Relay> {
        self.relays.get(id.0)
    }

    pub(in crate::ice) fn get_mut(&mut self, id: RelayId) -> Option<&mut Relay> {
        self.relays.get_mut(id.0)
    }

    /// The one whose server is at the other end of a path.
    pub(in crate::ice) fn at(&self, path: &FiveTuple) -> Option<RelayId> {
        self.relays.iter().position(|relay| relay.is_open() && relay.path() == *path).map(RelayId)
    }

    /// Whether a path is that to a server that relays.
    pub(in crate::ice) fn serves(&self, path: &FiveTuple) -> bool {
        self.at(path).and_then(|id| self.get(id)).is_some_and(|relay| relay.allocation().is_some())
    }

    /// The one that the path of a pair goes by. What it relays is UDP, however it is spoken to.
    fn of(&self, path: &FiveTuple) -> Option<&Relay> {
        let is_it = |relay: &&Relay| path.protocol == Protocol::Udp && relay.relays(path.local);
        self.relays.iter().find(is_it)
    }

    fn of_mut(&mut self, path: &FiveTuple) -> Option<&mut Relay> {
        let is_it = |relay: &&mut Relay| path.protocol == Protocol::Udp && relay.relays(path.local);
        self.relays.iter_mut().find(is_it)
    }

    /// What stands around what leaves by the path of a pair.
    pub(in crate::ice) fn envelope(&self, path: &FiveTuple) -> Option<&Envelope> {
        self.of(path)?.envelope(path.remote)
    }

    /// Whether what is to leave by the path of a pair waits for the permission of the peer.
    pub(in crate::ice) fn holds(&self, path: &FiveTuple) -> bool {
        self.of(path).is_some_and(|relay| relay.envelope(path.remote).is_none())
    }

    /// A pair has this path: its peer is to be permitted if it is one of a relay.
    pub(in crate::ice) fn want(&mut self, now: Instant, path: &FiveTuple) {
        if let Some(relay) = self.of_mut(path) {
            relay.want(now, path.remote);
        }
    }

    /// Data takes this path: by a channel if it is one of a relay. The server is asked once whether it still relays
    /// when the peer `is_silent`.
    pub(in crate::ice) fn select(&mut self, now: Instant, path: &FiveTuple, is_silent: bool) {
        if let Some(relay) = self.of_mut(path) {
            relay.bind(now, path.remote);
            relay.question(now, is_silent);
        }
    }

    /// Lets go of the peers that no pair has any more.
    pub(in crate::ice) fn keep_peers(&mut self, now: Instant, is_wanted: impl Fn(&FiveTuple) -> bool) {
        for relay in &mut self.relays {
            let locals = relay.bases.clone();
            relay.keep_peers(now, |peer| {
                locals.iter().any(|(local, _)| is_wanted(&FiveTuple::udp(*local, peer)))
            });
        }
    }

    pub(in crate::ice) fn open<'a>(
        &mut self,
        now: Instant,
        id: RelayId,
        datagram: Datagram<'a>,
    ) -> Opened<'a> {
        match self.get_mut(id) {
            Some(relay) => relay.open(now, datagram),
            None => Opened::Refused(IceError::Ignored("it is of no relay of this agent")),
        }
    }

    pub(in crate::ice) fn receive(
        &mut self,
        now: Instant,
        id: RelayId,
        datagram: Datagram<'_>,
    ) -> Result<(), IceError> {
        let relay = self.get_mut(id).ok_or(IceError::Ignored("it is of no relay of this agent"))?;
        relay.receive(now, datagram)
    }

    /// The next request to a server.
    pub(in crate::ice) fn poll_transmit(
        &mut self,
        now: Instant,
        out: &mut TransmitBatch,
    ) -> Option<Transmit> {
        let leaving = self.leaving.poll_transmit(now, out);
        leaving.or_else(|| self.relays.iter_mut().find_map(|relay| relay.poll_transmit(now, out)))
    }

    /// Something has left by the path of a pair.
    pub(in crate::ice) fn sent(&mut self, now: Instant, path: &FiveTuple) {
        if let Some(relay) = self.of_mut(path) {
            relay.sent(now);
        }
    }

    /// Gives the allocations back. The servers are asked until they [know](Self::is_leaving).
    pub(super) fn close(&mut self, streams: &mut StreamQueue) {
        self.parked = Vec::new();
        let relays = std::mem::take(&mut self.relays);
        let Some(now) = self.now else { return };
        for relay in relays {
            if let Some(client) = relay.into_client(streams) {
                self.leaving.enter(now, client, streams);
            }
        }
    }

    /// Begins what servers are to be asked for.
    pub(in crate::ice) fn wake(&mut self, now: Instant) {
        self.relays.iter_mut().for_each(|relay| relay.wake(now));
    }

    /// Whether a server is yet to know that an allocation is given back.
    pub(in crate::ice) fn is_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Goes on with giving back.
    pub(in crate::ice) fn step_leaving(&mut self, now: Instant, streams: &mut StreamQueue) {
        self.leaving.step(now, streams);
    }

    /// Takes an answer to what gives an allocation back; false if it is none.
    pub(in crate::ice) fn receive_leaving(&mut self, now: Instant, datagram: Datagram<'_>) -> bool {
        self.leaving.receive(now, datagram)
    }
}
