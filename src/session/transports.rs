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
        let fingerprints = vec![identity.fingerprint(FingerprintAlgorithm::Sha256).clone()];
        let mut dtls = dtls::Config::new(provider.clone(), identity);
        // The session knows when the peer is there to answer, and ends what takes too long from then on.
        dtls.handshake_timeout = Duration::MAX;
        dtls.max_retransmissions = u32::MAX;
        let dtls = Arc::new(dtls);
        let (for_ice, for_srtp, for_sctp) = (provider.clone(), provider.clone(), provider.clone());
        Self {
            ice: Arc::new(move |now| Box::new(ice::Agent::new(now, for_ice.clone(), ice.clone()))),
            dtls: Arc::new(move |role, fingerprints| {
                let verification = PeerVerification::Fingerprints(fingerprints.to_vec());
                Ok(Box::new(match role {
                    DtlsRole::Client => dtls::Connection::client(dtls.clone(), verification)?,
                    DtlsRole::Server => dtls::Connection::server(dtls.clone(), verification)?,
                }))
            }),
            fingerprints,
            srtp: Arc::new(move |local, remote| {
                Ok(Box::new(srtp::Context::new(&for_srtp, local, remote, srtp::Config::default())?))
            }),
            sctp: Arc::new(move |local_port, remote_port| {
                let config = sctp::Config { local_port, remote_port, zero_checksum: true, ..sctp.clone() };
                Box::new(sctp::Association::new(config, &for_sctp))
            }),
        }
    }
}

impl fmt::Debug for Transports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transports").field("fingerprints", &self.fingerprints).finish_non_exhaustive()
    }
}
