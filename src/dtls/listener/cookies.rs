//! Stateless cookies, RFC 6347 §4.2.1.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::crypto::{CryptoProvider, HashAlgorithm, Hmac};
use crate::dtls::handshake::ClientHelloStart;
use crate::layer::{FiveTuple, Protocol};

/// The length of a cookie: HMAC-SHA256, as long as any client takes.
pub(super) const COOKIE_LEN: usize = 32;

/// Makes cookies and knows them again without remembering them (RFC 6347 §4.2.1).
pub(super) struct Cookies {
    lifetime: Duration,
    current: Box<dyn Hmac>,
    previous: Box<dyn Hmac>,
    rotated: Option<Instant>,
}

impl Cookies {
    pub(super) fn new(provider: &CryptoProvider, lifetime: Duration) -> Self {
        Self { lifetime, current: secret(provider), previous: secret(provider), rotated: None }
    }

    /// Changes the secret when it is old. The one before stays good for as long again, so that a cookie is
    /// good for at least one lifetime and at most two.
    pub(super) fn rotate(&mut self, provider: &CryptoProvider, now: Instant) {
        let age = now.saturating_duration_since(*self.rotated.get_or_insert(now));
        if age < self.lifetime {
            return;
        }
        self.previous = std::mem::replace(&mut self.current, secret(provider));
        if age >= self.lifetime.saturating_mul(2) {
            self.previous = secret(provider);
        }
        self.rotated = Some(now);
    }

    pub(super) fn issue(&self, path: FiveTuple, hello: &ClientHelloStart<'_>) -> [u8; COOKIE_LEN] {
        let mut cookie = [0; COOKIE_LEN];
        cookie.copy_from_slice(&sign(&*self.current, path, hello));
        cookie
    }

    pub(super) fn verify(&self, path: FiveTuple, hello: &ClientHelloStart<'_>) -> bool {
        let address = address_bytes(path);
        let parts = cookie_input(&address, hello);
        hello.cookie.len() == COOKIE_LEN
            && (self.current.verify(&parts, hello.cookie) || self.previous.verify(&parts, hello.cookie))
    }
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookies").field("rotated", &self.rotated).finish_non_exhaustive()
    }
}

fn secret(provider: &CryptoProvider) -> Box<dyn Hmac> {
    let mut bytes = Zeroizing::new([0; 32]);
    provider.random.fill(&mut bytes[..]);
    provider.digests.hmac(HashAlgorithm::Sha256, &bytes[..])
}

fn sign(secret: &dyn Hmac, path: FiveTuple, hello: &ClientHelloStart<'_>) -> crate::crypto::Digest {
    secret.sign(&cookie_input(&address_bytes(path), hello))
}

/// The path, and what stands in front of the cookie in a hello. The suites behind it are left out: they may
/// be in a later fragment, and nothing is kept of the first hello that they could be compared with.
fn cookie_input<'a>(address: &'a [u8], hello: &ClientHelloStart<'a>) -> [&'a [u8]; 2] {
    [address, hello.before_cookie]
}

fn address_bytes(path: FiveTuple) -> [u8; 37] {
    let mut bytes = [0; 37];
    bytes[0] = u8::from(path.protocol == Protocol::Tcp);
    put_address(&mut bytes[1..19], path.local);
    put_address(&mut bytes[19..37], path.remote);
    bytes
}

fn put_address(out: &mut [u8], address: SocketAddr) {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    out[..16].copy_from_slice(&ip.octets());
    out[16..].copy_from_slice(&address.port().to_be_bytes());
}
