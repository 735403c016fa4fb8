//! Both directions of a session.

use std::fmt;

use super::config::Config;
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::session_keys::SessionKeys;
use super::{MasterKey, SrtpError, SrtpProfile, SrtpTransport};
use crate::crypto::CryptoProvider;
use crate::layer::HashKeys;

/// Both directions of an SRTP session under one pair of master keys.
///
/// Rollover counters, replay windows and SRTCP indices are kept for each SSRC and each direction.
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::srtp::{Config, Context, MasterKey, SrtpProfile, SrtpTransport};
///
/// let provider = aws_lc_rs::provider();
/// let key = MasterKey::new(SrtpProfile::AeadAes128Gcm, &[1; 16], &[2; 12]).expect("the lengths of the profile");
/// let mut sender = Context::new(&provider, &key, &key, Config::default())?;
/// let mut receiver = Context::new(&provider, &key, &key, Config::default())?;
///
/// // An empty receiver report of SSRC 1.
/// let mut packet = vec![0x80, 201, 0, 1, 0, 0, 0, 1];
/// let plain = packet.clone();
/// // Room for the index and the tag.
/// packet.resize(plain.len() + 32, 0);
/// let len = sender.protect_rtcp(&mut packet, plain.len())?;
/// let protected = packet[..len].to_vec();
/// let len = receiver.unprotect_rtcp(&mut packet[..len])?;
/// assert_eq!(packet[..len], plain);
/// // The same packet again is a replay.
/// assert!(receiver.unprotect_rtcp(&mut protected.clone()).is_err());
/// # Ok::<(), kaon_rtc::srtp::SrtpError>(())
/// ```
pub struct Context {
    profile: SrtpProfile,
    outbound: Outbound,
    inbound: Inbound,
}

impl Context {
    /// A context that protects with the master key `local` and unprotects with `remote`. For a DTLS client
    /// `local` is [`SrtpKeyingMaterial::client`](super::SrtpKeyingMaterial::client).
    ///
    /// # Errors
    /// [`SrtpError::Malformed`] if the keys are of different profiles, or if the provider lacks the profile.
    pub fn new(
        provider: &CryptoProvider,
        local: &MasterKey,
        remote: &MasterKey,
        config: Config,
    ) -> Result<Self, SrtpError> {
        if local.profile() != remote.profile() {
            return Err(SrtpError::Malformed("the master keys are of different profiles"));
        }
        let mut random = [0; 16];
        provider.random.fill(&mut random);
        let hash = HashKeys::new(random);
        Ok(Self {
            profile: local.profile(),
            outbound: Outbound::new(SessionKeys::derive(provider, local)?, &config, hash),
            inbound: Inbound::new(SessionKeys::derive(provider, remote)?, &config, hash),
        })
    }

    /// The profile.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Tells the rollover counter of an incoming stream that is joined late (RFC 3711 §3.3.1). The stream's
    /// replay window begins anew.
    ///
    /// # Errors
    /// [`SrtpError::TooManySsrcs`].
    pub fn set_rollover_counter(&mut self, ssrc: u32, counter: u32) -> Result<(), SrtpError> {
        self.inbound.set_rollover_counter(ssrc, counter)
    }

    /// Frees the state of a source that has ended, in both directions. The index of its last packet is kept, so that
    /// none is used or accepted twice if it goes on after all.
    pub fn forget(&mut self, ssrc: u32) {
        self.outbound.forget(ssrc);
        self.inbound.forget(ssrc);
    }

    /// The rollover counter of an incoming stream; `None` if no authentic packet of it has come.
    pub fn rollover_counter(&self, ssrc: u32) -> Option<u32> {
        self.inbound.rollover_counter(ssrc)
    }
}

impl SrtpTransport for Context {
    fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        self.outbound.protect_rtp(buffer, len)
    }

    fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        self.outbound.protect_rtcp(buffer, len)
    }

    fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        self.inbound.unprotect_rtp(packet)
    }

    fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        self.inbound.unprotect_rtcp(packet)
    }

    fn forget(&mut self, ssrc: u32) {
        Context::forget(self, ssrc);
    }

    fn rtp_overhead(&self) -> usize {
        self.outbound.keys().rtp_overhead()
    }

    fn rtcp_overhead(&self) -> usize {
        self.outbound.keys().rtcp_overhead()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("profile", &self.profile).finish_non_exhaustive()
    }
}
