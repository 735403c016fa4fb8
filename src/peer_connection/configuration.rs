//! What a connection is configured with, as the W3C has it: `RTCConfiguration`.

use thiserror::Error;

use super::ice_server::{IceServer, IceServerError, UnresolvedServer};
use crate::dtls::Identity;
use crate::ice::TransportPolicy;
use crate::layer::FingerprintAlgorithm;

/// The configuration of a connection (W3C `RTCConfiguration`): for
/// [`PeerConnectionBuilder::configuration`](super::PeerConnectionBuilder::configuration), and to change in life by
/// [`PeerConnection::set_configuration`](super::PeerConnection::set_configuration).
///
/// `rtcpMuxPolicy` has one value since it cannot be negotiated otherwise here: RTCP shares the port of RTP.
///
/// ```
/// use kaon_rtc::peer_connection::{Configuration, IceServer, PeerConnection, TransportPolicy};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let mut configuration = Configuration::default();
/// configuration.ice_servers = vec![IceServer::new("stun:198.51.100.7")];
/// configuration.ice_candidate_pool_size = 1;
/// let connection = PeerConnection::builder().configuration(configuration).build().await?;
///
/// // New credentials, for the next gathering.
/// let mut configuration = connection.configuration();
/// configuration.ice_servers = vec![IceServer::new("turn:198.51.100.7").with_credentials("alice", "secret")];
/// configuration.ice_transport_policy = TransportPolicy::Relay;
/// connection.set_configuration(configuration).await?;
/// connection.restart_ice();
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Configuration {
    /// STUN and TURN servers.
    pub ice_servers: Vec<IceServer>,
    /// Which candidates are used.
    pub ice_transport_policy: TransportPolicy,
    /// How media sections share transports.
    pub bundle_policy: BundlePolicy,
    /// How many transports gather candidates before there is a description, so that it has them at once. A connection has
    /// one transport, so 0, the default, gathers with the first description, and any other number from the beginning.
    pub ice_candidate_pool_size: u8,
    /// The certificates; the first is used. A new one is made if there is none.
    pub certificates: Vec<Identity>,
}

/// How media sections share transports (W3C `RTCBundlePolicy`). Whatever it says, a connection has one transport: it offers
/// all sections in one group. What differs is what the W3C has for peers that know no groups, of which a connection takes
/// the first section that it can and rejects the others, as `MaxBundle` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum BundlePolicy {
    /// One transport for each kind of media towards a peer without groups; here, one for all.
    #[default]
    Balanced,
    /// One transport for each section towards a peer without groups; here, one for all.
    MaxCompat,
    /// One transport for all.
    MaxBundle,
}

/// Why a configuration cannot be set in the place of another (W3C `InvalidModificationError`).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// The bundle policy is that of the beginning.
    #[error("the bundle policy of a connection cannot change; make another connection")]
    BundlePolicy,
    /// The certificates are those of the beginning.
    #[error("the certificates of a connection cannot change; leave them as they are, or empty")]
    Certificates,
    /// There is a description already, and what was gathered for it.
    #[error("the size of the candidate pool cannot change once there is a local description")]
    CandidatePoolSize,
    /// Another implementation of ICE takes its servers from elsewhere.
    #[error("this implementation of ICE takes no servers while it runs")]
    ForeignIce,
}

impl Configuration {
    /// The servers, to be resolved.
    pub(super) fn unresolved(&self) -> Result<Vec<UnresolvedServer>, IceServerError> {
        let mut servers = Vec::new();
        for server in &self.ice_servers {
            servers.extend(UnresolvedServer::all_of(server)?);
        }
        Ok(servers)
    }

    /// W3C WebRTC §4.4.1.6: what may not change. `has_description`: this side has one already.
    pub(super) fn check_change(&self, new: &Self, has_description: bool) -> Result<(), ConfigurationError> {
        let fingerprints = |configuration: &Self| -> Vec<_> {
            let certificates = configuration.certificates.iter();
            certificates
                .map(|certificate| certificate.fingerprint(FingerprintAlgorithm::Sha256).clone())
                .collect()
        };
        if !new.certificates.is_empty() && fingerprints(new) != fingerprints(self) {
            return Err(ConfigurationError::Certificates);
        }
        if new.bundle_policy != self.bundle_policy {
            return Err(ConfigurationError::BundlePolicy);
        }
        if new.ice_candidate_pool_size != self.ice_candidate_pool_size && has_description {
            return Err(ConfigurationError::CandidatePoolSize);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::default_provider;

    #[test]
    fn what_may_not_change_is_refused() {
        let provider = default_provider().unwrap();
        let (ours, other) = (Identity::generate(&provider).unwrap(), Identity::generate(&provider).unwrap());
        let old = Configuration { certificates: vec![ours.clone()], ..Configuration::default() };
        let same = Configuration { ice_servers: vec![IceServer::new("stun:192.0.2.1")], ..old.clone() };
        assert_eq!(old.check_change(&same, true), Ok(()));
        assert_eq!(old.check_change(&Configuration::default(), true), Ok(()), "none given, none changed");
        for certificates in [vec![other.clone()], vec![ours.clone(), other]] {
            let new = Configuration { certificates, ..old.clone() };
            assert_eq!(old.check_change(&new, false), Err(ConfigurationError::Certificates));
        }
        let bundle = Configuration { bundle_policy: BundlePolicy::MaxBundle, ..old.clone() };
        assert_eq!(old.check_change(&bundle, false), Err(ConfigurationError::BundlePolicy));
        let pool = Configuration { ice_candidate_pool_size: 2, ..old.clone() };
        assert_eq!(old.check_change(&pool, false), Ok(()));
        assert_eq!(old.check_change(&pool, true), Err(ConfigurationError::CandidatePoolSize));
    }
}
