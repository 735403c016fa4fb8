//! Hash functions and HMAC of AWS-LC.

use aws_lc_rs::{digest, hmac};

use super::sha1_hmac::Sha1Hmac;
use crate::crypto::{Digest, Digests, HashAlgorithm, Hasher, Hmac};

pub(super) struct AwsLcDigests;

impl Digests for AwsLcDigests {
    fn hasher(&self, algorithm: HashAlgorithm) -> Box<dyn Hasher> {
        Box::new(RunningHash(digest::Context::new(hash_algorithm(algorithm))))
    }

    fn hash(&self, algorithm: HashAlgorithm, parts: &[&[u8]]) -> Digest {
        let mut context = digest::Context::new(hash_algorithm(algorithm));
        parts.iter().for_each(|part| context.update(part));
        Digest::new(context.finish().as_ref())
    }

    fn hmac(&self, algorithm: HashAlgorithm, key: &[u8]) -> Box<dyn Hmac> {
        let algorithm = match algorithm {
            HashAlgorithm::Sha1 => return Box::new(Sha1Hmac::new(key)),
            HashAlgorithm::Sha256 => hmac::HMAC_SHA256,
            HashAlgorithm::Sha384 => hmac::HMAC_SHA384,
            HashAlgorithm::Sha512 => hmac::HMAC_SHA512,
        };
        Box::new(HmacKey(hmac::Key::new(algorithm, key)))
    }
}

fn hash_algorithm(algorithm: HashAlgorithm) -> &'static digest::Algorithm {
    match algorithm {
        HashAlgorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        HashAlgorithm::Sha256 => &digest::SHA256,
        HashAlgorithm::Sha384 => &digest::SHA384,
        HashAlgorithm::Sha512 => &digest::SHA512,
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
