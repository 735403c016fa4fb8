//! Hash functions and HMAC of the RustCrypto crates.

use hmac::{EagerHash, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::crypto::{Digest, Digests, HashAlgorithm, Hasher, Hmac};

pub(super) struct RustCryptoDigests;

impl Digests for RustCryptoDigests {
    fn hasher(&self, algorithm: HashAlgorithm) -> Box<dyn Hasher> {
        match algorithm {
            HashAlgorithm::Md5 => Box::new(RunningHash(Md5::new())),
            HashAlgorithm::Sha1 => Box::new(RunningHash(Sha1::new())),
            HashAlgorithm::Sha256 => Box::new(RunningHash(Sha256::new())),
            HashAlgorithm::Sha384 => Box::new(RunningHash(Sha384::new())),
            HashAlgorithm::Sha512 => Box::new(RunningHash(Sha512::new())),
        }
    }

    fn hash(&self, algorithm: HashAlgorithm, parts: &[&[u8]]) -> Digest {
        fn hash<H: sha2::Digest>(parts: &[&[u8]]) -> Digest {
            let mut hash = H::new();
            parts.iter().for_each(|part| hash.update(part));
            Digest::new(&hash.finalize())
        }
        match algorithm {
            HashAlgorithm::Md5 => hash::<Md5>(parts),
            HashAlgorithm::Sha1 => hash::<Sha1>(parts),
            HashAlgorithm::Sha256 => hash::<Sha256>(parts),
            HashAlgorithm::Sha384 => hash::<Sha384>(parts),
            HashAlgorithm::Sha512 => hash::<Sha512>(parts),
        }
    }

    fn hmac(&self, algorithm: HashAlgorithm, key: &[u8]) -> Box<dyn Hmac> {
        match algorithm {
            HashAlgorithm::Md5 => hmac_key::<Md5>(key),
            HashAlgorithm::Sha1 => hmac_key::<Sha1>(key),
            HashAlgorithm::Sha256 => hmac_key::<Sha256>(key),
            HashAlgorithm::Sha384 => hmac_key::<Sha384>(key),
            HashAlgorithm::Sha512 => hmac_key::<Sha512>(key),
        }
    }
}

struct RunningHash<H>(H);

impl<H: sha2::Digest + Clone + Send + Sync> Hasher for RunningHash<H> {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn digest(&self) -> Digest {
        Digest::new(&self.0.clone().finalize())
    }
}

struct HmacKey<M>(M);

fn hmac_key<H>(key: &[u8]) -> Box<dyn Hmac>
where
    H: EagerHash,
    hmac::Hmac<H>: Clone + Send + Sync + 'static,
{
    let mac = <hmac::Hmac<H> as KeyInit>::new_from_slice(key);
    Box::new(HmacKey(mac.expect("a key of any length"))) // RFC 2104 §2 has no key of a wrong length
}

impl<M: Mac + Clone + Send + Sync> Hmac for HmacKey<M> {
    fn sign(&self, parts: &[&[u8]]) -> Digest {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        Digest::new(&mac.finalize().into_bytes())
    }
}
