//! Ephemeral key exchange.

use std::fmt;

use zeroize::Zeroizing;

use super::CryptoError;

/// Makes ephemeral key pairs.
pub trait KeyExchanges: Send + Sync {
    /// The groups that [`start`](Self::start) takes, the preferred first.
    fn groups(&self) -> &'static [NamedGroup];

    /// Generates an ephemeral key pair.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] for a group that the provider does not have.
    fn start(&self, group: NamedGroup) -> Result<Box<dyn KeyExchange>, CryptoError>;
}

/// An ephemeral key pair, good for one exchange.
pub trait KeyExchange: Send + Sync {
    /// The group.
    fn group(&self) -> NamedGroup;

    /// The share to send: 32 bytes for X25519, an uncompressed point for the NIST curves.
    fn public_key(&self) -> &[u8];

    /// Combines the key pair with the share of the peer.
    ///
    /// # Errors
    /// [`CryptoError::InvalidKey`] if the share is not a valid point, or if the secret would be all zero.
    fn complete(self: Box<Self>, peer_public_key: &[u8]) -> Result<SharedSecret, CryptoError>;
}

/// A group for key exchange (RFC 8422 §5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NamedGroup {
    /// X25519, RFC 7748.
    X25519,
    /// NIST P-256.
    Secp256r1,
    /// NIST P-384.
    Secp384r1,
}

impl NamedGroup {
    /// The group with this number in the registry.
    pub const fn from_id(id: u16) -> Option<Self> {
        match id {
            23 => Some(Self::Secp256r1),
            24 => Some(Self::Secp384r1),
            29 => Some(Self::X25519),
            _ => None,
        }
    }

    /// The number in the registry.
    pub const fn id(self) -> u16 {
        match self {
            Self::Secp256r1 => 23,
            Self::Secp384r1 => 24,
            Self::X25519 => 29,
        }
    }
}

/// What both sides know after a key exchange. Erased when dropped.
#[derive(Clone)]
pub struct SharedSecret(Zeroizing<Vec<u8>>);

impl SharedSecret {
    /// A shared secret of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSecret").finish_non_exhaustive()
    }
}
