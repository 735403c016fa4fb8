//! What an agent does with the allocations of TURN servers.

use std::net::IpAddr;
use std::time::Instant;

use smallvec::SmallVec;

use super::Agent;
use crate::ice::gathering::{RelayId, RelayNews};
use crate::ice::local::Added;
use crate::ice::message::{Content, Outgoing};
use crate::ice::pair::{Claim, PairId};
use crate::layer::{CandidateKind, Datagram, FiveTuple, IceError, IceEvent, Opened, PathProof, Protocol};
use crate::turn::Allocation;

impl Agent {
    /// Takes what the relays tell.
    pub(super) fn step_relays(&mut self, now: Instant) {
        while let Some((id, news)) = self.gathering.relays.step(now, &self.config, &mut self.streams) {
            match news {
                RelayNews::Allocated(allocation) => self.take_allocation(now, id, &allocation),
                RelayNews::Lost => self.lose_relay(now, id),
                RelayNews::Moved => self.ask_instead_of(id),
                RelayNews::Resumed => self.show_path(now),
                RelayNews::Failed => self.fail_relay(now, id),
                RelayNews::Refused(peer) => self.fail_pairs_to(now, id, peer),
            }
        }
    }

    /// RFC 8445 §5.1.1.2: a relayed candidate for each address, and what the server saw this side as.
    fn take_allocation(&mut self, now: Instant, id: RelayId, allocation: &Allocation) {
        let Some(relay) = self.gathering.relays.get(id) else { return };
        let (host, server, local) = (relay.host, relay.path().remote.ip(), relay.path().local);
        let (url, protocol) = (relay.server.url(), relay.server.relay_protocol());
        self.take_mapped(id, host, server, &url, allocation);
        for relayed in &allocation.relayed {
            let mapped = allocation.mapped.unwrap_or(local);
            let added = self.local.add_relayed(host, *relayed, mapped, server, protocol);
            let Some(base) = added else { continue };
            if let Some(relay) = self.gathering.relays.get_mut(id) {
                relay.bases.push((*relayed, base));
            }
            self.local.set_url_of(base, &url);
            self.signal_base(base);
            self.pair_base(now, base);
        }
    }

    /// What a server sees a stream come from is no address of UDP, and what it sees a socket of the relay's own come from
    /// is none of the base.
    fn take_mapped(&mut self, id: RelayId, host: usize, server: IpAddr, url: &str, allocation: &Allocation) {
        let is_of_base = self
            .gathering
            .relays
            .get(id)
            .is_some_and(|relay| relay.path().protocol == Protocol::Udp && !relay.has_own_socket());
        let Some(mapped) = allocation.mapped.filter(|_| is_of_base) else { return };
        let kind = CandidateKind::ServerReflexive;
        if self.local.add_reflexive(kind, mapped, host, Some(server)) == Added::New {
            self.local.set_newest_url(url.to_owned());
            self.signal_newest_candidate();
        }
    }

    /// Tells the candidates of the allocations that a restart found.
    pub(super) fn signal_relays(&mut self) {
        for id in self.gathering.relays.ids() {
            let Some(relay) = self.gathering.relays.get(id) else { continue };
            let (host, server) = (relay.host, relay.path().remote.ip());
            let Some(allocation) = relay.allocation().cloned() else { continue };
            let url = relay.server.url();
            let bases: SmallVec<[usize; 2]> = relay.bases.iter().map(|(_, base)| *base).collect();
            self.take_mapped(id, host, server, &url, &allocation);
            for base in bases {
                self.signal_base(base);
            }
        }
    }

    fn fail_relay(&mut self, now: Instant, id: RelayId) {
        let error = self.gathering.relay_error(id);
        self.lose_relay(now, id);
        self.ask_instead_of(id);
        self.events.extend(error.map(|error| IceEvent::CandidateError(Box::new(error))));
    }

    /// Something is sent by the pair that data takes, at once.
    fn show_path(&mut self, now: Instant) {
        if let Some(id) = self.selected_check_pair().map(|pair| pair.id) {
            self.verify(now, id);
        }
    }

