//! A connection as what SRTP and SCTP run over.

use std::time::Instant;

use zeroize::Zeroizing;

use super::{Connection, Phase, Sink};
use crate::crypto::TAG_LEN;
use crate::dtls::alert::{Alert, AlertDescription};
use crate::dtls::cipher_suite::CipherSuite;
use crate::dtls::identity::fingerprint;
use crate::dtls::record::{EXPLICIT_NONCE_LEN, MAX_PLAINTEXT, RECORD_HEADER_LEN, SequenceExhausted};
use crate::layer::{
    Datagram, DtlsError, DtlsRole, DtlsTransport, Fingerprint, FingerprintAlgorithm, SrtpKeyingMaterial,
    SrtpProfile,
};

/// The label of SRTP's keying material (RFC 5764 §4.2).
const SRTP_LABEL: &str = "EXTRACTOR-dtls_srtp";

/// RFC 6347 §4.1: a sequence number is used once.
const EXHAUSTED: DtlsError = DtlsError::Crypto("all record sequence numbers are used");

impl DtlsTransport for Connection {
    fn receive(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        deliver: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), DtlsError> {
        self.take_datagram(now, datagram, &mut Sink::Deliver(deliver))
    }

    fn seal(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), DtlsError> {
        let Phase::Connected(established) = &mut self.phase else {
            return Err(DtlsError::NotConnected);
        };
        if data.len() > MAX_PLAINTEXT {
            return Err(DtlsError::TooLarge { size: data.len(), limit: MAX_PLAINTEXT });
        }
        established.channel.seal(data, out).map_err(|SequenceExhausted| self.give_up(EXHAUSTED))
    }

    fn overhead(&self) -> usize {
        match &self.phase {
            Phase::Connected(established) => established.channel.overhead(),
            // The most that a suite adds.
            _ => RECORD_HEADER_LEN + EXPLICIT_NONCE_LEN + TAG_LEN,
        }
    }

    fn head_len(&self) -> usize {
        match &self.phase {
            Phase::Connected(established) => established.channel.head_len(),
            _ => RECORD_HEADER_LEN + EXPLICIT_NONCE_LEN,
        }
    }

    fn seal_in_place(&mut self, record: &mut [u8]) -> Result<(), DtlsError> {
        let Phase::Connected(established) = &mut self.phase else {
            return Err(DtlsError::NotConnected);
        };
        let Some(size) = record.len().checked_sub(established.channel.overhead()) else {
            return Err(DtlsError::Internal("a record has no room for its overhead"));
        };
        if size > MAX_PLAINTEXT {
            return Err(DtlsError::TooLarge { size, limit: MAX_PLAINTEXT });
        }
        established.channel.seal_in_place(record).map_err(|SequenceExhausted| self.give_up(EXHAUSTED))
    }

    fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected(_))
    }

    fn srtp_profile(&self) -> Option<SrtpProfile> {
        self.established().ok()?.srtp_profile
    }

    fn cipher_suite_name(&self) -> Option<&'static str> {
        self.cipher_suite().map(CipherSuite::name)
    }

    fn peer_fingerprint(&self, algorithm: FingerprintAlgorithm) -> Option<Fingerprint> {
        fingerprint(&*self.config.provider.digests, algorithm, self.peer_certificate()?)
    }

    fn srtp_keying_material(&self) -> Result<SrtpKeyingMaterial, DtlsError> {
        let profile = self.established()?.srtp_profile.ok_or(DtlsError::NoSrtpProfile)?;
        // The longest is that of AEAD_AES_256_GCM.
        let mut exported = Zeroizing::new([0; 2 * (32 + 14)]);
        let exported = exported.get_mut(..profile.keying_material_len()).ok_or(DtlsError::NoSrtpProfile)?;
        self.export_keying_material(SRTP_LABEL, None, exported)?;
        SrtpKeyingMaterial::from_exported(profile, exported).ok_or(DtlsError::NoSrtpProfile)
    }

    fn export_keying_material(
        &self,
        label: &str,
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), DtlsError> {
        self.established()?.exporter.export(&*self.config.provider.digests, label, context, out)
    }

    fn role(&self) -> DtlsRole {
        self.role
    }

    fn set_peer_fingerprints(&mut self, now: Instant, fingerprints: &[Fingerprint]) -> Result<(), DtlsError> {
        let judged = match &mut self.phase {
            Phase::Handshaking(handshaking) => handshaking.set_peer_fingerprints(fingerprints),
            Phase::Unverified(unverified) => {
                unverified.peer.set_fingerprints(&*self.config.provider.digests, fingerprints)
            }
            Phase::Connected(_) | Phase::Ended => return Ok(()),
        };
        judged.map_err(|failure| self.fail(failure))?;
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            // What waited can only be ignored by itself; it does not concern the fingerprints.
            Phase::Unverified(unverified) => drop(self.verify(now, *unverified, &mut Sink::Queue)),
            phase => self.phase = phase,
        }
        Ok(())
    }

    fn close(&mut self, _now: Instant) {
        // A handshake that is given up is not a connection that is closed (RFC 5246 §7.2.2).
        let alert = if self.is_handshaking() {
            Alert::fatal(AlertDescription::USER_CANCELED)
        } else {
            Alert::CLOSE_NOTIFY
        };
        self.end(Some(alert));
    }
}
