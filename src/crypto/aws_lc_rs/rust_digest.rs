//! HMAC-SHA1 and MD5 beside AWS-LC.

use hmac::{EagerHash, KeyInit, Mac};

use crate::crypto::{Digest, Hasher, Hmac};

/// HMAC by the crate `hmac`. Its keyed state is copied for every tag, which AWS-LC does at the cost of hashing a
/// hundred bytes; SRTP and STUN make a tag for every short packet.
pub(super) struct RustHmac<H: EagerHash>(hmac::Hmac<H>);

impl<H: EagerHash> RustHmac<H> {
    pub(super) fn new(key: &[u8]) -> Self {
        let mac = <hmac::Hmac<H> as KeyInit>::new_from_slice(key);
        Self(mac.expect("a key of any length")) // RFC 2104 §2 has no key of a wrong length
    }
}

impl<H: EagerHash> Hmac for RustHmac<H>
where
    hmac::Hmac<H>: Clone + Send + Sync,
{
    fn sign(&self, parts: &[&[u8]]) -> Digest {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        Digest::new(&mac.finalize().into_bytes())
    }
}

/// A hash function that AWS-LC has not.
#[derive(Default)]
pub(super) struct RustHash<H>(H);

impl<H: md5::Digest + Clone + Send + Sync> Hasher for RustHash<H> {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn digest(&self) -> Digest {
        Digest::new(&self.0.clone().finalize())
    }
}
