//! The task in which the crate shakes hands, and what it leaves where the caller finds it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::dtls::Error;
use ::dtls::cipher_suite::CipherSuite;
use ::dtls::config::{ClientAuthType, Config, ExtendedMasterSecretType};
use ::dtls::conn::DTLSConn;
use zeroize::Zeroizing;

use super::config::DtlsConfig;
use super::identity::verify;
use super::protection::{Secrets, suite};
use crate::adapters::webrtc_rs::pipe::Pipe;
use crate::layer::{DtlsError, Fingerprint, SrtpProfile};

/// What task and caller share.
#[derive(Default)]
pub(super) struct Shared(Mutex<State>);

#[derive(Default)]
pub(super) struct State {
    /// The fingerprints of the peer, once they are known.
    pub(super) announced: Option<Vec<Fingerprint>>,
    /// Why the peer's certificate was refused.
    pub(super) refusal: Option<DtlsError>,
    /// How the handshake ended; otherwise why, by the crate's words.
    pub(super) outcome: Option<Result<Completed, &'static str>>,
}

/// A handshake that the crate is content with; whether the peer is who it should be has yet to be seen.
pub(super) struct Completed {
    pub(super) secrets: Secrets,
    /// Empty if there was none.
    pub(super) certificate: Vec<u8>,
    pub(super) srtp_profile: Option<SrtpProfile>,
}

impl Shared {
    /// The state, never locked over an await.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the crate to refuse a certificate while it still can say so to the peer. Where the fingerprints come
    /// later, nothing is refused yet: the caller compares again.
    fn judge(&self, certificates: &[Vec<u8>]) -> Result<(), Error> {
        let mut state = self.state();
        let certificate = certificates.first().map(Vec::as_slice).unwrap_or_default();
        match state.announced.as_deref().map(|announced| verify(announced, certificate)) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(refusal)) => {
                state.refusal = Some(refusal);
                Err(Error::ErrInvalidCertificate)
            }
        }
    }
}

/// The crate's configuration, without what it would verify by: it knows chains of certificates and no fingerprints.
pub(super) fn config(config: &DtlsConfig, shared: &Arc<Shared>) -> Config {
    /// The headers of record and message, which the crate leaves out of account, and protection.
    const UNCOUNTED: usize = 13 + 12 + 24;
    let shared = shared.clone();
    Config {
        certificates: vec![config.identity.for_crate()],
        cipher_suites: vec![suite().id()],
        srtp_protection_profiles: config.srtp_profiles.iter().map(|profile| profile.id().into()).collect(),
        client_auth: ClientAuthType::RequireAnyClientCert,
        // The crate does not compare the client's Finished with the transcript: only this binds the keys to it
        // (RFC 7627 §5.1).
        extended_master_secret: ExtendedMasterSecretType::Require,
        flight_interval: config.retransmission_interval,
        insecure_skip_verify: true,
        verify_peer_certificate: Some(Arc::new(move |certificates: &[Vec<u8>], _: &[_]| {
            shared.judge(certificates)
        })),
        // The crate would take the address for a name, which RFC 6066 §3 forbids.
        server_name: "localhost".to_owned(),
        mtu: config.mtu - UNCOUNTED,
        ..Config::default()
    }
}

/// Ends with the tasks of the crate when it is aborted: they end when the crate's connection is dropped.
pub(super) async fn run(pipe: Arc<Pipe>, config: Config, is_client: bool, shared: Arc<Shared>) {
    let outcome = perform(pipe, config, is_client).await;
    shared.state().outcome = Some(outcome);
}

async fn perform(pipe: Arc<Pipe>, config: Config, is_client: bool) -> Result<Completed, &'static str> {
    let connection = DTLSConn::new(pipe, config, is_client, None).await.map_err(|error| reason(&error))?;
    let srtp_profile = SrtpProfile::from_id(connection.selected_srtpprotection_profile() as u16);
    let mut state = connection.connection_state().await;
    let data = state.key_log_data().map_err(|error| reason(&error))?;
    let (client_random, server_random) = match is_client {
        true => (data.local_random, data.remote_random),
        false => (data.remote_random, data.local_random),
    };
    let secrets =
        Secrets { master: Zeroizing::new(data.master_secret), client_random, server_random, is_client };
    let certificate = match state.peer_certificates.is_empty() {
        true => Vec::new(),
        false => state.peer_certificates.swap_remove(0),
    };
    Ok(Completed { secrets, certificate, srtp_profile })
}

fn reason(error: &Error) -> &'static str {
    match error {
        Error::ErrAlertFatalOrClose => "the crate dtls gave up",
        Error::ErrCipherSuiteNoIntersection | Error::ErrInvalidCipherSuite => {
            "the peer does not take TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
        }
        Error::ErrClientCertificateRequired | Error::ErrCertificateVerifyNoCertificate => {
            "the peer has no certificate, but a fingerprint was announced"
        }
        Error::ErrClientNoMatchingSrtpProfile | Error::ErrServerNoMatchingSrtpProfile => {
            "no SRTP protection profile in common"
        }
        Error::ErrRequestedButNoSrtpExtension => "the peer does not agree on an SRTP protection profile",
        Error::ErrClientRequiredButNoServerEms | Error::ErrServerRequiredButNoClientEms => {
            "the peer has no extended master secret"
        }
        Error::ErrInvalidCertificate => "the peer's certificate was refused",
        Error::ErrInvalidNamedCurve | Error::ErrNoSupportedEllipticCurves => "no group in common",
        Error::ErrKeySignatureMismatch => "the peer's signature does not verify",
        Error::ErrNoAvailableSignatureSchemes => "no signature scheme in common",
        Error::ErrUnsupportedProtocolVersion => "the peer does not speak DTLS 1.2",
        Error::ErrVerifyDataMismatch => "the peer's Finished does not fit the handshake",
        _ => "the crate dtls refused a message of the peer",
    }
}
