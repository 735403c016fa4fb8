//! Gathering of candidates, RFC 8445 §5.1.1.

mod binding;
mod leaving;
mod relay;
mod relay_error;
mod relays;
mod stream_binding;

use std::net::SocketAddr;
use std::time::Instant;

use smallvec::SmallVec;

use self::binding::Bindings;
pub(super) use self::relay::RelayNews;
pub(super) use self::relays::{RelayId, Relays};
pub(super) use self::stream_binding::Mapping;
use self::stream_binding::StreamBindings;
use super::config::{Config, StunServer, TransportPolicy};
use super::local::{Base, BaseKind};
use super::streams::StreamQueue;
use crate::layer::{CandidateError, FiveTuple, IceCandidateError};
use crate::stun::ServerTransport;

/// The search for candidates beyond those of the host.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    pub(super) bindings: Bindings,
    pub(super) stream_bindings: StreamBindings,
    pub(super) relays: Relays,
    /// No further host address will come.
    ended: bool,
    reported: bool,
}

impl Gathering {
    /// Plans to ask the servers from a host address, which is the base of this index.
    pub(super) fn add_base(&mut self, now: Instant, index: usize, base: &Base, config: &Config) {
        if base.is_simultaneous() && config.transport_policy == TransportPolicy::All && !config.lite {
            self.ask_over_streams(index, base, config);
        }
        if base.kind != BaseKind::Host || config.lite {
            return;
        }
        self.relays.add_base(now, index, base.address, config);
        if config.transport_policy == TransportPolicy::Relay {
            return;
        }
        for server in &config.stun_servers {
            // The allocation tells the same.
            if server.is_ipv4() == base.address.is_ipv4() && !self.relays.asks(index, *server) {
                self.bindings.add(index, FiveTuple::udp(base.address, *server));
            }
        }
        self.ask_over_streams(index, base, config);
    }

    fn ask_over_streams(&mut self, index: usize, base: &Base, config: &Config) {
        let is_reached = |server: &&StunServer| server.address.is_ipv4() == base.address.is_ipv4();
        for server in config.stun_stream_servers.iter().filter(is_reached) {
            self.stream_bindings.add(index, base, server);
        }
    }

    /// The mappings are needed no more: a pair was nominated.
    pub(super) fn stop_keepalives(&mut self, streams: &mut StreamQueue) {
        self.bindings.stop_keepalives();
        self.stream_bindings.let_go(streams);
    }

    /// There is no allocation that would tell what a STUN server would. One that has a socket of its own works, so that
    /// its server is one of STUN as well (RFC 8445 §5.1.1.2).
    pub(super) fn ask_instead(&mut self, id: RelayId, base: SocketAddr, config: &Config) {
        let Some(relay) = self.relays.get(id) else { return };
        let server = relay.server.address;
        let is_asked = relay.server.transport == ServerTransport::Udp
            && config.transport_policy == TransportPolicy::All
            && (relay.has_own_socket() || config.stun_servers.contains(&server));
        if is_asked && !self.relays.asks(relay.host, server) {
            self.bindings.add(relay.host, FiveTuple::udp(base, server));
        }
    }

    /// A base is gone, with what was asked from it. The bases that relays gave it are told.
    pub(super) fn forget_base(
        &mut self,
        now: Instant,
        host: usize,
        in_use: Option<SocketAddr>,
        streams: &mut StreamQueue,
    ) -> SmallVec<[usize; 4]> {
        self.bindings.forget_base(host);
        self.relays.forget_base(now, host, in_use, streams)
    }

    /// Begins a new generation.
    pub(super) fn restart(&mut self, config: &Config, streams: &mut StreamQueue) {
        self.bindings = Bindings::default();
        self.stream_bindings.restart(config, streams);
        self.relays.restart();
        self.reported = false;
    }

    /// No further base will be added.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether all candidates are found.
    pub(super) fn is_complete(&self) -> bool {
        self.ended
            && !self.bindings.is_pending()
            && !self.stream_bindings.is_pending()
            && !self.relays.is_pending()
    }

    /// True once, when it is complete.
    pub(super) fn take_completion(&mut self) -> bool {
        let completed = self.is_complete() && !self.reported;
        self.reported |= completed;
        completed
    }

    /// What went wrong with the servers.
    pub(super) fn errors(&self) -> impl Iterator<Item = CandidateError> {
        let stun = self.bindings.errors().chain(self.stream_bindings.errors());
        stun.chain(self.relays.errors().map(|(_, _, error)| error.candidate_error()))
    }

    /// A STUN server that does not answer any more, or refuses, and has not been told of.
    pub(super) fn take_stun_error(&mut self, config: &Config) -> Option<IceCandidateError> {
        let Some((path, error)) = self.bindings.take_error() else {
            return self.stream_bindings.take_error();
        };
        let url = config.stun_url(path.remote);
        Some(IceCandidateError::new(path.local, url, error.code(), error.to_string()))
    }

    /// Why a relay has failed.
    pub(super) fn relay_error(&self, id: RelayId) -> Option<IceCandidateError> {
        let (_, relay, error) = self.relays.errors().find(|(other, ..)| *other == id)?;
        Some(IceCandidateError::new(relay.local, relay.server.url(), error.code, error.reason.clone()))
    }

    /// When something is due next.
    pub(super) fn timeout(&self) -> Option<Instant> {
        let stun = self.bindings.timeout().into_iter().chain(self.stream_bindings.timeout());
        stun.chain(self.relays.timeout()).min()
    }

    /// Whether a server waits for its turn to be asked.
    pub(super) fn has_queued(&self) -> bool {
        self.bindings.has_queued() || self.stream_bindings.has_queued() || self.relays.has_queued()
    }

    /// Ends it. Allocations are given back by what the relays still send.
    pub(super) fn close(&mut self, streams: &mut StreamQueue) {
        self.relays.close(streams);
        self.stream_bindings.close(streams);
        self.bindings = Bindings::default();
    }
}
