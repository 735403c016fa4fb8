//! The random of a hello.

use crate::crypto::SecureRandom;

/// The random of a hello (RFC 5246 §7.4.1.2). All of it is random: nothing reads a clock, and RFC 9325
/// advises against the time that its first four bytes once were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Random(pub(crate) [u8; 32]);

impl Random {
    pub(crate) fn generate(source: &dyn SecureRandom) -> Self {
        let mut bytes = [0; 32];
        source.fill(&mut bytes);
        Self(bytes)
    }
}
