//! Which implementations a session is made of.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::crypto::CryptoProvider;
use crate::dtls::{self, Identity, PeerVerification};
use crate::layer::{
    DtlsError, DtlsRole, DtlsTransport, Fingerprint, FingerprintAlgorithm, IceTransport, MasterKey,
    SctpTransport, SrtpError, SrtpTransport,
};
use crate::{ice, sctp, srtp};

/// Makes an ICE agent; `now` is where its clocks begin.
pub type MakeIce = dyn Fn(Instant) -> Box<dyn IceTransport> + Send + Sync;
/// Makes a DTLS connection that accepts a peer with one of these fingerprints only.
pub type MakeDtls =
    dyn Fn(DtlsRole, &[Fingerprint]) -> Result<Box<dyn DtlsTransport>, DtlsError> + Send + Sync;
/// Makes an SRTP context that protects with the first key and unprotects with the second.
pub type MakeSrtp = dyn Fn(&MasterKey, &MasterKey) -> Result<Box<dyn SrtpTransport>, SrtpError> + Send + Sync;
/// Makes an SCTP association between the local and the remote port.
pub type MakeSctp = dyn Fn(u16, u16) -> Box<dyn SctpTransport> + Send + Sync;

/// The four layers that a session puts together, each as a function that makes one.
///
/// [`Transports::native`] are this library's own. An application that has another implementation of one of the
/// traits in [`layer`](crate::layer) replaces the function; any mix works. Cheap to clone, to be shared by many
/// sessions.
#[derive(Clone)]
#[non_exhaustive]
pub struct Transports {
    /// Makes the ICE agent.
    pub ice: Arc<MakeIce>,
    /// Makes the DTLS connection.
    pub dtls: Arc<MakeDtls>,
    /// The fingerprints of the certificate that it has, to be announced to the peer.
    pub fingerprints: Vec<Fingerprint>,
    /// Makes the SRTP context.
    pub srtp: Arc<MakeSrtp>,
    /// Makes the SCTP association.
    pub sctp: Arc<MakeSctp>,
    native: Arc<Native>,
}

/// The configurations of this library's own layers.
#[derive(Clone)]
struct Native {
    provider: CryptoProvider,
    ice: ice::Config,
    dtls: dtls::Config,
    srtp: srtp::Config,
    sctp: sctp::Config,
    accepts_any_certificate: bool,
}

impl Transports {
    /// This library's layers, with their configurations. Those of DTLS and SRTP are the defaults with
    /// `identity`; SCTP runs with the zero checksum, because DTLS protects its packets.
    pub fn native(
        provider: &CryptoProvider,
        identity: Identity,
        ice: ice::Config,
        sctp: sctp::Config,
    ) -> Self {
        let mut dtls = dtls::Config::new(provider.clone(), identity);
        // The session knows when the peer is there to answer, and ends what takes too long from then on.
        dtls.handshake_timeout = Duration::MAX;
        dtls.max_retransmissions = u32::MAX;
        let native = Native {
            provider: provider.clone(),
            ice,
            dtls,
            srtp: srtp::Config::default(),
            sctp,
            accepts_any_certificate: false,
        };
        Self {
            ice: native.make_ice(),
            dtls: native.make_dtls(),
            fingerprints: native.fingerprints(),
            srtp: native.make_srtp(),
            sctp: native.make_sctp(),
            native: Arc::new(native),
        }
    }

    /// Changes the configuration of this library's ICE, which takes the place of another implementation if there is
    /// one.
    pub fn change_ice(&mut self, change: impl FnOnce(&mut ice::Config)) {
        change(&mut Arc::make_mut(&mut self.native).ice);
        self.ice = self.native.make_ice();
    }

