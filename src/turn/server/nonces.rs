//! Nonces without state, RFC 8489 §9.2 and RFC 8656 §5.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;

use super::base64;
use crate::crypto::{CryptoProvider, HashAlgorithm, Hmac};
use crate::layer::{FiveTuple, Protocol};
use crate::stun::SecurityFeatures;

/// A nonce is the time of its making with a tag over it and the client's address: whoever shows one receives at that
/// address, and nothing needs to be kept of it.
pub(super) struct Nonces {
    hmac: Box<dyn Hmac>,
    start: Instant,
    lifetime: Duration,
    features: SecurityFeatures,
}

impl Nonces {
    pub(super) fn new(
        now: Instant,
        provider: &CryptoProvider,
        lifetime: Duration,
        features: SecurityFeatures,
    ) -> Self {
        let mut key = [0; 32];
        provider.random.fill(&mut key);
        Self { hmac: provider.digests.hmac(HashAlgorithm::Sha256, &key), start: now, lifetime, features }
    }

    /// Without the cookie of features.
    pub(super) fn make(&self, now: Instant, client: FiveTuple) -> String {
        let seconds = now.saturating_duration_since(self.start).as_secs() as u32;
        base64::encode(&self.tagged(seconds, client))
    }

    /// Whether a nonce was made for that client, and not too long ago. One without the cookie is none of this server's:
    /// somebody on the path would bid down (RFC 8489 §9.2.1).
    pub(super) fn is_valid(&self, now: Instant, client: FiveTuple, nonce: &[u8]) -> bool {
        let cookie = self.features.prefix();
        let has_cookie = self.features != SecurityFeatures::default();
        let secret = if has_cookie { nonce.strip_prefix(&cookie) } else { Some(nonce) };
        let Some(bytes) = secret.and_then(|secret| base64::decode(secret.try_into().ok()?)) else {
            return false;
        };
        let [a, b, c, d, ..] = bytes;
        let seconds = u32::from_be_bytes([a, b, c, d]);
        let made_at = Duration::from_secs(seconds.into());
        let age = now.saturating_duration_since(self.start).checked_sub(made_at);
        age.is_some_and(|age| age < self.lifetime) && self.tagged(seconds, client).ct_eq(&bytes).into()
    }

    fn tagged(&self, seconds: u32, client: FiveTuple) -> [u8; 12] {
        let seconds = seconds.to_be_bytes();
        let ip = match client.remote.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        // A connection has proved its address, and its client opens others for peers (RFC 6062) with the same nonce.
        let port = if client.protocol == Protocol::Udp { client.remote.port() } else { 0 }.to_be_bytes();
        let protocol = [u8::from(client.protocol != Protocol::Udp)];
        let tag = self.hmac.sign(&[&seconds, &ip, &port, &protocol]);
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&seconds);
        bytes[4..].copy_from_slice(&tag[..8]);
        bytes
    }
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonces").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}
