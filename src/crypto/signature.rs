//! Signing keys and signatures.

use std::fmt;

use zeroize::Zeroizing;

use super::CryptoError;

/// Generates and loads signing keys, and verifies signatures.
pub trait Signatures: Send + Sync {
    /// The schemes that [`verify`](Self::verify) takes, the preferred first.
    fn schemes(&self) -> &'static [SignatureScheme];

    /// Generates an ECDSA key on P-256.
    ///
    /// # Errors
    /// [`CryptoError::Failed`].
    fn generate_p256(&self) -> Result<PrivateKey, CryptoError>;

    /// Loads an ECDSA key on P-256 or P-384 from PKCS#8.
    ///
    /// # Errors
    /// [`CryptoError::InvalidKey`].
    fn load(&self, key: &PrivateKey) -> Result<Box<dyn SigningKey>, CryptoError>;

    /// Verifies `signature` over `message`.
    ///
    /// # Errors
    /// [`CryptoError::Signature`] if it does not verify, [`CryptoError::Unsupported`] for a scheme that the
    /// provider does not have, [`CryptoError::InvalidKey`] if the key does not fit the scheme.
    fn verify(
        &self,
        scheme: SignatureScheme,
        key: PublicKey<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError>;
}

/// A private key ready to sign.
pub trait SigningKey: Send + Sync {
    /// The scheme that [`sign`](Self::sign) follows.
    fn scheme(&self) -> SignatureScheme;

    /// The public key as an uncompressed point.
    fn public_key(&self) -> &[u8];

    /// Signs `message`; the signature is DER-encoded.
    ///
    /// # Errors
    /// [`CryptoError::Failed`].
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError>;
}

/// A private key in PKCS#8 DER. Erased when dropped.
#[derive(Clone)]
pub struct PrivateKey(Zeroizing<Vec<u8>>);

impl PrivateKey {
    /// A private key from its PKCS#8 DER.
    pub fn from_pkcs8(der: &[u8]) -> Self {
        Self(Zeroizing::new(der.to_vec()))
    }

    /// A private key from an `ECPrivateKey` (RFC 5915) on P-256 or P-384, as `EC PRIVATE KEY` of PEM has it. What is
    /// no such key is refused when it is loaded.
    pub fn from_sec1(der: &[u8]) -> Self {
        // RFC 5915: the length of the secret is that of the order, and so tells the curve.
        let is_p384 = secret_len(der) == Some(48);
        let curve: &[u8] = if is_p384 { &SECP384R1 } else { &PRIME256V1 };
        let algorithm = tlv(0x30, &[&ID_EC_PUBLIC_KEY, curve]);
        let key = Zeroizing::new(tlv(0x04, &[der]));
        // PKCS#8 (RFC 5208): version 0, the algorithm, the key.
        Self(Zeroizing::new(tlv(0x30, &[&[0x02, 1, 0], &algorithm, &key])))
    }

    /// The PKCS#8 DER.
    pub fn as_pkcs8(&self) -> &[u8] {
        &self.0
    }
}

/// Object identifiers of RFC 5480 §2.1.1, with tag and length.
const ID_EC_PUBLIC_KEY: [u8; 9] = [0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const PRIME256V1: [u8; 10] = [0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const SECP384R1: [u8; 7] = [0x06, 5, 0x2b, 0x81, 0x04, 0x00, 0x22];

/// How long the secret of an `ECPrivateKey` is: that stands behind the version, which is 1.
fn secret_len(der: &[u8]) -> Option<u8> {
    let (head, rest) = der.split_at_checked(2)?;
    let long_form = match head {
        [0x30, 0x81] => 1,
        [0x30, 0x82] => 2,
        [0x30, _] => 0,
        _ => return None,
    };
    match rest.get(long_form..)? {
        [0x02, 1, 1, 0x04, len, ..] => Some(*len),
        _ => None,
    }
}

/// An element of DER with what is in it. Longer than what a length of two bytes says is no key at all.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let [high, low] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
    let mut element = Vec::with_capacity(len + 4);
    match (high, low) {
        (0, 0..=0x7f) => element.extend([tag, low]),
        (0, _) => element.extend([tag, 0x81, low]),
        _ => element.extend([tag, 0x82, high, low]),
    }
    parts.iter().for_each(|part| element.extend_from_slice(part));
    element
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").finish_non_exhaustive()
    }
}

/// A public key as it stands in a certificate: the content of `subjectPublicKey`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublicKey<'a> {
    /// An uncompressed point on P-256.
    P256(&'a [u8]),
    /// An uncompressed point on P-384.
    P384(&'a [u8]),
    /// A DER-encoded `RSAPublicKey`.
    Rsa(&'a [u8]),
    /// An Ed25519 key of 32 bytes.
    Ed25519(&'a [u8]),
}

/// A signature scheme, by its name in TLS 1.3 (RFC 8446 §4.2.3). In DTLS 1.2 the ECDSA schemes do not fix
/// the curve: [`Signatures::verify`] takes either curve with either hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureScheme {
    /// ECDSA with SHA-256, 0x0403.
    EcdsaSha256,
    /// ECDSA with SHA-384, 0x0503.
    EcdsaSha384,
    /// Ed25519, 0x0807.
    Ed25519,
    /// RSASSA-PSS with SHA-256 and a plain RSA key, 0x0804.
    RsaPssSha256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 0x0401.
    RsaPkcs1Sha256,
}

impl SignatureScheme {
    /// The scheme with this number in the registry.
    pub const fn from_id(id: u16) -> Option<Self> {
        match id {
            0x0403 => Some(Self::EcdsaSha256),
            0x0503 => Some(Self::EcdsaSha384),
            0x0807 => Some(Self::Ed25519),
            0x0804 => Some(Self::RsaPssSha256),
            0x0401 => Some(Self::RsaPkcs1Sha256),
            _ => None,
        }
    }

    /// The number in the registry.
    pub const fn id(self) -> u16 {
        match self {
            Self::EcdsaSha256 => 0x0403,
            Self::EcdsaSha384 => 0x0503,
            Self::Ed25519 => 0x0807,
            Self::RsaPssSha256 => 0x0804,
            Self::RsaPkcs1Sha256 => 0x0401,
        }
    }
}