    /// Changes the configuration of this library's DTLS, such as its cipher suites, its SRTP profiles or its
    /// certificate. It takes the place of another implementation if there is one.
    pub fn change_dtls(&mut self, change: impl FnOnce(&mut dtls::Config)) {
        change(&mut Arc::make_mut(&mut self.native).dtls);
        self.fingerprints = self.native.fingerprints();
        self.dtls = self.native.make_dtls();
    }

    /// **Dangerous:** has this library's DTLS accept whatever certificate the peer has
    /// ([`PeerVerification::DangerousAnyCertificate`]), whatever fingerprint its description announces. Whoever knows the
    /// ICE credentials can be the peer then. The session tells the fingerprint of the peer
    /// ([`SessionEvent::UnverifiedPeer`](super::SessionEvent::UnverifiedPeer)) before it is connected and before its
    /// first data; it is the application that has to find out whose it is, by data channels if need be, and to close the
    /// session if that is not whom it wants.
    ///
    /// For servers that make a session on the first check and cannot know the certificate of the peer, as those of
    /// libp2p's WebRTC-direct. It takes the place of another implementation of DTLS if there is one.
    pub fn dangerously_accept_any_certificate(&mut self) {
        Arc::make_mut(&mut self.native).accepts_any_certificate = true;
        self.dtls = self.native.make_dtls();
    }

    /// Whether the application has to verify the peer itself.
    pub(super) fn accepts_any_certificate(&self) -> bool {
        self.native.accepts_any_certificate
    }

    /// Changes the configuration of this library's SRTP, which takes the place of another implementation if there is
    /// one.
    pub fn change_srtp(&mut self, change: impl FnOnce(&mut srtp::Config)) {
        change(&mut Arc::make_mut(&mut self.native).srtp);
        self.srtp = self.native.make_srtp();
    }

    /// Changes the configuration of this library's SCTP, which takes the place of another implementation if there is
    /// one. The ports are the session's.
    pub fn change_sctp(&mut self, change: impl FnOnce(&mut sctp::Config)) {
        change(&mut Arc::make_mut(&mut self.native).sctp);
        self.sctp = self.native.make_sctp();
    }
}

impl Native {
    fn fingerprints(&self) -> Vec<Fingerprint> {
        let identity = self.dtls.identity.iter();
        identity.map(|identity| identity.fingerprint(FingerprintAlgorithm::Sha256).clone()).collect()
    }

    fn make_ice(&self) -> Arc<MakeIce> {
        let (provider, config) = (self.provider.clone(), self.ice.clone());
        Arc::new(move |now| Box::new(ice::Agent::new(now, provider.clone(), config.clone())))
    }

    fn make_dtls(&self) -> Arc<MakeDtls> {
        let (config, accepts_any) = (Arc::new(self.dtls.clone()), self.accepts_any_certificate);
        Arc::new(move |role, fingerprints| {
            let verification = match accepts_any {
                true => PeerVerification::DangerousAnyCertificate,
                false => PeerVerification::Fingerprints(fingerprints.to_vec()),
            };
            Ok(Box::new(match role {
                DtlsRole::Client => dtls::Connection::client(config.clone(), verification)?,
                DtlsRole::Server => dtls::Connection::server(config.clone(), verification)?,
            }))
        })
    }

    fn make_srtp(&self) -> Arc<MakeSrtp> {
        let (provider, config) = (self.provider.clone(), self.srtp.clone());
        Arc::new(move |local, remote| {
            Ok(Box::new(srtp::Context::new(&provider, local, remote, config.clone())?))
        })
    }

    fn make_sctp(&self) -> Arc<MakeSctp> {
        let (provider, config) = (self.provider.clone(), self.sctp.clone());
        Arc::new(move |local_port, remote_port| {
            let config = sctp::Config { local_port, remote_port, zero_checksum: true, ..config.clone() };
            Box::new(sctp::Association::new(config, &provider))
        })
    }
}

impl fmt::Debug for Transports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transports").field("fingerprints", &self.fingerprints).finish_non_exhaustive()
    }
}