    /// The allocation does not tell what the base is seen as.
    fn ask_instead_of(&mut self, id: RelayId) {
        if let Some(base) = self.gathering.relays.get(id).map(|relay| relay.local) {
            self.gathering.ask_instead(id, base, &self.config);
        }
    }

    /// The addresses of a relay are of no use any more: their candidates and pairs go, and others are checked again
    /// where data took one of them.
    fn lose_relay(&mut self, now: Instant, id: RelayId) {
        let Some(relay) = self.gathering.relays.get_mut(id) else { return };
        let bases = std::mem::take(&mut relay.bases);
        if !bases.is_empty() {
            tracing::debug!(count = bases.len(), "relayed addresses are lost");
        }
        let bases: SmallVec<[usize; 2]> = bases.iter().map(|(_, base)| *base).collect();
        self.lose_bases(now, &bases);
    }

    /// Pairs a base with what is known of the peer.
    pub(super) fn pair_base(&mut self, now: Instant, base: usize) {
        for remote in 0..self.remote.len() {
            self.last_news = Some(now);
            self.add_pair(now, base, remote, Claim::Said);
        }
    }

    /// The server does not relay to an address.
    fn fail_pairs_to(&mut self, now: Instant, id: RelayId, peer: IpAddr) {
        let Some(relay) = self.gathering.relays.get(id) else { return };
        let bases: SmallVec<[usize; 2]> = relay.bases.iter().map(|(_, base)| *base).collect();
        let is_refused = |path: &FiveTuple, base: usize| path.remote.ip() == peer && bases.contains(&base);
        let refused = self.check_list.pairs().iter().filter(|pair| is_refused(&pair.path, pair.base));
        let refused: Vec<(PairId, FiveTuple)> = refused.map(|pair| (pair.id, pair.path)).collect();
        for (id, refused) in refused {
            self.drop_unsent(|path| *path == refused);
            self.fail(now, id);
        }
    }

    /// What waits to be sent by some paths is of no use any more.
    pub(super) fn drop_unsent(&mut self, is_gone: impl Fn(&FiveTuple) -> bool) {
        let queued = &mut self.queued_responses;
        self.outbox.retain(|message| {
            let goes = is_gone(&message.path);
            if goes && matches!(message.content, Content::Response { .. }) {
                *queued = queued.saturating_sub(1);
            }
            !goes
        });
    }

    /// Has the relays serve the pairs that there are now.
    pub(super) fn settle_relays(&mut self, now: Instant) {
        if self.gathering.relays.is_empty() {
            return;
        }
        self.leave_relays(now);
        let selected = self.selected.as_ref().map(|selected| {
            let has_lapsed = self.selected_check_pair().is_some_and(|pair| pair.has_lapsed);
            (selected.pair.path, has_lapsed || selected.consent.is_disconnected(now))
        });
        if let Some((path, is_silent)) = selected {
            self.gathering.relays.select(now, &path, is_silent);
        }
        let (list, outbox) = (&self.check_list, &self.outbox);
        self.gathering.relays.keep_peers(now, |path| {
            selected.is_some_and(|(selected, _)| selected == *path)
                || list.find(path).is_some()
                || outbox.iter().any(|message| message.path == *path)
        });
    }

    /// Whether something that waits can leave now: what a relay carries waits for the permission of the peer.
    pub(super) fn take_sendable(&mut self) -> Option<Outgoing> {
        let relays = &self.gathering.relays;
        let place = self.outbox.iter().position(|message| !relays.holds(&message.path))?;
        self.outbox.remove(place)
    }

    /// Takes a datagram that came from a TURN server.
    pub(super) fn receive_by_relay(
        &mut self,
        now: Instant,
        id: RelayId,
        datagram: Datagram<'_>,
    ) -> Result<(), IceError> {
        let path = datagram.path;
        match self.gathering.relays.open(now, id, datagram) {
            Opened::Inner(inner) => self.receive(now, &inner),
            Opened::Own(datagram) => {
                self.gathering.relays.receive(now, id, datagram)?;
                if self.gathering.relays.serves(&path) {
                    self.proof = Some((path, PathProof::Answer));
                }
                Ok(())
            }
            Opened::Refused(error) => Err(error),
        }
    }
}
