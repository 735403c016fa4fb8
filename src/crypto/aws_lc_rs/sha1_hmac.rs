//! HMAC-SHA1 beside AWS-LC.

use hmac::{KeyInit, Mac};
use sha1::Sha1;

use crate::crypto::{Digest, Hmac};

/// HMAC-SHA1 by the crates `hmac` and `sha1`. Its keyed state is copied for every tag, which AWS-LC does at
/// the cost of hashing a hundred bytes; SRTP and STUN make a tag for every short packet.
pub(super) struct Sha1Hmac(hmac::Hmac<Sha1>);

impl Sha1Hmac {
    pub(super) fn new(key: &[u8]) -> Self {
        let mac = <hmac::Hmac<Sha1> as KeyInit>::new_from_slice(key);
        Self(mac.expect("a key of any length")) // RFC 2104 §2 has no key of a wrong length
    }
}

impl Hmac for Sha1Hmac {
    fn sign(&self, parts: &[&[u8]]) -> Digest {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        Digest::new(&mac.finalize().into_bytes())
    }
}
