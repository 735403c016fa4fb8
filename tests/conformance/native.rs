//! This library's own layers, which fail nothing.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use kaon_rtc::conformance::{DtlsImplementation, Kit, Report, VirtualClock};
use kaon_rtc::dtls::{Connection, Identity, PeerVerification};
use kaon_rtc::layer::{
    DtlsError, DtlsRole, DtlsTransport, Fingerprint, FingerprintAlgorithm, IceTransport, MasterKey,
    SctpTransport, SrtpError, SrtpTransport,
};
use kaon_rtc::{dtls, ice, sctp, srtp};

#[cfg(feature = "aws-lc-rs")]
pub(crate) use kaon_rtc::crypto::aws_lc_rs::provider;
#[cfg(not(feature = "aws-lc-rs"))]
pub(crate) use kaon_rtc::crypto::rust_crypto::provider;

use crate::heap::Watched;

static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::generate(&provider()).unwrap());

pub(crate) fn make_srtp(local: &MasterKey, remote: &MasterKey) -> Result<Box<dyn SrtpTransport>, SrtpError> {
    Ok(Box::new(srtp::Context::new(&provider(), local, remote, srtp::Config::default())?))
}

pub(crate) fn make_dtls(
    role: DtlsRole,
    expected: &[Fingerprint],
) -> Result<Box<dyn DtlsTransport>, DtlsError> {
    let config = Arc::new(dtls::Config::new(provider(), IDENTITY.clone()));
    let verification = match expected {
        [] => PeerVerification::FingerprintsLater,
        expected => PeerVerification::Fingerprints(expected.to_vec()),
    };
    Ok(Box::new(match role {
        DtlsRole::Client => Connection::client(config, verification)?,
        DtlsRole::Server => Connection::server(config, verification)?,
    }))
}

pub(crate) fn fingerprint() -> &'static Fingerprint {
    IDENTITY.fingerprint(FingerprintAlgorithm::Sha256)
}

pub(crate) fn dtls() -> DtlsImplementation<'static> {
    DtlsImplementation { make: &make_dtls, fingerprint: fingerprint() }
}

pub(crate) fn make_sctp(local_port: u16, remote_port: u16) -> Box<dyn SctpTransport> {
    let mut config = sctp::Config::default();
    (config.local_port, config.remote_port) = (local_port, remote_port);
    Box::new(sctp::Association::new(config, &provider()))
}

pub(crate) fn make_ice(now: Instant) -> Box<dyn IceTransport> {
    Box::new(ice::Agent::new(now, provider(), ice::Config::default()))
}

/// Runs the kit on a virtual clock, and shows what came out.
pub(crate) fn on_virtual_time(run: impl FnOnce(Kit<'_>) -> Report) -> Report {
    let heap = Watched::new();
    let clock = VirtualClock::new(Instant::now());
    let report = run(Kit::new(&clock).with_heap(&heap));
    println!("{report}");
    report
}

#[test]
fn srtp() {
    on_virtual_time(|kit| kit.srtp(&make_srtp, &make_srtp)).check(&[]).unwrap();
}

#[test]
fn dtls_layer() {
    on_virtual_time(|kit| kit.dtls(&dtls(), &dtls())).check(&[]).unwrap();
}

#[test]
fn sctp() {
    on_virtual_time(|kit| kit.sctp(&make_sctp, &make_sctp)).check(&[]).unwrap();
}

#[test]
fn ice() {
    on_virtual_time(|kit| kit.ice(&make_ice, &make_ice)).check(&[]).unwrap();
}
