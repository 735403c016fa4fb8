//! The webrtc-rs crates, against themselves and against this library's layers in both places.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use kaon_rtc::adapters::webrtc_rs::{
    DtlsConfig, DtlsConnection, DtlsIdentity, IceAgent, IceConfig, SctpAssociation, SctpConfig, SrtpConfig,
    SrtpContext,
};
use kaon_rtc::conformance::{Clock, DtlsImplementation, Kit, KnownFailure, Report};
use kaon_rtc::ice;
use kaon_rtc::layer::{
    DtlsError, DtlsRole, DtlsTransport, Fingerprint, FingerprintAlgorithm, IceTransport, MasterKey,
    SctpTransport, SrtpError, SrtpTransport,
};
use tokio::runtime::Runtime;

use crate::heap::{Watched, unwatched};
use crate::native::{dtls, make_sctp, make_srtp, on_virtual_time, provider};

/// The clock of the crates.
struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wait_until(&self, instant: Instant) {
        std::thread::sleep(instant.saturating_duration_since(Instant::now()));
    }
}

/// Takes a minute and a half, so that several run at a time; `tests/mix` watches the heap.
fn in_real_time(run: impl FnOnce(Kit<'_>) -> Report) -> Report {
    let _others_may_run = unwatched();
    // Time is real here: one scenario may be enough.
    let only = std::env::var("KAON_SCENARIO").unwrap_or_default();
    let report = run(Kit::new(&RealClock).with_seeds(1).only(&only));
    println!("{report}");
    report
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

fn webrtc_srtp(local: &MasterKey, remote: &MasterKey) -> Result<Box<dyn SrtpTransport>, SrtpError> {
    Ok(Box::new(SrtpContext::new(local, remote, SrtpConfig::default())?))
}

#[test]
fn srtp_alone() {
    on_virtual_time(|kit| kit.srtp(&webrtc_srtp, &webrtc_srtp)).check(&[]).unwrap();
}

#[test]
fn srtp_with_the_native() {
    on_virtual_time(|kit| kit.srtp(&webrtc_srtp, &make_srtp)).check(&[]).unwrap();
    on_virtual_time(|kit| kit.srtp(&make_srtp, &webrtc_srtp)).check(&[]).unwrap();
}

static IDENTITY: LazyLock<DtlsIdentity> = LazyLock::new(|| DtlsIdentity::generate().unwrap());

fn make_webrtc_dtls(role: DtlsRole, peer: &[Fingerprint]) -> Result<Box<dyn DtlsTransport>, DtlsError> {
    let mut config = DtlsConfig::new(IDENTITY.clone());
    // Time is real: one scenario waits for it.
    config.handshake_timeout = Duration::from_secs(20);
    Ok(Box::new(DtlsConnection::new(role, peer, config, RUNTIME.handle().clone())?))
}

fn webrtc_dtls() -> DtlsImplementation<'static> {
    DtlsImplementation {
        make: &make_webrtc_dtls,
        fingerprint: IDENTITY.fingerprint(FingerprintAlgorithm::Sha256),
    }
}

#[test]
fn dtls_alone() {
    in_real_time(|kit| kit.dtls(&webrtc_dtls(), &webrtc_dtls())).check(&[]).unwrap();
}

#[test]
fn dtls_with_the_native() {
    in_real_time(|kit| kit.dtls(&webrtc_dtls(), &dtls())).check(&[]).unwrap();
    in_real_time(|kit| kit.dtls(&dtls(), &webrtc_dtls())).check(&[]).unwrap();
}

/// Quick enough to have the heap for itself.
#[test]
fn dtls_leaves_nothing() {
    let heap = Watched::new();
    for only in ["drop", "idle-poll"] {
        let kit = Kit::new(&RealClock).with_seeds(1).with_heap(&heap).only(only);
        let report = kit.dtls(&webrtc_dtls(), &webrtc_dtls());
        println!("{report}");
        report.check(&[]).unwrap();
    }
}

fn webrtc_sctp(local_port: u16, remote_port: u16) -> Box<dyn SctpTransport> {
    let mut config = SctpConfig::default();
    (config.local_port, config.remote_port) = (local_port, remote_port);
    Box::new(SctpAssociation::new(config, RUNTIME.handle().clone()))
}

const fn fails(scenario: &'static str, reason: &'static str) -> KnownFailure {
    KnownFailure { scenario, reason }
}

const SCTP_FAILS: [KnownFailure; 4] = [
    fails("messages/unordered", "the crate does not tell how a message was sent"),
    fails(
        "partial-reliability",
        "it is a property of the stream: the message that is sent after another decides for both",
    ),
    fails(
        "restart/stream",
        "a reset ends both directions, so that what the peer sends before it resets its own is lost",
    ),
    fails(
        "timer/none-when-idle",
        "the crate tells nobody when it has something to send, so that it is asked",
    ),
];

#[test]
fn sctp_alone() {
    in_real_time(|kit| kit.sctp(&webrtc_sctp, &webrtc_sctp)).check(&SCTP_FAILS).unwrap();
}

#[test]
fn sctp_with_the_native() {
    in_real_time(|kit| kit.sctp(&webrtc_sctp, &make_sctp)).check(&SCTP_FAILS).unwrap();
}

/// Consent, and then the pair, is lost after this time, so that the scenario does not take a minute.
const CONSENT: Duration = Duration::from_secs(12);

fn webrtc_ice(_: Instant) -> Box<dyn IceTransport> {
    let mut config = IceConfig::default();
    config.consent_timeout = CONSENT;
    Box::new(IceAgent::new(config, RUNTIME.handle().clone()).unwrap())
}

fn native_ice(now: Instant) -> Box<dyn IceTransport> {
    let mut config = ice::Config::default();
    config.consent_timeout = CONSENT;
    Box::new(ice::Agent::new(now, provider(), config))
}

#[test]
fn ice_alone() {
    in_real_time(|kit| kit.ice(&webrtc_ice, &webrtc_ice)).check(&[]).unwrap();
}

#[test]
fn ice_with_the_native() {
    in_real_time(|kit| kit.ice(&webrtc_ice, &native_ice)).check(&[]).unwrap();
}

#[test]
fn the_native_with_ice() {
    in_real_time(|kit| kit.ice(&native_ice, &webrtc_ice)).check(&[]).unwrap();
}
