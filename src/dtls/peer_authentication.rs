//! How the peer's certificate is judged.

use std::fmt;
use std::sync::Arc;

use super::alert::AlertDescription;
use super::failure::Failure;
use super::identity::fingerprint;
use crate::crypto::Digests;
use crate::layer::{DtlsError, Fingerprint, FingerprintAlgorithm};

/// How the peer's certificate is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerVerification {
    /// Its fingerprint must be one of these, which the signalling announced. Where they are of several hash
    /// functions, those of the strongest count (RFC 8122 §5.1).
    Fingerprints(Vec<Fingerprint>),
    /// As [`Fingerprints`](Self::Fingerprints), but the signalling has not come yet. The handshake goes on,
    /// and nothing is connected, exported or delivered before
    /// [`set_peer_fingerprints`](crate::layer::DtlsTransport::set_peer_fingerprints).
    FingerprintsLater,
    /// Any certificate will do, and none where a server does not insist. This authenticates nobody: for
    /// tests, and for applications that check
    /// [`peer_certificate`](super::Connection::peer_certificate) themselves.
    AcceptAny,
    /// **Dangerous:** any certificate will do, but there must be one, and the peer must prove that it has the key. The
    /// connection is one with *somebody* until the application has compared
    /// [`peer_fingerprint`](crate::layer::DtlsTransport::peer_fingerprint) with what it learns of the peer by a way of its
    /// own. For protocols that authenticate the peer after the handshake and bind that to the certificate, as
    /// WebRTC-direct of libp2p does.
    DangerousAnyCertificate,
    /// The chain of its certificates is verified, as that of a server with a name is: for clients of servers that are known
    /// by their names. Whether the peer has the key of the first one the handshake proves.
    Chain(ChainVerifier),
}

/// Verifies chains of certificates, each in DER and the peer's own first: up to a root that is trusted, for the name that the
/// peer is known by, and at this time. What is wrong is told in words. Chains are the job of a library that has roots and a
/// clock, such as `rustls-webpki`.
#[derive(Clone)]
pub struct ChainVerifier(Arc<VerifyChain>);

type VerifyChain = dyn Fn(&[&[u8]]) -> Result<(), String> + Send + Sync;

impl ChainVerifier {
    /// A verifier that asks this function.
    pub fn new(verify: impl Fn(&[&[u8]]) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(verify))
    }
}

impl PartialEq for ChainVerifier {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ChainVerifier {}

impl fmt::Debug for ChainVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainVerifier").finish_non_exhaustive()
    }
}

/// The proof that the peer was authenticated as the application wished. Nothing but
/// [`PeerAuthentication`] makes one, and no connection is established without one.
#[derive(Debug)]
pub(crate) struct VerifiedPeer {
    certificate: Option<Box<[u8]>>,
}

impl VerifiedPeer {
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }
}

/// Judges the peer's certificate once both it and the fingerprints are there.
#[derive(Debug)]
pub(crate) struct PeerAuthentication {
    verification: PeerVerification,
    presented: Presented,
}

#[derive(Debug)]
enum Presented {
    NothingYet,
    Unjudged(Box<[u8]>),
    Verified(VerifiedPeer),
}

impl PeerAuthentication {
    pub(crate) fn new(verification: PeerVerification) -> Self {
        Self { verification, presented: Presented::NothingYet }
    }

    /// The peer presented certificates, its own first, and will have to prove that the key of that is its own.
    pub(crate) fn present(&mut self, digests: &dyn Digests, chain: &[&[u8]]) -> Result<(), Failure> {
        if let PeerVerification::Chain(verifier) = &self.verification {
            (verifier.0)(chain).map_err(|reason| Failure {
                alert: AlertDescription::BAD_CERTIFICATE,
                error: DtlsError::Certificate(reason),
            })?;
        }
        let certificate = chain.first().copied().unwrap_or_default();
        self.presented = Presented::Unjudged(certificate.into());
        self.judge(digests)
    }

    /// The peer has no certificate.
    pub(crate) fn present_none(&mut self) -> Result<(), Failure> {
        match self.verification {
            PeerVerification::AcceptAny => {
                self.presented = Presented::Verified(VerifiedPeer { certificate: None });
                Ok(())
            }
            // RFC 5246 §7.4.6: handshake_failure for a certificate that is missing.
            PeerVerification::Fingerprints(_)
            | PeerVerification::FingerprintsLater
            | PeerVerification::DangerousAnyCertificate
            | PeerVerification::Chain(_) => Err(Failure::new(
                AlertDescription::HANDSHAKE_FAILURE,
                "the peer has no certificate, and one is needed",
            )),
        }
    }

    /// The fingerprints came, or came anew. A peer that was verified stays so.
    pub(crate) fn set_fingerprints(
        &mut self,
        digests: &dyn Digests,
        fingerprints: &[Fingerprint],
    ) -> Result<(), Failure> {
        self.verification = PeerVerification::Fingerprints(fingerprints.to_vec());
        self.judge(digests)
    }

    #[cfg(test)]
    pub(crate) fn is_verified(&self) -> bool {
        matches!(self.presented, Presented::Verified(_))
    }

    /// The proof, if there is one.
    pub(crate) fn into_verified(self) -> Result<VerifiedPeer, Self> {
        match self.presented {
            Presented::Verified(peer) => Ok(peer),
            presented => Err(Self { presented, ..self }),
        }
    }

