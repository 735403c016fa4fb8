//! The transcript of a handshake.

use std::fmt;

use super::message::{HANDSHAKE_HEADER_LEN, HandshakeHeader, HandshakeType, MessageSeq};
use crate::crypto::{Digest, Digests, HashAlgorithm, Hasher};

/// All handshake messages of both sides so far, as if none had been fragmented (RFC 6347 §4.2.6).
///
/// The bytes themselves are kept, since the hash function is not known before the ServerHello and
/// CertificateVerify signs with a hash of its own. The limits of reassembly bound them.
#[derive(Default)]
pub(crate) struct Transcript {
    bytes: Vec<u8>,
    hasher: Option<Box<dyn Hasher>>,
    hashed: usize,
}

impl Transcript {
    pub(crate) fn add(&mut self, kind: HandshakeType, seq: MessageSeq, body: &[u8]) {
        self.bytes.reserve(HANDSHAKE_HEADER_LEN + body.len());
        HandshakeHeader::whole(kind, seq, body.len() as u32).put(&mut self.bytes);
        self.bytes.extend_from_slice(body);
    }

    /// Takes a message with its header.
    pub(crate) fn add_encoded(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(message);
    }

    /// Forgets everything: a hello that was answered by HelloVerifyRequest does not count
    /// (RFC 6347 §4.2.1).
    pub(crate) fn restart(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The hash of all so far. `algorithm` must be the same in each call.
    pub(crate) fn hash(&mut self, digests: &dyn Digests, algorithm: HashAlgorithm) -> Digest {
        let hasher = self.hasher.get_or_insert_with(|| digests.hasher(algorithm));
        hasher.update(self.bytes.get(self.hashed..).unwrap_or_default());
        self.hashed = self.bytes.len();
        hasher.digest()
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript").field("len", &self.bytes.len()).finish_non_exhaustive()
    }
}
