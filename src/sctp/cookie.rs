//! The state cookie, RFC 9260 §5.1.3.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::sequence::Tsn;
use super::wire::Capabilities;
use crate::crypto::{CryptoProvider, Digests, HashAlgorithm, Hmac};

/// What both ends agreed on: what an association is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreement {
    pub(crate) local_tag: u32,
    pub(crate) peer_tag: u32,
    pub(crate) local_initial_tsn: Tsn,
    pub(crate) peer_initial_tsn: Tsn,
    pub(crate) peer_window: u32,
    pub(crate) outgoing_streams: u16,
    pub(crate) incoming_streams: u16,
    pub(crate) peer: Capabilities,
}

/// A state cookie (RFC 9260 §5.1.3): the whole association in the peer's hands until it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateCookie {
    /// When it was made, by the association's clock.
    pub(crate) created: Duration,
    /// The tags of the association that existed then, local and peer's; zero without one (§5.2.2).
    pub(crate) tie_tags: (u32, u32),
    pub(crate) agreement: Agreement,
}

impl StateCookie {
    const BODY: usize = 45;
    const TAG: usize = 32;
    pub(crate) const LEN: usize = Self::BODY + Self::TAG;

    fn body(&self) -> [u8; Self::BODY] {
        let mut body = [0; Self::BODY];
        let agreement = &self.agreement;
        body[..8].copy_from_slice(&(self.created.as_micros() as u64).to_be_bytes());
        let words = [
            self.tie_tags.0,
            self.tie_tags.1,
            agreement.local_tag,
            agreement.peer_tag,
            agreement.local_initial_tsn.0,
            agreement.peer_initial_tsn.0,
            agreement.peer_window,
        ];
        for (slot, word) in body[8..36].as_chunks_mut().0.iter_mut().zip(words) {
            *slot = word.to_be_bytes();
        }
        body[36..38].copy_from_slice(&agreement.outgoing_streams.to_be_bytes());
        body[38..40].copy_from_slice(&agreement.incoming_streams.to_be_bytes());
        body[40] = agreement.peer.bits();
        body[41..].copy_from_slice(b"kaon");
        body
    }
}

/// The key that signs cookies. An association signs one or two in its life, so that the state of the HMAC, which takes more
/// than a kilobyte, is made for each.
pub(crate) struct CookieKey {
    key: Zeroizing<[u8; 32]>,
    digests: Arc<dyn Digests>,
}

impl CookieKey {
    pub(crate) fn new(crypto: &CryptoProvider) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        crypto.random.fill(&mut *key);
        Self { key, digests: crypto.digests.clone() }
    }

    fn hmac(&self) -> Box<dyn Hmac> {
        self.digests.hmac(HashAlgorithm::Sha256, &*self.key)
    }

    pub(crate) fn seal(&self, cookie: &StateCookie) -> [u8; StateCookie::LEN] {
        let mut sealed = [0; StateCookie::LEN];
        let (body, tag) = sealed.split_at_mut(StateCookie::BODY);
        body.copy_from_slice(&cookie.body());
        let digest = self.hmac().sign(&[body]);
        tag.copy_from_slice(&digest[..StateCookie::TAG]);
        sealed
    }

    /// The cookie, if this key made it.
    pub(crate) fn open(&self, sealed: &[u8]) -> Option<StateCookie> {
        let sealed: &[u8; StateCookie::LEN] = sealed.try_into().ok()?;
        let (body, tag) = sealed.split_at(StateCookie::BODY);
        if !self.hmac().verify(&[body], tag) {
            return None;
        }
        let word = |index: usize| {
            let bytes = body.get(8 + 4 * index..)?.first_chunk()?;
            Some(u32::from_be_bytes(*bytes))
        };
        let streams = word(7)?;
        Some(StateCookie {
            created: Duration::from_micros(u64::from_be_bytes(*body.first_chunk()?)),
            tie_tags: (word(0)?, word(1)?),
            agreement: Agreement {
                local_tag: word(2)?,
                peer_tag: word(3)?,
                local_initial_tsn: Tsn(word(4)?),
                peer_initial_tsn: Tsn(word(5)?),
                peer_window: word(6)?,
                outgoing_streams: (streams >> 16) as u16,
                incoming_streams: streams as u16,
                peer: Capabilities::from_bits(*body.get(40)?),
            },
        })
    }
}

impl fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieKey").finish_non_exhaustive()
    }
}
