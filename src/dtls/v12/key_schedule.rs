//! The key schedule of DTLS 1.2, RFC 5246 §8.

use std::fmt;

use smallvec::SmallVec;
use zeroize::Zeroizing;

use crate::crypto::{CryptoError, CryptoProvider, Digests, HashAlgorithm, SharedSecret};
use crate::dtls::cipher_suite::CipherSuite;
use crate::dtls::handshake::{Random, VERIFY_DATA_LEN};
use crate::dtls::record::{Epoch, RecordKey, RecordOpener, RecordSealer};
use crate::layer::{DtlsError, DtlsRole};

/// The pseudorandom function of TLS 1.2 (RFC 5246 §5).
fn prf(
    digests: &dyn Digests,
    hash: HashAlgorithm,
    secret: &[u8],
    label: &str,
    seed: &[&[u8]],
    out: &mut [u8],
) {
    let hmac = digests.hmac(hash, secret);
    let mut input: SmallVec<[&[u8]; 6]> = SmallVec::new();
    input.push(label.as_bytes());
    input.extend_from_slice(seed);
    let mut a = hmac.sign(&input);
    let mut blocks = out.chunks_mut(hash.digest_len()).peekable();
    while let Some(block) = blocks.next() {
        let mut chained: SmallVec<[&[u8]; 7]> = SmallVec::new();
        chained.push(&a);
        chained.extend_from_slice(&input);
        block.copy_from_slice(&hmac.sign(&chained)[..block.len()]);
        drop(chained);
        if blocks.peek().is_some() {
            a = hmac.sign(&[&a]);
        }
    }
}

/// What all keys of a connection are made of (RFC 5246 §8.1). Erased when dropped.
pub(crate) struct MasterSecret {
    bytes: Zeroizing<[u8; 48]>,
    suite: CipherSuite,
}

impl MasterSecret {
    /// Bound to the whole handshake up to ClientKeyExchange (RFC 7627 §4).
    pub(crate) fn extended(
        digests: &dyn Digests,
        suite: CipherSuite,
        premaster: &SharedSecret,
        session_hash: &[u8],
    ) -> Self {
        Self::derive(digests, suite, premaster, "extended master secret", &[session_hash])
    }

    /// Bound to the randoms only (RFC 5246 §8.1).
    pub(crate) fn legacy(
        digests: &dyn Digests,
        suite: CipherSuite,
        premaster: &SharedSecret,
        client: &Random,
        server: &Random,
    ) -> Self {
        Self::derive(digests, suite, premaster, "master secret", &[&client.0, &server.0])
    }

    fn derive(
        digests: &dyn Digests,
        suite: CipherSuite,
        premaster: &SharedSecret,
        label: &str,
        seed: &[&[u8]],
    ) -> Self {
        let mut bytes = Zeroizing::new([0; 48]);
        prf(digests, suite.hash(), premaster.as_bytes(), label, seed, &mut bytes[..]);
        Self { bytes, suite }
    }

    pub(crate) fn hash(&self) -> HashAlgorithm {
        self.suite.hash()
    }

    /// The keys of both directions (RFC 5246 §6.3).
    pub(crate) fn record_keys(
        &self,
        provider: &CryptoProvider,
        role: DtlsRole,
        client: &Random,
        server: &Random,
    ) -> Result<(RecordSealer, RecordOpener), CryptoError> {
        let aead = self.suite.aead();
        let (key_len, iv_len) = (aead.key_len(), RecordKey::iv_len(aead));
        let mut block = Zeroizing::new([0; 2 * (32 + 12)]);
        let block = &mut block[..2 * (key_len + iv_len)];
        let seed: [&[u8]; 2] = [&server.0, &client.0];
        prf(&*provider.digests, self.hash(), &self.bytes[..], "key expansion", &seed, block);
        let (keys, ivs) = block.split_at(2 * key_len);
        let (client_key, server_key) = keys.split_at(key_len);
        let (client_iv, server_iv) = ivs.split_at(iv_len);
        let client = RecordKey::new(&*provider.ciphers, aead, client_key, client_iv)?;
        let server = RecordKey::new(&*provider.ciphers, aead, server_key, server_iv)?;
        let (write, read) = match role {
            DtlsRole::Client => (client, server),
            DtlsRole::Server => (server, client),
        };
        Ok((RecordSealer::new(write, Epoch::PROTECTED), RecordOpener::new(read, Epoch::PROTECTED)))
    }

    /// The content of the Finished that `sender` sends (RFC 5246 §7.4.9).
    pub(crate) fn verify_data(
        &self,
        digests: &dyn Digests,
        sender: DtlsRole,
        transcript_hash: &[u8],
    ) -> [u8; VERIFY_DATA_LEN] {
        let label = match sender {
            DtlsRole::Client => "client finished",
            DtlsRole::Server => "server finished",
        };
        let mut verify_data = [0; VERIFY_DATA_LEN];
        prf(digests, self.hash(), &self.bytes[..], label, &[transcript_hash], &mut verify_data);
        verify_data
    }

    /// Goes on to export keying material; the handshake needs it no more.
    pub(crate) fn into_exporter(self, client: Random, server: Random) -> Exporter {
        Exporter { master_secret: self, client, server }
    }
}

impl fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterSecret").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// Exports keying material (RFC 5705).
#[derive(Debug)]
pub(crate) struct Exporter {
    master_secret: MasterSecret,
    client: Random,
    server: Random,
}

impl Exporter {
    pub(crate) fn suite(&self) -> CipherSuite {
        self.master_secret.suite
    }

    pub(crate) fn export(
        &self,
        digests: &dyn Digests,
        label: &str,
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), DtlsError> {
        // RFC 5705 §4: the labels of TLS itself would give away its own keys.
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
        let MasterSecret { bytes, .. } = &self.master_secret;
        let hash = self.master_secret.hash();
        match context {
            None => prf(digests, hash, &bytes[..], label, &[&self.client.0, &self.server.0], out),
            Some(context) => {
                let length = u16::try_from(context.len())
                    .map_err(|_| DtlsError::Config("the context is longer than 65535 bytes"))?;
                let seed: [&[u8]; 4] = [&self.client.0, &self.server.0, &length.to_be_bytes(), context];
                prf(digests, hash, &bytes[..], label, &seed, out);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
