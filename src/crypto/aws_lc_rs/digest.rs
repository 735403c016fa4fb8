//! Hash functions and HMAC of AWS-LC.

use aws_lc_rs::{digest, hmac};
use md5::Md5;
use sha1::Sha1;

use super::rust_digest::{RustHash, RustHmac};
use crate::crypto::{Digest, Digests, HashAlgorithm, Hasher, Hmac};

pub(super) struct AwsLcDigests;

impl Digests for AwsLcDigests {
    fn hasher(&self, algorithm: HashAlgorithm) -> Box<dyn Hasher> {
        match hash_algorithm(algorithm) {
            Some(algorithm) => Box::new(RunningHash(digest::Context::new(algorithm))),
            None => Box::new(RustHash::<Md5>::default()),
        }
    }

    fn hash(&self, algorithm: HashAlgorithm, parts: &[&[u8]]) -> Digest {
        let Some(algorithm) = hash_algorithm(algorithm) else {
            let mut hash = RustHash::<Md5>::default();
            parts.iter().for_each(|part| hash.update(part));
            return hash.digest();
        };
        let mut context = digest::Context::new(algorithm);
        parts.iter().for_each(|part| context.update(part));
        Digest::new(context.finish().as_ref())
    }

    fn hmac(&self, algorithm: HashAlgorithm, key: &[u8]) -> Box<dyn Hmac> {
        let algorithm = match algorithm {
            HashAlgorithm::Md5 => return Box::new(RustHmac::<Md5>::new(key)),
            HashAlgorithm::Sha1 => return Box::new(RustHmac::<Sha1>::new(key)),
            HashAlgorithm::Sha256 => hmac::HMAC_SHA256,
            HashAlgorithm::Sha384 => hmac::HMAC_SHA384,
            HashAlgorithm::Sha512 => hmac::HMAC_SHA512,
        };
        Box::new(HmacKey(hmac::Key::new(algorithm, key)))
    }
}

/// `None` for MD5, which the crate `aws-lc-rs` has not.
fn hash_algorithm(algorithm: HashAlgorithm) -> Option<&'static digest::Algorithm> {
    match algorithm {
        HashAlgorithm::Md5 => None,
        HashAlgorithm::Sha1 => Some(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        HashAlgorithm::Sha256 => Some(&digest::SHA256),
        HashAlgorithm::Sha384 => Some(&digest::SHA384),
        HashAlgorithm::Sha512 => Some(&digest::SHA512),
    }
}

struct RunningHash(digest::Context);

impl Hasher for RunningHash {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn digest(&self) -> Digest {
        Digest::new(self.0.clone().finish().as_ref())
    }
}

struct HmacKey(hmac::Key);

impl Hmac for HmacKey {
    fn sign(&self, parts: &[&[u8]]) -> Digest {
        let mut context = hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| context.update(part));
        Digest::new(context.sign().as_ref())
    }
}
