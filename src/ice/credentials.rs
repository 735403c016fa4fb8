//! User-name fragments and passwords, RFC 8445 §5.3.

use crate::crypto::{CryptoProvider, SecureRandom};
use crate::layer::IceCredentials;
use crate::stun::IntegrityKey;

/// The characters of random credentials: 64 of them, so that six bits make one (RFC 8839 §5.4).
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Random credentials for one generation of this side: 48 bits of fragment, 144 of password, where RFC 8839
/// §5.4 asks for 24 and 128.
pub fn random_credentials(random: &dyn SecureRandom) -> IceCredentials {
    const UFRAG: usize = 8;
    const PASSWORD: usize = 24;
    let mut bytes = [0; UFRAG + PASSWORD];
    random.fill(&mut bytes);
    let text: String = bytes.iter().map(|byte| char::from(ICE_CHARS[usize::from(byte & 63)])).collect();
    let (ufrag, password) = text.split_at(UFRAG);
    IceCredentials::new(ufrag, password).expect("well-formed") // both are long enough and of ICE characters
}

/// Credentials with the key of their password.
#[derive(Debug)]
pub(super) struct KeyedCredentials {
    pub(super) credentials: IceCredentials,
    pub(super) key: IntegrityKey,
}

impl KeyedCredentials {
    pub(super) fn new(provider: &CryptoProvider, credentials: IceCredentials) -> Self {
        let key = IntegrityKey::short_term(provider, credentials.password());
        Self { credentials, key }
    }

    pub(super) fn ufrag(&self) -> &str {
        self.credentials.ufrag()
    }
}
