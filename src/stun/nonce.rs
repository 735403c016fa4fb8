//! The nonce cookie and the security features it tells, RFC 8489 §9.2.

/// What a nonce begins with that tells security features (RFC 8489 §9.2).
const COOKIE: &[u8; 9] = b"obMatJos2";

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The security features that a server tells in its nonces (RFC 8489 §18.1). Nobody on the path can take them away,
/// since the server knows its own nonces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecurityFeatures {
    /// The server says in PASSWORD-ALGORITHMS which hashes of passwords it knows.
    pub password_algorithms: bool,
    /// The server takes USERHASH in the place of USERNAME.
    pub username_anonymity: bool,
}

impl SecurityFeatures {
    /// The number of bytes that [`prefix`](Self::prefix) puts in front of a nonce.
    pub const PREFIX_LEN: usize = 13;

    /// The features that a nonce tells; none if it has no cookie.
    pub fn of(nonce: &[u8]) -> Self {
        let bits = nonce.strip_prefix(COOKIE).and_then(|rest| decode(rest.first_chunk()?)).unwrap_or(0);
        // RFC 8489 §18.1: bit 0 is the most significant of 24.
        Self { password_algorithms: bits & 1 << 23 != 0, username_anonymity: bits & 1 << 22 != 0 }
    }

    /// What a server puts in front of its nonces: the cookie and the features in base64.
    pub fn prefix(self) -> [u8; Self::PREFIX_LEN] {
        let bits = u32::from(self.password_algorithms) << 23 | u32::from(self.username_anonymity) << 22;
        let mut prefix = [0; Self::PREFIX_LEN];
        prefix[..9].copy_from_slice(COOKIE);
        for (at, digit) in prefix[9..].iter_mut().enumerate() {
            *digit = BASE64[(bits >> (18 - 6 * at)) as usize & 63];
        }
        prefix
    }
}

/// 24 bits out of four digits of base64 (RFC 4648 §4).
fn decode(digits: &[u8; 4]) -> Option<u32> {
    digits.iter().try_fold(0, |bits, digit| {
        let value = BASE64.iter().position(|known| known == digit)?;
        Some(bits << 6 | value as u32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_the_high_bits() {
        for (nonce, password_algorithms, username_anonymity) in [
            ("obMatJos2gAAAx", true, false),
            ("obMatJos2wAAAx", true, true),
            ("obMatJos2QAAAx", false, true),
            ("obMatJos2AAAAx", false, false),
            // RFC 8489 §B.1
            ("obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA", false, false),
            ("obMatJos2wAA", false, false),
            ("obMatJos2w*AA", false, false),
            ("another", false, false),
        ] {
            let features = SecurityFeatures { password_algorithms, username_anonymity };
            assert_eq!(SecurityFeatures::of(nonce.as_bytes()), features, "{nonce}");
            if nonce.len() == 14 && nonce.ends_with('x') {
                assert_eq!(features.prefix(), nonce.as_bytes()[..13]);
            }
        }
    }
}
