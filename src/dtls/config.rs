//! The configuration of connections.

use std::time::Duration;

use super::cipher_suite::{Authentication, CipherSuite};
use super::handshake::ReassemblyLimits;
use super::identity::Identity;
use crate::crypto::{CryptoProvider, NamedGroup};
use crate::layer::{DtlsError, DtlsRole, SrtpProfile};

/// How connections are made: what is offered, how long is waited, how much is held. Shared by any number of
/// connections in an `Arc`.
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use std::time::Duration;
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::dtls::{Config, Identity};
///
/// let provider = aws_lc_rs::provider();
/// let mut config = Config::new(provider.clone(), Identity::generate(&provider)?);
/// config.initial_retransmission_timeout = Duration::from_millis(100);
/// # Ok::<(), kaon_rtc::dtls::DtlsError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The source of all cryptography.
    pub provider: CryptoProvider,
    /// The own certificate. A server needs one; a client without one can only reach servers that do not
    /// insist on it.
    pub identity: Option<Identity>,
    /// The suites that are offered or taken, the preferred first; a server chooses by its own preference.
    pub cipher_suites: Vec<CipherSuite>,
    /// The groups for key exchange, the preferred first.
    pub groups: Vec<NamedGroup>,
    /// The SRTP protection profiles for `use_srtp` (RFC 5764), the preferred first; none turns the
    /// extension off.
    pub srtp_profiles: Vec<SrtpProfile>,
    /// The name that a client tells the server that it wants (SNI, RFC 6066 §3). None by default; an address is no name.
    pub server_name: Option<String>,
    /// Whether a server asks for the client's certificate. WebRTC requires it.
    pub client_authentication: ClientAuthentication,
    /// Whether a peer without the extended master secret (RFC 7627) is refused. On by default; without it
    /// exported keying material is not bound to the handshake.
    pub require_extended_master_secret: bool,
    /// Whether a server [`Connection`](super::Connection) asks for a cookie (RFC 6347 §4.2.1). Off by
    /// default: after ICE the address of the client is known to be its own. A
    /// [`Listener`](super::Listener) always asks, without state.
    pub cookie_exchange: bool,

    /// How long the first answer to a flight is awaited before the flight is sent again; doubled each time.
    ///
    /// 250 ms by default. RFC 6347 §4.2.4.1 suggests 1 s for paths of which nothing is known and lets
    /// time-sensitive applications take less: a set-up that loses one datagram should not take a second
    /// longer, flights are a few datagrams only, and the doubling soon reaches the round-trip time of any
    /// path. An application that knows the round-trip time, as one does after ICE, should set about twice
    /// that, but not less than 50 ms.
    pub initial_retransmission_timeout: Duration,
    /// What the doubling ends at. 4 s by default, where RFC 6347 §4.2.4.1 suggests 60 s: with a third of the
    /// datagrams lost, doubling on to 60 s leaves so few attempts within the handshake timeout that one
    /// handshake in 200 fails, and a flight every four seconds burdens no path.
    pub max_retransmission_timeout: Duration,
    /// How often one flight is sent again before the handshake is given up. 20 by default. From the third time
    /// on it goes in datagrams of at most 512 bytes, since it may be too large for the path (RFC 6347
    /// §4.1.1.1).
    pub max_retransmissions: u32,
    /// How long the whole handshake may take, from its first message on. 60 s by default.
    pub handshake_timeout: Duration,

    /// The longest handshake message that is taken, in bytes. 16 KiB by default, room for a long chain of
    /// certificates.
    pub max_handshake_message: usize,
    /// How many handshake messages are collected at once when they arrive out of order. 8 by default, more
    /// than any flight has.
    pub max_messages_ahead: usize,
    /// The bytes of incomplete handshake messages that are held. 32 KiB by default.
    pub max_reassembly_bytes: usize,
    /// The separate pieces of incomplete handshake messages that are held. 128 by default.
    pub max_reassembly_pieces: usize,
    /// The records that are held because they arrived before their keys. 8 by default; further ones are
    /// dropped, as if lost.
    pub max_early_records: usize,
    /// The bytes of such records. 8 KiB by default.
    pub max_early_bytes: usize,
    /// The bytes of application data, 64 for each piece included, that wait in
    /// [`DtlsEvent::ApplicationData`](super::DtlsEvent) for the application. 256 KiB by default; further
    /// data is dropped, as if lost.
    pub max_queued_application_data: usize,
}

impl Config {
    /// The configuration for WebRTC with this identity.
    pub fn new(provider: CryptoProvider, identity: Identity) -> Self {
        Self { identity: Some(identity), ..Self::anonymous(provider) }
    }

    /// The configuration of a client without a certificate.
    pub fn anonymous(provider: CryptoProvider) -> Self {
        Self {
            groups: provider.key_exchanges.groups().to_vec(),
            provider,
            identity: None,
            cipher_suites: CipherSuite::ALL.to_vec(),
            srtp_profiles: SrtpProfile::ALL.to_vec(),
            server_name: None,
            client_authentication: ClientAuthentication::Required,
            require_extended_master_secret: true,
            cookie_exchange: false,
            initial_retransmission_timeout: Duration::from_millis(250),
            max_retransmission_timeout: Duration::from_secs(4),
            max_retransmissions: 20,
            handshake_timeout: Duration::from_secs(60),
            max_handshake_message: 16 * 1024,
            max_messages_ahead: 8,
            max_reassembly_bytes: 32 * 1024,
            max_reassembly_pieces: 128,
            max_early_records: 8,
            max_early_bytes: 8 * 1024,
            max_queued_application_data: 256 * 1024,
        }
    }

    /// Finds what cannot work before the peer does.
    pub(crate) fn check(&self, role: DtlsRole) -> Result<(), DtlsError> {
        let provided = self.provider.key_exchanges.groups();
        if self.groups.is_empty() || self.groups.iter().any(|group| !provided.contains(group)) {
            return Err(DtlsError::Config("groups must be some of those that the crypto provider has"));
        }
        let usable = |suite: &&CipherSuite| {
            role == DtlsRole::Client || suite.authentication() == Authentication::Ecdsa
        };
        if !self.cipher_suites.iter().any(|suite| usable(&suite)) {
            return Err(DtlsError::Config("cipher_suites hold none that this role can use"));
        }
        if role == DtlsRole::Server && self.identity.is_none() {
            return Err(DtlsError::Config("a server needs an identity"));
        }
        if self.initial_retransmission_timeout.is_zero() {
            return Err(DtlsError::Config("initial_retransmission_timeout must not be zero"));
        }
        if self.max_messages_ahead == 0 {
            return Err(DtlsError::Config("max_messages_ahead must not be zero"));
        }
        Ok(())
    }

    pub(crate) fn reassembly_limits(&self) -> ReassemblyLimits {
        ReassemblyLimits {
            message: self.max_handshake_message,
            messages: self.max_messages_ahead,
            bytes: self.max_reassembly_bytes,
            pieces: self.max_reassembly_pieces,
        }
    }
}

/// Whether a server asks for the client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// It asks, and ends the handshake if there is none.
    Required,
    /// It asks, and goes on without one.
    Requested,
    /// It does not ask.
    None,
}
