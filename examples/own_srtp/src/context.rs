use std::fmt;

use bytes::BytesMut;
use kaon_rtc::layer::{MasterKey, SrtpError, SrtpProfile, SrtpTransport};
use rtc_shared::error::Error;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

const REPLAY_WINDOW: usize = 1024;
/// The E flag and the index of SRTCP (RFC 3711 §3.4).
const INDEX_LEN: usize = 4;

/// SRTP by the crate `rtc-srtp`, which has a context for each direction.
pub struct OwnSrtp {
    profile: SrtpProfile,
    outbound: Context,
    inbound: Context,
}

impl OwnSrtp {
    /// Protects with `local` and unprotects with `remote`.
    pub fn new(local: &MasterKey, remote: &MasterKey) -> Result<Self, SrtpError> {
        Ok(Self { profile: local.profile(), outbound: context(local)?, inbound: context(remote)? })
    }

    /// The E flag of an SRTCP packet (RFC 3711 §3.4); behind the index there is a tag unless it is an AEAD's,
    /// which stands before it (RFC 7714 §9.2).
    fn says_encrypted(&self, packet: &[u8]) -> bool {
        let tag = if self.profile == SrtpProfile::Aes128CmHmacSha1_80 { self.rtp_overhead() } else { 0 };
        let flag = packet.len().checked_sub(tag + INDEX_LEN).and_then(|at| packet.get(at));
        flag.is_some_and(|flag| flag & 0x80 != 0)
    }
}

impl SrtpTransport for OwnSrtp {
    fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = plain_packet(buffer, len, self.rtp_overhead())?;
        let protected = self.outbound.encrypt_rtp(packet).map_err(|error| refusal(&error))?;
        put(buffer, &protected)
    }

    fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = plain_packet(buffer, len, self.rtcp_overhead())?;
        let protected = self.outbound.encrypt_rtcp(packet).map_err(|error| refusal(&error))?;
        put(buffer, &protected)
    }

    fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let plain = self.inbound.decrypt_rtp(packet).map_err(|error| refusal(&error))?;
        put(packet, &plain)
    }

    fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        // The crate takes packets that say they are not encrypted without looking at their tag; the kit found it.
        if !self.says_encrypted(packet) {
            return Err(SrtpError::Authentication);
        }
        let plain = self.inbound.decrypt_rtcp(packet).map_err(|error| refusal(&error))?;
        put(packet, &plain)
    }

    fn rtp_overhead(&self) -> usize {
        match self.profile {
            SrtpProfile::Aes128CmHmacSha1_80 => 10,
            _ => 16,
        }
    }

    fn rtcp_overhead(&self) -> usize {
        self.rtp_overhead() + INDEX_LEN
    }
}

// Without the keys.
impl fmt::Debug for OwnSrtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnSrtp").field("profile", &self.profile).finish_non_exhaustive()
    }
}

fn context(key: &MasterKey) -> Result<Context, SrtpError> {
    let profile = match key.profile() {
        SrtpProfile::Aes128CmHmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        SrtpProfile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        _ => return Err(SrtpError::Malformed("rtc-srtp does not have the profile of the key")),
    };
    let provider = rtc_crypto::default_provider().map_err(|_| SrtpError::Malformed("no cryptography"))?;
    let replay = (Some(srtp_replay_protection(REPLAY_WINDOW)), Some(srtcp_replay_protection(REPLAY_WINDOW)));
    Context::new(key.key(), key.salt(), profile, replay.0, replay.1, provider.crypto())
        .map_err(|error| refusal(&error))
}

/// Nothing may be used up for a packet that finds no room, so the headroom is looked at first.
fn plain_packet(buffer: &[u8], len: usize, overhead: usize) -> Result<&[u8], SrtpError> {
    let packet = buffer.get(..len).ok_or(SrtpError::Malformed("the length is beyond the buffer"))?;
    let (needed, available) = (len + overhead, buffer.len());
    if needed > available {
        return Err(SrtpError::BufferTooSmall { needed, available });
    }
    Ok(packet)
}

/// The crate makes a new buffer for each packet; the trait wants it where it was.
fn put(buffer: &mut [u8], packet: &BytesMut) -> Result<usize, SrtpError> {
    let too_small = SrtpError::BufferTooSmall { needed: packet.len(), available: buffer.len() };
    buffer.get_mut(..packet.len()).ok_or(too_small)?.copy_from_slice(packet);
    Ok(packet.len())
}

/// The errors of the crate as those of the trait.
fn refusal(error: &Error) -> SrtpError {
    match error {
        Error::SrtpSsrcDuplicated(_, sequence) => SrtpError::Replayed { index: u64::from(*sequence) },
        Error::SrtcpSsrcDuplicated(_, index) => SrtpError::Replayed { index: *index as u64 },
        Error::ErrExceededMaxPackets => SrtpError::KeyExhausted { ssrc: 0 },
        Error::ErrFailedToVerifyAuthTag
        | Error::RtpFailedToVerifyAuthTag
        | Error::RtcpFailedToVerifyAuthTag => SrtpError::Authentication,
        _ => SrtpError::Malformed("rtc-srtp does not understand the packet"),
    }
}
