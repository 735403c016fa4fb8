//! Servers and a policy that change in life (W3C WebRTC §4.4.1.6).

use std::time::Instant;

use super::Agent;
use crate::ice::config::{Config, TurnServer};
use crate::layer::{IceEvent, IceTransport};

impl Agent {
    /// Takes the servers, with their URLs and errors, and the transport policy of another configuration. They count from
    /// the next gathering on: at once if there is no host address yet, and with the next
    /// [restart](crate::layer::IceTransport::restart) else. An allocation that serves goes on until its pair is left.
    /// Nothing else of the configuration is taken. New credentials of TURN servers that stay are used from now on where a
    /// server is asked anew: from an address that comes, and for an allocation that was lost.
    pub fn reconfigure(&mut self, now: Instant, config: Config) {
        let is_gone = |server: &&mut TurnServer| !config.turn_servers.contains(server);
        for server in self.config.turn_servers.iter_mut().filter(is_gone) {
            if let Some(next) = config.turn_servers.iter().find(|next| next.is_same(server)) {
                (server.username, server.credential) = (next.username.clone(), next.credential.clone());
            }
        }
        self.gathering.relays.set_credentials(&self.config.turn_servers);
        self.next_config = Some(Box::new(config));
        if self.local.bases().is_empty() {
            self.take_configuration();
            self.update(now);
        }
    }

    /// A gathering begins.
    pub(super) fn take_configuration(&mut self) {
        let Some(next) = self.next_config.take() else { return };
        let Config {
            stun_servers,
            stun_stream_servers,
            stun_urls,
            turn_servers,
            server_errors,
            transport_policy,
            ..
        } = *next;
        let errors = server_errors.into_iter().map(|error| IceEvent::CandidateError(Box::new(error)));
        self.events.extend(errors);
        let config = &mut self.config;
        config.stun_stream_servers = stun_stream_servers;
        (config.stun_servers, config.stun_urls, config.turn_servers) =
            (stun_servers, stun_urls, turn_servers);
        config.transport_policy = transport_policy;
        self.local.set_policy(transport_policy);
        self.gathering.relays.set_servers(&self.config.turn_servers);
        for base in self.gathering.relays.unwanted_bases() {
            self.local.withdraw(base);
        }
    }

    /// Gives the allocations back that no server of the configuration gives any more, once data does not take them.
    pub(super) fn leave_relays(&mut self, now: Instant) {
        let selected = self.selected_pair().map(|pair| pair.path.local);
        let bases = self.gathering.relays.leave_unwanted(now, selected, &mut self.streams);
        if !bases.is_empty() {
            self.lose_bases(now, &bases);
        }
    }
}
