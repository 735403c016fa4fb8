//! Certificates of a server that speaks TLS.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// What a server shows over TLS: its certificates and their key.
///
/// It holds a configuration of rustls, which [`from`](Self::from) takes as well, for those who want other versions, suites
/// or certificates by name.
#[derive(Clone)]
pub struct TlsIdentity(pub(super) Arc<ServerConfig>);

/// Why there is nothing to show over TLS.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsIdentityError {
    /// The certificates.
    #[error("the certificates are no PEM: {0}")]
    Certificates(pem::Error),
    /// There is no certificate.
    #[error("there is no certificate in it; PEM has BEGIN CERTIFICATE")]
    NoCertificate,
    /// The key.
    #[error("the private key is no PEM: {0}")]
    Key(pem::Error),
    /// The key is not that of the first certificate, or of a kind that is not known.
    #[error("the certificate and the key: {0}")]
    Rejected(#[from] rustls::Error),
    /// There is no crypto provider for TLS.
    #[error("no crypto provider for TLS is built in; give a configuration of rustls")]
    NoProvider,
}

impl TlsIdentity {
    /// Reads a chain of certificates, that of the server first, and their private key (PKCS #8, PKCS #1 or SEC1), both in
    /// PEM, as certificate authorities give them.
    ///
    /// # Errors
    /// [`TlsIdentityError`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsIdentityError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
        let chain = chain.map_err(TlsIdentityError::Certificates)?;
        if chain.is_empty() {
            return Err(TlsIdentityError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsIdentityError::Key)?;
        let provider = provider().ok_or(TlsIdentityError::NoProvider)?;
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(Self(Arc::new(builder.with_no_client_auth().with_single_cert(chain, key)?)))
    }
}

#[cfg(feature = "aws-lc-rs")]
fn provider() -> Option<Arc<rustls::crypto::CryptoProvider>> {
    Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

#[cfg(not(feature = "aws-lc-rs"))]
fn provider() -> Option<Arc<rustls::crypto::CryptoProvider>> {
    rustls::crypto::CryptoProvider::get_default().cloned()
}

impl From<Arc<ServerConfig>> for TlsIdentity {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self(config)
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsIdentity")
    }
}
