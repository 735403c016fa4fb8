//! The records of an established connection, by the crate's cipher suite.

use std::fmt;

use ::dtls::cipher_suite::CipherSuite;
use ::dtls::cipher_suite::cipher_suite_aes_128_gcm_sha256::CipherSuiteAes128GcmSha256;
use ::dtls::content::ContentType;
use ::dtls::record_layer::record_layer_header::{
    MAX_SEQUENCE_NUMBER, PROTOCOL_VERSION1_2, RecordLayerHeader,
};
use ring::hmac;
use webrtc_util::replay_detector::{ReplayDetector, SlidingWindowDetector};
use zeroize::Zeroizing;

use super::record::{HEADER, PROTECTED, Record};
use crate::layer::DtlsError;

/// The explicit nonce and the tag of AEAD_AES_128_GCM (RFC 5288 §3).
pub(super) const MIN_FRAGMENT: usize = 8 + 16;
/// What a record adds to its content.
pub(super) const OVERHEAD: usize = HEADER + MIN_FRAGMENT;
/// RFC 6347 §4.1: the content of a record.
pub(super) const MAX_PLAINTEXT: usize = 1 << 14;
/// The crate takes explicit nonces at random: after so many records the chance that two were the same, which gives
/// away the authentication key, is 1 in 512.
const MAX_SEALED: u64 = 1 << 28;
/// RFC 6347 §4.1.2.6.
const REPLAY_WINDOW: usize = 64;

/// The one suite that is offered: RFC 8827 §6.5 has everybody support it.
pub(super) fn suite() -> CipherSuiteAes128GcmSha256 {
    CipherSuiteAes128GcmSha256::new(false)
}

pub(super) const SUITE_NAME: &str = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";

/// What a handshake leads to.
pub(super) struct Secrets {
    pub(super) master: Zeroizing<Vec<u8>>,
    pub(super) client_random: Vec<u8>,
    pub(super) server_random: Vec<u8>,
    pub(super) is_client: bool,
}

/// Seals and opens.
pub(super) struct Protection {
    suite: CipherSuiteAes128GcmSha256,
    /// The number of the next record.
    next: u64,
    replay: SlidingWindowDetector,
    secrets: Secrets,
}

impl Protection {
    /// Goes on after the records that the crate has sent itself.
    pub(super) fn new(secrets: Secrets, next: u64) -> Result<Self, DtlsError> {
        let mut suite = suite();
        suite
            .init(&secrets.master, &secrets.client_random, &secrets.server_random, secrets.is_client)
            .map_err(|_| DtlsError::Crypto("the keys of the cipher suite"))?;
        let replay = SlidingWindowDetector::new(REPLAY_WINDOW, MAX_SEQUENCE_NUMBER);
        Ok(Self { suite, next, replay, secrets })
    }

    /// Appends a record with `content`, of at most [`MAX_PLAINTEXT`] bytes.
    pub(super) fn seal(
        &mut self,
        kind: ContentType,
        content: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), DtlsError> {
        if self.next >= MAX_SEALED {
            return Err(DtlsError::Crypto("more records than one key may seal"));
        }
        const FAILED: DtlsError = DtlsError::Crypto("sealing a record");
        let header = RecordLayerHeader {
            content_type: kind,
            protocol_version: PROTOCOL_VERSION1_2,
            epoch: PROTECTED,
            sequence_number: self.next,
            content_len: content.len() as u16,
        };
        let mut plain = Vec::with_capacity(HEADER + content.len());
        header.marshal(&mut plain).map_err(|_| FAILED)?;
        plain.extend_from_slice(content);
        let sealed = self.suite.encrypt(&header, &plain).map_err(|_| FAILED)?;
        self.next += 1;
        out.extend_from_slice(&sealed);
        Ok(())
    }

