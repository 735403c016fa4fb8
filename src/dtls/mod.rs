//! DTLS 1.2 (RFC 6347): client and server, authenticated by the fingerprints of self-signed certificates.
//!
//! A [`Connection`] is one association over one path, sans-IO. It is what WebRTC runs over ICE: the ciphers,
//! the groups, `use_srtp` (RFC 5764), the extended master secret (RFC 7627) and the exporter (RFC 5705) that
//! WebRTC needs. A [`Listener`] is a server that stands alone on a port: it verifies addresses by stateless
//! cookies and makes a connection for each client. An [`Identity`] is the certificate and its key, and a
//! [`Config`] what connections share.
//!
//! Deliberately absent: renegotiation (refused, RFC 9325 §3.5), session resumption and tickets,
//! compression, static RSA and CBC suites, ALPN and server names, DTLS 1.0. A client that offers DTLS 1.3 is
//! answered in 1.2.
//!
//! # Who can end a connection
//!
//! Records that do not authenticate, are replayed, malformed or of another epoch are counted in [`Stats`] and
//! change nothing. During the handshake nothing protects alerts: a plaintext fatal alert is noted, and ends
//! the handshake only if the peer stays silent for a round of retransmission too. Once the handshake is
//! complete, only protected records are looked at.
//!
//! # Example
//!
//! [`Connection`] has a whole handshake.
//!
#![cfg_attr(feature = "aws-lc-rs", doc = "```")]
#![cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
//! use std::sync::Arc;
//!
//! use kaon_rtc::crypto::aws_lc_rs;
//! use kaon_rtc::dtls::{Config, Connection, FingerprintAlgorithm, Identity, PeerVerification};
//!
//! /// The answerer's side, as it stands in a description: `a=setup:active`, and this `a=fingerprint`.
//! fn client(fingerprint_of_peer: &str) -> Result<(Connection, String), Box<dyn std::error::Error>> {
//!     let provider = aws_lc_rs::provider();
//!     let identity = Identity::generate(&provider)?;
//!     let ours = identity.fingerprint(FingerprintAlgorithm::Sha256).to_string();
//!     let theirs = PeerVerification::Fingerprints(vec![fingerprint_of_peer.parse()?]);
//!     Ok((Connection::client(Arc::new(Config::new(provider, identity)), theirs)?, ours))
//! }
//! ```

mod alert;
mod certificate;
mod channel;
mod cipher_suite;
mod config;
mod connection;
mod early;
mod failure;
mod flight;
mod handshake;
mod handshaking;
mod identity;
mod listener;
mod peer_authentication;
mod record;
mod rejection;
mod stats;
mod v12;
mod wire;

pub use certificate::{CertificateParams, Validity};
pub use cipher_suite::CipherSuite;
pub use config::{ClientAuthentication, Config};
pub use connection::Connection;
pub use identity::Identity;
pub use listener::{Listener, ListenerConfig, ListenerEvent};
pub use peer_authentication::{ChainVerifier, PeerVerification};
pub use stats::Stats;

pub use crate::layer::{
    DtlsError, DtlsEvent, DtlsRole, DtlsTransport, Fingerprint, FingerprintAlgorithm, ParseFingerprintError,
    SrtpKeyingMaterial, SrtpProfile,
};

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod test_provider;