    fn judge(&mut self, digests: &dyn Digests) -> Result<(), Failure> {
        let Presented::Unjudged(certificate) = &self.presented else { return Ok(()) };
        match &self.verification {
            PeerVerification::FingerprintsLater => return Ok(()),
            PeerVerification::AcceptAny | PeerVerification::DangerousAnyCertificate => {}
            // It was, when it came.
            PeerVerification::Chain(_) => {}
            PeerVerification::Fingerprints(announced) => check(digests, announced, certificate)?,
        }
        let certificate = Some(certificate.clone());
        self.presented = Presented::Verified(VerifiedPeer { certificate });
        Ok(())
    }
}

fn check(digests: &dyn Digests, announced: &[Fingerprint], certificate: &[u8]) -> Result<(), Failure> {
    use FingerprintAlgorithm::{Sha256, Sha384, Sha512};
    let strongest = [Sha512, Sha384, Sha256]
        .into_iter()
        .find(|algorithm| announced.iter().any(|fingerprint| fingerprint.algorithm() == *algorithm))
        .unwrap_or(Sha256);
    let actual = fingerprint(digests, strongest, certificate);
    if actual.as_ref().is_some_and(|actual| announced.contains(actual)) {
        return Ok(());
    }
    let expected: Vec<String> = announced.iter().map(Fingerprint::to_string).collect();
    let actual = actual.map(|actual| actual.to_string()).unwrap_or_default();
    Err(Failure {
        alert: AlertDescription::BAD_CERTIFICATE,
        error: DtlsError::WrongFingerprint { expected: expected.join(", "), actual },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtls::identity::Identity;
    use crate::dtls::test_provider::provider;

    #[test]
    fn the_strongest_hash_counts() {
        let provider = provider(1);
        let (identity, other) =
            (Identity::generate(&provider).unwrap(), Identity::generate(&provider).unwrap());
        let judge = |announced: Vec<Fingerprint>| {
            let mut peer = PeerAuthentication::new(PeerVerification::Fingerprints(announced));
            peer.present(&*provider.digests, &[identity.certificate()]).map(|()| peer.is_verified())
        };
        let right = |algorithm| identity.fingerprint(algorithm).clone();
        let wrong = |algorithm| other.fingerprint(algorithm).clone();
        use FingerprintAlgorithm::*;
        assert!(judge(vec![right(Sha256)]).unwrap());
        assert!(judge(vec![wrong(Sha256), right(Sha256)]).unwrap());
        assert!(judge(vec![wrong(Sha256), right(Sha384)]).unwrap());
        let failure = judge(vec![right(Sha256), wrong(Sha512)]).unwrap_err();
        assert_eq!(failure.alert, AlertDescription::BAD_CERTIFICATE);
        let DtlsError::WrongFingerprint { expected, actual } = failure.error else { panic!() };
        assert_eq!(expected, format!("{}, {}", right(Sha256), wrong(Sha512)));
        assert_eq!(actual, right(Sha512).to_string());
        assert!(judge(Vec::new()).is_err(), "no fingerprint matches nothing");
    }

    #[test]
    fn any_certificate_is_one() {
        let provider = provider(1);
        let identity = Identity::generate(&provider).unwrap();
        let mut peer = PeerAuthentication::new(PeerVerification::DangerousAnyCertificate);
        assert!(peer.present_none().is_err());
        let mut peer = PeerAuthentication::new(PeerVerification::DangerousAnyCertificate);
        peer.present(&*provider.digests, &[identity.certificate()]).unwrap();
        assert_eq!(peer.into_verified().unwrap().certificate(), Some(identity.certificate()));
    }

    #[test]
    fn chains_are_judged_whole_and_before_anything_is_verified() {
        let provider = provider(1);
        let identity = Identity::generate(&provider).unwrap();
        let verifier = ChainVerifier::new(|chain| match chain {
            [_, b"root"] => Ok(()),
            _ => Err("the root is missing".to_owned()),
        });
        let mut peer = PeerAuthentication::new(PeerVerification::Chain(verifier));
        assert!(peer.present_none().is_err());
        let failure = peer.present(&*provider.digests, &[identity.certificate()]).unwrap_err();
        assert_eq!(failure.error, DtlsError::Certificate("the root is missing".to_owned()));
        assert!(!peer.is_verified());
        peer.present(&*provider.digests, &[identity.certificate(), b"root"]).unwrap();
        assert_eq!(peer.into_verified().unwrap().certificate(), Some(identity.certificate()));
    }

    #[test]
    fn fingerprints_may_come_before_or_after_the_certificate() {
        let provider = provider(1);
        let identity = Identity::generate(&provider).unwrap();
        let announced = [identity.fingerprint(FingerprintAlgorithm::Sha256).clone()];
        let mut late = PeerAuthentication::new(PeerVerification::FingerprintsLater);
        late.present(&*provider.digests, &[identity.certificate()]).unwrap();
        assert!(!late.is_verified());
        late.set_fingerprints(&*provider.digests, &announced).unwrap();
        assert_eq!(late.into_verified().unwrap().certificate(), Some(identity.certificate()));

        let mut early = PeerAuthentication::new(PeerVerification::FingerprintsLater);
        early.set_fingerprints(&*provider.digests, &announced).unwrap();
        assert!(!early.is_verified());
        early.present(&*provider.digests, &[identity.certificate()]).unwrap();
        assert!(early.is_verified());
        assert!(early.present_none().is_err());
    }
}
