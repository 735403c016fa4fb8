//! Which layers of a connection are of the webrtc-rs crates.

use std::sync::Arc;

use kaon_rtc::adapters::webrtc_rs::{
    DtlsConfig, DtlsConnection, DtlsIdentity, IceAgent, IceConfig, SctpAssociation, SctpConfig, SrtpConfig,
    SrtpContext,
};
use kaon_rtc::crypto::aws_lc_rs::provider;
use kaon_rtc::dtls::Identity;
use kaon_rtc::layer::FingerprintAlgorithm;
use kaon_rtc::session::Transports;
use kaon_rtc::{ice, sctp};
use tokio::runtime::Handle;

/// A layer each; the others are this library's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign {
    ice: bool,
    dtls: bool,
    srtp: bool,
    sctp: bool,
}

impl Foreign {
    /// All sixteen combinations, that of this library's layers alone first and that of the crates alone last.
    pub(crate) fn combinations() -> impl Iterator<Item = Self> {
        (0..16_u8).map(|layers| {
            let [ice, dtls, srtp, sctp] = [1, 2, 4, 8].map(|layer| layers & layer != 0);
            Self { ice, dtls, srtp, sctp }
        })
    }

    /// Inside of a tokio runtime, on which the tasks of the crates run.
    pub(crate) fn transports(self) -> Transports {
        let identity = Identity::generate(&provider()).unwrap();
        let mut transports =
            Transports::native(&provider(), identity, ice::Config::default(), sctp::Config::default());
        let runtime = Handle::current();
        if self.ice {
            let runtime = runtime.clone();
            transports.ice = Arc::new(move |_| {
                let agent = IceAgent::new(IceConfig::default(), runtime.clone());
                Box::new(agent.expect("no servers are configured"))
            });
        }
        if self.dtls {
            let (runtime, config) = (runtime.clone(), DtlsConfig::new(DtlsIdentity::generate().unwrap()));
            transports.fingerprints = vec![config.identity.fingerprint(FingerprintAlgorithm::Sha256).clone()];
            transports.dtls = Arc::new(move |role, peer| {
                Ok(Box::new(DtlsConnection::new(role, peer, config.clone(), runtime.clone())?))
            });
        }
        if self.srtp {
            transports.srtp = Arc::new(|local, remote| {
                Ok(Box::new(SrtpContext::new(local, remote, SrtpConfig::default())?))
            });
        }
        if self.sctp {
            transports.sctp = Arc::new(move |local_port, remote_port| {
                let mut config = SctpConfig::default();
                (config.local_port, config.remote_port) = (local_port, remote_port);
                Box::new(SctpAssociation::new(config, runtime.clone()))
            });
        }
        transports
    }
}
