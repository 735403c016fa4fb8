//! Key exchange by the RustCrypto and dalek crates.

use p256::elliptic_curve::sec1::ToSec1Point;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::crypto::encoding::is_share;
use crate::crypto::{CryptoError, KeyExchange, KeyExchanges, NamedGroup, SharedSecret};

pub(super) struct RustCryptoKeyExchanges;

impl KeyExchanges for RustCryptoKeyExchanges {
    fn groups(&self) -> &'static [NamedGroup] {
        &[NamedGroup::X25519, NamedGroup::Secp256r1, NamedGroup::Secp384r1]
    }

    fn start(&self, group: NamedGroup) -> Result<Box<dyn KeyExchange>, CryptoError> {
        Ok(match group {
            NamedGroup::X25519 => Box::new(X25519KeyPair::generate()?),
            NamedGroup::Secp256r1 => Box::new(P256KeyPair::generate()?),
            NamedGroup::Secp384r1 => Box::new(P384KeyPair::generate()?),
        })
    }
}

/// A random scalar that `accept` takes; a candidate beyond the group's order is drawn anew, which for these
/// curves happens less than once in four thousand million times.
pub(super) fn random_scalar<const N: usize, T>(
    accept: impl Fn(&[u8; N]) -> Option<T>,
) -> Result<T, CryptoError> {
    const DRAWS: usize = 16;
    let mut bytes = Zeroizing::new([0; N]);
    for _ in 0..DRAWS {
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| CryptoError::Failed)?;
        if let Some(scalar) = accept(&bytes) {
            return Ok(scalar);
        }
    }
    Err(CryptoError::Failed)
}

struct X25519KeyPair {
    private_key: StaticSecret,
    public_key: PublicKey,
}

impl X25519KeyPair {
    fn generate() -> Result<Self, CryptoError> {
        let private_key = random_scalar(|bytes: &[u8; 32]| Some(StaticSecret::from(*bytes)))?;
        let public_key = PublicKey::from(&private_key);
        Ok(Self { private_key, public_key })
    }
}

impl KeyExchange for X25519KeyPair {
    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }

    fn public_key(&self) -> &[u8] {
        self.public_key.as_bytes()
    }

    fn complete(self: Box<Self>, peer_public_key: &[u8]) -> Result<SharedSecret, CryptoError> {
        let peer = <[u8; 32]>::try_from(peer_public_key).map_err(|_| CryptoError::InvalidKey)?;
        let secret = self.private_key.diffie_hellman(&PublicKey::from(peer));
        // RFC 7748 §6.1: an all-zero secret comes from a point of small order.
        if secret.was_contributory() {
            Ok(SharedSecret::new(secret.as_bytes()))
        } else {
            Err(CryptoError::InvalidKey)
        }
    }
}

macro_rules! nist_curve {
    ($name:ident, $curve:ident, $group:expr, $scalar_len:literal) => {
        struct $name {
            private_key: $curve::SecretKey,
            public_key: Box<[u8]>,
        }

        impl $name {
            fn generate() -> Result<Self, CryptoError> {
                let private_key =
                    random_scalar(|bytes: &[u8; $scalar_len]| $curve::SecretKey::from_slice(bytes).ok())?;
                let public_key = private_key.public_key().to_sec1_point(false).as_bytes().into();
                Ok(Self { private_key, public_key })
            }
        }

        impl KeyExchange for $name {
            fn group(&self) -> NamedGroup {
                $group
            }

            fn public_key(&self) -> &[u8] {
                &self.public_key
            }

            fn complete(self: Box<Self>, peer_public_key: &[u8]) -> Result<SharedSecret, CryptoError> {
                if !is_share($group, peer_public_key) {
                    return Err(CryptoError::InvalidKey);
                }
                let peer = $curve::PublicKey::from_sec1_bytes(peer_public_key)
                    .map_err(|_| CryptoError::InvalidKey)?;
                let secret =
                    $curve::ecdh::diffie_hellman(self.private_key.to_nonzero_scalar(), peer.as_affine());
                Ok(SharedSecret::new(secret.raw_secret_bytes()))
            }
        }
    };
}

nist_curve!(P256KeyPair, p256, NamedGroup::Secp256r1, 32);
nist_curve!(P384KeyPair, p384, NamedGroup::Secp384r1, 48);
