//! Allocations that come along when an address of this machine goes, RFC 8016.

use std::net::SocketAddr;
use std::time::Instant;

use smallvec::SmallVec;

use super::{NO_HOST, Relay, State, path_to};
use crate::ice::config::Config;
use crate::ice::streams::StreamQueue;
use crate::layer::FiveTuple;
use crate::stun::ServerTransport;

impl Relay {
    /// Its address is gone. One whose allocation is mobile waits for another address; false of all others.
    pub(in crate::ice::gathering) fn drift(&mut self, streams: &mut StreamQueue) -> bool {
        self.state = match std::mem::replace(&mut self.state, State::Queued) {
            State::Serving(client) if client.is_mobile() => {
                streams.close(client.path());
                State::Adrift(client)
            }
            State::Connecting { token, client: Some(client), .. } if client.is_mobile() => {
                streams.abandon(token);
                State::Adrift(client)
            }
            State::Adrift(client) => State::Adrift(client),
            state => {
                self.state = state;
                return false;
            }
        };
        self.host = NO_HOST;
        true
    }

    /// Waits for its turn to ask from an address, if it has lost its own and this one is of the family.
    pub(in crate::ice::gathering) fn dock(&mut self, host: usize, address: SocketAddr) {
        let is_of_family = self.server.address.is_ipv4() == address.is_ipv4();
        if self.host == NO_HOST && is_of_family {
            (self.host, self.local, self.path) = (host, address, path_to(address, &self.server));
            self.has_moved = true;
        }
    }

    /// Whether its allocation has come along from another address, so that the server never said what this one is seen as.
    pub(in crate::ice) fn has_moved(&self) -> bool {
        self.has_moved
    }

    /// Goes on from another address: by the socket of all unless its five-tuple `is_taken` there.
    pub(super) fn resume(
        &mut self,
        now: Instant,
        config: &Config,
        streams: &mut StreamQueue,
        is_taken: bool,
    ) {
        let State::Adrift(mut client) = std::mem::replace(&mut self.state, State::Queued) else { return };
        let remote = client.path().remote;
        if self.server.transport != ServerTransport::Udp || is_taken {
            return self.connect(now, config, remote, Some(client), streams);
        }
        client.set_path(now, FiveTuple { remote, ..self.path });
        self.state = State::Serving(client);
        self.enclose_all(now);
    }

    /// What stands around datagrams is for another path now.
    pub(super) fn enclose_all(&mut self, now: Instant) {
        let enclosed = self.peers.iter().filter(|(_, envelope)| envelope.is_some());
        let peers: SmallVec<[SocketAddr; 4]> = enclosed.map(|(peer, _)| *peer).collect();
        peers.into_iter().for_each(|peer| self.enclose(now, peer));
    }
}
