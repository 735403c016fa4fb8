//! What both state machines of DTLS 1.2 share.

use std::fmt;
use std::sync::Arc;

use super::key_schedule::Exporter;
use crate::crypto::{Digest, Digests, HashAlgorithm, PublicKey, SignatureScheme};
use crate::dtls::alert::AlertDescription;
use crate::dtls::certificate::CertifiedKey;
use crate::dtls::config::Config;
use crate::dtls::failure::Failure;
use crate::dtls::flight::Flight;
use crate::dtls::handshake::{
    CertificateVerify, HANDSHAKE_HEADER_LEN, HandshakeType, MessageSeq, Transcript, VERIFY_DATA_LEN,
    put_certificate,
};
use crate::dtls::identity::Identity;
use crate::dtls::peer_authentication::PeerAuthentication;
use crate::dtls::record::{
    ContentType, Epoch, ProtocolVersion, RecordOpener, RecordSealer, SequenceExhausted, WriteEpochs,
};
use crate::layer::SrtpProfile;

/// A handshake message that arrived whole and in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: HandshakeType,
    pub(crate) seq: MessageSeq,
    pub(crate) body: &'a [u8],
}

/// What the state machines of both roles work with.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) config: Arc<Config>,
    pub(crate) peer: PeerAuthentication,
    pub(crate) flight: Flight,
    /// Set when the version is known; the driver takes it.
    pub(crate) version: Option<ProtocolVersion>,
    /// Set when records of the protected epoch can be opened; the driver takes it.
    pub(crate) opener: Option<RecordOpener>,
    /// Set when the own flight goes on in the protected epoch; the driver takes it.
    pub(crate) sealer: Option<RecordSealer>,
    transcript: Transcript,
    next_seq: MessageSeq,
}

impl Exchange {
    pub(crate) fn new(config: Arc<Config>, peer: PeerAuthentication, first: MessageSeq) -> Self {
        Self {
            config,
            peer,
            flight: Flight::default(),
            version: None,
            opener: None,
            sealer: None,
            transcript: Transcript::default(),
            next_seq: first,
        }
    }

    pub(crate) fn digests(&self) -> &dyn Digests {
        &*self.config.provider.digests
    }

    /// Takes a message of the peer into the transcript.
    pub(crate) fn record(&mut self, message: Message<'_>) {
        self.transcript.add(message.kind, message.seq, message.body);
    }

    /// Forgets the hellos before a cookie (RFC 6347 §4.2.1).
    pub(crate) fn restart_transcript(&mut self) {
        self.transcript.restart();
    }

    pub(crate) fn transcript_hash(&mut self, hash: HashAlgorithm) -> Digest {
        self.transcript.hash(&*self.config.provider.digests, hash)
    }

    pub(crate) fn transcript_bytes(&self) -> &[u8] {
        self.transcript.bytes()
    }

    /// Adds a message to the flight and to the transcript.
    pub(crate) fn send(&mut self, epoch: Epoch, kind: HandshakeType, fill: impl FnOnce(&mut Vec<u8>)) {
        let seq = self.take_seq();
        let encoded = self.flight.push(epoch, kind, seq, fill);
        self.transcript.add_encoded(encoded);
    }

    /// Adds the own certificates, or an empty list.
    pub(crate) fn send_certificate(&mut self, identity: Option<&Identity>) {
        self.send(Epoch::PLAINTEXT, HandshakeType::Certificate, |out| match identity {
            Some(identity) => put_certificate(out, identity.chain()),
            None => put_certificate(out, std::iter::empty()),
        });
    }

    pub(crate) fn take_seq(&mut self) -> MessageSeq {
        let seq = self.next_seq;
        self.next_seq = seq.next();
        seq
    }

    /// Reads the peer's certificate, the first of its chain, and has it judged.
    pub(crate) fn present(&mut self, chain: &[&[u8]]) -> Result<CertifiedKey, Failure> {
        let certificate = chain.first().copied().unwrap_or_default();
        let key = CertifiedKey::of_certificate(certificate)
            .map_err(|malformed| Failure::new(AlertDescription::UNSUPPORTED_CERTIFICATE, malformed.0))?;
        self.peer.present(&*self.config.provider.digests, chain)?;
        Ok(key)
    }

    /// Checks the signature of a ServerKeyExchange or a CertificateVerify.
    pub(crate) fn verify_signature(
        &self,
        key: PublicKey<'_>,
        scheme: u16,
        message: &[u8],
        signature: &[u8],
        reason: &'static str,
    ) -> Result<(), Failure> {
        let signatures = &self.config.provider.signatures;
        let scheme = SignatureScheme::from_id(scheme)
            .filter(|scheme| signatures.schemes().contains(scheme))
            .ok_or_else(|| Failure::illegal("a signature scheme that was not offered"))?;
        signatures
            .verify(scheme, key, message, signature)
            .map_err(|_| Failure::new(AlertDescription::DECRYPT_ERROR, reason))
    }

    /// Checks that the peer holds the key of its certificate.
    pub(crate) fn verify_certificate(&self, key: &CertifiedKey, body: &[u8]) -> Result<(), Failure> {
        let verify = CertificateVerify::decode(body)?;
        self.verify_signature(
            key.as_public_key(),
            verify.scheme,
            self.transcript.bytes(),
            verify.signature,
            "the signature of CertificateVerify is wrong",
        )
    }
}

/// What a message led to.
#[derive(Debug)]
pub(crate) enum Step {
    Continue,
    Complete(Completed),
}

/// A complete handshake. The peer may still wait for its fingerprint to be announced.
#[derive(Debug)]
pub(crate) struct Completed {
    pub(crate) exporter: Exporter,
    pub(crate) srtp_profile: Option<SrtpProfile>,
    /// What a server sends last, and again when the client repeats its flight.
    pub(crate) final_flight: Option<FinalFlight>,
}

/// ChangeCipherSpec and Finished of the server. Nothing answers it, so it is kept for as long as the
/// connection lives and sent again whenever the client repeats its Finished (RFC 6347 §4.2.4).
pub(crate) struct FinalFlight {
    /// The Finished with its header.
    pub(crate) finished: [u8; HANDSHAKE_HEADER_LEN + VERIFY_DATA_LEN],
    /// The number of the client's Finished.
    pub(crate) answers: MessageSeq,
}

impl FinalFlight {
    /// Appends its records.
    pub(crate) fn write(&self, epochs: &mut WriteEpochs, out: &mut Vec<u8>) -> Result<(), SequenceExhausted> {
        epochs.write(Epoch::PLAINTEXT, ContentType::ChangeCipherSpec, out, |out| out.push(1))?;
        epochs.write(Epoch::PROTECTED, ContentType::Handshake, out, |out| {
            out.extend_from_slice(&self.finished);
        })
    }
}

impl fmt::Debug for FinalFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FinalFlight").field("answers", &self.answers).finish_non_exhaustive()
    }
}