    /// The content of a record, or why there is none.
    pub(super) fn open(&mut self, record: &Record<'_>) -> Result<Vec<u8>, &'static str> {
        if record.epoch != PROTECTED {
            return Err("of another epoch");
        }
        // The crate counts on as much.
        if record.fragment.len() < MIN_FRAGMENT {
            return Err("shorter than a nonce and a tag");
        }
        if record.fragment.len() > MAX_PLAINTEXT + MIN_FRAGMENT {
            return Err("longer than a record may be");
        }
        if !self.replay.check(record.sequence) {
            return Err("replayed or too old");
        }
        let mut plain = self.suite.decrypt(record.bytes).map_err(|_| "not authentic")?;
        self.replay.accept();
        plain.drain(..HEADER);
        Ok(plain)
    }

    /// RFC 5705 §4. The crate itself exports without a context only.
    pub(super) fn export(
        &self,
        label: &str,
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), DtlsError> {
        /// They would give away the keys of the connection.
        const RESERVED: [&str; 5] = [
            "client finished",
            "server finished",
            "master secret",
            "key expansion",
            "extended master secret",
        ];
        if RESERVED.contains(&label) {
            return Err(DtlsError::Config("the label is one of TLS's own; choose another"));
        }
        let Secrets { master, client_random, server_random, .. } = &self.secrets;
        let mut seed = [label.as_bytes(), client_random, server_random].concat();
        if let Some(context) = context {
            let length = u16::try_from(context.len())
                .map_err(|_| DtlsError::Config("the context is longer than 65535 bytes"))?;
            seed.extend_from_slice(&length.to_be_bytes());
            seed.extend_from_slice(context);
        }
        // RFC 5246 §5: P_SHA256.
        let key = hmac::Key::new(hmac::HMAC_SHA256, master);
        let mut round = hmac::sign(&key, &seed);
        for piece in out.chunks_mut(32) {
            let output = hmac::sign(&key, &[round.as_ref(), &seed].concat());
            piece.copy_from_slice(&output.as_ref()[..piece.len()]);
            round = hmac::sign(&key, round.as_ref());
        }
        Ok(())
    }
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protection").field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::records;
    use super::*;

    fn protection(is_client: bool, next: u64) -> Protection {
        let secrets = Secrets {
            master: Zeroizing::new(vec![7; 48]),
            client_random: vec![1; 32],
            server_random: vec![2; 32],
            is_client,
        };
        Protection::new(secrets, next).unwrap()
    }

    #[test]
    fn records_are_opened_once_and_unchanged_only() {
        let (mut client, mut server) = (protection(true, 1), protection(false, 1));
        let mut sealed = Vec::new();
        client.seal(ContentType::ApplicationData, b"hello", &mut sealed).unwrap();
        assert_eq!(sealed.len(), 5 + OVERHEAD);
        let open =
            |server: &mut Protection, bytes: &[u8]| records(bytes).next().map(|record| server.open(&record));
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(open(&mut server, &changed), Some(Ok(_))), "bit {bit}");
        }
        assert_eq!(open(&mut server, &sealed), Some(Ok(b"hello".to_vec())));
        assert_eq!(open(&mut server, &sealed), Some(Err("replayed or too old")));
        for length in 0..MIN_FRAGMENT as u8 {
            let mut short = sealed[..HEADER + usize::from(length)].to_vec();
            short[HEADER - 1] = length;
            assert_eq!(open(&mut server, &short), Some(Err("shorter than a nonce and a tag")));
        }
    }

    #[test]
    fn a_key_seals_so_many_records_only() {
        let mut client = protection(true, MAX_SEALED - 1);
        client.seal(ContentType::ApplicationData, b"the last", &mut Vec::new()).unwrap();
        let mut out = Vec::new();
        let refused = client.seal(ContentType::ApplicationData, b"one more", &mut out);
        assert!(matches!(refused, Err(DtlsError::Crypto(_))), "{refused:?}");
        assert!(out.is_empty());
    }

    #[test]
    fn labels_of_tls_are_not_exported() {
        let client = protection(true, 1);
        let refused = client.export("key expansion", None, &mut [0; 16]);
        assert!(matches!(refused, Err(DtlsError::Config(_))), "{refused:?}");
        let refused = client.export("EXPORTER-x", Some(&[0; 1 << 16]), &mut [0; 16]);
        assert!(matches!(refused, Err(DtlsError::Config(_))), "{refused:?}");
    }
}
