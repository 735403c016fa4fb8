//! Key exchange by AWS-LC.

use aws_lc_rs::agreement::{self, EphemeralPrivateKey, PublicKey, UnparsedPublicKey};
use aws_lc_rs::rand::SystemRandom;

use crate::crypto::encoding::is_share;
use crate::crypto::{CryptoError, KeyExchange, KeyExchanges, NamedGroup, SharedSecret};

pub(super) struct AwsLcKeyExchanges;

impl KeyExchanges for AwsLcKeyExchanges {
    fn groups(&self) -> &'static [NamedGroup] {
        &[NamedGroup::X25519, NamedGroup::Secp256r1, NamedGroup::Secp384r1]
    }

    fn start(&self, group: NamedGroup) -> Result<Box<dyn KeyExchange>, CryptoError> {
        let private_key = EphemeralPrivateKey::generate(algorithm(group), &SystemRandom::new())
            .map_err(|_| CryptoError::Failed)?;
        let public_key = private_key.compute_public_key().map_err(|_| CryptoError::Failed)?;
        Ok(Box::new(KeyPair { group, private_key, public_key }))
    }
}

fn algorithm(group: NamedGroup) -> &'static agreement::Algorithm {
    match group {
        NamedGroup::X25519 => &agreement::X25519,
        NamedGroup::Secp256r1 => &agreement::ECDH_P256,
        NamedGroup::Secp384r1 => &agreement::ECDH_P384,
    }
}

struct KeyPair {
    group: NamedGroup,
    private_key: EphemeralPrivateKey,
    public_key: PublicKey,
}

impl KeyExchange for KeyPair {
    fn group(&self) -> NamedGroup {
        self.group
    }

    fn public_key(&self) -> &[u8] {
        self.public_key.as_ref()
    }

    fn complete(self: Box<Self>, peer_public_key: &[u8]) -> Result<SharedSecret, CryptoError> {
        if !is_share(self.group, peer_public_key) {
            return Err(CryptoError::InvalidKey);
        }
        agreement::agree_ephemeral(
            self.private_key,
            UnparsedPublicKey::new(algorithm(self.group), peer_public_key),
            CryptoError::InvalidKey,
            |secret| Ok(SharedSecret::new(secret)),
        )
    }
}
