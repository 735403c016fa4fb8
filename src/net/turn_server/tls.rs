//! Certificates of a server that speaks TLS, and what of them serves DTLS.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

#[cfg(feature = "dtls")]
use crate::crypto::{CryptoProvider, PrivateKey};
#[cfg(feature = "dtls")]
use crate::dtls::Identity;

/// What a server shows over TLS, and over DTLS where it speaks that: its certificates and their key.
///
/// It holds a configuration of rustls, which [`from`](Self::from) takes as well, for those who want other versions, suites
/// or certificates by name.
#[derive(Clone)]
pub struct TlsIdentity {
    pub(super) tls: Arc<ServerConfig>,
    #[cfg(feature = "dtls")]
    dtls: Option<ForDtls>,
}

/// What there is to show over DTLS.
#[cfg(feature = "dtls")]
#[derive(Clone)]
enum ForDtls {
    /// The parts of the PEM files, which the crypto provider of a port is yet to take.
    Der(Arc<[Vec<u8>]>, PrivateKey),
    Identity(Identity),
}

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
    /// DTLS takes ECDSA keys on P-256 and P-384 alone.
    #[cfg(feature = "dtls")]
    #[error("nothing of it can be shown over DTLS, which takes ECDSA keys on P-256 and P-384: {0}")]
    Dtls(#[from] crate::layer::DtlsError),
    /// A configuration of rustls does not give its key away.
    #[cfg(feature = "dtls")]
    #[error("there is nothing in it for DTLS; give that by TlsIdentity::with_dtls")]
    NoDtls,
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
        #[cfg(feature = "dtls")]
        let dtls = private_key(&key)
            .map(|key| ForDtls::Der(chain.iter().map(|certificate| certificate.to_vec()).collect(), key));
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(Self {
            tls: Arc::new(builder.with_no_client_auth().with_single_cert(chain, key)?),
            #[cfg(feature = "dtls")]
            dtls,
        })
    }

    /// The same, and `identity` over DTLS.
    #[cfg(feature = "dtls")]
    #[must_use]
    pub fn with_dtls(mut self, identity: Identity) -> Self {
        self.dtls = Some(ForDtls::Identity(identity));
        self
    }

    /// What is shown over DTLS: what was given for it, or else the certificates and the key that were read from PEM.
    ///
    /// # Errors
    /// [`TlsIdentityError::Dtls`] if the key is not of a kind that DTLS takes, such as RSA, and
    /// [`TlsIdentityError::NoDtls`] for a configuration of rustls to which nothing was added.
    #[cfg(feature = "dtls")]
    pub fn for_dtls(&self, provider: &CryptoProvider) -> Result<Identity, TlsIdentityError> {
        match &self.dtls {
            Some(ForDtls::Identity(identity)) => Ok(identity.clone()),
            Some(ForDtls::Der(chain, key)) => Ok(Identity::from_der(provider, chain.to_vec(), key)?),
            None => Err(TlsIdentityError::NoDtls),
        }
    }
}

/// The key as crypto providers take it. One of RSA is handed on for them to refuse.
#[cfg(feature = "dtls")]
fn private_key(key: &PrivateKeyDer<'_>) -> Option<PrivateKey> {
    match key {
        PrivateKeyDer::Sec1(key) => Some(PrivateKey::from_sec1(key.secret_sec1_der())),
        other => Some(PrivateKey::from_pkcs8(other.secret_der())),
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
    fn from(tls: Arc<ServerConfig>) -> Self {
        Self {
            tls,
            #[cfg(feature = "dtls")]
            dtls: None,
        }
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsIdentity")
    }
}
