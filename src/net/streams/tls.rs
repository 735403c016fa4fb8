//! TLS of streams.

#[cfg(feature = "tls")]
use std::io;
#[cfg(feature = "tls")]
use std::sync::Arc;

#[cfg(feature = "tls")]
use rustls::client::WebPkiServerVerifier;
#[cfg(feature = "tls")]
use rustls::client::danger::ServerCertVerifier;
#[cfg(all(feature = "tls", feature = "dtls"))]
use rustls::pki_types::UnixTime;
#[cfg(feature = "tls")]
use rustls::pki_types::{CertificateDer, ServerName};
#[cfg(feature = "tls")]
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;

use super::transport::Transport;

/// How servers prove who they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Tls {
    #[cfg(feature = "tls")]
    config: Option<TlsConfig>,
}

/// How the certificates of servers over TLS and DTLS are verified: a configuration of rustls, and its verifier by itself, for
/// DTLS, which rustls has not. Cheap to clone. [`tls_config`] makes one.
#[cfg(feature = "tls")]
#[derive(Clone, Debug)]
pub struct TlsConfig {
    client: Arc<ClientConfig>,
    #[cfg_attr(not(feature = "dtls"), expect(dead_code, reason = "for DTLS"))]
    verifier: Option<Arc<dyn ServerCertVerifier>>,
}

#[cfg(feature = "tls")]
impl TlsConfig {
    /// A configuration of one's own, and what verifies chains of certificates for DTLS, mostly the same as in it.
    pub fn new(client: Arc<ClientConfig>, verifier: Arc<dyn ServerCertVerifier>) -> Self {
        Self { client, verifier: Some(verifier) }
    }
}

#[cfg(feature = "tls")]
impl From<Arc<ClientConfig>> for TlsConfig {
    /// For TLS alone: servers over DTLS are told of as errors.
    fn from(client: Arc<ClientConfig>) -> Self {
        Self { client, verifier: None }
    }
}

#[cfg(not(feature = "tls"))]
impl Tls {
    pub(super) fn prepared(&mut self) -> Self {
        self.clone()
    }

    #[expect(clippy::unused_async, reason = "with TLS it waits")]
    pub(super) async fn handshake(self, _: TcpStream, name: &str) -> Result<Transport, String> {
        Err(format!("TLS to {name} is not compiled in; enable the feature tls"))
    }
}

#[cfg(feature = "tls")]
impl Tls {
    pub(super) fn set(&mut self, config: TlsConfig) {
        self.config = Some(config);
    }

    /// The same for one stream; the configuration by default is made once, when it is needed first.
    pub(super) fn prepared(&mut self) -> Self {
        if self.config.is_none() {
            self.config = tls_config([]).ok();
        }
        self.clone()
    }

    /// `name` is what the certificate of the server must be for; it is told to the server (SNI) unless it is an address.
    pub(super) async fn handshake(self, stream: TcpStream, name: &str) -> Result<Transport, String> {
        let config = self.config.ok_or("no provider of TLS is built in; enable the feature aws-lc-rs, or give a configuration of rustls with a provider of its own")?;
        let server = ServerName::try_from(name.to_owned())
            .map_err(|_| format!("\"{name}\" is no name that a certificate can be for"))?;
        match tokio_rustls::TlsConnector::from(config.client).connect(server, stream).await {
            Ok(stream) => Ok(Transport::Tls(Box::new(stream))),
            Err(error) => Err(explain(&error, name)),
        }
    }
}

#[cfg(all(feature = "tls", feature = "dtls"))]
impl Tls {
    /// What verifies the chain of a server with this name.
    pub(super) fn chain_verifier(
        &self,
        server: ServerName<'static>,
        name: &str,
    ) -> Result<crate::dtls::ChainVerifier, String> {
        let verifier = self.config.as_ref().and_then(|config| config.verifier.clone());
        let verifier = verifier
            .ok_or("no verifier of certificates for DTLS; make the configuration with TlsConfig::new")?;
        let name = name.to_owned();
        Ok(crate::dtls::ChainVerifier::new(move |chain| {
            let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(*der)).collect();
            let [end_entity, intermediates @ ..] = &chain[..] else {
                return Err(format!("{name} has no certificate"));
            };
            match verifier.verify_server_cert(end_entity, intermediates, &server, &[], UnixTime::now()) {
                Ok(_) => Ok(()),
                Err(rustls::Error::InvalidCertificate(cause)) => Err(explain_certificate(&cause, &name)),
                Err(error) => Err(format!("the certificate of {name} is not valid: {error}")),
            }
        }))
    }
}

/// A configuration that trusts the public authorities, those of Mozilla, and these roots: those of private authorities, or of
/// tests. For [`Streams::set_tls`](super::Streams::set_tls).
///
/// # Errors
/// What is wrong with a root, or that no provider of TLS is built in.
#[cfg(feature = "tls")]
pub fn tls_config<'a>(
    roots: impl IntoIterator<Item = CertificateDer<'a>>,
) -> Result<TlsConfig, rustls::Error> {
    let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for root in roots {
        store.add(root)?;
    }
    let provider = tls_provider()?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone()).build();
    let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_webpki_verifier(verifier.clone())
        .with_no_client_auth();
    Ok(TlsConfig::new(Arc::new(client), verifier))
}

#[cfg(all(feature = "tls", feature = "aws-lc-rs"))]
#[expect(clippy::unnecessary_wraps, reason = "without the feature there is none")]
fn tls_provider() -> Result<Arc<rustls::crypto::CryptoProvider>, rustls::Error> {
    Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

#[cfg(all(feature = "tls", not(feature = "aws-lc-rs")))]
fn tls_provider() -> Result<Arc<rustls::crypto::CryptoProvider>, rustls::Error> {
    Err(rustls::Error::General("no provider of TLS is built in; enable the feature aws-lc-rs".to_owned()))
}

/// Why there is no TLS, and what to do.
#[cfg(feature = "tls")]
fn explain(error: &io::Error, name: &str) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(cause)) => explain_certificate(cause, name),
        Some(rustls::Error::InvalidMessage(_)) => {
            format!("{name} does not speak TLS at this port; is it the one of turns:, 5349 by default?")
        }
        _ if error.kind() == io::ErrorKind::UnexpectedEof => {
            format!("{name} closed the connection during the handshake of TLS; is this its port of turns:?")
        }
        _ => format!("no TLS with {name}: {error}"),
    }
}

#[cfg(feature = "tls")]
fn explain_certificate(cause: &CertificateError, name: &str) -> String {
    match cause {
        CertificateError::UnknownIssuer => format!(
            "the certificate of {name} is of an authority that is not known here; have the server send its whole chain, or add the root of a private authority to the configuration of TLS"
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the certificate is not for {name}; write a name that it is for into the URL")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!(
                "the certificate of {name} has expired; have the server renew it, and look at the clock here"
            )
        }
        cause => format!("the certificate of {name} is not valid: {cause}"),
    }
}
