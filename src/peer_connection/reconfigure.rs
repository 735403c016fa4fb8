//! A configuration that changes in life, W3C WebRTC §4.4.1.6.

use std::time::Instant;

use super::configuration::{Configuration, ConfigurationError};
use super::connection::PeerConnection;
use super::error::PeerConnectionError;
use super::ice_server::resolve_servers;
use super::shared::{EndpointShared, State};
use crate::ice;
use crate::session::GatheringState;

impl PeerConnection {
    /// What it is configured with (W3C `getConfiguration`): the servers of
    /// [`stun_server`](super::PeerConnectionBuilder::stun_server) and [`ice`](super::PeerConnectionBuilder::ice) are not
    /// among these.
    pub fn configuration(&self) -> Configuration {
        self.handle.shared.lock().configuration.clone()
    }

    /// Changes the configuration (W3C `setConfiguration`). Servers and the transport policy count from the next gathering
    /// on: with the first description, or after [`restart_ice`](Self::restart_ice). Relays that serve the connection go on
    /// until then. New credentials of a server that stays are used earlier where it is asked anew: for a relay that was
    /// lost, and from an address that comes. So who has credentials that end at a time sets their successors before. The
    /// names of servers are resolved first, as [`build`](super::PeerConnectionBuilder::build) does.
    ///
    /// # Errors
    /// [`PeerConnectionError::Configuration`] for what cannot change, [`PeerConnectionError::IceServer`], and
    /// [`PeerConnectionError::Ended`] with the reason. Nothing has changed then.
    pub async fn set_configuration(&self, configuration: Configuration) -> Result<(), PeerConnectionError> {
        let servers = configuration.unresolved()?;
        self.check(&configuration)?;
        let transport_policy = configuration.ice_transport_policy;
        let mut config = ice::Config { transport_policy, ..ice::Config::default() };
        resolve_servers(servers, &mut config).await;
        // What was possible before the names were resolved may not be so any more.
        self.check(&configuration)?;
        let shared = &self.handle.shared;
        shared.with(|state, now| state.configure(now, configuration, config, &shared.endpoint))?;
        Ok(())
    }

    fn check(&self, new: &Configuration) -> Result<(), PeerConnectionError> {
        let state = self.handle.shared.lock();
        if let Some(reason) = state.session.failure().filter(|_| state.is_closed()) {
            return Err(reason.clone().into());
        }
        let has_description = state.session.gathering_state() != GatheringState::New;
        Ok(state.configuration.check_change(new, has_description)?)
    }
}

impl State {
    /// Takes a configuration that was found possible, with its servers.
    fn configure(
        &mut self,
        now: Instant,
        mut new: Configuration,
        config: ice::Config,
        endpoint: &EndpointShared,
    ) -> Result<(), ConfigurationError> {
        if !self.session.reconfigure_ice(now, config) {
            return Err(ConfigurationError::ForeignIce);
        }
        if new.certificates.is_empty() {
            new.certificates = std::mem::take(&mut self.configuration.certificates);
        }
        self.configuration = new;
        self.fill_pool(endpoint);
        Ok(())
    }

    /// Gathers candidates before there is a description, if there is to be a pool of them.
    pub(super) fn fill_pool(&mut self, endpoint: &EndpointShared) {
        let is_early = self.session.gathering_state() == GatheringState::New;
        if self.configuration.ice_candidate_pool_size > 0 && is_early {
            self.gather(endpoint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ice::TransportPolicy;
    use crate::peer_connection::configuration::ConfigurationError;
    use crate::peer_connection::ice_server::IceServer;

    #[tokio::test]
    async fn candidates_of_the_pool_are_there_before_any_description() {
        let candidates = |description: Option<crate::session::Description>| {
            description.unwrap().text().matches("a=candidate:").count()
        };
        for (size, expected) in [(0, false), (1, true)] {
            let configuration = Configuration { ice_candidate_pool_size: size, ..Configuration::default() };
            let builder = PeerConnection::builder().loopback(true).configuration(configuration);
            let connection = builder.build().await.unwrap();
            connection.create_data_channel("chat").unwrap();
            assert_eq!(connection.gathering_state(), GatheringState::New);
            let offer = connection.create_offer().unwrap();
            assert_eq!(candidates(Some(offer)), 0, "W3C: those of the pool are of the applied description");
            let state = connection.handle.shared.lock();
            assert_eq!(state.session.local_candidates().next().is_some(), expected);
        }
    }

    #[tokio::test]
    async fn a_configuration_is_changed_in_life() {
        let connection = PeerConnection::builder().loopback(true).build().await.unwrap();
        let mut configuration = connection.configuration();
        assert_eq!(configuration.certificates.len(), 1);
        configuration.ice_servers =
            vec![IceServer::new("turn:192.0.2.1").with_credentials("alice", "secret")];
        configuration.ice_transport_policy = TransportPolicy::Relay;
        connection.set_configuration(configuration.clone()).await.unwrap();
        assert_eq!(connection.configuration().ice_servers, configuration.ice_servers);
        // Nothing was gathered yet: it counts at once.
        connection.create_data_channel("chat").unwrap();
        connection.set_local_description(None).unwrap();
        let offer = connection.local_description().unwrap().text();
        assert!(!offer.contains("typ host"), "{offer}");
        configuration.ice_candidate_pool_size = 1;
        let error = connection.set_configuration(configuration.clone()).await.unwrap_err();
        assert!(matches!(error, PeerConnectionError::Configuration(ConfigurationError::CandidatePoolSize)));
        configuration.ice_servers = vec![IceServer::new("turn:192.0.2.1")];
        let error = connection.set_configuration(configuration.clone()).await.unwrap_err();
        assert!(matches!(error, PeerConnectionError::IceServer(_)));
        connection.close();
        configuration.ice_servers = Vec::new();
        assert!(connection.set_configuration(configuration).await.unwrap_err().failure().is_some());
    }
}
