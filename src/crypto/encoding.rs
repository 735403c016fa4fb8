//! The forms that shares and public keys have in TLS.

use super::{NamedGroup, PublicKey};

/// Whether a share has the one form that its group has in TLS (RFC 8422 §5.4.1, RFC 7748 §6.1). Libraries
/// read others as well: compressed points, or a whole SubjectPublicKeyInfo.
pub(super) fn is_share(group: NamedGroup, share: &[u8]) -> bool {
    match group {
        NamedGroup::X25519 => share.len() == 32,
        NamedGroup::Secp256r1 => is_uncompressed_point(share, 32),
        NamedGroup::Secp384r1 => is_uncompressed_point(share, 48),
    }
}

/// Whether a key has the one form that [`PublicKey`] says (RFC 8422 §5.1.2: no point format but the
/// uncompressed one is offered).
pub(super) fn is_public_key(key: PublicKey<'_>) -> bool {
    match key {
        PublicKey::P256(point) => is_uncompressed_point(point, 32),
        PublicKey::P384(point) => is_uncompressed_point(point, 48),
        PublicKey::Ed25519(key) => key.len() == 32,
        PublicKey::Rsa(_) => true,
    }
}

fn is_uncompressed_point(bytes: &[u8], coordinate_len: usize) -> bool {
    bytes.len() == 1 + 2 * coordinate_len && bytes.first() == Some(&4)
}
